"""Runs campaigns: in this process, in several, or on a cluster; the files are the same."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from probtokens.config import CampaignConfig, ClusterConfig, PhysicsConfig
from probtokens.data.atomic import remove_leftovers
from probtokens.simulate.campaign import Shard, config_digest, plan, require_planned
from probtokens.simulate.cluster import run_on_cluster
from probtokens.simulate.parallel import run_in_processes
from probtokens.simulate.shard import ShardTask, finished, kernels_of, run_shard
from probtokens.simulate.tally import Progress, Tally, remove_note

log = logging.getLogger(__name__)


def run_campaign(
    name: str,
    campaign: CampaignConfig,
    physics: PhysicsConfig,
    out_dir: Path,
    seed: int,
    progress: Progress | None = None,
    *,
    jobs: int = 1,
    cluster: ClusterConfig | None = None,
    logs: Path | None = None,
) -> list[Path]:
    """Simulate a campaign and return its files, ``out_dir/{train,valid,test}/shard_0000.hdf5`` ….

    Finished shards of the same campaign are kept, so an interrupted call continues where it
    stopped. A shard depends on its own seed alone: recomputed on the same machine it has the same
    bits, whatever ``jobs``, ``cluster`` and the number of threads are. Runs that fail are left out
    of their file and listed in it. A warning tells of shards that other kernels or instructions computed.

    Parameters
    ----------
    name
        Data set name stored in the files.
    seed
        Seed of pressures and microstructures.
    progress
        Receives frames done, frames in all, and what is being done.
    jobs
        Processes at work at once.
    cluster
        Send each shard to a cluster instead.
    logs
        Folder for the logs of its jobs; ``out_dir/.jobs`` by default.

    Raises
    ------
    ValueError
        If a file is there that is not of this campaign or cannot be read, or all runs of a shard fail.
    WriteError
        If a file cannot be written.
    """
    out_dir = Path(out_dir).absolute()
    digest = config_digest(name, campaign, physics, seed)
    shards = plan(campaign, out_dir, seed)
    require_planned(out_dir, shards)
    sizes = tuple(shard.size for shard in shards)
    tasks = [ShardTask(name, campaign, physics, shard, sizes, digest) for shard in shards]
    done = {task.shard.path for task in tasks if finished(task.shard, digest)}
    missing = [task for task in tasks if task.shard.path not in done]
    _clear(missing)
    tally = Tally(tasks, [task for task in tasks if task.shard.path in done], progress)
    try:
        if cluster is not None:
            run_on_cluster(missing, tally, cluster, logs or out_dir / ".jobs")
        elif min(jobs, len(missing)) > 1:
            run_in_processes(missing, tally, min(jobs, len(missing)))
        else:
            _run_here(missing, tally)
    finally:
        _clear(missing)
    _tell_kernels(name, shards)
    return [shard.path for shard in shards]


def reusable_shards(name: str, campaign: CampaignConfig, physics: PhysicsConfig, out_dir: Path, seed: int) -> list[Path]:
    """Files below ``out_dir`` that :func:`run_campaign` with these arguments would keep."""
    digest = config_digest(name, campaign, physics, seed)
    return [shard.path for shard in plan(campaign, out_dir, seed) if _keeps(shard, digest)]


def _keeps(shard: Shard, digest: str) -> bool:
    try:
        return finished(shard, digest)
    except ValueError:  # a damaged file, or one of another campaign
        return False


def _run_here(tasks: Sequence[ShardTask], tally: Tally) -> None:
    for task in tasks:
        tally.finished(task, run_shard(task, partial(tally.at_work, label=task.label)))


def _tell_kernels(name: str, shards: Sequence[Shard]) -> None:
    """Warn of a campaign that more than one kind of kernels computed."""
    counts = Counter(kernels_of(shard.path) or "kernels that were not noted" for shard in shards if shard.path.exists())
    if len(counts) > 1:
        found = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
        log.warning("%s: shards were computed in ways that differ by rounding: %s; those that are removed are made again", name, found)


def _clear(tasks: Sequence[ShardTask]) -> None:
    """Remove what killed processes left beside the shards."""
    for task in tasks:
        remove_leftovers(task.shard.path)
        remove_note(task)
