"""One shard of a campaign: its simulations, those of them that fail, and its file."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from probtokens.config import CampaignConfig, PhysicsConfig
from probtokens.data.the_well import ShardInfo, write_shard
from probtokens.data.the_well.hdf5 import opened
from probtokens.data.the_well.info import FieldSource
from probtokens.data.the_well.layout import FILE_DIMS, periodic_axes
from probtokens.fields import Grid
from probtokens.simulate.campaign import Shard, batch_size, draw
from probtokens.simulate.quality import FAILED_RUNS, FailedRun, dump_failed, fault, load_failed
from probtokens.simulate.run import FIELD_UNITS, SCALAR_UNITS, BatchResult, build_solver, run_batch
from probtokens.simulate.solver import UnstableError

log = logging.getLogger(__name__)

#: Receives frames computed, summed over the simulations of a shard, and a line about the last of them.
ShardProgress = Callable[[int, str], None]

#: Attribute of a shard: the kind of kernels that computed it, and the instructions or the GPU.
KERNELS = "kernels"

#: One solver for all shards of a process, so that its kernels compile once.
_solver = functools.lru_cache(maxsize=1)(build_solver)


@dataclass(frozen=True, slots=True)
class ShardTask:
    """All that it takes to make one file, in this process or another.

    Attributes
    ----------
    name
        Data set name.
    shard
        The file, its size and its seed.
    sizes
        Sizes of all shards of the campaign, which settle its batch size.
    digest
        Fingerprint of the campaign.
    """

    name: str
    campaign: CampaignConfig
    physics: PhysicsConfig
    shard: Shard
    sizes: tuple[int, ...]
    digest: str

    @property
    def label(self) -> str:
        """Name for people, e.g. ``"micro train/shard_0001"``."""
        return f"{self.name} {self.shard.split}/{self.shard.path.stem}"

    @property
    def n_frames(self) -> int:
        """Frames to compute, summed over simulations."""
        return self.shard.size * (self.campaign.n_times - 1)

    @property
    def grid(self) -> Grid:
        """Grid of the simulations."""
        campaign = self.campaign
        return Grid(campaign.ny, campaign.nx, campaign.spacing, campaign.time_step, campaign.n_times)


@dataclass(frozen=True, slots=True)
class _Runs:
    """Simulations of a shard: their numbers in it, and a result whose first rows are theirs."""

    indices: np.ndarray
    result: BatchResult


def run_shard(task: ShardTask, progress: ShardProgress | None = None) -> tuple[FailedRun, ...]:
    """Simulate a shard and write its file; return the runs that failed and are left out of it.

    A batch that cannot be advanced is repeated run by run, each in a batch filled with copies of it.
    The number of steps is that of a batch's fastest wave, so the runs beside a failed one have other
    bits than beside a healthy one; the same ones each time.

    Raises
    ------
    ValueError
        If no run of the shard succeeds.
    WriteError
        If the file cannot be written.
    """
    pressure, porosity = draw(task.shard, task.campaign)
    runs, failed = _simulate(task, pressure, porosity, progress)
    runs, unusable = _usable(task, runs)
    failed = sorted(failed + unusable, key=lambda run: run.index)
    if len(failed) == task.shard.size:
        raise ValueError(
            f"{task.shard.path}: expected at least one of {task.shard.size} runs to succeed, got none: {failed[0]}; "
            "a smaller simulate.physics.cfl or another seed may help"
        )
    _write(task, runs, failed)
    return tuple(failed)


def finished(shard: Shard, digest: str) -> bool:
    """Whether the shard is there, readable and of this campaign.

    Raises
    ------
    ValueError
        If a file is there that cannot be read or belongs to another campaign.
    """
    if not shard.path.exists():
        return False
    with opened(shard.path) as file:
        found, stored = file.text("config_digest"), file.get("n_trajectories")
    size = (stored if isinstance(stored, int) else -1) + len(failed_runs(shard.path))
    if found != digest or size != shard.size:
        raise ValueError(
            f"{shard.path}: expected a shard of {shard.size} simulations of campaign {digest[:12]}, got {size} of "
            f"{str(found)[:12]}; choose another folder or remove the old files"
        )
    return True


def kernels_of(path: Path) -> str | None:
    """Kernels and instructions that a finished shard was computed with; ``None`` if an older version made it.

    Raises
    ------
    ValueError
        If the file cannot be read.
    """
    with opened(path) as file:
        return file.text(KERNELS)


def failed_runs(path: Path) -> tuple[FailedRun, ...]:
    """Runs that are left out of a finished shard.

    Raises
    ------
    ValueError
        If the file cannot be read.
    """
    with opened(path) as file:
        return load_failed({FAILED_RUNS: file.text(FAILED_RUNS)}, path)


def _simulate(
    task: ShardTask, pressure: np.ndarray, porosity: np.ndarray, progress: ShardProgress | None
) -> tuple[list[_Runs], list[FailedRun]]:
    """Run a shard in batches of equal size; the last one is filled up."""
    solver = _solver(task.physics, task.campaign.spacing)
    batch = batch_size(list(task.sizes), task.campaign.ny * task.campaign.nx)
    per_run = task.campaign.n_times - 1
    runs, failed = [], []

    def run(chosen: np.ndarray, before: int, weight: int) -> BatchResult:
        def shown(frames: int, line: str) -> None:
            if progress is not None:
                progress(before + weight * frames, line)

        return run_batch(solver, porosity[chosen], pressure[chosen], task.grid, task.physics, shown)

    for start in range(0, task.shard.size, batch):
        indices = np.arange(start, min(start + batch, task.shard.size))
        try:
            filled = np.minimum(np.arange(start, start + batch), indices[-1])
            runs.append(_Runs(indices, run(filled, start * per_run, len(indices))))
        except UnstableError as together:
            log.info("%s: runs %d to %d: %s; repeating them one by one", task.label, indices[0], indices[-1], together)
            for index in map(int, indices):
                try:
                    runs.append(_Runs(np.array([index]), run(np.full(batch, index), index * per_run, 1)))
                except UnstableError as alone:
                    failed.append(FailedRun(index, float(pressure[index]), str(alone)))
    return runs, failed


def _usable(task: ShardTask, runs: list[_Runs]) -> tuple[list[_Runs], list[FailedRun]]:
    """Runs without those whose fields are not physical or whose mass or energy drifts."""
    kept, failed = [], []
    for part in runs:
        good = []
        for row, index in enumerate(part.indices):
            frames = {name: values[row] for name, values in part.result.frames.items()}
            scalars = {name: float(values[row]) for name, values in part.result.scalars.items()}
            reason = fault(frames, FIELD_UNITS, scalars["conservation_drift"], task.physics.dtype)
            if reason is None:
                good.append(row)
            else:
                failed.append(FailedRun(int(index), scalars["shock_pressure"], reason))
        kept.append(replace(part, indices=part.indices[good], result=_rows(part.result, good)))
    return kept, failed


def _rows(result: BatchResult, rows: list[int]) -> BatchResult:
    return BatchResult(
        frames={name: values[rows] for name, values in result.frames.items()},
        scalars={name: values[rows] for name, values in result.scalars.items()},
    )


def _write(task: ShardTask, runs: list[_Runs], failed: list[FailedRun]) -> None:
    write_shard(
        task.shard.path,
        {name: np.concatenate([part.result.frames[name] for part in runs]) for name in FIELD_UNITS},
        grid=task.grid,
        scalars={name: np.concatenate([part.result.scalars[name] for part in runs]) for name in SCALAR_UNITS},
        units=FIELD_UNITS | SCALAR_UNITS,
        dataset_name=task.name,
        boundary=_stored_boundary(task.physics),
        attributes={
            "config_digest": task.digest,
            "physics": task.physics.model_dump_json(),
            FAILED_RUNS: dump_failed(failed),
            KERNELS: _kernels(task),
        },
    )


def _kernels(task: ShardTask) -> str:
    """What the bits of a shard depend on beside its settings, e.g. ``"compiled, AVX512"``."""
    unit = torch.cuda.get_device_name() if torch.cuda.is_available() else torch.backends.cpu.get_cpu_capability()
    return f"{_solver(task.physics, task.campaign.spacing).kernels}, {unit}"


def planned(path: Path, campaign: CampaignConfig, physics: PhysicsConfig) -> ShardInfo:
    """Describe the files of a campaign before they are made; ``path`` is what errors call them."""
    stored = (campaign.nx, campaign.ny)
    vector = {f"velocity_{dim}": (axis,) for axis, dim in enumerate(FILE_DIMS)}
    places = {name: ("t1_fields", "velocity", vector[name]) if name in vector else ("t0_fields", name, ()) for name in FIELD_UNITS}
    boundary = _stored_boundary(physics)
    return ShardInfo(
        path=path,
        n_simulations=campaign.n_train + campaign.n_valid + campaign.n_test,
        grid=Grid(campaign.ny, campaign.nx, campaign.spacing, campaign.time_step, campaign.n_times, periodic_axes(boundary)),
        rounding={"spacing": 0.0, "time_step": 0.0},
        fields=tuple(FIELD_UNITS),
        units=FIELD_UNITS | SCALAR_UNITS,
        scalars=tuple(SCALAR_UNITS),
        attributes={},
        boundary=boundary,
        sources={
            name: FieldSource(group, dataset, component, sample_varying=True, time_varying=True, axes=FILE_DIMS, stored=stored)
            for name, (group, dataset, component) in places.items()
        },
    )


def _stored_boundary(physics: PhysicsConfig) -> dict[str, str]:
    """Edges in The Well's terms, which has no given states: what lets material through is open."""
    lateral = physics.lateral.upper()
    left = "WALL" if physics.frame == "piston" else "OPEN"
    return {"left": left, "right": "WALL" if physics.right == "wall" else "OPEN", "bottom": lateral, "top": lateral}
