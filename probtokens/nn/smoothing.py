"""What frames say of what came before them: of a trajectory's effects, and of earlier tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from probtokens.nn.blocks import ScaleRange, silent
from probtokens.nn.edges import Convolution, Wrapping, wrapped

#: Share of the transition's Jacobian at the identity before training: less than all, because a fresh transition predicts badly.
_START = 0.5

#: Range of the standard deviation of evidence, in latent units: at the upper end, the spread of tokens over all frames, it says little.
EVIDENCE_SCALE = ScaleRange(0.001, 1.0, start=0.02)


@dataclass(frozen=True)
class Factor:
    """Gaussian factor exp(information · x − precision · x² / 2); without precision it says nothing.

    Attributes
    ----------
    information, precision
        Natural parameters of one shape; ``precision`` is not negative.
    """

    information: Tensor
    precision: Tensor

    @classmethod
    def of(cls, normal: Normal) -> Factor:
        """The density of ``normal`` as a factor."""
        precision = normal.stddev.square().reciprocal()
        return cls(precision * normal.mean, precision)

    def __mul__(self, other: Factor) -> Factor:
        """Both factors together."""
        return Factor(self.information + other.information, self.precision + other.precision)

    def posterior(self, prior: Normal) -> Normal:
        """Normalised product with a prior: precisions add, means are weighted by precision."""
        total = self * Factor.of(prior)
        return Normal(total.information / total.precision, total.precision.rsqrt(), validate_args=False)


class TrajectoryEncoder(nn.Module):
    """Amortized factor of u given x_0:T: the sum of one from every pair of frames and every token around an effect.

    To first order an effect adds J u to a step, so that what a step misses without it, r, says of it a Gaussian of information
    Jᵀ S⁻¹ r and precision Jᵀ S⁻¹ J, with S the variance of the miss (Särkkä, *Bayesian Filtering and Smoothing*, 2013, ch. 8). Here
    S^-1/2 J is what a network makes of the tokens, of the precision the diagonal is kept, and each direction has a share of both that
    makes up for what that leaves out. Information and precision add up, so that more frames tell more, whatever their number and order.
    """

    def __init__(self, channels: int, context_dim: int, width: int, effect_dim: int, effect_patch: int) -> None:
        super().__init__()
        self.effect_patch = effect_patch
        self.local = nn.Sequential(Convolution(channels + context_dim, width), nn.SiLU(), nn.Conv2d(width, width, 1), nn.SiLU())
        self.jacobian = silent(nn.Conv2d(width, effect_dim * channels, 1))
        self.log_share = nn.Parameter(torch.zeros(effect_dim))

    def forward(self, tokens: Normal, predicted: Normal, context: Tensor) -> Factor:
        """Factor over u (..., D, effect_y, effect_x).

        Parameters
        ----------
        tokens
            Evidence of tokens (..., time, channel, y, x), time > 1.
        predicted
            Where steps without effects lead from the means of all frames but the last, (..., time − 1, channel, y, x).
        context
            Context vector (..., c).
        """
        earlier, later = tokens.mean[..., :-1, :, :, :], tokens.mean[..., 1:, :, :, :]
        missed = (later - predicted.mean) / (predicted.variance + tokens.variance[..., 1:, :, :, :]).sqrt()
        maps = context[..., None, :, None, None].expand(*earlier.shape[:-3], -1, *earlier.shape[-2:])
        features = self.local(torch.cat([earlier, maps], dim=-3).flatten(0, -4))
        jacobian = self.jacobian(features).unflatten(1, (-1, earlier.shape[-3])).unflatten(0, earlier.shape[:-3])
        share = self.log_share.exp()[:, None, None]
        information = (jacobian * missed.asinh().unsqueeze(-4)).sum(-3)  # outliers tell less than their square
        precision = jacobian.square().sum(-3).expand(information.shape)
        return Factor(*(share * self._summed(part) for part in (information, precision)))

    def _summed(self, factors: Tensor) -> Tensor:
        """Sum of (..., time, D, y, x) over time and over the tokens of each effect."""
        flat = factors.sum(-4).flatten(0, -4)
        pooled = nn.functional.avg_pool2d(flat, self.effect_patch, ceil_mode=True, divisor_override=1)
        return pooled.unflatten(0, factors.shape[:-4])


class TokenEvidence(nn.Module):
    """What one frame says of its own tokens in a posterior: a correction of the encoder's mean, and a scale of its own.

    The encoder's own scale says how far first tokens of forecasts are from its mean, which is another question.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.local = nn.Sequential(Convolution(channels, width), nn.SiLU())
        self.head = silent(nn.Conv2d(width, 2 * channels, 1))

    def forward(self, tokens: Tensor) -> Normal:
        """Gaussian evidence (..., channel, y, x) of what the encoder makes of frames, of the same shape."""
        shift, raw = self.head(self.local(tokens.flatten(0, -4))).unflatten(0, tokens.shape[:-3]).chunk(2, dim=-3)
        return Normal(tokens + shift, EVIDENCE_SCALE(raw), validate_args=False)


class BackwardMessages(Wrapping):
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
        self.gains = nn.ModuleList(silent(Convolution(k, k)) for k in channels)

    def forward(self, own: Normal, predicted: Normal) -> list[Factor]:
        """What later frames say of the tokens of every frame; of the last one nothing.

        Parameters
        ----------
        own
            What each frame says of its own tokens, (..., time, channel, y, x).
        predicted
            Transitions that leave the means of all frames but the last, (..., time − 1, channel, y, x).

        Returns
        -------
        list of Factor
            One for every time, each (..., channel, y, x).
        """
        means, variances = own.mean.unbind(-4), own.variance.unbind(-4)
        nothing = torch.zeros_like(means[-1])
        found = [Factor(nothing, nothing)]
        for t in reversed(range(len(means) - 1)):
            later = found[0] * Factor(means[t + 1] / variances[t + 1], 1.0 / variances[t + 1])
            weight = 1.0 / (predicted.variance[..., t, :, :, :] + 1.0 / later.precision)
            residual = weight * (later.information / later.precision - predicted.mean[..., t, :, :, :])
            information, precision = self._pulled_back(means[t], residual, weight)
            found.insert(0, Factor(information + precision * means[t], precision))
        return found

    def _pulled_back(self, tokens: Tensor, residual: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """Information, relative to the tokens, and precision at t of a weighted residual and its weights at t + 1."""
        leading = residual.shape[:-3]
        parts = []
        for kernel, gain, *maps in zip(
            self.jacobians, self.gains, *(x.split(self.channels, dim=-3) for x in (tokens, residual, weight)), strict=True
        ):
            z, r, w = (x.expand(*leading, *x.shape[-3:]).flatten(0, -4) for x in maps)
            factor = 2.0 * torch.sigmoid(gain(z))
            information = factor * self._spread(r, kernel)
            precision = factor.square() * self._spread(w, kernel.square())
            parts.append((information.unflatten(0, leading), precision.unflatten(0, leading)))
        return torch.cat([part[0] for part in parts], dim=-3), torch.cat([part[1] for part in parts], dim=-3)

    def _spread(self, lattice: Tensor, kernel: Tensor) -> Tensor:
        """What each token (batch, channel, y, x) sends to those around it."""
        wide, (y, x) = wrapped(lattice, (1, 1), self.periodic)
        return nn.functional.conv_transpose2d(wide, kernel, padding=(2 - y, 2 - x))


def _identity(channels: int) -> Tensor:
    """Stencil (channel, channel, 3, 3) that leaves everything as it is."""
    kernel = torch.zeros(channels, channels, 3, 3)
    kernel[:, :, 1, 1] = torch.eye(channels)
    return kernel
