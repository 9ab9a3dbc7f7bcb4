"""Processes: the same files as one process makes, and nothing left when they are stopped."""

import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from probtokens.data.atomic import WriteError
from probtokens.simulate import parallel
from probtokens.simulate.execute import run_campaign
from probtokens.simulate.tally import note
from tests.simulate.campaigns import CAMPAIGN, PHYSICS, files, hidden


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("campaign")
    run_campaign("micro", CAMPAIGN, PHYSICS, folder, seed=7)
    return folder


def test_two_processes_make_the_same_files(finished, tmp_path):
    reports: list[tuple[int, int, str]] = []
    paths = run_campaign("micro", CAMPAIGN, PHYSICS, tmp_path, seed=7, progress=lambda *report: reports.append(report), jobs=2)
    assert files(tmp_path) == files(finished)
    assert sorted(paths) == sorted(tmp_path.rglob("*.hdf5"))
    assert hidden(tmp_path) == []
    assert reports[0][:2] == (0, 10)
    assert reports[-1][:2] == (10, 10)
    assert any("of 4 shards done" in text for *_, text in reports)


def test_an_error_in_a_process_reaches_the_caller_as_it_is(tmp_path):
    (tmp_path / "test").write_text("a file where a folder should be")
    with pytest.raises(WriteError, match=rf"{re.escape(str(tmp_path))}/test/shard_0000.hdf5: cannot write: "):
        run_campaign("micro", CAMPAIGN, PHYSICS, tmp_path, seed=7, jobs=2)
    assert hidden(tmp_path) == []


def test_a_killed_process_is_a_clear_error(tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "_work", lambda task, parent: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(ChildProcessError, match="a process was killed.*fewer with --jobs"):
        run_campaign("micro", CAMPAIGN, PHYSICS, tmp_path, seed=7, jobs=2)


def test_the_first_shard_compiles_alone(tmp_path, monkeypatch):
    begun, compiled = [], []

    def work(task, parent):
        begun.append((task.shard.path, list(compiled)))
        time.sleep(0.2)
        note(task)(1, "")
        compiled.append(task)
        return (), []

    class Threads(ThreadPoolExecutor):
        def __init__(self, jobs, **_):
            super().__init__(jobs)

        def shutdown(self, wait=True, **_):
            super().shutdown(wait)

    monkeypatch.setattr(parallel, "ProcessPoolExecutor", Threads)
    monkeypatch.setattr(parallel, "_work", work)
    monkeypatch.setattr(parallel, "INTERVAL", 0.02)
    physics = PHYSICS.model_copy(update={"compile": True})
    run_campaign("micro", CAMPAIGN, physics, tmp_path, seed=7, jobs=4)
    assert len(begun) == 4
    assert begun[0][1] == []
    assert all(done for _, done in begun[1:])


def test_default_leaves_two_cores_to_each_process(monkeypatch):
    for cores, jobs in ((1, 1), (2, 1), (3, 1), (8, 4)):
        monkeypatch.setattr(parallel, "cores", lambda cores=cores: cores)
        assert parallel.default_jobs() == (1 if torch.cuda.is_available() else jobs)


LONGER = CAMPAIGN.model_copy(update={"n_times": 16})
PROGRAM = """
import signal, sys
from pathlib import Path
from probtokens.simulate.execute import run_campaign
from tests.simulate.test_parallel import LONGER, PHYSICS
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    run_campaign("micro", LONGER, PHYSICS, Path(sys.argv[1]), seed=7, jobs=2)
except KeyboardInterrupt:
    sys.exit(130)
"""


def stop_at_work(folder: Path, how: signal.Signals) -> tuple[int, str]:
    """Start a campaign in two processes and signal it once a shard is at work; exit status and what was printed."""
    arguments = [sys.executable, "-c", PROGRAM, str(folder)]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        while process.poll() is None and not any(folder.glob("*/.*.frames")):
            time.sleep(0.01)
        if how is signal.SIGINT:
            os.killpg(process.pid, how)  # as a terminal does
        else:
            process.send_signal(how)
        _, stderr = process.communicate(timeout=120)
        wait_until_gone(process.pid)
    return process.returncode, stderr


def wait_until_gone(session: int) -> None:
    """Processes whose parent was killed end by themselves."""
    for _ in range(600):
        try:
            os.killpg(session, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("processes go on after their parent")


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_stopped_and_resumed_gives_the_same_bits(how, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run_campaign("micro", LONGER, PHYSICS, whole, seed=7)
    code, stderr = stop_at_work(broken, how)
    assert code == (130 if how is signal.SIGINT else -signal.SIGKILL)
    if how is signal.SIGINT:
        assert stderr == ""
        assert hidden(broken) == []
    assert len(files(broken)) < 4
    assert set(files(broken).items()) <= set(files(whole).items())
    run_campaign("micro", LONGER, PHYSICS, broken, seed=7, jobs=2)
    assert files(broken) == files(whole)
    assert hidden(broken) == []


@pytest.mark.slow
@pytest.mark.parametrize("compiled", [False, True])
def test_bits_do_not_depend_on_threads(compiled, tmp_path):
    program = """
import sys
from pathlib import Path
import torch
torch.set_num_threads(int(sys.argv[2]))
from probtokens.simulate.execute import run_campaign
from tests.simulate.campaigns import CAMPAIGN, PHYSICS
# Odd and above the 32768 elements from which torch splits work between threads.
campaign = CAMPAIGN.model_copy(update=dict(ny=131, nx=257, n_train=1, n_valid=0, n_test=0, n_times=2, time_step=0.005))
run_campaign("micro", campaign, PHYSICS.model_copy(update=dict(compile=sys.argv[3] == "True")), Path(sys.argv[1]), seed=7)
"""
    for threads in ("1", "2"):
        arguments = [sys.executable, "-c", program, str(tmp_path / threads), threads, str(compiled)]
        subprocess.run(arguments, check=True, env=os.environ | {"GOMP_SPINCOUNT": "20000"})
    assert files(tmp_path / "1") == files(tmp_path / "2")
