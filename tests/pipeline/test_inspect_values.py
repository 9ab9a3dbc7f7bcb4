"""inspect shows what a run would accept, and says what cannot be used and why."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import rich.console

from probtokens.data import TrajectorySet
from probtokens.data.the_well import faults
from probtokens.pipeline.inspect import describe
from tests.helpers import make_campaign, make_shard

SHAPE = {"n_simulations": 2, "ny": 6, "nx": 8, "n_times": 3}


def described(path: Path) -> str:
    stream = io.StringIO()
    describe(path, rich.console.Console(file=stream, width=200, soft_wrap=True))
    return stream.getvalue()


def row(text: str, name: str) -> str:
    """The line of the table about a scalar or field."""
    return next(line for line in text.splitlines() if f" {name} " in line and line.lstrip().startswith(("scalar", "field")))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two files of two simulations."""
    for seed, name in enumerate("ab"):
        make_shard(tmp_path / f"{name}.hdf5", seed=seed, **SHAPE)
    return tmp_path


def redo(path: Path, name: str, values: Any, **how: Any) -> None:
    with h5py.File(path, "r+") as file:
        attributes = dict(file[name].attrs)
        del file[name]
        file.create_dataset(name, data=values, **how).attrs.update(attributes)


def remove(path: Path, group: str, name: str) -> None:
    with h5py.File(path, "r+") as file:
        names = [other for other in file[group].attrs["field_names"] if other != name]
        del file[f"{group}/{name}"]
        file[group].attrs["field_names"] = np.array(names, dtype=h5py.string_dtype())


def test_splits_that_are_symbolic_links(tmp_path: Path) -> None:
    disk = make_campaign(tmp_path / "disk", ny=6, nx=8, n_times=3)
    (tmp_path / "linked").mkdir()
    for split in ("train", "valid", "test"):
        (tmp_path / "linked" / split).symlink_to(disk / split)
    (disk / "train" / "up").symlink_to(tmp_path / "linked")
    (disk / "train" / "nowhere").symlink_to(tmp_path / "nowhere")
    text = described(tmp_path / "linked")
    assert text.count("HDF5 files: ") == 3, "a link to a folder above is not followed"
    assert all(f"linked/{split}: HDF5 files: " in text for split in ("train", "valid", "test"))


@pytest.mark.parametrize("kind", ["a FIFO", "No such file or directory", "Too many levels of symbolic links"])
def test_what_a_run_would_refuse_among_the_files_is_told(folder: Path, kind: str) -> None:
    odd = folder / "z.hdf5"
    if kind == "a FIFO":
        os.mkfifo(odd)
    else:
        odd.symlink_to("nowhere" if kind == "No such file or directory" else odd.name)
    for read in (described, lambda place: TrajectorySet.open(place, ["temperature"], [])):
        with pytest.raises(ValueError, match=f"z.hdf5: expected a complete HDF5 file, got {kind}"):
            read(folder)


def test_two_links_to_one_folder_are_both_shown(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    for name in ("one", "two"):
        (tmp_path / "links" / name).symlink_to(folder)
    assert described(tmp_path / "links").count("HDF5 files: 2") >= 2


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        (np.array([0.5, np.nan]), "not finite: 1"),
        (np.array([np.nan, np.inf]), "not finite: 2"),
        (np.array([b"HMX", b"RDX"]), "text: HMX, RDX"),
        (np.array(["HMX", "TATB"], dtype=object), "text: HMX, TATB"),
        (np.array([True, False]), "cannot be used, see below"),
        (np.array([1.0, 2j]), "cannot be used, see below"),
    ],
)
def test_scalars_that_no_recipe_need_ask_for(folder: Path, values: np.ndarray, shown: str) -> None:
    redo(folder / "b.hdf5", "scalars/porosity", values)
    TrajectorySet.open(folder, ["temperature"], ["shock_pressure"])
    text = described(folder)
    assert shown in row(text, "porosity")
    assert "…" in row(text, "temperature")
    if "below" in shown:
        assert f"cannot be used: {faults.shown(folder / 'b.hdf5')}: /scalars/porosity: expected real numbers" in text


def test_what_only_some_files_have(folder: Path) -> None:
    remove(folder / "a.hdf5", "t0_fields", "pressure")
    remove(folder / "b.hdf5", "scalars", "porosity")
    text = described(folder)
    assert "not in a.hdf5" in row(text, "pressure")
    assert "not in b.hdf5" in row(text, "porosity")
    assert "not in" not in row(text, "temperature")


def unwritten(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        attributes, shape = dict(file["t0_fields/pressure"].attrs), file["t0_fields/pressure"].shape
        del file["t0_fields/pressure"]
        file["t0_fields"].create_dataset("pressure", shape, "f4", chunks=True).attrs.update(attributes)


def spoilt(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["t0_fields/pressure"][1, 2, 3, 4] = np.nan


def text_as_values(path: Path) -> None:
    redo(path, "t0_fields/pressure", np.full((2, 3, 8, 6), b"x"))


@pytest.mark.parametrize(
    ("harm", "reason"),
    [(unwritten, "ever written"), (spoilt, "expected finite values"), (text_as_values, "expected real numbers, got text")],
)
def test_fields_that_no_recipe_need_ask_for(folder: Path, harm: Callable[[Path], None], reason: str) -> None:
    harm(folder / "b.hdf5")
    trajectories = TrajectorySet.open(folder, ["temperature"], [])
    low = min(trajectories.frames(number).min() for number in range(4))
    text = described(folder)
    assert "cannot be used, see below" in row(text, "pressure")
    assert f"{low:.4g} … " in row(text, "temperature")
    assert f"cannot be used: {faults.shown(folder / 'b.hdf5')}" in text
    assert reason in text
    assert "of 4 end with cells above 875 K" in text


def test_a_file_without_any_field_that_can_be_used(folder: Path) -> None:
    (folder / "b.hdf5").unlink()
    for name in ("solid_fraction", "velocity"):
        remove(folder / "a.hdf5", "t1_fields" if name == "velocity" else "t0_fields", name)
    remove(folder / "a.hdf5", "t0_fields", "temperature")
    unwritten(folder / "a.hdf5")
    with pytest.raises(ValueError, match="a.hdf5: /t0_fields/pressure: expected .* ever written"):
        described(folder)
    remove(folder / "a.hdf5", "t0_fields", "pressure")
    with pytest.raises(ValueError, match="a.hdf5: expected at least one field, got none"):
        described(folder)


@pytest.mark.parametrize("axis", ["time", "x"])
def test_axes_that_start_elsewhere(folder: Path, axis: str) -> None:
    with h5py.File(folder / "b.hdf5", "r+") as file:
        values = file[f"dimensions/{axis}"]
        values[...] = (50 + values[()].astype("f8")).astype("f4")
    TrajectorySet.open(folder, ["temperature"], [])
    assert "cells of 0.04 µm" in described(folder)


def test_what_a_run_refuses_is_refused(folder: Path) -> None:
    make_shard(folder / "c.hdf5", spacing=0.05, **SHAPE)
    message = "c.hdf5: cell size: expected 0.04 µm as in a.hdf5, got 0.05 µm"
    with pytest.raises(ValueError, match=message):
        TrajectorySet.open(folder, ["temperature"], [])
    with pytest.raises(ValueError, match=message):
        described(folder)


def test_names_with_brackets_are_shown_as_they_are(folder: Path) -> None:
    with h5py.File(folder / "b.hdf5", "r+") as file:
        file["scalars/porosity"].attrs["units"] = "[m/s]"
        file["t0_fields"].move("pressure", "rho [/]")
        file["t0_fields"].attrs["field_names"] = ["rho [/]", "temperature"]
    text = described(folder)
    assert " 1 or [m/s] " in row(text, "porosity")
    assert "not in a.hdf5" in row(text, "rho [/]")
