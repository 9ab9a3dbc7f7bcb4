"""Names that the reader and the writer of The Well's HDF5 layout share, and the check of values."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from probtokens.data.the_well.faults import fault
from probtokens.fields import FieldSpec
from probtokens.units import OUR_UNITS, in_unit

#: Groups that every file has, even if empty.
GROUPS = ("dimensions", "boundary_conditions", "scalars", "t0_fields", "t1_fields", "t2_fields")

#: Tensor order of the fields in each field group.
FIELD_GROUPS = {"t0_fields": 0, "t1_fields": 1, "t2_fields": 2}

#: Order of the spatial axes, and of vector components, in files.
FILE_DIMS = ("x", "y")

#: Unit of each coordinate axis of which nobody tells another.
AXIS_UNITS = {"time": OUR_UNITS.time, "x": OUR_UNITS.length, "y": OUR_UNITS.length}

#: Side of the domain -> (axis, position of its cells on that axis).
SIDES = {"left": ("x", 0), "right": ("x", -1), "bottom": ("y", 0), "top": ("y", -1)}

#: Kinds of boundary that the layout knows.
BOUNDARY_TYPES = ("WALL", "OPEN", "PERIODIC")


def periodic_axes(boundary: Mapping[str, str]) -> str:
    """Axes whose sides are periodic.

    Raises
    ------
    ValueError
        If one side of an axis is and the other is not.

    Examples
    --------
    >>> periodic_axes({"left": "OPEN", "right": "OPEN", "bottom": "PERIODIC", "top": "PERIODIC"})
    'y'
    """
    for pair in (("left", "right"), ("bottom", "top")):
        if [boundary[side] for side in pair].count("PERIODIC") == 1:
            raise ValueError(f"boundary: expected both or neither of {pair} to be PERIODIC, got {dict(boundary)}")
    return "".join(axis for axis, side in (("x", "left"), ("y", "bottom")) if boundary[side] == "PERIODIC")


def boundary_of(periodic: str) -> dict[str, str]:
    """Edges of a domain of which the periodic axes alone are known; the others are open.

    Examples
    --------
    >>> boundary_of("y")
    {'left': 'OPEN', 'right': 'OPEN', 'bottom': 'PERIODIC', 'top': 'PERIODIC'}
    """
    return {side: "PERIODIC" if axis in periodic else "OPEN" for side, (axis, _) in SIDES.items()}


def components(name: str, order: int) -> tuple[str, ...]:
    """Scalar fields that a field of this tensor order has, in the order of the file.

    Examples
    --------
    >>> components("velocity", 1), components("pressure", 0)
    (('velocity_x', 'velocity_y'), ('pressure',))
    """
    suffixes = map("".join, itertools.product(FILE_DIMS, repeat=order))
    return tuple(f"{name}_{suffix}" if suffix else name for suffix in suffixes)


def check_values(values: np.ndarray, spec: FieldSpec, *, path: Path, simulation: int, first_frame: int = 0) -> None:
    """Refuse values that are not finite or lie outside the field's physical bounds.

    Parameters
    ----------
    values
        Frames of one simulation, shape (time, y, x), in the unit of ``spec``.
    spec
        The field; see :attr:`~probtokens.fields.FieldSpec.limits`.
    path, simulation, first_frame
        Where the values are, for the message.

    Raises
    ------
    ValueError
        Naming file, field, simulation and the first bad frame.
    """
    low, high = spec.limits
    smallest, largest = float(values.min()), float(values.max())
    if np.isfinite(smallest) and np.isfinite(largest) and low <= smallest and largest <= high:
        return
    bad = ~(np.isfinite(values) & (values >= low) & (values <= high))
    frame, y, x = (int(i) for i in np.argwhere(bad)[0])
    where = f"field {spec.name!r}, simulation {simulation}, frame {first_frame + frame}"
    got = f"{values[frame, y, x]} at (y, x) = ({y}, {x})"
    raise fault(path, in_unit(f"finite values in [{low:g}, {high:g}]", spec.unit), got, where=where)
