"""PARC: gradients, training, bounds, velocity by name, and refusals."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from probtokens.baselines import Parc
from probtokens.baselines.parc import BLOCK
from probtokens.baselines.parc_network import FeatureExtractor, fold, unfold
from probtokens.baselines.parc_operators import advection
from probtokens.config import ParcConfig, StageConfig
from probtokens.data.normalize import Normalizer
from probtokens.fields import Grid, field_spec

GRID = Grid(ny=16, nx=24, spacing=0.04, time_step=0.125, n_times=6)
NAMES = ("temperature", "pressure", "solid_fraction", "velocity_x", "velocity_y")
STAGE = StageConfig(name="rollout", objective="mse", steps=1, horizon=2, batch_size=1)


def _parc(names: tuple[str, ...] = NAMES, **config: Any) -> Parc:
    torch.manual_seed(0)
    normalizer = Normalizer(tuple(map(field_spec, names)), ("shock_pressure",))
    return Parc(ParcConfig(**({"width": 8, "levels": 2, "integrator": "euler"} | config)), normalizer, GRID)


def _stage(horizon: int) -> StageConfig:
    return STAGE.model_copy(update={"horizon": horizon})


def _batch(n_fields: int = len(NAMES), n_times: int = 3) -> Any:
    """A bump that drifts to the right and grows: frames (1, time, field, y, x) within the bounds."""
    y = torch.arange(GRID.ny)[:, None] - 8.0
    x = torch.arange(GRID.nx)[None, :] - 8.0
    times = torch.arange(n_times)[:, None, None]
    bump = (0.3 + 0.1 * times) * torch.exp(-(y**2 + (x - 2.0 * times) ** 2) / 12.0)
    shares = torch.linspace(0.4, 1.0, n_fields)[:, None, None]
    return SimpleNamespace(frames=(shares * bump[:, None])[None], context=torch.zeros(1, 1), index=torch.zeros(1))


def _train(parc: Parc, batch: Any, n_steps: int) -> tuple[float, float]:
    """First and last loss of a short training on one batch."""
    optimizer = torch.optim.Adam(parc.parameters(), lr=3e-3)
    losses = []
    for _ in range(n_steps):
        optimizer.zero_grad()
        loss = parc.loss(batch, STAGE)["loss"]
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses[0], losses[-1]


def test_overfits_one_tiny_trajectory() -> None:
    first, last = _train(_parc(), _batch(), n_steps=120)
    assert last < first / 10


@pytest.mark.parametrize("integrator", ["euler", "heun", "rk4"])
@pytest.mark.parametrize("names", [NAMES, NAMES[:3]])
def test_every_parameter_gets_a_gradient(names: tuple[str, ...], integrator: str) -> None:
    parc = _parc(names, integrator=integrator)
    parc.begin_stage(STAGE)
    parc.loss(_batch(len(names)), STAGE)["loss"].backward()
    silent = [name for name, parameter in parc.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert not silent


def test_loss_is_the_error_of_the_rollout_that_forecast_gives() -> None:
    parc, batch = _parc(), _batch()
    stage = _stage(1)
    frame = next(iter(parc.forecast(batch.frames[:, 0], batch.context, grid=GRID, n_steps=1, n_draws=1, seed=0)))
    unbounded = [channel for channel, spec in enumerate(parc.fields) if spec.lower is None]
    with torch.no_grad():
        rolled = batch.frames[:, 0] + GRID.time_step * parc.tendency(batch.frames[:, 0], batch.context)
        loss = parc.loss(batch, stage)["mse"]
    torch.testing.assert_close(frame[0][:, unbounded], rolled[:, unbounded])
    torch.testing.assert_close(loss, torch.mean((rolled - batch.frames[:, 1]) ** 2))


def test_longer_forecast_begins_like_a_shorter_one() -> None:
    parc, batch = _parc(), _batch()
    short, longer = (
        list(parc.forecast(batch.frames[:, 0], batch.context, grid=GRID, n_steps=n_steps, n_draws=1, seed=0)) for n_steps in (1, 3)
    )
    torch.testing.assert_close(longer[0], short[0])
    assert not torch.equal(longer[1], longer[0])


def test_velocity_is_found_by_name_and_used_in_physical_units() -> None:
    names = ("velocity_y", "temperature", "velocity_x")
    parc = _parc(names)
    parc.normalizer.field_scale.copy_(torch.tensor([0.02, 1.0, 0.03]))
    state = torch.rand(1, 3, *GRID.shape, generator=torch.Generator().manual_seed(0))
    terms: list[Tensor] = []
    parc.reconstruction.register_forward_pre_hook(lambda _, inputs: terms.append(inputs[1]))
    parc.tendency(state, torch.zeros(1, 1))
    velocity = torch.stack((0.03 * state[:, 2], 0.02 * state[:, 0]), dim=1)
    expected = GRID.time_step * advection(state, velocity, GRID.spacing)
    advected = unfold(terms[0], BLOCK, *GRID.shape)[:, :3]
    torch.testing.assert_close(advected, expected, rtol=1e-2, atol=1e-5)  # weak terms are hardly limited


def test_explicit_terms_are_limited() -> None:
    parc = _parc()
    terms: list[Tensor] = []
    parc.reconstruction.register_forward_pre_hook(lambda _, inputs: terms.append(inputs[1]))
    parc.tendency(100.0 * torch.rand(1, len(NAMES), *GRID.shape, generator=torch.Generator().manual_seed(0)), torch.zeros(1, 1))
    assert terms[0].abs().max() == pytest.approx(3.0)


def test_steps_start_within_the_range_of_the_training_data() -> None:
    parc, batch = _parc(), _batch()
    parc.loss(batch, STAGE)
    low, high = batch.frames.amin(dim=(0, 1, 3, 4)), batch.frames.amax(dim=(0, 1, 3, 4))
    torch.testing.assert_close(parc.lowest.flatten(), low)
    torch.testing.assert_close(parc.highest.flatten(), high)
    seen: list[Tensor] = []
    parc.features.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    list(parc.forecast(50.0 * batch.frames[:, 0], batch.context, grid=GRID, n_steps=1, n_draws=1, seed=0))
    state = unfold(seen[0][:, : -parc.normalizer.context_mean.numel()], BLOCK, *GRID.shape)
    assert (state.amax(dim=(0, 2, 3)) <= high).all()


def test_range_is_not_learned_from_validation() -> None:
    parc = _parc().eval()
    parc.loss(_batch(), STAGE)
    assert torch.isinf(parc.lowest).all()


def test_untrained_model_is_near_persistence() -> None:
    parc, batch = _parc(), _batch()
    with torch.no_grad():
        change = GRID.time_step * parc.tendency(batch.frames[:, 0], batch.context)
    assert change.square().mean().sqrt() < 0.1


def test_context_changes_the_forecast() -> None:
    parc, batch = _parc(), _batch()
    weak, strong = (
        next(iter(parc.forecast(batch.frames[:, 0], torch.tensor([[p]]), grid=GRID, n_steps=1, n_draws=1, seed=0))) for p in (0.0, 1.0)
    )
    assert (weak - strong).abs().max() > 1e-4


@pytest.mark.parametrize(("ny", "nx"), [(16, 24), (13, 9), (1, 5)])
def test_features_cover_any_extent(ny: int, nx: int) -> None:
    network = FeatureExtractor(n_in=3, width=4, levels=3)
    assert network(torch.zeros(2, 3, ny, nx)).shape == (2, 4, ny, nx)


@pytest.mark.parametrize(("ny", "nx"), [(16, 24), (13, 9), (1, 5)])
def test_folding_can_be_undone(ny: int, nx: int) -> None:
    image = torch.rand(2, 3, ny, nx, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(unfold(fold(image, 4), 4, ny, nx), image, rtol=0.0, atol=0.0)


def test_extents_that_do_not_divide_are_padded_with_the_edge() -> None:
    parc = _parc(levels=1)
    frame = _batch().frames[:, 0]
    odd = frame[..., :-1, :-3]
    by_hand = torch.cat((odd, odd[..., -1:].expand(-1, -1, -1, 3)), dim=-1)
    by_hand = torch.cat((by_hand, by_hand[..., -1:, :]), dim=-2)
    torch.testing.assert_close(fold(odd, BLOCK), fold(by_hand, BLOCK), rtol=0.0, atol=0.0)
    assert parc.tendency(odd, torch.zeros(1, 1)).shape == odd.shape


def test_weights_survive_a_state_dict() -> None:
    one, other = _parc(), _parc(width=8)
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.add_(0.01)
    other.load_state_dict(one.state_dict())
    state = _batch().frames[:, 0]
    torch.testing.assert_close(other.tendency(state, torch.zeros(1, 1)), one.tendency(state, torch.zeros(1, 1)))


def test_one_velocity_component_alone_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected both .* got"):
        _parc(("temperature", "velocity_x"))


def test_windows_shorter_than_the_horizon_are_refused() -> None:
    with pytest.raises(ValueError, match="expected at least 4 frames, got 3"):
        _parc().loss(_batch(n_times=3), _stage(3))


@pytest.mark.parametrize("change", [{"objective": "elbo"}, {"horizon": 0}])
def test_stages_of_other_models_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"expected .* got"):
        _parc().begin_stage(STAGE.model_copy(update=change))


def test_wrong_context_width_is_refused() -> None:
    batch = _batch()
    with pytest.raises(ValueError, match=r"expected .*\(1, 1\), got \(1, 2\)"):
        _parc().forecast(batch.frames[:, 0], torch.zeros(1, 2), grid=GRID, n_steps=1, n_draws=1, seed=0)


def test_grid_of_another_step_is_refused() -> None:
    batch = _batch()
    with pytest.raises(ValueError, match=r"expected spacing 0\.04 .* got 0\.04 µm and 0\.25 ns"):
        _parc().forecast(batch.frames[:, 0], batch.context, grid=replace(GRID, time_step=0.25), n_steps=1, n_draws=1, seed=0)
