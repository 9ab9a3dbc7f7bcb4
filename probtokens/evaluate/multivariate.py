"""Scores of whole fields, after averaging over token-sized blocks: is the spatial dependence right?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


class Pairs(NamedTuple):
    """Pairs of lattice sites: positions ``first`` and ``second`` in the flat lattice, weights that add up to 1."""

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    weight: NDArray[np.float64]


def pool(field: Array, size: int) -> Array:
    """Average over ``size`` by ``size`` blocks: shape (..., y, x) to (..., y // size, x // size), float64.

    Rows and columns left over at the far edges are dropped.

    Raises
    ------
    ValueError
        If the field is smaller than one block.
    """
    ny, nx = field.shape[-2] // size, field.shape[-1] // size
    if ny < 1 or nx < 1:
        raise ValueError(f"pool: expected a field of at least {size} x {size} cells, got {field.shape[-2]} x {field.shape[-1]}")
    rows = field[..., : ny * size, : nx * size].reshape(*field.shape[:-2], ny, size, nx * size).mean(axis=-2)
    return rows.reshape(*rows.shape[:-1], nx, size).mean(axis=-1, dtype=np.float64)


def energy_score(prediction: Array, truth: Array) -> float:
    """Fair energy score, in the field's unit, of a field taken as one vector and divided by the root of its length.

    ``mean |x_i - y| - sum_ij |x_i - x_j| / (2 M (M - 1))`` with the root mean square as norm, so that fields of
    different size compare (Gneiting & Raftery 2007, section 4.3).

    Parameters
    ----------
    prediction
        Shape (member, ...).
    truth
        Shape (...).
    """
    members = len(prediction)
    deviation = (prediction - truth).reshape(members, -1).astype(np.float64)
    gram = deviation @ deviation.T / deviation.shape[1]
    square = np.diagonal(gram)
    skill = np.sqrt(square).mean()
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


def variogram_score(prediction: Array, truth: Array, pairs: Pairs, order: float = 0.5) -> float:
    """Fair variogram score over ``pairs`` of sites, in the field's unit to the power of 2 ``order``.

    ``sum_p w_p ((v_p(y) - mean v_p(x))² - var v_p(x) / M)``, v the difference between two sites to the power ``order``
    (Scheuerer & Hamill 2015, doi:10.1175/MWR-D-14-00269.1).

    Parameters
    ----------
    prediction
        Shape (member, ...), flattened in C order to sites.
    truth
        Shape (...).
    """
    members = len(prediction)
    flat, target = prediction.reshape(members, -1), truth.ravel()
    variogram = np.abs(flat[:, pairs.first] - flat[:, pairs.second]) ** order
    observed = np.abs(target[pairs.first] - target[pairs.second]) ** order
    excess = variogram.var(axis=0, ddof=1) / members if members > 1 else 0.0
    return float(np.sum(pairs.weight * ((observed - variogram.mean(axis=0)) ** 2 - excess)))
