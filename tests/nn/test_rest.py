"""A transition that leaves material at rest where it is."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from probtokens.config import MicroConfig, StageConfig, TokenConfig
from probtokens.data.dataset import Batch
from probtokens.models.micro import MicroTokens
from probtokens.models.state_space import Belief
from probtokens.nn.rest import RestBalance
from probtokens.verify.token_pairs import GRID, micro_tokens, normalizer, window

STAGE = StageConfig(name="rest", objective="latent", steps=1, horizon=1, learn="rest")
REST = {"temperature": 300.0, "pressure": 0.0}


def resting() -> MicroTokens:
    """Tokens of the plain test pair that know temperature and pressure at rest; their random transition drifts there."""
    plain = micro_tokens()
    model = MicroTokens(plain.tokens.model_copy(update={"rest": REST}), normalizer(), GRID)
    model.load_state_dict(plain.state_dict(), strict=False)
    return model


def still(model: MicroTokens) -> torch.Tensor:
    """Tokens of one frame in which nothing has happened yet."""
    frame = model.normalizer.denormalize(torch.zeros(1, len(model.fields), *GRID.shape))
    for number, spec in enumerate(model.fields):
        if spec.name in REST:
            frame[:, number] = REST[spec.name]
    return model.token_means(model.normalizer.normalize(frame))


def step(model: MicroTokens, z: torch.Tensor) -> torch.Tensor:
    context = model.context_vector(torch.zeros(len(z), 1))
    u = torch.zeros(1, len(z), *model.effect_shape(*z.shape[-2:]))
    with torch.no_grad():
        return model.dynamics(Belief(z[None], z[None], torch.full_like(z[None], -5.0)), u, context, {}).mean[0] - z


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
    model.begin_stage(STAGE)
    z = still(model)
    before = step(model, z)
    rest = model.transition.rest
    assert rest is not None
    optimizer = torch.optim.Adam([rest.drift], lr=0.02)
    for _ in range(300):
        batch = Batch(torch.stack([z, z], dim=1), torch.zeros(1, 1), torch.zeros(1, dtype=torch.int64))
        loss = model.loss(batch, STAGE)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    middle = (..., slice(2, -2), slice(2, -2)) if min(z.shape[-2:]) > 4 else (..., z.shape[-2] // 2, z.shape[-1] // 2)
    assert float(before[middle].abs().max()) > 0.02  # the negative control: without balance it drifts
    assert float(step(model, z)[middle].abs().max()) < 0.2 * float(before[middle].abs().max())
    moved = z + 3.0
    plain = resting()
    torch.testing.assert_close(step(model, moved), step(plain, moved))


def test_its_stage_teaches_the_drift_at_rest_and_nothing_else_and_no_other_stage_does() -> None:
    model, frames = resting(), window()[0]
    model.begin_stage(STAGE)
    assert [name for name, parameter in model.named_parameters() if parameter.requires_grad] == ["dynamics.transition.rest.drift"]
    batch = Batch(model.token_means(frames), window()[1], torch.arange(2))
    model.begin_stage(StageConfig(name="latent", objective="latent", steps=1, horizon=1))
    model.loss(batch, StageConfig(name="latent", objective="latent", steps=1, horizon=1))["loss"].backward()
    assert not dict(model.named_parameters())["dynamics.transition.rest.drift"].requires_grad


def test_tokens_of_rest_are_those_of_the_encoder() -> None:
    model = resting()
    model.begin_stage(STAGE)
    rest = model.transition.rest
    assert rest is not None
    z = still(model)[0]
    torch.testing.assert_close(rest.tokens, z[:, z.shape[-2] // 2, z.shape[-1] // 2])
    told = [set(group.fields) <= set(REST) for group in model.tokens.groups for _ in range(group.channels)]
    assert rest.tells.tolist() == [float(one) for one in told]
    assert 0 < sum(told) < len(told)


def test_rest_of_part_of_a_group_or_without_its_stage_is_refused() -> None:
    with pytest.raises(ValidationError, match="rest: expected all fields of some groups, got \\['velocity_x'\\]"):
        TokenConfig(rest={"velocity_x": 0.0})
    with pytest.raises(ValidationError, match="expected one with learn rest if and only if tokens have rest"):
        MicroConfig(tokens=TokenConfig(rest=REST))
    with pytest.raises(ValueError, match="rest: expected learn rest with tokens that have rest only"):
        micro_tokens().begin_stage(STAGE)
    with pytest.raises(ValidationError, match="expected learn rest with objective latent only, got score"):
        StageConfig(name="x", objective="score", steps=1, horizon=1, learn="rest")
