from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from probtokens.data.the_well import read_frames, read_info, read_scalar, write_shard
from probtokens.data.trajectories import TrajectorySet
from probtokens.fields import Grid
from tests.helpers import BOUNDARY, UNITS, make_frames, make_shard

GRID = Grid(ny=6, nx=8, spacing=0.04, time_step=0.125, n_times=4)


def _arguments(**changes: Any) -> dict[str, Any]:
    frames, scalars = make_frames(n_simulations=2, ny=6, nx=8, n_times=4)
    return {
        "frames": frames,
        "grid": GRID,
        "scalars": scalars,
        "units": UNITS,
        "dataset_name": "synthetic",
        "boundary": BOUNDARY,
    } | changes


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    n=st.integers(1, 3),
    ny=st.integers(2, 9),
    nx=st.integers(2, 9),
    n_times=st.integers(2, 5),
    spacing=st.sampled_from([0.04, 0.025, 1.5]),
    time_step=st.sampled_from([0.125, 0.3, 2.0]),
    data=st.data(),
)
def test_round_trip(tmp_path: Path, n: int, ny: int, nx: int, n_times: int, spacing: float, time_step: float, data: st.DataObject) -> None:
    path = make_shard(tmp_path / "a.hdf5", n_simulations=n, ny=ny, nx=nx, n_times=n_times, spacing=spacing, time_step=time_step)
    frames, scalars = make_frames(n, ny, nx, n_times)
    info = read_info(path)
    assert info.grid == Grid(ny=ny, nx=nx, spacing=spacing, time_step=time_step, n_times=n_times)
    assert info.n_simulations == n
    assert sorted(info.fields) == sorted(frames)
    assert info.units == UNITS
    assert info.boundary == BOUNDARY
    assert info.attributes["frame"] == "laboratory"
    names = data.draw(st.permutations(sorted(frames)))
    simulation, start = data.draw(st.integers(0, n - 1)), data.draw(st.integers(0, n_times - 1))
    read = read_frames(info, simulation, names, start)
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, np.stack([frames[name][simulation, start:] for name in names], axis=1))
    for name, values in scalars.items():
        np.testing.assert_array_equal(read_scalar(info, name), values)


def test_layout_on_disk(tmp_path: Path) -> None:
    arguments = _arguments(attributes={"viscosity": 0.2, "eos": "menikoff_sewell", "seed": 3})
    write_shard(tmp_path / "a.hdf5", **arguments)
    with h5py.File(tmp_path / "a.hdf5") as file:
        assert set(file) == {"dimensions", "boundary_conditions", "scalars", "t0_fields", "t1_fields", "t2_fields"}
        assert file.attrs["grid_type"] == "cartesian"
        assert (file.attrs["n_spatial_dims"], file.attrs["n_trajectories"]) == (2, 2)
        assert list(file.attrs["simulation_parameters"]) == ["viscosity"]
        assert list(file["dimensions"].attrs["spatial_dims"]) == ["x", "y"]
        np.testing.assert_allclose(file["dimensions/x"][()], 0.02 + 0.04 * np.arange(8), rtol=1e-6)
        np.testing.assert_array_equal(file["dimensions/time"][()], 0.125 * np.arange(4))
        assert list(file["t0_fields"].attrs["field_names"]) == ["temperature", "pressure", "solid_fraction"]
        assert list(file["t1_fields"].attrs["field_names"]) == ["velocity"]
        assert len(file["t2_fields"].attrs["field_names"]) == 0
        velocity = file["t1_fields/velocity"]
        assert (velocity.shape, velocity.dtype) == ((2, 4, 8, 6, 2), np.float32)
        assert velocity.attrs["dim_varying"].tolist() == [True, True]
        assert velocity.attrs["units"] == "km/s"
        np.testing.assert_array_equal(velocity[1, 2, :, :, 1].T, arguments["frames"]["velocity_y"][1, 2])
        top = file["boundary_conditions/top"]
        assert (top.attrs["bc_type"], list(top.attrs["associated_dims"])) == ("WALL", ["y"])
        assert top["mask"][()].tolist() == [False] * 5 + [True]
        assert top["values"].shape == (1,)


def test_lone_component_is_a_scalar_field(tmp_path: Path) -> None:
    arguments = _arguments()
    del arguments["frames"]["velocity_y"]
    write_shard(tmp_path / "a.hdf5", **arguments)
    info = read_info(tmp_path / "a.hdf5")
    assert "velocity_x" in info.fields
    assert info.sources["velocity_x"].group == "t0_fields"


def test_only_what_is_declared_is_a_vector(tmp_path: Path) -> None:
    species = {f"{kind}_{dim}": np.ones((2, 4, 6, 8)) for kind in ("concentration", "flux") for dim in "xy"}
    units = dict.fromkeys(("concentration_x", "concentration_y"), "mol/l") | dict.fromkeys(("flux_x", "flux_y"), "mol/s")
    changes = {"frames": _arguments()["frames"] | species, "units": UNITS | units, "vectors": ("velocity", "flux")}
    write_shard(tmp_path / "a.hdf5", **_arguments(**changes))
    info = read_info(tmp_path / "a.hdf5")
    assert {name for name, source in info.sources.items() if source.group == "t1_fields"} == {
        "velocity_x",
        "velocity_y",
        "flux_x",
        "flux_y",
    }
    assert [info.spec(name).odd for name in ("concentration_y", "flux_y", "velocity_y")] == ["", "y", "y"]


def test_same_input_same_bytes(tmp_path: Path) -> None:
    first, second = make_shard(tmp_path / "a.hdf5"), make_shard(tmp_path / "b.hdf5")
    assert first.read_bytes() == second.read_bytes()


def test_crash_before_the_rename_leaves_nothing_readable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Path] = []

    def crash(source: Path, target: Path) -> None:
        written.append(Path(source))
        raise OSError("power cut")

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(OSError, match="power cut"):
        make_shard(tmp_path / "a.hdf5")
    assert written[0].parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_abandoned_temporary_file_is_no_shard(tmp_path: Path) -> None:
    make_shard(tmp_path / "a.hdf5", n_simulations=1)
    (tmp_path / ".b.hdf5.123.tmp").write_bytes(b"half")
    (tmp_path / ".c.hdf5").write_bytes(b"half")
    assert TrajectorySet.open(tmp_path, ["temperature"], []).names == ("a/0",)


def _replaced(name: str, values: np.ndarray) -> dict[str, np.ndarray]:
    return make_frames(n_simulations=2, ny=6, nx=8, n_times=4)[0] | {name: values}


def _with_value(name: str, value: float) -> dict[str, np.ndarray]:
    frames = make_frames(n_simulations=2, ny=6, nx=8, n_times=4)[0]
    frames[name][1, 2, 3, 4] = value
    return frames


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": {}}, "at least one field"),
        ({"frames": _replaced("pressure", np.ones((2, 4, 8, 6)))}, r"'pressure'.*\(2, 4, 6, 8\), got \(2, 4, 8, 6\)"),
        ({"frames": _with_value("pressure", np.nan)}, "'pressure', simulation 1, frame 2: expected finite"),
        ({"frames": _with_value("temperature", -1.0)}, r"'temperature', simulation 1, frame 2.*\[0, inf\] K, got -1.0"),
        ({"grid": Grid(ny=6, nx=8, spacing=0.04, time_step=0.125, n_times=1)}, "at least two points"),
        ({"scalars": {"shock_pressure": np.ones(3)}}, "'shock_pressure': expected 2 finite values"),
        ({"scalars": {"shock_pressure": np.array([1.0, np.inf])}}, "'shock_pressure': expected 2 finite values"),
        ({"units": {name: unit for name, unit in UNITS.items() if name != "porosity"}}, r"got none for \['porosity'\]"),
        ({"units": UNITS | {"temperature": "C"}}, "'temperature': expected unit 'K', another of its dimension, or '1', got 'C'"),
        ({"units": UNITS | {"velocity_x": "m/s"}}, "one unit for its components"),
        ({"boundary": {"left": "OPEN"}}, "expected the sides"),
        ({"boundary": BOUNDARY | {"top": "SLIP"}}, "'top': expected one of"),
        ({"boundary": BOUNDARY | {"top": "PERIODIC"}}, "both or neither"),
        ({"attributes": {"grid_type": "polar"}}, "expected a name other than"),
        ({"attributes": {"porosity_range": None}}, "expected text or a number, got NoneType"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_written(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write_shard(tmp_path / "a.hdf5", **_arguments(**changes))
    assert list(tmp_path.iterdir()) == []


def test_a_field_that_does_not_change_is_stored_once(tmp_path: Path) -> None:
    frames, scalars = make_frames(2, ny=6, nx=8, n_times=4)
    frames["solid_fraction"] = frames["solid_fraction"][:, :1]
    write_shard(
        tmp_path / "a.hdf5",
        frames,
        grid=Grid(ny=6, nx=8, spacing=0.04, time_step=0.1, n_times=4),
        scalars=scalars,
        units=UNITS,
        dataset_name="synthetic",
        boundary=BOUNDARY,
    )
    with h5py.File(tmp_path / "a.hdf5") as file:
        node = file["t0_fields/solid_fraction"]
        assert node.shape == (2, 8, 6)
        assert not node.attrs["time_varying"]
        assert file["t0_fields/temperature"].attrs["time_varying"]
    found = read_frames(read_info(tmp_path / "a.hdf5"), 1, ["solid_fraction"], 1, 3)
    np.testing.assert_array_equal(found[:, 0], np.broadcast_to(frames["solid_fraction"][1], (2, 6, 8)))


def test_tensors_are_stored_together_and_only_whole(tmp_path: Path) -> None:
    parts = {
        f"stress_{a}{b}": np.random.default_rng(k).random((2, 3, 4, 5), np.float32) for k, (a, b) in enumerate(("xx", "xy", "yx", "yy"))
    }

    def write(frames: dict[str, np.ndarray]) -> Path:
        grid = Grid(ny=4, nx=5, spacing=0.04, time_step=0.1, n_times=3)
        units = dict.fromkeys(frames, "GPa")
        boundary = dict.fromkeys(BOUNDARY, "OPEN")
        write_shard(
            tmp_path / "a.hdf5", frames, grid=grid, scalars={}, units=units, dataset_name="a", boundary=boundary, tensors=["stress"]
        )
        return tmp_path / "a.hdf5"

    info = read_info(write(parts))
    assert [info.spec(name).odd for name in parts] == ["", "xy", "xy", ""]
    np.testing.assert_array_equal(read_frames(info, 1, list(parts)), np.stack([values[1] for values in parts.values()], axis=1))
    with h5py.File(tmp_path / "a.hdf5") as file:
        assert file["t2_fields/stress"].shape == (2, 3, 5, 4, 2, 2)
    assert "stress_xx" in read_info(write({"stress_xx": parts["stress_xx"]})).fields
    with pytest.raises(ValueError, match="expected one number of frames for its components"):
        write({**parts, "stress_xy": parts["stress_xy"][:, :1]})
