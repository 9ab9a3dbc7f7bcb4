"""What the edges of the domain are, from the masks of a file in The Well's layout."""

from __future__ import annotations

import numpy as np

from probtokens.data.the_well.faults import listed, prefixed
from probtokens.data.the_well.hdf5 import Node
from probtokens.data.the_well.layout import BOUNDARY_TYPES, SIDES, periodic_axes
from probtokens.data.the_well.storage import require_numbers, require_stored
from probtokens.fields import Grid


def read_boundary(conditions: Node, n_simulations: int, grid: Grid) -> dict[str, str]:
    """Kind of each side; open unless said otherwise, a wall only where all of the side is.

    Raises
    ------
    ValueError
        If a kind is unknown, a mask does not fit the grid, the edges differ between simulations or frames, or an axis
        is periodic on one side only.
    """
    boundary = dict.fromkeys(SIDES, "OPEN")
    for name in conditions.members():
        condition = conditions.group(name)
        kind = (condition.text("bc_type", required=True) or "").upper()
        if kind not in BOUNDARY_TYPES:
            raise condition.fault(f"'bc_type' one of {BOUNDARY_TYPES}", repr(kind))
        dims = condition.names("associated_dims")
        mask = _read_mask(condition, dims, n_simulations, grid)
        for side, (dim, position) in SIDES.items():
            if dim not in dims:
                continue
            cells = mask.take(position, axis=dims.index(dim))
            if cells.all() if kind == "WALL" else cells.any():
                boundary[side] = kind
    try:
        periodic_axes(boundary)
    except ValueError as error:
        raise prefixed(error, conditions.path, conditions.name) from None
    return boundary


def _read_mask(condition: Node, dims: list[str], n_simulations: int, grid: Grid) -> np.ndarray:
    """Cells that a condition is about, one axis for each of ``dims``."""
    size = {"x": grid.nx, "y": grid.ny}
    if not set(dims) <= set(size) or len(set(dims)) != len(dims):
        raise condition.fault(f"'associated_dims' among {list(size)}", listed(dims))
    mask = condition.dataset("mask")
    require_numbers(mask, flags=True)
    lengths = (n_simulations, grid.n_times)
    varies = tuple(condition.has(name) and condition.flag(name) for name in ("sample_varying", "time_varying"))
    leading = tuple(length for length, vary in zip(lengths, varies, strict=True) if vary)
    expected = tuple(size[dim] for dim in dims)
    if mask.item.shape not in {expected, (*leading, *expected)}:
        raise mask.fault(f"shape {(*leading, *expected)}", mask.item.shape)
    require_stored(mask)
    values = mask.read().astype(bool).reshape(-1, *expected)
    if (values != values[0]).any():
        raise mask.fault("the same edges for all simulations and frames", "edges that vary")
    return values[0]
