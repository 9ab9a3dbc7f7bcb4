"""Positions of fronts and interfaces between cell centres."""

from __future__ import annotations

import numpy as np


def last_fall(profile: np.ndarray, level: float, spacing: float) -> float:
    """Where ``profile`` (x,) last falls through ``level``, by linear interpolation between cell centres.

    Raises
    ------
    ValueError
        If it does not do so inside the domain.
    """
    above = np.flatnonzero(profile > level)
    if above.size == 0 or above[-1] + 1 == profile.size:
        raise ValueError(f"front: expected a profile that falls through {level:g}, got {profile.min():g} to {profile.max():g}")
    last = above[-1]
    inside = (profile[last] - level) / (profile[last] - profile[last + 1])
    return float((last + 0.5 + inside) * spacing)


def first_rise(profile: np.ndarray, level: float, spacing: float) -> float:
    """Where ``profile`` (x,) first rises through ``level``; raises as :func:`last_fall` does."""
    return profile.size * spacing - last_fall(profile[::-1], level, spacing)
