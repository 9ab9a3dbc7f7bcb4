"""Observations of fields that have bounds."""

from __future__ import annotations

import math
from typing import Any

import torch
from pyro.distributions.torch_distribution import TorchDistribution
from torch import Size, Tensor
from torch.distributions import constraints

_NONE = Size()
_LOG_ROOT_TWO_PI = 0.5 * math.log(2.0 * math.pi)


class CensoredNormal(TorchDistribution):
    """Normal(loc, scale) whose values beyond a bound lie on it.

    A draw is ``min(max(loc + scale · ε, lower), upper)``. Within the bounds the log-density is the normal's; a value on a bound, or
    beyond it, has the log-probability of the normal's tail there (a Tobit likelihood; Tobin, Econometrica 26, 1958). Bounds that meet
    leave a single value, of log-probability zero.

    Parameters
    ----------
    loc, scale
        Mean and standard deviation of the normal; of one shape.
    lower, upper
        Bounds that broadcast to that shape, infinite where there are none.

    Examples
    --------
    >>> import torch
    >>> zero, one = torch.tensor(0.0), torch.tensor(1.0)
    >>> CensoredNormal(zero, one, zero, one).log_prob(zero).exp()
    tensor(0.5000)
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}  # noqa: RUF012 - torch's own convention
    support = constraints.real
    has_rsample = True

    def __init__(self, loc: Tensor, scale: Tensor, lower: Tensor, upper: Tensor, validate_args: bool | None = False) -> None:
        self.loc, self.scale = loc, scale
        self.lower, self.upper = lower, upper
        super().__init__(loc.shape, validate_args=validate_args)

    def expand(self, batch_shape: Size, _instance: Any = None) -> CensoredNormal:
        """The same over a larger batch."""
        return CensoredNormal(self.loc.expand(batch_shape), self.scale.expand(batch_shape), self.lower, self.upper)

    @property
    def mean(self) -> Tensor:
        """Mean of the draws, which bounds move."""
        return self.loc + self.scale * self._standard_moments()[0]

    @property
    def variance(self) -> Tensor:
        """Variance of the draws; less than ``scale`` squared where bounds are near."""
        first, second = self._standard_moments()
        return self.scale.square() * (second - first.square()).clamp_min(0.0)

    def _standard_moments(self) -> tuple[Tensor, Tensor]:
        """First and second moment of (draw − loc) / scale."""
        none = torch.zeros_like(self.loc)
        first, second, inside = none, none, torch.ones_like(self.loc)
        for bound, side in ((self.lower, 1.0), (self.upper, -1.0)):
            z = (bound.nan_to_num(posinf=0.0, neginf=0.0) - self.loc) / self.scale
            there = bound.isfinite().expand_as(z)
            density = torch.where(there, (-0.5 * z.square()).exp() / math.sqrt(2.0 * math.pi), none)
            tail = torch.where(there, torch.special.ndtr(side * z), none)
            first = first + z * tail + side * density
            second = second + z.square() * tail + side * z * density
            inside = inside - tail
        return first, second + inside

    def bounded(self, values: Tensor) -> Tensor:
        """Values of the normal, each brought within the bounds."""
        return torch.minimum(torch.maximum(values, self.lower), self.upper)

    def rsample(self, sample_shape: Size = _NONE) -> Tensor:
        """Draw (sample..., batch...); differentiable in ``loc`` and ``scale`` where it is within the bounds."""
        noise = torch.randn(self._extended_shape(sample_shape), dtype=self.loc.dtype, device=self.loc.device)
        return self.bounded(self.loc + self.scale * noise)

    def log_prob(self, value: Tensor) -> Tensor:
        """Log-density within the bounds, log-probability on them."""
        z = (value - self.loc) / self.scale
        found = -0.5 * z.square() - self.scale.log() - _LOG_ROOT_TWO_PI
        for on_bound, bound, side in ((value <= self.lower, self.lower, 1.0), (value >= self.upper, self.upper, -1.0)):
            # Elsewhere any number will do, but not one whose gradient, times zero, is none.
            tail = torch.where(on_bound, side * (torch.where(on_bound, bound, self.loc) - self.loc) / self.scale, 0.0)
            found = torch.where(on_bound, _log_normal_cdf(tail), found)
        return torch.where(self.lower == self.upper, 0.0, found)


def _log_normal_cdf(z: Tensor) -> Tensor:
    """Logarithm of the standard normal's distribution function, with the right gradient also far out in the lower tail.

    The derivative of ``torch.special.log_ndtr`` is a quotient of vanishing numbers there.
    """
    low, high = z.clamp_max(0.0), z.clamp_min(0.0)
    lower = torch.log(0.5 * torch.special.erfcx(-low / math.sqrt(2.0))) - 0.5 * low.square()
    return torch.where(z < 0.0, lower, torch.special.log_ndtr(high))
