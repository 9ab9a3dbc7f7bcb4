"""How many simulations does another method need to be as good?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class DataEquivalence:
    """Number of simulations at which a reference has the score of a model, with its bootstrap interval.

    Attributes
    ----------
    n, low, high
        Infinite where the reference is worse with all numbers that were tried; the least number tried where it is as good already there.
    least, most
        Least and greatest number tried.
    """

    n: float
    low: float
    high: float
    least: int
    most: int

    def __str__(self) -> str:
        return f"{self._told(self.n)} ({self._told(self.low)} to {self._told(self.high)})"

    def _told(self, n: float) -> str:
        if np.isinf(n):
            return f"> {self.most}"
        return f"≤ {self.least}" if n <= self.least else f"{n:.3g}"


def data_equivalence(
    model: ArrayLike, reference: Mapping[int, ArrayLike], *, level: float = 0.95, n_resamples: int = 2000, seed: int = 0
) -> DataEquivalence:
    """Number of simulations that a reference needs for a model's mean score, on its learning curve.

    The curve is linear between the numbers tried, on logarithmic axes of both. Where it has the score more than once, the least number
    counts. Nothing is extrapolated. Resamples of the interval take the same simulations for all.

    Parameters
    ----------
    model
        Scores by test simulation of which less is better, (simulation,).
    reference
        The same of the reference, by its number of training simulations, at least 1.
    level
        Probability of the interval.

    Raises
    ------
    ValueError
        If shapes differ, a score is negative or not finite, or a number is below 1.

    Examples
    --------
    >>> print(data_equivalence([2.0, 2.0], {1: [8.0, 8.0], 4: [4.0, 4.0], 16: [1.0, 1.0]}))
    8 (8 to 8)
    """
    numbers = sorted(reference)
    ours = np.asarray(model, dtype=np.float64)
    theirs = [np.asarray(reference[n], dtype=np.float64) for n in numbers]
    if not numbers or numbers[0] < 1 or ours.ndim != 1 or any(score.shape != ours.shape for score in theirs):
        shapes = [score.shape for score in theirs]
        raise ValueError(f"reference: expected numbers >= 1 to scores of shape {ours.shape}, got {numbers} and shapes {shapes}")
    if not all(np.isfinite(score).all() and (score >= 0).all() for score in (ours, *theirs)):
        raise ValueError("scores: expected finite numbers, 0 or more")
    curves = np.stack(theirs)
    rows = np.random.default_rng(seed).integers(len(ours), size=(n_resamples, len(ours)))
    found = [_crossing(ours[row].mean(), curves[:, row].mean(axis=1), numbers) for row in rows]
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2], method="nearest")
    return DataEquivalence(_crossing(ours.mean(), curves.mean(axis=1), numbers), float(low), float(high), numbers[0], numbers[-1])


def _crossing(target: float, curve: NDArray[np.float64], numbers: list[int]) -> float:
    """Least number at which a curve is at or below a target."""
    reached = np.flatnonzero(curve <= target)
    if not len(reached):
        return float("inf")
    at = reached[0]
    if at == 0:
        return float(numbers[0])
    if curve[at] <= 0 or target <= 0:
        return float(numbers[at])
    share = np.log(curve[at - 1] / target) / np.log(curve[at - 1] / curve[at])
    return float(numbers[at - 1] * (numbers[at] / numbers[at - 1]) ** share)
