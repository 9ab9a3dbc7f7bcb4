"""What later frames say: Gaussian factors, backward messages against the exact information filter, and factors of effects."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal

from probtokens.nn.smoothing import BackwardMessages, Factor, TokenEvidence, TrajectoryEncoder

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
    torch.nn.init.normal_(made.jacobian.weight)
    return made


def evidence(*shape: int) -> tuple[Normal, Normal]:
    """Tokens (..., time, channel, y, x), and where steps lead from all but the last."""
    generator = torch.Generator().manual_seed(0)
    tokens, steps = (torch.randn(*shape, generator=generator) for _ in range(2))
    return Normal(tokens, torch.full_like(tokens, 0.3)), Normal(steps[..., 1:, :, :, :], torch.full_like(steps[..., 1:, :, :, :], 0.4))


def pair(tokens: Normal, predicted: Normal, t: int) -> tuple[Normal, Normal]:
    """What there is of one pair of frames."""
    return (
        Normal(tokens.mean[..., t : t + 2, :, :, :], tokens.stddev[..., t : t + 2, :, :, :]),
        Normal(predicted.mean[..., t : t + 1, :, :, :], predicted.stddev[..., t : t + 1, :, :, :]),
    )


@pytest.mark.parametrize("n_times", [2, 5])
def test_before_training_nothing_is_said_of_the_effects(n_times: int) -> None:
    found = TrajectoryEncoder(2, 1, 8, 3, effect_patch=2)(*evidence(2, n_times, 2, 4, 5), torch.zeros(2, 1))
    assert found.information.shape == found.precision.shape == (2, 3, 2, 3)
    assert not found.information.any()
    assert not found.precision.any()


def test_factors_of_pairs_add_up() -> None:
    net, given, context = encoder(), evidence(2, 4, 2, 4, 5), torch.randn(2, 1)
    whole, pairs = net(*given, context), [net(*pair(*given, t), context) for t in range(3)]
    assert (whole.precision > 0).all()
    for part in ("information", "precision"):
        torch.testing.assert_close(getattr(whole, part), sum(getattr(one, part) for one in pairs), rtol=1e-4, atol=1e-5)


def test_a_factor_is_that_of_misses_that_are_linear_in_the_effects() -> None:
    """With one token, one direction and a known Jacobian: against Gaussian regression written out."""
    net = TrajectoryEncoder(1, 1, 4, 1, effect_patch=1)
    torch.nn.init.constant_(net.jacobian.bias, 0.5)
    tokens = Normal(torch.tensor([[0.0, 0.1, 0.3]])[..., None, None, None], torch.full((1, 3, 1, 1, 1), 0.3))
    predicted = Normal(torch.zeros(1, 2, 1, 1, 1), torch.full((1, 2, 1, 1, 1), 0.4))
    found = net(tokens, predicted, torch.zeros(1, 1))
    sd = (0.3**2 + 0.4**2) ** 0.5
    expected = 0.5 * sum(torch.tensor(miss / sd).asinh() for miss in (0.1, 0.3))
    torch.testing.assert_close(found.information.squeeze(), expected)
    torch.testing.assert_close(found.precision.squeeze(), torch.tensor(2 * 0.5**2))


def test_draws_may_lead_tokens() -> None:
    net, (tokens, predicted), context = encoder(), evidence(3, 2, 4, 2, 4, 5), torch.randn(2, 1)
    together = net(tokens, predicted, context)
    assert together.information.shape == (3, 2, 3, 2, 3)
    for draw in range(3):
        alone = net(*(Normal(part.mean[draw], part.stddev[draw]) for part in (tokens, predicted)), context)
        torch.testing.assert_close(together.information[draw], alone.information, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(together.precision[draw], alone.precision, rtol=1e-4, atol=1e-5)


def test_the_posterior_of_an_effect_sees_the_tokens_around_it() -> None:
    net, (tokens, predicted), context = encoder(5), evidence(1, 4, 5, 5, 8), torch.zeros(1, 1)
    before = net(tokens, predicted, context)
    assert before.information.shape == (1, 3, 3, 4)
    other = tokens.mean.clone()
    other[:, 2, :, 4, 7] += 1.0
    after = net(Normal(other, tokens.stddev), predicted, context)
    moved = [[False] * 4, [False] * 3 + [True], [False] * 3 + [True]]
    assert (after.information != before.information).any(1)[0].tolist() == moved
    assert (after.precision != before.precision).any(1)[0].tolist() == moved


def test_evidence_begins_at_the_encoders_means_with_a_small_scale_everywhere() -> None:
    tokens = torch.randn(2, 3, 4, 5, 6)
    found = TokenEvidence(4, 8)(tokens)
    torch.testing.assert_close(found.mean, tokens)
    torch.testing.assert_close(found.stddev, torch.full_like(tokens, 0.02))
