import json

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from probtokens.evaluate import score_rollout
from probtokens.fields import FieldSpec, HotSpot, field_spec
from probtokens.predict import Recalibration, fit_recalibration, load_recalibration
from probtokens.predict.recalibrate import FLOOR
from tests.evaluate.given import ensembles
from tests.predict.synthetic import FIELDS, gaussian_rollout, make_rollout

TEMPERATURE = field_spec("temperature")


def _temperature(rollout, recalibration=None):
    found = score_rollout(rollout, hotspot=HotSpot("temperature", 875.0), coverage_levels=(0.9,), recalibration=recalibration)
    return found["fields"]["temperature"]


@pytest.mark.parametrize("width", [0.5, 2.0])
def test_wrong_width_is_put_right_on_held_out_simulations(tmp_path, width):
    fitted = fit_recalibration(gaussian_rollout(tmp_path / "valid", members=20, width=width, n=3, seed=1))
    test = gaussian_rollout(tmp_path / "test", members=20, width=width, n=3, seed=2)
    before, after = _temperature(test), _temperature(test, fitted)
    assert abs(before["spread_skill"] - 1) > 0.3
    assert abs(before["coverage_90"] - 0.9) > 0.07
    np.testing.assert_allclose(after["by_lead"]["spread_skill"], 1, atol=0.05)
    np.testing.assert_allclose(after["by_lead"]["coverage_90"], 0.9, atol=0.02)
    assert after["crps"] < before["crps"]
    exact = np.sqrt((20 + width**2) / (21 * width**2))
    np.testing.assert_allclose(fitted.factors["temperature"], exact, rtol=0.03)


def test_calibrated_ensemble_is_left_alone(tmp_path):
    fitted = fit_recalibration(gaussian_rollout(tmp_path / "valid", members=20, n=3))
    for factors in fitted.factors.values():
        np.testing.assert_allclose(factors, 1, atol=0.03)


def test_leads_are_told_apart_when_they_differ(tmp_path):
    width = np.linspace(0.4, 1.0, 8)
    fitted = fit_recalibration(gaussian_rollout(tmp_path / "valid", members=20, width=width, leads=8, n=3))
    np.testing.assert_allclose(fitted.factors["temperature"], 1 / width, rtol=0.1)


def test_differences_between_leads_that_are_noise_are_shrunk(tmp_path):
    """Errors that are one number for each simulation and lead: nothing can be learned about single leads from 3."""
    rng = np.random.default_rng(0)
    truth = 1000 + 100 * rng.normal(size=(3, 13, 2, 1, 1)) * np.ones((1, 1, 1, 16, 16))
    prediction = 1000 + 100 * rng.normal(size=(30, 3, 13, 2, 16, 16))
    fitted = np.log(fit_recalibration(make_rollout(tmp_path / "v", prediction, truth)).factors["temperature"])
    raw = 0.5 * np.log(np.mean((truth - 1000)[:, 1:, 0, 0, 0] ** 2, axis=0) / 1e4)
    assert np.std(fitted) < 0.5 * np.std(raw)


def test_one_validation_simulation_gives_one_factor(tmp_path):
    fitted = fit_recalibration(gaussian_rollout(tmp_path / "v", members=10, width=[0.5, 1, 1, 1, 2], n=1))
    assert np.ptp(fitted.factors["temperature"]) == 0


def test_deterministic_model_is_untouched(tmp_path):
    rollout = gaussian_rollout(tmp_path / "v", members=1)
    fitted = fit_recalibration(rollout)
    assert fitted.factors == {"temperature": [1.0] * 5, "solid_fraction": [1.0] * 5}
    frame = rollout.prediction[:, 0, 1, 0].values
    assert fitted.apply(frame, TEMPERATURE, 1) is frame


def test_extremes_stay_finite(tmp_path):
    truth = np.full((2, 3, 2, 8, 8), 0.5)
    perfect = truth + 0.01 * np.random.default_rng(0).normal(size=(4, *truth.shape))
    perfect -= perfect.mean(axis=0) - truth
    assert min(fit_recalibration(make_rollout(tmp_path / "a", perfect, truth)).factors["temperature"]) >= FLOOR
    no_spread = np.broadcast_to(truth + 1000.1, (5, *truth.shape))
    assert fit_recalibration(make_rollout(tmp_path / "b", no_spread, truth)).factors["temperature"] == [1.0, 1.0]


def test_apply_scales_anomalies_keeps_mean_order_and_bounds():
    members = np.random.default_rng(0).uniform(0.2, 0.8, size=(20, 5, 6)).astype(np.float32)
    recalibration = Recalibration("m", 3, {"solid_fraction": [1.5, 4.0], "velocity_x": [1.5, 4.0]})
    free = recalibration.apply(members, field_spec("velocity_x"), 2)
    np.testing.assert_allclose(free.mean(axis=0), members.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(free.std(axis=0), 4 * members.std(axis=0), rtol=1e-4)
    np.testing.assert_array_equal(np.argsort(free, axis=0), np.argsort(members, axis=0))
    assert free.min() < 0
    bounded = recalibration.apply(members, field_spec("solid_fraction"), 2)
    np.testing.assert_array_equal(bounded, free.clip(0, 1))
    beyond = recalibration.apply(members, field_spec("velocity_x"), 99)
    np.testing.assert_array_equal(beyond, free)
    assert free.dtype == np.float32


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_members_at_a_bound_stay_there_and_the_others_move(factor):
    members = np.float32([[1.0, 1.0], [0.8, 0.0], [1.0, 0.4]])
    recalibration = Recalibration("tokens", 3, {"solid_fraction": [factor]})
    scaled = recalibration.apply(members, field_spec("solid_fraction"), 1)
    at_bound = (members == 0) | (members == 1)
    assert np.array_equal(scaled[at_bound], members[at_bound])
    assert (scaled[~at_bound] != members[~at_bound]).all()
    assert np.array_equal(np.argsort(scaled, axis=0, kind="stable"), np.argsort(members, axis=0, kind="stable"))


def test_unknown_field_or_lead_is_an_error():
    recalibration = Recalibration("m", 3, {"temperature": [1.5]})
    for field, lead in (("pressure", 1), ("temperature", 0)):
        with pytest.raises(ValueError, match=f"expected one of .*got '{field}', {lead}"):
            recalibration.factor(field, lead)


def test_round_trip_and_errors(tmp_path):
    recalibration = Recalibration("tokens", 3, {spec.name: [1.5, 0.7] for spec in FIELDS})
    path = tmp_path / "r" / "tokens.json"
    recalibration.save(path)
    assert load_recalibration(path) == recalibration
    assert [p.name for p in path.parent.iterdir()] == ["tokens.json"]
    with pytest.raises(ValueError, match="expected a recalibration file"):
        load_recalibration(tmp_path / "none.json")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"tokens.json: expected a recalibration file"):
        load_recalibration(path)
    path.write_text(json.dumps({"schema": 9, "model": "m", "n_simulations": 1, "factors": {}}))
    with pytest.raises(ValueError, match="schema 1"):
        load_recalibration(path)


@settings(deadline=None)
@given(ensembles(), st.floats(0.1, 5.0))
def test_members_of_any_type_and_size_are_scaled_about_their_mean(ensemble, factor):
    members = ensemble[0]
    scaled = Recalibration("m", 3, {"n": [factor]}).apply(members, FieldSpec("n", "1", "n"), 1)
    assume(factor != 1)  # members then stay as they are
    assert scaled.dtype == (members.dtype if members.dtype.kind == "f" else np.float64)
    exact = members.astype(np.float64)
    mean = exact.mean(axis=0)
    precision = np.finfo(scaled.dtype).eps
    np.testing.assert_allclose(scaled, mean + factor * (exact - mean), rtol=2 * precision, atol=8 * precision * exact.max())


@pytest.mark.parametrize("scale", [1e-24, 1e25])
def test_factors_do_not_depend_on_the_unit(tmp_path, scale):
    rng, fields = np.random.default_rng(0), (FieldSpec("n", "1", "n"),)
    truth, prediction = rng.normal(size=(2, 4, 1, 8, 8)), 0.5 * rng.normal(size=(6, 2, 4, 1, 8, 8))
    expected = fit_recalibration(make_rollout(tmp_path / "a", prediction, truth, fields)).factors["n"]
    found = fit_recalibration(make_rollout(tmp_path / "b", scale * prediction, scale * truth, fields)).factors["n"]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("broken", ["prediction", "truth"])
def test_values_that_are_missing_are_refused(tmp_path, broken):
    rollout = gaussian_rollout(tmp_path / "v", members=4, n=2).load()
    rollout[broken][{"simulation": 1, "time": 3, "field": 1, "y": 0, "x": 0}] = np.nan
    with pytest.raises(ValueError, match="simulation 1, (lead|frame) 3: expected (a forecast of )?finite values"):
        fit_recalibration(rollout)


def test_one_simulation_may_be_chosen_but_leads_may_not(tmp_path):
    rollout = gaussian_rollout(tmp_path / "v", members=6, n=3)
    assert fit_recalibration(rollout.isel(simulation=1)) == fit_recalibration(rollout.isel(simulation=[1]))
    with pytest.raises(ValueError, match=r"expected every lead from 0 to 2, got \[0, 2, 4\]"):
        fit_recalibration(rollout.isel(time=slice(None, None, 2)))
