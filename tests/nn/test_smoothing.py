"""Backward messages against the exact information filter of a linear chain."""

import pytest
import torch
from torch.distributions import Normal

from probtokens.nn.smoothing import BackwardMessages
from probtokens.nn.transition import TrajectoryEncoder

A, Q, R = 0.8, 0.5, 0.4


def messages(jacobian: float, channels: int = 1) -> BackwardMessages:
    made = BackwardMessages([channels])
    with torch.no_grad():
        for k in range(channels):
            made.jacobians[0][k, k, 1, 1] = jacobian
    return made


def test_factors_are_those_of_all_frames_to_come():
    """z_t given x_t … x_T without any prior, from the joint Gaussian of the later tokens given z_t."""
    frames = torch.randn(3, 4, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    factors = Normal(frames, torch.full_like(frames, R))
    predicted = Normal(A * frames[:, :-1], torch.full_like(frames[:, :-1], Q))
    found = messages(A)(factors, predicted)
    # x_t+s = a^s z_t + sum of a^(s-i) q e_i + r e: linear regression of the frames on z_t.
    n = frames.shape[1]
    design = torch.tensor([A**s for s in range(n)])
    noise = torch.tensor([[Q**2 * sum(A ** (i + j - 2 * k) for k in range(1, min(i, j) + 1)) for j in range(n)] for i in range(n)])
    covariance = noise + R**2 * torch.eye(n)
    precision = design @ torch.linalg.solve(covariance, design)
    information = torch.einsum("t,ntkyx->nkyx", torch.linalg.solve(covariance, design), frames)
    torch.testing.assert_close(found[0].variance, (1 / precision).expand_as(found[0].variance))
    torch.testing.assert_close(found[0].mean, information / precision)


def test_the_last_factor_is_its_frame_and_draws_may_lead():
    frames = torch.randn(2, 3, 2, 4, 4)
    factors = Normal(frames, torch.full_like(frames, R))
    predicted = Normal(torch.randn(5, 2, 2, 2, 4, 4), torch.full((5, 2, 2, 2, 4, 4), Q))
    found = messages(A, channels=2)(factors, predicted)
    assert [factor.mean.shape for factor in found] == [(5, 2, 2, 4, 4)] * 2 + [(2, 2, 4, 4)]
    torch.testing.assert_close(found[-1].mean, frames[:, -1])
    assert all((factor.stddev < R).all() for factor in found[:-1])


def test_messages_of_groups_do_not_mix():
    torch.manual_seed(0)
    made = BackwardMessages([1, 2])
    frames = torch.randn(1, 2, 3, 4, 4)
    predicted = torch.randn(1, 1, 3, 4, 4)

    def first(values: torch.Tensor) -> torch.Tensor:
        return made(Normal(values, torch.full_like(values, R)), Normal(predicted, torch.full_like(predicted, Q)))[0].mean

    other = frames.clone()
    other[:, 1, 0] += 1.0
    changed = (first(other) != first(frames)).any(dim=(0, 2, 3))
    assert changed.tolist() == [True, False, False]


@pytest.mark.parametrize("n_times", [2, 5])
def test_more_frames_tell_more_of_the_effects(n_times):
    torch.manual_seed(0)
    encoder = TrajectoryEncoder(2, 1, 8, 3, effect_patch=2)
    tokens, context = torch.randn(2, n_times, 2, 4, 5), torch.zeros(2, 1)
    found = encoder(tokens, context)
    assert found.mean.shape == (2, 3, 2, 3)
    factor = torch.nn.functional.softplus(torch.tensor(-5.0))
    n_tokens = torch.tensor([[4.0, 4.0, 2.0], [4.0, 4.0, 2.0]])
    torch.testing.assert_close(found.stddev[0, 0], (1 + (n_times - 1) * n_tokens * factor).rsqrt())
    assert encoder(tokens[:, :1], context).stddev.unique().tolist() == [1.0]
