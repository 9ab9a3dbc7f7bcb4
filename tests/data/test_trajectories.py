from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from probtokens.data import trajectories as module
from probtokens.data.the_well import write_shard
from probtokens.data.trajectories import TrajectorySet
from probtokens.fields import KNOWN_FIELDS, Grid
from tests.helpers import BOUNDARY, make_frames, make_shard

FIELDS = ("pressure", "temperature", "velocity_y")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Requests for frames that reach the disk."""
    calls: list[tuple[Any, ...]] = []
    read = module.read_frames

    def counted(*arguments: Any) -> np.ndarray:
        calls.append(arguments)
        return read(*arguments)

    monkeypatch.setattr(module, "read_frames", counted)
    return calls


def test_contents(campaign: Path) -> None:
    shards = TrajectorySet.open(campaign / "train", FIELDS, ["porosity", "shock_pressure"])
    assert len(shards) == 5
    assert shards.names == ("shard_0000/0", "shard_0000/1", "shard_0001/0", "shard_0001/1", "shard_0002/0")
    assert shards.fields == tuple(KNOWN_FIELDS[name] for name in FIELDS)
    assert shards.grid == Grid(ny=6, nx=8, spacing=0.04, time_step=0.125, n_times=5)
    frames, scalars = make_frames(n_simulations=2, ny=6, nx=8, n_times=5, seed=1)
    np.testing.assert_array_equal(shards.frames(3, 1, 4), np.stack([frames[name][1, 1:4] for name in FIELDS], axis=1))
    np.testing.assert_array_equal(shards.context[3], [scalars["porosity"][1], scalars["shock_pressure"][1]])
    np.testing.assert_array_equal(shards.scalar("porosity"), shards.context[:, 0])
    assert shards.context.shape == (5, 2)
    assert shards.context.dtype == np.float32


def test_opening_reads_no_frame(campaign: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touched: list[str] = []
    getitem = h5py.Dataset.__getitem__
    monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda self, *a, **k: (touched.append(self.name), getitem(self, *a, **k))[1])
    shards = TrajectorySet.open(campaign / "train", FIELDS, ["shock_pressure"])
    assert touched
    assert not [name for name in touched if "_fields" in name]
    shards.frames(0)
    assert [name for name in touched if "_fields" in name]


def test_a_trajectory_is_read_once_while_it_fits(campaign: Path, reads: list[tuple[Any, ...]]) -> None:
    one = 4 * 5 * len(FIELDS) * 6 * 8
    shards = TrajectorySet.open(campaign / "train", FIELDS, [], cache_bytes=2 * one)
    whole = [shards.frames(i).copy() for i in (0, 1, 2)]
    assert len(reads) == 3
    np.testing.assert_array_equal(shards.frames(0, 1, 3), whole[0][1:3])
    np.testing.assert_array_equal(shards.subset([1]).frames(0, 2), whole[1][2:])
    assert len(reads) == 3
    np.testing.assert_array_equal(shards.frames(2, 1, 3), whole[2][1:3])
    assert len(reads) == 4
    assert reads[-1][-2:] == (1, 3), "a trajectory that does not fit is read frame by frame"


def test_frames_cannot_be_changed(campaign: Path) -> None:
    for budget in (0, 2**30):
        frames = TrajectorySet.open(campaign / "train", FIELDS, [], cache_bytes=budget).frames(0)
        with pytest.raises(ValueError, match="read-only"):
            frames[0] = 0.0


def test_copies_for_workers_travel_without_the_frames_in_memory(campaign: Path, reads: list[tuple[Any, ...]]) -> None:
    shards = TrajectorySet.open(campaign / "train", FIELDS, ["shock_pressure"])
    empty = len(pickle.dumps(shards))
    expected = shards.frames(4)
    assert len(pickle.dumps(shards)) == empty
    copy = pickle.loads(pickle.dumps(shards))
    np.testing.assert_array_equal(copy.frames(4), expected)
    assert len(reads) == 2


def test_subset_keeps_order_and_names(campaign: Path) -> None:
    shards = TrajectorySet.open(campaign / "train", FIELDS, ["shock_pressure"])
    few = shards.subset(np.array([3, 0]))
    assert few.names == ("shard_0001/1", "shard_0000/0")
    np.testing.assert_array_equal(few.context, shards.context[[3, 0]])
    np.testing.assert_array_equal(few.scalar("porosity"), shards.scalar("porosity")[[3, 0]])
    np.testing.assert_array_equal(few.frames(0), shards.frames(3))
    assert few.subset([1]).names == ("shard_0000/0",)
    with pytest.raises(ValueError, match=r"indices in 0..4, got \[5, -1\]"):
        shards.subset([5, 2, -1])


def test_requests_out_of_range(campaign: Path) -> None:
    shards = TrajectorySet.open(campaign / "train", FIELDS, [])
    shards.frames(0)
    with pytest.raises(ValueError, match=r"expected 0..4, got 5"):
        shards.frames(5)
    for start, stop in ((0, 6), (3, 3), (-1, 2)):
        with pytest.raises(ValueError, match=r"shard_0000.hdf5: expected frames within 0..5"):
            shards.frames(0, start, stop)


def test_missing_names_list_what_there_is(campaign: Path) -> None:
    with pytest.raises(ValueError, match=r"shard_0000.hdf5: expected fields \['spin'\], got a file with \['temperature', 'pressure'"):
        TrajectorySet.open(campaign / "train", ["temperature", "spin"], [])
    with pytest.raises(ValueError, match=r"expected scalars \['humidity'\], got a file with \['shock_pressure', 'porosity'\]"):
        TrajectorySet.open(campaign / "train", ["temperature"], ["humidity"])


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        ({"nx": 10}, "grid: expected 16 × 24 cells as in a.hdf5, got 16 × 10 cells"),
        ({"spacing": 0.05}, "cell size: expected 0.04 µm as in a.hdf5, got 0.05 µm"),
        ({"time_step": 0.1}, "frame step: expected 0.125 ns as in a.hdf5, got 0.1 ns"),
    ],
)
def test_odd_file_is_named(tmp_path: Path, odd: dict[str, Any], message: str) -> None:
    make_shard(tmp_path / "a.hdf5")
    make_shard(tmp_path / "b.hdf5")
    make_shard(tmp_path / "c.hdf5", **odd)
    with pytest.raises(ValueError, match=f"c.hdf5: {message}"):
        TrajectorySet.open(tmp_path, ["temperature"], [])


def test_odd_unit_is_named(tmp_path: Path) -> None:
    grid = Grid(ny=4, nx=4, spacing=0.04, time_step=0.125, n_times=2)
    for name, unit in (("a", "mol"), ("b", "kg")):
        write_shard(
            tmp_path / f"{name}.hdf5",
            {"species": np.ones((1, 2, 4, 4))},
            grid=grid,
            scalars={},
            units={"species": unit},
            dataset_name="units",
            boundary=BOUNDARY,
        )
    with pytest.raises(ValueError, match=r"b.hdf5: field 'species': expected unit 'mol' as in a.hdf5, got 'kg'"):
        TrajectorySet.open(tmp_path, ["species"], [])


def test_folder_without_files(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(ValueError, match=r"files ending in .hdf5 or .h5, got \['notes.txt'\]"):
        TrajectorySet.open(tmp_path, FIELDS, [])
    with pytest.raises(ValueError, match="expected a folder"):
        TrajectorySet.open(tmp_path / "none", FIELDS, [])


def test_no_context(campaign: Path) -> None:
    assert TrajectorySet.open(campaign / "train", FIELDS, []).context.shape == (5, 0)


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["a.h5", "a.hdf5"], ("a.h5/0", "a.hdf5/0")),
        (["a.h5", "a.hdf5", "b.h5"], ("a.h5/0", "a.hdf5/0", "b/0")),
        (["a.h5", "a.h5.hdf5"], ("a/0", "a.h5.hdf5/0")),
        (["a.h5", "a.h5.hdf5", "a.hdf5"], ("a.h5/0", "a.h5.hdf5/0", "a.hdf5/0")),
    ],
)
def test_names_are_given_once(tmp_path: Path, files: list[str], names: tuple[str, ...]) -> None:
    for name in files:
        make_shard(tmp_path / name, n_simulations=1)
    assert TrajectorySet.open(tmp_path, ["temperature"], []).names == names


def test_files_are_listed_once(campaign: Path) -> None:
    shards = TrajectorySet.open(campaign / "train", FIELDS, [])
    assert [info.path.name for info in shards.files] == ["shard_0000.hdf5", "shard_0001.hdf5", "shard_0002.hdf5"]
    assert [info.path.name for info in shards.subset([2, 3]).files] == ["shard_0001.hdf5"]


def test_a_folder_of_a_thousand_other_files_gets_a_short_message(tmp_path: Path) -> None:
    for number in range(1000):
        (tmp_path / f"{number:04d}.txt").touch()
    with pytest.raises(ValueError, match=r"got \['0000.txt', .*… 1000 in all\]") as caught:
        TrajectorySet.open(tmp_path, FIELDS, [])
    assert len(str(caught.value)) <= 300
