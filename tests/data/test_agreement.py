"""Files and sets that differ in unit, cell size, frame step or edges are told apart, and named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from probtokens.data import TrajectorySet, read_info, require_agreement
from probtokens.data.agreement import differences
from probtokens.data.the_well import write_shard
from probtokens.fields import Grid

BOUNDARY = {"left": "OPEN", "right": "OPEN", "bottom": "WALL", "top": "WALL"}


def write(
    path: Path,
    *,
    unit: str = "kg/m^3",
    load_unit: str = "GPa",
    spacing: float = 0.04,
    time_step: float = 0.02,
    shape: tuple[int, int] = (6, 8),
    n_times: int = 4,
    boundary: dict[str, str] | None = None,
) -> Path:
    """A file of one simulation with the field ``density`` and the scalar ``load``."""
    write_shard(
        path,
        {"density": np.ones((1, n_times, *shape))},
        grid=Grid(*shape, spacing, time_step, n_times),
        scalars={"load": np.ones(1)},
        units={"density": unit, "load": load_unit},
        dataset_name="set",
        boundary={**BOUNDARY, **(boundary or {})},
    )
    return path


def shift(path: Path, **starts: float) -> None:
    """Let axes start elsewhere, in single precision."""
    with h5py.File(path, "r+") as file:
        for name, start in starts.items():
            values = file[f"dimensions/{name}"][()].astype("f8")
            file[f"dimensions/{name}"][...] = (start + values).astype("f4")


def opened(folder: Path, context: tuple[str, ...] = ("load",)) -> TrajectorySet:
    return TrajectorySet.open(folder, ["density"], context)


DIFFERENT: list[tuple[dict[str, Any], str]] = [
    ({"unit": "g/cm^3"}, r"field 'density': expected unit 'kg/m\^3' as in {}, got 'g/cm\^3'"),
    ({"load_unit": "Pa"}, "scalar 'load': expected unit 'GPa' as in {}, got 'Pa'"),
    ({"spacing": 0.05}, "cell size: expected 0.04 µm as in {}, got 0.05 µm"),
    ({"spacing": 0.0401}, "cell size: expected 0.04 µm as in {}, got 0.0401 µm"),
    ({"time_step": 0.05}, "frame step: expected 0.02 ns as in {}, got 0.05 ns"),
    ({"boundary": {"left": "WALL"}}, "left edge: expected OPEN as in {}, got WALL"),
    ({"boundary": {"bottom": "PERIODIC", "top": "PERIODIC"}}, "bottom edge: expected WALL as in {}, got PERIODIC"),
]


@pytest.mark.parametrize(("odd", "message"), DIFFERENT)
def test_files_of_one_folder(tmp_path: Path, odd: dict[str, Any], message: str) -> None:
    write(tmp_path / "a.hdf5")
    write(tmp_path / "b.hdf5", **odd)
    with pytest.raises(ValueError, match=f"b.hdf5: {message.format('a.hdf5')}") as caught:
        opened(tmp_path)
    assert len(str(caught.value)) <= 300


@pytest.mark.parametrize(("odd", "message"), DIFFERENT)
def test_two_sets(tmp_path: Path, odd: dict[str, Any], message: str) -> None:
    write(tmp_path / "micro" / "a.hdf5")
    write(tmp_path / "meso" / "b.hdf5", **odd)
    micro, meso = opened(tmp_path / "micro"), opened(tmp_path / "meso")
    with pytest.raises(ValueError, match=f"meso/b.hdf5: {message.format('.*micro/a.hdf5')}"):
        require_agreement(micro, meso)
    require_agreement(micro, micro)


@pytest.mark.parametrize("odd", [{"shape": (12, 16)}, {"n_times": 7}])
def test_sets_may_differ_in_extent_and_files_of_one_folder_only_in_their_length(tmp_path: Path, odd: dict[str, Any]) -> None:
    write(tmp_path / "micro" / "a.hdf5")
    write(tmp_path / "meso" / "b.hdf5", **odd)
    require_agreement(opened(tmp_path / "micro"), opened(tmp_path / "meso"))
    write(tmp_path / "micro" / "b.hdf5", **odd)
    if "n_times" in odd:
        assert opened(tmp_path / "micro").grid.n_times == 4
        return
    with pytest.raises(ValueError, match=r"b.hdf5: grid: expected 6 × 8 cells as in a.hdf5, got"):
        opened(tmp_path / "micro")


def test_what_no_one_asks_for_may_differ(tmp_path: Path) -> None:
    write(tmp_path / "a.hdf5")
    write(tmp_path / "b.hdf5", load_unit="Pa")
    assert len(opened(tmp_path, ())) == 2


def test_a_scalar_without_a_unit_says_nothing_and_a_field_without_one_is_a_pure_number(tmp_path: Path) -> None:
    write(tmp_path / "a.hdf5")
    for name, message in (("scalars/load", ""), ("t0_fields/density", "b.hdf5: field 'density': expected unit 'kg/m")):
        with h5py.File(write(tmp_path / "b.hdf5"), "r+") as file:
            del file[name].attrs["units"]
        if message:
            with pytest.raises(ValueError, match=message):
                opened(tmp_path)
        else:
            assert len(opened(tmp_path)) == 2


@pytest.mark.parametrize("starts", [{"time": 100.0}, {"x": 50.0}, {"x": 50.0, "y": -77.7, "time": 33.3}, {"time": -100.0}])
@pytest.mark.parametrize("first", [True, False])
def test_axes_that_start_elsewhere_have_the_same_steps(tmp_path: Path, starts: dict[str, float], first: bool) -> None:
    paths = [write(tmp_path / name) for name in ("a.hdf5", "b.hdf5")]
    shift(paths[0 if first else 1], **starts)
    grid = opened(tmp_path).grid
    assert (grid.spacing, grid.time_step) == (0.04, 0.02)


def test_coarse_rounding_does_not_hide_another_step(tmp_path: Path) -> None:
    write(tmp_path / "a.hdf5")
    shift(write(tmp_path / "b.hdf5", time_step=0.021), time=100.0)
    with pytest.raises(ValueError, match="b.hdf5: frame step: expected 0.02 ns as in a.hdf5, got 0.021"):
        opened(tmp_path)


def test_all_differences_are_listed(tmp_path: Path) -> None:
    first = read_info(write(tmp_path / "a.hdf5"))
    other = read_info(write(tmp_path / "b.hdf5", unit="1", load_unit="1", spacing=1.0, time_step=1.0, n_times=3, boundary={"left": "WALL"}))
    found = differences(first, other, ["density", "load", "absent"], extent=True)
    assert [entry.kind for entry in found] == ["unit", "unit", "grid", "grid", "boundary"]
    assert differences(first, first, ["density", "load"], extent=True) == []


def write_velocities(path: Path, vectors: tuple[str, ...]) -> Path:
    """A file with components of a flow, as a vector or as two scalars."""
    write_shard(
        path,
        {f"flow_{axis}": np.ones((1, 3, 6, 8)) for axis in "xy"},
        grid=Grid(6, 8, 0.04, 0.02, 3),
        scalars={},
        units={"flow_x": "m/s", "flow_y": "m/s"},
        dataset_name="set",
        boundary=BOUNDARY,
        vectors=vectors,
    )
    return path


def test_components_of_a_vector_in_one_file_and_scalars_in_another(tmp_path: Path) -> None:
    names = ["flow_x", "flow_y"]
    write_velocities(tmp_path / "vector" / "a.hdf5", ("flow",))
    write_velocities(tmp_path / "scalars" / "b.hdf5", ())
    vector, scalars = (TrajectorySet.open(tmp_path / name, names, []) for name in ("vector", "scalars"))
    with pytest.raises(
        ValueError, match="scalars/b.hdf5: symmetry of field 'flow_x': expected odd along x as in .*vector/a.hdf5, got even"
    ):
        require_agreement(vector, scalars)
    write_velocities(tmp_path / "vector" / "b.hdf5", ())
    with pytest.raises(ValueError, match="vector/b.hdf5: symmetry of field 'flow_x': expected odd along x as in a.hdf5, got even"):
        TrajectorySet.open(tmp_path / "vector", names, [])
    declared = {"flow_x": "x", "flow_y": "y"}
    mixed, told = (TrajectorySet.open(tmp_path / name, names, [], odd=declared) for name in ("vector", "scalars"))
    require_agreement(mixed, told)
    assert [spec.odd for spec in told.fields] == ["x", "y"]
    assert [spec.odd for spec in TrajectorySet.open(tmp_path / "scalars", names, [], odd={"flow_y": "xy"}).fields] == ["", "xy"]
