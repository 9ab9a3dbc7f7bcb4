import numpy as np
import pytest
import scoringrules

from probtokens.evaluate import hotspot_curves, score_rollout
from probtokens.evaluate.conformal import conformal_band
from probtokens.evaluate.multivariate import energy_score, lattice_pairs, pool, variogram_score
from probtokens.evaluate.perfect import chance
from probtokens.evaluate.scores import brier, central_interval, coverage
from probtokens.fields import FieldSpec, HotSpot, field_spec
from probtokens.predict import Recalibration
from tests.predict.synthetic import FIELDS, gaussian_rollout, make_rollout

LEVELS = (0.5, 0.9)
HOT = HotSpot("temperature", 875.0)
OPTIONS = {"hotspot": HOT, "coverage_levels": LEVELS}
RECALIBRATION = Recalibration("m", 3, {"temperature": [1.5, 0.7], "solid_fraction": [0.5, 2.0, 1.0]})


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Six members, three simulations, three leads, 16 x 24 cells, hot spots in some cells, fractions clipped to [0, 1]."""
    rollout = gaussian_rollout(tmp_path_factory.mktemp("small") / "r", members=6, width=0.8, bias=0.3, n=3, leads=3)
    prediction, truth = rollout.prediction.values, rollout.truth.values
    prediction[..., 0, :, :] -= 150
    truth[..., 0, :, :] -= 150
    truth[2, 2:, 0] = 400
    prediction[:, :, 0] = truth[:, 0]
    return make_rollout(tmp_path_factory.mktemp("small") / "s", prediction, truth)


def direct(prediction, truth, temperature):
    """All scores of (draw, simulation, lead, y, x) by (simulation, lead), each from the whole arrays at once."""
    cells = (-2, -1)
    mean, members = prediction.mean(axis=0), len(prediction)
    table = {
        "error_square": ((mean - truth) ** 2).mean(axis=cells),
        "spread_square": prediction.var(axis=0, ddof=1).mean(axis=cells) * (members + 1) / members,
        "crps": scoringrules.crps_ensemble(truth, prediction, m_axis=0, estimator="fair").mean(axis=cells),
    }
    frames = list(np.ndindex(truth.shape[:2]))
    for level in LEVELS:
        key = f"{100 * level:g}"
        lower, upper = central_interval(prediction, level)
        table[f"interval_score_{key}"] = scoringrules.interval_score(truth, lower, upper, 1 - level).mean(axis=cells)
        table[f"coverage_{key}"] = np.array([coverage(prediction[:, i, j], truth[i, j], level) for i, j in frames]).reshape(3, 3)
    blocks, target = pool(prediction, 8), pool(truth, 8)
    pairs = lattice_pairs(2, 3)
    table["energy_score"] = np.array([energy_score(blocks[:, i, j], target[i, j]) for i, j in frames]).reshape(3, 3)
    table["variogram_score"] = np.array([variogram_score(blocks[:, i, j], target[i, j], pairs) for i, j in frames]).reshape(3, 3)
    if temperature:
        table["brier"] = brier(prediction, truth, 875.0).mean(axis=cells)
    return table


def reduced(table, axis):
    means = {name: values.mean(axis=axis) for name, values in table.items()}
    rmse = np.sqrt(means.pop("error_square"))
    return {"rmse": rmse, "spread_skill": np.sqrt(means.pop("spread_square")) / rmse, **means}


@pytest.mark.parametrize("index", [0, 1])
def test_field_scores_are_those_of_the_whole_arrays(small, index):
    found = score_rollout(small, **OPTIONS)["fields"][FIELDS[index].name]
    prediction = small.prediction.values[:, :, 1:, index].astype(np.float64)
    table = direct(prediction, small.truth.values[:, 1:, index].astype(np.float64), temperature=index == 0)
    overall = reduced(table, (0, 1))
    assert found.keys() == {*overall, "by_lead", "by_simulation", "by_chance"}
    for expected, part in ((overall, found), (reduced(table, 0), found["by_lead"]), (reduced(table, 1), found["by_simulation"])):
        for name, value in expected.items():
            np.testing.assert_allclose(part[name], value, rtol=2e-5, atol=1e-6, err_msg=name)
    np.testing.assert_allclose(found["by_lead"]["time"], [0.5, 1.0, 1.5])
    assert found["by_simulation"]["simulation"] == ["s0", "s1", "s2"]


@pytest.mark.parametrize("name", ["area", "temperature", "area_rate", "temperature_rate"])
def test_curve_scores_are_those_of_the_curves(small, name):
    found = score_rollout(small, **OPTIONS)["hotspot"][name]
    curves = hotspot_curves(small, HOT)
    members, truth = curves[name].values[..., 1:], curves[f"{name}_truth"].values[..., 1:]
    crps = scoringrules.crps_ensemble(truth, members, m_axis=0, estimator="fair")
    rmse = np.sqrt(np.mean((members.mean(axis=0) - truth) ** 2))
    assert found["rmse"] == pytest.approx(rmse)
    assert found["rmse_median"] == pytest.approx(np.sqrt(np.mean((np.median(members, axis=0) - truth) ** 2)))
    assert found["crps"] == pytest.approx(crps.mean())
    assert found["spread_skill"] == pytest.approx(np.sqrt(members.var(axis=0, ddof=1).mean() * 7 / 6) / rmse)
    np.testing.assert_allclose(found["by_lead"]["crps"], crps.mean(axis=0))
    np.testing.assert_allclose(found["by_simulation"]["crps"], crps.mean(axis=1))
    lower, upper = central_interval(members, 0.9)
    np.testing.assert_allclose(found["curves"]["lower_90"], lower)
    np.testing.assert_allclose(found["curves"]["upper_90"], upper)
    np.testing.assert_allclose(found["curves"]["mean"], members.mean(axis=0))
    np.testing.assert_allclose(found["curves"]["truth"], truth)


def test_ranges_of_chance_are_those_of_members_that_stand_for_the_truth(small):
    found = score_rollout(small, **OPTIONS)
    members = small.prediction.values[:, :, 1:, 0]
    area = hotspot_curves(small, HOT)["area"].values[..., 1:]
    for ensembles, scored in ((members, found["fields"]["temperature"]), (area, found["hotspot"]["area"])):
        for level in LEVELS:
            expected = chance([ensembles[:, number] for number in range(3)], level, n_trials=500)
            for key, values in (("spread_skill", expected.spread_skill), (f"coverage_{100 * level:g}", expected.coverage)):
                low, high = np.nanquantile(values, (0.05, 0.95), axis=0)
                np.testing.assert_allclose(np.array(scored["by_chance"][key]["lower"], dtype=float), low)
                np.testing.assert_allclose(np.array(scored["by_chance"][key]["upper"], dtype=float), high)
    assert found["fields"]["temperature"]["by_chance"]["time"] == found["fields"]["temperature"]["by_lead"]["time"]
    same = score_rollout(small.isel(draw=[0, 0, 0]), **OPTIONS)["fields"]["solid_fraction"]["by_chance"]
    assert same["spread_skill"]["lower"] == [None] * 3
    two = score_rollout(small.isel(draw=[0, 1]), **OPTIONS)
    assert two["fields"]["temperature"]["by_chance"] is None
    assert two["hotspot"]["area"]["by_chance"] is None


def test_units_and_members(small):
    found = score_rollout(small, **OPTIONS)
    assert found["members"] == 6
    assert found["units"]["fields"] == {"temperature": "K", "solid_fraction": "1"}
    assert found["units"]["hotspot"] == {
        "area": "µm²",
        "temperature": "K",
        "hotspot_count": "1",
        "hotspot_size": "µm²",
        "largest_hotspot": "µm²",
        "area_rate": "µm²/ns",
        "temperature_rate": "K/ns",
    }
    assert "uncalibrated" not in found


def test_hot_spots_and_brier_score_are_of_the_field_that_is_asked_for(small):
    found = score_rollout(small, hotspot=HotSpot("solid_fraction", 0.5), coverage_levels=LEVELS)
    assert list(found["units"]["hotspot"]) == [
        *("area", "solid_fraction", "hotspot_count", "hotspot_size", "largest_hotspot"),
        *("area_rate", "solid_fraction_rate"),
    ]
    assert [found["units"]["hotspot"][name] for name in ("solid_fraction", "solid_fraction_rate")] == ["1", "1/ns"]
    assert list(found["hotspot"]) == list(found["units"]["hotspot"])
    assert "brier" not in found["fields"]["temperature"]
    prediction, truth = small.prediction.values[:, :, 1:, 1], small.truth.values[:, 1:, 1]
    assert found["fields"]["solid_fraction"]["brier"] == pytest.approx(brier(prediction, truth, 0.5).mean(), rel=1e-5)
    area = 0.01 * np.count_nonzero(truth > 0.5, axis=(-2, -1))
    np.testing.assert_allclose(found["hotspot"]["area"]["curves"]["truth"], area)


def test_scores_do_not_depend_on_chunks_or_company(small):
    whole = score_rollout(small, **OPTIONS)
    assert score_rollout(small.load(), **OPTIONS) == whole
    assert score_rollout(small.chunk(simulation=2, time=-1, field=2, y=5, draw=4), **OPTIONS) == whole
    alone = score_rollout(small.isel(simulation=[1]), **OPTIONS)
    for name in ("temperature", "solid_fraction"):
        of_many = whole["fields"][name]["by_simulation"]
        assert {key: values[1] for key, values in of_many.items()} == {
            key: values[0] for key, values in alone["fields"][name]["by_simulation"].items()
        }


def test_recalibrated_and_raw_scores(small, tmp_path):
    """As if the rollout had been recalibrated before it was stored, and as if it had not been."""
    found = score_rollout(small, **OPTIONS, recalibration=RECALIBRATION)
    raw = score_rollout(small, **OPTIONS)
    assert found["uncalibrated"] == {"fields": raw["fields"], "hotspot": raw["hotspot"]}
    prediction = small.prediction.values.copy()
    for index, lead in np.ndindex(2, 3):
        for i in range(3):
            frame = prediction[:, i, lead + 1, index]
            prediction[:, i, lead + 1, index] = RECALIBRATION.apply(frame, FIELDS[index], lead + 1)
    stored = score_rollout(make_rollout(tmp_path / "r", prediction, small.truth.values), **OPTIONS)
    for section in ("fields", "hotspot"):
        for name, scores in stored[section].items():
            for key in ("rmse", "crps", "spread_skill", "coverage_90", "interval_score_50"):
                assert found[section][name][key] == pytest.approx(scores[key], rel=1e-5), (name, key)
    assert found["fields"]["temperature"]["spread_skill"] != raw["fields"]["temperature"]["spread_skill"]


def test_calibrated_rollout_and_its_negative_controls(tmp_path):
    def temperature(name, **fault):
        rollout = gaussian_rollout(tmp_path / name, members=15, n=3, leads=3, **fault)
        return score_rollout(rollout, **OPTIONS)["fields"]["temperature"]

    good = temperature("good")
    np.testing.assert_allclose(good["by_lead"]["spread_skill"], 1, atol=0.05)
    np.testing.assert_allclose(good["by_lead"]["coverage_90"], 0.9, atol=0.02)
    for name, fault in {"narrow": {"width": 0.5}, "wide": {"width": 2.0}, "biased": {"bias": 1.0}}.items():
        bad = temperature(name, **fault)
        assert min(abs(np.array(bad["by_lead"]["spread_skill"]) - 1)) > 0.2, name
        assert min(abs(np.array(bad["by_lead"]["coverage_90"]) - 0.9)) > 0.04, name
        assert bad["crps"] > 1.05 * good["crps"], name
        assert bad["energy_score"] > good["energy_score"], name


def test_bands_of_validation_simulations_hold_what_the_ensembles_do_not(tmp_path):
    """Ensembles that are far too narrow: bands are those of the curves themselves, and cover; eight simulations give none."""
    test, valid = (
        gaussian_rollout(tmp_path / name, members=20, width=0.1, bias=0.0, n=n, leads=4, seed=n) for name, n in (("t", 24), ("v", 19))
    )
    area = score_rollout(test, **OPTIONS, validation=valid)["hotspot"]["area"]
    assert area["coverage_90"] < 0.6
    assert 0.8 < area["conformal_90"] <= 1.0
    curves, known = hotspot_curves(test, HOT), hotspot_curves(valid, HOT)
    expected = conformal_band(*(found.values[..., 1:] for found in (curves["area"], known["area"], known["area_truth"])))
    for side, ends in zip(("lower", "upper"), expected, strict=True):
        np.testing.assert_allclose(area["curves"][f"conformal_{side}_90"], ends)
    few = score_rollout(test, **OPTIONS, validation=valid.isel(simulation=slice(8)))["hotspot"]["area"]
    assert "conformal_90" not in few
    assert few["crps"] == area["crps"]


def test_deterministic_model_states_no_uncertainty(small):
    one = small.isel(draw=[0])
    found = score_rollout(one, **OPTIONS, recalibration=Recalibration("m", 3, {"temperature": [1.0], "solid_fraction": [1.0]}))
    for name, index in (("temperature", 0), ("solid_fraction", 1)):
        scores = found["fields"][name]
        error = np.abs(one.prediction.values[0, :, 1:, index] - one.truth.values[:, 1:, index])
        assert scores["crps"] == pytest.approx(error.mean(), rel=1e-5)
        for key in ("spread_skill", "coverage_50", "interval_score_90"):
            assert scores[key] is None
            assert scores["by_lead"][key] == scores["by_simulation"][key] == [None] * 3
    assert found["hotspot"]["area"]["coverage_90"] is None
    assert "lower_90" not in found["hotspot"]["area"]["curves"]
    assert found["uncalibrated"]["fields"] == found["fields"]


def test_without_hot_spots_their_coverage_is_undefined(tmp_path):
    rng = np.random.default_rng(0)
    truth = rng.uniform(300, 400, size=(2, 3, 2, 8, 8))
    prediction = rng.uniform(300, 400, size=(4, *truth.shape))
    truth[1, 2, 0, 0, 0] = 900
    found = score_rollout(make_rollout(tmp_path / "r", prediction, truth), **OPTIONS)["hotspot"]["area"]
    assert found["crps"] == pytest.approx(0.01 / 4)
    assert found["by_simulation"]["coverage_90"][0] is None
    assert found["by_simulation"]["spread_skill"] == [None, 0]
    assert found["by_lead"]["coverage_50"] == [None, 0], "members without a hot spot do not cover one"


def test_fields_smaller_than_a_block_are_one_block(tmp_path):
    rng = np.random.default_rng(0)
    truth, prediction = rng.random((1, 2, 2, 4, 20)), rng.random((3, 1, 2, 2, 4, 20))
    found = score_rollout(make_rollout(tmp_path / "r", prediction, truth), **OPTIONS)["fields"]["temperature"]
    expected = energy_score(pool(prediction[:, 0, 1, 0], 4), pool(truth[0, 1, 0], 4))
    assert found["energy_score"] == pytest.approx(expected, rel=1e-5)


def test_errors(small, tmp_path):
    with pytest.raises(ValueError, match="between 0 and 1, got 90"):
        score_rollout(small.isel(draw=[0]), hotspot=HOT, coverage_levels=(90,))
    prediction, truth = small.prediction.values.copy(), small.truth.values
    prediction[0, 1, 2, 1, 3, 3] = np.nan
    broken = make_rollout(tmp_path / "broken", prediction, truth)
    with pytest.raises(ValueError, match="broken: simulation 1, frame 2: expected a forecast of finite values"):
        score_rollout(broken, **OPTIONS)
    cold = make_rollout(tmp_path / "p", prediction[:, :, :, :1], truth[:, :, :1], (field_spec("pressure"),))
    with pytest.raises(ValueError, match="expected a field 'temperature'"):
        score_rollout(cold, **OPTIONS)


SAME_IN_ANY_UNIT = ("spread_skill", "coverage", "brier", "by_chance", "time", "simulation")


def in_another_unit(node, factor):
    """Scores with a unit, or lists and mappings of them, as numbers ``factor`` times as large."""
    if isinstance(node, dict):
        return {key: in_another_unit(value, 1.0 if key.startswith(SAME_IN_ANY_UNIT) else factor) for key, value in node.items()}
    if isinstance(node, list):
        return [in_another_unit(value, factor) for value in node]
    return pytest.approx(factor * node, rel=1e-5, abs=1e-6 * factor) if isinstance(node, float) else node


@pytest.mark.parametrize("scale", [1e-24, 1e25])
def test_scores_scale_with_the_unit(tmp_path, scale):
    rng, fields = np.random.default_rng(0), (FieldSpec("n", "1", "n"),)
    prediction, truth = rng.normal(size=(5, 2, 3, 1, 8, 8)), rng.normal(size=(2, 3, 1, 8, 8))
    prediction[:, :, 0] = truth[:, 0]

    def scored(factor):
        rollout = make_rollout(tmp_path / f"{factor}", factor * prediction, factor * truth, fields)
        return score_rollout(rollout, hotspot=HotSpot("n", factor), coverage_levels=LEVELS)

    found, expected = scored(scale), scored(1.0)
    assert found["fields"] == in_another_unit(expected["fields"], scale)
    for name, factor in {"n": scale, "n_rate": scale, "area": 1.0, "area_rate": 1.0}.items():
        assert found["hotspot"][name] == in_another_unit(expected["hotspot"][name], factor)


def test_scores_of_a_thinned_rollout_are_those_of_its_leads(small):
    whole = score_rollout(small, **OPTIONS, recalibration=RECALIBRATION)
    thinned = score_rollout(small.isel(time=[0, 2]), **OPTIONS, recalibration=RECALIBRATION)
    for name in ("temperature", "solid_fraction"):
        for key in ("rmse", "crps", "spread_skill", "coverage_90", "energy_score"):
            assert thinned["fields"][name]["by_lead"][key] == [whole["fields"][name]["by_lead"][key][1]], (name, key)
    assert thinned["fields"]["temperature"]["by_lead"]["time"] == [1.0]
    assert thinned["hotspot"]["area"]["by_lead"]["crps"] == [whole["hotspot"]["area"]["by_lead"]["crps"][1]]


def test_a_single_simulation_draw_or_field_may_be_chosen_either_way(small):
    for axis in ("simulation", "draw", "field"):
        assert score_rollout(small.isel({axis: 0}), **OPTIONS) == score_rollout(small.isel({axis: [0]}), **OPTIONS)


def test_hot_spots_of_an_initial_frame_with_gaps_are_refused(small):
    broken = small.load().copy(deep=True)
    broken["truth"][{"simulation": 1, "time": 0, "field": 0, "y": 2, "x": 2}] = np.nan
    with pytest.raises(ValueError, match=r"area_rate: expected finite scores, got others; is a frame not finite"):
        score_rollout(broken, **OPTIONS)


@pytest.mark.parametrize("recalibration", [None, RECALIBRATION])
def test_draws_outside_of_the_training_range_are_counted_as_they_were_made(small, recalibration):
    limits = {"field_least": ("field", [700.0, np.nan]), "field_most": ("field", [1000.0, np.nan])}
    marked = small.assign_coords({**limits, "outside": ("simulation", ["", "shock_pressure 40", ""])})
    found = score_rollout(marked, **OPTIONS, recalibration=recalibration)
    raw = small.prediction.sel(field="temperature").isel(time=slice(1, None)).values
    outside = ((raw < 700.0) | (raw > 1000.0)).mean(axis=(0, 3, 4))
    assert 0.01 < outside.mean() < 0.99
    sections = [found, found["uncalibrated"]] if recalibration else [found]
    for section in sections:
        scores = section["fields"]["temperature"]
        assert scores["outside"] == pytest.approx(outside.mean())
        assert scores["by_lead"]["outside"] == pytest.approx(outside.mean(axis=0))
        assert scores["by_simulation"]["outside"] == pytest.approx(outside.mean(axis=1))
        assert "outside" not in section["fields"]["solid_fraction"]
    assert found["extrapolation"] == {str(small.simulation.values[1]): "shock_pressure 40"}
    plain = score_rollout(small, **OPTIONS)
    assert plain["extrapolation"] == {}
    assert "outside" not in plain["fields"]["temperature"]
