"""Multiscale latent dynamics: what is exact without training, and a decay that it has to learn."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from probtokens import Trajectories, fit
from probtokens.baselines.mld import LatentEvolution, Mld, VariationalCodec, evolution_stages
from probtokens.baselines.mld_network import LATENT
from probtokens.evaluate.scores import rmse
from probtokens.models.base import check_schedule
from probtokens.nn.blocks import silent
from probtokens.verify.token_pairs import FIELDS, GRID, normalizer, window


@pytest.fixture
def model() -> Mld:
    torch.manual_seed(0)
    return Mld(normalizer(), GRID, width=4)


class FirstChannel(nn.Module):
    """Decoder that repeats the first channel over its cells."""

    def forward(self, z: Tensor) -> Tensor:
        return z[:, :1].repeat_interleave(8, dim=-2).repeat_interleave(8, dim=-1)


def still(model: Mld) -> Mld:
    """The same whose networks change nothing, and whose decoders show a latent as it is."""
    for network in (*model.means, *model.log_variances, model.coupled_mean, model.coupled_log_variance):
        silent(network.head)
    model.decoders = nn.ModuleList(FirstChannel() for _ in model.fields)
    return model


def test_draws_are_normal_with_the_latent_mean_and_variance(model: Mld) -> None:
    frames, context = window()
    model.lower.fill_(-torch.inf)
    model.upper.fill_(torch.inf)
    with torch.no_grad():
        expected = still(model).encode(model.normalizer.normalize(frames[:, 0]))
    (one, two) = model.forecast(frames[:, 0], context, grid=GRID, n_steps=2, n_draws=2000, seed=0)
    units = [model.normalizer.normalize(each.flatten(0, 1)).unflatten(0, each.shape[:2])[..., ::8, ::8] for each in (one, two)]
    mean, variance = expected.mean[:, ::LATENT], expected.log_variance[:, ::LATENT].exp()
    for draws in units:  # it stays as it is, so that both leads have one distribution
        standard = (draws - mean) / variance.sqrt()
        assert abs(float(standard.mean())) < 0.01
        assert float(standard.var(dim=0).mean()) == pytest.approx(1, abs=0.01)
    product = (units[0] - mean) * (units[1] - mean) / variance
    assert abs(float(product.mean())) < 0.01  # noise of one lead says nothing of the next


def test_without_coupling_no_field_hears_of_another(model: Mld) -> None:
    frames, context = window()
    x, c = model.normalizer.normalize(frames[:, 0]), model.normalizer.normalize_context(context)
    other = x.clone()
    other[:, 0] += 1

    def apart(coupled: bool) -> Tensor:
        ends = []
        for start in (x, other):
            states = model.latents(start, c, coupled=coupled)
            ends.append([next(states) for _ in range(3)][-1].mean)
        return (ends[0] - ends[1]).abs().amax((0, 2, 3)).unflatten(0, (len(FIELDS), LATENT)).amax(1)

    alone, together = apart(coupled=False), apart(coupled=True)
    assert alone[0] > 0
    assert not alone[1:].any()
    assert (together > 0).all()


@pytest.mark.parametrize(("objective", "group"), [(VariationalCodec(), "codec"), (LatentEvolution(learn=("decoupled",)), "decoupled")])
def test_objectives_train_their_own_networks(model: Mld, objective: VariationalCodec | LatentEvolution, group: str) -> None:
    frames, context = window()
    data = Trajectories.from_arrays(frames, FIELDS, spacing=0.04, time_step=0.125, context={"shock_pressure": context[:, 0]})
    before = copy.deepcopy(model.state_dict())
    fit(model, data, objective, steps=1, horizon=2, batch_size=2, learning_rate=0.1)
    after = {id(parameter): name for name, parameter in model.named_parameters()}
    for name, parameters in model.parameter_groups().items():
        moved = any(not before[after[id(parameter)]].equal(parameter) for parameter in parameters)
        assert moved == (name == group)


def test_what_is_right_costs_what_noise_costs(model: Mld) -> None:
    frames, context = window()
    steady = frames[:, :1].repeat(1, 3, 1, 1, 1)
    with torch.no_grad():
        parts = LatentEvolution().parts(still(model), steady, context)
        moving = LatentEvolution().parts(model, frames, context)
    assert parts["mean"] == parts["log_variance"] == 0
    assert moving["mean"] > 0


def test_curriculum_lengthens(model: Mld) -> None:
    stages = evolution_stages("coupled", 10)
    assert [(stage.name, stage.horizon, stage.steps) for stage in stages] == [(f"coupled_{h}", h, 10) for h in (1, 2, 3, 4, 5)]
    check_schedule(model, stages, n_times=6)
    with pytest.raises(ValueError, match="expected some of the parameter groups"):
        check_schedule(model, evolution_stages("noise", 10), n_times=6)


def test_it_learns_a_decay() -> None:
    rng = np.random.default_rng(0)
    shapes = rng.uniform(-1, 1, (64, 1, 1, 2, 2)).repeat(8, axis=-2).repeat(8, axis=-1)
    frames = (shapes * 0.8 ** np.arange(6)[:, None, None, None]).astype(np.float32)
    data = Trajectories.from_arrays(frames, {"height": "m"}, spacing="1 m", time_step="1 s")
    torch.manual_seed(0)
    model = Mld.untrained(data.subset(range(48)), width=4)
    stages = [stage.model_copy(update={"learning_rate": 3e-3}) for stage in evolution_stages("decoupled", 40)]
    fit(model, data.subset(range(48)), VariationalCodec(), steps=400, learning_rate=5e-3)
    fit(model, data.subset(range(48)), stages)
    tested = data.subset(range(48, 64))
    first, truth = torch.tensor(frames[48:, 0]), frames[48:, 1:]
    silent(model.coupled_mean.head), silent(model.coupled_log_variance.head)
    found = torch.stack(list(model.forecast(first, torch.zeros(16, 0), grid=tested.grid, n_steps=5, n_draws=8, seed=0)), dim=2).numpy()
    persistence = np.repeat(frames[None, 48:, :1], 5, axis=2)
    assert rmse(found, truth) < 0.5 * rmse(persistence, truth)


def test_extents_must_be_whole_places() -> None:
    with pytest.raises(ValueError, match=r"mld: expected y and x as multiples of 8 cells, got \(16, 20\)"):
        Mld(normalizer(), replace(GRID, nx=20), width=4)
