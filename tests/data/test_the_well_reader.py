from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from probtokens.data.the_well import read_frames, read_info, read_scalar
from probtokens.data.trajectories import TrajectorySet
from probtokens.fields import Grid
from tests.helpers import make_frames

N, T, NX, NY = 3, 4, 5, 6


def _field(group: h5py.Group, name: str, values: np.ndarray, dims: tuple[bool, bool], sample: bool, time: bool) -> None:
    group[name] = values.astype(np.float32)
    group[name].attrs["dim_varying"] = list(dims)
    group[name].attrs["sample_varying"] = sample
    group[name].attrs["time_varying"] = time


def _foreign(path: Path, spatial_dims: tuple[str, str] = ("x", "y")) -> Path:
    """A file as other data sets of the collection have it: no units, constant fields, scalars of every kind."""
    rng = np.random.default_rng(0)
    size = {"x": NX, "y": NY}
    space = tuple(size[dim] for dim in spatial_dims)
    with h5py.File(path, "w") as file:
        file.attrs.update({"dataset_name": "other", "grid_type": "cartesian", "n_spatial_dims": 2, "n_trajectories": N, "gamma": 1.4})
        file.attrs["simulation_parameters"] = [b"gamma"]
        dimensions = file.create_group("dimensions")
        dimensions.attrs["spatial_dims"] = list(spatial_dims)
        dimensions["time"] = np.tile(np.arange(T, dtype=np.float32) * 0.1, (N, 1))
        for dim in spatial_dims:
            dimensions[dim] = np.linspace(-1.0, -1.0 + 0.2 * (size[dim] - 1), size[dim], dtype=np.float32)
        wall = file.create_group("boundary_conditions/y_wall")
        wall.attrs.update({"associated_dims": ["y"], "associated_fields": [], "bc_type": "wall"})
        wall["mask"] = np.array([True] + [False] * (NY - 2) + [True])
        scalars = file.create_group("scalars")
        scalars.attrs["field_names"] = ["number", "single", "series", "each", "each_series"]
        shapes = {"number": (), "single": (1,), "series": (T,), "each": (N,), "each_series": (N, T)}
        for name, shape in shapes.items():
            scalars[name] = rng.random(shape)
            scalars[name].attrs["sample_varying"] = name.startswith("each")
            scalars[name].attrs["time_varying"] = name.endswith("series")
        t0, t1, t2 = (file.create_group(f"t{order}_fields") for order in range(3))
        t0.attrs["field_names"] = ["kept", "dropped", "map", "temperature"]
        _field(t0, "kept", rng.random((N, T, space[0], 1)), (True, False), True, True)
        _field(t0, "dropped", rng.random((N, T, space[1])), (False, True), True, True)
        _field(t0, "map", rng.random(space), (True, True), False, False)
        _field(t0, "temperature", rng.random((T, *space)), (True, True), False, True)
        t1.attrs["field_names"] = ["velocity"]
        _field(t1, "velocity", rng.random((N, T, *space, 2)), (True, True), True, True)
        t2.attrs["field_names"] = ["stress"]
        _field(t2, "stress", rng.random((N, T, *space, 2, 2)), (True, True), True, True)
    return path


@pytest.mark.parametrize("order", [("x", "y"), ("y", "x")])
def test_files_of_others(tmp_path: Path, order: tuple[str, str]) -> None:
    path = _foreign(tmp_path / "a.hdf5", order)
    info = read_info(path)
    assert info.grid == Grid(ny=NY, nx=NX, spacing=0.2, time_step=0.1, n_times=T)
    assert info.units["temperature"] == "K"
    assert info.units["kept"] == "1"
    assert info.boundary == {"left": "OPEN", "right": "OPEN", "bottom": "WALL", "top": "WALL"}
    assert {"velocity_x", "velocity_y", "stress_xx", "stress_xy", "stress_yx", "stress_yy"} < set(info.fields)
    frames = read_frames(info, 2, info.fields, 1, 3)
    got = dict(zip(info.fields, np.moveaxis(frames, 1, 0), strict=True))
    with h5py.File(path) as file:

        def yx(values: np.ndarray) -> np.ndarray:
            return values if order == ("y", "x") else np.swapaxes(values, -1, -2)

        shape = (2, NY, NX)
        first, second = order
        np.testing.assert_array_equal(got["kept"], np.broadcast_to(yx(file["t0_fields/kept"][2, 1:3]), shape))
        np.testing.assert_array_equal(got["dropped"], np.broadcast_to(yx(file["t0_fields/dropped"][2, 1:3][:, None, :]), shape))
        np.testing.assert_array_equal(got["map"], np.broadcast_to(yx(file["t0_fields/map"][()]), shape))
        np.testing.assert_array_equal(got["temperature"], yx(file["t0_fields/temperature"][1:3]))
        np.testing.assert_array_equal(got[f"velocity_{second}"], yx(file["t1_fields/velocity"][2, 1:3, ..., 1]))
        np.testing.assert_array_equal(got[f"stress_{first}{second}"], yx(file["t2_fields/stress"][2, 1:3, ..., 0, 1]))


@pytest.mark.parametrize("order", [("x", "y"), ("y", "x")])
def test_the_tensor_order_tells_the_symmetry_of_components(tmp_path: Path, order: tuple[str, str]) -> None:
    info = read_info(_foreign(tmp_path / "a.hdf5", order))
    found = {name: (info.spec(name).odd, info.spec(name).vector) for name in info.fields}
    assert found == {
        **dict.fromkeys(("kept", "dropped", "map", "temperature", "stress_xx", "stress_yy"), ("", "")),
        **dict.fromkeys(("stress_xy", "stress_yx"), ("xy", "")),
        "velocity_x": ("x", "velocity"),
        "velocity_y": ("y", "velocity"),
    }


@pytest.mark.parametrize("name", ["B", "momentum", "Vy", "concentration"])
def test_vectors_of_any_name_have_components_and_scalars_have_none(tmp_path: Path, name: str) -> None:
    path = _foreign(tmp_path / "a.hdf5")
    with h5py.File(path, "r+") as file:
        file["t1_fields"].move("velocity", name)
        file["t1_fields"].attrs["field_names"] = [name]
        file["t0_fields"].move("kept", "species_y")
        file["t0_fields"].move("dropped", "v")
        file["t0_fields"].attrs["field_names"] = ["species_y", "v", "map", "temperature"]
    fields = TrajectorySet.open(tmp_path, [f"{name}_y", f"{name}_x", "species_y", "v"], []).fields
    assert [(spec.odd, spec.vector) for spec in fields] == [("y", name), ("x", name), ("", ""), ("", "")]


def test_scalars_of_every_kind(tmp_path: Path) -> None:
    path = _foreign(tmp_path / "a.hdf5")
    info = read_info(path)
    with h5py.File(path) as file:
        expected = {
            "number": np.full(N, file["scalars/number"][()]),
            "single": np.full(N, file["scalars/single"][0]),
            "series": np.full(N, file["scalars/series"][0]),
            "each": file["scalars/each"][()],
            "each_series": file["scalars/each_series"][:, 0],
            "gamma": np.full(N, 1.4),
        }
    assert set(info.scalars) == set(expected)
    for name, values in expected.items():
        np.testing.assert_array_equal(read_scalar(info, name), values.astype(np.float32))


@pytest.mark.parametrize("part", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_truncated_file(shard: Path, part: float) -> None:
    content = shard.read_bytes()
    shard.write_bytes(content[: int(part * len(content))])
    with pytest.raises(ValueError, match=r"shard_0000.hdf5: expected a complete HDF5 file"):
        read_info(shard)


def test_file_truncated_after_it_was_opened(shard: Path) -> None:
    info = read_info(shard)
    shard.write_bytes(shard.read_bytes()[:2000])
    with pytest.raises(ValueError, match="expected a complete HDF5 file"):
        read_frames(info, 0, ["temperature"])


def test_no_hdf5_and_no_file(tmp_path: Path) -> None:
    (tmp_path / "text.hdf5").write_text("hello")
    for name in ("text.hdf5", "missing.hdf5"):
        with pytest.raises(ValueError, match=f"{name}: expected a complete HDF5 file"):
            read_info(tmp_path / name)


def _drop(name: str) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        del file[name]

    return edit


def _replace(name: str, values: object) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        attributes = dict(file[name].attrs)
        del file[name]
        file[name] = values
        file[name].attrs.update(attributes)

    return edit


def _set(name: str, attribute: str, value: object) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        file[name].attrs[attribute] = value

    return edit


def _forget(name: str, attribute: str) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        del file[name].attrs[attribute]

    return edit


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (_drop("t2_fields"), "expected 't2_fields' in '/'"),
        (_drop("scalars"), "expected 'scalars' in '/'"),
        (_drop("t0_fields/pressure"), r"expected 'pressure' in '/t0_fields', got \['solid_fraction', 'temperature'\]"),
        (_drop("dimensions/time"), "expected 'time' in '/dimensions'"),
        (_forget("/", "n_trajectories"), "expected attribute 'n_trajectories' on '/'"),
        (_forget("t0_fields/pressure", "dim_varying"), "expected attribute 'dim_varying' on '/t0_fields/pressure'"),
        (_forget("t1_fields/velocity", "time_varying"), "expected attribute 'time_varying' on '/t1_fields/velocity'"),
        (_replace("t0_fields/pressure", np.ones((2, 4, 6, 8))), r"/t0_fields/pressure: expected shape \(2, 4, 8, 6\), got \(2, 4, 6, 8\)"),
        (_replace("t1_fields/velocity", np.ones((2, 4, 8, 6, 3))), r"velocity: expected shape \(2, 4, 8, 6, 2\), got \(2, 4, 8, 6, 3\)"),
        (_replace("scalars/porosity", np.ones(5)), r"/scalars/porosity: expected shape \(2,\), got \(5,\)"),
        (_replace("dimensions/x", np.arange(8.0) ** 2), "dimensions/x: expected a uniform increasing axis"),
        (_replace("dimensions/time", np.zeros(4)), "dimensions/time: expected a uniform increasing axis"),
        (_replace("dimensions/time", np.zeros(1)), "dimensions/time: expected at least two points"),
        (
            _replace("dimensions/y", np.arange(6.0)),
            r"expected square cells \(resample the fields to \(y, x\) = \(150, 8\) points.*got dx = 0.04 µm and dy = 1 µm",
        ),
        (_set("dimensions/x", "units", "m"), "dimensions: expected one unit of 'x' and 'y', got 'm' and 'µm'"),
        (_set("dimensions/x", "units", "K"), "dimensions/x: expected a unit of the dimension of 'µm', got 'K'"),
        (_set("dimensions", "spatial_dims", ["r", "z"]), r"expected \['x', 'y'\], got \['r', 'z'\]"),
        (
            _set("t0_fields/temperature", "units", "C"),
            "t0_fields/temperature: field 'temperature': expected unit 'K', another of its dimension, or '1', got 'C'",
        ),
        (_set("t0_fields", "field_names", ["pressure", "pressure"]), "got 'pressure' twice"),
        (_set("boundary_conditions/top", "bc_type", "SLIP"), "/boundary_conditions/top: expected 'bc_type' one of"),
        (_set("t0_fields/pressure", "dim_varying", [True]), "expected 'dim_varying' of length 2"),
    ],
)
def test_damaged_file_is_named(shard: Path, edit: Callable[[h5py.File], None], message: str) -> None:
    with h5py.File(shard, "r+") as file:
        edit(file)
    with pytest.raises(ValueError, match=message) as caught:
        read_info(shard)
    assert str(shard) in str(caught.value)


@pytest.mark.parametrize(
    ("value", "field", "dataset"),
    [
        (np.nan, "temperature", "t0_fields/temperature"),
        (np.inf, "pressure", "t0_fields/pressure"),
        (-5.0, "temperature", "t0_fields/temperature"),
        (1.0011, "solid_fraction", "t0_fields/solid_fraction"),
        (-0.0011, "solid_fraction", "t0_fields/solid_fraction"),
    ],
)
def test_bad_value_is_found_when_read(shard: Path, value: float, field: str, dataset: str) -> None:
    with h5py.File(shard, "r+") as file:
        file[dataset][1, 2, 5, 3] = value
    info = read_info(shard)
    message = rf"field '{field}', simulation 1, frame 2: expected finite values.*at \(y, x\) = \(3, 5\)"
    with pytest.raises(ValueError, match=message) as caught:
        read_frames(info, 1, ["velocity_y", field], start=1)
    assert str(shard) in str(caught.value)
    read_frames(info, 0, [field])
    read_frames(info, 1, [field], start=3)


def test_small_overshoot_of_a_fraction_is_tolerated(shard: Path) -> None:
    with h5py.File(shard, "r+") as file:
        file["t0_fields/solid_fraction"][0, 0, 0, :2] = [1.0009, -0.0009]
    read_frames(read_info(shard), 0, ["solid_fraction"])


def test_bad_scalar_is_found_when_read(shard: Path) -> None:
    with h5py.File(shard, "r+") as file:
        file["scalars/porosity"][1] = np.nan
    with pytest.raises(ValueError, match="scalar 'porosity': expected finite values"):
        read_scalar(read_info(shard), "porosity")


def test_requests_out_of_range(shard: Path) -> None:
    info = read_info(shard)
    with pytest.raises(ValueError, match=r"expected fields among .*'velocity_x'.*got \['spin'\]"):
        read_frames(info, 0, ["temperature", "spin"])
    with pytest.raises(ValueError, match=r"simulation in 0..1, got 2"):
        read_frames(info, 2, ["temperature"])
    for start, stop in ((0, 5), (2, 2), (-1, 3)):
        with pytest.raises(ValueError, match=r"frames within 0..4"):
            read_frames(info, 0, ["temperature"], start, stop)
    with pytest.raises(ValueError, match="scalar 'humidity': expected one of"):
        read_scalar(info, "humidity")


def test_a_boundary_is_a_wall_only_where_all_of_it_is(shard: Path) -> None:
    with h5py.File(shard, "r+") as file:
        del file["boundary_conditions"]
        hole = file.create_group("boundary_conditions/both")
        hole.attrs.update({"bc_type": "WALL", "associated_dims": ["x", "y"]})
        mask = np.zeros((8, 6), dtype=bool)
        mask[0, :] = mask[:, 0] = True
        hole["mask"] = mask
    assert read_info(shard).boundary == {"left": "WALL", "right": "OPEN", "bottom": "WALL", "top": "OPEN"}


def test_helper_fields_are_plausible() -> None:
    frames, scalars = make_frames(n_simulations=3, seed=7)
    assert frames["temperature"].min() >= 300.0 - 1e-3
    assert frames["temperature"].max() > 875.0
    assert scalars["porosity"].min() > 0.0
    assert np.abs(np.diff(frames["temperature"], axis=-1)).max() < 600.0
