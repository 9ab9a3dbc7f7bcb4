"""The Pyro pair: valid at both scales, exact where an exact answer exists, wrong when it is made wrong."""

from __future__ import annotations

import math

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import Predictive, Trace_ELBO, TraceMeanField_ELBO
from pyro.util import check_model_guide_match, check_site_shape
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, Normal

from probtokens.models.objectives import negative_elbo
from probtokens.models.state_space import (
    REFERENCE_SCALE,
    Belief,
    GuideNotes,
    Scales,
    TokenGuide,
    TokenModel,
    evenly_attended,
    local_parameters,
    product,
)
from probtokens.models.tokens import TokenForecaster
from tests.models.builders import meso_tokens, micro_tokens, window

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
    assert len(calls) - n_with == 2 * n_with


def test_every_parameter_that_should_learn_gets_a_gradient(tokens: TokenForecaster) -> None:
    frames, context = window()
    negative_elbo(tokens.model, tokens.guide, frames, tokens.context_vector(context), Scales()).backward()
    silent = [name for name, p in tokens.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert silent == []


def test_serial_and_parallel_predictive_agree(tokens: TokenForecaster) -> None:
    frames, context = window(n_simulations=2, n_times=1)
    vector = tokens.context_vector(context)
    moments = []
    for parallel in (False, True):
        torch.manual_seed(0)
        with local_parameters(), torch.no_grad():
            predictive = Predictive(tokens.model, guide=tokens.guide, num_samples=120, parallel=parallel)
            x = predictive(frames, vector, 3)["x"]
        assert x.shape == (120, 2, 4, *frames.shape[2:])
        moments.append((x.mean(0), x.std(0)))
    (mean_1, sd_1), (mean_2, sd_2) = moments
    z = (mean_1 - mean_2) / ((sd_1**2 + sd_2**2) / 120).sqrt()
    assert z.std() == pytest.approx(1.0, abs=0.15)
    assert (sd_1 / sd_2).mean() == pytest.approx(1.0, abs=0.04)


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
    assert (pressure.std(0) / expected.std(0)).mean() == pytest.approx(1.0, abs=0.03)


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


class LinearChain:
    """z_t = a z_t−1 + noise q, x_t = z_t + noise r on a 1×1 lattice, behind the same interfaces as the networks."""

    def __init__(self, a: float = 0.8, q: float = 0.5, r: float = 0.4, factor_scale: float = 1.0, factor_shift: float = 0.0) -> None:
        self.a, self.q, self.r = a, q, r
        chain = self

        class Autoencoder(nn.Module):
            def encode(self, frames: Tensor) -> Normal:
                return Normal(frames + factor_shift, torch.full_like(frames, r * factor_scale))

            def decode(self, z: Tensor) -> Normal:
                return Normal(z, torch.full_like(z, r))

        class Dynamics(nn.Module):
            def forward(self, belief: Belief, u: Tensor, context: Tensor, weights: dict[str, Tensor]) -> Normal:
                return Normal(chain.a * belief.z, torch.full_like(belief.z, chain.q))

        class NoEffect(nn.Module):
            def forward(self, tokens: Tensor, context: Tensor) -> Normal:
                return Normal(torch.zeros(len(tokens), 1, 1, 1), torch.ones(len(tokens), 1, 1, 1))

        notes = GuideNotes()
        with local_parameters():
            self.model = TokenModel(Autoencoder(), Dynamics(), lambda ny, nx: (1, 1, 1), notes)
            self.guide = TokenGuide(Autoencoder(), Dynamics(), NoEffect(), notes)

    def log_evidence(self, frames: Tensor) -> float:
        n = frames.shape[1]
        covariance = torch.zeros(n, n)
        variance = [1.0]
        for _ in range(1, n):
            variance.append(self.a**2 * variance[-1] + self.q**2)
        for i in range(n):
            for j in range(n):
                covariance[i, j] = self.a ** abs(i - j) * variance[min(i, j)]
        total = MultivariateNormal(torch.zeros(n), covariance + self.r**2 * torch.eye(n))
        return float(total.log_prob(frames.flatten(1)).sum())

    def elbo(self, frames: Tensor, particles: int = 300) -> float:
        losses = [negative_elbo(self.model, self.guide, frames, torch.zeros(len(frames), 1), Scales()) for _ in range(particles)]
        return -float(torch.stack(losses).mean())


def chain_frames(n_times: int) -> Tensor:
    return torch.randn(16, n_times, 1, 1, 1, generator=torch.Generator().manual_seed(0))


def test_guide_is_exact_when_the_factor_is_the_likelihood() -> None:
    torch.manual_seed(0)
    chain, frames = LinearChain(), chain_frames(1)
    assert chain.elbo(frames) == pytest.approx(chain.log_evidence(frames), rel=0.01)


def test_filtering_guide_bounds_the_evidence_from_below() -> None:
    torch.manual_seed(0)
    chain, frames = LinearChain(), chain_frames(4)
    gap = chain.log_evidence(frames) - chain.elbo(frames)
    # A filter does not know the frames to come; 10 % is what that costs on this chain.
    assert 0.0 < gap < 0.15 * abs(chain.log_evidence(frames))


@pytest.mark.parametrize("wrong", [{"factor_scale": 0.3}, {"factor_scale": 4.0}, {"factor_shift": 0.5}], ids=["narrow", "wide", "biased"])
def test_wrong_guides_fail_the_exact_check(wrong: dict[str, float]) -> None:
    torch.manual_seed(0)
    chain, frames = LinearChain(**wrong), chain_frames(1)
    assert chain.elbo(frames) != pytest.approx(chain.log_evidence(frames), rel=0.01)
    assert chain.elbo(frames) < chain.log_evidence(frames)
