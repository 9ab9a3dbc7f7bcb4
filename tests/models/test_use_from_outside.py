"""Token models without the pipeline: frames to tokens, tokens to later tokens, tokens to frames."""

import math

import pytest
import torch
from probtokens.models.forecast import ALL_SOURCES, NO_SOURCES

from probtokens.config import StageConfig
from probtokens.data import Batch
from probtokens.models.state_space import Belief
from probtokens.models.tokens import TokenForecaster
from probtokens.report.model_card import write_card
from probtokens.verify.token_pairs import GRID, SCALE, meso_tokens, micro_tokens, window


@pytest.fixture(params=[micro_tokens, meso_tokens])
def model(request: pytest.FixtureRequest) -> TokenForecaster:
    return request.param()


def physical(model: TokenForecaster) -> tuple[torch.Tensor, torch.Tensor]:
    frames, context = window()
    return model.normalizer.denormalize(frames), context * model.normalizer.context_scale + model.normalizer.context_mean


def test_encode_and_decode_keep_leading_axes_and_units(model):
    frames, _ = physical(model)
    tokens = model.encode(frames)
    assert tokens.mean.shape == (2, 4, 7, 2, 3)
    decoded = model.decode(tokens.mean)
    assert decoded.mean.shape == frames.shape
    expected = model.autoencoder.decode(tokens.mean).stddev * SCALE[:, None, None]
    torch.testing.assert_close(decoded.stddev, expected.detach())
    assert not decoded.mean.requires_grad


def test_a_rollout_decodes_to_the_forecast(model):
    frames, context = physical(model)
    tokens = model.rollout(frames[:, 0], context, n_steps=3, n_draws=5, seed=4)
    assert tokens.shape == (5, 2, 3, 7, 2, 3)
    torch.testing.assert_close(tokens, model.rollout(frames[:, 0], context, n_steps=3, n_draws=5, seed=4))
    assert not torch.equal(tokens, model.rollout(frames[:, 0], context, n_steps=3, n_draws=5, seed=5))
    first = next(model.forecast(frames[:, 0], context, grid=GRID, n_steps=3, n_draws=5, seed=4))
    decoded = model.decode(tokens[:, :, 0])
    pressure = 1  # without bounds, hence without clipping
    standardised = ((first - decoded.mean) / decoded.stddev)[:, :, pressure]
    assert standardised.std() == pytest.approx(1.0, abs=0.1)
    assert standardised.mean() == pytest.approx(0.0, abs=0.1)


def test_the_card_names_fields_units_and_training(model, tmp_path):
    path = tmp_path / "model.pt"
    model.save(path)
    write_card(path, model, {"micro simulations": "96", "seed": "0"})
    card = (tmp_path / "model_card.md").read_text()
    for part in (
        "| temperature | K | 700 | 400 |",
        "| micro simulations | 96 |",
        "45.7 times fewer",
        f"{type(model).__name__}.load",
        "Forecasts temperature, pressure",
        "| left as it is | nothing |",
    ):
        assert part in card
    code = card.split("```python")[1].split("```")[0].replace('"model.pt"', f'"{path}"')
    frames, context = physical(model)
    names = {"frames": frames, "context": context}
    exec(code, names)
    assert names["fields"].mean.shape == (50, 2, 20, 5, 16, 24)


def test_a_rollout_takes_any_extent_and_names_what_does_not_fit(model):
    frames, context = physical(model)
    wide = torch.cat([frames[:, 0], frames[:, 0]], dim=-1)
    assert model.rollout(wide, context, n_steps=1, n_draws=1).shape == (1, 2, 1, 7, 2, 6)
    with pytest.raises(ValueError, match="fields"):
        model.rollout(frames[:, 0, :2], context, n_steps=1, n_draws=1)
    with pytest.raises(ValueError, match="context"):
        model.rollout(frames[:, 0], context[:, :0], n_steps=1, n_draws=1)


@pytest.mark.parametrize("horizon", [0, 2])
def test_noise_is_judged_by_what_its_own_mean_misses(model, horizon):
    """Against the model's own Gaussians, channel by channel, with weights like their scales; and only what tells noise learns."""
    frames, context = window(n_times=horizon + 1)
    stage = StageConfig(name="s", objective="noise", steps=1, horizon=horizon, batch_size=2, learn="uncertainty")
    model.begin_stage(stage)
    loss = model.loss(Batch(frames, context, torch.zeros(2, dtype=torch.int64)), stage)["loss"]
    loss.backward()
    learned = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    assert learned
    assert all({"spread", "pixel_raw_scale", "noise_log_factor"} & set(name.split(".")) for name in learned)
    tokens = model.token_means(frames)
    seen = model.autoencoder.decode(tokens)
    pixels = sum(average_nats(*(part[:, :, k] for part in (seen.mean, seen.stddev, frames))) for k in range(frames.shape[2]))
    expected = pixels * model.scales.pixels * model.tokens.patch**2
    if horizon:
        z = tokens[None, :, :-1].flatten(1, 2)
        each = model.context_vector(context).repeat_interleave(horizon, dim=0)
        belief = Belief(z, z, torch.full_like(z, -5.0))
        step = model.dynamics(belief, torch.zeros(1, 2 * horizon, 3, 1, 1), each, model.central_weights())
        after = tokens[None, :, 1:].flatten(1, 2)
        parts = (step.mean, step.stddev, after)
        expected = expected + sum(average_nats(*(part[0, :, k] for part in parts)) for k in range(after.shape[2]))
    torch.testing.assert_close(loss, expected)


def average_nats(mean, scale, truth):
    """Gaussian negative log-likelihood in nats, values weighted by their standard deviation."""
    nats = 0.5 * ((truth - mean) / scale).square() + scale.log() + 0.5 * math.log(2 * math.pi)
    return (nats * scale).sum() / scale.sum()


@pytest.mark.parametrize(
    ("horizon", "field_weights", "shares"),
    [(1, {}, [1, 1, 1, 1, 1]), (3, {}, [1, 1, 1, 1, 1]), (3, {"temperature": 4.0, "velocity_y": 2.0}, [4, 1, 1, 1, 2])],
)
def test_latent_errors_are_those_of_fields_by_the_linear_decoder(model, horizon, field_weights, shares):
    """Against the model's own steps and its linear decoder, pixel by pixel; the groups' fields are in another order than the frames'."""
    frames, context = window(n_times=horizon + 1)
    tokens = model.token_means(frames)
    stage = StageConfig(name="s", objective="latent", steps=1, horizon=horizon, batch_size=2, field_weights=field_weights)
    model.begin_stage(stage)
    assert not any(p.requires_grad for p in model.autoencoder.parameters())
    found = model.loss(Batch(tokens, context, torch.zeros(2, dtype=torch.int64)), stage)["loss"]
    found.backward()
    assert any(p.grad is not None for p in model.dynamics.parameters())
    z, errors = tokens[:, 0], []
    known = torch.full_like(z, -5.0)
    belief, u = Belief(z, z, known), torch.zeros(2, 3, 1, 1)
    for lead in range(1, horizon + 1):
        step = model.dynamics(belief, u, model.context_vector(context), model.central_weights())
        belief = Belief(*(part.reshape(z.shape) for part in (step.mean, step.mean, step.marginal.stddev.log())))
        linear = model.autoencoder.linear_decode
        errors.append((linear(belief.z) - linear(tokens[:, lead])).square().mean((0, 2, 3)))
    weights = torch.tensor(shares, dtype=torch.float32)
    torch.testing.assert_close(found, (torch.stack(errors).mean(0) * weights).sum() / weights.sum())


@pytest.mark.parametrize(("objective", "key"), [("latent", "field_weights"), ("score", "hot_spots")])
def test_fields_that_a_model_does_not_have_are_refused(model, objective, key):
    stage = StageConfig(name="s", objective=objective, steps=1, horizon=1, **{key: {"density": 2.0}})
    with pytest.raises(ValueError, match=rf"s: {key}: expected some of \['temperature', .*\], got \['density'\]"):
        model.begin_stage(stage)


def test_hot_spots_are_scored_beside_fields_from_thresholds_in_their_units(model):
    frames, context = window()
    mean = float(model.normalizer.field_mean[0])

    def parts(**hot_spots):
        stage = StageConfig(name="s", objective="score", steps=1, horizon=3, members=3, decoder_noise=True, **hot_spots)
        return model.loss(Batch(frames, context, torch.arange(len(frames))), stage)

    plain = parts()
    scored, out_of_reach = (parts(hot_spots={"temperature": limit}, hot_spot_weight=0.5) for limit in (mean, mean + 1e6))
    assert "hot_spots" not in plain
    assert scored["hot_spots"].item() > 0.05
    torch.testing.assert_close(scored["loss"], scored["crps"] + 0.1 * scored["energy"] + scored["hot_spots"] / 2)
    assert out_of_reach["hot_spots"].item() < 1e-6
    # Decoder noise learns from the rest alone.
    noise = model.autoencoder.pixel_raw_scale
    assert torch.autograd.grad(scored["hot_spots"], noise, retain_graph=True, allow_unused=True) == (None,)
    assert torch.autograd.grad(scored["loss"], noise)[0].any()


def test_given_effects_take_the_place_of_drawn_ones(model):
    frames, context = physical(model)
    quiet = model.rollout(frames[:, 0], context, n_steps=3, n_draws=2, sources=NO_SOURCES)
    torch.testing.assert_close(quiet[0], quiet[1], rtol=1e-5, atol=1e-5)
    zero = torch.zeros(model.effect_shape(2, 3))
    again = model.rollout(frames[:, 0], context, n_steps=3, n_draws=1, effects=zero, sources=NO_SOURCES)
    torch.testing.assert_close(again[0], quiet[0], rtol=0.0, atol=1e-6)
    effects = torch.stack([zero, zero + 2.0])[:, None]
    moved = model.rollout(frames[:, 0], context, n_steps=3, n_draws=2, effects=effects, sources=NO_SOURCES)
    torch.testing.assert_close(moved[0], quiet[0], rtol=0.0, atol=1e-6)
    assert (moved[1] - quiet[1]).abs().max() > 1e-3
    noisy = model.rollout(frames[:, 0], context, n_steps=3, n_draws=2, effects=zero)
    assert not torch.equal(noisy[0], noisy[1])


def test_a_rollout_without_noise_is_the_chain_of_means(model):
    """Against the model's own steps, one after the other."""
    frames, context = physical(model)
    quiet = model.rollout(frames[:, 0], context, n_steps=2, n_draws=1, sources=NO_SOURCES)[0]
    start = model.encode(frames[:, 0])
    belief, u = Belief(start.mean, start.mean, start.stddev.log()), torch.zeros(2, *model.effect_shape(2, 3))
    vector = model.context_vector(model.normalizer.normalize_context(context))
    for lead in range(2):
        step = model.dynamics(belief, u, vector, model.central_weights())
        belief = Belief(*(part.detach().reshape(start.mean.shape) for part in (step.mean, step.mean, step.marginal.stddev.log())))
        torch.testing.assert_close(quiet[:, lead], belief.z)


def test_effects_of_another_lattice_are_refused(model):
    frames, context = physical(model)
    with pytest.raises(ValueError, match=r"effects: expected shape .*\(2, 2, 3, 1, 1\), got \(3, 2, 2\)"):
        model.rollout(frames[:, 0], context, n_steps=1, n_draws=2, effects=torch.zeros(3, 2, 2))


def test_half_a_precision_changes_rounding_alone():
    """Convolutions of a forecast lose digits; noise, tokens and frames do not."""
    exact, rounded = micro_tokens(), micro_tokens(precision="bfloat16")
    frames, context = physical(exact)
    for sources, tolerance in ((NO_SOURCES, 0.02), (ALL_SOURCES, 0.1)):  # a scale is the exponential of what is rounded
        pairs = [model.rollout(frames[:, 0], context, n_steps=3, n_draws=3, sources=sources) for model in (exact, rounded)]
        assert pairs[1].dtype == torch.float32
        error, size = (pairs[1] - pairs[0]).abs().max(), (pairs[0] - exact.encode(frames[:, 0]).mean[None, :, None]).abs().max()
        assert 0 < error < tolerance * size
    forecasts = [next(model.forecast(frames[:, 0], context, grid=GRID, n_steps=1, n_draws=3, seed=0)) for model in (exact, rounded)]
    assert forecasts[1].dtype == torch.float32
    difference = (forecasts[1] - forecasts[0]) / SCALE[:, None, None]
    assert 0 < difference.abs().max() < 0.05


@pytest.mark.slow
def test_compiled_networks_forecast_the_same():
    exact, compiled = micro_tokens(), micro_tokens()
    compiled.compile_networks()
    frames, context = physical(exact)
    options = {"grid": GRID, "n_steps": 2, "n_draws": 3, "seed": 0}
    for ours, theirs in zip(*(model.forecast(frames[:, 0], context, **options) for model in (compiled, exact)), strict=True):
        torch.testing.assert_close(ours / SCALE[:, None, None], theirs / SCALE[:, None, None], rtol=0, atol=1e-3)
