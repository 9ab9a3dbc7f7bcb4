"""Physics of frames: where the shock front is, and how many hot spots of which size there are."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from probtokens.ensembles import Floats, above, as_floats
from probtokens.regions import connected_regions


def hotspot_regions(values: ArrayLike, threshold: float, periodic: str = "") -> tuple[Floats, Floats]:
    """Number of connected regions above ``threshold`` and cells of the largest one, each (...), from a field (..., y, x); NaN if a cell is.

    Cells that touch at an edge or a corner are connected, also across the edges of the axes ``periodic``.

    Examples
    --------
    >>> number, largest = hotspot_regions([[9, 0, 0, 9], [0, 9, 0, 0]], threshold=5)
    >>> float(number), float(largest)
    (2.0, 2.0)
    """
    hot = above(values, threshold)
    found = np.array([_regions(frame, periodic) for frame in hot.reshape(-1, *hot.shape[-2:])])
    number, largest = found.T.reshape(2, *hot.shape[:-2])
    return number, largest


def _regions(hot: Floats, periodic: str) -> tuple[float, float]:
    if np.isnan(hot).any():
        return float("nan"), float("nan")
    labels, number = connected_regions(hot, periodic)
    return number, np.bincount(labels.ravel())[1:].max(initial=0)


def shock_front(pressure: ArrayLike, spacing: float) -> Floats:
    """Position of a shock that moves along +x into matter at rest, shape (...), from pressures (..., y, x); NaN if a cell is.

    The median over rows of where, seen from the far edge, the pressure first exceeds half of ∑p²/∑p, linear between cell centres. That
    ratio is the pressure behind a front of any position, if it is flat behind and zero ahead; tension counts as zero. A front that has
    left, and a frame of one pressure, are at the far edge; a frame without pressure is at zero.

    Parameters
    ----------
    pressure
        In any unit: a multiple of it has the same front.
    spacing
        Edge of a cell, in whose unit the position is.

    Examples
    --------
    >>> float(shock_front([[8.0, 8.0, 4.0, 0.0]], spacing=0.5))
    1.3333333333333333
    """
    values = np.maximum(as_floats(pressure, "pressure"), 0)
    total, square = values.sum(axis=(-2, -1), keepdims=True), (values**2).sum(axis=(-2, -1), keepdims=True)
    level = 0.5 * np.divide(square, total, out=np.zeros_like(total), where=total > 0)
    exceeds, last = values > level, values.shape[-1] - 1
    cell = last - exceeds[..., ::-1].argmax(axis=-1)
    inner, outer = (np.take_along_axis(values, k[..., None], axis=-1)[..., 0] for k in (cell, np.minimum(cell + 1, last)))
    inside = cell < last
    share = np.divide(inner - level[..., 0], inner - outer, out=np.full_like(inner, 0.5), where=inside & (inner > outer))
    rows = np.where(exceeds.any(axis=-1), (cell + 0.5 + share) * spacing, 0.0)
    return np.where(np.isnan(total[..., 0, 0]), np.nan, np.median(rows, axis=-1))
