"""Where pores lie: a given number kept apart by circles, or as many as a porosity needs kept apart by their outlines."""

from __future__ import annotations

import math

import numpy as np
from scipy.ndimage import distance_transform_edt

from probtokens.config import MicrostructureConfig
from probtokens.simulate.microstructure.population import draw_pore
from probtokens.simulate.microstructure.rasterize import SUBCELLS, inside
from probtokens.simulate.microstructure.shapes import Outline

#: Attempts to place one pore, by circles and by outlines.
ATTEMPTS = 200
PACKING_ATTEMPTS = 2000
#: Restarts of a whole microstructure. Twelve pores find room in the default meso domain once in eleven times; with these
#: restarts they fail less than once in 1e20 times.
RESTARTS = 500
#: Sets of pores drawn to come this near to a porosity, relative to it.
POPULATIONS = 20
TOLERANCE = 0.01
PACKING_RESTARTS = 20


def place(ny: int, nx: int, spacing: float, config: MicrostructureConfig, generator: np.random.Generator) -> np.ndarray:
    """Sub-cells (ny · SUBCELLS, nx · SUBCELLS) inside ``config.n_pores`` pores that keep apart by circles around them.

    Raises
    ------
    ValueError
        If a pore of the drawn size cannot fit the domain or the pores cannot be placed.
    """
    extent = np.array([nx, ny]) * spacing
    low, high = config.n_pores
    count = int(generator.integers(low, high + 1))
    for _ in range(RESTARTS):
        placed = _place(count, extent, config, generator)
        if placed is not None:
            return inside(placed, ny * SUBCELLS, nx * SUBCELLS, spacing / SUBCELLS)
    raise ValueError(_no_room(f"{count} pores", extent, config))


def _place(count: int, extent: np.ndarray, config: MicrostructureConfig, generator: np.random.Generator) -> list[Outline] | None:
    """Random sequential placement by bounding circles, or None if a pore found no room."""
    placed: list[Outline] = []
    for _ in range(count):
        pore = draw_pore(config, generator)
        reach = extent - 2.0 * (pore.reach + config.margin)
        if np.any(reach < 0.0):
            return None
        for _ in range(ATTEMPTS):
            centre = pore.reach + config.margin + reach * generator.random(2)
            if all(np.hypot(*(centre - other.centre)) - other.reach - pore.reach >= config.gap for other in placed):
                break
        else:
            return None
        placed.append(pore.placed(centre, generator.uniform(0.0, 2.0 * np.pi)))
    return placed


def pack(ny: int, nx: int, spacing: float, config: MicrostructureConfig, generator: np.random.Generator) -> np.ndarray:
    """Sub-cells (ny · SUBCELLS, nx · SUBCELLS) inside pores whose share of the domain comes nearest to a drawn porosity.

    Pores are drawn until their area passes the target; the last one stays if that comes nearer. Of
    ``POPULATIONS`` such sets the first within ``TOLERANCE`` of the target is taken, else the nearest:
    the porosity misses the target by half of one pore's at most. The largest are placed first.

    Raises
    ------
    ValueError
        If the pores are smaller than a sub-cell or find no room.
    """
    assert config.porosity is not None
    shape, fine = (ny * SUBCELLS, nx * SUBCELLS), spacing / SUBCELLS
    extent = np.array([nx, ny]) * spacing
    target = generator.uniform(config.porosity.low, config.porosity.high)
    for _ in range(PACKING_RESTARTS if config.diameter.low < np.hypot(*extent) else 0):
        stamps = _nearest(target, shape, fine, config, generator)
        packed = _packed(stamps, shape, fine, config, generator)
        if packed is not None:
            return packed
    raise ValueError(_no_room(f"pores of porosity {target:.3g}", extent, config))


def _nearest(
    share: float, shape: tuple[int, int], fine: float, config: MicrostructureConfig, generator: np.random.Generator
) -> list[np.ndarray]:
    """The set of stamps, among some, whose area comes nearest to a share of the domain, largest extent first."""
    target = share * math.prod(shape)
    best: list[np.ndarray] = []
    miss = math.inf
    for _ in range(POPULATIONS):
        stamps = _stamps(target, 3 * max(shape), fine, config, generator)
        found = abs(sum(int(stamp.sum()) for stamp in stamps) - target)
        if found < miss:
            best, miss = stamps, found
        if miss <= TOLERANCE * target:
            break
    return sorted(best, key=lambda stamp: stamp.size, reverse=True)


def _stamps(target: float, most: int, fine: float, config: MicrostructureConfig, generator: np.random.Generator) -> list[np.ndarray]:
    """Bit masks of turned pores with about ``target`` sub-cells in all, each of at most ``most`` along an edge."""
    stamps: list[np.ndarray] = []
    total = 0
    while total < target:
        stamp = _stamp(draw_pore(config, generator), generator.uniform(0.0, 2.0 * np.pi), most, fine)
        area = int(stamp.sum())
        if area == 0:
            raise ValueError(f"microstructure.diameter: expected pores larger than a sub-cell of {fine:g} µm, got {config.diameter}")
        if stamps and total + area - target > target - total:
            break
        stamps.append(stamp)
        total += area
    return stamps


def _stamp(pore: Outline, angle: float, most: int, fine: float) -> np.ndarray:
    """Sub-cells inside a turned pore, in the smallest rectangle that holds it; of a pore that no domain has room for, its middle."""
    n = 2 * math.ceil(min(2.0 * pore.reach / fine, most / 2))
    mask = inside([pore.placed(np.full(2, 0.5 * n * fine), angle)], n, n, fine)
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if len(rows) else mask[:0, :0]


def _packed(
    stamps: list[np.ndarray], shape: tuple[int, int], fine: float, config: MicrostructureConfig, generator: np.random.Generator
) -> np.ndarray | None:
    """Put every stamp at a random place where it keeps the margin and the gap, or None if one found none."""
    margin, gap = (math.ceil(min(width / fine, max(shape)) - 1e-9) for width in (config.margin, config.gap))
    found = np.zeros(shape, dtype=bool)
    near = np.zeros((shape[0] + 2 * gap, shape[1] + 2 * gap), dtype=bool)
    for stamp in stamps:
        height, width = stamp.shape
        room = np.array(shape) - 2 * margin - stamp.shape
        if np.any(room < 0):
            return None
        for _ in range(PACKING_ATTEMPTS):
            row, column = margin + generator.integers(room + 1)
            if not (near[gap:, gap:][row : row + height, column : column + width] & stamp).any():
                break
        else:
            return None
        found[row : row + height, column : column + width] |= stamp
        surroundings = distance_transform_edt(~np.pad(stamp, gap)) <= gap
        near[row : row + height + 2 * gap, column : column + width + 2 * gap] |= surroundings
    return found


def _no_room(what: str, extent: np.ndarray, config: MicrostructureConfig) -> str:
    return (
        f"microstructure: expected room for {what} of diameter {config.diameter.low}–{config.diameter.high} µm "
        f"with margin {config.margin} and gap {config.gap} µm, got a domain of {extent[0]:g} × {extent[1]:g} µm"
    )
