"""What a forecaster that is right would score on as many simulations: how far calibration by lead strays by chance alone.

Errors of one simulation are alike from cell to cell and from lead to lead, so that a few simulations tell a ratio of spread and error far
less well than their many cells suggest. If the truth is as any of the members, each of them can stand for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from probtokens.evaluate.scores import Array, check_level, covered

Statistic = Literal["spread_skill", "coverage"]

#: Fewer members than this leave none to compare with once one of them stands for the truth and two have a variance.
_FEWEST = 3


@dataclass(frozen=True)
class Chance:
    """Calibration by lead in trials in which a member of every simulation, drawn by chance, stands for its truth.

    Attributes
    ----------
    spread_skill, coverage
        As :func:`probtokens.evaluate.scores.spread_skill` and :func:`~probtokens.evaluate.scores.coverage` of the other members,
        shape (trial, lead).
    """

    spread_skill: NDArray[np.float64]
    coverage: NDArray[np.float64]

    def extremes(self, name: Statistic) -> tuple[list[float], list[float]]:
        """5, 50 and 95 % quantiles over trials of the least and of the most of ``spread_skill`` or ``coverage`` over leads."""
        values: NDArray[np.float64] = getattr(self, name)
        least, most = (np.quantile(extreme, (0.05, 0.5, 0.95)).tolist() for extreme in (values.min(axis=1), values.max(axis=1)))
        return least, most

    def share_within(self, name: Statistic, low: float, high: float) -> float:
        """Part of the trials in which ``spread_skill`` or ``coverage`` lies in [low, high] at every lead."""
        values: NDArray[np.float64] = getattr(self, name)
        return float(((values >= low) & (values <= high)).all(axis=1).mean())


def chance(ensembles: Iterable[Array], level: float, *, n_trials: int = 2000, seed: int = 0) -> Chance:
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
        If there is no simulation, one has fewer than three members or another shape, or the level is no probability.
    """
    check_level(level)
    parts = [_left_out(members, level) for members in ensembles]
    shapes = sorted({part[0].shape for part in parts})
    if len(shapes) != 1:
        raise ValueError(f"ensembles: expected some simulations with as many members and leads each, got (member, lead) {shapes}")
    errors, variances, coverages = (np.stack(part) for part in zip(*parts, strict=True))  # (simulation, member, lead)
    n_simulations, n_members, _ = errors.shape
    chosen = np.random.default_rng(seed).integers(n_members, size=(n_trials, n_simulations))
    rows = np.arange(n_simulations)
    squared, spread, inside = (np.stack([values[rows, row].mean(axis=0) for row in chosen]) for values in (errors, variances, coverages))
    return Chance(np.sqrt(spread / squared), inside)


def _left_out(members: Array, level: float) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Squared error, spread that it should have, and coverage of the others for each member as the truth: (member, lead) each."""
    n = len(members)
    if n < _FEWEST:
        raise ValueError(f"ensembles: expected at least {_FEWEST} members, got {n}")
    flat = members.reshape(*members.shape[:2], -1)
    rank = np.arange(n, dtype=np.float64)
    by_rank = covered(rank, rank, n - 1, level)
    found = np.empty((3, n, flat.shape[1]))
    for lead in range(flat.shape[1]):
        values = flat[:, lead].astype(np.float64)
        values -= values.mean(axis=0)
        # With members about their mean, the mean of all but one is minus that one over n - 1.
        squares = np.square(values)
        total = squares.sum(axis=0)
        found[0, :, lead] = squares.mean(axis=1) * (n / (n - 1)) ** 2
        variances = (total - squares * (n / (n - 1))) / (n - 2)
        found[1, :, lead] = variances.mean(axis=1) * (n / (n - 1))
        ranks = np.argsort(np.argsort(values, axis=0), axis=0)
        found[2, :, lead] = by_rank[ranks].mean(axis=1)
    return found[0], found[1], found[2]
