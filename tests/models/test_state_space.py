"""The Pyro pair: valid at both scales, exact where an exact answer exists, wrong when it is made wrong."""

from __future__ import annotations

import math

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import Predictive, Trace_ELBO, TraceMeanField_ELBO
from pyro.util import check_model_guide_match, check_site_shape
from torch.distributions import Normal

from probtokens.models.objectives import negative_elbo
from probtokens.models.state_space import (
    REFERENCE_SCALE,
    GuideNotes,
    Scales,
    evenly_attended,
    local_parameters,
    product,
)
from probtokens.models.tokens import TokenForecaster
from probtokens.verify.token_pairs import meso_tokens, micro_tokens, window

BUILDERS = {
    "micro": micro_tokens,
    "micro_decoupled": lambda: micro_tokens(coupled=False),
    "meso": meso_tokens,
}


@pytest.fixture(params=BUILDERS)
def tokens(request: pytest.FixtureRequest) -> TokenForecaster:
    return BUILDERS[request.param]()


@pytest.mark.parametrize("elbo", [Trace_ELBO, TraceMeanField_ELBO])
def test_model_and_guide_are_a_valid_pair(tokens: TokenForecaster, elbo: type) -> None:
    frames, context = window()
    vector = tokens.context_vector(context)
    with pyro.validation_enabled(), local_parameters():
        guide_trace = poutine.trace(tokens.guide).get_trace(frames, vector)
        model_trace = poutine.trace(poutine.replay(tokens.model, guide_trace)).get_trace(frames, vector)
        for trace in (guide_trace, model_trace):
            trace.compute_log_prob()
            for site in trace.nodes.values():
                if site["type"] == "sample":
                    check_site_shape(site, max_plate_nesting=1)
        check_model_guide_match(model_trace, guide_trace, max_plate_nesting=1)
        loss = elbo(max_plate_nesting=1)(tokens.model, tokens.guide)(frames, vector)
    assert torch.isfinite(loss)


def test_what_the_guide_noted_changes_nothing_but_the_cost(tokens: TokenForecaster, monkeypatch: pytest.MonkeyPatch) -> None:
    frames, context = window()
    vector = tokens.context_vector(context)

    def loss() -> float:
        torch.manual_seed(3)
        return float(negative_elbo(tokens.model, tokens.guide, frames, vector, Scales()).detach())

    calls = []
    tokens.dynamics.register_forward_hook(lambda *_: calls.append(1))
    with_notes = loss()
    n_with = len(calls)
    monkeypatch.setattr(GuideNotes, "transition", lambda self, z: None)
    assert loss() == pytest.approx(with_notes, rel=1e-5)
    n_without = len(calls) - n_with
    assert n_with == 4  # one of them for the messages
    assert n_without == n_with + 3


@pytest.mark.parametrize("parallel", [False, True])
def test_predictive_frames_have_draws_in_front(tokens: TokenForecaster, parallel: bool) -> None:
    frames, context = window(n_simulations=2, n_times=1)
    with local_parameters(), torch.no_grad():
        predictive = Predictive(tokens.model, guide=tokens.guide, num_samples=3, parallel=parallel)
        assert predictive(frames, tokens.context_vector(context), 3)["x"].shape == (3, 2, 4, *frames.shape[2:])


@pytest.mark.parametrize("parallel", [False, True])
def test_all_frames_may_be_observed_in_draws(tokens: TokenForecaster, parallel: bool) -> None:
    """The guide's backward messages have draws in front as well."""
    frames, context = window()
    with local_parameters(), torch.no_grad():
        predictive = Predictive(tokens.guide, num_samples=3, parallel=parallel)
        z = predictive(frames, tokens.context_vector(context))["z_2"]
    assert z.shape == (3, 2, 7, 2, 3)


def test_forecast_is_the_posterior_predictive(tokens: TokenForecaster) -> None:
    frames, context = window(n_simulations=2, n_times=1)
    physical = tokens.normalizer.denormalize(frames[:, 0])
    physical_context = context * tokens.normalizer.context_scale + tokens.normalizer.context_mean
    with local_parameters(), torch.no_grad():
        torch.manual_seed(0)
        x = Predictive(tokens.model, guide=tokens.guide, num_samples=400, parallel=True)(frames, tokens.context_vector(context), 3)["x"]
    *_, last = tokens.forecast(physical, physical_context, grid=tokens.grid, n_steps=3, n_draws=400, seed=1)
    pressure = (last[:, :, 1] - 6.0) / 5.0  # a field without bounds, hence without clipping
    expected = x[:, :, -1, 1]
    z = (pressure.mean(0) - expected.mean(0)) / ((pressure.var(0) + expected.var(0)) / 400).sqrt()
    assert z.square().mean().sqrt() == pytest.approx(1.0, abs=0.3)  # pixels of a patch are not independent
    assert (pressure.std(0) / expected.std(0)).mean() == pytest.approx(
        1.0, abs=0.06
    )  # shared noise is drawn 400 times, whatever the number of pixels


def test_product_of_gaussians_is_the_conjugate_posterior() -> None:
    prior, likelihood = Normal(torch.tensor(1.0), torch.tensor(2.0)), Normal(torch.tensor(4.0), torch.tensor(1.0))
    posterior = product(prior, likelihood)
    assert float(posterior.mean) == pytest.approx(1.0 + 4.0 / 5.0 * 3.0)
    assert float(posterior.stddev) == pytest.approx(math.sqrt(4.0 / 5.0))


def test_even_attention_changes_gradients_of_the_mean_alone() -> None:
    mean = torch.tensor([0.3, 0.3], requires_grad=True)
    scale = torch.tensor([0.05, 2.0], requires_grad=True)
    x = torch.tensor([1.0, 1.0])
    plain, even = Normal(mean, scale), evenly_attended(Normal(mean, scale))
    torch.testing.assert_close(even.log_prob(x), plain.log_prob(x))
    grad_mean, grad_scale = torch.autograd.grad(even.log_prob(x).sum(), (mean, scale))
    torch.testing.assert_close(grad_mean, (x - mean).detach() / REFERENCE_SCALE**2)
    torch.testing.assert_close(grad_scale, torch.autograd.grad(plain.log_prob(x).sum(), scale)[0])
