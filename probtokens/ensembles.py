"""Ensembles of numbers of any type: computed with in double precision, the member axis always first, NaN where a number is missing."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


def as_floats(values: ArrayLike, name: str = "values") -> Floats:
    """Real numbers of any type in double precision; masked ones become NaN, and what is in double precision is not copied.

    Every score converts with this function first: squares of single-precision numbers overflow or vanish, and differences of
    unsigned ones wrap around.

    Raises
    ------
    ValueError
        If these are no real numbers.
    """
    if isinstance(values, np.ma.MaskedArray):
        values = np.ma.filled(values.astype(np.float64), np.nan)
    array = np.asarray(values.detach() if hasattr(values, "detach") else values)  # of tensors that a gradient is known of
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name}: expected real numbers, got an array of {array.dtype}")
    return array.astype(np.float64, copy=False)


def as_ensemble(prediction: ArrayLike, truth: ArrayLike) -> tuple[Floats, Floats]:
    """Members (member, ...) and truth (...) in double precision.

    Raises
    ------
    ValueError
        If there is no member, the shapes do not fit, or one is not made of real numbers.
    """
    members, target = as_floats(prediction, "prediction"), as_floats(truth, "truth")
    if members.shape[1:] != target.shape or members.ndim == 0 or len(members) < 1:
        raise ValueError(f"prediction: expected shape (member, *truth) = (>= 1, {target.shape}), got {members.shape}")
    return members, target


def check_several(prediction: ArrayLike) -> int:
    """Number of members; ``ValueError`` if there are fewer than two."""
    members = len(np.asanyarray(prediction))
    if members < 2:
        raise ValueError(f"prediction: expected at least 2 members, got {members}")
    return members


def above(values: ArrayLike, threshold: float) -> Floats:
    """1 where a value exceeds ``threshold`` and 0 elsewhere, NaN of NaN, in the shape of ``values``.

    They are compared in the precision of ``values``, so that what was stored at the threshold is not above it.
    """
    missing = np.isnan(as_floats(values))
    with np.errstate(over="ignore"):
        exceeding = np.asarray(values) > float(threshold)
    return np.where(missing, np.nan, exceeding)


def ensemble_mean(prediction: ArrayLike) -> Floats:
    """Mean over members, shape (...), from (member, ...)."""
    return as_floats(prediction, "prediction").mean(axis=0)


def spread_variance(prediction: ArrayLike) -> Floats:
    """Squared error that a calibrated ensemble mean should have, shape (...), from (member, ...).

    It is ``(M + 1) / M`` times the unbiased variance; the factor adds the sampling error of the mean of M members
    (Fortin et al. 2014, doi:10.1175/JHM-D-14-0008.1).

    Raises
    ------
    ValueError
        If there are fewer than two members.
    """
    members = check_several(prediction)
    return np.var(as_floats(prediction, "prediction"), axis=0, ddof=1) * ((members + 1) / members)


def mean_of_defined(values: Floats, axis: int | tuple[int, ...]) -> Floats:
    """Mean over an axis, or over several, of what is finite; NaN where nothing is."""
    defined = np.isfinite(values)
    total, count = np.where(defined, values, 0).sum(axis=axis), defined.sum(axis=axis)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)
