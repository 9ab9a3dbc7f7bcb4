"""Reduce rollouts to the small arrays that the figures show, frame by frame, recalibrated as the scores are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from probtokens.ensembles import above, as_floats, ensemble_mean
from probtokens.evaluate import scores
from probtokens.fields import FieldSpec
from probtokens.predict.store import Slab, map_slabs, rollout_grid
from probtokens.report.run import Run
from probtokens.units import OUR_UNITS, Units

Array = NDArray[np.floating]

#: Nominal coverages of the reliability curve and number of bins of the PIT histogram.
LEVELS = np.linspace(0.05, 0.95, 19)
N_BINS = 20
_MAX_LEADS = 8
_STRIDE = 2


@dataclass(frozen=True)
class Strip:
    """One field of one simulation at a few times; images have shape (time, y, x), physical units. ``truth`` may not be known.

    ``draws`` has shape (draw, time, y, x), with no draws for a deterministic model, whose ``spread`` (one
    standard deviation) and ``probability`` (of exceeding ``threshold``) are ``None``. ``rival`` is the
    deterministic model's forecast. ``extent`` is (left, right, bottom, top); it and ``times`` are in ``units``.
    """

    spec: FieldSpec
    times: Array
    extent: tuple[float, float, float, float]
    truth: Array | None
    mean: Array
    draws: Array
    spread: Array | None
    probability: Array | None
    rival: Array | None
    threshold: float
    units: Units = OUR_UNITS


@dataclass(frozen=True)
class Reliability:
    """Calibration of one field over all test simulations.

    ``observed`` maps a version ("raw", "recalibrated") to observed coverages at ``LEVELS``; ``pit`` maps it to
    the density of the probability integral transform in ``N_BINS`` bins, 1 if calibrated.
    """

    spec: FieldSpec
    observed: dict[str, Array]
    pit: dict[str, Array]


def strip_frames(n_times: int, count: int) -> list[int]:
    """Evenly spaced frame numbers that end with the last frame and leave out the first, which is given."""
    count = min(count, n_times - 1)
    return [round(k * (n_times - 1) / count) for k in range(1, count + 1)]


def reduce_strip(run: Run, spec: FieldSpec, frames: Sequence[int], n_draws: int = 2, simulation: int | None = None) -> Strip:
    """Mean, spread and exceedance probability of a field at ``frames`` of a simulation, by default the run's chosen one.

    The single draws are left as the model made them: scaling anomalies cell by cell gives the right
    distribution in each cell, but no physical field.
    """
    data, threshold = run.rollouts[run.primary], run.hotspot.threshold
    simulation = run.simulation if simulation is None else simulation
    recalibration = run.recalibrations.get(run.primary)
    mean, spread, probability, draws = [], [], [], []
    for frame in frames:
        ensemble = _images(data["prediction"], simulation, spec, [frame])[:, 0]
        draws.append(ensemble[:n_draws])
        if recalibration is not None and frame > 0:
            ensemble = recalibration.apply(ensemble, spec, frame)
        mean.append(ensemble_mean(ensemble))
        if len(ensemble) > 1:
            spread.append(as_floats(ensemble).std(axis=0, ddof=1))
            probability.append(above(ensemble, threshold).mean(axis=0))
    rival = None if run.rival is None else _images(run.rollouts[run.rival]["prediction"], simulation, spec, frames).mean(axis=0)
    return Strip(
        spec=spec,
        times=np.asarray(data["time"].values)[list(frames)],
        extent=extent_of(data),
        units=rollout_grid(data).units,
        truth=_images(data["truth"], simulation, spec, frames),
        mean=np.stack(mean),
        draws=np.stack(draws, axis=1) if spread else np.empty((0, *np.shape(mean))),
        spread=np.stack(spread) if spread else None,
        probability=np.stack(probability) if probability and spec.name == run.hotspot.field else None,
        rival=rival,
        threshold=threshold,
    )


def reduce_reliability(run: Run) -> list[Reliability]:
    """Coverage curve and PIT histogram of each field of the primary model; empty for a deterministic one.

    Every second cell along y and x at up to eight leads is used: neighbours say nearly the same.
    """
    data = run.rollouts[run.primary]
    if data.sizes["draw"] < 2:
        return []
    leads = [0, *strip_frames(data.sizes["time"], _MAX_LEADS)]
    recalibration = run.recalibrations.get(run.primary)

    def work(slab: Slab) -> dict[str, tuple[Array, Array]]:
        raw, truth = slab.prediction[:, ::_STRIDE, ::_STRIDE], slab.truth[::_STRIDE, ::_STRIDE]
        versions = {"raw": raw}
        if recalibration is not None:
            versions["recalibrated"] = recalibration.apply(raw, slab.field, slab.lead)
        return {name: _calibration(members, truth, seed=slab.frame) for name, members in versions.items()}

    results = map_slabs(work, data.isel(time=leads))
    reliability = []
    for spec in run.forecast_fields:
        parts = results[spec.name]
        observed = {version: np.mean([part[version][0] for part in parts], axis=0) for version in parts[0]}
        pit = {version: np.mean([part[version][1] for part in parts], axis=0) for version in parts[0]}
        reliability.append(Reliability(spec, observed, pit))
    return reliability


def _calibration(members: Array, truth: Array, seed: int) -> tuple[Array, Array]:
    ranks = scores.rank_range(members, truth)
    observed = np.array([np.mean(scores.covered(*ranks, len(members), float(level))) for level in LEVELS])
    density, _ = np.histogram(scores.pit(members, truth, seed=seed), bins=N_BINS, range=(0, 1), density=True)
    return observed, density


def _images(variable: xr.DataArray, simulation: int, spec: FieldSpec, frames: Sequence[int]) -> Array:
    return np.asarray(variable.isel(simulation=simulation).sel(field=spec.name).isel(time=list(frames)).values)


def extent_of(data: xr.Dataset) -> tuple[float, float, float, float]:
    """Edges (left, right, bottom, top) of a rollout's frames, in its unit of lengths."""
    x, y = np.asarray(data["x"].values), np.asarray(data["y"].values)
    half = 0.5 * rollout_grid(data).spacing
    return (float(x[0]) - half, float(x[-1]) + half, float(y[0]) - half, float(y[-1]) + half)
