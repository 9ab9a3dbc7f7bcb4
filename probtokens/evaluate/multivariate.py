"""Scores of whole fields, after averaging over token-sized blocks: is the spatial dependence right?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probtokens.ensembles import Floats, as_ensemble, as_floats


class Pairs(NamedTuple):
    """Pairs of lattice sites: positions ``first`` and ``second`` in the flat lattice, weights that add up to 1."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    weight: NDArray[np.float64]


def pool(field: ArrayLike, size: int) -> Floats:
    """Average over ``size`` by ``size`` blocks: shape (..., y, x) to (..., y // size, x // size).

    Rows and columns left over at the far edges are dropped.

    Raises
    ------
    ValueError
        If the field is smaller than one block.
    """
    values = as_floats(field, "field")
    ny, nx = values.shape[-2] // size, values.shape[-1] // size
    if ny < 1 or nx < 1:
        raise ValueError(f"pool: expected a field of at least {size} x {size} cells, got {values.shape[-2]} x {values.shape[-1]}")
    rows = values[..., : ny * size, : nx * size].reshape(*values.shape[:-2], ny, size, nx * size).mean(axis=-2)
    return rows.reshape(*rows.shape[:-1], nx, size).mean(axis=-1)


def energy_score(prediction: ArrayLike, truth: ArrayLike) -> float:
    """Fair energy score, in the field's unit, of a field taken as one vector and divided by the root of its length.

    ``mean |x_i - y| - sum_ij |x_i - x_j| / (2 M (M - 1))`` with the root mean square as norm, so that fields of
    different size compare (Gneiting & Raftery 2007, section 4.3). Distances between members are found about the ensemble mean:
    few digits are lost where members agree far from the truth.

    Parameters
    ----------
    prediction, truth
        Shapes (member, ...) and (...).

    Raises
    ------
    ValueError
        If there is no member or the shapes do not fit.
    """
    values, target = as_ensemble(prediction, truth)
    members = len(values)
    skill = np.sqrt(np.square(values - target).reshape(members, -1).mean(axis=1)).mean()
    anomaly = (values - values.mean(axis=0)).reshape(members, -1)
    gram = anomaly @ anomaly.T / anomaly.shape[1]
    square = np.diagonal(gram)
    distance = np.sqrt(np.maximum(square[:, None] + square[None, :] - 2 * gram, 0))
    np.fill_diagonal(distance, 0)
    return float(skill - distance.sum() / max(2 * members * (members - 1), 1))


def lattice_pairs(ny: int, nx: int, reach: int = 2) -> Pairs:
    """All pairs of sites at most ``reach`` apart along each axis, weighted by inverse distance."""
    rows, columns = np.divmod(np.arange(ny * nx), nx)
    first, second, weight = [], [], []
    for dy in range(reach + 1):
        for dx in range(-reach if dy else 1, reach + 1):
            inside = (rows + dy < ny) & (columns + dx >= 0) & (columns + dx < nx)
            start = np.flatnonzero(inside)
            first.append(start)
            second.append(start + dy * nx + dx)
            weight.append(np.full(len(start), 1 / np.hypot(dy, dx)))
    weights = np.concatenate(weight)
    return Pairs(np.concatenate(first), np.concatenate(second), weights / max(weights.sum(), 1e-300))


def variogram_score(prediction: ArrayLike, truth: ArrayLike, pairs: Pairs, order: float = 0.5) -> float:
    """Fair variogram score over ``pairs`` of sites, in the field's unit to the power of 2 ``order``.

    ``sum_p w_p ((v_p(y) - mean v_p(x))² - var v_p(x) / M)``, v the difference between two sites to the power ``order``
    (Scheuerer & Hamill 2015, doi:10.1175/MWR-D-14-00269.1).

    Parameters
    ----------
    prediction, truth
        Shapes (member, ...) and (...), flattened in C order to sites.

    Raises
    ------
    ValueError
        If there is no member or the shapes do not fit.
    """
    values, target = as_ensemble(prediction, truth)
    members = len(values)
    flat, line = values.reshape(members, -1), target.ravel()
    variogram = np.abs(flat[:, pairs.first] - flat[:, pairs.second]) ** order
    observed = np.abs(line[pairs.first] - line[pairs.second]) ** order
    excess = variogram.var(axis=0, ddof=1) / members if members > 1 else 0.0
    return float(np.sum(pairs.weight * ((observed - variogram.mean(axis=0)) ** 2 - excess)))
