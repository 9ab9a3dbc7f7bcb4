"""Campaigns: seeded sets of simulations written as resumable shards."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from probtokens.config import CampaignConfig, PhysicsConfig
from probtokens.data.the_well import write_shard
from probtokens.fields import Grid
from probtokens.simulate.microstructure import image_digest, pore_fraction
from probtokens.simulate.run import FIELD_UNITS, BatchResult, build_solver, run_batch
from probtokens.simulate.solver import Solver

#: Raise when a change of the model or its numerics makes old shards differ from new ones.
MODEL_VERSION = 2

SCALAR_UNITS = {
    "shock_pressure": "GPa",
    "max_temperature": "K",
    "ignited": "1",
    "conservation_drift": "1",
}

#: Cost of one batch beyond its cells, in cells: the overhead of launching kernels.
_LAUNCH_CELLS = {"cpu": 4e3, "cuda": 4e6}


@dataclass(frozen=True, slots=True)
class Shard:
    """One file of a campaign."""

    path: Path
    size: int
    seed: np.random.SeedSequence


def run_campaign(
    name: str,
    campaign: CampaignConfig,
    physics: PhysicsConfig,
    out_dir: Path,
    seed: int,
    progress: Callable[[str], None] | None = None,
) -> list[Path]:
    """Simulate a campaign and return its files, ``out_dir/{train,valid,test}/shard_0000.hdf5`` ….

    Finished shards of the same campaign are kept, so an interrupted call continues where it
    stopped. A shard depends on its own seed alone: recomputed on the same machine it has the same bits.

    Parameters
    ----------
    name
        Data set name stored in the files.
    seed
        Seed of pressures and microstructures.
    progress
        Receives one line per frame and per shard.

    Raises
    ------
    ValueError
        If a file is there that belongs to another campaign or cannot be read.
    """
    digest = config_digest(name, campaign, physics, seed)
    shards = plan(campaign, Path(out_dir), seed)
    missing = [shard for shard in shards if not _finished(shard, digest)]
    batch = batch_size([shard.size for shard in shards], campaign.ny * campaign.nx)
    solver = build_solver(physics, campaign.spacing) if missing else None
    for shard in missing:
        assert solver is not None
        result = _simulate(shard, campaign, physics, solver, batch, _prefixed(progress, name, shard))
        _write(shard, result, name, campaign, physics, digest)
    return [shard.path for shard in shards]


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


def draw(shard: Shard, campaign: CampaignConfig) -> tuple[np.ndarray, np.ndarray]:
    """Shock pressures [GPa] (simulation,) and gas volume fractions (simulation, y, x) of a shard."""
    generator = np.random.default_rng(shard.seed)
    pressure = generator.uniform(campaign.shock_pressure.low, campaign.shock_pressure.high, shard.size)
    pores = [pore_fraction(campaign.ny, campaign.nx, campaign.spacing, campaign.microstructure, generator) for _ in range(shard.size)]
    return pressure, np.stack(pores)


def batch_size(sizes: list[int], cells: int) -> int:
    """Simulations computed together, one number for the whole campaign.

    All batches share it (the last of a shard is filled up), so that kernels compile once. It
    minimises filled-up work plus launch overhead.
    """
    overhead = _LAUNCH_CELLS["cuda" if torch.cuda.is_available() else "cpu"]

    def cost(batch: int) -> float:
        return sum(math.ceil(size / batch) for size in sizes) * (batch * cells + overhead)

    return min(range(1, max(sizes) + 1), key=cost)


def config_digest(name: str, campaign: CampaignConfig, physics: PhysicsConfig, seed: int) -> str:
    """Fingerprint of everything that determines a campaign's content."""
    content = {
        "name": name,
        "campaign": campaign_settings(campaign),
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


def _finished(shard: Shard, digest: str) -> bool:
    """Whether the shard is there, readable and of this campaign."""
    if not shard.path.exists():
        return False
    try:
        with h5py.File(shard.path, "r") as file:
            found = file.attrs.get("config_digest")
            size = int(file.attrs.get("n_trajectories", -1))
    except OSError as error:
        raise ValueError(f"{shard.path}: expected a readable HDF5 file, got {error}") from error
    if found != digest or size != shard.size:
        raise ValueError(
            f"{shard.path}: expected a shard of {shard.size} simulations of campaign {digest[:12]}, got {size} of "
            f"{str(found)[:12]}; choose another folder or remove the old files"
        )
    return True


def _simulate(
    shard: Shard,
    campaign: CampaignConfig,
    physics: PhysicsConfig,
    solver: Solver,
    batch: int,
    progress: Callable[[str], None] | None,
) -> BatchResult:
    """Run a shard in batches of equal size and drop what fills up the last one."""
    pressure, porosity = draw(shard, campaign)
    parts = []
    for start in range(0, shard.size, batch):
        chosen = np.minimum(np.arange(start, start + batch), shard.size - 1)
        parts.append(run_batch(solver, porosity[chosen], pressure[chosen], _grid(campaign), physics, progress))

    def joined(kind: str, name: str) -> np.ndarray:
        return np.concatenate([getattr(part, kind)[name] for part in parts])[: shard.size]

    return BatchResult(
        frames={name: joined("frames", name) for name in FIELD_UNITS},
        scalars={name: joined("scalars", name) for name in SCALAR_UNITS},
    )


def _write(shard: Shard, result: BatchResult, name: str, campaign: CampaignConfig, physics: PhysicsConfig, digest: str) -> None:
    write_shard(
        shard.path,
        result.frames,
        grid=_grid(campaign),
        scalars=result.scalars,
        units=FIELD_UNITS | SCALAR_UNITS,
        dataset_name=name,
        boundary=_stored_boundary(physics),
        attributes={"config_digest": digest, "physics": physics.model_dump_json()},
    )


def _stored_boundary(physics: PhysicsConfig) -> dict[str, str]:
    """Edges in The Well's terms, which has no given states: what lets material through is open."""
    lateral = physics.lateral.upper()
    left = "WALL" if physics.frame == "piston" else "OPEN"
    return {"left": left, "right": "WALL" if physics.right == "wall" else "OPEN", "bottom": lateral, "top": lateral}


def _grid(campaign: CampaignConfig) -> Grid:
    return Grid(campaign.ny, campaign.nx, campaign.spacing, campaign.time_step, campaign.n_times)


def _prefixed(progress: Callable[[str], None] | None, name: str, shard: Shard) -> Callable[[str], None] | None:
    if progress is None:
        return None
    return lambda line: progress(f"{name} {shard.path.parent.name}/{shard.path.stem}: {line}")
