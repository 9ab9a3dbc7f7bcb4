"""Units of the world, mended into those of this package."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from numbers import Real
from typing import Any

import numpy as np

#: The package's unit of every dimension that it has one for.
OURS = ("µm", "ns", "GPa", "km/s", "K", "g/cm³", "kJ/g", "1/ns", "1")


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
        if self.given == self.unit:
            return "as it is"
        shift = f" {'+' if self.offset > 0 else '−'} {abs(self.offset):g}" if self.offset else ""
        return f"{self.given} → {self.unit}: × {self.factor:g}{shift}"


def mend(unit: str, target: str | None = None) -> Mending:
    """How a unit becomes the package's unit of its dimension; one of another dimension stays as it is.

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
    >>> str(mend("Pa")), str(mend("degC"))
    ('Pa → GPa: × 1e-09', 'degC → K: × 1 + 273.15')
    """
    parsed = _parse(unit)
    same = [ours for ours in OURS if _parse(ours).dimensionality == parsed.dimensionality]
    if target is not None and _parse(target).dimensionality != parsed.dimensionality:
        raise ValueError(f"a unit that becomes {target!r}, got {unit!r}")
    ours = target or (same[0] if same else None)
    if ours is None or ours == unit:
        return Mending(unit, unit)
    zero, one = (_registry().Quantity(value, parsed).to(_parse(ours)).magnitude for value in (0.0, 1.0))
    return Mending(unit, ours, float(one - zero), float(zero))


def measure(text: str, unit: str, ours: str) -> float:
    """A number with or without a unit, in our unit; one without is in ``unit``.

    Raises
    ------
    ValueError
        If it is no positive finite number, or its unit is not known or of another dimension.

    Examples
    --------
    >>> measure("50 nm", "µm", "µm"), measure("2", "mm", "µm")
    (0.05, 2000.0)
    """
    found = re.fullmatch(r"\s*([-+]?[\d.]+(?:[eE][-+]?\d+)?)\s*(.*?)\s*", text)
    try:
        number = float(found[1]) if found else np.nan
    except ValueError:
        number = np.nan
    if found is None or not 0 < number < np.inf:
        raise ValueError(f"a positive number with or without a unit, got {text!r}")
    return float(f"{number * mend(found[2] or unit, ours).factor:.12g}")


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
        return measure(str(value), unit, unit)
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
