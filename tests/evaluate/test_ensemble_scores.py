"""Scores of ensembles in memory are those of the same ensembles on disk."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import xarray as xr

import probtokens as pt
from probtokens.evaluate import score_rollout
from probtokens.predict import Recalibration, open_rollout, write_rollout
from probtokens.predict.lazy import with_truth
from probtokens.predict.store import PREDICTION_DIMS
from probtokens.verify.token_pairs import FIELDS, GRID, micro_tokens, window

HOT = pt.HotSpot("temperature", 900.0)


@pytest.fixture(scope="module")
def given() -> tuple[pt.Trajectories, xr.DataArray]:
    frames, context = window(n_times=4)
    scalars = {"shock_pressure": context[:, 0]}
    trajectories = pt.Trajectories.from_arrays(frames, FIELDS, spacing=GRID.spacing, time_step=GRID.time_step, context=scalars)
    return trajectories, pt.rollout(micro_tokens(), trajectories, draws=5, seed=2).compute()


def test_the_layout_is_that_of_stored_rollouts(given, tmp_path) -> None:
    trajectories, ensemble = given
    stored = open_rollout(write_rollout(micro_tokens(), trajectories, tmp_path / "r", members=5, seed=2))
    beside = with_truth(ensemble, trajectories)
    assert beside["prediction"].dims == stored["prediction"].dims == PREDICTION_DIMS
    assert dict(beside.sizes) == dict(stored.sizes)
    assert set(beside.coords) == set(stored.coords)
    for name in stored.coords:
        np.testing.assert_array_equal(beside[name].values, stored[name].values)
    np.testing.assert_array_equal(beside["truth"].values, stored["truth"].values)
    np.testing.assert_array_equal(beside["prediction"].isel(time=0).values, stored["prediction"].isel(time=0).values)
    np.testing.assert_array_equal(beside["prediction"].isel(time=slice(1, None)).values, ensemble.values)


@pytest.mark.parametrize("kind", ["trajectories", "numpy", "torch", "xarray", "longer", "stored"])
def test_the_truth_may_be_of_any_kind(kind: str, given, tmp_path) -> None:
    trajectories, ensemble = given
    frames = np.stack([trajectories.frames(number) for number in range(2)])
    expected = score_rollout(with_truth(ensemble, trajectories), hotspot=HOT, coverage_levels=(0.5, 0.8, 0.9))
    if kind == "stored":
        with_truth(ensemble, trajectories).to_zarr(tmp_path / "r", consolidated=False)
        np.testing.assert_equal(pt.score(open_rollout(tmp_path / "r"), hotspot=HOT), expected)
        return
    dims, names = ("simulation", "time", "field", "y", "x"), [spec.name for spec in FIELDS]
    truth = {
        "trajectories": trajectories,
        "numpy": frames.astype(np.float64),
        "torch": torch.tensor(frames),
        "xarray": xr.DataArray(frames[:, :, ::-1], dims=dims, coords={"field": names[::-1]}),
        "longer": np.concatenate([frames, frames], axis=1),
    }[kind]
    np.testing.assert_equal(pt.score(ensemble, truth, hotspot=HOT), expected)


def test_draws_are_made_once(given, monkeypatch: pytest.MonkeyPatch) -> None:
    trajectories, ensemble = given
    model, asked = micro_tokens(), []
    stream = model._stream
    monkeypatch.setattr(model, "_stream", lambda *request: (asked.append(1), stream(*request))[1])
    late = pt.rollout(model, trajectories, draws=5, seed=2)
    asked.clear()
    assert pt.score(late, trajectories) == pt.score(ensemble, trajectories)
    assert len(asked) == len(trajectories)


def test_scores_are_right_and_hot_spots_are_optional(given) -> None:
    trajectories, ensemble = given
    scores = pt.score(ensemble, trajectories, coverage=[0.5])
    assert scores["hotspot"] == {}
    truth = np.stack([trajectories.frames(number)[1:] for number in range(2)])
    for position, spec in enumerate(FIELDS):
        error = ensemble.values.astype(float).mean(0)[:, :, position] - truth[:, :, position]
        assert scores["fields"][spec.name]["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)), rel=1e-5)
        assert set(scores["fields"][spec.name]) >= {"crps", "coverage_50", "spread_skill"}
    assert pt.score(ensemble, trajectories, coverage=[0.5], hotspot=HOT)["hotspot"]["area"]["crps"] >= 0.0
    wide = Recalibration("tokens", 1, {spec.name: [3.0] for spec in FIELDS})
    assert "uncalibrated" in pt.score(ensemble, trajectories, recalibration=wide)


def test_what_does_not_fit_is_refused(given, tmp_path) -> None:
    trajectories, ensemble = given
    frames = np.stack([trajectories.frames(number) for number in range(2)])
    with pytest.raises(ValueError, match="truth: expected trajectories or frames beside an ensemble"):
        pt.score(ensemble)
    with pytest.raises(ValueError, match=r"truth: expected frames .* at leads 0 to 3, \(2, 4, 5, 16, 24\), got \(2, 3, 5, 16, 24\)"):
        pt.score(ensemble, frames[:, 1:])
    with pytest.raises(ValueError, match=r"got \(1, 4, 5, 16, 24\)"):
        pt.score(ensemble, trajectories.subset([0]))
    with pytest.raises(ValueError, match="truth: expected the fields .*, got trajectories without"):
        pt.score(ensemble, pt.Trajectories.from_arrays(frames[:, :, :4], FIELDS[:4], spacing=0.04, time_step=0.125))
    with pytest.raises(ValueError, match="ensemble: expected one that rollout made"):
        pt.score(xr.DataArray(np.zeros((2, 2))), frames)
    with pytest.raises(ValueError, match="truth: expected none beside a stored rollout"):
        pt.score(with_truth(ensemble, trajectories), frames)
