"""What a model was trained on, and what of a forecast lies outside of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

#: How far beyond the training range a value counts as outside, as a part of the range's width.
MARGIN = 0.1

#: A value that lies farther beyond the range than so many times its width, or its largest magnitude, is absurd.
ABSURD = 10.0

#: Units of one dimension, by their sizes.
_SIZES: tuple[dict[str, float], ...] = (
    {"Pa": 1.0, "kPa": 1e3, "bar": 1e5, "MPa": 1e6, "GPa": 1e9, "Mbar": 1e11},
    {"m/s": 1.0, "km/s": 1e3},
    {"kg/m³": 1.0, "g/cm³": 1e3},
    {"J/kg": 1.0, "kJ/kg": 1e3, "kJ/g": 1e6},
    {"%": 1e-2, "1": 1.0},
    {"nm": 1e-9, "µm": 1e-6, "mm": 1e-3, "m": 1.0},
    {"ps": 1e-12, "ns": 1e-9, "µs": 1e-6, "ms": 1e-3, "s": 1.0},
)

#: Zero of the Celsius scale [K], and the largest number of a crystal at rest that is taken for one of °C.
_CELSIUS, _ROOM = 273.15, 50.0

#: Values in the unit that was probably meant are at least this part of the largest in training.
_LEAST_PART = 1 / 30

#: Simulations that a warning describes; it counts the others.
_DESCRIBED = 3


class ExtrapolationWarning(UserWarning):
    """A forecast begins outside of what its model was trained on: it may be nonsense, and its spread says nothing of that.

    Examples
    --------
    >>> import warnings
    >>> from probtokens import rollout
    >>> from probtokens.verify.token_pairs import micro_tokens, window
    >>> frames, context = window()
    >>> with warnings.catch_warnings(action="error", category=ExtrapolationWarning):
    ...     rollout(micro_tokens(), frames[:, 0], context + 100.0, steps=1)
    Traceback (most recent call last):
    probtokens.data.support.ExtrapolationWarning: tokens: 2 of 2 simulations begin outside of the training range, ...
    """


class Range(NamedTuple):
    """Values of one field or scalar that a model was trained on.

    Attributes
    ----------
    name, unit
        Its name, and its unit where it is known, else ``""``.
    least, most
        Range of the training data, in that unit; NaN where it is not known, and then nothing is outside.
    margin
        How far beyond counts as inside.
    """

    name: str
    unit: str
    least: float
    most: float
    margin: float

    @property
    def limits(self) -> tuple[float, float]:
        """Least and largest value that count as inside."""
        return self.least - self.margin, self.most + self.margin

    @property
    def largest(self) -> float:
        """Largest magnitude in training."""
        return max(abs(self.least), abs(self.most))

    def holds(self, least: float, most: float) -> bool:
        """Whether values from ``least`` to ``most`` are inside."""
        low, high = self.limits
        return not (least < low or most > high)

    def absurd(self, least: float, most: float) -> bool:
        """Whether values from ``least`` to ``most`` are so far outside that no forecast from them can mean anything."""
        beyond = max(self.least - least, most - self.most)
        return beyond > ABSURD * max(self.margin / MARGIN, self.largest) or bool(self.unit_meant(least, most))

    def unit_meant(self, least: float, most: float) -> str:
        """Unit in which values from ``least`` to ``most`` would be inside, if in theirs they are not; ``""`` if there is none.

        Factors count from 100 on. Temperatures are in °C if the coldest is at most 50, which in kelvin was colder than any in training.
        """
        if self.unit == "K" and least <= _ROOM < self.least and self.holds(least + _CELSIUS, most + _CELSIUS):
            return "°C"
        if self.holds(least, most):
            return ""
        sizes = next((sizes for sizes in _SIZES if self.unit in sizes), {})
        factors = {other: size / sizes[self.unit] for other, size in sizes.items()}
        largest = max(abs(least), abs(most))
        fitting = {
            other: factor
            for other, factor in factors.items()
            if max(factor, 1 / factor) > 99.0  # 100 up to rounding
            and self.holds(least * factor, most * factor)
            and largest * factor >= _LEAST_PART * self.largest
            and (factor > 1 or largest > ABSURD * self.largest)
        }
        return max(fitting, key=lambda other: fitting[other], default="")

    def question(self, least: float, most: float) -> str:
        """What to ask of whoever gave values outside, to be put behind an error; empty if no unit explains them."""
        meant = self.unit_meant(least, most)
        return f"; are they in {meant}?" if meant else ""

    def __str__(self) -> str:
        """The training range with its unit, e.g. ``"4.87 to 13.6 GPa"``."""
        return _span(self.least, self.most) + (f" {self.unit}" if self.unit not in ("", "1") else "")


class Support(NamedTuple):
    """Ranges of all fields and context scalars that a model was trained on; :meth:`probtokens.Normalizer.support` makes it.

    A value is outside if it lies beyond the training range by more than a tenth of the range's width.

    Attributes
    ----------
    fields, scalars
        In the model's order.

    Examples
    --------
    >>> from probtokens.verify.token_pairs import normalizer, window
    >>> frames, context = window()
    >>> normalizer().support().outside(frames[:, 0], context + 2.0)
    ['', 'shock_pressure 18.5 (12 to 18 GPa in training)']
    """

    fields: tuple[Range, ...]
    scalars: tuple[Range, ...]

    def outside(self, initial: Tensor, context: Tensor, simulations: Sequence[object] | None = None) -> list[str]:
        """What of each simulation is outside, and what was seen in training; ``""`` of a simulation that is inside.

        Parameters
        ----------
        initial, context
            First frames (simulation, field, y, x) and known scalars (simulation, context), physical units.
        simulations
            Their names for messages; numbers by default.

        Raises
        ------
        ValueError
            If a value is absurd, or would be inside in another unit: the message names field or scalar, simulation, and that unit.
            Also if there are not as many fields and scalars as in training.
        """
        least, most = (torch.cat([ends, context], 1).tolist() for ends in (initial.amin((-2, -1)), initial.amax((-2, -1))))
        if (initial.shape[1], context.shape[1]) != (expected := (len(self.fields), len(self.scalars))):
            raise ValueError(f"support: expected {expected} fields and scalars, got {(initial.shape[1], context.shape[1])}")
        names = range(len(least)) if simulations is None else simulations
        return [self._outside(*row) for row in zip(names, least, most, strict=True)]

    def _outside(self, simulation: object, least: Sequence[float], most: Sequence[float]) -> str:
        """What of one simulation is outside, given the ends of all its fields and scalars."""
        found = []
        for number, (known, *values) in enumerate(zip((*self.fields, *self.scalars), least, most, strict=True)):
            if known.absurd(*values):
                what = "initial: field" if number < len(self.fields) else "context: scalar"
                raise ValueError(
                    f"{what} {known.name!r}, simulation {simulation}: expected values near those of training, {known}, "
                    f"got {_span(*values)}{known.question(*values)}"
                )
            if not known.holds(*values):
                found.append(f"{known.name} {_span(*values)} ({known} in training)")
        return "; ".join(found)


def extrapolation(what: str, outside: Sequence[str], simulations: Sequence[object] | None = None) -> str:
    """Text of an :class:`ExtrapolationWarning`; empty if all simulations are inside.

    Parameters
    ----------
    what
        Name of the model, or of what is done.
    outside
        What :meth:`Support.outside` found.
    simulations
        Their names; numbers by default.
    """
    names = range(len(outside)) if simulations is None else simulations
    found = [f"{name}: {text}" for name, text in zip(names, outside, strict=True) if text]
    if not found:
        return ""
    told = " | ".join([*found[:_DESCRIBED], *["…"] * (len(found) > _DESCRIBED)])
    begin = "begins" if len(found) == 1 else "begin"
    return f"{what}: {len(found)} of {len(outside)} simulations {begin} outside of the training range, so this is extrapolation; {told}"


def _span(least: float, most: float) -> str:
    return f"{least:.4g}" if least == most else f"{least:.4g} to {most:.4g}"
