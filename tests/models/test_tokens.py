"""Token models without the pipeline: frames to tokens and back, in physical units."""

from __future__ import annotations

import pyro
import pytest
import torch
from pyro.infer import Predictive

from probtokens.config import TokenConfig
from probtokens.data import Normalizer, TrajectorySet
from probtokens.models.meso import MesoTokens
from probtokens.models.micro import MicroTokens
from probtokens.models.state_space import NO_SOURCES
from probtokens.models.tokens import TokenForecaster
from probtokens.verify.token_pairs import FIELDS, GRID, SCALE, meso_tokens, micro_tokens, window


@pytest.fixture(params=[micro_tokens, meso_tokens])
def model(request: pytest.FixtureRequest) -> TokenForecaster:
    return request.param()


def test_encode_and_decode_keep_leading_axes_and_units(model: TokenForecaster) -> None:
    frames, _ = window()
    tokens = model.encode(frames)
    assert tokens.mean.shape == (2, 4, 7, 2, 3)
    decoded = model.decode(tokens.mean)
    assert decoded.mean.shape == frames.shape
    expected = model.autoencoder.decode(tokens.mean).stddev * SCALE[:, None, None]
    torch.testing.assert_close(decoded.scale, expected.detach())
    assert not decoded.mean.requires_grad
    assert decoded.mean[..., 2, :, :].max() <= 1.0


def test_a_forecast_without_noise_is_the_chain_of_means(model: TokenForecaster) -> None:
    """Against the model's own steps, one after the other."""
    frames, context = window()
    quiet = list(model.forecast(frames[:, 0], context, grid=GRID, n_steps=2, n_draws=1, seed=0, sources=NO_SOURCES))
    z, u = model.encode(frames[:, 0]).mean, torch.zeros(2, *model.effect_shape(2, 3))
    weights = model.weights(model.weight_posterior().mean) if model.weight_prior() is not None else {}
    for frame in quiet:
        with torch.no_grad():
            z = model.step(z, u, model.context_vector(context), weights).mean
        decoded = model.decode(z)
        torch.testing.assert_close(frame[0], decoded.bounded(decoded.loc))


def test_forecasts_take_any_extent_and_name_what_does_not_fit(model: TokenForecaster) -> None:
    frames, context = window()
    from dataclasses import replace

    wide = torch.cat([frames[:, 0], frames[:, 0]], dim=-1)
    larger = replace(GRID, nx=2 * GRID.nx)
    assert next(model.forecast(wide, context, grid=larger, n_steps=1, n_draws=1, seed=0)).shape == (1, 2, 5, 16, 48)
    with pytest.raises(ValueError, match="fields"):
        model.forecast(frames[:, 0, :2], context, grid=GRID, n_steps=1, n_draws=1, seed=0)
    with pytest.raises(ValueError, match="context"):
        model.forecast(frames[:, 0], context[:, :0], grid=GRID, n_steps=1, n_draws=1, seed=0)


def test_a_larger_domain_leaves_the_interior_as_it_was(model: TokenForecaster) -> None:
    from dataclasses import replace

    generator, margin = torch.Generator().manual_seed(0), 32  # cells, more than a step looks around itself
    large = model.normalizer.denormalize(torch.rand(1, len(FIELDS), 128, 160, generator=generator) - 0.5)
    small = large[..., 24:120, 16:112]
    context = torch.tensor([[15.0]])
    noiseless = {"n_steps": 1, "n_draws": 1, "seed": 0, "sources": NO_SOURCES}
    whole, part = (
        next(model.forecast(frames, context, grid=replace(GRID, ny=frames.shape[-2], nx=frames.shape[-1]), **noiseless))
        for frames in (large, small)
    )
    difference = ((whole[..., 24:120, 16:112] - part) / SCALE[:, None, None]).abs()
    assert difference[..., margin:-margin, margin:-margin].max() < 1e-5
    assert difference.max() > 1e-3  # edges of a domain are seen near them


def test_mean_frames_begin_with_the_reconstruction_in_standard_units(model: TokenForecaster) -> None:
    frames, context = window()
    found = list(model.mean_frames(frames[:, 0], context, (0, 2)))
    assert len(found) == 2
    standard = model.normalizer.normalize(frames[:, 0])
    torch.testing.assert_close(found[0], model.autoencoder.decode(model.autoencoder.encode(standard).mean).mean, rtol=1e-4, atol=1e-4)
    assert found[1].requires_grad


def test_rest_is_what_the_encoder_makes_of_fields_at_rest_edges_included() -> None:
    model = micro_tokens(rest={"pressure": 0.0})
    frames = model.normalizer.field_mean[:, None, None].expand(-1, *GRID.shape).clone()
    frames[1] = 0.0
    torch.testing.assert_close(model.at_rest(2, 3), model.encode(frames).mean)


@pytest.mark.parametrize("views", ["one", "shifted"])
def test_smoothing_draws_from_the_guide_given_all_frames(views: str) -> None:
    """Against Pyro's own draws of the guide in mean and spread, and with the shapes of the domain in any view."""
    model, (frames, context) = micro_tokens(views=views), window()
    found = model.smooth(frames, context, n_draws=200, seed=0)
    assert found["z"].shape == (200, 2, 4, 7, 2, 3)
    again = model.smooth(frames, context, n_draws=200, seed=0)
    assert torch.equal(found["z"], again["z"])
    if views == "one":
        pyro.set_rng_seed(0)
        with torch.no_grad():
            drawn = Predictive(model.guide, num_samples=200)(frames, context)
        for ours, theirs in ((found["u"], drawn["u"]), (found["z"][:, :, 3], drawn["z_3"])):
            scale = theirs.std(0)
            assert float(((ours.mean(0) - theirs.mean(0)) / scale).abs().max()) < 0.5
            assert float((ours.std(0) / scale).log().abs().max()) < 0.4
    with pytest.raises(ValueError, match="frames: expected shape"):
        model.smooth(frames[..., :-1], context, n_draws=2, seed=0)


def test_untrained_tokens_begin_at_the_principal_components_of_any_fields() -> None:
    frames, context = window(3)
    names = ("height", "velocity_x", "velocity_y")
    given = {"spacing": GRID.spacing, "time_step": GRID.time_step, "context": {"depth": context[:, 0]}}
    trajectories = TrajectorySet.from_arrays(frames[:, :, [1, 3, 4]], names, **given)
    torch.manual_seed(0)
    tokens = MicroTokens.untrained(trajectories)
    assert [group.fields for group in tokens.tokens.groups] == [("height",), ("velocity_x", "velocity_y")]
    assert tokens.normalizer.context_names == ("depth",)
    torch.manual_seed(0)
    other = MicroTokens(tokens.tokens, Normalizer.fit(trajectories), trajectories.grid)
    errors = []
    for model in (tokens, other):
        x = model.normalizer.normalize(frames[:, 0, [1, 3, 4]])
        errors.append(float((model.autoencoder.decode(model.autoencoder.encode(x).mean).mean - x).square().mean()))
    assert errors[0] < errors[1]
    with pytest.raises(ValueError, match=r"trajectories: expected y and x as multiples of the patch of 7 cells, got \(16, 24\)"):
        MicroTokens.untrained(trajectories, TokenConfig(patch=7, groups=tokens.tokens.groups))
    with pytest.raises(
        ValueError, match=r"groups: expected every field of \['height', 'velocity_x', 'velocity_y'\] once, got \['height'\]"
    ):
        MicroTokens.untrained(trajectories, TokenConfig(groups=tokens.tokens.groups[:1]))
    with pytest.raises(ValueError, match=r"rest: expected all fields of some groups, got \['velocity_x'\]"):
        MicroTokens.untrained(trajectories, TokenConfig(rest={"velocity_x": 0.0}))
    with pytest.raises(ValueError, match=r"trajectories: expected pt.Trajectories, as pt.Trajectories.from_arrays"):
        MicroTokens.untrained(frames)
    with pytest.raises(ValueError, match=r"micro: expected trained MicroTokens, got TrajectorySet"):
        MesoTokens.untrained(trajectories, trajectories)
    meso = MesoTokens.untrained(tokens, trajectories)
    assert meso.population == (3, 4)
