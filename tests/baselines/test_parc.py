"""PARC: gradients, training, bounds, velocity by name, and refusals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from probtokens.baselines import Parc
from probtokens.baselines.parc_network import FeatureExtractor, fold, unfold
from probtokens.baselines.parc_operators import advection
from probtokens.config import ParcConfig, RolloutErrorStage
from probtokens.data.normalize import Normalizer
from probtokens.data.trajectories import TrajectorySet
from probtokens.fields import Grid, field_spec
from probtokens.models.base import learn
from probtokens.train.objectives import RolloutError
from tests.helpers import make_shard

GRID = Grid(ny=16, nx=24, spacing=0.04, time_step=0.125, n_times=6)
NAMES = ("temperature", "pressure", "solid_fraction", "velocity_x", "velocity_y")
MEAN = torch.tensor([700.0, 6.0, 0.9, 0.6, 0.0])
SCALE = torch.tensor([400.0, 5.0, 0.2, 0.7, 0.2])


def _parc(names: tuple[str, ...] = NAMES, **config: Any) -> Parc:
    """Fresh model with the statistics of the fields above, which knows no range of training data."""
    torch.manual_seed(0)
    normalizer = Normalizer(tuple(map(field_spec, names)), ("shock_pressure",))
    places = [NAMES.index(name) for name in names]
    normalizer.field_mean.copy_(MEAN[places])
    normalizer.field_scale.copy_(SCALE[places])
    normalizer.context_mean.fill_(15.0)
    normalizer.context_scale.fill_(1.5)
    return Parc(ParcConfig(**({"width": 8, "levels": 2, "integrator": "euler"} | config)), normalizer, GRID)


def _window(names: tuple[str, ...] = NAMES, n_times: int = 3) -> tuple[Tensor, Tensor]:
    """A bump that drifts to the right and grows: frames (1, time, field, y, x) within the bounds, and context; physical units."""
    y = torch.arange(GRID.ny)[:, None] - 8.0
    x = torch.arange(GRID.nx)[None, :] - 8.0
    times = torch.arange(n_times)[:, None, None]
    bump = (0.3 + 0.1 * times) * torch.exp(-(y**2 + (x - 2.0 * times) ** 2) / 12.0)
    shares = torch.linspace(0.4, 1.0, len(names))[:, None, None]
    places = [NAMES.index(name) for name in names]
    mean, scale = (part[places][:, None, None] for part in (MEAN - 0.5 * SCALE, SCALE))
    return mean + scale * (shares * bump[:, None])[None], torch.full((1, 1), 15.0)


def _forecast(parc: Parc, frames: Tensor, context: Tensor, n_steps: int) -> list[Tensor]:
    return list(parc.forecast(frames[:, 0], context, grid=GRID, n_steps=n_steps, n_draws=1, seed=0))


def _tendency(parc: Parc, first: Tensor, context: Tensor) -> Tensor:
    """Tendency of normalised fields, of a first frame and context in physical units."""
    return parc.tendency(parc.normalizer.normalize(first), parc.normalizer.normalize_context(context))


def test_overfits_one_tiny_trajectory() -> None:
    parc, window = _parc(), _window()
    optimizer = torch.optim.Adam(parc.parameters(), lr=3e-3)
    losses = []
    for _ in range(120):
        optimizer.zero_grad()
        loss = RolloutError().parts(parc, *window)["loss"]
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 10


@pytest.mark.parametrize("integrator", ["euler", "heun", "rk4"])
@pytest.mark.parametrize("names", [NAMES, NAMES[:3]])
def test_every_parameter_gets_a_gradient(names: tuple[str, ...], integrator: str) -> None:
    parc = _parc(names, integrator=integrator)
    learning = learn(parc, RolloutErrorStage(name="rollout", steps=1).learn)
    assert {id(parameter) for parameter in learning} == {id(parameter) for parameter in parc.parameters()}
    RolloutError().parts(parc, *_window(names))["loss"].backward()
    silent = [name for name, parameter in parc.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert not silent


def test_loss_is_the_error_of_the_rollout_that_forecast_gives() -> None:
    parc, (frames, context) = _parc(), _window()
    (frame,) = _forecast(parc, frames, context, 1)
    unbounded = [channel for channel, spec in enumerate(parc.fields) if spec.lower is None]
    normal = parc.normalizer.normalize
    with torch.no_grad():
        rolled = normal(frames[:, 0]) + GRID.time_step * _tendency(parc, frames[:, 0], context)
        parts = RolloutError().parts(parc, frames[:, :2], context)
    torch.testing.assert_close(normal(frame[0])[:, unbounded], rolled[:, unbounded])
    torch.testing.assert_close(parts["loss"], torch.mean((rolled - normal(frames[:, 1])) ** 2))
    assert parts["reconstruction"] == 0.0


def test_mean_frames_are_those_of_the_rollout_and_begin_with_the_first() -> None:
    parc, (frames, context) = _parc(), _window()
    with torch.no_grad():
        every = list(parc.mean_frames(frames[:, 0], context, range(4)))
        some = list(parc.mean_frames(frames[:, 0], context, (1, 3)))
    torch.testing.assert_close(every[0], parc.normalizer.normalize(frames[:, 0]))
    assert all(torch.equal(frame, every[lead]) for frame, lead in zip(some, (1, 3), strict=True))
    for mean, frame in zip(every[1:], _forecast(parc, frames, context, 3), strict=True):
        bounded = parc.normalizer.denormalize(mean).clamp(parc.lower, parc.upper)
        torch.testing.assert_close(frame[0], bounded)


def test_longer_forecast_begins_like_a_shorter_one() -> None:
    parc, window = _parc(), _window()
    short, longer = (_forecast(parc, *window, n_steps) for n_steps in (1, 3))
    torch.testing.assert_close(longer[0], short[0])
    assert not torch.equal(longer[1], longer[0])


def test_velocity_is_found_by_name_and_used_in_physical_units() -> None:
    names = ("velocity_y", "temperature", "velocity_x")
    parc = _parc(names)
    parc.normalizer.field_scale.copy_(torch.tensor([0.02, 1.0, 0.03]))
    parc.normalizer.field_mean.copy_(torch.tensor([-0.01, 700.0, 0.02]))
    state = torch.rand(1, 3, *GRID.shape, generator=torch.Generator().manual_seed(0))
    terms: list[Tensor] = []
    parc.reconstruction.register_forward_pre_hook(lambda _, inputs: terms.append(inputs[1]))
    parc.tendency(state, torch.zeros(1, 1))
    velocity = torch.stack((0.02 + 0.03 * state[:, 2], 0.02 * state[:, 0] - 0.01), dim=1)
    expected = GRID.time_step * advection(state, velocity, GRID.spacing)
    advected = unfold(terms[0], Parc.block, *GRID.shape)[:, :3]
    torch.testing.assert_close(advected, expected, rtol=1e-2, atol=1e-5)  # weak terms are hardly limited


def test_explicit_terms_are_limited() -> None:
    parc = _parc()
    terms: list[Tensor] = []
    parc.reconstruction.register_forward_pre_hook(lambda _, inputs: terms.append(inputs[1]))
    parc.tendency(100.0 * torch.rand(1, len(NAMES), *GRID.shape, generator=torch.Generator().manual_seed(0)), torch.zeros(1, 1))
    assert terms[0].abs().max() == pytest.approx(3.0)


def _first_states(parc: Parc, frames: Tensor, context: Tensor, n_steps: int, *, forecast: bool = False) -> list[Tensor]:
    """Normalised states that the steps of a rollout start from, as the networks see them; forecasts refuse frames out of bounds."""
    seen: list[Tensor] = []
    parc.features.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    if forecast:
        _forecast(parc, frames, context, n_steps)
    else:
        with torch.no_grad():
            list(parc.mean_frames(frames[:, 0], context, (n_steps,)))
    return [unfold(part[:, : -context.shape[1]], Parc.block, *GRID.shape) for part in seen]


def test_steps_start_within_the_range_of_the_training_data(tmp_path: Path) -> None:
    make_shard(tmp_path / "shard.hdf5", ny=GRID.ny, nx=GRID.nx)
    trajectories = TrajectorySet.open(tmp_path, NAMES, ("shock_pressure",))
    torch.manual_seed(0)
    parc = Parc(ParcConfig(width=8, levels=2), Normalizer.fit(trajectories), GRID)
    data = np.concatenate([trajectories.frames(i) for i in range(len(trajectories))])
    least, most = (torch.tensor(edge(data, axis=(0, 2, 3)))[:, None, None] for edge in (np.min, np.max))
    size = torch.maximum(-least, most)[NAMES.index("velocity_y")]
    least[NAMES.index("velocity_y")], most[NAMES.index("velocity_y")] = -size, size  # training sees mirror images as well
    frames = torch.tensor(data[None, :1])
    wild = most + 50.0 * (frames - least)
    wild[..., :8] = least - 50.0 * (frames - least)[..., :8]
    (state,) = _first_states(parc, wild, torch.full((1, 1), 15.0), 1)
    expected = parc.normalizer.normalize(wild[:, 0].clamp(least, most))
    torch.testing.assert_close(state, expected, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(state, parc.normalizer.normalize(wild[:, 0]))


def test_training_steps_start_within_the_same_range_as_forecasts() -> None:
    """The range belongs to the normaliser: no batch moves it."""
    parc, (frames, context) = _parc(), _window()
    parc.normalizer.field_range.copy_(torch.stack([(MEAN - 0.4 * SCALE), (MEAN - 0.3 * SCALE)]))
    kept = parc.normalizer.field_range.clone()
    RolloutError().parts(parc, frames, context)
    assert torch.equal(parc.normalizer.field_range, kept)
    states = _first_states(parc, frames, context, 2, forecast=True)
    with torch.no_grad():
        (direct,) = parc.mean_frames(frames[:, 0], context, (1,))
    clipped = states[0]
    torch.testing.assert_close(direct, clipped + GRID.time_step * parc.tendency(clipped, torch.zeros(1, 1)))
    for state in states:
        state = state[:, [number for number, name in enumerate(NAMES) if name != "velocity_y"]]
        assert float(state.min()) >= -0.4 - 1e-5
        assert float(state.max()) <= -0.3 + 1e-5


def test_without_a_known_range_steps_start_within_the_bounds_of_the_fields() -> None:
    parc, (frames, context) = _parc(), _window()
    wild = frames.clone()
    wild[:, 0, 2, :, :12], wild[:, 0, 2, :, 12:] = -3.0, 4.0  # solid fraction
    wild[:, 0, 1] = 1e4  # pressure has no bounds
    (state,) = _first_states(parc, wild, context, 1)
    physical = parc.normalizer.denormalize(state)
    torch.testing.assert_close(physical[:, 2, :, :12], torch.zeros(1, 16, 12), rtol=0.0, atol=1e-6)
    torch.testing.assert_close(physical[:, 2, :, 12:], torch.ones(1, 16, 12))
    torch.testing.assert_close(physical[:, 1], wild[:, 0, 1])


def test_untrained_model_is_near_persistence() -> None:
    parc, (frames, context) = _parc(), _window()
    with torch.no_grad():
        change = GRID.time_step * _tendency(parc, frames[:, 0], context)
    assert change.square().mean().sqrt() < 0.1


def test_context_changes_the_forecast_by_its_standard_units() -> None:
    parc, (frames, _) = _parc(), _window()
    weak, strong = (_forecast(parc, frames, torch.tensor([[p]]), 1)[0] for p in (15.0, 16.5))
    assert ((weak - strong).abs().amax((0, 1, 3, 4)) / SCALE).max() > 1e-4
    parc.normalizer.context_mean += 1.5
    torch.testing.assert_close(_forecast(parc, frames, torch.tensor([[18.0]]), 1)[0], strong)


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
    frame = parc.normalizer.normalize(_window()[0][:, 0])
    odd = frame[..., :-1, :-3]
    by_hand = torch.cat((odd, odd[..., -1:].expand(-1, -1, -1, 3)), dim=-1)
    by_hand = torch.cat((by_hand, by_hand[..., -1:, :]), dim=-2)
    torch.testing.assert_close(fold(odd, Parc.block), fold(by_hand, Parc.block), rtol=0.0, atol=0.0)
    assert parc.tendency(odd, torch.zeros(1, 1)).shape == odd.shape


def test_weights_survive_a_state_dict() -> None:
    one, other = _parc(), _parc(width=8)
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.add_(0.01)
    other.load_state_dict(one.state_dict())
    state = one.normalizer.normalize(_window()[0][:, 0])
    torch.testing.assert_close(other.tendency(state, torch.zeros(1, 1)), one.tendency(state, torch.zeros(1, 1)))


def test_one_velocity_component_alone_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected both .* got"):
        _parc(("temperature", "velocity_x"))


@pytest.mark.parametrize("change", [{"objective": "elbo"}, {"horizon": 0}])
def test_stages_of_other_models_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=rf"stages.0.{next(iter(change))}\n +Input should be"):
        ParcConfig.model_validate({"stages": [{"name": "rollout", "steps": 1} | change]})


def test_it_has_no_parameters_of_other_models() -> None:
    with pytest.raises(ValueError, match=r"learn: expected some of the parameter groups \['dynamics'\] of Parc, got \['noise'\]"):
        learn(_parc(), ("noise",))


def test_wrong_context_width_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected .*\(1, 1\), got \(1, 2\)"):
        _forecast(_parc(), _window()[0], torch.zeros(1, 2), 1)


def test_grid_of_another_step_is_refused() -> None:
    frames, context = _window()
    with pytest.raises(
        ValueError, match=r"expected cells of 0\.04 µm and frames every .*, got cells of 0\.04 µm and frames every 0\.25 ns"
    ):
        _parc().forecast(frames[:, 0], context, grid=replace(GRID, time_step=0.25), n_steps=1, n_draws=1, seed=0)
