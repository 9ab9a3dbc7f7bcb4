"""Signals of schedulers, containers and ``kill``: an exit code of their own, no process left, and the same command goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from probtokens.cli import _errors_reported
from probtokens.pipeline.folder import RunFolder
from tests.helpers import make_campaign
from tests.pipeline.recipes import TINY

#: How many processes work, and whether all of them get the signal, as from a scheduler, or the first alone.
CASES = [(1, False), *(pytest.param(*case, marks=pytest.mark.slow) for case in ((1, True), (2, False), (2, True)))]
INTERRUPTED = "probtokens: interrupted; the same command goes on from here"


def _heeds_all() -> None:
    """A command that nohup started would not hear SIGHUP, one of a shell's background SIGINT, nor would what they start."""
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)


def terminated(
    command: list[str], moment: Callable[[], bool], *, all_processes: bool, how: signal.Signals = signal.SIGTERM
) -> tuple[int, list[str]]:
    """Exit status and lines of a command that gets a signal, alone or with the processes that it started, at the given moment."""
    arguments = [sys.executable, "-m", "probtokens.cli", *command]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, start_new_session=True, preexec_fn=_heeds_all) as process:
        try:
            while process.poll() is None and not moment():
                time.sleep(0.005)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        os.killpg(process.pid, how) if all_processes else process.send_signal(how)
        _, stderr = process.communicate(timeout=120)
    for _ in range(100):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return process.returncode, stderr.splitlines()
        time.sleep(0.1)
    raise AssertionError("processes go on after the command")


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY, encoding="utf-8")
    return path


@pytest.mark.parametrize(("devices", "all_processes"), CASES)
def test_a_training(devices: int, all_processes: bool, recipe: Path, tmp_path: Path) -> None:
    data, folder = make_campaign(tmp_path / "data"), RunFolder(tmp_path / "run")
    stages = "{name: one_step, objective: rollout_error, steps: 100000, horizon: 1, batch_size: 2}"
    if devices == 2:
        stages = "{name: reconstruction, objective: reconstruction, steps: 100000, batch_size: 4}"
    model, key = ("parc", "parc.stages") if devices == 1 else ("micro", "micro.stages")
    options = [str(recipe), "--out", str(folder.root), f"--set=data.micro={data}", f"--set=data.meso={data}"]
    options += [f"--set={key}=[{stages}]", f"--set=micro.devices={devices}"]
    subprocess.run([sys.executable, "-m", "probtokens.cli", "simulate", *options], check=True, capture_output=True)
    command = ["train", model, *options]
    code, lines = terminated(command, lambda: any(folder.training(model).glob("*.ckpt")), all_processes=all_processes)
    assert (code, lines[-1]) == (143, INTERRUPTED)
    assert not [line for line in lines[:-1] if "rror" in line or "Traceback" in line], lines
    assert not folder.model(model).exists()
    code, lines = terminated(
        command, lambda: folder.log.read_text(encoding="utf-8").count("goes on where it was") == 1, all_processes=False
    )
    assert (code, lines[-1]) == (143, INTERRUPTED)


@pytest.mark.parametrize(("jobs", "all_processes"), CASES)
def test_a_campaign(jobs: int, all_processes: bool, recipe: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    data = folder.data("micro")
    command = ["simulate", str(recipe), "--out", str(folder.root), "--jobs", str(jobs), "--set=simulate.micro.n_times=40"]
    code, lines = terminated(command, lambda: any(data.rglob("*.hdf5")), all_processes=all_processes)
    assert (code, lines[-1]) == (143, INTERRUPTED)
    assert not [line for line in lines[:-1] if "rror" in line or "Traceback" in line], lines
    assert not [path for path in data.rglob(".*") if path.is_file()]


SIGNALS = [signal.SIGUSR1]
MORE = [pytest.param(how, marks=pytest.mark.slow) for how in (signal.SIGHUP, signal.SIGUSR2, signal.SIGXCPU, signal.SIGINT)]


@pytest.mark.parametrize("how", [*SIGNALS, *MORE])
def test_other_signals(how: signal.Signals, recipe: Path, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    data = folder.data("micro")
    command = ["simulate", str(recipe), "--out", str(folder.root), "--jobs", "1", "--set=simulate.micro.n_times=40"]
    code, lines = terminated(command, lambda: any(data.rglob("*.hdf5")), all_processes=False, how=how)
    assert (code, lines[-1]) == (128 + how, INTERRUPTED)
    assert not [path for path in data.rglob(".*") if path.is_file()]


def test_a_signal_that_someone_else_answers_is_left_to_them() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        with _errors_reported(debug=False):
            signal.raise_signal(signal.SIGHUP)
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
