"""Write simulations in The Well's HDF5 layout."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from probtokens.data.atomic import replacing
from probtokens.data.the_well.faults import prefixed
from probtokens.data.the_well.layout import (
    BOUNDARY_TYPES,
    FIELD_GROUPS,
    FILE_DIMS,
    GROUPS,
    SIDES,
    check_values,
    components,
    periodic_axes,
)
from probtokens.fields import Grid, field_spec

_RESERVED = ("dataset_name", "grid_type", "n_spatial_dims", "n_trajectories", "simulation_parameters")


def write_shard(
    path: Path,
    frames: Mapping[str, np.ndarray],
    *,
    grid: Grid,
    scalars: Mapping[str, np.ndarray],
    units: Mapping[str, str],
    dataset_name: str,
    boundary: Mapping[str, str],
    vectors: Sequence[str] = ("velocity",),
    tensors: Sequence[str] = (),
    attributes: Mapping[str, Any] | None = None,
) -> None:
    """Write one file of simulations; it appears under ``path`` whole or not at all.

    Parameters
    ----------
    path
        File to make or replace, by convention ``*.hdf5``; missing folders are made.
    frames
        Scalar-field name -> array of shape (simulation, time, y, x); one frame for a field that does not change in time.
    grid
        Grid of all simulations, whose units are stored; at least two points on every axis. ``boundary`` tells what is periodic.
    scalars
        Scalar name -> array of shape (simulation,).
    units
        Unit of every field and scalar.
    dataset_name
        Name of the data set; the same for all files of a folder.
    boundary
        ``left``, ``right``, ``bottom``, ``top`` -> ``WALL``, ``OPEN`` or ``PERIODIC``.
    vectors
        Names of vectors: where ``NAME_x`` and ``NAME_y`` are both among the frames they are stored together as the vector field
        ``NAME``, and change their sign in mirror images.
    tensors
        Names of tensors of second order, likewise: ``NAME_xx``, ``NAME_xy``, ``NAME_yx`` and ``NAME_yy``.
    attributes
        Further root attributes. Floating-point ones are listed as simulation parameters.

    Raises
    ------
    ValueError
        If shapes, units, boundary or attributes do not fit or a value is not physical; the message
        names the file, the field, what was expected and what came.
    WriteError
        If the file cannot be written, e.g. because the disk is full.
    """
    n_simulations = _check_arrays(path, frames, grid, scalars)
    declared = {**dict.fromkeys(vectors, 1), **dict.fromkeys(tensors, 2)}
    orders = {name: order for name, order in declared.items() if set(components(name, order)) <= set(frames)}
    _check_units(path, frames, scalars, units, orders)
    _check_boundary(path, boundary)
    extra = dict(attributes or {})
    _check_attributes(path, extra)
    for name, values in frames.items():
        spec = field_spec(name, units[name])
        for simulation, trajectory in enumerate(values):
            check_values(trajectory, spec, path=path, simulation=simulation)
    # Made in memory: on a full disk HDF5 cannot even close its file, and says so many times over.
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        _write_root(file, dataset_name, n_simulations, extra)
        for group in GROUPS:
            file.create_group(group)
        _write_axes(file["dimensions"], grid)
        _write_boundary(file["boundary_conditions"], boundary, grid)
        _write_scalars(file["scalars"], scalars, units)
        _write_fields(file, frames, units, orders)
    # Not write_bytes: a view of the buffer that a failed one leaves behind crashes Python 3.12 when it ends.
    with replacing(path) as temporary, temporary.open("wb") as stored:
        stored.write(buffer.getbuffer())


def _check_arrays(path: Path, frames: Mapping[str, np.ndarray], grid: Grid, scalars: Mapping[str, np.ndarray]) -> int:
    if not frames:
        raise ValueError(f"{path}: expected at least one field, got none")
    if min(grid.ny, grid.nx, grid.n_times) < 2:
        raise ValueError(f"{path}: expected a grid of at least two points on every axis, got {grid}")
    n_simulations = np.shape(next(iter(frames.values())))[0]
    for name, values in frames.items():
        expected = (n_simulations, grid.n_times, *grid.shape)
        if np.shape(values) not in {expected, (n_simulations, 1, *grid.shape)} or n_simulations < 1:
            raise ValueError(f"{path}: field {name!r}: expected (simulation, time, y, x) = {expected}, got {np.shape(values)}")
    for name, values in scalars.items():
        if np.shape(values) != (n_simulations,) or not np.isfinite(values).all():
            raise ValueError(f"{path}: scalar {name!r}: expected {n_simulations} finite values, got {values!r}")
    return n_simulations


def _check_units(
    path: Path, frames: Mapping[str, np.ndarray], scalars: Mapping[str, np.ndarray], units: Mapping[str, str], orders: Mapping[str, int]
) -> None:
    missing = sorted({*frames, *scalars} - set(units))
    if missing:
        raise ValueError(f"{path}: expected a unit for every field and scalar, got none for {missing}")
    for name, order in orders.items():
        parts = [units[part] for part in components(name, order)]
        if len(set(parts)) > 1:
            raise ValueError(f"{path}: field {name!r}: expected one unit for its components, got {parts}")
        lengths = [len(frames[part][0]) for part in components(name, order)]
        if len(set(lengths)) > 1:
            raise ValueError(f"{path}: field {name!r}: expected one number of frames for its components, got {lengths}")


def _check_boundary(path: Path, boundary: Mapping[str, str]) -> None:
    if set(boundary) != set(SIDES):
        raise ValueError(f"{path}: boundary: expected the sides {sorted(SIDES)}, got {sorted(boundary)}")
    for side, kind in boundary.items():
        if kind not in BOUNDARY_TYPES:
            raise ValueError(f"{path}: boundary {side!r}: expected one of {BOUNDARY_TYPES}, got {kind!r}")
    try:
        periodic_axes(boundary)
    except ValueError as error:
        raise prefixed(error, path, "edges") from None


def _check_attributes(path: Path, attributes: Mapping[str, Any]) -> None:
    for name, value in attributes.items():
        if name in _RESERVED:
            raise ValueError(f"{path}: attribute {name!r}: expected a name other than {_RESERVED}")
        if not isinstance(value, str | int | float | np.generic):
            raise ValueError(f"{path}: attribute {name!r}: expected text or a number, got {type(value).__name__}")


def _write_root(file: h5py.File, dataset_name: str, n_simulations: int, attributes: Mapping[str, Any]) -> None:
    file.attrs["dataset_name"] = dataset_name
    file.attrs["grid_type"] = "cartesian"
    file.attrs["n_spatial_dims"] = len(FILE_DIMS)
    file.attrs["n_trajectories"] = n_simulations
    _set_names(file, "simulation_parameters", [name for name, value in attributes.items() if isinstance(value, float | np.floating)])
    for name, value in attributes.items():
        file.attrs[name] = value


def _write_axes(group: h5py.Group, grid: Grid) -> None:
    _set_names(group, "spatial_dims", list(FILE_DIMS))
    axes = {
        "time": (np.arange(grid.n_times) * grid.time_step, grid.time_unit),
        "x": ((np.arange(grid.nx) + 0.5) * grid.spacing, grid.length_unit),
        "y": ((np.arange(grid.ny) + 0.5) * grid.spacing, grid.length_unit),
    }
    for name, (values, unit) in axes.items():
        dataset = group.create_dataset(name, data=values.astype(np.float32))
        dataset.attrs["units"] = unit
        _set_varying(dataset, sample=False, time=False)


def _write_boundary(group: h5py.Group, boundary: Mapping[str, str], grid: Grid) -> None:
    for side, (dim, position) in SIDES.items():
        condition = group.create_group(side)
        condition.attrs["bc_type"] = boundary[side]
        _set_names(condition, "associated_dims", [dim])
        _set_names(condition, "associated_fields", [])
        _set_varying(condition, sample=False, time=False)
        mask = np.zeros(grid.nx if dim == "x" else grid.ny, dtype=bool)
        mask[position] = True
        condition.create_dataset("mask", data=mask)
        condition.create_dataset("values", data=np.zeros(int(mask.sum()), dtype=np.float32))


def _write_scalars(group: h5py.Group, scalars: Mapping[str, np.ndarray], units: Mapping[str, str]) -> None:
    _set_names(group, "field_names", list(scalars))
    for name, values in scalars.items():
        dataset = group.create_dataset(name, data=np.asarray(values, dtype=np.float32))
        dataset.attrs["units"] = units[name]
        _set_varying(dataset, sample=True, time=False)


def _write_fields(file: h5py.File, frames: Mapping[str, np.ndarray], units: Mapping[str, str], orders: Mapping[str, int]) -> None:
    parts = {part for name, order in orders.items() for part in components(name, order)}
    stored = {**{name: 0 for name in frames if name not in parts}, **orders}
    for group, order in FIELD_GROUPS.items():
        names = [name for name, its_order in stored.items() if its_order == order]
        _set_names(file[group], "field_names", names)
        for name in names:
            # (component, simulation, time, y, x) as the file has it: (simulation, time, x, y, components)
            stacked = np.array([frames[part] for part in components(name, order)], dtype=np.float32).transpose(1, 2, 4, 3, 0)
            values = stacked.reshape(*stacked.shape[:-1], *(len(FILE_DIMS),) * order)
            _write_field(file[group], name, values, units[components(name, order)[0]], len(file["dimensions/time"]))


def _write_field(group: h5py.Group, name: str, values: np.ndarray, unit: str, n_times: int) -> None:
    varies = values.shape[1] == n_times
    dataset = group.create_dataset(name, data=np.ascontiguousarray(values if varies else values[:, 0]))
    dataset.attrs["units"] = unit
    dataset.attrs["dim_varying"] = np.ones(len(FILE_DIMS), dtype=bool)
    _set_varying(dataset, sample=True, time=varies)


def _set_varying(node: h5py.HLObject, *, sample: bool, time: bool) -> None:
    node.attrs["sample_varying"] = sample
    node.attrs["time_varying"] = time


def _set_names(node: h5py.HLObject, attribute: str, names: list[str]) -> None:
    node.attrs.create(attribute, np.array(names, dtype=object), dtype=h5py.string_dtype())
