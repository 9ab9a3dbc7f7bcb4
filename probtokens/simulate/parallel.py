"""Shards in several processes of one machine."""

from __future__ import annotations

import os
import signal
import warnings
from collections import deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker

import torch
from joblib.externals.loky import ProcessPoolExecutor

from probtokens.simulate.quality import FailedRun
from probtokens.simulate.shard import ShardTask, run_shard
from probtokens.simulate.tally import INTERVAL, Tally, note, read_note

#: Runs that failed, and texts of warnings.
_Outcome = tuple[tuple[FailedRun, ...], list[str]]

#: Threads of one process beyond which a batch does not get much faster.
_THREADS_PER_JOB = 2

#: Seconds after which a process with nothing to do ends.
_IDLE = 60.0


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_jobs() -> int:
    """One process for every two cores; one alone where a GPU does the work."""
    return 1 if torch.cuda.is_available() else max(1, cores() // _THREADS_PER_JOB)


def run_in_processes(tasks: Sequence[ShardTask], tally: Tally, jobs: int) -> None:
    """Compute shards in ``jobs`` processes that share the cores.

    The first shard starts alone: once its kernels are compiled, the others find them on disk. An
    error or Ctrl-C stops all processes.

    Raises
    ------
    ChildProcessError
        If a process is killed, and whatever a shard raises.
    """
    waiting = deque(tasks)
    pending: dict[Future[_Outcome], ShardTask] = {}
    ready = not tasks[0].physics.compile
    _quiet_tracker()
    pool = ProcessPoolExecutor(jobs, timeout=_IDLE, initializer=_prepare, initargs=(max(1, cores() // jobs),))
    try:
        while waiting or pending:
            while waiting and len(pending) < (jobs if ready else 1):
                task = waiting.popleft()
                pending[pool.submit(_work, task, os.getpid())] = task
            done, _ = wait(pending, timeout=INTERVAL, return_when=FIRST_COMPLETED)
            for future in done:
                _conclude(pending.pop(future), future, tally)
            ready = ready or bool(done) or any(read_note(task) for task in pending.values())
            tally.at_work_elsewhere(list(pending.values()))
    except BrokenProcessPool as error:
        raise ChildProcessError(
            "a process was killed, perhaps because memory ran out; try fewer with --jobs; the same command goes on"
        ) from error
    finally:
        pool.shutdown(wait=True, kill_workers=True)


def _conclude(task: ShardTask, future: Future[_Outcome], tally: Tally) -> None:
    failed, warned = future.result()
    for text in warned:
        warnings.warn(text, RuntimeWarning, stacklevel=2)
    tally.finished(task, failed)


def _quiet_tracker() -> None:
    """Start Python's tracker of semaphores so that it removes those of stopped processes without a warning."""
    known = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = ",".join(filter(None, (known, "ignore:resource_tracker:UserWarning")))
    try:
        resource_tracker.ensure_running()
    finally:
        del os.environ["PYTHONWARNINGS"]
        if known is not None:
            os.environ["PYTHONWARNINGS"] = known


def _prepare(threads: int) -> None:
    """Make a new process one that shares the cores and leaves Ctrl-C to its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(min(torch.get_num_threads(), threads))


def _work(task: ShardTask, parent: int) -> _Outcome:
    write = note(task)

    def progress(frames: int, line: str) -> None:
        if os.getppid() != parent:
            os._exit(1)  # the parent was killed: nobody waits for this shard, and the next call makes it again
        write(frames, line)

    with warnings.catch_warnings(record=True, action="always", category=RuntimeWarning) as caught:
        failed = run_shard(task, progress)
    return failed, [str(warning.message) for warning in caught if issubclass(warning.category, RuntimeWarning)]
