"""Scores of forecasts at some leads, simulation by simulation, while they are computed: no ensemble is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch

from probtokens.data.trajectories import TrajectorySet
from probtokens.ensembles import Floats
from probtokens.evaluate.hotspots import hotspot_area, hotspot_mean
from probtokens.evaluate.summary import Table, element_scores, marginal_scores
from probtokens.fields import HotSpot, field_index
from probtokens.models.base import Forecaster
from probtokens.models.state_space import ALL_SOURCES, Sources
from probtokens.models.tokens import TokenForecaster
from probtokens.predict.rollout import check_rollout_request, forecast_blocks

#: Central interval whose coverage is told.
LEVEL = 0.9

#: Name of the scores of cells beside those of curves.
CELLS = "cells"


def score_by_simulation(
    model: Forecaster,
    trajectories: TrajectorySet,
    leads: Sequence[int],
    *,
    field: str,
    members: int,
    seed: int,
    sources: Sources = ALL_SOURCES,
    hotspot: HotSpot | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Table]:
    """Scores of a model's forecasts of whole trajectories at some leads only.

    Parameters
    ----------
    model
        Its fields must be those of ``trajectories``, in the same order.
    leads
        Steps after the first frame, ascending, from 1.
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
    check_rollout_request(model, trajectories, members)
    names = [CELLS] if hotspot is None else [CELLS, *hotspot.curves]
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    numbers = [field_index(trajectories.fields, known) for known in ([field] if hotspot is None else [field, hotspot.field])]
    for number, name in enumerate(trajectories.names):
        truth = trajectories.frames(number, 0, leads[-1] + 1)
        for lead, prediction in zip(
            leads, _members(model, trajectories, number, truth[:1], leads, numbers, members, seed, sources), strict=True
        ):
            if not np.isfinite(prediction).all():
                raise ValueError(f"{model.name}, simulation {name}, lead {lead}: expected finite values of {field}, got others")
            rows[CELLS].append(marginal_scores(np.sort(prediction[:, 0], axis=0), truth[lead, numbers[0]], (LEVEL,)))
            if hotspot is not None:
                cell = trajectories.grid.spacing**2
                pairs = zip(hotspot.curves, _curves(prediction[:, 1], truth[lead, numbers[1]], hotspot, cell), strict=True)
                for curve, (drawn, true) in pairs:
                    rows[curve].append({key: float(value) for key, value in element_scores(np.sort(drawn), true, (LEVEL,)).items()})
            if not all(np.isfinite(list(rows[known][-1].values())).all() for known in names):
                raise ValueError(f"simulation {name}, lead {lead}: expected finite scores of {field}, got others; is the truth finite?")
        if progress is not None:
            progress(number + 1, len(trajectories))
    return {name: {key: np.array([row[key] for row in found]).reshape(-1, len(leads)) for key in found[0]} for name, found in rows.items()}


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


def _curves(prediction: Floats, truth: Floats, hotspot: HotSpot, cell: float) -> Iterator[tuple[Floats, Floats]]:
    """Area and mean over it, of members (draw, y, x) and of the truth (y, x)."""
    yield hotspot_area(prediction, hotspot.threshold, cell), hotspot_area(truth, hotspot.threshold, cell)
    yield hotspot_mean(prediction, hotspot.threshold), hotspot_mean(truth, hotspot.threshold)
