"""Simulations: made here, or given and checked."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from probtokens.config import Config
from probtokens.pipeline.folder import SCALES, SPLITS, RunFolder, Scale, Split
from probtokens.pipeline.stage import Job

if TYPE_CHECKING:
    from probtokens.data import TrajectorySet

log = logging.getLogger(__name__)


def simulate(job: Job, *, scale: Scale) -> None:
    """Run the campaign of one scale; each scale draws from its own seed."""
    from probtokens.simulate import default_jobs, failed_runs, run_campaign

    settings = job.config.simulate
    paths = run_campaign(
        scale,
        getattr(settings, scale),
        settings.physics,
        job.folder.data(scale),
        seed=campaign_seed(job.config, scale),
        progress=job.progress,
        jobs=settings.jobs or default_jobs(),
        cluster=settings.cluster if settings.cluster.submit else None,
        logs=job.folder.jobs / scale,
    )
    if n_failed := sum(len(failed_runs(path)) for path in paths):
        log.warning(
            "simulate %s: runs that failed and are left out: %d; see probtokens inspect %s", scale, n_failed, job.folder.data(scale)
        )


def campaign_seed(config: Config, scale: Scale) -> int:
    """Seed of one scale's campaign."""
    return int(np.random.SeedSequence((config.seed, SCALES.index(scale))).generate_state(1)[0])


def check_data(job: Job, *, scale: Scale) -> None:
    """Read every given file once, so that a bad one is found before hours of training."""
    for done, split in enumerate(SPLITS, start=1):
        trajectories = open_split(job.config, job.folder, scale, split)
        for number in range(len(trajectories)):
            trajectories.frames(number)
        job.progress(done, len(SPLITS), split)


def open_split(config: Config, folder: RunFolder, scale: Scale, split: Split) -> TrajectorySet:
    """Trajectories of one split, from the given folder or the run's own."""
    from probtokens.data import TrajectorySet, split_folder

    return TrajectorySet.open(split_folder(data_root(config, folder, scale), split), config.data.fields, config.data.context)


def data_root(config: Config, folder: RunFolder, scale: Scale) -> Path:
    """Folder with ``train/``, ``valid/`` and ``test/`` of one scale."""
    given: Path | None = getattr(config.data, scale)
    return given if given is not None else folder.data(scale)
