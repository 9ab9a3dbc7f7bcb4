"""Scores of ensembles: arrays in, numbers out, the member axis always first.

All scores of distributions are *fair*: their expectation does not depend on the number of members, so a
small ensemble is not punished for being small (Ferro 2014, doi:10.1002/qj.2270), if members are independent: neighbouring
draws of token models with shrinkage have a run in common, which makes few of them look too sure. Of a single member they are
what is left of the definition: the absolute error for the CRPS, the distance for the energy score.
The interval score is the exception: it judges the ends it is given, and those of few members are noisy, so
compare it only between ensembles of one size; below about 20 members it favours slightly too narrow ones.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


def ensemble_mean(prediction: Array) -> Array:
    """Mean over members, shape (...), from (member, ...), accumulated in float64."""
    return prediction.mean(axis=0, dtype=np.float64).astype(prediction.dtype)


def rmse(prediction: Array, truth: Array) -> float:
    """Root mean squared error of the ensemble mean over all elements, in the field's unit.

    Parameters
    ----------
    prediction
        Shape (member, ...).
    truth
        Shape (...).
    """
    _check_shapes(prediction, truth)
    return float(np.sqrt(np.mean((ensemble_mean(prediction) - truth) ** 2, dtype=np.float64)))


def crps(prediction: Array, truth: Array, *, is_sorted: bool = False) -> Array:
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
    Array
        Shape (...). Single elements may be negative, the expectation is not.
    """
    _check_shapes(prediction, truth)
    members = len(prediction)
    deviation = (prediction if is_sorted else np.sort(prediction, axis=0)) - truth
    weights = (2 * np.arange(1, members + 1) - members - 1) / max(members * (members - 1), 1)
    # Not tensordot: threads of the linear algebra library wait for each other longer than this product takes.
    spread = np.einsum("m,m...->...", weights.astype(deviation.dtype), deviation)
    return np.abs(deviation, out=deviation).mean(axis=0) - spread


def spread_variance(prediction: Array) -> Array:
    """Squared error that a calibrated ensemble mean should have, shape (...): ``(M + 1) / M`` times the unbiased variance.

    The factor adds the sampling error of the mean of M members (Fortin et al. 2014, doi:10.1175/JHM-D-14-0008.1).
    """
    members = _several_members(prediction)
    return np.var(prediction, axis=0, ddof=1) * ((members + 1) / members)


def spread_skill(prediction: Array, truth: Array) -> float:
    """Spread over skill, 1 for a calibrated ensemble, above 1 where it is too wide; NaN if the error is exactly 0."""
    error = rmse(prediction, truth)
    spread = float(np.sqrt(np.mean(spread_variance(prediction), dtype=np.float64)))
    return spread / error if error > 0 else float("nan")


def rank_range(prediction: Array, truth: Array) -> tuple[Array, Array]:
    """Numbers of members below and not above the truth, each of shape (...); they differ where there are ties."""
    _check_shapes(prediction, truth)
    below = np.count_nonzero(prediction < truth, axis=0)
    not_above = np.count_nonzero(prediction <= truth, axis=0)
    return below.astype(np.float32), not_above.astype(np.float32)


def coverage(prediction: Array, truth: Array, level: float) -> float:
    """Fraction of truths inside the central interval of probability ``level``; nominal if calibrated.

    Rank based, hence nominal for *any* number of members and any level as long as truth and members are
    exchangeable; see :func:`covered`. (The interval from lowest to highest of M members covers only
    ``(M - 1) / (M + 1)``, whatever is claimed of it.)
    """
    members = _several_members(prediction)
    return float(np.mean(covered(*rank_range(prediction, truth), members, level), dtype=np.float64))


def covered(below: Array, not_above: Array, members: int, level: float) -> Array:
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


def pit(prediction: Array, truth: Array, *, seed: int) -> Array:
    """Randomised probability integral transform of each element, shape (...): uniform on [0, 1] if calibrated."""
    below, not_above = rank_range(prediction, truth)
    uniform = np.random.default_rng(seed).random(truth.shape)
    return (below + uniform * (not_above - below + 1)) / (len(prediction) + 1)


def rank_histogram(prediction: Array, truth: Array, *, seed: int) -> NDArray[np.int64]:
    """Counts of the rank of the truth among M members, shape (M + 1,); ties are broken at random."""
    ranks = np.floor(pit(prediction, truth, seed=seed) * (len(prediction) + 1)).astype(np.int64)
    return np.bincount(ranks.ravel(), minlength=len(prediction) + 1)


def quantile(prediction: Array, probability: float, *, is_sorted: bool = False) -> Array:
    """Quantile of a future draw, shape (...): order statistic at Weibull's position ``probability * (M + 1)``.

    An exchangeable truth lies below the k-th of M members with probability ``k / (M + 1)``. Positions between
    members are interpolated, positions outside are the lowest or highest member.
    """
    check_level(probability)
    members = len(prediction)
    ordered = prediction if is_sorted else np.sort(prediction, axis=0)
    position = min(max(probability * (members + 1), 1.0), float(members))
    lower = int(position)
    weight = position - lower
    return ordered[lower - 1] * (1 - weight) + ordered[min(lower, members - 1)] * weight


def central_interval(prediction: Array, level: float, *, is_sorted: bool = False) -> tuple[Array, Array]:
    """Lower and upper end, each of shape (...), of the central interval of probability ``level``.

    For levels above ``(M - 1) / (M + 1)`` it is the range of the members and covers that much only.
    """
    _several_members(prediction)
    check_level(level)
    ordered = prediction if is_sorted else np.sort(prediction, axis=0)
    tail = (1 - level) / 2
    return quantile(ordered, tail, is_sorted=True), quantile(ordered, 1 - tail, is_sorted=True)


def interval_score(lower: Array, upper: Array, truth: Array, level: float) -> Array:
    """Winkler score of a central interval, shape (...), in the field's unit: width plus 2/alpha times the miss.

    Gneiting & Raftery 2007, eq. 43, doi:10.1198/016214506000001437, with alpha = 1 - ``level``.
    """
    check_level(level)
    miss = np.maximum(lower - truth, 0) + np.maximum(truth - upper, 0)
    return (upper - lower) + 2 / (1 - level) * miss


def brier(prediction: Array, truth: Array, threshold: float) -> Array:
    """Fair Brier score of the event *above* ``threshold``, shape (...): ``(p - o)² - p (1 - p) / (M - 1)``."""
    _check_shapes(prediction, truth)
    members = len(prediction)
    probability = np.count_nonzero(prediction > threshold, axis=0) / members
    excess = probability * (1 - probability) / max(members - 1, 1)
    return (probability - (truth > threshold)) ** 2 - excess


def _several_members(prediction: Array) -> int:
    if len(prediction) < 2:
        raise ValueError(f"prediction: expected at least 2 members, got {len(prediction)}")
    return len(prediction)


def _check_shapes(prediction: Array, truth: Array) -> None:
    if prediction.shape[1:] != truth.shape or len(prediction) < 1:
        raise ValueError(f"prediction: expected shape (member, *truth) = (>= 1, {truth.shape}), got {prediction.shape}")


def check_level(level: float) -> None:
    """Raise ``ValueError`` unless ``level`` is a probability strictly between 0 and 1."""
    if not 0 < level < 1:
        raise ValueError(f"level: expected a probability between 0 and 1, got {level}")
