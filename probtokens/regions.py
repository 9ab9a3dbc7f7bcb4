"""Connected regions of cells, joined across periodic edges."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

#: Cells that touch at an edge or a corner belong to one region.
_NEIGHBOURS = np.ones((3, 3), dtype=int)


def connected_regions(cells: ArrayLike, periodic: str = "") -> tuple[NDArray[np.intp], int]:
    """Number of its region for every cell (y, x) that counts, from 1 on, 0 elsewhere; and how many regions there are.

    Cells that touch at an edge or a corner are connected, also across the edges of periodic axes.

    Parameters
    ----------
    cells
        Which cells count, shape (y, x).
    periodic
        Axes whose ends meet, as in :class:`probtokens.fields.Grid`.

    Examples
    --------
    >>> connected_regions([[1, 0, 0, 1], [0, 0, 0, 0]])[1], connected_regions([[1, 0, 0, 1], [0, 0, 0, 0]], "x")[1]
    (2, 1)
    """
    labels, number = ndimage.label(np.asarray(cells), structure=_NEIGHBOURS)
    if not periodic or not number:
        return labels.astype(np.intp), number
    wide = np.pad(labels, [(1, 1) if axis in periodic else (0, 0) for axis in "yx"], mode="wrap")
    joined, _ = ndimage.label(wide > 0, structure=_NEIGHBOURS)
    # A region of the widened frame joins all regions that it holds cells of.
    pairs = np.unique(np.stack([joined[wide > 0], wide[wide > 0]]), axis=1) - 1
    found = int(joined.max())
    graph = coo_array((np.ones(pairs.shape[1]), (pairs[0], found + pairs[1])), shape=(found + number,) * 2)
    _, together = connected_components(graph, directed=False)
    names, numbered = np.unique(together[found:], return_inverse=True)
    return np.append(0, numbered.reshape(-1) + 1)[labels], len(names)
