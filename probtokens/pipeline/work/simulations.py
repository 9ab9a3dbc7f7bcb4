"""Simulations: made here, or given and checked."""

from __future__ import annotations

import json
import logging
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from probtokens.config import Config
from probtokens.data.atomic import replacing
from probtokens.data.the_well.faults import listed
from probtokens.json_text import read_json
from probtokens.pipeline.folder import FORECAST_SPLITS, SCALES, RunFolder, Scale, Split
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
    job.folder.data(campaign).mkdir(parents=True, exist_ok=True)  # of a campaign without simulations too
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
    """Read every given file once, so that a bad one is found before hours of training, and say which simulations are given twice."""
    from probtokens.data.duplicates import frame_digest

    splits = used_splits(job.config, scale)
    opened = {split: open_split(job.config, job.folder, scale, split) for split in splits}
    digests: dict[str, dict[str, str]] = {split: {} for split in splits}
    places = [(split, number) for split, trajectories in opened.items() for number in range(len(trajectories))]
    for done, (split, number) in enumerate(places, start=1):
        digests[split][opened[split].names[number]] = frame_digest(opened[split], number)
        job.progress(done, len(places), f"{split} simulations")
    with replacing(job.folder.checked(scale)) as temporary:
        temporary.write_text(json.dumps(digests, indent=1) + "\n", encoding="utf-8")
    if again := [line for line in duplicates(job.config, job.folder) if f"{scale}/" in line]:
        log.warning("data.%s: simulations that are in two splits, so that scores are not of unseen ones: %s", scale, listed(again))


def duplicates(config: Config, folder: RunFolder) -> list[str]:
    """Given simulations of all scales that are in several splits, e.g. ``"micro/train a/0 = meso/test a/0"``."""
    from probtokens.data.duplicates import equal_digests

    files = {scale: folder.checked(scale) for scale in config.scales if getattr(config.data, scale) is not None}
    checked = {scale: read_json(path, "digests of simulations") for scale, path in files.items() if path.is_file()}
    digests = {f"{scale}/{split}": names for scale, splits in checked.items() for split, names in splits.items()}
    groups = [group for group in equal_digests(digests) if len({label.partition("/")[2] for label, _ in group}) > 1]
    return [" = ".join(f"{label} {name}" for label, name in group) for group in groups]


def used_splits(config: Config, scale: Scale) -> tuple[Split, ...]:
    """Splits of given simulations that a run takes; of micro ones, where tokens are given, those to forecast or those to replay."""
    forecast = forecast_splits(config) if scale == config.rollout.scale else FORECAST_SPLITS
    if scale == "meso" or config.data.micro_tokens is None:
        return ("train", *forecast)
    return forecast if config.rollout.scale == "micro" else ("train",)


def forecast_splits(config: Config) -> tuple[Split, ...]:
    """Splits that are forecast: test simulations, and validation simulations where there are some or recalibration needs them."""
    scale = config.rollout.scale
    given: Path | None = getattr(config.data, scale)
    there = getattr(config.simulate, scale).n_valid > 0
    if given is not None:
        there = (given / "valid").is_dir() or (given / "data" / "valid").is_dir()
    return FORECAST_SPLITS if there or config.evaluate.recalibrate else ("test",)


def open_split(config: Config, folder: RunFolder, scale: Scale, split: Split) -> TrajectorySet:
    """Trajectories of one split, from the given folder or the run's own."""
    from probtokens.data import TrajectorySet, split_folder
    from probtokens.simulate.campaign import plan, require_planned

    if getattr(config.data, scale) is None:
        root = folder.data(scale)
        require_planned(root, plan(config.simulate.campaigns[scale], root, campaign_seed(config, scale)))
    given, place = config.data, split_folder(data_root(config, folder, scale), split)
    return TrajectorySet.open(place, given.fields, given.context, odd=given.odd, cache_bytes=round(given.frame_cache * 2**30))


def data_root(config: Config, folder: RunFolder, scale: Scale) -> Path:
    """Folder with ``train/``, ``valid/`` and ``test/`` of one scale."""
    given: Path | None = getattr(config.data, scale)
    return given if given is not None else folder.data(scale)
