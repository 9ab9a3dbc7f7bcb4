from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch.distributions import MultivariateNormal, kl_divergence

from probtokens.models.priors import WeightPosterior, WeightPrior, half_cauchy, half_normal, regularised_horseshoe

PRIOR = WeightPrior(n_strengths=6, n_groups=2, n_directions=8, global_scale=0.1, slab_scale=1.0)


def test_half_cauchy_and_half_normal_are_quantile_transforms() -> None:
    x = torch.linspace(-3, 3, 25, dtype=torch.float64)
    uniform = stats.norm.cdf(x.numpy())
    np.testing.assert_allclose(half_cauchy(x, 0.7), stats.halfcauchy(scale=0.7).ppf(uniform), rtol=1e-6)
    np.testing.assert_allclose(half_normal(x), stats.halfnorm.ppf(uniform), rtol=1e-6)


def test_horseshoe_is_bounded_by_the_slab_and_shrinks_with_tau() -> None:
    big = torch.full((4,), 4.0)
    one = torch.ones(4)
    assert regularised_horseshoe(torch.tensor([4.0]), big, one, 0.1, 0.5).max() <= 0.5
    small = regularised_horseshoe(torch.tensor([-3.0]), torch.zeros(4), one, 0.1, 0.5)
    large = regularised_horseshoe(torch.tensor([2.0]), torch.zeros(4), one, 0.1, 0.5)
    assert (small < 0.1 * large).all()


def test_coupling_is_pooled_within_a_group() -> None:
    torch.manual_seed(0)
    coupling = PRIOR.weights(torch.randn(4000, PRIOR.size))["coupling"].unflatten(-1, (2, 8))
    within = np.corrcoef(coupling[:, 0, 0], coupling[:, 0, 1])[0, 1]
    between = np.corrcoef(coupling[:, 0, 0], coupling[:, 1, 0])[0, 1]
    assert within == pytest.approx(0.5, abs=0.05)  # Var(µ) = 1 and E[ς²] = 1
    assert between == pytest.approx(0.0, abs=0.05)


def test_the_prior_is_standard_normal_and_the_posterior_begins_near_its_centre() -> None:
    prior = PRIOR.distribution(torch.zeros(()))
    assert prior.event_shape == (PRIOR.size,)
    assert prior.batch_shape == ()
    torch.testing.assert_close(prior.covariance_matrix, torch.eye(PRIOR.size))
    torch.manual_seed(0)
    posterior = WeightPosterior(PRIOR.size, rank=3, initial_scale=0.1).distribution()
    assert not posterior.mean.any()
    torch.testing.assert_close(posterior.variance.mean(), torch.tensor(0.01), rtol=0.3, atol=0.0)


def test_the_divergence_of_the_posterior_is_that_of_full_gaussians() -> None:
    torch.manual_seed(1)
    posterior = WeightPosterior(PRIOR.size, rank=3, initial_scale=0.5)
    with torch.no_grad():
        posterior.loc.normal_()
    q, p = posterior.distribution(), PRIOR.distribution(torch.zeros(()))
    full = MultivariateNormal(q.loc, q.covariance_matrix), MultivariateNormal(p.loc, torch.eye(PRIOR.size))
    torch.testing.assert_close(kl_divergence(q, p), kl_divergence(*full), rtol=1e-3, atol=1e-3)
