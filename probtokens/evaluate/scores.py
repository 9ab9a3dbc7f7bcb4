"""Scores of ensembles: arrays of any real type in, numbers in double precision out, the member axis always first.

A score is NaN where a member or the truth is NaN, and only there: nothing is left out of a mean.

All scores of distributions are *fair*: their expectation does not depend on the number of members, so a
small ensemble is not punished for being small (Ferro 2014, doi:10.1002/qj.2270). Of a single member they are
what is left of the definition: the absolute error for the CRPS, the distance for the energy score.
The interval score is the exception: it judges the ends it is given, and those of few members are noisy, so
compare it only between ensembles of one size; below about 20 members it favours slightly too narrow ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probtokens.ensembles import Floats, above, as_ensemble, as_floats, check_several, ensemble_mean, spread_variance


def rmse(prediction: ArrayLike, truth: ArrayLike) -> float:
    """Root mean squared error, over all elements, of the mean of members (member, ...) about the truth (...), in the field's unit."""
    members, target = as_ensemble(prediction, truth)
    return float(np.sqrt(np.mean((ensemble_mean(members) - target) ** 2)))


def crps(prediction: ArrayLike, truth: ArrayLike, *, is_sorted: bool = False) -> Floats:
    """Fair continuous ranked probability score of each element, in the field's unit.

    ``mean |x_i - y| - 1 / (M (M - 1)) * sum_i (2 i - M - 1) x_(i)``, which is the pairwise form after sorting;
    the absolute error for one member.

    Parameters
    ----------
    prediction
        Shape (member, ...).
    truth
        Shape (...).
    is_sorted
        Whether members are already in ascending order.

    Returns
    -------
    ndarray
        Shape (...). Single elements may be negative, the expectation is not.

    Raises
    ------
    ValueError
        If there is no member or the shapes do not fit.
    """
    values, target = as_ensemble(prediction, truth)
    members = len(values)
    deviation = (values if is_sorted else np.sort(values, axis=0)) - target
    weights = (2.0 * np.arange(1, members + 1) - members - 1) / max(members * (members - 1), 1)
    # Not tensordot: threads of the linear algebra library wait for each other longer than this product takes.
    spread = np.einsum("m,m...->...", weights, deviation)
    return np.abs(deviation, out=deviation).mean(axis=0) - spread


def spread_skill(prediction: ArrayLike, truth: ArrayLike) -> float:
    """Spread over skill, 1 for a calibrated ensemble, above 1 where it is too wide; NaN if the error is exactly 0."""
    error = rmse(prediction, truth)
    spread = float(np.sqrt(np.mean(spread_variance(prediction))))
    return spread / error if error > 0 else float("nan")


def rank_range(prediction: ArrayLike, truth: ArrayLike) -> tuple[Floats, Floats]:
    """Numbers of members below and not above the truth, each of shape (...); they differ where there are ties."""
    members, target = as_ensemble(prediction, truth)
    missing = np.isnan(members).any(axis=0) | np.isnan(target)
    below, not_above = (np.count_nonzero(compared, axis=0) for compared in (members < target, members <= target))
    return np.where(missing, np.nan, below), np.where(missing, np.nan, not_above)


def coverage(prediction: ArrayLike, truth: ArrayLike, level: float) -> float:
    """Fraction of truths inside the central interval of probability ``level``; nominal if calibrated.

    Rank based, hence nominal for *any* number of members and any level as long as truth and members are
    exchangeable; see :func:`covered`. (The interval from lowest to highest of M members covers only
    ``(M - 1) / (M + 1)``, whatever is claimed of it.)
    """
    members = check_several(prediction)
    return float(np.mean(covered(*rank_range(prediction, truth), members, level)))


def covered(below: Floats, not_above: Floats, members: int, level: float) -> Floats:
    """Probability, shape (...), that the randomised PIT of each element lies in the central ``level`` of [0, 1].

    The PIT of a truth with ``below`` members below it and ``not_above`` not above is uniform on
    ``[below, not_above + 1] / (members + 1)``. Its overlap with the central interval, as a fraction, is the
    randomised indicator averaged over its randomness: same expectation, less noise, no seed.
    """
    check_level(level)
    low, high = below / (members + 1), (not_above + 1) / (members + 1)
    tail = (1 - level) / 2
    overlap = np.minimum(high, 1 - tail) - np.maximum(low, tail)
    return np.maximum(overlap, 0) / (high - low)


def pit(prediction: ArrayLike, truth: ArrayLike, *, seed: int) -> Floats:
    """Randomised probability integral transform of each element, shape (...): uniform on [0, 1] if calibrated."""
    members, target = as_ensemble(prediction, truth)
    return _random_position(members, target, seed) / (len(members) + 1)


def rank_histogram(prediction: ArrayLike, truth: ArrayLike, *, seed: int) -> NDArray[np.int64]:
    """Counts of the rank of the truth among M members, shape (M + 1,); ties are broken at random.

    Raises
    ------
    ValueError
        If a member or a truth is NaN: it has no rank.
    """
    members, target = as_ensemble(prediction, truth)
    position = _random_position(members, target, seed)
    if np.isnan(position).any():
        raise ValueError(f"rank histogram: expected numbers, got NaN in {np.count_nonzero(np.isnan(position))} of {position.size} elements")
    return np.bincount(np.floor(position).astype(np.int64).ravel(), minlength=len(members) + 1)


def _random_position(members: Floats, target: Floats, seed: int) -> Floats:
    """Rank of the truth plus a number in [0, 1), where it may be anywhere between members that are equal to it."""
    below, not_above = rank_range(members, target)
    return below + np.random.default_rng(seed).random(target.shape) * (not_above - below + 1)


def quantile(prediction: ArrayLike, probability: float, *, is_sorted: bool = False) -> Floats:
    """Quantile of a future draw, shape (...): order statistic at Weibull's position ``probability * (M + 1)``.

    An exchangeable truth lies below the k-th of M members with probability ``k / (M + 1)``. Positions between
    members are interpolated, positions outside are the lowest or highest member.
    """
    check_level(probability)
    ordered = _ordered(prediction, is_sorted)
    members = len(ordered)
    position = min(max(probability * (members + 1), 1.0), float(members))
    lower = int(position)
    weight = position - lower
    value = ordered[lower - 1] * (1 - weight) + ordered[min(lower, members - 1)] * weight
    return np.where(np.isnan(ordered[-1]), np.nan, value)


def central_interval(prediction: ArrayLike, level: float, *, is_sorted: bool = False) -> tuple[Floats, Floats]:
    """Lower and upper end, each of shape (...), of the central interval of probability ``level``.

    For levels above ``(M - 1) / (M + 1)`` it is the range of the members and covers that much only.
    """
    check_several(prediction)
    check_level(level)
    ordered = _ordered(prediction, is_sorted)
    tail = (1 - level) / 2
    return quantile(ordered, tail, is_sorted=True), quantile(ordered, 1 - tail, is_sorted=True)


def interval_score(lower: ArrayLike, upper: ArrayLike, truth: ArrayLike, level: float) -> Floats:
    """Winkler score of a central interval, shape (...), in the field's unit: width plus 2/alpha times the miss.

    Gneiting & Raftery 2007, eq. 43, doi:10.1198/016214506000001437, with alpha = 1 - ``level``.
    """
    check_level(level)
    low, high, target = as_floats(lower, "lower"), as_floats(upper, "upper"), as_floats(truth, "truth")
    miss = np.maximum(low - target, 0) + np.maximum(target - high, 0)
    return (high - low) + 2 / (1 - level) * miss


def brier(prediction: ArrayLike, truth: ArrayLike, threshold: float) -> Floats:
    """Fair Brier score of the event *above* ``threshold``, shape (...): ``(p - o)² - p (1 - p) / (M - 1)``.

    Raises
    ------
    ValueError
        If there is no member or the shapes do not fit.
    """
    events, outcome = as_ensemble(above(prediction, threshold), above(truth, threshold))
    probability = events.mean(axis=0)
    return (probability - outcome) ** 2 - probability * (1 - probability) / max(len(events) - 1, 1)


def _ordered(prediction: ArrayLike, is_sorted: bool) -> Floats:
    """Members in ascending order, NaN last."""
    values = as_floats(prediction, "prediction")
    return values if is_sorted else np.sort(values, axis=0)


def check_level(level: float) -> None:
    """Raise ``ValueError`` unless ``level`` is a probability strictly between 0 and 1."""
    if not 0 < level < 1:
        raise ValueError(f"level: expected a probability between 0 and 1, got {level}")
