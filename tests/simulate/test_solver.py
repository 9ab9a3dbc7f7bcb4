"""Marching: frames, retries, compilation and its fallback."""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from probtokens.config import PhysicsConfig
from probtokens.simulate import compiler
from probtokens.simulate.initial import shocked_crystal
from probtokens.simulate.mixture import State
from probtokens.simulate.run import build_solver
from probtokens.simulate.solver import Pace, Solver, UnstableError


def small(compiled: bool = False) -> tuple[Solver, State, State]:
    solver = build_solver(PhysicsConfig(compile=compiled), spacing=0.04)
    porosity = np.full((1, 6, 12), 1e-6)
    porosity[0, 2:4, 7:9] = 0.9
    state, outside = shocked_crystal(porosity, np.array([10.0]), solver.model.mixture, 0.04, "piston")
    return solver, state, outside


def test_frame_is_repeated_when_waves_turn_out_faster():
    solver, state, outside = small()
    good, _, pace = solver.advance(state, outside, 0.02)
    retried, _, again = solver.advance(state, outside, 0.02, pace._replace(wave_speed=0.5 * pace.wave_speed))
    assert again.wave_speed == pytest.approx(pace.wave_speed, rel=0.05)
    torch.testing.assert_close(retried.energy, good.energy, rtol=0.05, atol=0.05)


def test_state_that_cannot_be_advanced_is_an_error():
    solver, state, outside = small()
    broken = state._replace(energy=torch.full_like(state.energy, torch.nan))
    with pytest.raises(UnstableError, match="no stable step"):
        solver.advance(broken, outside, 0.01, Pace(10.0, torch.zeros(1), 1))


def test_state_that_is_not_finite_is_an_error():
    solver, state, outside = small()
    broken = state._replace(energy=torch.full_like(state.energy, torch.nan))
    with pytest.raises(UnstableError, match="finite state"):
        solver.advance(broken, outside, 0.01)


def test_wave_that_is_absurdly_fast_is_an_error_and_not_followed(monkeypatch):
    solver, state, outside = small()
    marches = []

    def march(state, outside, step, steps):
        marches.append(steps)
        return state, torch.zeros(1, 2), torch.full((1,), 1e9)

    monkeypatch.setattr(solver, "_march", march)
    with pytest.raises(UnstableError, match="no stable step"):
        solver.advance(state, outside, 0.01)
    assert len(marches) == 1


def test_courant_number_is_that_of_each_simulation():
    solver, state, outside = small()
    doubled = State(*(value.repeat(2, 1, 1) for value in state))
    doubled.momentum_x[0] += 2.0 * (doubled.solid_mass[0] + doubled.gas_mass[0])  # 2 km/s to the right
    doubled.energy[0] += 0.5 * (doubled.momentum_x[0] ** 2 - doubled.momentum_x[1] ** 2) / (doubled.solid_mass[0] + doubled.gas_mass[0])
    _, _, pace = solver.advance(doubled, State(*(value.repeat(2, 1, 1) for value in outside)), 0.02)
    assert pace.courant.shape == (2,)
    assert 0.85 * solver.cfl < pace.courant[0] <= 1.15 * solver.cfl
    assert pace.courant[1] < 0.95 * pace.courant[0]
    # In as many steps as the pair took, the slower one has the same number alone.
    _, _, alone = solver.advance(state, outside, 0.02, pace)
    assert alone.courant[0] == pytest.approx(float(pace.courant[1]), rel=1e-6)
    assert alone.wave_speed < pace.wave_speed


COMPILERS = {
    "none": ("/nonexistent/g++", "No such file or directory"),
    "fails": ("exit 3", "expected to build an empty program, got exit code 3"),
    "hangs": ("sleep 1000 & sleep 1000", "expected an empty program within 0.2 s, got none"),
    "fails_later": ("exit 0", "OSError: out of licences"),
}


def refuse(function, **_):
    def call(*_):
        raise OSError("out of licences")

    return call


@pytest.mark.parametrize("which", COMPILERS)
def test_a_compiler_that_does_not_work_is_told_and_kernels_are_eager(which, tmp_path, monkeypatch):
    script, expected = COMPILERS[which]
    path = Path(script)
    if which != "none":
        path = tmp_path / "compiler"
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
        path.chmod(0o755)
    monkeypatch.setenv("CXX", str(path))
    monkeypatch.setattr(torch, "compile", refuse)
    monkeypatch.setattr(compiler, "PATIENCE", 0.2)
    compiler.require_compiler.cache_clear()
    reference, *_ = small()[0].advance(*small()[1:], 0.01)
    solver, state, outside = small(compiled=True)
    with pytest.warns(RuntimeWarning, match=f"compiling failed .*({expected})") as caught:
        got, _, _ = solver.advance(state, outside, 0.01)
    compiler.require_compiler.cache_clear()
    assert [Path(warning.filename).name for warning in caught] == ["solver.py"], "the screen shows warnings of this package alone"
    assert solver.kernels == "eager"
    for one, two in zip(got, reference, strict=True):
        torch.testing.assert_close(one, two, rtol=0.0, atol=0.0)
    at_work = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(path) not in at_work


_PROGRAM = """
import hashlib
from tests.simulate.test_solver import small
solver, state, outside = small(compiled=True)
state, _, _ = solver.advance(state, outside, 0.05)
print(hashlib.sha256(b"".join(value.numpy().tobytes() for value in state)).hexdigest())
"""


@pytest.mark.slow
def test_kernels_compile_for_any_number_of_shapes(monkeypatch):
    """Every campaign of a process has a shape of its own; torch stops at its limit unless told otherwise."""
    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **options: compile_(f, backend="eager", **options))
    solver, state, outside = small(compiled=True)
    with torch._dynamo.config.patch(recompile_limit=2), warnings.catch_warnings(action="error"):
        for ny in range(6, 9):
            taller = State(*(part[:, :1].expand(-1, ny, -1).contiguous() for part in state))
            solver.advance(taller, outside, 0.001)


@pytest.mark.slow
def test_compiled_bits_repeat_in_another_process_and_follow_eager():
    digests = [subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True).stdout for _ in range(2)]
    assert digests[0] == digests[1]
    one, state, outside = small(compiled=True)
    two, *_ = small()
    got, expected = (solver.advance(state, outside, 0.05)[0] for solver in (one, two))
    torch.testing.assert_close(got.energy, expected.energy, rtol=1e-3, atol=1e-3)
