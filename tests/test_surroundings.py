"""What people read and copy, tested in folders, on terminals and in locales that are not the developer's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TREE = ("probtokens", "tests", "examples", "docs", "pyproject.toml")
TESTS = ("tests/pipeline", "tests/report", "tests/test_cli.py", "tests/test_config.py", "tests/test_screen.py", "tests/verify/test_run.py")
#: They take long, and their text is that of others.
LEFT_OUT = (
    "tests/pipeline/test_other_physics.py",
    "tests/pipeline/test_stopped.py",
    "tests/pipeline/test_end_to_end.py::test_killed_while_training_then_run_again_gives_the_same_scores",
)

#: No home, no UTF-8, a narrow terminal that can move no cursor, files that nobody else may read, a clock 45 minutes off.
NARROW = {"COLUMNS": "40", "TERM": "dumb", "TZ": "Pacific/Chatham", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
#: A home that is not there, a wide terminal in colour.
WIDE = {"COLUMNS": "200", "TERM": "xterm-256color", "TZ": "America/St_Johns", "LANG": "C.UTF-8", "HOME": "/nonexistent"}
LONG = "a folder with blanks whose name is so long/that no path in it fits into a line of a terminal/however the lines are broken"


@pytest.fixture
def short() -> Iterator[Path]:
    """A folder with a path of few letters, which those of pytest are not."""
    with tempfile.TemporaryDirectory(prefix="") as folder:
        yield Path(folder)


def passes(folder: Path, environment: dict[str, str], umask: int) -> None:
    """Run the tests of a copy of the sources in ``folder``, in an environment without anything else."""
    for name in TREE:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            shutil.copy(ROOT / name, folder / name)
    options = ["-n0", "-q", "-p", "no:cacheprovider", f"--basetemp={folder / 'tmp'}", *(f"--deselect={name}" for name in LEFT_OUT)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *TESTS],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(folder), **environment},
        umask=umask,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-20_000:]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_short_path_without_home_on_a_narrow_terminal(short: Path) -> None:
    passes(short, NARROW, umask=0o077)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_long_path_with_blanks_on_a_wide_terminal(tmp_path: Path) -> None:
    passes(tmp_path / LONG, WIDE, umask=0o022)
