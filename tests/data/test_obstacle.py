"""Obstacles that are NaN in the data: kept as a field, filled from the nearest cells, and nothing else let through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from probtokens.data import TrajectorySet, read_info
from probtokens.data.importers import LAYOUTS, Given, Simulation, convert
from probtokens.data.importers.obstacle import filled, nan_cells, nearest_outside
from probtokens.data.the_well.faults import MAX_MESSAGE
from tests.data.layouts import CASES, PARC, SCIMITAR, Case, write_parctorch

GIVEN = Given(dims=("time", "y", "x"), units={"*": "1"}, spacing="1 µm", time_step="1 ns", obstacle=True)
SPLITS = ("train", "valid", "test")
CELLS = np.zeros((3, 5, 6), dtype=bool)  # of the simulations in train, valid and test; the last one has no obstacle
CELLS[0, 1:4, 2:4] = CELLS[1, :2, :3] = True

every_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def fields(dtype: Any = np.float32) -> dict[str, np.ndarray]:
    """Two fields (simulation, time, y, x) that change and differ in every cell, and a constant one, all NaN in the obstacle."""
    generator = np.random.default_rng(0)
    values = {name: generator.uniform(0.0, 1.0, (3, 4, 5, 6)).astype(dtype) for name in ("solid_fraction", "pressure")}
    values["sound"] = generator.uniform(size=(3, 1, 5, 6)).astype(dtype)
    for number, cells in enumerate(CELLS):
        for field in values.values():
            field[number][:, cells] = np.nan
    return values


def write(folder: Path, values: dict[str, np.ndarray]) -> Path:
    for number, split in enumerate(SPLITS):
        (folder / "runs" / split).mkdir(parents=True)
        members = {name: field[number] if field.shape[1] > 1 else field[number, 0] for name, field in values.items()}
        np.savez(folder / "runs" / split / f"run_{number}.npz", **members)
    return folder / "runs"


def refused(source: Path, out: Path, given: Given, *parts: str) -> None:
    with pytest.raises(ValueError, match="expected") as caught:
        convert(source, out, given)
    assert all(part in str(caught.value) for part in parts), str(caught.value)
    assert len(str(caught.value)) <= MAX_MESSAGE


def nearest_values(frame: np.ndarray, cells: np.ndarray, y: int, x: int) -> list[float]:
    """Values of all cells outside that are as near as any, by comparison with every cell."""
    outside = np.argwhere(~cells)
    distance = np.square(outside - [y, x]).sum(axis=1)
    return [frame[tuple(place)] for place in outside[distance == distance.min()]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_obstacle_is_kept_and_the_fields_are_filled_from_the_nearest_cells(dtype: Any, tmp_path: Path) -> None:
    values = fields(dtype)
    convert(write(tmp_path, values), tmp_path / "out", GIVEN)
    for number, split in enumerate(SPLITS):
        found = TrajectorySet.open(tmp_path / "out" / "data" / split, [*values, "obstacle"], [])
        assert [spec.constant for spec in found.fields] == [False, False, True, True]
        assert found.fields[-1].unit == "1"
        frames, cells = found.frames(0), CELLS[number]
        np.testing.assert_array_equal(frames[:, -1], np.broadcast_to(cells, (4, 5, 6)).astype(np.float32))
        for k, name in enumerate(values):
            stored = np.broadcast_to(values[name][number], (4, 5, 6)).astype(np.float32)
            assert frames[:, k][:, ~cells].tobytes() == stored[:, ~cells].tobytes()
            for time, frame in enumerate(frames[:, k]):
                assert all(frame[y, x] in nearest_values(stored[time], cells, y, x) for y, x in np.argwhere(cells))


@every_case
def test_every_importer_keeps_an_obstacle(case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = LAYOUTS[case.layout].read
    cells = np.zeros(case.grid.shape, dtype=bool)
    cells[2:4, 3:5] = True

    def with_obstacle(self: Any, number: int) -> Simulation:
        simulation = read(self, number)
        frames = {
            name: values if self.contents.fields[name].constant else np.where(cells, np.nan, values).astype(np.asarray(values).dtype)
            for name, values in simulation.frames.items()
        }
        return Simulation(simulation.path, frames, simulation.scalars)

    monkeypatch.setattr(LAYOUTS[case.layout], "read", with_obstacle)
    (tmp_path / "other").mkdir()
    refused(case.write(tmp_path / "other"), tmp_path / "refused", case.given, "--obstacle", f"NaN in 4 of {cells.size} cells")
    convert(case.write(tmp_path), tmp_path / "out", replace(case.given, obstacle=True))
    found = TrajectorySet.open(tmp_path / "out" / "data" / "valid", [*case.frames, "obstacle"], list(case.scalars)).frames(0)
    np.testing.assert_array_equal(found[:, -1], np.broadcast_to(cells, found[:, -1].shape))
    for k, (name, values) in enumerate(case.frames.items()):
        kept = np.broadcast_to(values[1], found[:, k].shape)
        where = ~cells if values.shape[1] > 1 else np.ones_like(cells)
        np.testing.assert_allclose(found[:, k][:, where], kept[:, where], rtol=2e-7, atol=1e-12, err_msg=name)


def _moved(values: dict[str, np.ndarray]) -> None:
    values["pressure"][1, 2] = np.roll(values["pressure"][1, 2], 1, axis=0)


def _in_one_field(values: dict[str, np.ndarray]) -> None:
    values["pressure"][1, :, 4, 4] = np.nan


def _in_one_frame(values: dict[str, np.ndarray]) -> None:
    values["pressure"][1, 2, 4, 4] = values["solid_fraction"][1, 2, 4, 4] = np.nan


def _of_a_constant_field(values: dict[str, np.ndarray]) -> None:
    values["sound"][1, 0, 4, 4] = np.nan


@pytest.mark.parametrize("obstacle", [True, False])
@pytest.mark.parametrize("spoil", [_moved, _in_one_field, _in_one_frame, _of_a_constant_field])
def test_any_other_nan_is_refused_as_ever(spoil: Callable[[dict[str, np.ndarray]], None], obstacle: bool, tmp_path: Path) -> None:
    values = fields()
    spoil(values)
    if not obstacle:  # the first simulation would be refused for its obstacle
        values = {name: field[1:].repeat([2, 1], axis=0) for name, field in values.items()}
    given = replace(GIVEN, obstacle=obstacle)
    refused(write(tmp_path, values), tmp_path / "out", given, "expected finite values in [", "got nan at (y, x) =")


def test_values_beside_the_obstacle_are_still_bounded(tmp_path: Path) -> None:
    values = fields()
    values["solid_fraction"][0, 1, 0, 0] = 2.0
    parts = ("run_0.npz: field 'solid_fraction', simulation 1, frame 1", "got 2.0 at (y, x) = (0, 0)")
    refused(write(tmp_path, values), tmp_path / "out", GIVEN, *parts)


def test_nothing_but_nan_is_refused(tmp_path: Path) -> None:
    values = fields()
    for field in values.values():
        field[2] = np.nan
    refused(write(tmp_path, values), tmp_path / "out", GIVEN, "run_2.npz: simulation 0", "a cell that is not NaN", "NaN in all 30 cells")


@pytest.mark.parametrize("scalar", [True, False])
def test_another_field_called_obstacle_has_to_be_renamed(scalar: bool, tmp_path: Path) -> None:
    values = fields()
    if scalar:
        source = write(tmp_path, values)
        for path in source.rglob("*.npz"):
            np.savez(path, **np.load(path), obstacle=1.0)
    else:
        source = write(tmp_path, values | {"obstacle": values["pressure"]})
    refused(source, tmp_path / "out", GIVEN, "expected --name obstacle=NEW", "got one called 'obstacle'")
    plan = convert(source, tmp_path / "out", replace(GIVEN, names={"obstacle": "wall"}))
    assert "wall" in (plan.scalars if scalar else plan.fields)
    assert plan.obstacle


def test_nothing_is_added_unless_it_is_asked_for(tmp_path: Path) -> None:
    values = {name: np.nan_to_num(field) for name, field in fields().items()}
    source = write(tmp_path, values)
    assert not convert(source, tmp_path / "without", replace(GIVEN, obstacle=False)).obstacle
    assert convert(source, tmp_path / "with", GIVEN).obstacle
    without, added = (read_info(tmp_path / name / "data" / "train" / "run_0.hdf5") for name in ("without", "with"))
    assert set(added.fields) - set(without.fields) == {"obstacle"}
    found = TrajectorySet.open(tmp_path / "with" / "data" / "train", [*values, "obstacle"], []).frames(0)
    np.testing.assert_array_equal(found[:, -1], 0.0)
    for k, field in enumerate(values.values()):
        np.testing.assert_array_equal(found[:, k], np.broadcast_to(field[0], found[:, k].shape))


def test_texts_with_nan(tmp_path: Path) -> None:
    """Importers of texts refuse NaN by line, and say what keeps it."""
    parc, scimitar = PARC.write(tmp_path), SCIMITAR.write(tmp_path)
    for path in (parc / "data" / "raw").rglob("*_??.txt"):
        lines = path.read_text().splitlines()
        path.write_text("\n".join([*lines[:-1], "nan"]) + "\n")  # the bottom right cell
    refused(parc, tmp_path / "refused", PARC.given, "line 48, column 1: expected finite numbers, got nan (--obstacle")
    convert(parc, tmp_path / "parc_out", replace(PARC.given, obstacle=True))
    found = TrajectorySet.open(tmp_path / "parc_out" / "data" / "train", ["temperature", "obstacle"], []).frames(0)
    assert (found[0, 1, 0, -1], found[0, 1].sum(), found[0, 0, 0, -1]) == (1.0, 1.0, 300.0)
    first = next(path for path in sorted(scimitar.rglob("*")) if path.is_file())
    lines = first.read_text().splitlines()
    first.write_text("\n".join([*lines[:-1], " ".join([*lines[-1].split()[:2], *["nan"] * 5])]) + "\n")
    refused(scimitar, tmp_path / "moving", replace(SCIMITAR.given, obstacle=True), "frame 0", "expected finite values")


def test_scaled_cases_with_an_obstacle_are_scaled_back(tmp_path: Path) -> None:
    case = CASES["parctorch"]
    source = write_parctorch(tmp_path, scaled=True)
    for path in source.rglob("*.npy"):
        values = np.load(path)
        values[:, :, 0, 0] = np.nan
        np.save(path, values)
    convert(source, tmp_path / "out", replace(case.given, obstacle=True))
    found = TrajectorySet.open(tmp_path / "out" / "data" / "train", ["temperature"], []).frames(0)[:, 0]
    np.testing.assert_allclose(found[:, 1:], case.frames["temperature"][0][:, 1:], rtol=1e-5)


def test_the_nearest_cell_may_lie_across_a_periodic_edge() -> None:
    cells = np.zeros((5, 7), dtype=bool)
    cells[:, :4] = True
    values = np.broadcast_to(np.arange(7.0, dtype=np.float32), (2, 5, 7)).copy()
    values[:, cells] = np.nan
    np.testing.assert_array_equal(nan_cells([values], cells.shape), cells)
    closed, periodic = (filled(values, nearest_outside(cells, axes))[1, 2] for axes in ("y", "xy"))
    np.testing.assert_array_equal(closed, [4, 4, 4, 4, 4, 5, 6])
    np.testing.assert_array_equal(periodic, [6, 6, 4, 4, 4, 5, 6])


def test_fields_that_do_not_change_make_no_obstacle() -> None:
    assert not nan_cells([], (2, 3)).any()
