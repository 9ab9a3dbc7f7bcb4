from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch.distributions import MultivariateNormal, kl_divergence

from probtokens.models.priors import WeightPosterior, WeightPrior, half_normal

PRIOR = WeightPrior([6, 3], n_groups=2, n_directions=8, scale=0.01)


def test_half_normal_is_a_quantile_transform() -> None:
    x = torch.linspace(-3, 3, 25, dtype=torch.float64)
    np.testing.assert_allclose(half_normal(x), stats.halfnorm.ppf(stats.norm.cdf(x.numpy())), rtol=1e-6)


def test_numbers_of_a_block_share_a_scale_and_blocks_do_not() -> None:
    torch.manual_seed(0)
    w = torch.randn(40_000, PRIOR.size)
    changes, scales = PRIOR.weights(w)[0], PRIOR.scales(w)
    assert changes.shape == (40_000, 9)
    logs = scales.log()
    np.testing.assert_allclose(scales.median(0).values, 0.01, rtol=0.02)
    np.testing.assert_allclose(logs.std(0), 0.5, rtol=0.02)
    sizes = np.corrcoef(changes.abs().log().T)
    assert sizes[0, 1] > 0.1
    assert sizes[6, 7] > 0.1
    assert abs(sizes[0, 7]) < 0.02
    np.testing.assert_allclose(stats.kurtosis(changes[:, 0], fisher=False), 3 * np.exp(4 * 0.25), rtol=0.3)  # of a log-normal mixture


def test_coupling_is_pooled_within_a_group() -> None:
    torch.manual_seed(0)
    coupling = PRIOR.weights(torch.randn(4000, PRIOR.size))[1].unflatten(-1, (2, 8))
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
    posterior = WeightPosterior(PRIOR, n_spread=2, rank=3, initial_scale=0.1).distribution()
    assert not posterior.mean.any()
    torch.testing.assert_close(posterior.variance.mean(), torch.tensor(0.01), rtol=0.3, atol=0.0)


def test_the_divergence_of_the_posterior_is_that_of_full_gaussians() -> None:
    torch.manual_seed(1)
    posterior = WeightPosterior(PRIOR, n_spread=2, rank=3, initial_scale=0.5)
    with torch.no_grad():
        posterior.others.normal_()
        posterior.changes.normal_(std=0.01)
        posterior.spread.normal_(std=0.01)
    q, p = posterior.distribution(), PRIOR.distribution(torch.zeros(()))
    full = MultivariateNormal(q.loc, q.covariance_matrix), MultivariateNormal(p.loc, torch.eye(PRIOR.size))
    torch.testing.assert_close(kl_divergence(q, p), kl_divergence(*full), rtol=1e-3, atol=1e-3)
