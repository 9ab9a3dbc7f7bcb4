"""Simulations in memory: arrays of any kind, described as files are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from torch import Tensor

from probtokens.data.the_well import ShardInfo
from probtokens.data.the_well.faults import listed
from probtokens.data.the_well.layout import BOUNDARY_TYPES, SIDES, check_values, periodic_axes
from probtokens.fields import FieldSpec, Grid, field_spec
from probtokens.units import OUR_UNITS, measure, spelled, unit_of

#: What errors call simulations that come from no file.
IN_MEMORY = Path("arrays")

#: Fields by name, by name and unit, or with all that is known of them; a name alone is one field.
Fields = str | Sequence[str | FieldSpec] | Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayInfo(ShardInfo):
    """Simulations in memory; all that is known of a file, and the values.

    Attributes
    ----------
    specs
        The fields.
    frames
        Physical units, shape (simulation, time, field, y, x), float32.
    columns
        Values of each scalar, shape (simulation,), float32.
    """

    specs: tuple[FieldSpec, ...]
    frames: np.ndarray
    columns: Mapping[str, np.ndarray]


def numbers(values: Any, name: str) -> np.ndarray:
    """Copy of real numbers of any kind (numpy, torch, xarray, lists), in single precision.

    Raises
    ------
    ValueError
        If these are no real numbers.
    """
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name}: expected real numbers, got an array of {array.dtype}")
    return array.astype(np.float32)


def with_fields(values: Any, names: Sequence[str], dims: tuple[str, ...], name: str) -> np.ndarray:
    """Numbers with axes in the order of ``dims``; the fields of an xarray are found by ``names``, others have them in this order.

    Raises
    ------
    ValueError
        If an xarray lacks an axis or a field.
    """
    if isinstance(values, xr.DataArray):
        if not {"field", "y", "x"} <= set(values.dims) <= set(dims):
            raise ValueError(f"{name}: expected dimensions {list(dims)}, got {list(values.dims)}")
        found = [str(field) for field in values["field"].values]
        if missing := [field for field in names if field not in found]:
            raise ValueError(f"{name}: expected the fields {list(names)}, got {listed(found)} without {listed(missing)}")
        values = values.isel(field=[found.index(field) for field in names]).transpose(*(dim for dim in dims if dim in values.dims))
    return numbers(values, name)


def describe_arrays(
    frames: Any,
    fields: Fields | None,
    spacing: Any,
    time_step: Any,
    context: Mapping[str, Any],
    boundary: Mapping[str, str],
) -> ArrayInfo:
    """Check frames (simulation, time, field, y, x) and what goes with them; see ``TrajectorySet.from_arrays``.

    Raises
    ------
    ValueError
        If shapes, names or edges do not fit, or values are not finite or not physical.
    """
    specs = _specs(frames, fields)
    names = tuple(spec.name for spec in specs)
    values = with_fields(frames, names, ("simulation", "time", "field", "y", "x"), "frames")
    if values.ndim != 5 or values.shape[2] != len(names) or 0 in values.shape:
        expected = f"(simulation, time, field, y, x) with the {len(names)} fields {list(names)}"
        raise ValueError(f"frames: expected shape {expected}, got {values.shape}")
    edges = _edges(boundary)
    edge, length_unit = _step(frames, "x", spacing, "spacing", OUR_UNITS.length)
    step, time_unit = _step(frames, "time", time_step, "time_step", OUR_UNITS.time)
    grid = Grid(
        ny=values.shape[3],
        nx=values.shape[4],
        spacing=edge,
        time_step=step,
        n_times=values.shape[1],
        periodic=periodic_axes(edges),
        length_unit=length_unit,
        time_unit=time_unit,
    )
    if not isinstance(context, Mapping):
        raise ValueError(f"context: expected a mapping from names of scalars to their values, got {type(context).__name__}")
    told = {name: _with_unit(name, column) for name, column in context.items()}
    for number, simulation in enumerate(values):
        for position, spec in enumerate(specs):
            check_values(simulation[:, position], spec, path=IN_MEMORY, simulation=number)
            if spec.constant and (simulation[:, position] != simulation[:1, position]).any():
                raise ValueError(f"frames: field {spec.name!r}, simulation {number}: expected the same at all times, got others")
    values.setflags(write=False)
    return ArrayInfo(
        path=IN_MEMORY,
        n_simulations=len(values),
        grid=grid,
        rounding={"spacing": 0.0, "time_step": 0.0},
        fields=names,
        units={spec.name: spec.unit for spec in specs} | {name: unit for name, (_, unit) in told.items() if unit is not None},
        scalars=tuple(context),
        attributes={},
        boundary=edges,
        sources={},
        specs=specs,
        frames=values,
        columns={name: _column(name, column, len(values)) for name, (column, _) in told.items()},
    )


def _specs(frames: Any, fields: Fields | None) -> tuple[FieldSpec, ...]:
    """Fields as they are given; those of an xarray are its coordinates ``field`` and ``field_unit`` unless they are."""
    if fields is None:
        if not isinstance(frames, xr.DataArray) or "field" not in frames.coords:
            raise ValueError("fields: expected the names of the fields, or frames of xarray with a coordinate 'field', got neither")
        names = [str(name) for name in frames["field"].values]
        units = [str(unit) for unit in frames["field_unit"].values] if "field_unit" in frames.coords else [None] * len(names)
        fields = [field_spec(name, unit) for name, unit in zip(names, units, strict=True)]
    return specs_of(fields)


def specs_of(fields: Fields) -> tuple[FieldSpec, ...]:
    """All that is known of fields.

    Raises
    ------
    ValueError
        If there is none, or one comes twice.
    """
    if isinstance(fields, Mapping):
        fields = [field_spec(name, unit) for name, unit in fields.items()]
    elif isinstance(fields, str):
        fields = [fields]
    specs = tuple(field if isinstance(field, FieldSpec) else field_spec(field) for field in fields)
    names = [spec.name for spec in specs]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"fields: expected at least one name, each once, got {names}")
    return specs


def _step(frames: Any, axis: str, given: Any, name: str, ours: str) -> tuple[float, str]:
    """What is given, else the step of an xarray's coordinate, and its unit: our own of a number, of a coordinate that tells none too."""
    if isinstance(given, Real):
        return float(given), ours
    if given is not None:
        try:
            return measure(f"{given:~P}" if hasattr(given, "magnitude") else str(given), ours)
        except ValueError as error:
            raise ValueError(f"{name}: expected {error}") from None
    if not isinstance(frames, xr.DataArray) or axis not in frames.coords or frames.sizes[axis] < 2:
        raise ValueError(f"{name}: expected a number, or frames of xarray with a coordinate {axis!r}, got neither")
    values = frames[axis].values.astype(np.float64)
    told = frames[axis].attrs.get("unit", frames[axis].attrs.get("units", ours))
    try:
        return float((values[-1] - values[0]) / (len(values) - 1)), unit_of(str(told), ours)
    except ValueError as error:
        raise ValueError(f"frames: coordinate {axis!r}: expected {error}") from None


def _with_unit(name: str, given: Any) -> tuple[Any, str | None]:
    """Values of a scalar and their unit: of a pair with one, or of an xarray that tells one."""
    values, unit = given, given.attrs.get("units") if isinstance(given, xr.DataArray) else None
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], str):
        values, unit = given
    try:
        return values, None if unit is None else spelled(str(unit))
    except ValueError as error:
        raise ValueError(f"context {name!r}: expected {error}") from None


def _column(name: str, values: Any, n_simulations: int) -> np.ndarray:
    column = np.atleast_1d(numbers(values, f"context {name!r}"))
    if column.shape != (n_simulations,) or not np.isfinite(column).all():
        raise ValueError(f"context {name!r}: expected {n_simulations} finite numbers, one for each simulation, got shape {column.shape}")
    return column


def _edges(boundary: Mapping[str, str]) -> dict[str, str]:
    if not set(boundary) <= set(SIDES) or not set(boundary.values()) <= set(BOUNDARY_TYPES):
        raise ValueError(f"boundary: expected some of {list(SIDES)} as one of {list(BOUNDARY_TYPES)}, got {dict(boundary)}")
    return dict.fromkeys(SIDES, "OPEN") | dict(boundary)
