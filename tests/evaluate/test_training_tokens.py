"""Forecasts that stay among training tokens are told from those that leave them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import probtokens as pt
from probtokens.evaluate.training_tokens import TrainingTokens
from probtokens.fields import Grid
from probtokens.predict import open_rollout, write_rollout
from probtokens.verify.token_pairs import FIELDS, GRID, MEAN, micro_tokens, window

N_SIMULATIONS = 24


class Runaway:
    """Forecaster whose frames leave for ever: their distance from the mean grows with the lead by ``growth``."""

    name, fields, grid = "runaway", FIELDS, GRID

    def __init__(self, growth: float) -> None:
        self.growth = growth

    def forecast(self, initial: Tensor, context: Tensor, *, grid: Grid, n_steps: int, n_draws: int, seed: int) -> Iterator[Tensor]:
        mean = MEAN[:, None, None]
        for lead in range(1, n_steps + 1):
            frames = mean + (1.0 + self.growth * lead) * (initial - mean)
            frames[:, 0].clamp_(min=0.0)
            frames[:, 2].clamp_(0.0, 1.0)
            yield frames.expand(n_draws, *frames.shape)


def simulations(seed: int, n: int = N_SIMULATIONS) -> pt.Trajectories:
    frames, context = window(n_simulations=n, n_times=5, seed=seed)
    return pt.Trajectories.from_arrays(frames, FIELDS, spacing=0.04, time_step=0.125, context={"shock_pressure": context[:, 0]})


@pytest.fixture(scope="module")
def near() -> TrainingTokens:
    return TrainingTokens(micro_tokens(), simulations(seed=1))


def test_distances_are_those_to_the_nearest_training_token(near: TrainingTokens) -> None:
    model, data = micro_tokens(), simulations(seed=1)

    def rows(frames: np.ndarray) -> np.ndarray:
        return model.encode(torch.tensor(frames)).mean.movedim(1, -1).flatten(0, -2).double().numpy()

    sample = np.stack([rows(data.frames(number)) for number in range(len(data))])
    scale = sample.std(axis=(0, 1))
    frames = simulations(seed=2).frames(0)
    apart = np.linalg.norm((rows(frames)[:, None] - sample.reshape(1, -1, len(scale))) / scale, axis=-1).min(axis=1)
    own = []
    for number in range(16):  # simulations are left out in sixteen groups
        out = np.arange(len(sample)) % 16 == number
        queries, others = sample[out].reshape(-1, len(scale)), sample[~out].reshape(-1, len(scale))
        own.append(np.linalg.norm((queries[:, None] - others) / scale, axis=-1).min(axis=1))
    np.testing.assert_allclose(near.distances(frames), apart / np.quantile(np.concatenate(own), 0.99), rtol=1e-4)


def test_held_out_simulations_are_near_and_runaway_forecasts_are_not(near: TrainingTokens) -> None:
    held_out = simulations(seed=2, n=4)
    calm, wild = (near.by_lead(pt.rollout(Runaway(growth), held_out, steps=4, draws=2)) for growth in (0.0, 1.0))
    assert float(calm["beyond"].mean()) < 0.1
    np.testing.assert_allclose(calm["distance"].isel(time=0), calm["distance"].isel(time=-1))
    distance = wild["distance"].mean("simulation").values
    assert (np.diff(distance) > 0.5).all()
    assert float(wild["beyond"].isel(time=-1).min()) > 0.9
    assert wild["lead"].values.tolist() == [1, 2, 3, 4]
    assert np.isnan(wild["beyond_truth"]).all()


def test_a_stored_rollout_tells_of_its_truth_beside_its_draws(near: TrainingTokens, tmp_path: Path) -> None:
    held_out = simulations(seed=3, n=2)
    found = near.by_lead(open_rollout(write_rollout(Runaway(3.0), held_out, tmp_path / "r.zarr", members=9, seed=0)), draws=2)
    truth = np.array([[(near.distances(held_out.frames(i)[t : t + 1]) > 1.0).mean() for t in range(1, 5)] for i in range(2)])
    np.testing.assert_allclose(found["beyond_truth"], truth)
    assert (found["distance"] > 3.0 * found["distance_truth"]).all()
    assert found["simulation"].values.tolist() == list(held_out.names)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a sample of at least 100 tokens, got 60"):
        TrainingTokens(micro_tokens(), simulations(seed=1, n=2))
    with pytest.raises(ValueError, match="expected a reference from two simulations"):
        TrainingTokens(
            micro_tokens(), pt.Trajectories.from_arrays(window(n_simulations=1, n_times=30)[0], FIELDS, spacing=0.04, time_step=0.125)
        )
    frames = window()[0][:, :, :3]
    with pytest.raises(ValueError, match=r"expected trajectories with the fields \['temperature', .*, got"):
        TrainingTokens(micro_tokens(), pt.Trajectories.from_arrays(frames, FIELDS[:3], spacing=0.04, time_step=0.125))
