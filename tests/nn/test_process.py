"""Shared process noise against dense Gaussians."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal

from probtokens.nn.process import Transition

RANK, CHANNELS, NY, NX, SPACING = 2, 3, 5, 6, 2


@pytest.fixture
def transition() -> Transition:
    generator = torch.Generator().manual_seed(0)
    mean = torch.randn(4, CHANNELS, NY, NX, generator=generator, dtype=torch.float64)
    stddev = 0.2 + torch.rand(mean.shape, generator=generator, dtype=torch.float64)
    return Transition(mean, stddev, torch.randn(4, RANK, CHANNELS, NY, NX, generator=generator, dtype=torch.float64), SPACING)


def matrix(transition: Transition) -> torch.Tensor:
    """Map (batch, token channel, shared number) from shared noise to tokens, one column after the other."""
    quiet = transition.given(torch.zeros(4, *transition.shared_shape, dtype=torch.float64)).mean
    size = torch.Size(transition.shared_shape).numel()
    columns = [
        (transition.given(unit.reshape(transition.shared_shape).expand(4, -1, -1, -1)).mean - quiet).flatten(1)
        for unit in torch.eye(size, dtype=torch.float64)
    ]
    return torch.stack(columns, dim=-1)


def test_every_token_has_the_variance_of_its_loadings_and_shares_it_with_its_neighbours(transition: Transition) -> None:
    assert transition.shared_shape == (RANK, 3, 3)
    m = matrix(transition)
    variance = m.square().sum(-1).reshape(transition.mean.shape) + transition.stddev.square()
    torch.testing.assert_close(transition.marginal.variance, variance)
    even = Transition(transition.mean, transition.stddev, torch.ones_like(transition.loading), SPACING)
    m = matrix(even)[0].reshape(CHANNELS, NY, NX, -1) / RANK**0.5
    correlation = torch.einsum("cyxk,dvwk->cyxdvw", m, m)
    torch.testing.assert_close(correlation[0, 2, 2, 1, 2, 2], torch.tensor(1.0, dtype=torch.float64))  # channels of a token
    assert correlation[0, 2, 2, 0, 2, 3] > 0.8
    assert correlation[0, 0, 0, 0, 4, 5] == 0.0


def test_the_posterior_of_shared_noise_is_that_of_the_dense_gaussian(transition: Transition) -> None:
    generator = torch.Generator().manual_seed(1)
    seen = torch.randn(transition.mean.shape, generator=generator, dtype=torch.float64)
    factor = Normal(seen, 0.1 + torch.rand(seen.shape, generator=generator, dtype=torch.float64))
    found, m = transition.shared_posterior(factor), matrix(transition)
    noise = torch.diag_embed((transition.stddev.square() + factor.variance).flatten(1))
    gain = m.mT @ torch.linalg.inv(m @ m.mT + noise)
    torch.testing.assert_close(found.mean, (gain @ (seen - transition.mean).flatten(1)[..., None])[..., 0])
    torch.testing.assert_close(found.covariance_matrix, torch.eye(m.shape[-1], dtype=torch.float64) - gain @ m)


def test_without_a_hint_the_posterior_is_the_prior(transition: Transition) -> None:
    prior = transition.shared_prior()
    blind = transition.shared_posterior(Normal(transition.mean, torch.full_like(transition.mean, 1e6)))
    torch.testing.assert_close(blind.mean, prior.mean)
    torch.testing.assert_close(blind.covariance_matrix, prior.covariance_matrix.expand_as(blind.covariance_matrix))


def test_white_noise_shares_nothing(transition: Transition) -> None:
    white = Transition(transition.mean, transition.stddev)
    assert white.shared_shape[0] == 0
    assert torch.equal(white.marginal.stddev, white.given(None).stddev)
    assert torch.equal(white.marginal.mean, white.mean)
