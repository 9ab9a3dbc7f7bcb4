"""Simulations from arrays: the same as from files, whatever holds the numbers."""

from __future__ import annotations

import doctest
import re

import numpy as np
import pytest
import torch
import xarray as xr

from probtokens.data import Normalizer, TrajectorySet, WindowDataset, arrays, find_duplicates, require_agreement, trajectories
from probtokens.fields import FieldSpec
from tests.helpers import BOUNDARY, make_frames, make_shard

NAMES = ("temperature", "pressure", "solid_fraction", "velocity_x", "velocity_y")


def stacked(**shape: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    fields, scalars = make_frames(**shape)
    return np.stack([fields[name] for name in NAMES], axis=2), scalars


def made(frames: object = None, fields: object = NAMES, **changes: object) -> TrajectorySet:
    values, scalars = stacked()
    given = {"spacing": 0.04, "time_step": 0.125, "context": {"shock_pressure": scalars["shock_pressure"]}} | changes
    return TrajectorySet.from_arrays(values if frames is None else frames, fields, **given)


def labelled(values: np.ndarray) -> xr.DataArray:
    """As an xarray whose axes and fields are in another order, with coordinates."""
    n_times, nx = values.shape[1], values.shape[4]
    coordinates = {
        "field": list(NAMES),
        "field_unit": ("field", ["K", "GPa", "1", "km/s", "km/s"]),
        "time": 0.125 * np.arange(n_times),
        "x": 0.02 + 0.04 * np.arange(nx),
    }
    return xr.DataArray(values, dims=("simulation", "time", "field", "y", "x"), coords=coordinates).isel(field=slice(None, None, -1))


@pytest.mark.parametrize("kind", ["numpy", "torch", "xarray"])
def test_the_same_as_from_a_file(kind: str, tmp_path) -> None:
    values, scalars = stacked()
    make_shard(tmp_path / "shard.hdf5")
    names = ("shock_pressure", "porosity")
    opened = TrajectorySet.open(tmp_path, NAMES, names)
    context = {name: torch.tensor(scalars[name]) if kind == "torch" else scalars[name] for name in names}
    if kind == "xarray":
        given = labelled(values).transpose("field", "x", "time", "simulation", "y")
        found = TrajectorySet.from_arrays(given, list(NAMES), context=context, boundary=BOUNDARY)
    else:
        frames = values.astype(np.float64) if kind == "numpy" else torch.tensor(values, requires_grad=True)
        found = TrajectorySet.from_arrays(frames, NAMES, spacing=0.04, time_step=0.125, context=context, boundary=BOUNDARY)
    assert found.fields == opened.fields
    assert found.grid.compatible_with(opened.grid)
    assert (found.grid.shape, found.grid.n_times, len(found)) == (opened.grid.shape, opened.grid.n_times, len(opened))
    np.testing.assert_array_equal(found.context, opened.context)
    np.testing.assert_array_equal(found.scalar("porosity"), opened.scalar("porosity"))
    for number in range(len(opened)):
        np.testing.assert_array_equal(found.frames(number), opened.frames(number))
        np.testing.assert_array_equal(found.frames(number, 1, 3), opened.frames(number, 1, 3))
    require_agreement(opened, found)
    require_agreement(found, opened)
    assert len(find_duplicates({"file": opened, "arrays": found})) == 2
    ours, theirs = (Normalizer.fit(trajectories).state_dict() for trajectories in (found, opened))
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], equal_nan=True)


def test_fields_of_an_xarray_are_its_coordinates() -> None:
    found = TrajectorySet.from_arrays(labelled(stacked()[0]))
    assert [spec.name for spec in found.fields] == list(NAMES)[::-1]
    assert found.grid.spacing == pytest.approx(0.04)
    assert found.context.shape == (2, 0)


def test_lengths_and_times_may_have_units() -> None:
    import pint

    units = pint.UnitRegistry()
    for spacing, time_step in (("0.5 mm", "2 µs"), (0.5 * units.mm, 2 * units.us)):
        grid = made(spacing=spacing, time_step=time_step).grid
        assert (grid.spacing, grid.length_unit, grid.time_step, grid.time_unit) == (0.5, "mm", 2.0, "µs")
    grid = made(spacing=np.float32(500), time_step=np.int64(2000)).grid
    assert (grid.spacing, grid.length_unit, grid.time_step, grid.time_unit) == (500.0, "µm", 2000.0, "ns")
    grid = made(spacing="0.5 1", time_step="2 1").grid
    assert (grid.spacing, grid.length_unit, grid.time_step, grid.time_unit) == (0.5, "1", 2.0, "1")


def test_units_of_coordinates_of_an_xarray_are_kept() -> None:
    frames = labelled(stacked()[0])
    frames["x"].attrs["units"], frames["time"].attrs["unit"] = "mm", "ms"
    found = TrajectorySet.from_arrays(frames).grid
    assert (found.length_unit, found.time_unit) == ("mm", "ms")
    frames["x"].attrs["units"] = "kg"
    with pytest.raises(ValueError, match=r"frames: coordinate 'x': expected a unit of the dimension of 'µm', got 'kg'"):
        TrajectorySet.from_arrays(frames)


def test_a_name_alone_is_one_field() -> None:
    assert [spec.name for spec in made(VALUES[:, :, :1], "height").fields] == ["height"]


def test_what_is_known_of_a_field_stays() -> None:
    values = stacked()[0][:, :, :2]
    species = FieldSpec("species", "1", "mass fraction", lower=0.0)
    assert made(np.abs(values), ["temperature", species]).fields[1] is species
    assert made(values, {"density": "g/cm³", "flow": "m/s"}).fields[1].unit == "m/s"


def test_subsets_and_windows_take_them_as_files() -> None:
    trajectories = made()
    one = trajectories.subset([1])
    assert one.names == ("arrays/1",)
    np.testing.assert_array_equal(one.frames(0), trajectories.frames(1))
    np.testing.assert_array_equal(WindowDataset(one, 2)[1][0], trajectories.frames(1, 1, 4))


def test_frames_are_a_copy_and_read_only() -> None:
    values = stacked()[0]
    trajectories = made(values)
    values[:] = 0.0
    assert trajectories.frames(0).max() > 300.0
    with pytest.raises(ValueError, match="read-only"):
        trajectories.frames(0)[:] = 0.0


VALUES = stacked()[0]
WITH_NAN = np.where(np.arange(24) == 3, np.nan, VALUES)
COLD = VALUES - 400.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frames": VALUES[0]}, "frames: expected shape (simulation, time, field, y, x) with the 5 fields"),
        ({"frames": VALUES[:, :, :4]}, "frames: expected shape (simulation, time, field, y, x) with the 5 fields"),
        ({"frames": VALUES[:0]}, "got (0, 6, 5, 16, 24)"),
        ({"frames": WITH_NAN}, "arrays: field 'temperature', simulation 0, frame 0: expected finite values"),
        ({"frames": COLD}, "arrays: field 'temperature', simulation 0, frame 0: expected finite values in [0, inf] K, got -"),
        ({"frames": VALUES.astype(complex)}, "frames: expected real numbers, got an array of complex128"),
        ({"frames": labelled(VALUES).rename(y="z")}, "frames: expected dimensions ['simulation', 'time', 'field', 'y', 'x'], got"),
        ({"frames": labelled(VALUES).isel(field=[0, 1])}, "frames: expected the fields"),
        ({"fields": None}, "fields: expected the names of the fields"),
        ({"fields": ["temperature"] * 5}, "fields: expected at least one name, each once"),
        ({"fields": {"temperature": "m"}}, "field 'temperature': expected unit 'K', another of its dimension, or '1', got 'm'"),
        ({"spacing": None}, "spacing: expected a number, or frames of xarray with a coordinate 'x'"),
        ({"spacing": "0.5 ms"}, "spacing: expected a unit of the dimension of 'µm', got 'ms'"),
        ({"spacing": "wide"}, "spacing: expected a positive number with or without a unit, got 'wide'"),
        ({"time_step": 0.0}, "grid time_step: expected > 0, got 0.0"),
        (
            {"context": {"shock_pressure": [9.0]}},
            "context 'shock_pressure': expected 2 finite numbers, one for each simulation, got shape (1,)",
        ),
        ({"context": {"shock_pressure": [9.0, np.inf]}}, "context 'shock_pressure': expected 2 finite numbers"),
        ({"boundary": {"front": "WALL"}}, "boundary: expected some of ['left', 'right', 'bottom', 'top']"),
        ({"boundary": {"left": "wall"}}, "as one of ['WALL', 'OPEN', 'PERIODIC']"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as refused:
        made(**changes)
    assert len(str(refused.value)) <= 300


def test_other_scalars_are_refused() -> None:
    with pytest.raises(ValueError, match=r"arrays: scalar 'porosity': expected one of \['shock_pressure'\], got none of them"):
        made().scalar("porosity")


@pytest.mark.parametrize("module", [arrays, trajectories])
def test_examples_of_docstrings_run(module) -> None:
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


def test_scalars_come_with_their_units():
    frames = np.ones((3, 4, 1, 8, 8))
    told = xr.DataArray([1.0, 2.0, 3.0], dims="simulation", attrs={"units": "kbar"})
    context = {"diffusivity": ([1.0, 2.0, 3.0], "mm²/ms"), "shock_pressure": told, "number": [0, 1, 2]}
    data = TrajectorySet.from_arrays(frames, {"dye": "1"}, spacing="0.5 mm", time_step="1 ms", context=context)
    assert data.context_units == ("mm²/ms", "kbar", "")
    np.testing.assert_array_equal(data.context[:, 0], [1, 2, 3])
    with pytest.raises(ValueError, match=r"context 'dose': expected a unit such as .*, got 'furlong per'"):
        TrajectorySet.from_arrays(frames, {"dye": "1"}, spacing=1.0, time_step=1.0, context={"dose": ([1, 2, 3], "furlong per")})
