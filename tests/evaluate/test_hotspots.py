import numpy as np
import pytest
from hypothesis import given, settings

from probtokens.evaluate import hotspot_curves
from probtokens.evaluate.hotspots import hotspot_area, hotspot_mean, rates
from probtokens.fields import FieldSpec, HotSpot, field_spec
from probtokens.predict import Recalibration
from tests.evaluate.given import ensembles
from tests.predict.synthetic import make_rollout

FIELDS = tuple(field_spec(name) for name in ("pressure", "temperature", "reacted_fraction"))
THRESHOLD = 875.0
HOT = HotSpot("temperature", THRESHOLD)
UNITS = {
    "area": "µm²",
    "temperature": "K",
    "hotspot_count": "1",
    "hotspot_size": "µm²",
    "largest_hotspot": "µm²",
    "front": "µm",
    "mean_pressure": "GPa",
    "mean_reacted_fraction": "1",
    "area_rate": "µm²/ns",
    "temperature_rate": "K/ns",
    "front_rate": "µm/ns",
    "mean_reacted_fraction_rate": "1/ns",
    "reacted_fall": "1",
}


def hot_cells(*temperatures):
    """A 4 x 5 frame at 300 K with cells of these temperatures."""
    frame = np.full(20, 300.0)
    frame[: len(temperatures)] = temperatures
    return frame.reshape(4, 5)


def hand_made(path):
    """Two members and a truth over three frames, one simulation; cells of 0.01 µm², frames 0.5 ns apart."""
    temperature = {
        "truth": [hot_cells(), hot_cells(1000.0), hot_cells(1000.0, 2000.0, 3000.0)],
        "first": [hot_cells(), hot_cells(), hot_cells(875.0)],
        "second": [hot_cells(), hot_cells(900.0, 1100.0), hot_cells(900.0, 1100.0)],
    }
    frames = {name: np.zeros((1, 3, 3, 4, 5)) for name in temperature}
    for name, array in frames.items():
        array[0, :, 1] = temperature[name]
        array[0, :, 0] = np.array([10.0, 12.0, 14.0])[:, None, None] + (name == "second")
        array[0, 2, 2, 0] = {"truth": 0.8, "first": 0.0, "second": 0.4}[name]
    frames["second"][0, 0] = frames["truth"][0, 0]
    return make_rollout(path, np.stack([frames["first"], frames["second"]]), frames["truth"], FIELDS, context={"shock_pressure": [9.0]})


def test_area_and_temperature_of_hand_made_frames():
    frames = np.stack([hot_cells(), hot_cells(875.0), hot_cells(900.0, 1100.0)])
    np.testing.assert_allclose(hotspot_area(frames, THRESHOLD, 0.01), [0, 0, 0.02])
    np.testing.assert_allclose(hotspot_mean(frames, THRESHOLD), [875, 875, 1000])
    np.testing.assert_allclose(hotspot_mean(hot_cells(875.001), THRESHOLD), 875.001, err_msg="continuous at ignition")


def test_temperature_is_the_masked_mean():
    frames = np.random.default_rng(0).uniform(300, 3000, size=(3, 2, 16, 24)).astype(np.float32)
    expected = np.ma.masked_less_equal(frames, THRESHOLD).astype(np.float64).mean(axis=(-2, -1))
    np.testing.assert_allclose(hotspot_mean(frames, THRESHOLD), expected, rtol=1e-6)


def test_rates_of_a_straight_line_are_its_slope():
    np.testing.assert_allclose(rates(3.0 * 0.25 * np.arange(5) + np.ones((2, 1)), 0.25), np.full((2, 4), 3.0))


def test_curves_by_hand(tmp_path):
    curves = hotspot_curves(hand_made(tmp_path / "r"), HOT)
    expected = {
        "area": ([0, 0.01, 0.03], [[0, 0, 0], [0, 0.02, 0.02]]),
        "temperature": ([875, 1000, 2000], [[875, 875, 875], [875, 1000, 1000]]),
        "hotspot_count": ([0, 1, 1], [[0, 0, 0], [0, 1, 1]]),
        "hotspot_size": ([0, 0.01, 0.03], [[0, 0, 0], [0, 0.02, 0.02]]),
        "largest_hotspot": ([0, 0.01, 0.03], [[0, 0, 0], [0, 0.02, 0.02]]),
        "front": ([0.5, 0.5, 0.5], [[0.5, 0.5, 0.5], [0.5, 0.5, 0.5]]),
        "front_rate": ([np.nan] * 3, [[np.nan] * 3, [np.nan] * 3]),  # it has left
        "mean_reacted_fraction_rate": ([np.nan, 0, 0.4], [[np.nan, 0, 0], [np.nan, 0, 0.2]]),
        "reacted_fall": ([0, 0, 0], [[0, 0, 0], [0, 0, 0]]),
        "area_rate": ([np.nan, 0.02, 0.04], [[np.nan, 0, 0], [np.nan, 0.04, 0]]),
        "temperature_rate": ([np.nan, 250, 2000], [[np.nan, 0, 0], [np.nan, 250, 0]]),
        "mean_pressure": ([10, 12, 14], [[10, 12, 14], [10, 13, 15]]),
        "mean_reacted_fraction": ([0, 0, 0.2], [[0, 0, 0], [0, 0, 0.1]]),
    }
    assert expected.keys() == UNITS.keys() == {name for name in curves if not name.endswith("_truth")}
    for name, (truth, members) in expected.items():
        np.testing.assert_allclose(curves[f"{name}_truth"][0], truth, atol=1e-6, err_msg=name)
        np.testing.assert_allclose(curves[name][:, 0], members, atol=1e-6, err_msg=name)
        assert curves[name].dims == ("draw", "simulation", "time")
        assert curves[name].attrs["unit"] == curves[f"{name}_truth"].attrs["unit"] == UNITS[name]
    np.testing.assert_allclose(curves["time"], [0, 0.5, 1.0])
    assert list(curves["simulation"].values) == ["s0"]


def test_a_pressure_that_no_shock_raises_has_no_front(tmp_path):
    shocked = hand_made(tmp_path / "r")
    other = hotspot_curves(shocked.drop_vars("shock_pressure"), HOT)
    assert set(hotspot_curves(shocked, HOT)) - set(other) == {"front", "front_truth", "front_rate", "front_rate_truth"}


def test_simulations_and_leads_keep_their_places(tmp_path):
    rng = np.random.default_rng(0)
    truth = rng.uniform(300, 1500, size=(3, 4, 1, 6, 7)).astype(np.float32)
    prediction = rng.uniform(300, 1500, size=(5, *truth.shape)).astype(np.float32)
    prediction[:, :, 0] = truth[:, 0]
    curves = hotspot_curves(make_rollout(tmp_path / "r", prediction, truth, FIELDS[1:2]), HOT)
    assert "mean_pressure" not in curves
    np.testing.assert_allclose(curves["area"], 0.01 * (prediction[..., 0, :, :] > THRESHOLD).sum(axis=(-2, -1)))
    np.testing.assert_allclose(curves["area_truth"], 0.01 * (truth[:, :, 0] > THRESHOLD).sum(axis=(-2, -1)))
    np.testing.assert_allclose(curves["area_rate"][..., 1:], np.diff(curves["area"], axis=-1) / 0.5)


def test_no_hot_spot_anywhere_is_finite(tmp_path):
    cold = np.full((2, 3, 1, 4, 5), 300.0)
    curves = hotspot_curves(make_rollout(tmp_path / "r", np.stack([cold, cold]), cold, FIELDS[1:2]), HOT)
    assert (curves["area"] == 0).all()
    assert (curves["temperature"] == THRESHOLD).all()
    assert (curves["temperature_rate"][..., 1:] == 0).all()


def test_recalibration_comes_first(tmp_path):
    """Members at 800 and 1000 K, twice as far from 900 K: at 700 and 1100."""
    truth = np.full((1, 2, 1, 4, 5), 900.0)
    prediction = np.stack([truth - 100, truth + 100])
    prediction[:, :, 0] = truth[:, 0]
    rollout = make_rollout(tmp_path / "r", prediction, truth, FIELDS[1:2])
    wider = hotspot_curves(rollout, HOT, Recalibration("m", 3, {"temperature": [2.0]}))
    np.testing.assert_allclose(wider["temperature"][:, 0, 1], [875, 1100])
    np.testing.assert_allclose(wider["temperature"][:, 0, 0], 900, err_msg="what is given stays as it is")


def test_hot_spots_of_any_field_in_its_own_unit(tmp_path):
    fields = (FieldSpec("activator", "mmol/l", "activator"), field_spec("pressure"))
    truth = np.zeros((1, 2, 2, 4, 5))
    truth[0, 1, 0, 0, :2], truth[0, 1, 1] = (-0.2, 0.6), 3.0
    truth[0, :, 0, 1:] = -1.0
    truth[0, 0, 0], truth[0, 1, 0, 0, 2:] = -1.0, -1.0
    curves = hotspot_curves(make_rollout(tmp_path / "r", truth[None], truth, fields), HotSpot("activator", -0.5))
    np.testing.assert_allclose(curves["area"][0, 0], [0, 0.02])
    np.testing.assert_allclose(curves["activator"][0, 0], [-0.5, 0.2], rtol=1e-6)
    np.testing.assert_allclose(curves["activator_rate"][0, 0, 1], 1.4, rtol=1e-6)
    np.testing.assert_allclose(curves["mean_pressure"][0, 0], [0, 3])
    units = {name: curves[name].attrs["unit"] for name in ("area", "activator", "area_rate", "activator_rate", "mean_pressure")}
    assert list(units.values()) == ["µm²", "mmol/l", "µm²/ns", "mmol/l/ns", "GPa"]
    assert "temperature" not in curves


def test_hot_spots_of_a_field_with_a_mean_over_the_domain_have_both_curves(tmp_path):
    curves = hotspot_curves(hand_made(tmp_path / "r"), HotSpot("pressure", 11.5))
    np.testing.assert_allclose(curves["pressure_truth"][0], [11.5, 12, 14])
    np.testing.assert_allclose(curves["mean_pressure_truth"][0], [10, 12, 14])
    np.testing.assert_allclose(curves["area_truth"][0], [0, 0.2, 0.2])


def test_their_field_is_needed(tmp_path):
    values = np.zeros((1, 2, 1, 4, 5))
    rollout = make_rollout(tmp_path / "r", values[None], values, FIELDS[:1])
    with pytest.raises(ValueError, match=r"expected a field 'temperature', got fields \['pressure'\]"):
        hotspot_curves(rollout, HOT)


@pytest.mark.parametrize(
    ("field", "threshold", "message"),
    [
        ("temperature", np.inf, "'temperature': expected a finite threshold, got inf"),
        ("area", 1.0, "named as one of the curves .* got 'area'"),
    ],
)
def test_a_hot_spot_that_no_curve_can_tell_is_refused(field, threshold, message):
    with pytest.raises(ValueError, match=message):
        HotSpot(field, threshold)


@settings(deadline=None)
@given(ensembles(cells=(5, 6)))
def test_area_mean_and_rates_of_any_type_and_size_of_numbers(ensemble):
    frames, exact = ensemble[0], ensemble[0].astype(np.float64)
    threshold = float(np.sort(exact.ravel())[exact.size // 2])
    hot = exact > threshold
    np.testing.assert_allclose(hotspot_area(frames, threshold, 0.25), 0.25 * hot.sum(axis=(-2, -1)))
    expected = [values[cells].mean() if cells.any() else threshold for values, cells in zip(exact, hot, strict=True)]
    np.testing.assert_allclose(hotspot_mean(frames, threshold), expected, rtol=1e-12)
    curve = np.moveaxis(frames, 0, -1)
    np.testing.assert_allclose(rates(curve, 0.5), 2 * (curve[..., 1:].astype(np.float64) - curve[..., :-1]), atol=1e-12 * exact.max())


def test_a_frame_with_a_cell_that_is_missing_has_no_hot_spots_to_tell():
    frames = np.stack([hot_cells(900.0, np.nan), hot_cells(900.0)])
    np.testing.assert_allclose(hotspot_area(frames, THRESHOLD, 0.01), [np.nan, 0.01])
    np.testing.assert_allclose(hotspot_mean(frames, THRESHOLD), [np.nan, 900])


def growing(path, columns=(0, 2, 4, 6, 8), size=8):
    """Two more columns are hot in each frame, in all three members and the truth: 0.16 µm² and 0.32 µm²/ns more."""
    frames = np.full((len(columns), 1, size, size), 300.0)
    for number, hot in enumerate(columns):
        frames[number, 0, :, :hot] = 1000.0
    return make_rollout(path, np.broadcast_to(frames, (3, 2, *frames.shape)), np.broadcast_to(frames, (2, *frames.shape)), FIELDS[1:2])


@pytest.mark.parametrize(
    ("chosen", "area"),
    [
        ({"y": slice(None, None, 2), "x": slice(None, None, 2)}, [0, 0.16, 0.32, 0.48, 0.64]),
        ({"x": slice(2, 6)}, [0, 0, 0.16, 0.32, 0.32]),
        ({"time": slice(None, None, 2)}, [0, 0.32, 0.64]),
        ({"time": [0, 4]}, [0, 0.64]),
        ({"y": [3]}, [0, 0.02, 0.04, 0.06, 0.08]),
    ],
)
def test_cells_and_steps_of_a_rollout_that_was_cut_or_thinned_are_those_of_its_coordinates(tmp_path, chosen, area):
    curves = hotspot_curves(growing(tmp_path / "r").isel(chosen), HOT)
    step = 0.5 * 4 / (len(area) - 1)
    for member in (curves["area_truth"][0], curves["area"][2, 1]):
        np.testing.assert_allclose(member, area, atol=1e-12)
    np.testing.assert_allclose(curves["area_rate"][0, 0, 1:], np.diff(area) / step, atol=1e-12)
    np.testing.assert_allclose(curves["time"], step * np.arange(len(area)))


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"x": slice(None, None, 2)}, "expected square cells, got 0.1 µm along y and 0.2 µm along x"),
        ({"time": [0, 1, 4]}, "expected 'time' to ascend in equal steps, got steps from 0.5 to 1.5"),
        ({"y": slice(None, None, -1)}, "expected 'y' to ascend in equal steps, got steps from -0.1 to -0.1"),
        ({"time": slice(2, None)}, r"expected ascending leads from 0, the initial frame, which is given, got \[2, 3, 4\]"),
        ({"time": 3}, "expected 'prediction' of dimensions .*'time'"),
        ({"x": 3}, "expected 'prediction' of dimensions .*'x'"),
    ],
)
def test_rollouts_that_leave_no_curve_to_tell_are_refused(tmp_path, chosen, message):
    with pytest.raises(ValueError, match=message):
        hotspot_curves(growing(tmp_path / "r").isel(chosen), HOT)


def test_a_single_simulation_draw_or_field_may_be_chosen_either_way(tmp_path):
    rollout = growing(tmp_path / "r")
    for axis in ("simulation", "draw", "field"):
        assert hotspot_curves(rollout.isel({axis: 0}), HOT).identical(hotspot_curves(rollout.isel({axis: [0]}), HOT))
    assert hotspot_curves(rollout.isel(simulation=1, draw=2, field=0), HOT)["area"].dims == ("draw", "simulation", "time")
    transposed = rollout.transpose("x", "y", "time", "simulation", "draw", "field")
    assert hotspot_curves(transposed, HOT).identical(hotspot_curves(rollout, HOT))


def test_factors_of_a_thinned_rollout_are_those_of_its_leads(tmp_path):
    truth = np.full((1, 5, 1, 4, 5), 900.0)
    prediction = np.stack([truth - 100, truth + 100])
    prediction[:, :, 0] = truth[:, 0]
    rollout = make_rollout(tmp_path / "r", prediction, truth, FIELDS[1:2])
    curves = hotspot_curves(rollout.isel(time=slice(None, None, 2)), HOT, Recalibration("m", 3, {"temperature": [9.0, 2.0, 9.0, 3.0]}))
    np.testing.assert_allclose(curves["temperature"][1, 0], [900, 1100, 1200])
