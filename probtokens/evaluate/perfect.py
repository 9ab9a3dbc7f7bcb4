"""What a forecaster that is right would score on as many simulations: how far calibration by lead strays by chance alone.

Errors of one simulation are alike from cell to cell and from lead to lead, so that a few simulations tell a ratio of spread and error far
less well than their many cells suggest. If the truth is as any of the members, each of them can stand for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probtokens.ensembles import Floats, as_floats, mean_of_defined
from probtokens.evaluate.scores import check_level, covered

Statistic = Literal["spread_skill", "coverage"]

#: Fewer members than this leave none to compare with once one of them stands for the truth and two have a variance.
FEWEST_MEMBERS = 3


class LeftOut(NamedTuple):
    """What the other members score of each member as the truth, means over a frame; every array has the member as its last axis.

    Attributes
    ----------
    error_square
        Squared error of the others' mean.
    spread_square
        Their variance, which in expectation is that error.
    coverage
        Share of their central intervals that hold it, with levels before the members.
    """

    error_square: Floats
    spread_square: Floats
    coverage: Floats


@dataclass(frozen=True)
class Chance:
    """Calibration by lead in trials in which a member of every simulation, drawn by chance, stands for its truth.

    Attributes
    ----------
    spread_skill
        As :func:`probtokens.evaluate.scores.spread_skill` of the other members, shape (trial, lead).
    coverages
        As :func:`probtokens.evaluate.scores.coverage`, shape (level, trial, lead).
    """

    spread_skill: Floats
    coverages: Floats

    @property
    def coverage(self) -> Floats:
        """That of the first level, shape (trial, lead)."""
        return np.asarray(self.coverages[0])

    def extremes(self, name: Statistic) -> tuple[list[float], list[float]]:
        """5, 50 and 95 % quantiles over trials of the least and of the most of ``spread_skill`` or ``coverage`` over leads."""
        values: Floats = getattr(self, name)
        least, most = (np.quantile(extreme, (0.05, 0.5, 0.95)).tolist() for extreme in (values.min(axis=1), values.max(axis=1)))
        return least, most

    def share_within(self, name: Statistic, low: float, high: float) -> float:
        """Part of the trials in which ``spread_skill`` or ``coverage`` lies in [low, high] at every lead."""
        values: Floats = getattr(self, name)
        return float(((values >= low) & (values <= high)).all(axis=1).mean())


def chance(ensembles: Iterable[ArrayLike], level: float, *, n_trials: int = 2000, seed: int = 0) -> Chance:
    """Calibration that a perfect forecaster would be found to have on these simulations.

    Parameters
    ----------
    ensembles
        For every simulation its members at every lead, shape (member, lead, ...); as many members and leads for each.
    level
        Probability of the central intervals whose coverage is found.
    n_trials, seed
        Trials, and what seeds them. In a trial one member of each simulation is the truth at all leads.

    Raises
    ------
    ValueError
        If there is no simulation, one has fewer than three members or another shape, a member is not finite, or the level is no
        probability.
    """
    parts = []
    for number, members in enumerate(as_floats(given, "ensembles") for given in ensembles):
        if not np.isfinite(members).all():
            raise ValueError(f"ensembles: expected finite members, got others in simulation {number}")
        parts.append([left_out(members[:, lead], (level,)) for lead in range(members.shape[1])])
    shapes = sorted({(row[0].error_square.shape[-1], len(row)) for row in parts if row})
    if len(shapes) != 1:
        raise ValueError(f"ensembles: expected some simulations with as many members and leads each, got (member, lead) {shapes}")
    return trials(parts, n_trials=n_trials, seed=seed)


def trials(parts: Sequence[Sequence[LeftOut]], *, n_trials: int = 2000, seed: int = 0) -> Chance:
    """The trials of :func:`chance`, of what :func:`left_out` found for each simulation and, within, each lead.

    A coverage that is NaN does not count; NaN where no simulation has one or no member an error.
    """
    errors, variances, coverages = (np.array([[found[k] for found in row] for row in parts]) for k in range(3))
    n_simulations, _, n_members = errors.shape
    chosen = np.random.default_rng(seed).integers(n_members, size=(n_trials, n_simulations))
    rows = np.arange(n_simulations)
    squared, spread = (values[rows, :, chosen].mean(axis=1) for values in (errors, variances))
    inside = mean_of_defined(coverages[rows, :, :, chosen], axis=1)  # (trial, lead, level)
    ratio = np.divide(spread, squared, out=np.full_like(spread, np.nan), where=squared > 0)
    return Chance(np.sqrt(ratio), inside.transpose(2, 0, 1))


def left_out(members: ArrayLike, levels: Sequence[float]) -> LeftOut:
    """Scores of the others for each member as the truth; NaN if one is NaN.

    Parameters
    ----------
    members
        One frame, shape (member, ...).
    levels
        Probabilities of central intervals.

    Raises
    ------
    ValueError
        If there are fewer than three members, or a level is no probability.
    """
    for level in levels:
        check_level(level)
    given = as_floats(members, "ensembles")
    n = len(given)
    if n < FEWEST_MEMBERS:
        raise ValueError(f"ensembles: expected at least {FEWEST_MEMBERS} members, got {n}")
    values = given.reshape(n, -1)
    values = values - values[0]  # members that are the same become exactly 0
    values -= values.mean(axis=0)
    # With members about their mean, the mean of all but one is minus that one over n - 1.
    squares = np.square(values)
    # Rounding makes that of others which are all the same a little less than 0.
    variances = np.maximum(squares.sum(axis=0) - squares * (n / (n - 1)), 0) / (n - 2)
    order = np.argsort(values, axis=0)
    ranks = _rank_ranges(np.take_along_axis(values, order, axis=0))
    coverage = np.stack([_by_member(order, covered(*ranks, n - 1, level)) for level in levels])
    return LeftOut(squares.mean(axis=1) * (n / (n - 1)) ** 2, variances.mean(axis=1) * (n / (n - 1)), coverage)


def _rank_ranges(ordered: Floats) -> tuple[Floats, Floats]:
    """How many of the others lie below each of ``ordered`` (member, cell), and how many not above it."""
    n = len(ordered)
    rank = np.broadcast_to(np.arange(n)[:, None], ordered.shape)
    same = ordered[1:] == ordered[:-1]
    below, not_above = rank.astype(np.float64), rank.astype(np.float64)
    if same.any():
        for k in range(1, n):
            below[k] = np.where(same[k - 1], below[k - 1], below[k])
            not_above[n - 1 - k] = np.where(same[n - 1 - k], not_above[n - k], not_above[n - 1 - k])
    missing = np.isnan(ordered)
    below[missing] = not_above[missing] = np.nan
    return below, not_above


def _by_member(order: NDArray[np.intp], values: Floats) -> Floats:
    """Means over cells, shape (member,), of values (rank, cell) where ``order`` tells which member has a rank."""
    return np.bincount(order.ravel(), values.ravel(), len(order)) / order.shape[1]
