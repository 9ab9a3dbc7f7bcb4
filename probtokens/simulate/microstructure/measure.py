"""Sizes of the pores of a microstructure, as cells hold them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt, find_objects, zoom

from probtokens.regions import connected_regions
from probtokens.simulate.microstructure.rasterize import void_fraction

#: Cells with less void than this belong to no pore: less than one sub-cell.
_TRACE = 0.05
#: Points per cell edge at which the outline is looked for.
_FINE = 4


@dataclass(frozen=True, slots=True)
class Pores:
    """Sizes of pores, each of shape (pore,).

    Attributes
    ----------
    area
        Area [µm²].
    diameter
        Diameter [µm] of the disc of the same area.
    width
        Diameter [µm] of the largest circle inside: the width of a crack or of the arms of a V, to about half
        a cell.
    """

    area: np.ndarray
    diameter: np.ndarray
    width: np.ndarray


def measure_pores(gas: np.ndarray, spacing: float, periodic: str = "") -> Pores:
    """Sizes of the pores in a gas volume fraction (y, x); cells that touch, at corners and across periodic edges too, are of one pore."""
    void = void_fraction(gas)
    regions, number = connected_regions(void > _TRACE, periodic)
    single = [_cut_out(np.where(regions == one, void, 0.0), periodic) for one in range(1, number + 1)]
    area = spacing**2 * np.array([pore.sum() for pore in single])
    return Pores(area, np.sqrt(4.0 * area / np.pi), spacing * np.array([_width(pore) for pore in single]))


def _cut_out(pore: np.ndarray, periodic: str) -> np.ndarray:
    """The smallest rectangle that holds a pore; one across a periodic edge is first rolled to begin behind an empty line."""
    for axis, name in enumerate("yx"):
        empty = ~pore.any(axis=1 - axis)
        if name in periodic and empty.any():
            pore = np.roll(pore, -int(empty.argmax()), axis)
    return pore[find_objects((pore > 0).astype(int))[0]]


def _width(void: np.ndarray) -> float:
    """Twice the largest distance [cells] from the outline, where the area fraction passes half of its maximum."""
    padded = np.pad(void, 1)
    fine = zoom(padded, _FINE, order=1, grid_mode=True, mode="grid-constant")
    return 2.0 * (float(distance_transform_edt(fine > 0.5 * padded.max()).max()) - 0.5) / _FINE
