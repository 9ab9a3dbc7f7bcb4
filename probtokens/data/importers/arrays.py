"""Arrays with named axes: NumPy files, and what xarray reads (netCDF, Zarr)."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import dask.array
import h5py
import numpy as np
import xarray as xr

from probtokens.data.importers.source import AXES, Contents, Given, Simulation, Variable, files_below, simulation_names, splits_by_folder
from probtokens.data.the_well.axes import Axis, uniform_axis
from probtokens.data.the_well.faults import Place, fault, listed
from probtokens.data.the_well.hdf5 import opened
from probtokens.data.the_well.storage import require_there
from probtokens.data.zarr_store import open_store, reading
from probtokens.limits import require_fits

#: How netCDF marks an HDF5 data set that stands for an axis without coordinates.
_NO_VARIABLE = "This is a netCDF dimension but not a netCDF variable"
_NUMPY = (".npy", ".npz")
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_XARRAY = (".nc", ".nc4", ".cdf", ".netcdf", ".zarr")


class ArraySource:
    """Files whose arrays have the axes ``simulation``, ``time``, ``field``, ``y`` and ``x``, or some of them, in any order.

    An array without ``time`` is a constant field. One along ``simulation`` alone, or a number in a file of one simulation, is a scalar.
    """

    layout: ClassVar[str] = "arrays"
    expects: ClassVar[str] = ".npy, .npz, netCDF or Zarr with the axes simulation, time, field, y and x, or some of them"

    def __init__(self, path: Path, given: Given) -> None:
        self._given = given
        files = _files(path)
        if not files:
            raise fault(path, "files .npy, .npz, .nc or .zarr", "none")
        self._opened: tuple[Path, xr.Dataset] | None = None
        described = [_Described(file, self._dataset(file)) for file in files]
        first = described[0]
        for other in described:
            other.require_like(first)
        self._places = tuple((one.path, number) for one in described for number in range(one.n_simulations))
        root = path if path.is_dir() and not _is_zarr(path) else path.parent
        alone = len(self._places) == len(files)
        self.contents = Contents(
            path=path,
            files=tuple(part for file in files for part in ([file] if file.is_file() else sorted(file.rglob("zarr.json")))),
            names=simulation_names(root, [(file, "" if alone else str(number)) for file, number in self._places]),
            shape=first.shape,
            fields=first.fields,
            scalars=first.scalars,
            x=first.axes.get("x"),
            y=first.axes.get("y"),
            time=first.axes.get("time"),
            length_unit=first.unit_of("x"),
            time_unit=first.unit_of("time"),
            splits=splits_by_folder(root, tuple(file for file, _ in self._places)),
            notes=first.notes,
        )

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether there are files with such endings, or a Zarr store."""
        return bool(_files(path))

    def read(self, number: int) -> Simulation:
        """Read one simulation."""
        path, index = self._places[number]
        values = self._dataset(path)
        values = values.isel(simulation=index) if "simulation" in values.dims else values
        with reading(path, f"simulation {index}"):
            frames = {name: np.asarray(values[name].transpose(..., "y", "x").values) for name in self.contents.fields}
            scalars = {name: float(values[name]) for name in self.contents.scalars}
        return Simulation(path, {name: frame if frame.ndim == 3 else frame[None] for name, frame in frames.items()}, scalars)

    def _dataset(self, path: Path) -> xr.Dataset:
        """Arrays of a file by scalar field; the last file stays open, for the simulations of one are read one after the other."""
        if self._opened is None or self._opened[0] != path:
            if self._opened is not None:
                self._opened[1].close()
            raw = _numpy_dataset(path, self._given.dims) if path.suffix in _NUMPY else _xarray_dataset(path)
            self._opened = path, _by_field(path, raw, self._given)
        return self._opened[1]


class _Described:
    """What one file holds."""

    def __init__(self, path: Path, data: xr.Dataset) -> None:
        self.path, self._data = path, data
        sizes = data.sizes
        fields = [str(name) for name, values in data.data_vars.items() if {"y", "x"} <= set(values.dims)]
        scalars = [str(name) for name, values in data.data_vars.items() if set(values.dims) <= {"simulation"}]
        if not fields or "time" not in sizes:
            raise fault(path, "arrays with the axes time, y and x", _shapes(data))
        wrong = [str(name) for name in (*fields, *scalars) if data[name].dtype.kind not in "biuf"]
        if wrong:
            raise fault(path, "real numbers", str(data[wrong[0]].dtype), where=wrong[0])
        self.n_simulations = int(sizes.get("simulation", 1))
        self.shape = (int(sizes["time"]), int(sizes["y"]), int(sizes["x"]))
        self.fields = {name: Variable(_unit(data[name]), constant="time" not in data[name].dims) for name in fields}
        self.scalars = {name: _unit(data[name]) for name in scalars}
        others = [str(name) for name in data.data_vars if name not in (*fields, *scalars)]
        self.notes = tuple(f"left out: {name!r}, with the axes {listed(data[name].dims)}" for name in others)
        self.axes: dict[str, Axis] = {}
        for axis in ("x", "y", "time"):
            if axis in data.coords and data[axis].ndim == 1 and data.sizes[axis] > 1:
                self.axes[axis] = uniform_axis(Place(path, f"coordinate {axis!r}"), _numbers(path, data, axis))

    def unit_of(self, axis: str) -> str | None:
        """Unit of an axis; of a time since a date that of the difference."""
        unit = _unit(self._data[axis]) if axis in self._data.coords else None
        return unit.partition(" since ")[0] if unit else None

    def require_like(self, first: _Described) -> None:
        """Refuse a file that differs from the first one in what its simulations are."""
        for what in ("shape", "fields", "scalars", "axes"):
            mine, its = getattr(self, what), getattr(first, what)
            if mine != its:
                told = (its, mine) if what == "shape" else (listed(its), listed(mine) if set(mine) != set(its) else "others of these names")
                raise fault(self.path, f"{told[0]} as in {first.path.name}", told[1], where="(time, y, x)" if what == "shape" else what)


def load_array(path: Path) -> Any:
    """Array of an ``.npy`` file, mapped, or the arrays of an ``.npz`` file.

    Raises
    ------
    ValueError
        If it is damaged or holds Python objects.
    """
    members: list[zipfile.ZipInfo] = []
    try:
        if path.suffix == ".npz":
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
        loaded = np.load(path, mmap_mode="r" if path.suffix == ".npy" else None, allow_pickle=False)
    except Exception as error:
        raise fault(path, f"a complete {path.suffix} file of numbers", error) from error
    for member in members:
        require_fits(Place(path, member.filename), member.file_size, path.stat().st_size, "an array")
    return loaded


def _numpy_dataset(path: Path, dims: Sequence[str]) -> xr.Dataset:
    loaded = load_array(path)
    members: dict[str, Any] = {"values": loaded}
    if not isinstance(loaded, np.ndarray):
        with loaded:
            members = {name: _member(path, loaded, name) for name in loaded.files}
    if not dims:
        shapes = {name: values.shape for name, values in members.items()}
        raise fault(path, "--dims with the names of its axes in order, such as simulation,time,field,y,x", f"none for shapes {shapes}")
    wrong = [dim for dim in dims if dim not in AXES]
    if wrong or len(set(dims)) < len(dims):
        raise fault(path, f"--dims with some of {listed(AXES)}, each once", listed(dims))
    variables: dict[str, Any] = {}
    coordinates: dict[str, Any] = {}
    for name, values in members.items():
        candidates = (tuple(dims), tuple(dim for dim in dims if dim != "time"), ("simulation",) if "simulation" in dims else ())
        if name in ("time", "x", "y") and values.ndim == 1:
            coordinates[name] = (name, values)
        elif (found := next((axes for axes in candidates if len(axes) == values.ndim), None)) is not None:
            variables[name] = (found, values)
        else:
            raise fault(path, f"an array with the {len(dims)} axes of --dims, or without time", f"shape {values.shape}", where=name)
    try:
        return xr.Dataset(variables, coordinates)
    except ValueError as error:
        raise fault(path, f"arrays of equal sizes along {listed(dims)}", error) from error


def _member(path: Path, loaded: Any, name: str) -> Any:
    """An array of an ``.npz`` file; one of more than one axis is read when its values are asked for, and kept then."""

    @cache
    def values() -> np.ndarray:
        try:
            with load_array(path) as opened_again:
                return np.asarray(opened_again[name])
        except Exception as error:
            raise fault(path, "a complete .npz file of numbers", error, where=name) from error

    try:
        with loaded.zip.open(f"{name}.npy") as member:
            version = np.lib.format.read_magic(member)
            shape, _, dtype = _HEADERS[version](member)
    except Exception as error:
        raise fault(path, "a complete .npz file of numbers", error, where=name) from error
    return values() if len(shape) < 2 else dask.array.from_delayed(dask.delayed(values, pure=False)(), shape, dtype)


def _xarray_dataset(path: Path) -> xr.Dataset:
    if _is_zarr(path):
        return open_store(path, decode_times=False)
    if h5py.is_hdf5(path):
        _require_sound(path)
    try:
        return xr.open_dataset(path, decode_times=False)
    except Exception as error:
        raise fault(path, "a complete netCDF file", error) from error


def _require_sound(path: Path) -> None:
    """Refuse a netCDF file whose variables are larger than it can hold, or lie elsewhere; those that only name an axis have no values."""
    with opened(path) as file:
        for name in file.members():
            node = file.find(name)
            if isinstance(node.item, h5py.Dataset) and node.item.shape is not None and not str(node.get("NAME")).startswith(_NO_VARIABLE):
                require_there(node)


def _by_field(path: Path, data: xr.Dataset, given: Given) -> xr.Dataset:
    """One array for each scalar field, with the axes that the package names."""
    known = {*map(str, data.variables), *map(str, data.dims)}
    data = data.rename({old: new for old, new in given.names.items() if old in known})
    data = data.squeeze([dim for dim, size in data.sizes.items() if size == 1 and dim not in AXES], drop=True)
    wrong = [str(dim) for dim in data.dims if dim not in AXES]
    if wrong:
        raise fault(path, f"axes called {listed(AXES)} (--name {wrong[0]}=NEW)", listed(wrong))
    if "field" not in data.dims:
        return data
    names = [str(name) for name in (data["field"].values if "field" in data.coords else range(data.sizes["field"]))]
    units = data["field_unit"].values if "field_unit" in data.coords else [None] * len(names)
    parts = data.drop_vars([name for name in data.coords if "field" in data[name].dims])
    separate = {str(name): values for name, values in parts.data_vars.items() if "field" not in values.dims}
    for values in (values for values in parts.data_vars.values() if "field" in values.dims):
        for number, (name, unit) in enumerate(zip(names, units, strict=True)):
            if name in separate:
                raise fault(path, "every field once", f"{name!r} twice")
            separate[name] = values.isel(field=number)
            if unit is not None:
                separate[name].attrs["units"] = str(unit)
    return xr.Dataset(separate, {name: data[name] for name in data.coords if "field" not in data[name].dims}).assign_attrs(data.attrs)


def _numbers(path: Path, data: xr.Dataset, axis: str) -> np.ndarray:
    values = np.asarray(data[axis].values)
    if values.dtype.kind not in "iuf":
        raise fault(path, "numbers", str(values.dtype), where=f"coordinate {axis!r}")
    return values


def _unit(values: xr.DataArray) -> str | None:
    unit = values.attrs.get("units")
    return str(unit) if unit is not None else None


def _shapes(data: xr.Dataset) -> str:
    return ", ".join(f"{name} {tuple(values.dims)}" for name, values in data.data_vars.items()) or "none"


def _is_zarr(path: Path) -> bool:
    return path.suffix == ".zarr" or any((path / name).is_file() for name in ("zarr.json", ".zgroup"))


def _files(path: Path) -> tuple[Path, ...]:
    return (path,) if path.is_dir() and _is_zarr(path) else files_below(path, (*_NUMPY, *_XARRAY))
