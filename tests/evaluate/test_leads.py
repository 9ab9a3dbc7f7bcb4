"""Scores at some leads, without a stored ensemble, are those of the stored one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import probtokens as pt
from probtokens.baselines import Persistence
from probtokens.evaluate.leads import CELLS, recalibrated, score_adjusted, score_by_simulation, with_errors
from probtokens.fields import HotSpot
from probtokens.predict import open_rollout, write_rollout
from probtokens.verify.token_pairs import FIELDS, GRID, meso_tokens, window

HOT = HotSpot("temperature", 900.0)


def trajectories() -> pt.Trajectories:
    frames, context = window(n_simulations=3, n_times=5)
    given = {"spacing": GRID.spacing, "time_step": GRID.time_step, "context": {"shock_pressure": context[:, 0]}}
    return pt.Trajectories.from_arrays(frames, FIELDS, **given)


@pytest.mark.parametrize("model", [meso_tokens(), Persistence(FIELDS)], ids=["tokens", "persistence"])
def test_they_are_those_of_the_whole_ensemble(model, tmp_path: Path) -> None:
    data, leads = trajectories(), (1, 3)
    found = score_by_simulation(model, data, leads, field="temperature", members=6, seed=2, hotspot=HOT)
    write_rollout(model, data, tmp_path / "stored.zarr", members=6, seed=2)
    with open_rollout(tmp_path / "stored.zarr") as stored:
        whole = pt.score(stored, hotspot=HOT, coverage=(0.9,))
    at = [lead - 1 for lead in leads]
    area, mean = HOT.curves
    for name, expected in ((CELLS, whole["fields"]["temperature"]), (area, whole["hotspot"][area]), (mean, whole["hotspot"][mean])):
        by_lead = expected["by_lead"]
        np.testing.assert_allclose(np.sqrt(found[name]["error_square"].mean(0)), np.array(by_lead["rmse"])[at], rtol=1e-4)
        np.testing.assert_allclose(found[name]["crps"].mean(0), np.array(by_lead["crps"])[at], rtol=1e-3, atol=1e-5)
        assert found[name]["crps"].shape == (3, 2)
        assert ("spread_square" in found[name]) == (model.name != "persistence")
    if model.name != "persistence":
        np.testing.assert_allclose(
            found[CELLS]["coverage_90"].mean(0), np.array(whole["fields"]["temperature"]["by_lead"]["coverage_90"])[at], rtol=1e-5
        )
    plain = score_by_simulation(model, data, leads, field="temperature", members=6, seed=2)
    assert set(plain) == {CELLS}


def test_a_deterministic_forecast_gets_the_distribution_of_its_errors() -> None:
    model, data, leads = Persistence(FIELDS), trajectories(), (1, 3)
    errors = with_errors(model, data, leads, field="temperature", hotspot=HOT, members=40)
    frames = np.stack([data.frames(number, 0, 5)[:, 0] for number in range(3)])
    for at, lead in enumerate(leads):
        expected = np.quantile(frames[:, lead] - frames[:, 0], (np.arange(40) + 0.5) / 40)
        found = errors(CELLS, at, np.zeros((1, 2, 3)), (-np.inf, np.inf))
        np.testing.assert_allclose(found, np.broadcast_to(expected[:, None, None], (40, 2, 3)), rtol=1e-5, atol=1e-3)
    request = {"field": "temperature", "members": 1, "seed": 0, "hotspot": HOT}
    plain, dressed = score_adjusted(model, data, leads, errors, **request)
    assert set(dressed) == set(plain)
    for name, table in score_by_simulation(model, data, leads, **request).items():
        assert all(np.array_equal(values, plain[name][key]) for key, values in table.items())
    assert "coverage_90" not in plain[CELLS]
    assert dressed[CELLS]["coverage_90"].mean() == pytest.approx(0.9, abs=0.03)
    assert (dressed[CELLS]["crps"].mean(0) < plain[CELLS]["crps"].mean(0)).all()
    ratio = np.sqrt(dressed[CELLS]["spread_square"].mean(0) / dressed[CELLS]["error_square"].mean(0))
    np.testing.assert_allclose(ratio, 1, atol=0.1)

    # Errors of the wrong size are told by their coverage.
    def small(name, at, members, limits):
        return members + 0.1 * (errors(name, at, members, limits) - members)

    assert score_adjusted(model, data, leads, small, **request)[1][CELLS]["coverage_90"].mean() < 0.6


def test_errors_do_not_carry_areas_below_zero() -> None:
    """A forecast without hot spots, of truths without any: members that err towards fewer have none."""
    data = trajectories()
    none = HotSpot("temperature", 1e5)

    class Fewer(Persistence):
        def forecast(self, *args, **kwargs):
            yield from (frame + 2e5 for frame in super().forecast(*args, **kwargs))

    request = {"field": "temperature", "hotspot": none}
    errors = with_errors(Fewer(FIELDS), data, (1,), **request, members=4)
    assert errors("area", 0, np.array([0.0]), (-np.inf, np.inf)).max() < 0
    _, found = score_adjusted(Persistence(FIELDS), data, (1,), errors, members=1, seed=0, **request)
    np.testing.assert_array_equal(found["area"]["crps"], 0.0)


def test_an_ensemble_is_recalibrated_by_its_own_scores() -> None:
    data, leads = trajectories(), (1, 3)
    request = {"field": "temperature", "members": 6, "seed": 2, "hotspot": HOT}
    known = score_by_simulation(meso_tokens(), data, leads, **request)
    plain, found = score_adjusted(meso_tokens(), data, leads, recalibrated(known), **request)
    before, after = (np.sqrt(table[CELLS]["spread_square"].mean() / table[CELLS]["error_square"].mean()) for table in (plain, found))
    assert abs(np.log(after)) < 0.3 * abs(np.log(before))
    wrong = {name: table | {"spread_square": 4 * table["spread_square"]} for name, table in known.items()}
    _, narrow = score_adjusted(meso_tokens(), data, leads, recalibrated(wrong), **request)
    ratio = narrow[CELLS]["spread_square"] / found[CELLS]["spread_square"]
    assert ((ratio > 0.25) & (ratio < 0.35)).all()  # a quarter, where no member is cut at a bound
