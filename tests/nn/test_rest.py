"""A transition that leaves material at rest where it is."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from probtokens.config import ElboStage, MicroConfig, RestStage, RolloutErrorStage, TokenConfig
from probtokens.models.base import learn
from probtokens.models.micro import MicroTokens
from probtokens.models.state_space import State
from probtokens.nn.rest import RestBalance
from probtokens.train.objectives import LatentError, Rest
from probtokens.verify.token_pairs import GRID, micro_tokens, normalizer, window

STAGE = RestStage(name="rest", steps=1)
REST = {"temperature": 300.0, "pressure": 0.0}


def resting() -> MicroTokens:
    """Tokens of the plain test pair that know temperature and pressure at rest; their random transition drifts there."""
    plain = micro_tokens()
    groups = [{"fields": (name,), "channels": 2} for name in REST]
    groups.append({"fields": ("solid_fraction", "velocity_x", "velocity_y"), "channels": 3})
    tokens = TokenConfig.model_validate(plain.tokens.model_dump() | {"groups": groups, "rest": REST})
    torch.manual_seed(0)
    model = MicroTokens(tokens, normalizer(), GRID)
    assert model.transition.rest is not None
    model.transition.networks.load_state_dict(plain.transition.networks.state_dict())
    model.find_rest()
    return model


def still(model: MicroTokens) -> torch.Tensor:
    """Tokens of one frame in which nothing has happened yet."""
    frame = model.normalizer.denormalize(torch.zeros(1, len(model.fields), *GRID.shape))
    for number, spec in enumerate(model.fields):
        if spec.name in REST:
            frame[:, number] = REST[spec.name]
    return model.encode(frame).mean


@torch.no_grad()
def step(model: MicroTokens, z: torch.Tensor) -> torch.Tensor:
    """Mean change of tokens in one step."""
    context = model.context_vector(torch.full((len(z), 1), 15.0))
    state = State(z, torch.distributions.Normal(z, 0.01))
    return model.step(state, torch.zeros(len(z), *model.effect_shape(*z.shape[-2:])), context, {}).mean - z


def test_only_the_channels_that_tell_rest_tell_it() -> None:
    rest = RestBalance(3)
    rest.tokens.copy_(torch.tensor([1.0, 2.0, 3.0]))
    rest.tells.copy_(torch.tensor([1.0, 1.0, 0.0]))
    z = torch.tensor([[1.0, 2.0, -50.0], [1.2, 2.0, 3.0], [9.0, 2.0, 3.0]])[..., None, None]
    torch.testing.assert_close(rest.nearness(z).flatten(), torch.tensor([1.0, 0.6065307, 0.0]))
    with torch.no_grad():
        rest.drift.fill_(0.25)
    torch.testing.assert_close(rest(z)[:, 0, 0, 0], 0.25 * rest.nearness(z).flatten())


def test_what_rests_stays_and_what_moves_is_left_alone() -> None:
    model = resting()
    (drift,) = learn(model, STAGE.learn)
    z = still(model)
    before = step(model, z)
    optimizer = torch.optim.Adam([drift], lr=0.02)
    for _ in range(300):
        loss = Rest().parts(model, torch.stack([z, z], dim=1), torch.full((1, 1), 15.0))["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    middle = (..., z.shape[-2] // 2, z.shape[-1] // 2)
    assert float(before[middle].abs().max()) > 0.02  # the negative control: without balance it drifts
    assert float(step(model, z)[middle].abs().max()) < 0.2 * float(before[middle].abs().max())
    moved = z + 3.0
    torch.testing.assert_close(step(model, moved), step(resting(), moved))


def test_the_loss_is_the_absolute_error_of_tokens_by_their_nearness_to_rest() -> None:
    model = resting()
    z = still(model) + torch.linspace(-0.3, 0.3, 6).reshape(2, 3)
    after = z + 0.1 * torch.randn(z.shape, generator=torch.Generator().manual_seed(0))
    loss = Rest().parts(model, torch.stack([z, after], dim=1), torch.full((1, 1), 15.0))["loss"]
    near = model.transition.rest.nearness(z)
    assert near.min() < 0.5 < near.max()
    torch.testing.assert_close(loss.detach(), (near * (z + step(model, z) - after).abs()).mean())


def test_its_stage_teaches_the_drift_at_rest_and_nothing_else_and_no_other_stage_does() -> None:
    model, (frames, context) = resting(), window()
    tokens = model.encode(frames).mean
    learn(model, STAGE.learn)
    assert [name for name, parameter in model.named_parameters() if parameter.requires_grad] == ["transition.rest.drift"]
    drift = model.transition.rest.drift
    for stage in (RolloutErrorStage(name="means", steps=1), ElboStage(name="all", steps=1)):
        learn(model, stage.learn)
        assert not drift.requires_grad
        LatentError().parts(model, tokens, context)["loss"].backward()
        assert drift.grad is None
    learn(model, STAGE.learn)
    Rest().parts(model, still(model).unsqueeze(1).expand(-1, 2, -1, -1, -1), context[:1])["loss"].backward()
    assert drift.grad.any()


def test_tokens_of_rest_are_those_of_the_encoder() -> None:
    model = resting()
    rest = model.transition.rest
    z = still(model)[0]
    torch.testing.assert_close(rest.tokens, z[:, z.shape[-2] // 2, z.shape[-1] // 2])
    told = [set(group.fields) <= set(REST) for group in model.tokens.groups for _ in range(group.channels)]
    assert rest.tells.tolist() == [float(one) for one in told]
    assert told == [True] * 4 + [False] * 3


def test_rest_of_part_of_a_group_or_without_its_stage_is_refused() -> None:
    with pytest.raises(ValidationError, match="rest: expected all fields of some groups, got \\['velocity_x'\\]"):
        TokenConfig(rest={"velocity_x": 0.0})
    refused = "expected one with objective rest if and only if tokens have rest"
    with pytest.raises(ValidationError, match=refused):
        MicroConfig(tokens=TokenConfig(rest=REST))
    with pytest.raises(ValidationError, match=refused):
        MicroConfig(stages=(STAGE,))
    assert MicroConfig(tokens=TokenConfig(rest=REST), stages=(STAGE,)).stages == (STAGE,)
    with pytest.raises(ValueError, match=r"learn: expected some of the parameter groups \['codec', .*\] of MicroTokens, got \['rest'\]"):
        learn(micro_tokens(), STAGE.learn)


def test_tokens_that_know_no_rest_cannot_find_it() -> None:
    with pytest.raises(ValueError, match="rest: expected tokens that know what is at rest"):
        micro_tokens().find_rest()
