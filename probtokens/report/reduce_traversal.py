"""What the trajectory effect u does: rollouts without noise along its directions, reduced frame by frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import torch

from probtokens.evaluate.hotspots import hotspot_area
from probtokens.fields import FieldSpec, HotSpot, field_index
from probtokens.models.base import told
from probtokens.models.state_space import NO_SOURCES
from probtokens.predict import rollout_grid
from probtokens.report.reduce import Array, extent_of
from probtokens.report.reduce_tokens import known_scalars, true_frames
from probtokens.report.run import Run
from probtokens.units import OUR_UNITS, Units

if TYPE_CHECKING:
    from probtokens.models.tokens import TokenForecaster

#: Values of one effect, everywhere on its lattice, in standard deviations of its prior; their ends rank the directions.
VALUES = (-2.0, -1.0, 0.0, 1.0, 2.0)
_ENDS = (VALUES[0], VALUES[-1])
_MAX_LEADS = 12
_TOP = 2


@dataclass(frozen=True)
class Traversal:
    """Rollouts without noise whose trajectory effect has one direction set to ``VALUES`` everywhere, all others to zero.

    Attributes
    ----------
    spec
        The field shown.
    leads, times
        The two leads of ``images``, and their times, in ``units``.
    extent
        (left, right, bottom, top), in ``units``.
    changes
        What each direction changes, shape (D,): root-mean-square difference of the field between the ends of ``VALUES`` at the later lead,
        over cells and test simulations, in the field's unit.
    top
        Numbers, from 0, of the directions that change most.
    images
        Field of the chosen simulation, shape (top, value, lead, y, x).
    truth
        Its true field, shape (lead, y, x).
    area
        Area where the field exceeds the hot-spot threshold at the later lead, shape (top, value, simulation).
    true_area
        The same of the truth, shape (simulation,).
    """

    spec: FieldSpec
    leads: tuple[int, int]
    times: Array
    extent: tuple[float, float, float, float]
    changes: Array
    top: tuple[int, ...]
    images: Array
    truth: Array
    area: Array
    true_area: Array
    units: Units = OUR_UNITS


def traversal_leads(n_times: int) -> tuple[int, int]:
    """The two leads shown: the twelfth, or the last of a shorter rollout, and the one halfway to it."""
    last = min(_MAX_LEADS, n_times - 1)
    return max(1, last // 2), last


def reduce_traversal(run: Run, model: TokenForecaster, hotspot: HotSpot) -> Traversal:
    """Rank the directions of the trajectory effect over the test simulations and follow the leading ones.

    Parameters
    ----------
    hotspot
        Its field is the one by which they are ranked.
    """
    data, spec = run.rollouts[run.primary], run.field(hotspot.field)
    leads, position = traversal_leads(data.sizes["time"]), field_index(run.fields, spec.name)
    last, cell_area = leads[-1:], rollout_grid(data).cell_area
    simulations = range(run.n_simulations)
    n_directions = model.tokens.trajectory_dim
    squares = np.zeros(n_directions)
    for simulation in simulations:
        fields = _fields(run, model, simulation, position, list(product(range(n_directions), _ENDS)), last)
        for d, (low, high) in enumerate(zip(fields, fields, strict=True)):
            squares[d] += np.mean(np.square(high - low, dtype=np.float64))
    changes = np.sqrt(squares / run.n_simulations)
    top = tuple(int(d) for d in np.argsort(-changes, kind="stable")[:_TOP])
    settings, shape = list(product(top, VALUES)), (len(top), len(VALUES))
    area = [
        [hotspot_area(field[0], hotspot.threshold, cell_area) for field in _fields(run, model, simulation, position, settings, last)]
        for simulation in simulations
    ]
    images = np.stack(list(_fields(run, model, run.simulation, position, settings, leads)))
    last_frames = [true_frames(run, simulation, last)[0, position].numpy() for simulation in simulations]
    return Traversal(
        spec=spec,
        leads=leads,
        times=np.asarray(data["time"].values)[list(leads)],
        extent=extent_of(data),
        changes=changes,
        top=top,
        images=images.reshape(*shape, *images.shape[1:]),
        truth=true_frames(run, run.simulation, leads)[:, position].numpy(),
        area=np.reshape(np.transpose(area), (*shape, -1)),
        true_area=hotspot_area(np.stack(last_frames), hotspot.threshold, cell_area),
        units=rollout_grid(data).units,
    )


def _fields(
    run: Run, model: TokenForecaster, simulation: int, position: int, settings: Sequence[tuple[int, float]], leads: Sequence[int]
) -> Iterator[Array]:
    """Field at ``position``, shape (lead, y, x), for each of ``settings``: a direction of the effect and its value everywhere."""
    effects = torch.zeros(len(settings), model.tokens.trajectory_dim)
    for draw, (direction, value) in enumerate(settings):
        effects[draw, direction] = value
    with told():
        frames = model.forecast(
            true_frames(run, simulation, [0]),
            known_scalars(run, model, simulation),
            grid=rollout_grid(run.rollouts[run.primary]),
            n_steps=max(leads),
            n_draws=len(settings),
            seed=0,
            sources=NO_SOURCES,
            leads=leads,
            effects=effects,
        )
    yield from np.stack([frame[:, 0, position].numpy() for frame in frames], axis=1)
