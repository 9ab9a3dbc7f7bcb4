"""Units are kept as they are given, named in one way, and change no number of the physics."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

import probtokens as pt
from probtokens.config.training import ParcConfig
from probtokens.evaluate import score_rollout
from probtokens.fields import Grid, HotSpot, field_spec
from probtokens.predict import open_rollout, rollout_grid
from probtokens.predict.store import create_store
from probtokens.report.filmstrip import filmstrip_figure
from probtokens.report.reduce import Strip
from probtokens.report.style import figure_style
from probtokens.units import OUR_UNITS, Units, equal, spelled, unit_of

MM = Units("mm", "ms")
FIELDS = (field_spec("temperature", "degC"), field_spec("pressure", "kPa"), field_spec("dye", "1"))


@pytest.mark.parametrize(
    ("units", "area", "speed", "rate"),
    [
        (OUR_UNITS, "µm²", "µm/ns", "K/ns"),
        (MM, "mm²", "mm/ms", "K/ms"),
        (Units("1", "1"), "1", "1", "K"),
        (Units("1", "s"), "1", "1/s", "K/s"),
    ],
)
def test_units_that_follow_from_lengths_and_times(units, area, speed, rate):
    assert (units.area, units.speed, units.rate("K")) == (area, speed, rate)


def test_spellings_are_those_of_the_user_but_for_the_packages_own():
    assert [spelled(unit) for unit in ("um", "micrometer", "mm", "kg m-3", "-")] == ["µm", "µm", "mm", "kg m-3", "1"]
    assert equal("m/s", "mm/ms")
    assert not equal("m/s", "km/s")
    with pytest.raises(ValueError, match="a unit of the dimension of 'µm', got 's'"):
        unit_of("s", "µm")
    with pytest.raises(ValueError, match="a unit such as 'GPa' or 'm/s', got 'furlongz'"):
        spelled("furlongz")


def test_bounds_of_known_fields_follow_their_unit():
    assert field_spec("temperature", "degC").lower == pytest.approx(-273.15)
    assert field_spec("solid_fraction", "%").upper == pytest.approx(100.0)
    assert field_spec("temperature", "1").lower is None
    with pytest.raises(ValueError, match="field 'pressure': expected unit 'GPa', another of its dimension, or '1', got 'K'"):
        field_spec("pressure", "K")


def test_speeds_are_in_the_units_of_the_grid():
    grid = Grid(4, 4, 0.5, 0.2, 3, length_unit="mm", time_unit="ms")
    assert grid.speed(8.0, "km/s") == pytest.approx(8000.0)
    assert grid.in_units(OUR_UNITS).spacing == pytest.approx(500.0)
    assert grid.in_units(OUR_UNITS).speed(8.0, "km/s") == 8.0
    assert replace(grid, length_unit="1", time_unit="1").speed(8.0, "km/s") == 8.0


def test_grids_in_other_units_are_others_and_the_message_has_both(tmp_path):
    frames = np.random.default_rng(0).uniform(300, 400, (2, 3, 1, 8, 8))
    data = pt.Trajectories.from_arrays(frames, {"temperature": "K"}, spacing="0.04 mm", time_step="0.02 ms")
    model = pt.Persistence(data)
    forecast = pt.rollout(model, data, draws=1)
    assert [forecast[axis].attrs["unit"] for axis in ("y", "x", "time")] == ["mm", "mm", "ms"]
    assert not data.grid.compatible_with(replace(data.grid, length_unit="µm"))
    other, parc = forecast.isel(draw=0, time=0).drop_vars(["draw", "time", "lead"]), pt.Parc.untrained(data, ParcConfig(width=4, levels=1))
    for axis in ("y", "x"):
        other[axis].attrs["unit"] = "µm"
    with pytest.raises(ValueError, match=r"expected cells of 0.04 mm as the model's, got y in steps of 0.04 µm"):
        pt.rollout(parc, other, steps=1, draws=1)


@pytest.mark.parametrize("speed", ["m/s", "km/s"])
def test_parc_moves_what_it_sees_by_the_same_cells_in_any_units(speed):
    """A velocity of 1 mm/ms is 1 µm/ns times a thousandth: advection must know both units."""
    torch.manual_seed(0)
    values = np.random.default_rng(0).uniform(1.0, 2.0, (2, 3, 3, 16, 16))
    factor = {"m/s": 1.0, "km/s": 1e-3}[speed]
    scaled = values * np.array([1.0, factor, factor])[:, None, None]
    fields = {"density": "g/cm³", "velocity_x": speed, "velocity_y": speed}
    reference = None
    for spacing, time_step in (("0.5 mm", "0.2 ms"), ("500 µm", "200000 ns"), ("5e-4 m", "2e-4 s")):
        data = pt.Trajectories.from_arrays(scaled, fields, spacing=spacing, time_step=time_step)
        torch.manual_seed(1)
        model = pt.Parc.untrained(data, ParcConfig(width=4, levels=1))
        state = model.normalizer.normalize(torch.as_tensor(data.frames(0)[:1]))
        moved = model.grid.time_step / model.grid.spacing * model._velocity(state, torch.zeros(1))
        reference = moved if reference is None else reference
        torch.testing.assert_close(moved, reference, rtol=1e-5, atol=1e-7)
        assert float(moved.abs().max()) == pytest.approx(0.4 * float(values[0, 0, 1:].max()), rel=1e-4)


def rollout_in(tmp_path, units: Units):
    grid = Grid(8, 12, 0.5, 0.2, 4, length_unit=units.length, time_unit=units.time)
    values = np.random.default_rng(0).uniform(0, 500, (6, 2, 4, len(FIELDS), 8, 12)).astype("f4")
    values[:, :, 0] = values[0, :, 0]
    arrays = create_store(
        tmp_path / "r.zarr",
        draws=6,
        simulations=["a", "b"],
        fields=FIELDS,
        grid=grid,
        context={"drive": np.array([1.0, 2.0])},
        context_units={"drive": "kPa"},
        attributes={"model": "m", "spacing": 0.5, "time_step": 0.2},
    )
    arrays.prediction[:], arrays.truth[:] = values, values[-1]
    return open_rollout(tmp_path / "r.zarr")


def test_a_stored_forecast_and_its_scores_have_the_users_units(tmp_path):
    rollout = rollout_in(tmp_path, MM)
    assert rollout_grid(rollout).units == MM
    assert rollout["drive"].attrs["unit"] == "kPa"
    places = pt.to_arviz(rollout)["constant_data"]
    assert [places[axis].attrs["unit"] for axis in ("time", "y", "x")] == ["ms", "mm", "mm"]
    units = score_rollout(rollout, hotspot=HotSpot("temperature", 300.0), coverage_levels=(0.9,))["units"]
    assert (units["time"], units["length"]) == ("ms", "mm")
    assert units["fields"] == {"temperature": "degC", "pressure": "kPa", "dye": "1"}
    assert units["hotspot"]["area"] == units["hotspot"]["largest_hotspot"] == "mm²"
    assert (units["hotspot"]["area_rate"], units["hotspot"]["mean_pressure"]) == ("mm²/ms", "kPa")
    assert "front" not in units["hotspot"]  # no shock drives it
    shocked = rollout.assign_coords(shock_pressure=rollout["drive"])
    units = score_rollout(shocked, hotspot=HotSpot("temperature", 300.0), coverage_levels=(0.9,))["units"]
    assert (units["hotspot"]["front"], units["hotspot"]["front_rate"]) == ("mm", "mm/ms")
    assert not re.search("µm|ns", str(units))


def texts(figure: Figure) -> str:
    found = [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    return " | ".join(found)


@pytest.mark.parametrize(
    ("units", "shown"), [(MM, ["x [mm]", "y [mm]", "0.20 ms"]), (OUR_UNITS, ["x [µm]", "0.20 ns"]), (Units("1", "1"), ["x"])]
)
def test_pictures_are_labelled_in_the_users_units(units, shown):
    images = np.random.default_rng(0).uniform(1.0, 2.0, (2, 8, 12))
    strip = Strip(FIELDS[2], np.array([0.2, 0.4]), (0, 6, 0, 4), images, images, images[None], images, None, None, 0.5, units)
    with figure_style():
        told = texts(filmstrip_figure(strip))
    assert all(text in told for text in shown)
    wrong = {"mm": "µm| ns", "µm": "mm| ms", "1": r"µm| ns|\[1\]"}[units.length]
    assert not re.search(wrong, told)


def test_a_set_without_units_says_so_once_for_all_splits(tmp_path):
    import h5py

    from probtokens.data import write_shard

    for split in ("train", "valid"):
        path = tmp_path / "set" / split / "a.hdf5"
        grid = Grid(8, 8, 0.5, 0.2, 3)
        edges = dict.fromkeys(("left", "right", "bottom", "top"), "OPEN")
        values = {"dye": np.ones((1, 3, 8, 8))}
        write_shard(path, values, grid=grid, scalars={}, units={"dye": "1"}, dataset_name="set", boundary=edges)
        with h5py.File(path, "r+") as file:
            for name in ("dimensions/x", "dimensions/y", "dimensions/time", "t0_fields/dye"):
                del file[name].attrs["units"]
    told = []
    for split in ("train", "valid"):
        with pytest.warns(UserWarning, match=r"set: expected units, found none; taken are time in ns, x in µm, y in µm, dye in 1") as found:
            pt.Trajectories.open(tmp_path / "set" / split, ["dye"], [])
        told += [str(one.message) for one in found]
    assert len(told) == 2
    assert len(set(told)) == 1
