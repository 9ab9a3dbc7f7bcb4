"""Cell-steps per second of the simulator, compiled against eager and against what memory bandwidth allows.

    python -m benchmarks.simulator

A cell-step is one full step of one cell: two stages of the flow, viscosity, heat exchange and reactions.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.timing import RESULTS, best_of, write_result
from probtokens.config import MicrostructureConfig, PhysicsConfig
from probtokens.simulate.initial import shocked_crystal
from probtokens.simulate.microstructure import pore_fraction
from probtokens.simulate.mixture import State
from probtokens.simulate.run import build_solver

SPACING = 0.04
PRESSURE = 11.0  # GPa, burns

#: Cases on a CPU and on a GPU: batch, cells along y and x, pores.
CPU_CASES = {"micro": (4, 64, 96, 1), "meso": (1, 128, 192, 10)}
GPU_CASES = {"micro": (128, 64, 96, 1), "meso": (64, 128, 192, 10)}

#: Bytes that a step must move per cell if every call streams its arguments once: each stage reads and writes a
#: state, the last call reads two and writes one; a state is nine single-precision numbers.
BYTES_PER_CELL_STEP = (2 * 2 + 3) * 9 * 4


def crystals(batch: int, ny: int, nx: int, pores: int) -> np.ndarray:
    """Pore fractions (batch, y, x) of the same porous crystals at every call."""
    rng, config = np.random.default_rng(0), MicrostructureConfig(n_pores=(pores, pores))
    return np.stack([pore_fraction(ny, nx, SPACING, config, rng) for _ in range(batch)])


def stepping(batch: int, ny: int, nx: int, pores: int, compiled: bool, duration: float) -> tuple[Callable[[], object], int]:
    """A call that advances porous crystals shocked to ``PRESSURE`` by ``duration`` [ns], and its number of steps."""
    solver = build_solver(PhysicsConfig(compile=compiled), SPACING)
    porosity = crystals(batch, ny, nx, pores)
    state, outside = shocked_crystal(porosity, np.full(batch, PRESSURE), solver.model.mixture, SPACING, "piston")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    state, outside = (State(*(value.to(device) for value in values)) for values in (state, outside))
    _, _, pace = solver.advance(state, outside, duration)
    _, _, again = solver.advance(state, outside, duration, pace)
    return (lambda: solver.advance(state, outside, duration, pace)), again.steps


def copying(n_bytes: int = 1 << 29) -> Callable[[], object]:
    """A call that copies an array far larger than any cache; it moves twice ``n_bytes``."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    source = torch.ones(n_bytes // 4, device=device)
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def compiling() -> dict[str, float]:
    """Wall time [s] of a process that takes its first compiled step: with an empty cache of kernels, and again."""
    program = "from benchmarks.simulator import CPU_CASES, stepping; stepping(*CPU_CASES['meso'], compiled=True, duration=0.01)"
    seconds = []
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": cache}
        for _ in range(2):
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", program], env=environment, check=True)
            seconds.append(round(time.perf_counter() - start, 1))
    return {"first_process_s": seconds[0], "later_process_s": seconds[1]}


def main() -> None:
    """Time all cases and write ``benchmarks/results/simulator.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--out", type=Path, default=None)
    args = parser.parse_args()
    gpu = torch.cuda.is_available()
    durations = {"compiled": 0.08, "eager": 0.01}
    result: dict[str, Any] = {"compilation": compiling()}
    for name, (batch, ny, nx, pores) in (GPU_CASES if gpu else CPU_CASES).items():
        cases = {mode: stepping(batch, ny, nx, pores, mode == "compiled", duration) for mode, duration in durations.items()}
        seconds = best_of(args.repeats, {mode: call for mode, (call, _) in cases.items()} | {"copy": copying()})
        rate = {mode: batch * ny * nx * steps / seconds[mode] / 1e6 for mode, (_, steps) in cases.items()}
        bandwidth = 2 * (1 << 29) / seconds["copy"] / 1e9
        limit = bandwidth * 1e3 / BYTES_PER_CELL_STEP
        result[name] = {
            "batch": batch,
            "cells": [ny, nx],
            "compiled_M_cell_steps_per_s": round(rate["compiled"], 2),
            "eager_M_cell_steps_per_s": round(rate["eager"], 2),
            "compiled_per_eager": round(rate["compiled"] / rate["eager"], 2),
            "copy_GB_per_s": round(bandwidth, 1),
            "bandwidth_limit_M_cell_steps_per_s": round(limit, 1),
            "part_of_bandwidth_limit": round(rate["compiled"] / limit, 3),
        }
    write_result(args.out or RESULTS / f"simulator_{'gpu' if gpu else 'cpu'}.json", {"repeats": args.repeats, **result})


if __name__ == "__main__":
    main()
