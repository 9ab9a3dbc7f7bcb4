"""Scores of forecasts at some leads, simulation by simulation, while they are computed: no ensemble is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch

from probtokens.data.trajectories import TrajectorySet
from probtokens.ensembles import Floats
from probtokens.evaluate.hotspots import hotspot_area, hotspot_mean
from probtokens.evaluate.summary import Table, marginal_scores
from probtokens.fields import Grid, HotSpot, field_index
from probtokens.models.base import Forecaster
from probtokens.models.state_space import ALL_SOURCES, Sources
from probtokens.models.tokens import TokenForecaster
from probtokens.predict.recalibrate import inflated, inflation_factors
from probtokens.predict.rollout import check_rollout_request, forecast_blocks

#: Central interval whose coverage is told.
LEVEL = 0.9

#: Name of the scores of cells beside those of curves.
CELLS = "cells"


class Adjustment(Protocol):
    """What makes better members of those of a forecast; known from simulations that scores are not told of."""

    def __call__(self, name: str, at: int, members: Floats, limits: tuple[float, float]) -> Floats:
        """Members (draw, ...) of what is scored as ``name`` at the ``at``-th lead, inside of ``limits``."""
        ...


def score_by_simulation(model: Forecaster, trajectories: TrajectorySet, leads: Sequence[int], **request: Any) -> dict[str, Table]:
    """Scores of a model's forecasts of whole trajectories at some leads only.

    Parameters
    ----------
    model
        Its fields must be those of ``trajectories``, in the same order.
    leads
        Steps after the first frame, ascending, from 1.
    request
        As for :func:`score_adjusted`.

    Returns
    -------
    dict
        ``cells``, and the curves of hot spots by name, to scores, each (simulation, lead): ``error_square``, fair ``crps`` and, of
        several members, ``spread_square``, ``coverage_90`` and ``interval_score_90``. Those of ``cells`` are means over those of ``field``.

    Raises
    ------
    ValueError
        If there is no such field, the model does not fit the trajectories, or a forecast or a truth is not finite.
    """
    return score_adjusted(model, trajectories, leads, None, **request)[0]


def score_adjusted(
    model: Forecaster,
    trajectories: TrajectorySet,
    leads: Sequence[int],
    adjustment: Adjustment | None,
    *,
    field: str,
    members: int,
    seed: int,
    sources: Sources = ALL_SOURCES,
    hotspot: HotSpot | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[dict[str, Table], dict[str, Table]]:
    """Scores as of :func:`score_by_simulation`, of the members as they are and after an adjustment; forecasts are made once.

    Parameters
    ----------
    model, trajectories, leads
        As there.
    adjustment
        :func:`with_errors` or :func:`recalibrated`; without it there are no scores of the second kind.
    field
        Name of the field whose cells are scored.
    members
        Draws; one if there are no sources, for then all would be the same.
    seed
        As in :func:`probtokens.predict.write_rollout`, which draws the same members from the same seed.
    sources
        What the draws of token models differ by.
    hotspot
        With it the area of hot spots and the mean over them are scored too.
    progress
        Called as ``progress(done, total)`` after each simulation.
    """
    plain: dict[str, list[dict[str, float]]] = {}
    adjusted: dict[str, list[dict[str, float]]] = {}
    limits = _limits(trajectories, field, hotspot)
    for number, at, samples in _samples(model, trajectories, leads, field, hotspot, members, seed, sources):
        for name, (drawn, true) in samples.items():
            kinds = [(plain, drawn)]
            if adjustment is not None:
                kinds.append((adjusted, adjustment(name, at, drawn, limits[name])))
            for rows, values in kinds:
                row = marginal_scores(np.sort(values, axis=0), true, (LEVEL,))
                if not np.isfinite(list(row.values())).all():
                    raise ValueError(
                        f"simulation {trajectories.names[number]}, lead {leads[at]}: expected finite scores of {field}, got others; "
                        "is the truth finite?"
                    )
                rows.setdefault(name, []).append(row)
        if progress is not None and at == len(leads) - 1:
            progress(number + 1, len(trajectories))
    return _tables(plain, len(leads)), _tables(adjusted, len(leads))


def _tables(rows: Mapping[str, Sequence[Mapping[str, float]]], leads: int) -> dict[str, Table]:
    return {name: {key: np.array([row[key] for row in found]).reshape(-1, leads) for key in found[0]} for name, found in rows.items()}


def _limits(trajectories: TrajectorySet, field: str, hotspot: HotSpot | None) -> dict[str, tuple[float, float]]:
    """Least and most of everything that is scored, by name."""
    specs = trajectories.fields
    found = {CELLS: specs[field_index(specs, field)].limits}
    if hotspot is not None:
        found |= dict(zip(hotspot.curves, ((0.0, np.inf), specs[field_index(specs, hotspot.field)].limits), strict=True))
    return found


def with_errors(
    model: Forecaster, trajectories: TrajectorySet, leads: Sequence[int], *, field: str, hotspot: HotSpot | None = None, members: int
) -> Adjustment:
    """What makes an ensemble of a deterministic forecast: the distribution of its errors by lead.

    Parameters
    ----------
    model, leads, field, hotspot
        As for :func:`score_adjusted`.
    trajectories
        Those that scores are not told of.
    members
        Number of quantiles, at the levels (i + 1/2) / ``members``.

    Returns
    -------
    Adjustment
        Adds to the forecast the quantiles of truth minus forecast, of all cells and trajectories alike.
    """
    found: dict[str, list[list[Floats]]] = {}
    for _, at, samples in _samples(model, trajectories, leads, field, hotspot, 1, 0, ALL_SOURCES):
        for name, (drawn, true) in samples.items():
            found.setdefault(name, [[] for _ in leads])[at].append(np.ravel(true - drawn[0]))
    levels = (np.arange(members) + 0.5) / members
    quantiles = {name: [np.quantile(np.concatenate(parts), levels) for parts in rows] for name, rows in found.items()}

    def adjustment(name: str, at: int, members: Floats, limits: tuple[float, float]) -> Floats:
        return (members + quantiles[name][at].reshape(-1, *[1] * (members.ndim - 1))).clip(*limits)

    return adjustment


def recalibrated(known: Mapping[str, Table]) -> Adjustment:
    """What widens or narrows an ensemble about its mean, by lead, as much as its scores on other simulations ask for.

    Parameters
    ----------
    known
        Scores of the same model at the same leads, from :func:`score_by_simulation`.
    """
    factors = {name: inflation_factors(table["error_square"], table["spread_square"]) for name, table in known.items()}

    def adjustment(name: str, at: int, members: Floats, limits: tuple[float, float]) -> Floats:
        return inflated(members, factors[name][at], *limits)

    return adjustment


def _samples(
    model: Forecaster,
    trajectories: TrajectorySet,
    leads: Sequence[int],
    field: str,
    hotspot: HotSpot | None,
    members: int,
    seed: int,
    sources: Sources,
) -> Iterator[tuple[int, int, dict[str, tuple[Floats, Floats]]]]:
    """Trajectory, place of the lead, and by name members (draw, ...) with the truth (...), lead by lead."""
    check_rollout_request(model, trajectories, members)
    numbers = [field_index(trajectories.fields, known) for known in ([field] if hotspot is None else [field, hotspot.field])]
    for number, name in enumerate(trajectories.names):
        truth = trajectories.frames(number, 0, leads[-1] + 1)
        predictions = _members(model, trajectories, number, truth[:1], leads, numbers, members, seed, sources)
        for at, (lead, prediction) in enumerate(zip(leads, predictions, strict=True)):
            if not np.isfinite(prediction).all():
                raise ValueError(f"{model.name}, simulation {name}, lead {lead}: expected finite values of {field}, got others")
            samples = {CELLS: (prediction[:, 0], truth[lead, numbers[0]])}
            if hotspot is not None:
                drawn, true = (_curves(frames, hotspot, trajectories.grid) for frames in (prediction[:, 1], truth[lead, numbers[1]]))
                samples |= {curve: (drawn[curve], true[curve]) for curve in hotspot.curves}
            yield number, at, samples


def _members(
    model: Forecaster,
    trajectories: TrajectorySet,
    number: int,
    first: Floats,
    leads: Sequence[int],
    fields: Sequence[int],
    members: int,
    seed: int,
    sources: Sources,
) -> list[Floats]:
    """Members (draw, field, y, x) of some fields at each of the leads; token models decode no other leads."""
    of_tokens: dict[str, Any] = {"sources": sources, "leads": leads} if isinstance(model, TokenForecaster) else {}
    context = torch.as_tensor(trajectories.context[number : number + 1])
    request: dict[str, Any] = {
        "grid": trajectories.grid,
        "n_steps": leads[-1],
        "draws": members if sources else 1,
        "seed": seed,
        "number": number,
    }
    found: list[list[Floats]] = [[] for _ in leads]
    for _, frames in forecast_blocks(model, torch.tensor(first), context, **request, **of_tokens):
        yielded = leads if of_tokens else range(1, leads[-1] + 1)
        for lead, frame in zip(yielded, frames, strict=True):
            if lead in leads:
                found[leads.index(lead)].append(frame[:, 0, list(fields)].cpu().numpy())
    return [np.concatenate(blocks) for blocks in found]


def _curves(frames: Floats, hotspot: HotSpot, grid: Grid) -> dict[str, Floats]:
    """Area of hot spots and the mean over them, of frames (..., y, x)."""
    values = hotspot_area(frames, hotspot.threshold, grid.spacing**2), hotspot_mean(frames, hotspot.threshold)
    return {name: np.asarray(value) for name, value in zip(hotspot.curves, values, strict=True)}
