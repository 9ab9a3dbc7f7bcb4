"""Small sets of simulations in the layouts of others, written as their programs write them, and what they are in ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr

from probtokens.data.importers import Given
from probtokens.fields import Grid

#: Everything in the package's units, in which expectations are written down.
OURS = {"*": "ours"}

N, T, NY, NX = 3, 3, 6, 8
ONE_EACH = {"train": (0,), "valid": (1,), "test": (2,)}
SIDES = ("left", "right", "bottom", "top")


@dataclass(frozen=True)
class Case:
    """One set.

    Attributes
    ----------
    layout
        What it has to be recognised as.
    write
        Writes the set into a folder and returns the source.
    given
        What has to be said about it.
    frames
        Fields in our units, (simulation, time, y, x); of constant fields one frame.
    grid, boundary, scalars, splits
        As they have to be.
    asked
        Options without which an error names them: field of ``given`` -> value that lacks it, and the text of the error.
    nan, cut, fewer, slender
        Damages to a set: put a NaN into a field, cut a file, make a simulation smaller, make cells that are not square.
        Each returns parts of the error's text; ``None`` where the layout has no such thing.
    """

    layout: str
    write: Callable[[Path], Path]
    given: Given
    frames: Mapping[str, np.ndarray]
    grid: Grid
    boundary: Mapping[str, str] = field(default_factory=lambda: dict.fromkeys(SIDES, "OPEN"))
    scalars: Mapping[str, np.ndarray] = field(default_factory=dict)
    splits: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: ONE_EACH)
    asked: tuple[tuple[dict[str, Any], str], ...] = ()
    nan: Callable[[Path], tuple[str, ...]] | None = None
    cut: Callable[[Path], tuple[str, ...]] | None = None
    fewer: Callable[[Path], tuple[str, ...]] | None = None
    slender: Callable[[Path], tuple[str, ...]] | None = None


def _random(seed: int, *shape: int, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


def truncate(path: Path) -> tuple[str, ...]:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return (path.name,)


# --- PARC's first set ------------------------------------------------------------------------------------------------

_SOLID = (_random(0, N, 1, NY, NX) > 0.3).astype(np.float32)
_TEMPERATURE = _random(1, N, T, NY, NX, low=300, high=4000)
_PASCAL = _random(2, N, T, NY, NX, low=-1e8, high=1e10)


def write_parc(folder: Path) -> Path:
    """Images and texts row by row from the top."""
    raw = folder / "parc" / "data" / "raw"
    (raw / "microstructures").mkdir(parents=True)
    for k in range(N):
        name = f"data_{k + 1:02d}"
        pixels = (255 * _SOLID[k, 0, ::-1]).astype(int).ravel()
        header = f"P2\n# Created by MATLAB 2018\n{NX} {NY}\n255\n"
        (raw / "microstructures" / f"{name}.pgm").write_text(header + "".join(f"{value:3d}\n" for value in pixels))
        for part, stem, values in (("temperatures", "Temp", _TEMPERATURE), ("pressures", "pres", _PASCAL)):
            (raw / part / name).mkdir(parents=True)
            for t in range(T):
                text = "".join(f"{value:.9g}\n" for value in values[k, t, ::-1].ravel())
                (raw / part / name / f"{stem}_{t + 1:02d}.txt").write_text(text)
    return folder / "parc"


def _with_rest(values: np.ndarray, rest: float) -> np.ndarray:
    return np.concatenate([np.full((N, 1, NY, NX), rest, dtype=np.float32), values], axis=1)


def _parc_frame(source: Path) -> Path:
    return source / "data" / "raw" / "pressures" / "data_02" / "pres_02.txt"


def _parc_line(source: Path, text: str) -> None:
    path = _parc_frame(source)
    lines = path.read_text().splitlines()
    lines[5] = text
    path.write_text("\n".join(lines) + "\n")


def _parc_nan(source: Path) -> tuple[str, ...]:
    _parc_line(source, "nan")
    return ("data_02/pres_02.txt", "line 6, column 1", "expected finite numbers, got nan")


def _parc_cut(source: Path) -> tuple[str, ...]:
    path = _parc_frame(source)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-7]))
    return ("data_02/pres_02.txt", f"expected {NY * NX} numbers", f"got {NY * NX - 7}")


def _parc_fewer(source: Path) -> tuple[str, ...]:
    path = source / "data" / "raw" / "microstructures" / "data_03.pgm"
    path.write_text("P2\n4 4\n255\n" + "255\n" * 16)
    return ("data_03", "'solid_fraction'", f"(1, {NY}, {NX})", "(1, 4, 4)")


PARC = Case(
    layout="parc",
    write=write_parc,
    given=Given(wanted=OURS, spacing="55 nm", splits=(1, 1, 1)),
    frames={
        "temperature": _with_rest(_TEMPERATURE, 300.0),
        "pressure": _with_rest(_PASCAL, 0.0).astype(np.float64) / 1e9,
        "solid_fraction": _SOLID,
    },
    grid=Grid(NY, NX, 0.055, 0.79, T + 1),
    asked=(({"spacing": None}, "--spacing"), ({"splits": None}, "--splits")),
    nan=_parc_nan,
    cut=_parc_cut,
    fewer=_parc_fewer,
)

# --- PARCtorch -------------------------------------------------------------------------------------------------------

_MICROSTRUCTURE = _random(3, N, T, NY, NX)
_METRES = _random(4, N, T, 2, NY, NX, low=-2000, high=5000)
_CASES = np.stack([_TEMPERATURE, _PASCAL, _MICROSTRUCTURE, _METRES[:, :, 0], _METRES[:, :, 1]], axis=2)


def compute_min_max(cases: np.ndarray, *, speed: bool) -> dict[str, list[float]]:
    """As ``compute_min_max`` of PARCtorch does it, before and since May 2025."""
    low, high = cases.min(axis=(0, 1, 3, 4)), cases.max(axis=(0, 1, 3, 4))
    if speed:
        norm = np.linalg.norm(cases[:, :, -2:], axis=2)
        low[-2:], high[-2:] = norm.min(), norm.max()
    return {"channel_min": low.astype(float).tolist(), "channel_max": high.astype(float).tolist()}


def write_parctorch(folder: Path, *, speed: bool = True, scaled: bool = False) -> Path:
    ranges = compute_min_max(_CASES, speed=speed)
    low, high = (np.array(ranges[key], dtype=np.float32)[:, None, None] for key in ("channel_min", "channel_max"))
    for k, split in enumerate(("train", "val", "test")):
        path = folder / "hmx" / split / f"case_{k}.npy"
        path.parent.mkdir(parents=True)
        np.save(path, (_CASES[k] - low) / (high - low) if scaled else _CASES[k])
    (folder / "hmx" / "min_max.json").write_text(json.dumps(ranges, indent=4))
    return folder / "hmx"


def _npy_nan(source: Path) -> tuple[str, ...]:
    path = source / "val" / "case_1.npy"
    values = np.load(path)
    values[1, 0, 2, 3] = np.nan
    np.save(path, values)
    return ("case_1.npy", "'temperature'", "frame 1", "finite")


def _npy_fewer(source: Path) -> tuple[str, ...]:
    path = source / "val" / "case_1.npy"
    np.save(path, np.load(path)[:-1])
    return ("case_1.npy", f"({T}, {NY}, {NX})", f"({T - 1}, {NY}, {NX})")


PARCTORCH = Case(
    layout="parctorch",
    write=write_parctorch,
    given=Given(wanted=OURS, spacing="0.04", time_step="20 ps"),
    frames={
        "temperature": _TEMPERATURE,
        "pressure": _PASCAL / 1e9,
        "microstructure": _MICROSTRUCTURE,
        "velocity_x": _METRES[:, :, 0] / 1e3,
        "velocity_y": _METRES[:, :, 1] / 1e3,
    },
    grid=Grid(NY, NX, 0.04, 0.02, T),
    asked=(({"spacing": None}, "--spacing"), ({"time_step": None}, "--time-step")),
    nan=_npy_nan,
    cut=lambda source: truncate(source / "test" / "case_2.npy"),
    fewer=_npy_fewer,
)

# --- SCIMITAR3D ------------------------------------------------------------------------------------------------------

_LEVEL_SET = _random(5, N, T, NY, NX, low=-1e-6, high=1e-6)


def write_scimitar(folder: Path, *, dy: float = 5e-8) -> Path:
    """Lines in columns from the bottom up, so that x changes last."""
    y, x = (np.arange(n) * step + step / 2 for n, step in ((NY, dy), (NX, 5e-8)))
    for k in range(N):
        run = folder / "dump" / f"run_{k}"
        run.mkdir(parents=True)
        for t in range(T):
            columns = [*np.meshgrid(x, y), *(c[k, t] for c in (_METRES[:, :, 0], _METRES[:, :, 1], _PASCAL, _TEMPERATURE, _LEVEL_SET))]
            table = np.stack([column.T.ravel() for column in columns], axis=1)
            header = f'TITLE = "t = {t}"\nVARIABLES = "X" "Y" "U" "V" "P" "T" "Ls"\nZONE I={NX}, J={NY}, F=POINT'
            np.savetxt(run / f"out_{1000 * t:06d}.dat", table, fmt="%.9g", header=header, comments="")
    return folder / "dump"


def _dump(source: Path) -> Path:
    return source / "run_1" / "out_001000.dat"


def _dump_nan(source: Path) -> tuple[str, ...]:
    lines = _dump(source).read_text().splitlines()
    words = lines[7].split()
    lines[7] = " ".join([*words[:5], "NaN", words[6]])
    _dump(source).write_text("\n".join(lines))
    return ("out_001000.dat", "line 8, column 6", "expected finite numbers, got nan")


def _dump_cut(source: Path) -> tuple[str, ...]:
    _dump(source).write_text("\n".join(_dump(source).read_text().splitlines()[:-3]))
    return ("out_001000.dat", f"expected one line for each of {NY} × {NX} cells", f"got {NY * NX - 3} lines")


def _dump_fewer(source: Path) -> tuple[str, ...]:
    (source / "run_1" / "out_002000.dat").unlink()
    return ("run_1", f"expected {T} frames", "got 2")


def _dump_slender(source: Path) -> tuple[str, ...]:
    write_scimitar(source.parent / "other", dy=1e-7)
    (source.parent / "other" / "dump").rename(source.parent / "slender")
    source.rename(source.parent / "square")
    (source.parent / "slender").rename(source)
    return ("square cells", f"(y, x) = ({2 * NY}, {NX})", "dx = 5e-08 m and dy = 1e-07 m")


SCIMITAR = Case(
    layout="scimitar3d",
    write=write_scimitar,
    given=Given(wanted=OURS, time_step="0.1", splits=(1, 1, 1)),
    frames={
        "velocity_x": _METRES[:, :, 0] / 1e3,
        "velocity_y": _METRES[:, :, 1] / 1e3,
        "pressure": _PASCAL / 1e9,
        "temperature": _TEMPERATURE,
        "level_set": _LEVEL_SET * 1e6,
    },
    grid=Grid(NY, NX, 0.05, 0.1, T),
    asked=(({"time_step": None}, "--time-step"), ({"splits": None}, "--splits")),
    nan=_dump_nan,
    cut=_dump_cut,
    fewer=_dump_fewer,
    slender=_dump_slender,
)

# --- PDEBench --------------------------------------------------------------------------------------------------------

_U, _V = _random(6, N, T, NY, NX, low=-1), _random(7, N, T, NY, NX, low=-1)
_ASKED_UNITS = (({"units": {}}, "--unit length"), ({"units": {"length": "µm"}}, "--unit time"), ({"splits": None}, "--splits"))


def write_grouped(folder: Path) -> Path:
    """Reaction and diffusion: ``gen_diff_react.py``, whose arrays are (t, y, x, channel)."""
    path = folder / "2D_diff-react_NA_NA.h5"
    with h5py.File(path, "w") as file:
        for k in range(N):
            group = file.create_group(f"{k:04d}")
            group.create_dataset("data", data=np.stack([_U[k], _V[k]], axis=-1), dtype="float32", compression="lzf")
            for name, n, step in (("x", NX, 0.25), ("y", NY, 0.25), ("t", T, 0.05)):
                start = 0.0 if name == "t" else -step * n / 2 + step / 2
                group.create_dataset(f"grid/{name}", data=start + step * np.arange(n), dtype="float32", compression="lzf")
            group.attrs["config"] = "sim:\n  seed: 0\n"
    return path


def _edit(source: Path, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    with h5py.File(source, "r+") as file:
        values = change(file[name][()])
        del file[name]
        file[name] = values


def _set_nan(values: np.ndarray) -> np.ndarray:
    values[(1, *(0,) * (values.ndim - 1))] = np.nan
    return values


def _grouped_nan(source: Path) -> tuple[str, ...]:
    _edit(source, "0001/data", _set_nan)
    return (source.name, "'activator', simulation 1, frame 1", "finite")


def _grouped_fewer(source: Path) -> tuple[str, ...]:
    _edit(source, "0002/data", lambda values: values[:-1])
    return (source.name, "0002/data", f"({T}, {NY}, {NX}, 2)", f"({T - 1}, {NY}, {NX}, 2)")


def _grouped_slender(source: Path) -> tuple[str, ...]:
    _edit(source, "0000/grid/y", lambda values: 2 * values)
    return ("square cells", f"(y, x) = ({2 * NY}, {NX})", "dx = 0.25 µm and dy = 0.5 µm")


GROUPED = Case(
    layout="pdebench",
    write=write_grouped,
    given=Given(wanted=OURS, units={"length": "µm", "time": "ns"}, splits=(1, 1, 1)),
    frames={"activator": _U, "inhibitor": _V},
    grid=Grid(NY, NX, 0.25, 0.05, T),
    boundary=dict.fromkeys(SIDES, "WALL"),
    asked=_ASKED_UNITS,
    nan=_grouped_nan,
    cut=truncate,
    fewer=_grouped_fewer,
    slender=_grouped_slender,
)

_DENSITY = _random(8, N, T, NY, NX, low=1, high=2)
_PRESSURE = _random(9, N, T, NY, NX, low=0, high=3)


def write_compressible(folder: Path) -> Path:
    """``Data_Merge.py``: arrays are (n, t, x, y), and there is one more time than frames."""
    path = folder / "2D_CFD_Rand_M0.1_Eta0.01_Zeta0.01_periodic_8_Train.hdf5"
    with h5py.File(path, "w") as file:
        for name, values in (("density", _DENSITY), ("pressure", _PRESSURE), ("Vx", _U), ("Vy", _V)):
            file.create_dataset(name, data=values.swapaxes(2, 3))
        for name, n in (("x", NX), ("y", NY)):
            file.create_dataset(f"{name}-coordinate", data=((np.arange(n) + 0.5) / 8).astype("f4"))
        file.create_dataset("t-coordinate", data=(0.05 * np.arange(T + 1)).astype("f4"))
        file.attrs.update({"eta": 0.01, "zeta": 0.01, "M": 0.1})
    return path


def _compressible_nan(source: Path) -> tuple[str, ...]:
    _edit(source, "Vy", _set_nan)
    return (source.name, "'velocity_y', simulation 1, frame 0", "finite")


def _compressible_fewer(source: Path) -> tuple[str, ...]:
    _edit(source, "Vy", lambda values: values[:, :, :-1])
    return (source.name, "'velocity_y'", f"({T}, {NY}, {NX})", f"({T}, {NY}, {NX - 1})")


def _compressible_slender(source: Path) -> tuple[str, ...]:
    _edit(source, "x-coordinate", lambda values: 2 * values)
    return ("square cells", f"(y, x) = ({NY}, {2 * NX})")


COMPRESSIBLE = Case(
    layout="pdebench",
    write=write_compressible,
    given=Given(wanted=OURS, units={"length": "mm", "time": "µs", "density": "kg/m^3"}, splits=(1, 1, 1)),
    # lengths in mm and times in µs make speeds km/s; kg/m³ (km/s)² = MPa
    frames={"density": _DENSITY / 1e3, "pressure": _PRESSURE / 1e3, "velocity_x": _U, "velocity_y": _V},
    grid=Grid(NY, NX, 125.0, 50.0, T, "xy"),
    boundary=dict.fromkeys(SIDES, "PERIODIC"),
    scalars={"eta": np.full(N, 0.01), "zeta": np.full(N, 0.01), "M": np.full(N, 0.1)},
    asked=(
        ({"units": {"length": "mm", "time": "ns"}}, "--unit density"),
        ({"units": {"density": "g/cm³"}}, "--unit length"),
        _ASKED_UNITS[-1],
    ),
    nan=_compressible_nan,
    cut=truncate,
    fewer=_compressible_fewer,
    slender=_compressible_slender,
)

_FORCE = _random(10, N, 2, NY, NX, low=-1)


def write_incompressible(folder: Path) -> Path:
    """``sim_ns_incomp_2d.py``: arrays are (n, t, x, y, component); there are no coordinates."""
    path = folder / "ns_incom_inhom_2d_512-0.h5"
    with h5py.File(path, "w") as file:
        shape = (N, T, NX, NY)
        options = {"compression": "lzf", "shuffle": True}
        file.create_dataset("velocity", data=np.stack([_U, _V], axis=-1).swapaxes(2, 3), chunks=(1, 1, NX, NY, 2), **options)
        file.create_dataset("particles", data=_MICROSTRUCTURE.swapaxes(2, 3)[..., None], chunks=(1, 1, NX, NY, 1), **options)
        file.create_dataset("force", data=np.moveaxis(_FORCE, 1, -1).swapaxes(1, 2), chunks=(1, 1, NY, 2), **options)
        file.create_dataset("t", data=np.tile(0.005 * np.arange(T), (N, 1)).astype("f4"))
        file.attrs["config"], file.attrs["latestIndex"] = "n_batch: 3\n", shape[1] - 1
    return path


def _incompressible_nan(source: Path) -> tuple[str, ...]:
    _edit(source, "particles", _set_nan)
    return (source.name, "'particles', simulation 1, frame 0", "finite")


INCOMPRESSIBLE = Case(
    layout="pdebench",
    write=write_incompressible,
    given=Given(wanted=OURS, spacing="0.125", units={"length": "µm", "time": "ns"}, splits=(1, 1, 1)),
    frames={
        "velocity_x": _U,
        "velocity_y": _V,
        "particles": _MICROSTRUCTURE,
        "force_x": _FORCE[:, :1],
        "force_y": _FORCE[:, 1:],
    },
    grid=Grid(NY, NX, 0.125, 0.005, T),
    boundary=dict.fromkeys(SIDES, "WALL"),
    asked=(*_ASKED_UNITS, ({"spacing": None}, "--spacing")),
    nan=_incompressible_nan,
    cut=truncate,
)

# --- The Well --------------------------------------------------------------------------------------------------------

_TENSOR = _random(11, N, T, 2, 2, NY, NX, low=-1)
_MASK = (_random(12, NY, NX) > 0.5).astype(np.float32)


def write_well(folder: Path, *, dy: float = 0.5) -> Path:
    """Vectors and tensors, a constant field that all simulations share, walls and periodic edges; without units."""
    for k, split in enumerate(("train", "valid", "test")):
        path = folder / "active" / "data" / split / "active_L_10.hdf5"
        path.parent.mkdir(parents=True)
        with h5py.File(path, "w") as file:
            file.attrs.update({"dataset_name": "active", "grid_type": "cartesian", "n_spatial_dims": 2, "n_trajectories": 1})
            file.attrs["simulation_parameters"], file.attrs["alpha"] = ["alpha"], -1.0
            for name, n, step in (("time", T, 0.25), ("x", NX, 0.5), ("y", NY, dy)):
                node = file.create_dataset(f"dimensions/{name}", data=(step * np.arange(n)).astype("f4"))
                node.attrs.update({"sample_varying": False, "time_varying": False})
            file["dimensions"].attrs["spatial_dims"] = ["x", "y"]
            for name, kind, dims, mask in (
                ("x_periodic", "PERIODIC", ["x"], np.isin(np.arange(NX), (0, NX - 1))),
                ("y_wall", "wall", ["y"], np.isin(np.arange(NY), (0, NY - 1))),
            ):
                group = file.create_group(f"boundary_conditions/{name}")
                group.attrs.update({"associated_dims": dims, "associated_fields": [], "bc_type": kind})
                group.attrs.update({"sample_varying": False, "time_varying": False})
                group["mask"], group["values"] = mask, np.zeros(2, "f4")
            file.create_group("scalars").attrs["field_names"] = ["zeta"]
            file["scalars/zeta"] = np.array([float(k)], "f4")
            file["scalars/zeta"].attrs.update({"sample_varying": True, "time_varying": False})
            groups = {
                "t0_fields": {"concentration": (_MICROSTRUCTURE[k : k + 1].swapaxes(-1, -2), True), "mask": (_MASK.T, False)},
                "t1_fields": {"velocity": (np.stack([_U[k : k + 1], _V[k : k + 1]], axis=-1).swapaxes(2, 3), True)},
                "t2_fields": {"D": (_TENSOR[k : k + 1].transpose(0, 1, 5, 4, 2, 3), True)},
            }
            for group, fields in groups.items():
                file.create_group(group).attrs["field_names"] = list(fields)
                for name, (values, varies) in fields.items():
                    file[group][name] = values
                    file[group][name].attrs.update({"dim_varying": [True, True], "sample_varying": varies, "time_varying": varies})
    return folder / "active"


def _well_nan(source: Path) -> tuple[str, ...]:
    path = source / "data" / "valid" / "active_L_10.hdf5"
    with h5py.File(path, "r+") as file:
        file["t2_fields/D"][0, 2, 1, 1, 0, 1] = np.nan
    return ("valid/active_L_10.hdf5", "'D_xy'", "frame 2", "finite")


def _well_slender(source: Path) -> tuple[str, ...]:
    for path in source.rglob("*.hdf5"):
        _edit(path, "dimensions/y", lambda values: 2 * values)
        with h5py.File(path, "r+") as file:
            file["dimensions/y"].attrs.update({"sample_varying": False, "time_varying": False})
    return ("square cells", f"(y, x) = ({2 * NY}, {NX})")


def _well_fewer(source: Path) -> tuple[str, ...]:
    path = source / "data" / "valid" / "active_L_10.hdf5"
    with h5py.File(path, "r+") as file:
        attributes = dict(file["t0_fields/mask"].attrs)
        del file["t0_fields/mask"]
        file["t0_fields/mask"] = _MASK.T[:-1]
        file["t0_fields/mask"].attrs.update(attributes)
    return ("valid/active_L_10.hdf5", "mask", f"({NX}, {NY})", f"({NX - 1}, {NY})")


WELL = Case(
    layout="the_well",
    write=write_well,
    given=Given(wanted=OURS, units={"length": "µm", "time": "ns", "velocity": "{length}/{time}", "*": "1"}),
    frames={
        "concentration": _MICROSTRUCTURE,
        "mask": np.broadcast_to(_MASK, (N, 1, NY, NX)),
        "velocity_x": _U,
        "velocity_y": _V,
        **{f"D_{'xy'[i]}{'xy'[j]}": _TENSOR[:, :, i, j] for i in range(2) for j in range(2)},
    },
    grid=Grid(NY, NX, 0.5, 0.25, T, "x"),
    boundary={"left": "PERIODIC", "right": "PERIODIC", "bottom": "WALL", "top": "WALL"},
    scalars={"zeta": np.arange(3.0), "alpha": np.full(3, -1.0)},
    asked=(({"units": {"*": "1"}}, "--unit length"), ({"units": {"velocity": "km/s", "*": "1"}}, "--unit length")),
    nan=_well_nan,
    cut=lambda source: truncate(source / "data" / "test" / "active_L_10.hdf5"),
    fewer=_well_fewer,
    slender=_well_slender,
)

# --- arrays ----------------------------------------------------------------------------------------------------------


def write_predecessor(folder: Path) -> Path:
    """(n, H, W, field, time), scaled to [0, 1]."""
    values = np.stack([_MICROSTRUCTURE, _random(13, N, T, NY, NX)], axis=2)
    np.save(folder / "fields.npy", values.transpose(0, 3, 4, 2, 1))
    return folder / "fields.npy"


PREDECESSOR = Case(
    layout="arrays",
    write=write_predecessor,
    given=Given(
        wanted=OURS,
        dims=("simulation", "y", "x", "field", "time"),
        names={"0": "temperature", "1": "pressure"},
        units={"temperature": "K", "pressure": "GPa"},
        ranges={"temperature": (300.0, 5000.0), "pressure": (-2.0, 50.0)},
        spacing="0.1 um",
        time_step="0.17 ns",
        splits=(1, 1, 1),
    ),
    frames={"temperature": 300 + 4700 * _MICROSTRUCTURE.astype(float), "pressure": -2 + 52 * _random(13, N, T, NY, NX).astype(float)},
    grid=Grid(NY, NX, 0.1, 0.17, T),
    asked=(
        ({"dims": ()}, "--dims"),
        ({"spacing": None}, "--spacing"),
        ({"time_step": None}, "--time-step"),
        ({"units": {}}, "--unit temperature"),
    ),
    nan=lambda source: (np.save(source, _with_nan(np.load(source))), ("fields.npy", "'temperature', simulation 1", "finite"))[1],
    cut=truncate,
)


def _with_nan(values: np.ndarray) -> np.ndarray:
    values[1, 0, 0, 0, 0] = np.nan
    return values


def write_npz(folder: Path) -> Path:
    """A file for each simulation, with coordinates and a constant field."""
    for k, split in enumerate(("train", "valid", "test")):
        (folder / "npz" / split).mkdir(parents=True)
        coordinates = {"x": 0.1 * np.arange(NX), "y": 0.1 * np.arange(NY), "time": 0.5 * np.arange(T)}
        np.savez(folder / "npz" / split / f"run_{k}.npz", T=_TEMPERATURE[k], solid=_SOLID[k, 0], load=1.0 + k, **coordinates)
    return folder / "npz"


def _npz_edit(source: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    path = source / "valid" / "run_1.npz"
    members = dict(np.load(path))
    change(members)
    np.savez(path, **members)


def _npz_nan(source: Path) -> tuple[str, ...]:
    _npz_edit(source, lambda members: members["T"].__setitem__((0, 1, 1), np.nan))
    return ("run_1.npz", "'temperature'", "frame 0", "finite")


def _npz_fewer(source: Path) -> tuple[str, ...]:
    _npz_edit(source, lambda members: members.update(T=members["T"][1:], time=members["time"][1:]))
    return ("run_1.npz", f"({T}, {NY}, {NX})", f"({T - 1}, {NY}, {NX})")


def _npz_slender(source: Path) -> tuple[str, ...]:
    for k, split in enumerate(("train", "valid", "test")):
        path = source / split / f"run_{k}.npz"
        members = dict(np.load(path))
        np.savez(path, **members | {"y": 3 * members["y"]})
    return ("square cells", f"(y, x) = ({3 * NY}, {NX})", "dx = 0.1 mm and dy = 0.3 mm")


NPZ = Case(
    layout="arrays",
    write=write_npz,
    given=Given(
        wanted=OURS,
        dims=("time", "y", "x"),
        names={"T": "temperature", "solid": "solid_fraction"},
        units={"temperature": "K", "solid_fraction": "1", "load": "1", "length": "mm", "time": "ms"},
        boundary={"left": "WALL"},
    ),
    frames={"temperature": _TEMPERATURE, "solid_fraction": _SOLID},
    scalars={"load": np.array([1.0, 2.0, 3.0])},
    grid=Grid(NY, NX, 100.0, 5e5, T),
    boundary={"left": "WALL", "right": "OPEN", "bottom": "OPEN", "top": "OPEN"},
    asked=(({"dims": ()}, "--dims"), ({"units": {"*": "1", "temperature": "K"}}, "--unit length")),
    nan=_npz_nan,
    cut=lambda source: truncate(source / "test" / "run_2.npz"),
    fewer=_npz_fewer,
    slender=_npz_slender,
)


def dataset(*, dy: float = 0.1) -> xr.Dataset:
    """Simulations with named axes and units in any order, a constant field and a scalar."""
    dims = ("run", "y", "time", "x")
    coordinates = {
        "x": ("x", 0.1 * np.arange(NX), {"units": "mm"}),
        "y": ("y", dy * np.arange(NY), {"units": "mm"}),
        "time": ("time", 0.5 * np.arange(T), {"units": "us"}),
    }
    variables = {
        "T": (dims, (_TEMPERATURE - 273.15).swapaxes(1, 2), {"units": "degC"}),
        "u": (dims, _METRES[:, :, 0].swapaxes(1, 2), {"units": "m s-1"}),
        "v": (dims, _METRES[:, :, 1].swapaxes(1, 2), {"units": "m s-1"}),
        "solid_fraction": (("y", "x", "run"), np.moveaxis(100 * _SOLID[:, 0], 0, -1), {"units": "%"}),
        "shock_pressure": ("run", np.array([90.0, 100.0, 110.0]), {"units": "kbar"}),
    }
    return xr.Dataset(variables, coordinates)


_XARRAY = {
    "layout": "arrays",
    "given": Given(wanted=OURS, names={"run": "simulation", "T": "temperature", "u": "velocity_x", "v": "velocity_y"}, splits=(1, 1, 1)),
    "frames": {
        "temperature": (_TEMPERATURE - 273.15).astype(float) + 273.15,
        "velocity_x": _METRES[:, :, 0] / 1e3,
        "velocity_y": _METRES[:, :, 1] / 1e3,
        "solid_fraction": _SOLID,
    },
    "grid": Grid(NY, NX, 100.0, 500.0, T),
    "scalars": {"shock_pressure": np.array([9.0, 10.0, 11.0])},
    "asked": (({"splits": None}, "--splits"), ({"names": {"T": "temperature"}}, "--name run=NEW")),
}


def write_netcdf(folder: Path, **options: float) -> Path:
    dataset(**options).to_netcdf(folder / "set.nc", engine="h5netcdf")
    return folder / "set.nc"


def write_zarr(folder: Path) -> Path:
    dataset().to_zarr(folder / "set.zarr", consolidated=False)
    return folder / "set.zarr"


def _netcdf_slender(source: Path) -> tuple[str, ...]:
    source.unlink()
    write_netcdf(source.parent, dy=0.2)
    return ("square cells", f"(y, x) = ({2 * NY}, {NX})", "dx = 0.1 mm and dy = 0.2 mm")


def _netcdf_nan(source: Path) -> tuple[str, ...]:
    source.unlink()
    spoilt = dataset()
    spoilt["T"][1, 2, 1, 3] = np.nan
    spoilt.to_netcdf(source, engine="h5netcdf")
    return ("set.nc", "'temperature', simulation 1, frame 1", "finite", "(y, x) = (2, 3)")


NETCDF = Case(write=write_netcdf, nan=_netcdf_nan, cut=truncate, slender=_netcdf_slender, **_XARRAY)
ZARR = Case(write=write_zarr, **_XARRAY)

CASES = {
    "parc": PARC,
    "parctorch": PARCTORCH,
    "scimitar3d": SCIMITAR,
    "pdebench groups": GROUPED,
    "pdebench compressible": COMPRESSIBLE,
    "pdebench incompressible": INCOMPRESSIBLE,
    "the well": WELL,
    "predecessor": PREDECESSOR,
    "npz": NPZ,
    "netcdf": NETCDF,
    "zarr": ZARR,
}
