"""Simulations in more than one set are found."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from probtokens.data import TrajectorySet, find_duplicates
from tests.helpers import make_shard

SHAPE = {"ny": 6, "nx": 8, "n_times": 4}


def opened(folder: Path, fields: tuple[str, ...] = ("temperature",)) -> TrajectorySet:
    return TrajectorySet.open(folder, fields, [], cache_bytes=0)


@pytest.fixture
def splits(tmp_path: Path) -> Path:
    """Three splits of two simulations each, all different."""
    for seed, split in enumerate(("train", "valid", "test")):
        make_shard(tmp_path / split / "a.hdf5", n_simulations=2, seed=seed, **SHAPE)
    return tmp_path


def found(folder: Path, frames: int | None = None) -> set[tuple[tuple[str, str], ...]]:
    return set(find_duplicates({split: opened(folder / split) for split in ("train", "valid", "test")}, frames=frames))


def change(path: Path, simulation: int, frame: int, add: float) -> None:
    with h5py.File(path, "r+") as file:
        file["t0_fields/temperature"][simulation, frame, 3, 2] += add


def test_different_simulations(splits: Path) -> None:
    assert found(splits) == set()
    assert find_duplicates({}) == ()


def test_a_file_in_two_splits(splits: Path) -> None:
    shutil.copy(splits / "train" / "a.hdf5", splits / "test" / "copied.h5")
    assert found(splits) == {(("train", "a/0"), ("test", "copied/0")), (("train", "a/1"), ("test", "copied/1"))}


def test_one_simulation_in_all_splits(splits: Path) -> None:
    for split in ("valid", "test"):
        with h5py.File(splits / "train" / "a.hdf5") as source, h5py.File(splits / split / "a.hdf5", "r+") as file:
            file["t0_fields/temperature"][1] = source["t0_fields/temperature"][0]
    assert found(splits) == {(("train", "a/0"), ("valid", "a/1"), ("test", "a/1"))}


def test_equal_simulations_of_one_split_are_not_meant(splits: Path) -> None:
    shutil.copy(splits / "train" / "a.hdf5", splits / "train" / "b.hdf5")
    assert found(splits) == set()


def test_the_last_bit_of_one_cell_makes_a_difference_unless_only_earlier_frames_are_compared(splits: Path) -> None:
    shutil.copy(splits / "train" / "a.hdf5", splits / "test" / "a.hdf5")
    change(splits / "test" / "a.hdf5", 1, 3, 1e-4)
    assert found(splits) == {(("train", "a/0"), ("test", "a/0"))}
    assert len(found(splits, frames=3)) == 2
    assert len(found(splits, frames=100)) == 1


def test_zeros_of_either_sign_are_equal(tmp_path: Path) -> None:
    for name, zero in (("train", 0.0), ("test", -0.0)):
        path = make_shard(tmp_path / name / "a.hdf5", n_simulations=1, **SHAPE)
        with h5py.File(path, "r+") as file:
            file["t0_fields/pressure"][...] = np.float32(zero)
    assert len(find_duplicates({name: opened(tmp_path / name, ("pressure",)) for name in ("train", "test")})) == 1


def test_sets_that_cannot_be_compared(splits: Path) -> None:
    with pytest.raises(ValueError, match=r"sets of the same fields, got \[\('pressure',\), \('temperature',\)\]"):
        find_duplicates({"a": opened(splits / "train"), "b": opened(splits / "test", ("pressure",))})
    with pytest.raises(ValueError, match="at least 1 frame to compare, got 0"):
        found(splits, frames=0)
