"""Units of lengths, times and fields: kept as they are given, named in one way, and turned into others where that is asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from numbers import Real
from typing import Any, NamedTuple

import numpy as np

#: The package's unit of every dimension that it has one for: what its simulator writes, and what a number without unit is in.
OURS = ("µm", "ns", "GPa", "km/s", "K", "g/cm³", "kJ/g", "1/ns", "1")


class Units(NamedTuple):
    """Units of the lengths and times of a grid, and those that follow from them.

    Examples
    --------
    >>> Units("mm", "ms").area, Units("mm", "ms").rate("mm²"), Units("mm", "ms").rate("1"), Units("1", "1").rate("1")
    ('mm²', 'mm²/ms', '1/ms', '1')
    """

    length: str = OURS[0]
    time: str = OURS[1]

    @property
    def area(self) -> str:
        """Unit of areas."""
        if self.length == "1":
            return "1"
        return f"{self.length}²" if self.length.isalpha() else f"({self.length})²"

    @property
    def speed(self) -> str:
        """Unit of speeds."""
        return self.rate(self.length)

    def rate(self, unit: str) -> str:
        """Unit of the rate of something in ``unit``."""
        if self.time == "1":
            return unit
        return f"{unit}/{self.time}" if self.time.isalpha() else f"{unit}/({self.time})"


#: Units of grids of which nobody tells others.
OUR_UNITS = Units()


def in_unit(text: str, unit: str) -> str:
    """A number followed by its unit, unless it has none.

    >>> in_unit("0.5", "mm"), in_unit("0.5", "1")
    ('0.5 mm', '0.5')
    """
    return text if unit == "1" else f"{text} {unit}"


def spelled(unit: str) -> str:
    """A unit as the package spells it, if it has a spelling for it; else as it is given.

    Raises
    ------
    ValueError
        If ``pint`` does not know it.

    Examples
    --------
    >>> spelled("um"), spelled("kg m-3"), spelled("mm"), spelled("dimensionless")
    ('µm', 'kg m-3', 'mm', '1')
    """
    if unit in OURS:
        return unit
    parsed = _parse(unit)
    return next((one for one in OURS if _parse(one) == parsed), unit.strip())


def ours(unit: str) -> str:
    """The package's unit of a unit's dimension; the unit itself where it has none.

    >>> ours("kPa"), ours("V")
    ('GPa', 'V')
    """
    return next((one for one in OURS if same_dimension(unit, one)), unit)


def same_dimension(unit: str, other: str) -> bool:
    """Whether two units are of one dimension.

    Raises
    ------
    ValueError
        If ``pint`` does not know one.
    """
    return unit == other or bool(_parse(unit).dimensionality == _parse(other).dimensionality)


def equal(unit: str, other: str) -> bool:
    """Whether two units are one, however they are written; those that ``pint`` does not know only if they are written alike.

    >>> equal("µm/ns", "km/s"), equal("mm", "µm")
    (True, False)
    """
    try:
        return unit == other or (same_dimension(unit, other) and str(mend(unit, other)) == "as it is")
    except ValueError:
        return False


def unit_of(unit: str, other: str) -> str:
    """A unit of the dimension of ``other``, or of none, in the package's spelling.

    Raises
    ------
    ValueError
        If it is of another dimension, or ``pint`` does not know it.

    Examples
    --------
    >>> unit_of("mm", "µm"), unit_of("1", "µm"), unit_of("um", "µm")
    ('mm', '1', 'µm')
    """
    if not same_dimension(unit, other) and not same_dimension(unit, "1"):
        raise ValueError(f"a unit of the dimension of {other!r}, got {unit!r}")
    return spelled(unit)


@dataclass(frozen=True, slots=True)
class Mending:
    """How values in one unit become values in another: times ``factor``, plus ``offset``.

    Attributes
    ----------
    given, unit
        Unit of the values, and the one that they get.
    factor, offset
        As above.
    """

    given: str
    unit: str
    factor: float = 1.0
    offset: float = 0.0

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Values in the new unit; computed in double precision, returned in single."""
        if self.factor == 1.0 and self.offset == 0.0:
            return np.asarray(values, dtype=np.float32)
        with np.errstate(over="ignore"):
            return (np.asarray(values, dtype=np.float64) * self.factor + self.offset).astype(np.float32)

    def __str__(self) -> str:
        if self.factor == 1.0 and self.offset == 0.0:
            return "as it is"
        shift = f" {'+' if self.offset > 0 else '−'} {abs(self.offset):g}" if self.offset else ""
        return f"{self.given} → {self.unit}: × {self.factor:g}{shift}"


def mend(unit: str, target: str | None = None) -> Mending:
    """How values in a unit become values in another; without one they stay, and the unit is spelled as the package does.

    Parameters
    ----------
    unit
        Any unit that ``pint`` knows, also as ``kg m-3``.
    target
        Unit that it has to become.

    Raises
    ------
    ValueError
        If the unit is not known, or has not the dimension of ``target``.

    Examples
    --------
    >>> str(mend("Pa")), str(mend("Pa", "GPa")), str(mend("degC", "K"))
    ('as it is', 'Pa → GPa: × 1e-09', 'degC → K: × 1 + 273.15')
    """
    if target is None or target == unit:
        return Mending(unit, spelled(unit))
    if not same_dimension(unit, target):
        raise ValueError(f"a unit that becomes {target!r}, got {unit!r}")
    zero, one = (_registry().Quantity(value, _parse(unit)).to(_parse(target)).magnitude for value in (0.0, 1.0))
    return Mending(unit, spelled(target), float(f"{one - zero:.14g}"), float(zero))


def measure(text: str, unit: str, target: str | None = None) -> tuple[float, str]:
    """A positive number with or without a unit, and its unit: ``unit`` if it has none of its own; or both turned into ``target``.

    Raises
    ------
    ValueError
        If it is no positive finite number, or its unit is not known or of another dimension than ``unit``.

    Examples
    --------
    >>> measure("50 nm", "µm"), measure("50 nm", "µm", "µm"), measure("2", "mm", "µm")
    ((50.0, 'nm'), (0.05, 'µm'), (2000.0, 'µm'))
    """
    found = re.fullmatch(r"\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*(.*?)\s*", text)
    try:
        number = float(found[1]) if found else np.nan
    except ValueError:
        number = np.nan
    if found is None or not 0 < number < np.inf:
        raise ValueError(f"a positive number with or without a unit, got {text!r}")
    own = unit_of(found[2], unit) if found[2] else unit
    mending = mend(own, target)
    return (number if mending.factor == 1.0 else float(f"{number * mending.factor:.12g}")), mending.unit


def quantity(value: Any, unit: str, name: str) -> float:
    """A length, a time or the like in ``unit``: a number, or one with a unit of its own, as text or from ``pint``.

    Raises
    ------
    ValueError
        If it is neither, or its unit is of another dimension; the message names what it is.

    Examples
    --------
    >>> quantity(0.04, "µm", "spacing"), quantity("0.5 mm", "µm", "spacing")
    (0.04, 500.0)
    """
    if isinstance(value, Real):
        return float(value)
    try:
        return measure(str(value), unit, unit)[0]
    except ValueError as error:
        raise ValueError(f"{name}: expected {error}") from None


@lru_cache(maxsize=1)
def _registry() -> Any:
    import pint

    return pint.UnitRegistry()


@lru_cache(maxsize=256)
def _parse(text: str) -> Any:
    # UDUNITS writes powers without a sign: "kg m-3".
    powers = re.sub(r"([A-Za-zµμ°Å])([-+]?\d)", r"\1**\2", text.strip())
    try:
        return _registry().parse_units(powers if powers not in ("-", "") else "1")
    except Exception as error:
        raise ValueError(f"a unit such as 'GPa' or 'm/s', got {text!r}") from error
