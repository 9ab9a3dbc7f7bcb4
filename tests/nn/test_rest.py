"""A transition that leaves material at rest where it is."""

from __future__ import annotations

import pytest
import torch

from probtokens.config import MesoConfig, TokenConfig
from probtokens.models.meso import MesoTokens
from probtokens.models.micro import MicroTokens
from probtokens.models.state_space import ALL_SOURCES, Source
from probtokens.models.tokens import TokenForecaster
from probtokens.nn.rest import RestGate
from probtokens.verify.token_pairs import GRID, MESO, micro_tokens, normalizer, randomise

REST = {"temperature": 300.0, "pressure": 0.0}

#: All that moves tokens; other noise is white, and wide with random weights.
MOVING = ALL_SOURCES - {Source.INITIAL, Source.DECODER}


def resting(speed: float = 8.0) -> MicroTokens:
    """Tokens with random weights that know temperature and pressure at rest."""
    groups = [{"fields": (name,), "channels": 2} for name in REST]
    groups.append({"fields": ("solid_fraction", "velocity_x", "velocity_y"), "channels": 3})
    settings = micro_tokens().tokens.model_dump() | {"groups": groups, "rest": REST, "wave_speed": speed, "patch": 2}
    torch.manual_seed(0)
    model = MicroTokens(TokenConfig.model_validate(settings), normalizer(), GRID)
    randomise(model)
    return model


def meso(micro: MicroTokens) -> MesoTokens:
    """The same, changed at random."""
    model = MesoTokens(micro, MesoConfig.model_validate(MESO.model_dump()), n_simulations=3, n_times=GRID.n_times)
    randomise(model.posterior)
    return model


def frame(model: TokenForecaster, *, at_rest: bool = True) -> torch.Tensor:
    """First frame (1, field, y, x) with random fields, but for those at rest."""
    generator = torch.Generator().manual_seed(0)
    frame = model.normalizer.denormalize(torch.randn(1, len(model.fields), *GRID.shape, generator=generator))
    frame = frame.clamp(model.lower, model.upper)
    for number, spec in enumerate(model.fields):
        if at_rest and spec.name in REST:
            frame[:, number] = REST[spec.name]
    return frame


def test_the_gate_is_shut_where_all_within_reach_are_at_rest_and_open_where_one_is_not() -> None:
    rest = RestGate([True, True, False], reach=2)
    apart = torch.zeros(1, 3, 7, 12)
    apart[:, 2] = torch.randn(7, 12)  # what tells no rest may be as it likes
    assert not rest(apart)[:, :2].any()
    assert (rest(apart)[:, 2] == 1).all()
    apart[:, 1, 1, 4] = 5.0
    expected = torch.zeros(7, 12)
    expected[:4, 2:7] = 1.0
    torch.testing.assert_close(rest(apart)[0, 0], expected)
    torch.testing.assert_close(rest(apart)[0, 1], expected)
    apart[:, 1, 1, 4] = 0.2
    torch.testing.assert_close(rest(apart)[0, 0], expected * (1 - torch.tensor(-0.5).exp()))


@pytest.mark.parametrize("build", [resting, lambda: meso(resting())], ids=["micro", "meso"])
def test_nothing_drifts_at_rest_whatever_effect_context_and_weights(build) -> None:
    """The mean of the forecast stays within its small noise; with the gate open the same weights drift."""
    model = build()
    first = frame(model)
    opened = build()
    opened.rest.tells.zero_()
    for pressure in (5.0, 15.0):
        context = torch.full((1, 1), pressure)
        settings = {"grid": model.grid, "n_steps": 4, "n_draws": 8, "seed": 0, "sources": MOVING}
        still, drifting = (list(some.forecast(first, context, **settings)) for some in (model, opened))
        change, drift = ((frames[3] - frames[0])[:, 0, 0].mean(0).abs().max() for frames in (still, drifting))
        assert change < 2.0  # kelvin; what is left is noise
        assert drift > 10 * change


def test_the_drift_of_tokens_at_rest_is_exactly_zero_and_their_noise_the_least() -> None:
    model = meso(resting())
    z = model.encode(frame(model)).mean
    tells = model.rest.tells.flatten().bool()
    u = torch.randn(1, *model.effect_shape(*z.shape[-2:]))
    weights = model.weights(torch.randn(model.prior.size)[None])
    step = model.step(z, u, torch.randn(1, 2), weights)
    assert torch.equal(step.mean[:, tells], z[:, tells])
    assert float(step.stddev.detach()[:, tells].max()) < 0.0011
    assert (step.mean[:, ~tells] != z[:, ~tells]).any()


@pytest.mark.parametrize(("speed", "reach"), [(0.6, 1), (0.7, 2), (8.0, 13)])
def test_the_reach_of_a_step_is_how_far_the_fastest_wave_comes(speed: float, reach: int) -> None:
    """Patches of 2 cells of 0.04 µm, frames every 0.125 ns."""
    assert resting(speed).rest.reach == reach


def test_channels_tell_rest_whose_fields_all_rest() -> None:
    model = resting()
    assert model.rest.tells.flatten().tolist() == [1.0] * 4 + [0.0] * 3


def test_rest_of_part_of_a_group_is_refused() -> None:
    with pytest.raises(ValueError, match="rest: expected all fields of some groups, got \\['velocity_x'\\]"):
        TokenConfig(rest={"velocity_x": 0.0}).of(normalizer().fields)
