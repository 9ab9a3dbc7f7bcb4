"""Pores on cells: anti-aliased by sub-cells, or averaged from pixels of another size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from probtokens.simulate.microstructure.shapes import Outline

#: Gas volume fraction of solid cells and solid fraction of pore cells: the diffuse-interface floors.
#: The solid's is larger because it is stored as the complement of the gas fraction, which single
#: precision resolves to 6e-8 only.
GAS_FLOOR = 1e-6
SOLID_FLOOR = 1e-4

#: Sub-cells per cell edge used for anti-aliasing.
SUBCELLS = 4

#: Half-width of the square in which a pore is looked for, in units of its reach: no wobble leaves it.
_WINDOW = 2.0


def gas_fraction(void: np.ndarray) -> np.ndarray:
    """Gas volume fraction, between the floors, of cells whose area fraction of voids is ``void``."""
    return GAS_FLOOR + (1.0 - GAS_FLOOR - SOLID_FLOOR) * void


def void_fraction(gas: np.ndarray) -> np.ndarray:
    """Area fraction of voids that :func:`gas_fraction` came from."""
    return (gas - GAS_FLOOR) / (1.0 - GAS_FLOOR - SOLID_FLOOR)


def inside(pores: Sequence[Outline], ny: int, nx: int, fine: float) -> np.ndarray:
    """Which points of a grid (ny, nx) of spacing ``fine`` [µm] lie inside a pore, bool."""
    x, y = ((np.arange(n) + 0.5) * fine for n in (nx, ny))
    found = np.zeros((ny, nx), dtype=bool)
    for pore in pores:
        half = _WINDOW * pore.reach
        columns, rows = (slice(*np.searchsorted(c, (o - half, o + half))) for c, o in zip((x, y), pore.centre, strict=True))
        found[rows, columns] |= pore.level(np.stack(np.meshgrid(x[columns], y[rows]), axis=-1)) < 0.0
    return found


def cell_average(sub_cells: np.ndarray) -> np.ndarray:
    """Area fraction (ny, nx) from sub-cells (ny · SUBCELLS, nx · SUBCELLS)."""
    ny, nx = (n // SUBCELLS for n in sub_cells.shape)
    return sub_cells.reshape(ny, SUBCELLS, nx, SUBCELLS).mean(axis=(1, 3))


def area_average(pixels: np.ndarray, pixel_size: float, ny: int, nx: int, spacing: float) -> np.ndarray:
    """Area average (ny, nx) over cells of edge ``spacing`` of ``pixels`` (row, column) of edge ``pixel_size``, first corners aligned.

    Exact for any ratio of the two: a pixel counts in each cell by the area it covers there. The
    pixels must cover the cells.
    """
    per_cell = spacing / pixel_size
    rows = _sums(pixels, np.arange(ny + 1) * per_cell)
    sums = _sums(rows.T, np.arange(nx + 1) * per_cell).T
    # Edges of cells and pixels that differ by round-off leave a trace of gas in the next cell: 1e-9 is below every floor.
    return np.round(sums / per_cell**2, 9)


def _sums(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Integrals of steps of unit width (step, other) between neighbouring ``edges``, (len(edges) - 1, other)."""
    until = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0, dtype=np.float64)])
    whole = np.minimum(edges.astype(int), len(values) - 1)
    part = np.minimum(edges - whole, 1.0)[:, None]
    return np.diff(until[whole] + part * (until[whole + 1] - until[whole]), axis=0)
