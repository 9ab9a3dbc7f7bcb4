"""What later frames say: Gaussian factors, backward messages against the exact information filter, and factors of effects."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal

from probtokens.nn.smoothing import BackwardMessages, Factor, TrajectoryEncoder

A, Q, R = 0.8, 0.5, 0.4


def messages(jacobian: float, channels: int = 1) -> BackwardMessages:
    made = BackwardMessages([channels])
    with torch.no_grad():
        for k in range(channels):
            made.jacobians[0][k, k, 1, 1] = jacobian
    return made


def test_a_posterior_is_the_normalised_product() -> None:
    """Against densities on a grid."""
    prior, one, other = Normal(0.3, 0.8), Normal(1.2, 0.5), Normal(-0.4, 1.5)
    grid = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    density = sum(part.log_prob(grid) for part in (prior, one, other)).exp()
    density = density / density.sum()
    found = (Factor.of(one) * Factor.of(other)).posterior(prior)
    mean = (density * grid).sum()
    torch.testing.assert_close(found.mean.double(), mean)
    torch.testing.assert_close(found.variance.double(), (density * (grid - mean).square()).sum())


def test_a_factor_without_precision_says_nothing() -> None:
    prior = Normal(torch.randn(3), torch.rand(3) + 0.1)
    found = Factor(torch.zeros(3), torch.zeros(3)).posterior(prior)
    torch.testing.assert_close(found.mean, prior.mean)
    torch.testing.assert_close(found.stddev, prior.stddev)


def test_messages_are_those_of_all_frames_to_come() -> None:
    """What x_t+1 … x_T say of z_t without any prior, from the joint Gaussian of the later tokens given z_t."""
    frames = torch.randn(3, 4, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    own = Normal(frames, torch.full_like(frames, R))
    predicted = Normal(A * frames[:, :-1], torch.full_like(frames[:, :-1], Q))
    found = messages(A)(own, predicted)
    n_times = frames.shape[1]
    for t in range(n_times - 1):
        # x_t+s = a^s z_t + sum of a^(s-i) q e_i + r e: linear regression of the later frames on z_t.
        steps = range(1, n_times - t)
        design = torch.tensor([A**s for s in steps])
        noise = torch.tensor([[Q**2 * sum(A ** (i + j - 2 * k) for k in range(1, min(i, j) + 1)) for j in steps] for i in steps])
        covariance = noise + R**2 * torch.eye(len(steps))
        weights = torch.linalg.solve(covariance, design)
        precision = (design @ weights).expand(3, 1, 2, 2)
        torch.testing.assert_close(found[t].precision, precision)
        torch.testing.assert_close(found[t].information, torch.einsum("t,ntkyx->nkyx", weights, frames[:, t + 1 :]))


def test_nothing_is_said_of_the_last_frame_and_draws_may_lead() -> None:
    frames = torch.randn(2, 3, 2, 4, 4)
    own = Normal(frames, torch.full_like(frames, R))
    predicted = Normal(torch.randn(5, 2, 2, 2, 4, 4), torch.full((5, 2, 2, 2, 4, 4), Q))
    found = messages(A, channels=2)(own, predicted)
    assert [factor.precision.shape for factor in found] == [(5, 2, 2, 4, 4)] * 2 + [(2, 2, 4, 4)]
    assert [factor.information.shape for factor in found] == [factor.precision.shape for factor in found]
    assert not found[-1].precision.any()
    assert not found[-1].information.any()
    assert all((factor.precision > 0).all() for factor in found[:-1])


def test_messages_of_groups_do_not_mix() -> None:
    torch.manual_seed(0)
    made = BackwardMessages([1, 2])
    frames = torch.randn(1, 2, 3, 4, 4)
    predicted = torch.randn(1, 1, 3, 4, 4)

    def first(values: torch.Tensor) -> torch.Tensor:
        own = Normal(values, torch.full_like(values, R))
        return made(own, Normal(predicted, torch.full_like(predicted, Q)))[0].information

    other = frames.clone()
    other[:, 1, 0] += 1.0
    changed = (first(other) != first(frames)).any(dim=(0, 2, 3))
    assert changed.tolist() == [True, False, False]


def encoder(channels: int = 2) -> TrajectoryEncoder:
    torch.manual_seed(0)
    made = TrajectoryEncoder(channels, 1, 8, 3, effect_patch=2)
    torch.nn.init.normal_(made.head.weight)
    return made


@pytest.mark.parametrize("n_times", [2, 5])
def test_before_training_every_pair_says_almost_nothing_of_the_effects_around_it(n_times: int) -> None:
    found = TrajectoryEncoder(2, 1, 8, 3, effect_patch=2)(torch.randn(2, n_times, 2, 4, 5), torch.zeros(2, 1))
    assert found.information.shape == found.precision.shape == (2, 3, 2, 3)
    each = torch.nn.functional.softplus(torch.tensor(-5.0))
    n_tokens = torch.tensor([[4.0, 4.0, 2.0], [4.0, 4.0, 2.0]])
    torch.testing.assert_close(found.precision[0, 0], (n_times - 1) * n_tokens * each)
    assert not found.information.any()


def test_factors_of_pairs_add_up() -> None:
    net, tokens, context = encoder(), torch.randn(2, 4, 2, 4, 5), torch.randn(2, 1)
    whole, pairs = net(tokens, context), [net(tokens[:, t : t + 2], context) for t in range(3)]
    assert (whole.precision > 0).all()
    for part in ("information", "precision"):
        torch.testing.assert_close(getattr(whole, part), sum(getattr(pair, part) for pair in pairs), rtol=1e-4, atol=1e-5)


def test_draws_may_lead_tokens() -> None:
    net, tokens, context = encoder(), torch.randn(3, 2, 4, 2, 4, 5), torch.randn(2, 1)
    together = net(tokens, context)
    assert together.information.shape == (3, 2, 3, 2, 3)
    for draw in range(3):
        alone = net(tokens[draw], context)
        torch.testing.assert_close(together.information[draw], alone.information, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(together.precision[draw], alone.precision, rtol=1e-4, atol=1e-5)


def test_the_posterior_of_an_effect_sees_the_tokens_around_it() -> None:
    net, tokens, context = encoder(5), torch.randn(1, 4, 5, 5, 8), torch.zeros(1, 1)
    before = net(tokens, context)
    assert before.information.shape == (1, 3, 3, 4)
    tokens[:, 2, :, 4, 7] += 1.0
    moved = [[False] * 4, [False] * 3 + [True], [False] * 3 + [True]]
    assert (net(tokens, context).information != before.information).any(1)[0].tolist() == moved
    assert (net(tokens, context).precision != before.precision).any(1)[0].tolist() == moved
