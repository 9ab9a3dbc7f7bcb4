"""Simulations: made here, or given and checked."""

from __future__ import annotations

import logging
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from probtokens.config import Config
from probtokens.pipeline.folder import FORECAST_SPLITS, SCALES, SPLITS, RunFolder, Scale, Split
from probtokens.pipeline.stage import Job

if TYPE_CHECKING:
    from probtokens.data import TrajectorySet

log = logging.getLogger(__name__)


def simulate(job: Job, *, campaign: str) -> None:
    """Run a campaign of either scale or a shifted test set; each draws from its own seed."""
    from probtokens.simulate import default_jobs, failed_runs, run_campaign

    settings = job.config.simulate
    paths = run_campaign(
        campaign,
        settings.campaigns[campaign],
        settings.physics,
        job.folder.data(campaign),
        seed=campaign_seed(job.config, campaign),
        progress=job.progress,
        jobs=settings.jobs or default_jobs(),
        cluster=settings.cluster if settings.cluster.submit else None,
        logs=job.folder.jobs / campaign,
    )
    if n_failed := sum(len(failed_runs(path)) for path in paths):
        place = RunFolder(job.folder.root).data(campaign)
        log.warning("simulate %s: runs that failed and are left out: %d; see probtokens inspect %s", campaign, n_failed, place)


def reusable_simulations(config: Config, folder: RunFolder, campaign: str) -> list[Path]:
    """Simulations that are there and that the recipe would make; a campaign that has grown keeps its full files."""
    from probtokens.simulate import reusable_shards

    settings = config.simulate
    return reusable_shards(
        campaign, settings.campaigns[campaign], settings.physics, folder.data(campaign), seed=campaign_seed(config, campaign)
    )


def campaign_seed(config: Config, campaign: str) -> int:
    """Seed of a campaign; that of a shifted test set follows from its name, whatever others there are."""
    place = SCALES.index(campaign) if campaign in SCALES else len(SCALES) + zlib.crc32(campaign.encode())
    return int(np.random.SeedSequence((config.seed, place)).generate_state(1)[0])


def check_data(job: Job, *, scale: Scale) -> None:
    """Read every given file once, so that a bad one is found before hours of training.

    Of micro simulations that given tokens only forecast, none are needed for training.
    """
    learned = scale == "meso" or job.config.data.micro_tokens is None
    splits = SPLITS if learned else FORECAST_SPLITS
    for done, split in enumerate(splits, start=1):
        trajectories = open_split(job.config, job.folder, scale, split)
        for number in range(len(trajectories)):
            trajectories.frames(number)
        job.progress(done, len(splits), split)


def open_split(config: Config, folder: RunFolder, scale: Scale, split: Split) -> TrajectorySet:
    """Trajectories of one split, from the given folder or the run's own."""
    from probtokens.data import TrajectorySet, split_folder
    from probtokens.simulate.campaign import plan, require_planned

    if getattr(config.data, scale) is None:
        root = folder.data(scale)
        require_planned(root, plan(config.simulate.campaigns[scale], root, campaign_seed(config, scale)))
    given = config.data
    return TrajectorySet.open(split_folder(data_root(config, folder, scale), split), given.fields, given.context, odd=given.odd)


def data_root(config: Config, folder: RunFolder, scale: Scale) -> Path:
    """Folder with ``train/``, ``valid/`` and ``test/`` of one scale."""
    given: Path | None = getattr(config.data, scale)
    return given if given is not None else folder.data(scale)
