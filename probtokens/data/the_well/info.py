"""What a file in The Well's layout holds, read without touching its frames."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from probtokens.data.the_well.layout import AXIS_UNITS, BOUNDARY_TYPES, FIELD_GROUPS, FILE_DIMS, GROUPS, SIDES
from probtokens.fields import FieldSpec, Grid, field_spec

#: Endings of files of simulations.
SHARD_SUFFIXES = (".hdf5", ".h5")

_AXIS_RTOL = 1e-3
_AXIS_DIGITS = 6


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
    """

    group: str
    dataset: str
    component: tuple[int, ...]
    sample_varying: bool
    time_varying: bool
    axes: tuple[str, ...]
    stored: tuple[int, ...]

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
    """

    path: Path
    n_simulations: int
    grid: Grid
    fields: tuple[str, ...]
    units: Mapping[str, str]
    scalars: tuple[str, ...]
    attributes: Mapping[str, Any]
    boundary: Mapping[str, str]
    sources: Mapping[str, FieldSource] = field(repr=False)

    def spec(self, name: str) -> FieldSpec:
        """One of the fields, with its unit; the tensor order in the file tells the symmetry of a component."""
        source = self.sources[name]
        return field_spec(name, self.units[name], odd=source.odd, vector=source.vector)


def is_shard(path: Path) -> bool:
    """Whether a name is that of a file of simulations: hidden ones are temporary."""
    return path.suffix in SHARD_SUFFIXES and not path.name.startswith(".")


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """Open a file for reading.

    Raises
    ------
    ValueError
        If it is missing, truncated or not HDF5, now or while it is read.
    """
    try:
        # Shards never change once they have their name, and file locks fail on some shared file systems.
        with h5py.File(path, "r", locking=False) as file:
            yield file
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{path}: expected a complete HDF5 file, got: {error}") from error


def read_info(path: Path) -> ShardInfo:
    """Describe a file in The Well's layout, ours or anyone's.

    Raises
    ------
    ValueError
        If it is not a complete HDF5 file, a group, data set or attribute is missing, a shape or a
        unit does not fit, or the grid is not uniform with square cells; the message names the file,
        the data set, what was expected and what came.
    """
    with opened(path) as file:
        for group in GROUPS:
            child(file, group, path)
        axes = _read_axes(file, path)
        grid = _read_grid(file, path)
        n_simulations = int(attribute(file, "n_trajectories", path))
        sources = _read_sources(file, path, n_simulations, grid, axes)
        attributes = {name: _plain(value) for name, value in file.attrs.items()}
        stored = _read_scalars(file, path, n_simulations, grid)
        return ShardInfo(
            path=path,
            n_simulations=n_simulations,
            grid=grid,
            fields=tuple(sources),
            units=_read_units(file, path, sources, stored),
            scalars=stored + tuple(name for name in _parameters(attributes) if name not in stored),
            attributes=attributes,
            boundary=_read_boundary(file, path),
            sources=sources,
        )


def child(group: h5py.Group, name: str, path: Path) -> Any:
    """Member of a group; ``ValueError`` with what the group has if there is none."""
    if name not in group:
        raise ValueError(f"{path}: expected {name!r} in {group.name!r}, got {sorted(group)}")
    return group[name]


def attribute(node: h5py.HLObject, name: str, path: Path) -> Any:
    """Attribute of a group or data set; ``ValueError`` if there is none."""
    if name not in node.attrs:
        raise ValueError(f"{path}: expected attribute {name!r} on {node.name!r}, got {sorted(node.attrs)}")
    return node.attrs[name]


def varying(node: h5py.HLObject, path: Path) -> tuple[bool, bool]:
    """Whether a data set has a simulation and a time axis."""
    return bool(attribute(node, "sample_varying", path)), bool(attribute(node, "time_varying", path))


def _names(node: h5py.HLObject, name: str, path: Path) -> list[str]:
    return [_plain(value) for value in np.atleast_1d(attribute(node, name, path))]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.ndarray):
        return [_plain(item) for item in value.tolist()]
    return value.item() if isinstance(value, np.generic) else value


def _parameters(attributes: Mapping[str, Any]) -> list[str]:
    """Simulation parameters that are numbers, common to all simulations of a file."""
    return [name for name in attributes.get("simulation_parameters", ()) if isinstance(attributes.get(name), int | float)]


def _read_axes(file: h5py.File, path: Path) -> tuple[str, ...]:
    axes = tuple(_names(file["dimensions"], "spatial_dims", path))
    if sorted(axes) != sorted(FILE_DIMS):
        raise ValueError(f"{path}: dimensions, attribute 'spatial_dims': expected {list(FILE_DIMS)}, got {list(axes)}")
    return axes


def _read_grid(file: h5py.File, path: Path) -> Grid:
    size, step = {}, {}
    for name, unit in AXIS_UNITS.items():
        dataset = child(file["dimensions"], name, path)
        found = _plain(dataset.attrs.get("units", unit))
        if found != unit:
            raise ValueError(f"{path}: dimensions/{name}: expected unit {unit!r}, got {found!r}")
        size[name], step[name] = dataset.shape[-1], _uniform_step(dataset[()], f"{path}: dimensions/{name}")
    if abs(step["x"] - step["y"]) > _AXIS_RTOL * step["x"]:
        raise ValueError(f"{path}: dimensions: expected square cells, got dx = {step['x']:g} µm and dy = {step['y']:g} µm")
    return Grid(ny=size["y"], nx=size["x"], spacing=step["x"], time_step=step["time"], n_times=size["time"])


def _uniform_step(coordinates: np.ndarray, where: str) -> float:
    """Step of an axis, shape (point,) or (simulation, point), to the digits that single precision holds."""
    steps = np.diff(coordinates.astype(np.float64), axis=-1)
    if steps.size == 0:
        raise ValueError(f"{where}: expected at least two points, got shape {coordinates.shape}")
    mean = float(steps.mean())
    tolerance = _AXIS_RTOL * abs(mean) + 2 * float(np.finfo(np.float32).eps * np.abs(coordinates).max())
    if not (mean > 0 and np.abs(steps - mean).max() <= tolerance):
        raise ValueError(f"{where}: expected a uniform increasing axis, got steps from {steps.min():g} to {steps.max():g}")
    return float(f"{mean:.{_AXIS_DIGITS}g}")


def _read_sources(file: h5py.File, path: Path, n_simulations: int, grid: Grid, axes: tuple[str, ...]) -> dict[str, FieldSource]:
    sources: dict[str, FieldSource] = {}
    for group, order in FIELD_GROUPS.items():
        for name in _names(file[group], "field_names", path):
            dataset = child(file[group], name, path)
            sample, time = varying(dataset, path)
            leading = (n_simulations,) * sample + (grid.n_times,) * time
            stored = _stored_shape(dataset, path, leading, grid, axes, (len(axes),) * order)
            for component in itertools.product(range(len(axes)), repeat=order):
                suffix = "".join(axes[i] for i in component)
                scalar = f"{name}_{suffix}" if suffix else name
                if scalar in sources:
                    raise ValueError(f"{path}: {group}/{name}: expected every field once, got {scalar!r} twice")
                sources[scalar] = FieldSource(group, name, component, sample, time, axes, stored)
    return sources


def _stored_shape(
    dataset: h5py.Dataset, path: Path, leading: tuple[int, ...], grid: Grid, axes: tuple[str, ...], trailing: tuple[int, ...]
) -> tuple[int, ...]:
    """Points along the spatial axes, 1 where constant; a constant axis may be of length 1 or left out."""
    varies = [bool(value) for value in np.atleast_1d(attribute(dataset, "dim_varying", path))]
    size = {"x": grid.nx, "y": grid.ny}
    if len(varies) != len(axes):
        raise ValueError(f"{path}: {dataset.name}: expected 'dim_varying' of length {len(axes)}, got {varies}")
    kept = tuple(size[axis] if vary else 1 for axis, vary in zip(axes, varies, strict=True))
    dropped = tuple(size[axis] for axis, vary in zip(axes, varies, strict=True) if vary)
    if dataset.shape not in {(*leading, *kept, *trailing), (*leading, *dropped, *trailing)}:
        raise ValueError(f"{path}: {dataset.name}: expected shape {(*leading, *kept, *trailing)}, got {dataset.shape}")
    return kept


def _read_scalars(file: h5py.File, path: Path, n_simulations: int, grid: Grid) -> tuple[str, ...]:
    names = tuple(_names(file["scalars"], "field_names", path))
    for name in names:
        dataset = child(file["scalars"], name, path)
        sample, time = varying(dataset, path)
        expected = (n_simulations,) * sample + (grid.n_times,) * time
        if dataset.shape != expected and (expected or dataset.shape != (1,)):
            raise ValueError(f"{path}: {dataset.name}: expected shape {expected}, got {dataset.shape}")
    return names


def _read_units(file: h5py.File, path: Path, sources: Mapping[str, FieldSource], scalars: tuple[str, ...]) -> dict[str, str]:
    units: dict[str, str] = {}
    for name, source in sources.items():
        unit = file[source.group][source.dataset].attrs.get("units")
        try:
            units[name] = field_spec(name, None if unit is None else _plain(unit)).unit
        except ValueError as error:
            raise ValueError(f"{path}: {source.group}/{source.dataset}: {error}") from None
    for name in scalars:
        if "units" in file["scalars"][name].attrs:
            units[name] = _plain(file["scalars"][name].attrs["units"])
    return units


def _read_boundary(file: h5py.File, path: Path) -> dict[str, str]:
    """Kind of each side; open unless said otherwise, a wall only where all of the side is."""
    boundary = dict.fromkeys(SIDES, "OPEN")
    for condition in file["boundary_conditions"].values():
        kind = str(_plain(attribute(condition, "bc_type", path))).upper()
        if kind not in BOUNDARY_TYPES:
            raise ValueError(f"{path}: {condition.name}: expected 'bc_type' one of {BOUNDARY_TYPES}, got {kind!r}")
        dims = _names(condition, "associated_dims", path)
        mask = child(condition, "mask", path)[()]
        for side, (dim, position) in SIDES.items():
            if dim not in dims:
                continue
            cells = mask.take(position, axis=dims.index(dim))
            if cells.all() if kind == "WALL" else cells.any():
                boundary[side] = kind
    return boundary
