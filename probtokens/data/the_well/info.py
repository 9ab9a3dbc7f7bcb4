"""What a file in The Well's layout holds, read without touching its frames."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from probtokens.data.the_well.axes import read_grid, read_spatial_dims
from probtokens.data.the_well.edges import read_boundary
from probtokens.data.the_well.faults import prefixed
from probtokens.data.the_well.hdf5 import Node, opened
from probtokens.data.the_well.layout import AXIS_UNITS, FIELD_GROUPS, FILE_DIMS, GROUPS, periodic_axes
from probtokens.data.the_well.plain import single
from probtokens.data.the_well.storage import missing_values, require_numbers, require_stored
from probtokens.fields import FieldSpec, Grid, field_spec
from probtokens.limits import MAX_SIMULATIONS

#: Endings of files of simulations.
SHARD_SUFFIXES = (".hdf5", ".h5")


@dataclass(frozen=True, slots=True)
class FieldSource:
    """Where the values of one scalar field lie: a data set, or a component of a vector or tensor.

    Attributes
    ----------
    group, dataset
        HDF5 names.
    component
        Index on the trailing axes; empty for a scalar field.
    sample_varying, time_varying
        Whether the data set has a simulation and a time axis.
    axes
        Names of its spatial axes in the file's order.
    stored
        Points stored along these axes, 1 where the field does not vary.
    missing
        Values that the file declares to stand for none.
    fault
        Why its values cannot be used, empty if they can; only who asks for the field is told.
    """

    group: str
    dataset: str
    component: tuple[int, ...]
    sample_varying: bool
    time_varying: bool
    axes: tuple[str, ...]
    stored: tuple[int, ...]
    missing: tuple[float, ...] = ()
    fault: str = ""

    @property
    def odd(self) -> str | None:
        """Axes that the component's index names an odd number of times, ``None`` of a scalar field, of which the file does not tell."""
        along = [self.axes[index] for index in self.component]
        return "".join(axis for axis in FILE_DIMS if along.count(axis) % 2) if along else None

    @property
    def vector(self) -> str | None:
        """Name of the vector that this is a component of, ``None`` of a scalar field or a tensor."""
        return self.dataset if len(self.component) == 1 else None


@dataclass(frozen=True, slots=True)
class ShardInfo:
    """Contents of one file.

    Attributes
    ----------
    path
        The file.
    n_simulations
        Number of simulations.
    grid
        Grid of all of them.
    rounding
        How far ``spacing`` and ``time_step`` of the grid may be off, because the axes are rounded.
    fields
        Names of the scalar fields; vectors and tensors are split into their components.
    units
        Unit of every field and scalar that has one.
    scalars
        Names of the per-simulation scalars and of the simulation parameters.
    attributes
        Root attributes as plain Python values.
    boundary
        ``left``, ``right``, ``bottom``, ``top`` -> ``WALL``, ``OPEN`` or ``PERIODIC``.
    sources
        Where each field is stored.
    unsaid
        Axes and fields of which the file says no unit.
    """

    path: Path
    n_simulations: int
    grid: Grid
    rounding: Mapping[str, float]
    fields: tuple[str, ...]
    units: Mapping[str, str]
    scalars: tuple[str, ...]
    attributes: Mapping[str, Any]
    boundary: Mapping[str, str]
    sources: Mapping[str, FieldSource] = field(repr=False)
    unsaid: tuple[str, ...] = ()

    def taken_units(self, fields: Sequence[str]) -> list[str]:
        """``NAME in UNIT`` of the axes and of those of ``fields`` of which the file says no unit."""
        taken = {**AXIS_UNITS, **{name: self.units[name] for name in fields if name in self.units}}
        return [f"{name} in {taken[name]}" for name in self.unsaid if name in taken]

    def spec(self, name: str, odd: str | None = None) -> FieldSpec:
        """One of the fields, with its unit; the tensor order in the file tells the symmetry of a component, unless ``odd`` does.

        Fields that are stored without a time axis are constant.
        """
        source = self.sources[name]
        found = field_spec(name, self.units[name], odd=source.odd, vector=source.vector)
        return replace(found, odd=found.odd if odd is None else odd, constant=not source.time_varying)


def is_shard(path: Path) -> bool:
    """Whether a name is that of a file of simulations: hidden ones are temporary."""
    return path.suffix in SHARD_SUFFIXES and not path.name.startswith(".")


def read_info(path: Path, *, any_field: bool = False) -> ShardInfo:
    """Describe a file in The Well's layout, ours or anyone's, in its units.

    Parameters
    ----------
    path
        The file.
    any_field
        Whether known fields may have no unit, or one of another dimension. Then ``units`` holds what the file says of them.

    Raises
    ------
    ValueError
        If it is not a complete HDF5 file, a group, data set or attribute is missing, a shape or a
        unit does not fit, or the grid is not uniform with square cells; the message names the file,
        the data set, what was expected and what came.
    """
    path = Path(path)
    with opened(path) as file:
        for group in GROUPS:
            file.group(group)
        axes = read_spatial_dims(file.group("dimensions"))
        n_simulations = file.count("n_trajectories", MAX_SIMULATIONS)
        grid, rounding, unsaid = read_grid(file.group("dimensions"), n_simulations)
        sources = _read_sources(file, n_simulations, grid, axes)
        attributes = file.attributes()
        boundary = read_boundary(file.group("boundary_conditions"), n_simulations, grid)
        stored = _read_scalars(file.group("scalars"), n_simulations, grid)
        return ShardInfo(
            path=path,
            n_simulations=n_simulations,
            grid=replace(grid, periodic=periodic_axes(boundary)),
            rounding=rounding,
            fields=tuple(sources),
            units=_read_units(file, sources, stored, any_field=any_field),
            unsaid=unsaid + tuple(name for name, source in sources.items() if _unit_text(file, source) is None),
            scalars=stored + tuple(name for name in _parameters(file, attributes) if name not in stored),
            attributes=attributes,
            boundary=boundary,
            sources=sources,
        )


def varying(node: Node) -> tuple[bool, bool]:
    """Whether a data set has a simulation and a time axis."""
    return node.flag("sample_varying"), node.flag("time_varying")


def _parameters(file: Node, attributes: Mapping[str, Any]) -> list[str]:
    """Simulation parameters that are numbers, common to all simulations of a file."""
    names = file.names("simulation_parameters") if "simulation_parameters" in attributes else []
    values = {name: single(attributes.get(name)) for name in names}
    return [name for name, value in values.items() if isinstance(value, int | float) and not isinstance(value, bool)]


def _read_sources(file: Node, n_simulations: int, grid: Grid, axes: tuple[str, ...]) -> dict[str, FieldSource]:
    sources: dict[str, FieldSource] = {}
    for group, order in FIELD_GROUPS.items():
        for name in file.group(group).names("field_names"):
            node = file.group(group).dataset(name)
            sample, time = varying(node)
            leading = (n_simulations,) * sample + (grid.n_times,) * time
            stored = _stored_shape(node, leading, grid, axes, (len(axes),) * order)
            reason = _reason_against(node, by_simulation=sample)
            missing = () if reason else missing_values(node)
            for component in itertools.product(range(len(axes)), repeat=order):
                suffix = "".join(axes[i] for i in component)
                scalar = f"{name}_{suffix}" if suffix else name
                if scalar in sources:
                    raise node.fault("every field once", f"{scalar!r} twice")
                sources[scalar] = FieldSource(group, name, component, sample, time, axes, stored, missing, reason)
    return sources


def _reason_against(node: Node, *, by_simulation: bool) -> str:
    """Why the values of a field cannot be used; empty if they can."""
    try:
        require_numbers(node)
        require_stored(node, by_simulation=by_simulation)
    except ValueError as error:
        return str(error)
    return ""


def _stored_shape(node: Node, leading: tuple[int, ...], grid: Grid, axes: tuple[str, ...], trailing: tuple[int, ...]) -> tuple[int, ...]:
    """Points along the spatial axes, 1 where constant; a constant axis may be of length 1 or left out."""
    varies = node.flags("dim_varying")
    size = {"x": grid.nx, "y": grid.ny}
    if len(varies) != len(axes):
        raise node.fault(f"'dim_varying' of length {len(axes)}", varies)
    kept = tuple(size[axis] if vary else 1 for axis, vary in zip(axes, varies, strict=True))
    dropped = tuple(size[axis] for axis, vary in zip(axes, varies, strict=True) if vary)
    if node.item.shape not in {(*leading, *kept, *trailing), (*leading, *dropped, *trailing)}:
        raise node.fault(f"shape {(*leading, *kept, *trailing)}", node.item.shape)
    return kept


def _read_scalars(group: Node, n_simulations: int, grid: Grid) -> tuple[str, ...]:
    """Names of the scalars; whether their values are numbers is asked of those that are read."""
    names = tuple(group.names("field_names"))
    for name in names:
        node = group.dataset(name)
        sample, time = varying(node)
        expected = (n_simulations,) * sample + (grid.n_times,) * time
        if node.item.shape != expected and (expected or node.item.size != 1):
            raise node.fault(f"shape {expected}", node.item.shape)
    return names


def _read_units(file: Node, sources: Mapping[str, FieldSource], scalars: tuple[str, ...], *, any_field: bool) -> dict[str, str]:
    units: dict[str, str] = {}
    for name, source in sources.items():
        unit, node = _unit_text(file, source), file.group(source.group).dataset(source.dataset)
        if not any_field:
            try:
                unit = field_spec(name, unit).unit
            except ValueError as error:
                raise prefixed(error, node.path, node.name) from error
        if unit is not None:
            units[name] = unit
    for name in scalars:
        unit = file.group("scalars").dataset(name).text("units")
        if unit is not None:
            units[name] = unit
    return units


def _unit_text(file: Node, source: FieldSource) -> str | None:
    return file.group(source.group).dataset(source.dataset).text("units")
