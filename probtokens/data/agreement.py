"""Whether simulations that are used together agree in units, cell size, frame step and edges."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from probtokens.data.the_well import ShardInfo
from probtokens.data.the_well.faults import fault, shown
from probtokens.fields import STEP_RTOL, FieldSpec
from probtokens.units import equal, in_unit

#: Step of a grid -> what people call it, and the attribute with its unit.
_STEPS = {"spacing": ("cell size", "length_unit"), "time_step": ("frame step", "time_unit")}


@dataclass(frozen=True, slots=True)
class Difference:
    """Something in which a file differs from another one.

    Attributes
    ----------
    kind
        ``"unit"``, ``"grid"``, ``"extent"``, ``"boundary"`` or ``"symmetry"``.
    what
        Name for people, e.g. ``"unit of field 'density'"``.
    expected, got
        What the first file has, and what the other has.
    """

    kind: str
    what: str
    expected: str
    got: str


class Declared(NamedTuple):
    """How many times a cell size or frame step is that of a first file, and the key of a recipe that says so."""

    times: float
    key: str


#: Declared ratios of ``spacing`` and ``time_step``; what is left out has to be the same.
Ratios = Mapping[str, Declared]

_SAME = Declared(1.0, "")


def differences(
    first: ShardInfo, other: ShardInfo, names: Iterable[str], *, extent: bool, ratios: Ratios | None = None
) -> list[Difference]:
    """List everything in which a file differs from the first one.

    Parameters
    ----------
    first, other
        The files.
    names
        Fields and scalars whose units matter; those that a file lacks are left out.
    extent
        Whether the numbers of cells must agree as well.
    ratios
        Cell size and frame step of the other file in those of the first one.
    """
    found = list(_units(first, other, names))
    if extent and first.grid.shape != other.grid.shape:
        found.append(Difference("extent", "grid", _grid(first), _grid(other)))
    for key, (name, unit) in _STEPS.items():
        a, b, declared = getattr(first.grid, key), getattr(other.grid, key), (ratios or {}).get(key, _SAME)
        units = getattr(first.grid, unit), getattr(other.grid, unit)
        rounding = declared.times * first.rounding[key] + other.rounding[key]
        if units[0] != units[1] or abs(declared.times * a - b) > STEP_RTOL * declared.times * a + rounding:
            times = "" if declared.times == 1.0 else f"{declared.times:g} × "
            got = in_unit(f"{b:g}", units[1]) + (_hint(key, b / a, declared) if units[0] == units[1] else "")
            found.append(Difference("grid", name, times + in_unit(f"{a:g}", units[0]), got))
    for side, kind in first.boundary.items():
        if other.boundary[side] != kind:
            found.append(Difference("boundary", f"{side} edge", kind, other.boundary[side]))
    if first.grid.periodic != other.grid.periodic:
        found.append(Difference("boundary", "edges", first.grid.edges, other.grid.edges))
    return found


def symmetry_differences(first: Iterable[FieldSpec], other: Iterable[FieldSpec]) -> list[Difference]:
    """List the fields of which two files have the same name and not the same sign in mirror images, or of which one is constant."""
    others = {spec.name: spec for spec in other}
    pairs = [(spec, others[spec.name]) for spec in first if spec.name in others]
    found = [Difference("symmetry", f"symmetry of field {a.name!r}", _oddness(a), _oddness(b)) for a, b in pairs if a.odd != b.odd]
    kinds = {True: "constant in time", False: "changing in time"}
    return found + [
        Difference("symmetry", f"field {a.name!r}", kinds[a.constant], kinds[b.constant]) for a, b in pairs if a.constant != b.constant
    ]


class Described(Protocol):
    """Simulations of which files, fields and context scalars are known, such as a ``TrajectorySet``."""

    @property
    def fields(self) -> tuple[FieldSpec, ...]:
        """Fields of every frame, in order."""

    @property
    def context_names(self) -> tuple[str, ...]:
        """Names of the context scalars, in order."""

    @property
    def files(self) -> tuple[ShardInfo, ...]:
        """Descriptions of the files."""


def require_agreement(first: Described, other: Described, ratios: Ratios | None = None) -> None:
    """Refuse two sets of simulations that cannot serve the same model, e.g. two splits or both scales.

    Compared are the units of the fields and context scalars of ``first``, the fields' symmetry, cell size, frame step and edges. Numbers
    of cells, frames and simulations may differ.

    Parameters
    ----------
    first, other
        The sets; the first one says what is expected.
    ratios
        Cell size and frame step of the other set in those of the first one, where they are declared.

    Raises
    ------
    ValueError
        Naming the file that differs, the file that it differs from, and what both have.
    """
    names = (*(spec.name for spec in first.fields), *first.context_names)
    a, b = first.files[0], other.files[0]
    found = differences(a, b, names, extent=False, ratios=ratios) + symmetry_differences(first.fields, other.fields)
    require_none(found, a, b)


def require_none(found: Sequence[Difference], first: ShardInfo, other: ShardInfo) -> None:
    """Refuse a file that differs from another one.

    Raises
    ------
    ValueError
        For the first difference, if there is one.
    """
    if found:
        difference = found[0]
        like = first.path.name if first.path.parent == other.path.parent else shown(first.path, beside=True)
        raise fault(other.path, f"{difference.expected} as in {like}", difference.got, where=difference.what)


def _hint(key: str, ratio: float, declared: Declared) -> str:
    """What would declare a ratio that is whole, or one over a whole number for cells."""
    whole = max(ratio, 1.0 / ratio) if key == "spacing" else ratio
    if not declared.key or whole < 1.0 or abs(whole - round(whole)) > STEP_RTOL * whole:
        return ""
    return f", which {declared.key}: {ratio:g} would declare"


def _units(first: ShardInfo, other: ShardInfo, names: Iterable[str]) -> Iterable[Difference]:
    for name in names:
        kind = "field" if name in first.fields else "scalar"
        a, b = first.units.get(name), other.units.get(name)
        there = all(name in info.fields or name in info.scalars for info in (first, other))
        # A scalar without a unit says nothing; a field without one counts as a pure number.
        if there and not _same(a, b) and (kind == "field" or None not in (a, b)):
            yield Difference("unit", f"{kind} {name!r}", f"unit {a!r}", repr(b))


def _same(a: str | None, b: str | None) -> bool:
    return a == b or (a is not None and b is not None and equal(a, b))


def _oddness(spec: FieldSpec) -> str:
    return f"odd along {spec.odd}" if spec.odd else "even"


def _grid(info: ShardInfo) -> str:
    return f"{info.grid.ny} × {info.grid.nx} cells"
