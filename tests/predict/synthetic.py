"""Made-up trajectories, forecasters and rollouts with known calibration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from probtokens.fields import FieldSpec, Grid, field_spec
from probtokens.predict import open_rollout
from probtokens.predict.store import create_store

FIELDS = (field_spec("temperature"), field_spec("solid_fraction"))


class Trajectories:
    """Stands in for a trajectory set: random frames that depend on the number of the simulation."""

    context_names = ("shock_pressure", "porosity")
    context_units = ("GPa", "")

    def __init__(self, n: int = 3, grid: Grid | None = None, fields: Sequence[FieldSpec] = FIELDS) -> None:
        self.grid = grid or Grid(6, 8, 0.04, 0.125, 4)
        self.fields = tuple(fields)
        self.names = tuple(f"shard_0000/{i}" for i in range(n))
        self.context = np.arange(2 * n, dtype=np.float32).reshape(n, 2)

    def __len__(self) -> int:
        return len(self.names)

    def frames(self, i: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        shape = (self.grid.n_times, len(self.fields), *self.grid.shape)
        frames = np.random.default_rng(i).random(shape, dtype=np.float32)[start:stop]
        frames.setflags(write=False)
        return frames


class RandomWalk:
    """Forecaster whose members wander off; ``frame`` may replace each frame before it is yielded."""

    name = "walk"

    def __init__(
        self,
        draws: int | None = None,
        frame: Callable[[Tensor, int], Tensor] | None = None,
        extra_steps: int = 0,
        fields: Sequence[FieldSpec] = FIELDS,
    ) -> None:
        self.fields = tuple(fields)
        self.draws, self.frame, self.extra_steps = draws, frame, extra_steps

    def forecast(self, initial: Tensor, context: Tensor, *, grid: Grid, n_steps: int, n_draws: int, seed: int) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(seed)
        state = initial.expand(self.draws or n_draws, *initial.shape)
        for lead in range(1, n_steps + 1 + self.extra_steps):
            state = state + torch.randn(state.shape, generator=generator)
            yield state if self.frame is None else self.frame(state, lead)


def make_rollout(
    path: Path,
    prediction: np.ndarray,
    truth: np.ndarray,
    fields: Sequence[FieldSpec] = FIELDS,
    model: str = "synthetic",
    context: Mapping[str, Sequence[float]] | None = None,
) -> xr.Dataset:
    """Store (draw, simulation, time, field, y, x) and (simulation, time, field, y, x) arrays as a rollout and open it."""
    n, times, _, ny, nx = truth.shape
    arrays = create_store(
        path,
        draws=len(prediction),
        simulations=[f"s{i}" for i in range(n)],
        fields=fields,
        grid=Grid(ny, nx, 0.1, 0.5, times),
        context={name: np.array(values) for name, values in (context or {}).items()},
        attributes={"model": model, "spacing": 0.1, "time_step": 0.5},
    )
    arrays.prediction[:] = prediction.astype(np.float32)
    arrays.truth[:] = truth.astype(np.float32)
    return open_rollout(path)


def gaussian_rollout(
    path: Path, *, members: int, width: float | Sequence[float] = 1.0, bias: float = 0.0, n: int = 4, leads: int = 5, seed: int = 0
) -> xr.Dataset:
    """Truth and members share a centre; members deviate ``width`` times as much as they should (by lead if a list), plus ``bias``.

    Temperature is 1000 K with 100 K of spread that grows with lead, solid fraction 0.5 with 0.05.
    """
    rng = np.random.default_rng(seed)
    shape = (n, leads + 1, 2, 16, 24)
    scale = np.array([100.0, 0.05])[:, None, None] * np.sqrt(np.arange(leads + 1))[:, None, None, None]
    level = np.array([1000.0, 0.5])[:, None, None] + 0 * scale
    widths = np.broadcast_to(width, leads)
    factor = np.concatenate([[1.0], widths])[:, None, None, None]
    truth = level + scale * rng.normal(size=shape)
    prediction = level + scale * (bias + factor * rng.normal(size=(members, *shape)))
    return make_rollout(path, prediction, truth)
