"""The environment is made by the interpreter that is asked for, or not at all."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    outside = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    return subprocess.run(["make", *arguments], cwd=folder, capture_output=True, text=True, env=outside)


def executable(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="ascii")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("kind", ["absent", "broken", "too old"])
def test_an_interpreter_that_does_not_start_is_an_error(kind: str, folder: Path) -> None:
    script = {"broken": "exit 1", "too old": "echo AssertionError >&2; exit 1"}
    python = folder / "absent" if kind == "absent" else executable(folder / "python", script[kind])
    done = make(folder, "venv", f"PYTHON={python}")
    assert done.returncode != 0
    assert f"PYTHON={python}: expected a Python >= 3.11 with the venv module, found none that starts" in done.stderr
    assert not (folder / ".venv").exists()


def test_the_environment_is_made_with_the_one_that_is_named(folder: Path) -> None:
    done = make(folder, ".venv/bin/pip", f"PYTHON={sys.executable}")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{sys.executable} -m venv --clear .venv\n"
    assert "up to date" in make(folder, ".venv/bin/pip", f"PYTHON={sys.executable}").stdout


def test_an_environment_of_another_one_is_made_anew(folder: Path) -> None:
    executable(folder / ".venv" / "bin" / "python", "echo /usr:3.12.0")
    executable(folder / ".venv" / "bin" / "pip", "exit 0")
    (folder / ".venv" / ".ready-dev").touch()
    assert "Nothing to be done" in make(folder, "venv").stdout
    assert "Nothing to be done" in make(folder, "venv", f"PYTHON={folder / '.venv' / 'bin' / 'python'}").stdout
    planned = make(folder, "--dry-run", "venv", f"PYTHON={sys.executable}").stdout
    assert "-m venv --clear" in planned
    assert "pip install" in planned


def test_help_lists_targets() -> None:
    assert "demo" in make(ROOT, "help").stdout
