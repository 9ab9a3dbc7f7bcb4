"""The program: its model, its guide and its forecasts say the same, at both scales and in all views."""

from __future__ import annotations

import copy
import inspect
import math
from itertools import islice

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import SVI, Predictive, Trace_ELBO, TraceMeanField_ELBO
from pyro.optim import Adam
from pyro.util import check_model_guide_match, check_site_shape

from probtokens.models import meso, micro, state_space, tokens
from probtokens.models.state_space import NO_SOURCES, Draws, Model
from probtokens.models.tokens import TokenForecaster
from probtokens.verify.token_pairs import GRID, meso_tokens, micro_tokens, window

BUILDERS = {
    "micro": micro_tokens,
    "micro_decoupled": lambda: micro_tokens(coupled=False),
    "micro_mirrored": lambda: micro_tokens(views="mirrored"),
    "micro_shifted": lambda: micro_tokens(views="shifted"),
    "meso": meso_tokens,
}


@pytest.fixture(params=BUILDERS)
def model(request: pytest.FixtureRequest) -> TokenForecaster:
    return BUILDERS[request.param]()


@pytest.mark.parametrize("elbo", [Trace_ELBO, TraceMeanField_ELBO])
def test_model_and_guide_are_a_valid_pair(model: TokenForecaster, elbo: type) -> None:
    frames, context = window()
    with pyro.validation_enabled():
        guide_trace = poutine.trace(model.guide).get_trace(frames, context)
        model_trace = poutine.trace(poutine.replay(model.model, guide_trace)).get_trace(frames, context)
        for trace in (guide_trace, model_trace):
            trace.compute_log_prob()
            for site in trace.nodes.values():
                if site["type"] == "sample":
                    check_site_shape(site, max_plate_nesting=1)
        check_model_guide_match(model_trace, guide_trace, max_plate_nesting=1)
        loss = elbo(max_plate_nesting=1)(model.model, model.guide)(frames, context)
    assert torch.isfinite(loss)


def test_the_density_depends_on_the_values_of_sites_alone(model: TokenForecaster) -> None:
    """Not on which tensors hold them, nor on whether the guide has just sampled them."""
    frames, context = window()
    torch.manual_seed(0)
    with torch.no_grad():
        guide_trace = poutine.trace(model.guide).get_trace(frames, context)
        values = {name: site["value"].clone() for name, site in guide_trace.nodes.items() if site["type"] == "sample"}

        def density() -> float:
            return float(poutine.trace(poutine.condition(model.model, values)).get_trace(frames, context).log_prob_sum())

        replayed = float(poutine.trace(poutine.replay(model.model, guide_trace)).get_trace(frames, context).log_prob_sum())
        assert density() == replayed
        poutine.trace(model.guide).get_trace(frames, context)
        assert density() == replayed
        model.load_state_dict(copy.deepcopy(model.state_dict()))
        assert density() == replayed
        values["z_1"] = values["z_1"] + 0.01
        assert density() != replayed


@pytest.mark.parametrize("parallel", [False, True])
def test_predictive_frames_have_draws_in_front(model: TokenForecaster, parallel: bool) -> None:
    frames, context = window(n_simulations=2, n_times=1)
    with torch.no_grad():
        predictive = Predictive(model.model, guide=model.guide, num_samples=3, parallel=parallel)
        assert predictive(frames, context, 3)["x"].shape == (3, 2, 3, *frames.shape[2:])


@pytest.mark.parametrize("parallel", [False, True])
def test_all_frames_may_be_observed_in_draws(model: TokenForecaster, parallel: bool) -> None:
    """The guide's backward messages have draws in front as well."""
    frames, context = window()
    larger = int(model.tokens.views == "shifted")
    with torch.no_grad():
        z = Predictive(model.guide, num_samples=3, parallel=parallel)(frames, context)["z_2"]
    assert z.shape == (3, 2, 7, 2 + larger, 3 + larger)


def test_forecasts_are_what_predictive_draws(model: TokenForecaster) -> None:
    """In mean, spread and quantiles of every field, and within bounds."""
    frames, context = window(n_simulations=2, n_times=1)
    n = 400
    with torch.no_grad():
        torch.manual_seed(0)
        x = Predictive(model.model, guide=model.guide, num_samples=n, parallel=True)(frames, context, 3)["x"][:, :, -1]
    *_, last = model.forecast(frames[:, 0], context, grid=GRID, n_steps=3, n_draws=n, seed=1)
    for number, spec in enumerate(model.fields):
        ours, theirs = last[:, :, number], x[:, :, number]
        for draws in (ours, theirs):
            assert spec.lower is None or draws.min() >= spec.lower
            assert spec.upper is None or draws.max() <= spec.upper
        z = (ours.mean(0) - theirs.mean(0)) / ((ours.var(0) + theirs.var(0)) / n).sqrt().clamp_min(1e-6 * float(theirs.std()))
        # Draws share effects and weights between pixels, which are not independent.
        assert z.square().mean().sqrt() < 1.5, spec.name
        assert float(ours.std(0).mean() / theirs.std(0).mean()) == pytest.approx(1.0, abs=0.06), spec.name
        for level in (0.1, 0.5, 0.9):
            share = (theirs <= ours.quantile(level, dim=0)).float().mean(0)
            inside = ours.quantile(level, dim=0) < theirs.amax(0)  # where a bound holds many draws, more lie at or below the quantile
            assert float(share[inside].mean()) == pytest.approx(level, abs=0.03) or spec.name == "solid_fraction", (spec.name, level)


def test_a_narrower_forecast_is_told_from_what_predictive_draws() -> None:
    """Without one source the same comparison fails."""
    model = micro_tokens()
    frames, context = window(n_simulations=2, n_times=1)
    n = 400
    with torch.no_grad():
        x = Predictive(model.model, guide=model.guide, num_samples=n, parallel=True)(frames, context, 3)["x"][:, :, -1]
    sources = state_space.ALL_SOURCES - {state_space.Source.DECODER}
    *_, last = model.forecast(frames[:, 0], context, grid=GRID, n_steps=3, n_draws=n, seed=1, sources=sources)
    assert float(last[:, :, 1].std(0).mean() / x[:, :, 1].std(0).mean()) < 0.94


def test_halves_of_an_ensemble_have_the_spread_of_the_whole(model: TokenForecaster) -> None:
    """Draws do not depend on how many are asked for."""
    frames, context = window(n_simulations=2, n_times=1)
    *_, last = model.forecast(frames[:, 0], context, grid=GRID, n_steps=3, n_draws=64, seed=1)
    pressure = last[:, :, 1]
    for half in (pressure[:32], pressure[32:]):
        assert float(half.var(0).mean() / pressure.var(0).mean()) == pytest.approx(1.0, abs=0.15)
    *_, few = model.forecast(frames[:, 0], context, grid=GRID, n_steps=3, n_draws=2, seed=1)
    many = [next(islice(model.forecast(frames[:, 0], context, grid=GRID, n_steps=3, n_draws=2, seed=seed), 2, None)) for seed in range(96)]
    pairs = torch.stack([pair[0, :, 1] - pair[1, :, 1] for pair in many])
    assert few.shape[0] == 2
    assert float(pairs.square().mean() / 2 / pressure.var(0).mean()) == pytest.approx(1.0, abs=0.2)


def test_steps_are_taken_in_one_place() -> None:
    """Every caller of ``step`` but the smoother's linearisation is ``trajectory``."""
    sources = "".join(inspect.getsource(module) for module in (state_space, tokens, micro, meso))
    assert sources.count(".step(") == 2


def test_a_trajectory_given_all_values_is_those_values() -> None:
    model = micro_tokens()
    frames, context = window()
    with torch.no_grad():
        first = model.first_tokens(frames[:, 0])
        vector = model.context_vector(context)
        drawn = list(islice(model.trajectory(first, vector, Draws(3, torch.Generator().manual_seed(0))), 4))
        given = {f"z_{t}": z for t, z in enumerate(drawn)}
        again = list(islice(model.trajectory(first, vector, Draws(3, sources=NO_SOURCES, given=given)), 4))
    for one, other in zip(drawn, again, strict=True):
        assert torch.equal(one, other)


def test_effects_act_in_a_given_trajectory_as_in_a_drawn_one() -> None:
    model = micro_tokens()
    frames, context = window()
    u = torch.randn(2, 1, 3, 1, 1)
    with torch.no_grad():
        first, vector = model.first_tokens(frames[:, 0]), model.context_vector(context)
        (*_, far), (*_, zero) = (
            list(islice(model.trajectory(first, vector, Draws(2, sources=NO_SOURCES, given=given)), 3)) for given in ({"u": u}, {})
        )
    assert not torch.allclose(far, zero)


def test_models_of_one_process_learn_each_their_own_parameters() -> None:
    """Pyro's global store is not used: plain SVI of a second model changes the second model alone."""
    pyro.clear_param_store()
    frames, context = window()
    models = [micro_tokens(seed=1), micro_tokens(seed=2), meso_tokens(seed=3)]
    for number, model in enumerate(models):
        before = [{name: value.detach().clone() for name, value in other.named_parameters()} for other in models]
        SVI(model.model, model.guide, Adam({"lr": 1e-3}), Trace_ELBO()).step(frames, context)
        for other, (one, old) in enumerate(zip(models, before, strict=True)):
            changed = {name for name, value in one.named_parameters() if not torch.equal(value, old[name])}
            learning = {name for name, value in one.named_parameters() if value.requires_grad}
            assert changed == (learning if other == number else set())
    assert not list(pyro.get_param_store().keys())


def test_copies_learn_apart() -> None:
    frames, context = window()
    model = micro_tokens()
    copied = copy.deepcopy(model)
    before = model.state_dict()["autoencoder.pixel_raw_scale"].clone()
    SVI(copied.model, copied.guide, Adam({"lr": 1e-3}), Trace_ELBO()).step(frames, context)
    assert torch.equal(model.autoencoder.pixel_raw_scale, before)
    assert not torch.equal(copied.autoencoder.pixel_raw_scale, before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda frames, context: (frames[:, :, :3], context), r"frames: expected shape \(simulation, time, field, y, x\) with fields"),
        (lambda frames, context: (frames[..., :20], context), "multiples of the patch of 8"),
        (lambda frames, context: (frames[0], context), r"got \(4, 5, 16, 24\)"),
        (lambda frames, context: (frames, context[:, 0]), r"context: expected shape \(simulation, context\) = \(2, 1\), got \(2,\)"),
        (lambda frames, context: (frames[:, :1], context), "at least 2 frames along time, or n_steps >= 1"),
    ],
)
def test_windows_that_do_not_fit_are_refused_by_name(change, message: str) -> None:
    model = micro_tokens()
    for part in (model.model, model.guide):
        with pytest.raises(ValueError, match=message):
            part(*change(*window()))


def test_windows_of_a_population_weigh_as_all_of_it() -> None:
    """Weights shared by all trajectories meet their prior once; local sites stand for the whole set."""
    model = meso_tokens()
    assert model.population == (3, 5)
    frames, context = window(n_simulations=1, n_times=3)
    torch.manual_seed(0)
    trace = poutine.trace(model.model).get_trace(frames, context)
    scales = {name: site["scale"] for name, site in trace.nodes.items() if site["type"] == "sample" and not name.startswith("_")}
    assert scales["w"] == 1.0
    assert scales["u"] == 3.0
    assert scales["z_1"] == scales["x"] == pytest.approx(3.0 * 4 / 2)


def test_means_are_those_of_the_distributions() -> None:
    model = meso_tokens()
    frames, context = window()
    with torch.no_grad():
        first, vector = model.first_tokens(frames[:, 0]), model.context_vector(context)
        zero, one, *_ = islice(model.continued(first, vector, Draws(1, sources=NO_SOURCES)), 2)
        assert torch.equal(zero[0], first.mean)
        weights = model.weights(model.weight_posterior().mean)
        expected = model.step(zero, torch.zeros(2, *model.effect_shape(2, 3)), vector, weights)
    torch.testing.assert_close(one, expected.mean)


def test_the_model_is_a_module_that_owns_no_copy() -> None:
    model = micro_tokens()
    assert isinstance(model.model, Model)
    assert {id(p) for p in model.model.parameters()} == {id(p) for p in model.parameters()}
    assert math.isclose(sum(p.numel() for p in model.model.parameters()), sum(p.numel() for p in model.parameters()))
