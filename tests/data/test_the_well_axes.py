"""Grids from axes that start anywhere, in any type, and the edges of the domain."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probtokens.data import read_info
from probtokens.data.the_well.axes import uniform_axis
from probtokens.data.the_well.hdf5 import Node

NOWHERE = Node(Path("a.hdf5"), type("Item", (), {"name": "/dimensions/x"})())


@given(
    start=st.floats(-1e4, 1e4),
    step=st.sampled_from([0.02, 0.04, 0.125, 1 / 3, 2.5]),
    size=st.integers(2, 200),
    dtype=st.sampled_from(["f4", "f8"]),
)
def test_a_step_is_told_within_its_rounding_wherever_the_axis_starts(start: float, step: float, size: int, dtype: str) -> None:
    coordinates = (start + step * np.arange(size)).astype(dtype)
    single = np.array_equal(coordinates, coordinates.astype("f4"))  # which doubles may have been computed in
    if np.finfo("f4" if single else dtype).eps * np.abs(coordinates).max() > 1e-3 * step:
        return  # It may be refused as too coarse.
    axis = uniform_axis(NOWHERE, coordinates)
    assert axis.size == size
    # The mean step may be off by the rounding, and the shortest number within the rounding of it by as much again.
    assert abs(axis.step - step) <= 2 * axis.rounding + 1e-5 * step
    if dtype == "f8" and step != 1 / 3 and not single:
        assert axis.step == step


@pytest.mark.parametrize(
    ("coordinates", "step"),
    [
        (np.arange(5, dtype="i4"), 1.0),
        (np.arange(3, 30, 3, dtype="u1"), 3.0),
        (np.linspace(0, 1, 11, dtype="f2"), 0.1),
        (np.tile(np.arange(4.0), (3, 1)), 1.0),
        ((100 + 0.02 * np.arange(5)).astype("f4").astype("f8"), 0.02),
        (1e6 + 0.02 * np.arange(5), 0.02),
    ],
)
def test_axes_of_every_kind(coordinates: np.ndarray, step: float) -> None:
    assert uniform_axis(NOWHERE, coordinates).step == step


@pytest.mark.parametrize(
    ("coordinates", "message"),
    [
        (np.array([0.0, 1.0, 3.0]), "expected a uniform increasing axis, got steps from 1 to 2"),
        (np.array([2.0, 1.0, 0.0]), "expected a uniform increasing axis, got steps from -1 to -1"),
        (np.array([0.0, np.nan, 2.0]), "expected a uniform increasing axis"),
        (np.array([0.0, 1.0, np.inf]), "expected a uniform increasing axis"),
        (np.array([-1e308, 1e308]), "expected a uniform increasing axis, got steps from inf"),
        ((1e6 + 0.02 * np.arange(50)).astype("f4"), "expected coordinates precise enough for their step"),
    ],
)
def test_axes_that_are_none(coordinates: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=f"a.hdf5: /dimensions/x: {message}"):
        uniform_axis(NOWHERE, coordinates)


def put(path: Path, name: str, values: Any, **attributes: Any) -> None:
    with h5py.File(path, "r+") as file:
        old = dict(file[name].attrs)
        del file[name]
        file[name] = values
        file[name].attrs.update({**old, **attributes})


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.float32(1), r"expected an axis of shape \(point,\) or \(simulation, point\), got \(\)"),
        (np.zeros((2, 2, 8)), r"got \(2, 2, 8\)"),
        (np.zeros((3, 8)), r"got \(3, 8\)"),
        (np.full(8, b"1"), "expected real numbers, got text"),
        (np.zeros(8, bool), "expected real numbers, got booleans"),
        (np.zeros(0), r"expected at least two points, got shape \(0,\)"),
    ],
)
def test_what_is_no_axis_is_named(shard: Path, values: Any, message: str) -> None:
    put(shard, "dimensions/x", values)
    with pytest.raises(ValueError, match=f"/dimensions/x: expected .*{message.removeprefix('expected ')}") as caught:
        read_info(shard)
    assert str(shard) in str(caught.value)


def test_the_more_precise_axis_gives_the_cell_size(shard: Path) -> None:
    put(shard, "dimensions/x", (300 + 0.04 * np.arange(8)).astype("f4"))
    info = read_info(shard)
    assert info.grid.spacing == 0.04
    assert info.rounding["spacing"] < 1e-6


MASK = np.array([True] + [False] * 7)


@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (1, 4), (2, 4)])
def test_masks_for_every_simulation_and_frame(shard: Path, shape: tuple[int, int]) -> None:
    sample, time = shape[0] > 1, shape[1] > 1
    stored = np.broadcast_to(MASK, (*shape, 8))[(slice(None) if sample else 0, slice(None) if time else 0)]
    with h5py.File(shard, "r+") as file:
        file["boundary_conditions/left"].attrs.update({"bc_type": "WALL", "sample_varying": sample, "time_varying": time})
    put(shard, "boundary_conditions/left/mask", stored.astype("i1"))
    assert read_info(shard).boundary["left"] == "WALL"
    if not (sample or time):
        return
    changed = stored.copy()
    changed[-1, ..., 0] = False
    put(shard, "boundary_conditions/left/mask", changed)
    with pytest.raises(ValueError, match="left/mask: expected the same edges for all simulations and frames, got edges that vary"):
        read_info(shard)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros(0, bool), r"expected shape \(8,\), got \(0,\)"),
        (np.zeros(6, bool), r"expected shape \(8,\), got \(6,\)"),
        (np.zeros((2, 8), bool), r"expected shape \(8,\), got \(2, 8\)"),
        (np.full(8, b"T"), "expected real numbers, got text"),
    ],
)
def test_masks_that_do_not_fit(shard: Path, mask: np.ndarray, message: str) -> None:
    put(shard, "boundary_conditions/left/mask", mask)
    with pytest.raises(ValueError, match=f"/boundary_conditions/left/mask: {message}"):
        read_info(shard)


@pytest.mark.parametrize("dims", [["z"], ["x", "x"]])
def test_edges_of_unknown_axes(shard: Path, dims: list[str]) -> None:
    with h5py.File(shard, "r+") as file:
        file["boundary_conditions/left"].attrs["associated_dims"] = dims
    with pytest.raises(ValueError, match="boundary_conditions/left: expected 'associated_dims' among"):
        read_info(shard)
