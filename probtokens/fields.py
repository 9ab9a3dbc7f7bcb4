"""Physical fields and the grid they live on: names, units and transforms, never channel numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any

from probtokens.units import OUR_UNITS, Units, in_unit, mend, same_dimension, spelled

#: Spatial dimensions of every array in the package, slowest first.
SPATIAL_DIMS = ("y", "x")

#: Names of the material velocity along (x, y) [km/s = µm/ns], for models that move what they describe with it.
VELOCITY = ("velocity_x", "velocity_y")

#: Relative difference of two cell sizes or frame steps that counts as none.
STEP_RTOL = 1e-5

#: How far a field bounded on both sides may leave its range, as a part of the range.
BOUND_TOLERANCE = 1e-3


def _is(kind: type, value: Any) -> bool:
    """Whether a value, whatever its annotation says, is of a kind of numbers."""
    return isinstance(value, kind)


#: Vector, and axes of odd symmetry, of the known fields that are components.
_COMPONENTS = {VELOCITY[0]: ("velocity", "x"), VELOCITY[1]: ("velocity", "y")}


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One physical field.

    Attributes
    ----------
    name
        Identifier used in files, arrays and scores, e.g. ``"temperature"``.
    unit
        Unit string written to files and axis labels, e.g. ``"K"``.
    label
        Human-readable name for figures; ``name`` with spaces by default.
    lower, upper
        Physical bounds, ``None`` where there is none. Values outside are a data error.
    odd
        Axes along which a mirror image changes the sign: ``"y"`` of a velocity along y, ``"xy"`` of a vorticity or a shear stress,
        ``""`` of a temperature. What is not declared is that of the known field of this name, or ``""``.
    vector
        Vector that this is a component of, ``""`` if of none; its components share a scale. What is not declared is that of the known
        field of this name, or ``""``.
    constant
        Whether it keeps the values of the first frame. Models see it at every step and never change it; it has no scores.

    Raises
    ------
    ValueError
        If ``odd`` is something else, a name or unit is no text, or no value is within the bounds.

    Examples
    --------
    >>> FieldSpec("vorticity", "1/ns", odd="xy").mirror_sign("y")
    -1.0
    """

    name: str
    unit: str
    label: str = ""
    lower: float | None = None
    upper: float | None = None
    odd: str | None = None
    vector: str | None = None
    constant: bool = False

    def __post_init__(self) -> None:
        texts = (self.name, self.unit, self.label, self.vector or "")
        if not all(isinstance(text, str) for text in texts):
            raise ValueError(f"field {self.name!r}: expected name, unit, label and vector as text, got {texts}")
        if not self.label:
            object.__setattr__(self, "label", self.name.replace("_", " "))
        vector, odd = _COMPONENTS.get(self.name, ("", ""))
        if self.vector is None:
            object.__setattr__(self, "vector", vector)
        if self.odd is None:
            object.__setattr__(self, "odd", odd)
        if self.odd not in ("", "x", "y", "xy"):
            raise ValueError(f"field {self.name!r}: expected odd '', 'x', 'y' or 'xy', got {self.odd!r}")
        if not (self.lower is None or self.upper is None or self.lower < self.upper):
            raise ValueError(f"field {self.name!r}: expected lower < upper, got {self.lower} and {self.upper}")

    def mirror_sign(self, axis: str) -> float:
        """What values are multiplied with in a mirror image along ``axis``, ``"x"`` or ``"y"``: -1 or 1."""
        return -1.0 if axis in (self.odd or "") else 1.0

    @property
    def limits(self) -> tuple[float, float]:
        """Least and largest value that counts as physical; a range bounded on both sides may be left by a little."""
        slack = BOUND_TOLERANCE * (self.upper - self.lower) if self.lower is not None and self.upper is not None else 0.0
        return (-math.inf if self.lower is None else self.lower - slack, math.inf if self.upper is None else self.upper + slack)


#: Curves beside that of a field's mean over its hot spots, which has the field's name.
_OTHER_CURVES = (
    *("area", "area_rate", "hotspot_count", "hotspot_size", "largest_hotspot", "front", "front_rate", "mean_pressure"),
    *("mean_reacted_fraction", "mean_reacted_fraction_rate", "reacted_fall"),
)

#: Fields that the built-in simulator writes. Other data sets bring their own.
KNOWN_FIELDS: dict[str, FieldSpec] = {
    spec.name: spec
    for spec in (
        FieldSpec("temperature", "K", "temperature", lower=0.0),
        FieldSpec("pressure", "GPa", "pressure"),
        FieldSpec("solid_fraction", "1", "solid volume fraction", lower=0.0, upper=1.0),
        FieldSpec("reacted_fraction", "1", "reacted mass fraction", lower=0.0, upper=1.0),
        FieldSpec("velocity_x", "km/s", "velocity along x"),
        FieldSpec("velocity_y", "km/s", "velocity along y"),
    )
}

#: Units of the scalars that the built-in simulator writes, where nobody tells others.
KNOWN_SCALARS = {"shock_pressure": "GPa"}


@dataclass(frozen=True, slots=True)
class HotSpot:
    """What counts as a hot spot: the cells where one field exceeds a threshold.

    Attributes
    ----------
    field
        Name of the field.
    threshold
        Finite value in the field's unit.

    Raises
    ------
    ValueError
        If the threshold is not finite or the field has the name of another curve.

    Examples
    --------
    >>> HotSpot("temperature", 875.0).curves
    ('area', 'temperature')
    """

    field: str
    threshold: float

    def __post_init__(self) -> None:
        if not _is(Real, self.threshold) or not math.isfinite(self.threshold):
            raise ValueError(f"hot spots of {self.field!r}: expected a finite threshold, got {self.threshold}")
        if self.field in _OTHER_CURVES:
            raise ValueError(f"hot spots: expected a field that is not named as one of the curves of scores, got {self.field!r}")

    @property
    def curves(self) -> tuple[str, str]:
        """Names of the curves that every score and picture has: area, and the field's mean over it."""
        return ("area", self.field)


def field_spec(name: str, unit: str | None = None, *, odd: str | None = None, vector: str | None = None) -> FieldSpec:
    """Return the known spec called ``name`` in the given unit, or a plain one with this unit, symmetry and vector.

    Bounds of a known field are turned into the unit; one that has no dimension where the field has one has no bounds.

    Raises
    ------
    ValueError
        If ``unit`` has another dimension than a known field, and any.

    Examples
    --------
    >>> field_spec("temperature", "degC").lower, field_spec("pressure", "kPa").unit, field_spec("temperature", "1").lower
    (-273.15, 'kPa', None)
    """
    known = KNOWN_FIELDS.get(name)
    if known is None:
        return FieldSpec(name, unit or "1", odd=odd, vector=vector)
    if unit is None or unit == known.unit:
        return known
    try:
        same, none = same_dimension(unit, known.unit), same_dimension(unit, "1")
    except ValueError:
        same = none = False
    if not (same or none):
        raise ValueError(f"field {name!r}: expected unit {known.unit!r}, another of its dimension, or '1', got {unit!r}")
    if not same:
        return replace(known, unit=spelled(unit), lower=None, upper=None)
    mending = mend(known.unit, unit)
    lower, upper = (None if bound is None else bound * mending.factor + mending.offset for bound in (known.lower, known.upper))
    return replace(known, unit=mending.unit, lower=lower, upper=upper)


def field_index(fields: Sequence[FieldSpec], name: str) -> int:
    """Position of the field called ``name``.

    Raises
    ------
    ValueError
        If no field has that name.
    """
    names = [spec.name for spec in fields]
    if name not in names:
        raise ValueError(f"field {name!r}: expected one of {names}")
    return names.index(name)


@dataclass(frozen=True, slots=True)
class Grid:
    """Uniform Cartesian grid in space and time.

    Attributes
    ----------
    ny, nx
        Number of cells along y and x.
    spacing
        Cell edge, in ``length_unit``, the same along both axes.
    time_step
        Time between stored frames, in ``time_unit``.
    n_times
        Number of stored frames, the initial one included.
    periodic
        Axes whose ends meet: ``""``, ``"x"``, ``"y"`` or ``"xy"``.
    length_unit, time_unit
        Units of lengths and times, ``"1"`` of numbers without dimension.

    Raises
    ------
    ValueError
        If a size is no whole number, or a size or step is not positive.

    Examples
    --------
    >>> Grid(ny=64, nx=96, spacing=0.05, time_step=0.02, n_times=21).shape
    (64, 96)
    """

    ny: int
    nx: int
    spacing: float
    time_step: float
    n_times: int
    periodic: str = ""
    length_unit: str = OUR_UNITS.length
    time_unit: str = OUR_UNITS.time

    def __post_init__(self) -> None:
        if self.periodic not in ("", "x", "y", "xy"):
            raise ValueError(f"grid periodic: expected '', 'x', 'y' or 'xy', got {self.periodic!r}")
        for name in ("ny", "nx", "spacing", "time_step", "n_times"):
            value, kind = getattr(self, name), Real if name in ("spacing", "time_step") else Integral
            if not _is(kind, value) or not value > 0:
                what = "" if kind is Real else "a whole number "
                raise ValueError(f"grid {name}: expected {what}> 0, got {value}")

    @property
    def shape(self) -> tuple[int, int]:
        """Cells along (y, x)."""
        return (self.ny, self.nx)

    @property
    def edges(self) -> str:
        """What models have to know of the edges, in words."""
        return f"edges that are periodic along {' and '.join(self.periodic)}" if self.periodic else "edges that are not periodic"

    @property
    def units(self) -> Units:
        """Units of lengths and times, and those that follow from them."""
        return Units(self.length_unit, self.time_unit)

    @property
    def cell_area(self) -> float:
        """Area of one cell, in ``units.area``."""
        return self.spacing**2

    def scaled(self, cell_width: float = 1.0, steps_per_frame: int = 1) -> Grid:
        """The same domain and time in cells of so many times the width, with one frame for so many steps of this grid.

        Examples
        --------
        >>> coarse = Grid(ny=64, nx=96, spacing=0.05, time_step=0.02, n_times=21).scaled(cell_width=2, steps_per_frame=4)
        >>> coarse.shape, coarse.spacing, coarse.time_step, coarse.n_times
        ((32, 48), 0.1, 0.08, 6)
        """
        ny, nx = (max(1, round(cells / cell_width)) for cells in self.shape)
        n_times = (self.n_times - 1) // steps_per_frame + 1
        return replace(self, ny=ny, nx=nx, spacing=self.spacing * cell_width, time_step=self.time_step * steps_per_frame, n_times=n_times)

    @property
    def steps(self) -> str:
        """Cell edge and frame step with their units, e.g. ``"cells of 0.04 µm and frames every 0.02 ns"``."""
        return (
            f"cells of {in_unit(f'{self.spacing:g}', self.length_unit)} and frames every {in_unit(f'{self.time_step:g}', self.time_unit)}"
        )

    def speed(self, value: float, unit: str) -> float:
        """A speed in cell lengths' unit per frame times' unit, from one in ``unit``; of a grid without dimensions as it is."""
        own = f"({self.length_unit})/({self.time_unit})"
        if self.units == OUR_UNITS and unit == "km/s":
            return value
        return value * mend(unit, own).factor if same_dimension(unit, own) else value

    def in_units(self, units: Units) -> Grid:
        """The same grid with lengths and times in other units.

        Raises
        ------
        ValueError
            If one has no dimension, or another.
        """
        try:
            length, time = (mend(own, other).factor for own, other in zip(self.units, units, strict=True))
        except ValueError as error:
            raise ValueError(f"grid: expected {error}") from None
        return replace(self, spacing=self.spacing * length, time_step=self.time_step * time, length_unit=units.length, time_unit=units.time)

    def compatible_with(self, other: Grid, rtol: float = STEP_RTOL) -> bool:
        """Whether cell size, frame step, their units and periodic axes agree, whatever the extent."""
        if self.periodic != other.periodic or self.units != other.units:
            return False
        return abs(self.spacing - other.spacing) <= rtol * self.spacing and abs(self.time_step - other.time_step) <= rtol * self.time_step
