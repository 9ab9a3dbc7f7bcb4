"""Layout of a stored rollout: a Zarr group that xarray opens, chunked so that one field of one frame is one read.

Variables
---------
prediction : (draw, simulation, time, field, y, x) float32
truth : (simulation, time, field, y, x) float32

Every chunk ends with its CRC-32C, which is verified when it is read.

Time starts with the initial frame, lead 0, which every draw repeats unchanged: it is given, not
predicted, and no score counts it. Coordinates: ``draw``, ``simulation`` (trajectory names), ``time``
since the initial frame, ``lead`` (frame number), ``field`` with ``field_unit``, ``field_label``,
``field_lower`` and ``field_upper`` (NaN where unbounded), ``field_odd`` and ``field_vector`` (as in
:class:`probtokens.fields.FieldSpec`), ``field_least`` and ``field_most`` (limits of :class:`probtokens.data.support.Range`; NaN where the
model does not know what it was trained on), ``y`` and ``x`` (cell centres) and, along ``simulation``, ``outside`` (what of the
simulation's beginning lies outside of the training range, ``""`` if nothing does) and one coordinate for each context scalar.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import xarray as xr
import zarr
from numpy.typing import NDArray
from zarr.codecs import BloscCodec, Crc32cCodec

from probtokens.data.support import Support
from probtokens.data.the_well.faults import fault, listed
from probtokens.data.the_well.layout import AXIS_UNITS
from probtokens.data.zarr_store import open_store, reading
from probtokens.fields import SPATIAL_DIMS, FieldSpec, Grid, field_index
from probtokens.units import Units, in_unit, unit_of

TRUTH_DIMS = ("simulation", "time", "field", "y", "x")
PREDICTION_DIMS = ("draw", *TRUTH_DIMS)

#: Draws that are made, and stored, at once, however many are asked for: memory does not grow with them.
DRAWS_AT_ONCE = 8

#: Names of arrays and coordinates that every rollout has: no context scalar may have one of them.
RESERVED = (
    *PREDICTION_DIMS,
    *("prediction", "truth", "lead", "outside"),
    *(
        "field_unit",
        "field_label",
        "field_lower",
        "field_upper",
        "field_constant",
        "field_least",
        "field_most",
        "field_odd",
        "field_vector",
    ),
)

#: Steps of an axis that differ by less than this share are the same.
_STEP_RTOL = 1e-4

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Slab:
    """One field of one predicted frame of one simulation.

    Attributes
    ----------
    field
        The field, with its unit and bounds.
    simulation
        Position along the simulation axis.
    frame
        Position along the time axis.
    lead
        Frames since the initial one when the rollout was written, 1 or more; where frames were left out, more than ``frame``.
    prediction
        All members, shape (draw, y, x), float32, in the field's unit.
    truth
        Shape (y, x), float32, in the field's unit.
    """

    field: FieldSpec
    simulation: int
    frame: int
    lead: int
    prediction: NDArray[np.float32]
    truth: NDArray[np.float32]


class RolloutArrays(NamedTuple):
    """The two big arrays of a store, to be filled frame by frame."""

    prediction: zarr.Array
    truth: zarr.Array


def create_store(
    path: Path,
    *,
    draws: int,
    simulations: Sequence[str],
    fields: Sequence[FieldSpec],
    grid: Grid,
    context: Mapping[str, NDArray[np.floating]],
    attributes: Mapping[str, str | int | float],
    support: Support | None = None,
    outside: Sequence[str] | None = None,
    context_units: Mapping[str, str] | None = None,
) -> RolloutArrays:
    """Write coordinates and empty arrays of a rollout and return the arrays to fill.

    Parameters
    ----------
    context
        Known scalars by name, each of shape (simulation,).
    attributes
        Provenance written as attributes of the group.
    support, outside
        What the model was trained on, and what of every simulation's beginning lies outside of it, where that is known.
    context_units
        Units of scalars that have one.
    """
    coords = coordinates(draws, simulations, fields, grid, context, support, outside, context_units)
    empty = xr.Dataset(coords=coords, attrs=dict(attributes))
    empty.to_zarr(path, mode="w", consolidated=False, zarr_format=3)
    group = zarr.open_group(path, mode="r+")
    names = " ".join(sorted(str(name) for name in empty.coords if name not in empty.dims))
    sizes = {"draw": draws, "simulation": len(simulations), "time": grid.n_times, "field": len(fields), "y": grid.ny, "x": grid.nx}

    def create(name: str, dims: tuple[str, ...], single: tuple[str, ...]) -> zarr.Array:
        """Empty array whose chunks hold one entry along the axes ``single``, the draws that are made at once, and all else."""
        return group.create_array(
            name,
            shape=tuple(sizes[dim] for dim in dims),
            chunks=tuple(1 if dim in single else min(sizes[dim], DRAWS_AT_ONCE) if dim == "draw" else sizes[dim] for dim in dims),
            dtype="float32",
            fill_value=np.nan,
            dimension_names=dims,
            compressors=[BloscCodec(cname="lz4", clevel=1, shuffle="shuffle"), Crc32cCodec()],
            attributes={"coordinates": names},
        )

    return RolloutArrays(
        create("prediction", PREDICTION_DIMS, single=("simulation", "time", "field")),
        create("truth", TRUTH_DIMS, single=("simulation", "time")),
    )


def open_rollout(path: Path | str) -> xr.Dataset:
    """Open a stored rollout without loading it: its arrays are read chunk by chunk when used.

    Raises
    ------
    ValueError
        If there is no rollout at ``path``: no Zarr group, or variables or dimensions that differ.
    """
    path = Path(path)
    if not (path / "zarr.json").is_file():
        raise ValueError(f"{path}: expected a rollout (a Zarr group), found {'something else' if path.exists() else 'nothing'}")
    rollout = open_store(path, chunks={})
    for name, dims in (("prediction", PREDICTION_DIMS), ("truth", TRUTH_DIMS)):
        found = rollout[name].dims if name in rollout else None
        if found != dims:
            raise ValueError(f"{path}: expected a rollout with {name!r} of dimensions {dims}, got {found or 'none of that name'}")
        if rollout[name].dtype != np.float32:
            raise fault(path, "numbers of type float32", rollout[name].dtype, where=name)
    with reading(path, "coordinates"):
        texts = {
            name: (values.dims, np.array([str(value) for value in values.values]), values.attrs)
            for name, values in rollout.coords.items()
            if values.dtype.kind in "TO"
        }
        return rollout.assign_coords({name: values.load() for name, values in rollout.coords.items()} | texts)


def require_free_names(context: Iterable[str]) -> None:
    """Refuse names of context scalars that a rollout cannot have: those of its own arrays, and those that are no names of arrays.

    Raises
    ------
    ValueError
        Naming the first of them.
    """
    for name in context:
        if name in RESERVED:
            raise ValueError(f"context {name!r}: expected a name that rollouts do not use for something else, none of {listed(RESERVED)}")
        if not name or "/" in name or name.startswith((".", "__")):  # names of arrays are paths in a store
            raise ValueError(f"context {name!r:.100}: expected a name without a slash that begins with a letter")


def all_axes(rollout: xr.Dataset) -> xr.Dataset:
    """The rollout with an axis of one wherever a single draw, simulation or field was chosen, e.g. with ``isel(simulation=0)``.

    Raises
    ------
    ValueError
        If ``prediction`` or ``truth`` is missing, has another axis, or is without an axis of time or space.
    """
    arrays = {}
    for name, dims in (("prediction", PREDICTION_DIMS), ("truth", TRUTH_DIMS)):
        found = rollout[name].dims if name in rollout else ()
        missing = [dim for dim in dims if dim not in found]
        if not {"time", *SPATIAL_DIMS} <= set(found) <= set(dims):
            raise ValueError(f"rollout: expected {name!r} of dimensions {dims}, got {found or 'none of that name'}")
        arrays[name] = rollout[name].expand_dims(missing).transpose(*dims)
    chosen = [dim for dim in PREDICTION_DIMS if dim not in rollout.dims]
    # What describes a chosen field or simulation has lost its axis with it; context scalars are those that no field is described by.
    described = {name: values for name, values in rollout.coords.items() if values.ndim == 0 and name not in chosen}
    axes = {name: "field" if str(name).startswith("field_") else "simulation" for name in described}
    columns = {name: (axes[name], [values.values[()]], values.attrs) for name, values in described.items() if axes[name] in chosen}
    named = [dim for dim in chosen if dim in rollout.coords]
    return rollout.drop_vars([*named, *columns]).assign(arrays).assign_coords(columns)


def rollout_fields(rollout: xr.Dataset) -> tuple[FieldSpec, ...]:
    """Fields of a rollout, in order."""
    rollout = all_axes(rollout)

    def bound(name: str, i: int) -> float | None:
        value = float(rollout[name].values[i])
        return None if np.isnan(value) else value

    def text(name: str, i: int) -> str | None:
        """``None`` in a rollout that was written before there was such a coordinate."""
        return str(rollout[name].values[i]) if name in rollout.coords else None

    return tuple(
        FieldSpec(
            str(rollout["field"].values[i]),
            str(rollout["field_unit"].values[i]),
            str(rollout["field_label"].values[i]),
            lower=bound("field_lower", i),
            upper=bound("field_upper", i),
            odd=text("field_odd", i),
            vector=text("field_vector", i),
            constant="field_constant" in rollout.coords and bool(rollout["field_constant"].values[i]),
        )
        for i in range(rollout.sizes["field"])
    )


def rollout_grid(rollout: xr.Dataset) -> Grid:
    """Grid of a rollout; ``n_times`` counts the initial frame.

    Cell edge and frame step are those of the coordinates, so that a rollout may be cropped or thinned. The attributes ``spacing`` and
    ``time_step`` count where an axis has a single point.

    Raises
    ------
    ValueError
        If an axis is missing or does not ascend in equal steps, or the cells are not square.
    """
    sizes = all_axes(rollout).sizes
    edges = [_step(rollout, axis, "spacing") for axis in SPATIAL_DIMS]
    units = Units(_unit(rollout, "x"), _unit(rollout, "time"))
    if abs(edges[0] - edges[1]) > _STEP_RTOL * edges[1]:
        found = [in_unit(f"{edge:g}", units.length) for edge in edges]
        raise ValueError(f"rollout: expected square cells, got {found[0]} along y and {found[1]} along x")
    step = _step(rollout, "time", "time_step")
    periodic = str(rollout.attrs.get("periodic", ""))
    return Grid(sizes["y"], sizes["x"], edges[1], step, sizes["time"], periodic, units.length, units.time)


def _unit(rollout: xr.Dataset, axis: str) -> str:
    """Unit of a coordinate."""
    ours = AXIS_UNITS[axis]
    try:
        return unit_of(str(rollout[axis].attrs.get("unit", ours)), ours)
    except ValueError as error:
        raise ValueError(f"rollout: coordinate {axis!r}: expected {error}") from None


def _step(rollout: xr.Dataset, axis: str, attribute: str) -> float:
    """Step of a coordinate; the attribute's value, which is not rounded, where they agree."""
    if axis not in rollout.coords or (rollout.sizes[axis] < 2 and attribute not in rollout.attrs):
        raise ValueError(f"rollout: expected a coordinate {axis!r} or, of one point, an attribute {attribute!r}, got neither")
    values, stated = rollout[axis].values.astype(np.float64), rollout.attrs.get(attribute, np.nan)
    if not isinstance(stated, int | float):
        raise ValueError(f"rollout: expected a number as attribute {attribute!r}, got {stated!r:.40}")
    if len(values) < 2:
        return stated
    steps = np.diff(values)
    mean = float(steps.mean())
    # Coordinates in single precision are uniform up to their own rounding.
    tolerance = _STEP_RTOL * abs(mean) + 2 * float(np.finfo(np.float32).eps) * float(np.abs(values).max())
    if not (mean > 0 and np.abs(steps - mean).max() <= tolerance):
        raise ValueError(f"rollout: expected {axis!r} to ascend in equal steps, got steps from {steps.min():g} to {steps.max():g}")
    return stated if abs(stated - mean) <= tolerance else mean


def rollout_leads(rollout: xr.Dataset) -> list[int]:
    """Frames since the initial one, by position along the time axis, starting with 0.

    Raises
    ------
    ValueError
        If the initial frame is missing or leads do not ascend.
    """
    leads = [int(lead) for lead in np.atleast_1d(rollout["lead"].values)]
    if leads[:1] != [0] or any(later <= earlier for earlier, later in pairwise(leads)):
        raise ValueError(f"rollout: expected ascending leads from 0, the initial frame, which is given, got {leads}")
    return leads


def map_slabs(
    function: Callable[[Slab], Result],
    rollout: xr.Dataset,
    fields: Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, list[Result]]:
    """Results of ``function`` for every field, by default all that are not constant, each a list over simulations and, faster, leads >= 1.

    Frames are read and processed by as many threads as there are CPU cores (at most 4), each holding one frame with
    all draws at a time, so memory does not grow with the rollout. ``progress(done, total)`` is called after each frame.

    Raises
    ------
    ValueError
        If a name in ``fields`` is no field of the rollout, the rollout does not start with the initial frame, or a stored frame is damaged.
    """
    source = rollout.encoding.get("source", "rollout")
    rollout = all_axes(rollout)
    specs, leads = rollout_fields(rollout), rollout_leads(rollout)
    names = [spec.name for spec in specs if not spec.constant] if fields is None else list(fields)
    indices = [field_index(specs, name) for name in names]
    arrays = rollout[["prediction", "truth"]].reset_coords(drop=True).drop_vars(rollout.dims, errors="ignore").isel(field=indices)

    def work(key: tuple[int, int]) -> list[Result]:
        simulation, frame = key
        with reading(source, f"simulation {simulation}, frame {frame}"):
            values = arrays.isel(simulation=simulation, time=frame).compute(scheduler="synchronous")
        prediction, truth = values["prediction"].values, values["truth"].values
        if np.isnan(prediction).any():  # no forecast has them, and they stand for chunks that were lost or never written
            raise fault(Path(source), "a forecast of finite values", "NaN", where=f"simulation {simulation}, frame {frame}")
        return [function(Slab(specs[i], simulation, frame, leads[frame], prediction[:, k], truth[k])) for k, i in enumerate(indices)]

    keys = [(simulation, frame) for simulation in range(rollout.sizes["simulation"]) for frame in range(1, rollout.sizes["time"])]
    with ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1)) as pool:
        frames = []
        for result in pool.map(work, keys):
            frames.append(result)
            if progress is not None:
                progress(len(frames), len(keys))
    return {name: [results[k] for results in frames] for k, name in enumerate(names)}


@contextmanager
def replacing_store(path: Path) -> Iterator[Path]:
    """Yield a temporary folder name; on success it becomes ``path``, else it is removed.

    A rollout already at ``path`` is replaced at the end.

    Raises
    ------
    ValueError
        If something that is not a rollout is already at ``path``.
    """
    if path.exists():
        open_rollout(path).close()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary, old = path.with_name(f".{path.name}.partial"), path.with_name(f".{path.name}.old")
    if old.exists() and not path.exists():  # a kill came between the two renames
        old.rename(path)
    for leftover in (temporary, old):
        shutil.rmtree(leftover, ignore_errors=True)
    try:
        yield temporary
        if path.exists():
            path.rename(old)
        temporary.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        if old.exists() and not path.exists():
            old.rename(path)
        shutil.rmtree(temporary, ignore_errors=True)


def coordinates(
    draws: int,
    simulations: Sequence[str],
    fields: Sequence[FieldSpec],
    grid: Grid,
    context: Mapping[str, NDArray[np.floating]],
    support: Support | None = None,
    outside: Sequence[str] | None = None,
    context_units: Mapping[str, str] | None = None,
) -> dict[str, tuple[str, NDArray[np.generic], dict[str, str]]]:
    """Coordinates of a rollout, the initial frame included; see the top of this module.

    Raises
    ------
    ValueError
        If a context scalar has the name of another coordinate.
    """
    lead = np.arange(grid.n_times)
    limits = [(None, None)] * len(fields) if support is None else [known.limits for known in support.fields]

    def text(values: list[str]) -> NDArray[np.generic]:
        return np.array(values, dtype=object)

    def bound(values: list[float | None]) -> NDArray[np.generic]:
        return np.array([np.nan if value is None else value for value in values])

    found: dict[str, tuple[str, NDArray[np.generic], dict[str, str]]] = {
        "draw": ("draw", np.arange(draws), {}),
        "simulation": ("simulation", text(list(simulations)), {}),
        "outside": ("simulation", text([""] * len(simulations) if outside is None else list(outside)), {}),
        "time": ("time", lead * grid.time_step, {"unit": grid.time_unit, "long_name": "time since the initial frame"}),
        "lead": ("time", lead, {}),
        "field": ("field", text([spec.name for spec in fields]), {}),
        "field_unit": ("field", text([spec.unit for spec in fields]), {}),
        "field_label": ("field", text([spec.label for spec in fields]), {}),
        "field_lower": ("field", bound([spec.lower for spec in fields]), {}),
        "field_upper": ("field", bound([spec.upper for spec in fields]), {}),
        "field_least": ("field", bound([low for low, _ in limits]), {}),
        "field_most": ("field", bound([high for _, high in limits]), {}),
        "field_odd": ("field", text([str(spec.odd) for spec in fields]), {}),
        "field_vector": ("field", text([str(spec.vector) for spec in fields]), {}),
        "field_constant": ("field", np.array([spec.constant for spec in fields]), {}),
        "y": ("y", (np.arange(grid.ny) + 0.5) * grid.spacing, {"unit": grid.length_unit}),
        "x": ("x", (np.arange(grid.nx) + 0.5) * grid.spacing, {"unit": grid.length_unit}),
    }
    require_free_names(context)
    for name, values in context.items():
        unit = (context_units or {}).get(name)
        found[name] = ("simulation", np.asarray(values, dtype=np.float64), {"unit": unit} if unit else {})
    return found
