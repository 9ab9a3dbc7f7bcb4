"""From what a source holds and what the user adds to what is going to be written: names, units, grid, edges and splits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from probtokens.data.importers.obstacle import OBSTACLE, filled, nan_cells, nearest_outside
from probtokens.data.importers.source import AXES, OURS, Contents, Given, Simulation
from probtokens.data.splits import SPLITS
from probtokens.data.the_well.axes import Axis, require_square
from probtokens.data.the_well.faults import Place, fault, listed
from probtokens.data.the_well.layout import BOUNDARY_TYPES, SIDES, check_values, components, periodic_axes
from probtokens.data.the_well.reader import require_measured
from probtokens.fields import KNOWN_FIELDS, FieldSpec, Grid, field_spec
from probtokens.units import OUR_UNITS, Mending, equal, in_unit, measure, mend, ours, same_dimension, unit_of
from probtokens.units import OURS as OUR_SPELLINGS


@dataclass(frozen=True, slots=True)
class PlannedField:
    """One scalar field on its way.

    Attributes
    ----------
    source
        Its name in the source; ``None`` of an obstacle, which is where the others are NaN.
    spec
        What it becomes.
    mending
        What is done to its unit.
    constant
        Whether it is the same at all times.
    scaled
        Values that 0 and 1 stand for, in the source's unit; ``None`` if values stand for themselves.
    """

    source: str | None
    spec: FieldSpec
    mending: Mending
    constant: bool
    scaled: tuple[float, float] | None

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Values of the source as they are written, single precision."""
        if self.scaled is not None:
            low, high = self.scaled
            values = low + (high - low) * np.asarray(values, dtype=np.float64)
        return self.mending(values)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is going to be written.

    Attributes
    ----------
    contents
        What the source holds.
    grid
        Grid of all simulations.
    fields
        Fields by their new names.
    scalars
        New name -> name in the source and what is done to its unit.
    boundary
        Edges by side.
    splits
        Split -> numbers of its simulations.
    vectors, tensors
        New names of fields of order one and two.
    notes
        What was understood or done besides, one sentence each.
    """

    contents: Contents
    grid: Grid
    fields: Mapping[str, PlannedField]
    scalars: Mapping[str, tuple[str, Mending]]
    boundary: Mapping[str, str]
    splits: Mapping[str, tuple[int, ...]]
    vectors: tuple[str, ...]
    tensors: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def obstacle(self) -> bool:
        """Whether a field is written that tells where an obstacle is."""
        return OBSTACLE in self.fields and self.fields[OBSTACLE].source is None

    @property
    def units(self) -> dict[str, str]:
        """Unit of every field and scalar that is written."""
        fields = {name: field.spec.unit for name, field in self.fields.items()}
        return fields | {name: mending.unit for name, (_, mending) in self.scalars.items()}

    def mended(self, simulation: Simulation, number: int) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        """Fields (time, y, x) and scalars of one simulation as they are written.

        Raises
        ------
        ValueError
            If a field has another shape than the plan says, or a value is not physical or not finite, except in an obstacle.
        """
        frames: dict[str, np.ndarray] = {}
        for name, field in self.fields.items():
            if field.source is not None:
                values = simulation.frames[field.source]
                expected = (1 if field.constant else self.grid.n_times, *self.grid.shape)
                if values.shape != expected:
                    wanted = f"(time, y, x) = {expected} as in the first simulation"
                    raise fault(simulation.path, wanted, values.shape, where=f"field {name!r}")
                frames[name] = field(values)
        self._fill_obstacle(frames, simulation.path, number)
        return frames, {name: float(mending(np.asarray(simulation.scalars[old]))) for name, (old, mending) in self.scalars.items()}

    def _fill_obstacle(self, frames: dict[str, np.ndarray], path: Path, number: int) -> None:
        """Put finite values and the field of the obstacle where all that changes is NaN, and refuse all other values that do not fit."""
        cells = nan_cells((values for name, values in frames.items() if not self.fields[name].constant), self.grid.shape)
        if cells.all():
            raise fault(path, "a cell that is not NaN in every frame", f"NaN in all {cells.size} cells", where=f"simulation {number}")
        nearest = nearest_outside(cells, self.grid.periodic) if cells.any() else None
        for name, values in frames.items():
            spec = self.fields[name].spec
            frames[name] = values if nearest is None else filled(values, nearest)
            check_values(frames[name], spec, path=path, simulation=number)
            require_measured(frames[name], spec, path=path, simulation=number)
        if self.obstacle:
            frames[OBSTACLE] = cells[None].astype(np.float32)
        elif nearest is not None:
            wanted = "finite values, or --obstacle for cells that are NaN in every frame of every field that changes"
            raise fault(path, wanted, f"NaN in {cells.sum()} of {cells.size} cells", where=f"simulation {number}")


def make_plan(contents: Contents, given: Given) -> Plan:
    """Say what is going to be written.

    Raises
    ------
    ValueError
        If the user has to say something that the files do not tell, the message names the option; or if an option does not fit.
    """
    names = _Names(contents, given.names)
    _require_known(contents, given, names)
    units = _Units(contents, given, names)
    if unsaid := _unsaid(contents, given, names, units):
        raise fault(contents.path, f"what the files do not tell: {', '.join(unsaid)}", "none")
    fields: dict[str, PlannedField] = {}
    for old, variable in contents.fields.items():
        new = names.field(old)
        mending = units.mending(new, variable.unit, names.vector(new))
        scaled = given.ranges.get(new, variable.scaled)
        fields[new] = PlannedField(old, field_spec(new, mending.unit), mending, variable.constant, scaled)
    if given.obstacle:
        fields[OBSTACLE] = PlannedField(None, field_spec(OBSTACLE, "1"), mend("1"), constant=True, scaled=None)
    scalars = {names.field(old): (old, units.mending(names.field(old), unit)) for old, unit in contents.scalars.items()}
    boundary, told = _boundary(contents, given)
    grid, also_told = _grid(contents, given, units)
    return Plan(
        contents=contents,
        grid=replace(grid, periodic=periodic_axes(boundary)),
        fields=fields,
        scalars=scalars,
        boundary=boundary,
        splits=_splits(contents, given),
        vectors=tuple(map(names.of_order, contents.vectors)),
        tensors=tuple(map(names.of_order, contents.tensors)),
        notes=(*contents.notes, *also_told, *told),
    )


#: Step of the grid -> option, dimension, what it is with an example.
_STEPS = {
    "spacing": ("--spacing", "length", "of cells ('0.05 µm')"),
    "time_step": ("--time-step", "time", "of frames ('0.1 ns')"),
}
#: Fields without a unit that a message names.
_SHOWN = 4
#: Our unit of both dimensions.
_OURS = OUR_UNITS._asdict()


class _Names:
    """New names of fields and scalars; a vector or tensor can be named as a whole."""

    def __init__(self, contents: Contents, given: Mapping[str, str]) -> None:
        self._given = given
        self._new: dict[str, str] = {}
        self._vectors: dict[str, str] = {}
        for order, group in ((1, contents.vectors), (2, contents.tensors)):
            for name in group:
                self._new |= dict(zip(components(name, order), components(self.of_order(name), order), strict=True))
                self._vectors |= dict.fromkeys(components(self.of_order(name), order), self.of_order(name))

    def field(self, name: str) -> str:
        return self._given.get(name, self._new.get(name, name))

    def of_order(self, name: str) -> str:
        return self._given.get(name, name)

    def vector(self, name: str) -> str | None:
        """Vector or tensor that a field is a component of, both by their new names."""
        return self._vectors.get(name)


class _Units:
    """Units of lengths, times, fields and scalars, from the source or the user."""

    def __init__(self, contents: Contents, given: Given, names: _Names) -> None:
        self._path, self._given, self._wanted, self._names = contents.path, given.units, given.wanted, names
        self._told = {"length": contents.length_unit, "time": contents.time_unit}

    def told(self, name: str, told: str | None, vector: str | None = None) -> str | None:
        """Unit of a field or scalar, ``None`` if nobody tells; the user's word goes before the file's."""
        return self._given.get(name) or self._given.get(vector or name) or told or self._given.get("*")

    def of_axis(self, axis: str) -> str | None:
        """Unit of lengths or times, ``None`` if nobody tells."""
        return self._given.get(axis) or self._told[axis]

    def required(self, axis: str) -> str:
        unit = self.of_axis(axis)
        if unit is None:
            expected = f"--unit {axis}={_OURS[axis]}, another unit, or '1' of numbers without dimension: the files do not tell it"
            raise fault(self._path, expected, "none")
        return unit

    def step(self, axis: str, step: float) -> tuple[float, str]:
        """A step of an axis, and its unit."""
        said = self.required(axis)
        try:
            unit = unit_of(said, _OURS[axis])
            mending = mend(unit, self._target(unit, axis))
        except ValueError as error:
            raise ValueError(f"--unit {axis}: expected {error}") from error
        return (step if mending.factor == 1.0 else float(f"{step * mending.factor:.7g}")), mending.unit

    def said(self, axis: str, step: str) -> tuple[float, str]:
        """A step of an axis as the user says it, and its unit."""
        unit = self.of_axis(axis)
        number, own = measure(step, unit or _OURS[axis])
        # Numbers of a grid without dimension have none, whatever is said of them.
        told = unit if unit and same_dimension(own, unit) else None
        return measure(f"{number!r} {own}", own, self._target(own, axis) or told)

    def mending(self, name: str, told: str | None, vector: str | None = None) -> Mending:
        """How the unit of a field or scalar is mended."""
        said = self._given.get(name) or self._given.get(vector or name)
        unit = self.told(name, told, vector)
        known = KNOWN_FIELDS.get(name)
        if unit is None:
            raise fault(self._path, f"--unit {vector or name}=UNIT, '1' for a number: the files do not tell it", "none", where=f"{name!r}")
        whole = _simple(re.sub(r"\{(\w+)\}", lambda word: _factor(self._meant(word[1])), unit)) if "{" in unit else unit
        try:
            if known:
                unit_of(whole, known.unit)
            return mend(whole, self._target(whole, name, vector or name))
        except ValueError as error:
            if not (said or known or self._wanted.get(name) or "{" in unit):
                return Mending(unit, unit)  # someone's own, which is kept
            remedy = f" (say --unit {vector or name}=UNIT, or give the field another name with --name)" if known else ""
            raise fault(self._path, f"{str(error).partition(', got')[0]}{remedy}", repr(unit), where=f"unit of {name!r}") from error

    def _target(self, unit: str, *names: str) -> str | None:
        """Unit that is wanted of something in ``unit``, ``None`` if it stays."""
        named = next((self._wanted[name] for name in names if name in self._wanted), None)
        return named or (ours(unit) if "*" in self._wanted else None)

    def _meant(self, word: str) -> str:
        """Unit that ``{length}``, ``{time}`` or ``{FIELD}`` stands for."""
        return self.required(word) if word in self._told else self.mending(self._names.field(word), None).given


def _unsaid(contents: Contents, given: Given, names: _Names, units: _Units) -> list[str]:
    """Options with what the files do not tell and the user did not say, all at once."""
    told = {old: variable.unit for old, variable in contents.fields.items()} | dict(contents.scalars)
    known = {name: units.told(name, unit, names.vector(name)) for old, unit in told.items() for name in [names.field(old)]}
    unsaid = [f"--unit {name}=UNIT" for name in dict.fromkeys(names.vector(name) or name for name, unit in known.items() if unit is None)]
    if unsaid:
        unsaid = [*unsaid[:_SHOWN], *([f"… {len(unsaid)} units in all"] if len(unsaid) > _SHOWN else [])]
        unsaid[-1] += " ('1' for a number)"
    edge, texts = contents.x if contents.y is not None else None, " ".join(unit for unit in known.values() if unit)
    for (option, dimension, what), said, axis in zip(_STEPS.values(), (given.spacing, given.time_step), (edge, contents.time), strict=True):
        if said is None and axis is None:
            unsaid.append(f"{option} {what}")
        needed = f"{{{dimension}}}" in texts or (said is None and axis is not None)
        if needed and units.of_axis(dimension) is None:
            unsaid.append(f"--unit {dimension}={_OURS[dimension]} or another ('1' without dimension)")
    if contents.splits is None and given.splits is None:
        unsaid.append(f"--splits TRAIN/VALID/TEST of {len(contents.names)} simulations")
    return unsaid


def _factor(unit: str) -> str:
    """A unit as a part of another one."""
    return unit if unit.isalpha() or unit == "1" else f"({unit})"


def _simple(unit: str) -> str:
    """A unit that was put together, as one of the package's where it is one."""
    return next((one for one in OUR_SPELLINGS if equal(unit, one)), unit)


def _grid(contents: Contents, given: Given, units: _Units) -> tuple[Grid, list[str]]:
    """The grid, and what the user says about it other than the files."""
    n_times, ny, nx = contents.shape
    if min(contents.shape) < 2:
        raise fault(contents.path, "at least two frames and two cells along y and x", f"{n_times} frames of {ny} × {nx} cells")
    edge = None
    if contents.x is not None and contents.y is not None:
        edge = require_square(Place(contents.path), *(replace(axis, unit=units.of_axis("length")) for axis in (contents.x, contents.y)))
    spacing, length_unit, told = _step(contents, "spacing", given.spacing, edge, units)
    time_step, time_unit, also_told = _step(contents, "time_step", given.time_step, contents.time, units)
    return Grid(ny, nx, spacing, time_step, n_times, length_unit=length_unit, time_unit=time_unit), [*told, *also_told]


def _step(contents: Contents, name: str, given: str | None, axis: Axis | None, units: _Units) -> tuple[float, str, list[str]]:
    """Cell edge or frame step, its unit, and what to say of it; what the user says goes before the files."""
    option, dimension, _ = _STEPS[name]
    if given is None:
        assert axis is not None
        return *units.step(dimension, axis.step), []
    try:
        step, unit = units.said(dimension, given)
    except ValueError as error:
        raise ValueError(f"{option}: expected {error}") from error
    instead = f", not the {axis.step:g} {units.of_axis(dimension) or ''}".rstrip() + " of the files" if axis is not None else ""
    return step, unit, [f"{name.replace('_', ' ')}: {in_unit(f'{step:g}', unit)} as {option} says{instead}"] if instead else []


def _boundary(contents: Contents, given: Given) -> tuple[dict[str, str], list[str]]:
    wrong = {side: kind for side, kind in given.boundary.items() if side not in SIDES or kind not in BOUNDARY_TYPES}
    if wrong:
        raise ValueError(f"--boundary: expected some of {list(SIDES)} as one of {list(BOUNDARY_TYPES)}, got {wrong}")
    boundary = dict.fromkeys(SIDES, "OPEN") | dict(contents.boundary or {}) | dict(given.boundary)
    unsaid = [side for side in SIDES if contents.boundary is None and side not in given.boundary]
    return boundary, [f"edges that nobody tells are OPEN (--boundary): {', '.join(unsaid)}"] if unsaid else []


def _splits(contents: Contents, given: Given) -> dict[str, tuple[int, ...]]:
    n = len(contents.names)
    if given.splits is not None:
        if min(given.splits) < 0 or given.splits[0] < 1 or sum(given.splits) > n:
            raise ValueError(f"--splits: expected three numbers, the first at least 1, of {n} simulations in all, got {given.splits}")
        ends = np.cumsum(given.splits)
        return {split: tuple(range(int(end - size), int(end))) for split, end, size in zip(SPLITS, ends, given.splits, strict=True)}
    assert contents.splits is not None
    if not contents.splits["train"]:
        raise fault(contents.path, "simulations in 'train' (or --splits)", "none")
    return dict(contents.splits)


def _require_known(contents: Contents, given: Given, names: _Names) -> None:
    """Refuse options about names that are not there, most of which are misspelt."""
    ordered = (*contents.vectors, *contents.tensors)
    old = {*contents.fields, *contents.scalars, *ordered}
    # Names of axes, and those of arrays in files that name them, have been given by the importer.
    done = {before for before, after in given.names.items() if after in {*old, *AXES}}
    _require("--name", given.names, old | done)
    new = [names.field(name) for name in (*contents.fields, *contents.scalars)]
    if len(set(new)) < len(new):
        raise fault(contents.path, "--name to give different names", listed(new))
    known = {*map(names.field, old), *map(names.of_order, ordered), *_OURS}
    if given.obstacle and OBSTACLE in known:
        raise fault(contents.path, f"--name {OBSTACLE}=NEW, for --obstacle adds a field of this name", f"one called {OBSTACLE!r}")
    _require("--unit", given.units, known | {"*"})
    _require("--in", given.wanted, known | {"*"})
    if given.wanted.get("*", OURS) != OURS:
        raise ValueError(f"--in: expected '*={OURS}', or units of single fields, got '*={given.wanted['*']}'")
    _require("--range", given.ranges, set(map(names.field, contents.fields)))


def _require(option: str, given: Iterable[str], known: set[str]) -> None:
    wrong = [name for name in given if name not in known]
    if wrong:
        raise ValueError(f"{option}: expected some of {listed(sorted(known))}, got {wrong[0]!r}")
