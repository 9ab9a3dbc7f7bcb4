"""Obstacles and the outside of a domain, where the data are NaN: which cells they are, and what fields hold there instead."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy.ndimage import distance_transform_edt

from probtokens.fields import SPATIAL_DIMS

#: Name of the constant field that is 1 in an obstacle and 0 elsewhere.
OBSTACLE = "obstacle"

#: Row and column, each of shape (y, x), of another cell for every cell.
Cells = tuple[np.ndarray, np.ndarray]


def nan_cells(fields: Iterable[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Cells (y, x) that are NaN in all frames of all fields (time, y, x); none of no fields.

    Examples
    --------
    >>> nan_cells([np.array([[[1.0, np.nan]], [[np.nan, np.nan]]])], (1, 2))
    array([[False,  True]])
    """
    frames = [frame for values in fields for frame in values]
    cells = np.full(shape, bool(frames))
    for frame in frames:
        cells &= np.isnan(frame)
    return cells


def nearest_outside(cells: np.ndarray, periodic: str) -> Cells:
    """For every cell the nearest one that is not among ``cells``, across periodic edges too; itself if it is not.

    Parameters
    ----------
    cells
        Shape (y, x), not true everywhere.
    periodic
        Axes whose ends meet.

    Examples
    --------
    >>> cells = np.array([[True, True, False, False]])
    >>> nearest_outside(cells, "")[1].tolist(), nearest_outside(cells, "x")[1].tolist()
    ([[2, 2, 2, 3]], [[3, 2, 2, 3]])
    """
    # Half a period on either side holds an image of every cell that is nearest across the edge.
    pads = [length // 2 if axis in periodic else 0 for axis, length in zip(SPATIAL_DIMS, cells.shape, strict=True)]
    padded = np.pad(cells, [(pad, pad) for pad in pads], mode="wrap")
    nearest = distance_transform_edt(padded, return_distances=False, return_indices=True)
    inner = tuple(slice(pad, pad + length) for pad, length in zip(pads, cells.shape, strict=True))
    y, x = ((index[inner] - pad) % length for index, pad, length in zip(nearest, pads, cells.shape, strict=True))
    return y, x


def filled(values: np.ndarray, nearest: Cells) -> np.ndarray:
    """Values (time, y, x) with those of the nearest cells, frame by frame, where the first frame is NaN."""
    holes = np.isnan(values[0])
    if not holes.any():
        return values
    y, x = (index[holes] for index in nearest)
    result = values.copy()
    result[:, holes] = values[:, y, x]
    return result
