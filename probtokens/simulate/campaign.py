"""Campaigns: what they consist of, shard by shard, and what their files depend on."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from probtokens.config import CampaignConfig, PhysicsConfig
from probtokens.data.the_well import is_shard
from probtokens.simulate.microstructure import image_digest, pore_fraction

#: Raise when a change of the model or its numerics makes old shards differ from new ones.
MODEL_VERSION = 3

#: Cost of one batch beyond its cells, in cells: the overhead of launching kernels.
_LAUNCH_CELLS = {"cpu": 4e3, "cuda": 4e6}


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of a campaign."""

    path: Path
    size: int
    seed: np.random.SeedSequence

    @property
    def split(self) -> str:
        """``train``, ``valid`` or ``test``."""
        return self.path.parent.name


def plan(campaign: CampaignConfig, out_dir: Path, seed: int) -> list[Shard]:
    """All shards of a campaign in order, each with its own seed."""
    splits = {"train": campaign.n_train, "valid": campaign.n_valid, "test": campaign.n_test}
    shards = []
    for (split, count), branch in zip(splits.items(), np.random.SeedSequence(seed).spawn(3), strict=True):
        number = math.ceil(count / campaign.shard_size)
        for index, child in enumerate(branch.spawn(number)):
            size = min(campaign.shard_size, count - index * campaign.shard_size)
            shards.append(Shard(out_dir / split / f"shard_{index:04d}.hdf5", size, child))
    return shards


def require_planned(out_dir: Path, shards: Sequence[Shard]) -> None:
    """Keep files that nobody planned from being read as simulations of a campaign.

    Raises
    ------
    ValueError
        If ``out_dir`` holds such a file.
    """
    planned = {shard.path for shard in shards}
    for path in sorted(out_dir.glob("*/*")):
        if is_shard(path) and path not in planned:
            raise ValueError(
                f"{path}: expected only the {len(planned)} files of this campaign, found another; "
                "move it away (data.micro and data.meso name folders of other simulations)"
            )


def draw(shard: Shard, campaign: CampaignConfig) -> tuple[np.ndarray, np.ndarray]:
    """Shock pressures [GPa] (simulation,) and gas volume fractions (simulation, y, x) of a shard.

    Raises
    ------
    ValueError
        If a microstructure cannot be drawn; the message names the shard's file.
    """
    generator = np.random.default_rng(shard.seed)
    pressure = generator.uniform(campaign.shock_pressure.low, campaign.shock_pressure.high, shard.size)
    try:
        pores = [
            pore_fraction(campaign.ny, campaign.nx, campaign.spacing, campaign.microstructure, generator, split=shard.split)
            for _ in range(shard.size)
        ]
    except ValueError as error:
        raise ValueError(f"{shard.path}: {error}") from error
    return pressure, np.stack(pores)


def batch_size(sizes: Sequence[int], cells: int, device: str | None = None) -> int:
    """Simulations computed together, one number for the whole campaign.

    All batches share it (the last of a shard is filled up), so that kernels compile once. It
    minimises filled-up work plus launch overhead of ``device``, ``"cpu"`` or ``"cuda"``; by default the one that is used.
    """
    overhead = _LAUNCH_CELLS[device or ("cuda" if torch.cuda.is_available() else "cpu")]

    def cost(batch: int) -> float:
        return sum(math.ceil(size / batch) for size in sizes) * (batch * cells + overhead)

    return min(range(1, max(sizes, default=1) + 1), key=cost)


def config_digest(name: str, campaign: CampaignConfig, physics: PhysicsConfig, seed: int) -> str:
    """Fingerprint of everything that determines what is in a campaign's full files.

    How many simulations there are is none of it but for the batch sizes that follow, so that a campaign may grow and keep its files.
    """
    settings = campaign_settings(campaign)
    sizes = [shard.size for shard in plan(campaign, Path(), seed)]
    content = {
        "name": name,
        "campaign": {key: value for key, value in settings.items() if key not in {"n_train", "n_valid", "n_test"}},
        "batch": {device: batch_size(sizes, campaign.ny * campaign.nx, device) for device in _LAUNCH_CELLS},
        "physics": physics.model_dump(mode="json"),
        "seed": seed,
        "model": MODEL_VERSION,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def campaign_settings(campaign: CampaignConfig) -> dict[str, Any]:
    """JSON-like settings of a campaign, with an image's content (hash) in place of its path."""
    settings = campaign.model_dump(mode="json")
    image = campaign.microstructure.image
    if image is not None:
        settings["microstructure"]["image"]["path"] = image_digest(image.path)
    return settings
