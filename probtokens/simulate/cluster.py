"""Shards as jobs of a cluster, through submitit."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from probtokens.config import ClusterConfig
from probtokens.simulate.quality import FailedRun
from probtokens.simulate.shard import ShardTask, failed_runs, finished, kernels_of, run_shard
from probtokens.simulate.tally import INTERVAL, Tally, note

if TYPE_CHECKING:
    import submitit

log = logging.getLogger(__name__)

#: Runs that failed, or the error that stands for the whole shard.
_Outcome = tuple[FailedRun, ...] | Exception


def run_on_cluster(tasks: Sequence[ShardTask], tally: Tally, cluster: ClusterConfig, logs: Path) -> None:
    """Send every shard as one job of an array, and wait for them.

    Ctrl-C and errors cancel the jobs that are left. Shards that other jobs fail to make are tried all the same.

    Parameters
    ----------
    logs
        Folder for the jobs' logs.

    Raises
    ------
    ValueError
        If submitit or the cluster is not there.
    RuntimeError
        If a job ended without a result.
    """
    if not tasks:
        return
    executor = _executor(cluster, logs, tasks[0].name)
    jobs = executor.map_array(_attempt, tasks, [cluster.cpus] * len(tasks))
    pending = dict(zip(jobs, tasks, strict=True))
    errors: list[Exception] = []
    eager = 0
    try:
        while pending:
            for job in [job for job in pending if job.done()]:
                task = pending.pop(job)
                outcome = _outcome(job, task)
                if isinstance(outcome, Exception):
                    errors.append(outcome)
                else:
                    tally.finished(task, outcome)
                    eager += task.physics.compile and (kernels_of(task.shard.path) or "").startswith("eager")
            tally.at_work_elsewhere(list(pending.values()))
            if pending:
                time.sleep(INTERVAL)
    finally:
        for job in pending:
            job.cancel(check=False)
    if eager:
        log.warning("%s: jobs ran without compiled kernels, several times slower: %d; their logs say why: %s", tasks[0].name, eager, logs)
    if errors:
        raise errors[0]


def _executor(cluster: ClusterConfig, logs: Path, name: str) -> submitit.AutoExecutor:
    try:
        import submitit
    except ImportError:
        raise ValueError("--submitit: expected submitit to be installed, it is not; pip install 'probtokens[slurm]'") from None
    try:
        executor = submitit.AutoExecutor(logs, cluster=cluster.executor)
    except RuntimeError as error:
        raise ValueError(f"simulate.cluster.executor: expected {cluster.executor} on this machine, got: {error}") from None
    options: dict[str, Any] = {
        "name": f"probtokens-{name}",
        "timeout_min": cluster.timeout_min,
        "cpus_per_task": cluster.cpus,
        "gpus_per_node": cluster.gpus,
        "mem_gb": cluster.memory_gb,
        "slurm_partition": cluster.partition,
        "slurm_account": cluster.account,
        "slurm_array_parallelism": cluster.max_parallel,
    }
    executor.update_parameters(**{key: value for key, value in options.items() if value is not None})
    return executor


def _attempt(task: ShardTask, threads: int) -> _Outcome:
    """Make a shard in a job; errors travel as values, because submitit would turn them into the text of a traceback."""
    if finished(task.shard, task.digest):  # by a job that an earlier call left behind
        return failed_runs(task.shard.path)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return run_shard(task, note(task))
    except (ValueError, OSError) as error:
        return error
    finally:  # the "debug" executor runs jobs in the caller's process, whose training has other bits with other threads
        torch.set_num_threads(before)


def _outcome(job: submitit.Job[_Outcome], task: ShardTask) -> _Outcome:
    """What a job gave back, or why it gave nothing."""
    import submitit

    try:
        return job.result()
    except (submitit.core.utils.UncompletedJobError, submitit.core.utils.FailedJobError) as error:
        last = str(error).strip().splitlines()[-1]
        return RuntimeError(f"{task.label}: job {job.job_id} ended without a result ({last}); its log is {job.paths.stderr}")
