"""How waiting threads of OpenMP behave, against what its library says that it has read."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.pipeline.recipes import TINY

NAMES = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
VERIFY = ("-m", "probtokens.cli", "verify", "simulator", "--case", "stress")


def in_force(*arguments: str, **given: str) -> list[dict[str, str]]:
    """Settings that each copy of the library displays as it is loaded, in the process and those that it starts."""
    environment = {name: value for name, value in os.environ.items() if name not in NAMES}
    environment |= {"OMP_DISPLAY_ENV": "VERBOSE", **given}
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    blocks = done.stderr.split("OPENMP DISPLAY ENVIRONMENT BEGIN")[1:]
    settings = [dict(line.strip().split(" = ", 1) for line in block.splitlines() if " = " in line) for block in blocks]
    found = [{name: block[name].strip("'") for name in NAMES} for block in settings if "GOMP_SPINCOUNT" in block]
    if not found and not blocks:
        pytest.skip("torch uses another OpenMP than GNU's")
    return found


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "20000"),
        ({"GOMP_SPINCOUNT": "77"}, "77"),
        pytest.param({"GOMP_SPINCOUNT": "77", "OMP_WAIT_POLICY": "active"}, "77", marks=pytest.mark.slow),
        pytest.param({"OMP_WAIT_POLICY": "passive"}, "0", marks=pytest.mark.slow),
        pytest.param({"OMP_WAIT_POLICY": "active"}, "30000000000", marks=pytest.mark.slow),
    ],
    ids=["nothing", "a count", "both", "passive", "active"],
)
def test_the_command_sets_what_the_user_did_not(given, expected):
    assert {block["GOMP_SPINCOUNT"] for block in in_force(*VERIFY, **given)} == {expected}


def test_without_the_package_threads_wait_otherwise():
    assert "20000" not in {block["GOMP_SPINCOUNT"] for block in in_force("-c", "import torch")}


def test_the_package_before_torch_is_enough():
    assert {block["GOMP_SPINCOUNT"] for block in in_force("-c", "import probtokens, torch")} == {"20000"}


def test_processes_that_simulate_wait_as_their_parent_does(tmp_path):
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(TINY.replace("n_times: 5", "n_times: 2"), encoding="utf-8")
    found = in_force("-m", "probtokens.cli", "simulate", str(recipe), "--out", str(tmp_path / "run"), "--jobs", "2")
    assert len(found) >= 3
    assert {block["GOMP_SPINCOUNT"] for block in found} == {"20000"}


def test_the_import_changes_nothing_else():
    program = """
import os, sys
import logging, random, signal, threading, warnings
def state():
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    return os.getcwd(), random.getstate(), list(warnings.filters), list(logging.root.handlers), threading.active_count(), handlers
before, known, modules = state(), dict(os.environ), set(sys.modules)
import probtokens
assert state() == before
assert {name: value for name, value in os.environ.items() if known.get(name) != value} == {"GOMP_SPINCOUNT": "20000"}
assert set(sys.modules) - modules == {"probtokens"}, set(sys.modules) - modules
"""
    environment = {name: value for name, value in os.environ.items() if name not in NAMES}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
