"""What later frames say about earlier tokens: Gaussian messages passed backwards along a chain."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from probtokens.nn.blocks import silent

#: Share of the transition's Jacobian at the identity before training: less than all, because a fresh transition predicts badly.
_START = 0.5


class BackwardMessages(nn.Module):
    """Smoothing context of an amortized guide: the backward half of an information filter.

    Were the chain linear, z_t+1 = z_t + f(z_t) + σ ε with Jacobian J, what the frames after t say about z_t
    would be a Gaussian of information Jᵀ S⁻¹ r and precision Jᵀ S⁻¹ J, with r how far the belief in z_t+1 is
    from what the transition makes of frame t's own tokens, and S the variances of both (Särkkä, *Bayesian
    Filtering and Smoothing*, 2013, ch. 8). Here J is a learned 3×3 stencil times a learned gain of the tokens, and of
    the precision the diagonal is kept; for a chain whose channels are independent that is exact.

    Parameters
    ----------
    channels
        Token channels of every network of the transition; messages do not cross from one to another.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.channels = list(channels)
        self.jacobians = nn.ParameterList(nn.Parameter(_START * _identity(k)) for k in channels)
        self.gains = nn.ModuleList(silent(nn.Conv2d(k, k, 3, padding=1)) for k in channels)

    def forward(self, factors: Normal, predicted: Normal) -> list[Normal]:
        """Factor of every frame and of all that follow it.

        Parameters
        ----------
        factors
            What each frame says of its own tokens, (simulation, time, channel, y, x).
        predicted
            Transitions that leave the means of all frames but the last, (..., simulation, time − 1, channel, y, x).

        Returns
        -------
        list of Normal
            One for every time, each (..., simulation, channel, y, x).
        """
        own = [Normal(factors.mean[:, t], factors.stddev[:, t], validate_args=False) for t in range(factors.mean.shape[1])]
        combined = [own[-1]]
        for t in reversed(range(len(own) - 1)):
            mean, variance = predicted.mean[..., t, :, :, :], predicted.variance[..., t, :, :, :]
            weight = 1.0 / (variance + combined[0].variance)
            information, precision = self._pulled_back(own[t].mean, weight * (combined[0].mean - mean), weight)
            total = own[t].variance.reciprocal() + precision
            combined.insert(0, Normal(own[t].mean + information / total, total.rsqrt(), validate_args=False))
        return combined

    def _pulled_back(self, tokens: Tensor, residual: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Information and precision at t of a weighted residual and its weights at t + 1."""
        leading = residual.shape[:-3]
        parts = []
        for kernel, gain, *maps in zip(
            self.jacobians, self.gains, *(x.split(self.channels, dim=-3) for x in (tokens, residual, weight)), strict=True
        ):
            z, r, w = (x.expand(*leading, *x.shape[-3:]).flatten(0, -4) for x in maps)
            factor = 2.0 * torch.sigmoid(gain(z))
            information = factor * nn.functional.conv_transpose2d(r, kernel, padding=1)
            precision = factor.square() * nn.functional.conv_transpose2d(w, kernel.square(), padding=1)
            parts.append((information.unflatten(0, leading), precision.unflatten(0, leading)))
        return torch.cat([part[0] for part in parts], dim=-3), torch.cat([part[1] for part in parts], dim=-3)


def _identity(channels: int) -> Tensor:
    """Stencil (channel, channel, 3, 3) that leaves everything as it is."""
    kernel = torch.zeros(channels, channels, 3, 3)
    kernel[:, :, 1, 1] = torch.eye(channels)
    return kernel
