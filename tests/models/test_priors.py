from __future__ import annotations

import numpy as np
import pyro
import pytest
import torch
from pyro.infer import MCMC, NUTS
from scipy import stats
from torch.distributions import MultivariateNormal, kl_divergence

from probtokens.models.priors import WeightPosterior, WeightPrior

PRIOR = WeightPrior([6, 3], scale=0.01)


def test_numbers_of_a_block_share_a_scale_and_blocks_do_not() -> None:
    torch.manual_seed(0)
    w = torch.randn(40_000, PRIOR.size)
    changes, scales = PRIOR.changes(w), PRIOR.scales(w)
    assert changes.shape == (40_000, 9)
    logs = scales.log()
    np.testing.assert_allclose(scales.median(0).values, 0.01, rtol=0.02)
    np.testing.assert_allclose(logs.std(0), 0.5, rtol=0.02)
    sizes = np.corrcoef(changes.abs().log().T)
    assert sizes[0, 1] > 0.1
    assert sizes[6, 7] > 0.1
    assert abs(sizes[0, 7]) < 0.02
    np.testing.assert_allclose(stats.kurtosis(changes[:, 0], fisher=False), 3 * np.exp(4 * 0.25), rtol=0.3)  # of a log-normal mixture


def test_the_prior_is_standard_normal_and_the_posterior_begins_near_its_centre() -> None:
    prior = PRIOR.distribution(torch.zeros(()))
    assert prior.event_shape == (PRIOR.size,)
    assert prior.batch_shape == ()
    torch.testing.assert_close(prior.covariance_matrix, torch.eye(PRIOR.size))
    torch.manual_seed(0)
    posterior = WeightPosterior(PRIOR, n_spread=2, rank=3, initial_scale=0.1).distribution()
    assert not posterior.mean.any()
    torch.testing.assert_close(posterior.variance.mean(), torch.tensor(0.01), rtol=0.3, atol=0.0)


def test_the_divergence_of_the_posterior_is_that_of_full_gaussians() -> None:
    torch.manual_seed(1)
    posterior = WeightPosterior(PRIOR, n_spread=2, rank=3, initial_scale=0.5)
    with torch.no_grad():
        posterior.scales.normal_()
        posterior.changes.normal_(std=0.01)
        posterior.spread.normal_(std=0.01)
    q, p = posterior.distribution(), PRIOR.distribution(torch.zeros(()))
    full = MultivariateNormal(q.loc, q.covariance_matrix), MultivariateNormal(p.loc, torch.eye(PRIOR.size))
    torch.testing.assert_close(kl_divergence(q, p), kl_divergence(*full), rtol=1e-3, atol=1e-3)


def test_sixty_noisy_steps_find_the_width_of_many_numbers() -> None:
    """Numbers of two blocks that data tell a little and well; scores of three draws are nearly all noise to each of them."""
    prior = WeightPrior([3000, 1000], scale=1.0)
    told = torch.tensor([0.0, 30.0, 3000.0]).repeat_interleave(torch.tensor([2, 3000, 1000]))
    torch.manual_seed(0)
    posterior = WeightPosterior(prior, n_spread=0, rank=4)
    optimizer = torch.optim.Adam([posterior.log_scale, posterior.factor], lr=0.08)
    for _ in range(60):
        q = posterior.distribution()
        loss = 0.5 * (told * q.rsample((3,)).square()).sum(-1).mean() + kl_divergence(q, prior.distribution(torch.zeros(())))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    variance = posterior.distribution().variance.detach()[2:].split([3000, 1000])
    for block, precision in zip(variance, (30.0, 3000.0), strict=True):
        assert float(block.mean().sqrt()) == pytest.approx((1 + precision) ** -0.5, rel=0.15)


def fitted(x: torch.Tensor, y: torch.Tensor, noise: float, kl_weight: float) -> torch.Tensor:
    """Draws of changes from a posterior that SVI fits to y = x · changes + noise."""
    torch.manual_seed(0)
    posterior = WeightPosterior(PRIOR, n_spread=3, rank=6)
    optimizer = torch.optim.Adam(posterior.parameters(), lr=0.01)
    prior = PRIOR.distribution(torch.zeros(()))
    for step in range(1200):
        optimizer.param_groups[0]["lr"] = 0.01 * (1 - step / 1200)
        q = posterior.distribution()
        residual = y - PRIOR.changes(q.rsample((16,))) @ x.T
        loss = 0.5 * (residual / noise).square().sum(-1).mean() + kl_weight * kl_divergence(q, prior)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        return PRIOR.changes(posterior.distribution().sample((4000,)))


@pytest.mark.slow
def test_the_posterior_of_a_toy_is_that_of_nuts() -> None:
    """Nine numbers of two blocks, of which data tell some well, some hardly and some pairs only as sums."""
    generator, noise = torch.Generator().manual_seed(3), 0.02
    x = torch.randn(12, 9, generator=generator)
    x[:, 1] = x[:, 0] + 0.3 * x[:, 1]
    x[:, 5] *= 0.1
    truth = 0.01 * torch.randn(9, generator=generator)
    y = x @ truth + noise * torch.randn(12, generator=generator)

    def potential(sites: dict[str, torch.Tensor]) -> torch.Tensor:
        w = sites["w"]
        return 0.5 * w.square().sum() + 0.5 * ((y - x @ PRIOR.changes(w)) / noise).square().sum()

    pyro.set_rng_seed(0)
    sampler = MCMC(
        NUTS(potential_fn=potential),
        num_samples=1500,
        warmup_steps=300,
        initial_params={"w": torch.zeros(PRIOR.size)},
        disable_progbar=True,
    )
    sampler.run()
    exact = PRIOR.changes(sampler.get_samples()["w"])
    ours = fitted(x, y, noise, kl_weight=1.0)
    scale = exact.std(0)
    assert ((ours.mean(0) - exact.mean(0)) / scale).abs().max() < 0.25
    ratio = (ours.std(0) / scale).log()
    assert -0.2 < ratio.mean() < 0.05  # one Gaussian is a seventh too narrow: scales and what they scale make a funnel
    assert abs(np.corrcoef(ours[:, :2].T)[0, 1] - np.corrcoef(exact[:, :2].T)[0, 1]) < 0.15
    # A divergence that weighs a quarter makes it too sure, four times as much too unsure.
    assert (fitted(x, y, noise, kl_weight=0.25).std(0) / scale).log().mean() < ratio.mean() - 0.2
    assert (fitted(x, y, noise, kl_weight=4.0).std(0) / scale).log().mean() > ratio.mean() + 0.1
