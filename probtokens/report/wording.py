"""What hot spots are called: by that name if they are of temperature, by field and threshold if they are of anything else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from probtokens.fields import FieldSpec, HotSpot, field_spec
from probtokens.report.style import with_unit
from probtokens.units import OUR_UNITS, in_unit

_NAMED = "temperature"


class Quantity(NamedTuple):
    """Something that is scored: its label and unit, and where scores have it, ``part`` being ``"fields"`` or ``"hotspot"``."""

    label: str
    unit: str
    part: str
    name: str


@dataclass(frozen=True)
class Wording:
    """Names of hot spots and of their curves, made from what the scores are of.

    Attributes
    ----------
    hotspot
        Field and threshold.
    spec
        The field, with its unit and label.
    units
        Unit of every curve.
    time_unit
        Unit of all times.
    """

    hotspot: HotSpot
    spec: FieldSpec
    units: Mapping[str, str]
    time_unit: str = OUR_UNITS.time

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Wording:
        """Wording for the content of a ``scores.json``."""
        hotspot = HotSpot(**document["hotspot"])
        units = document["units"]
        return cls(hotspot, field_spec(hotspot.field, units["fields"][hotspot.field]), units["hotspot"], units.get("time", OUR_UNITS.time))

    @property
    def time_label(self) -> str:
        """Label of an axis of time."""
        return with_unit("time", self.time_unit)

    @property
    def limit(self) -> str:
        """Threshold with its unit, e.g. ``"875 K"``."""
        return in_unit(f"{self.hotspot.threshold:g}", self.spec.unit)

    @property
    def hot_spots(self) -> str:
        """E.g. ``"hot spots"`` or ``"activator > 0.5"``."""
        return "hot spots" if self._named else f"{self.spec.label} > {self.limit}"

    @property
    def headline(self) -> str:
        """What the forecasts are about, as the title of a page."""
        return "How hot spots form and grow" if self._named else f"How {self.spec.label} evolves and where it exceeds {self.limit}"

    @property
    def curves(self) -> dict[str, str]:
        """Name of each curve shown to its label without unit."""
        named = ("hot-spot area", f"hot-spot {self.spec.label}")
        other = (f"area of {self.spec.label} > {self.limit}", f"mean {self.spec.label} above {self.limit}")
        return dict(zip(self.hotspot.curves, named if self._named else other, strict=True))

    def quantities(self, specs: Sequence[FieldSpec]) -> list[Quantity]:
        """The field of hot spots, their curves, then all other fields."""
        fields = [
            Quantity(spec.label, spec.unit, "fields", spec.name) for spec in sorted(specs, key=lambda spec: spec.name != self.spec.name)
        ]
        fields[1:1] = [Quantity(label, self.units[name], "hotspot", name) for name, label in self.curves.items()]
        return fields

    @property
    def physics(self) -> list[Quantity]:
        """Curves that tell the physics of forecasts, those that were scored."""
        one, many = ("hot spot", "hot spots") if self._named else (f"region of {self.hot_spots}", f"regions of {self.hot_spots}")
        known = {
            "front": "position of the shock front",
            "front_rate": "speed of the shock front",
            "hotspot_count": f"number of {many}",
            "hotspot_size": f"mean area of a {one}",
            "largest_hotspot": f"area of the largest {one}",
            "area_rate": f"growth of the area of {self.hot_spots}",
            "mean_reacted_fraction": "mean reacted fraction",
            "mean_reacted_fraction_rate": "rate of reaction",
            "reacted_fall": "fall of the mean reacted fraction",
        }
        return [Quantity(label, self.units[name], "hotspot", name) for name, label in known.items() if name in self.units]

    @property
    def _named(self) -> bool:
        return self.hotspot.field == _NAMED


def sentence(text: str) -> str:
    """Text that begins with a capital letter."""
    return text[:1].upper() + text[1:]


def listing(items: list[str]) -> str:
    """Items as people list them, e.g. ``"a, b and c"``."""
    return " and ".join(part for part in (", ".join(items[:-1]), *items[-1:]) if part)


def flattened(node: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Names and values of a nested record, for a page; numbers with six digits.

    >>> flattened({"cells": {"porosity": 0.05545754928315412, "ny": 72}, "names": ["a", "b"]})
    [('cells · porosity', '0.0554575'), ('cells · ny', '72'), ('names', 'a, b')]
    """
    found = []
    for key, value in node.items():
        name = f"{prefix}{key}".replace("_", " ")
        if isinstance(value, Mapping):
            found += flattened(value, f"{name} · ")
        else:
            values = value if isinstance(value, list | tuple) else [value]
            found.append((name, ", ".join(f"{one:.6g}" if isinstance(one, float) else str(one) for one in values)))
    return found


def decimals(value: float) -> str:
    """A time or a length with two decimals, or three where it has a third, unless these are too many or too few for it.

    >>> decimals(1.25), decimals(0.125), decimals(5e6), decimals(0.002), decimals(0.0)
    ('1.25', '0.125', '5e+06', '0.002', '0.00')
    """
    if value != 0 and not 0.01 <= abs(value) < 1e5:
        return f"{value:.3g}"
    return f"{value:.{2 if math.isclose(value, round(value, 2), rel_tol=1e-5) else 3}f}"
