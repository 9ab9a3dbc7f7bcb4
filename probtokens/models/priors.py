"""Hierarchical prior of the numbers that meso tokens adapt, and their posterior, over one standard-normal site.

All parts are functions of standard normals rather than sites of their own: the geometry is non-centred, a Gaussian posterior needs no
Jacobian, and its divergence from the prior has a closed form.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pyro.distributions as dist
import torch
from torch import Tensor, nn

#: Standard deviation of the logarithm of blocks' scales.
_BLOCKS_DIFFER = 0.5


class WeightPrior:
    """Relative changes of a network's numbers, those of a kernel or bias with a scale in common.

    A change is τ_r η with η ~ Normal(0, 1), for all numbers of block r the same τ_r ~ LogNormal(log τ0, ½): where data ask for more of a
    block than the prior has, its scale grows, and costs little.

    Parameters
    ----------
    sizes
        Numbers of every block.
    scale
        τ0, the median of every block's scale.
    """

    def __init__(self, sizes: Sequence[int], scale: float) -> None:
        self.sizes, self.scale = list(sizes), scale
        #: Length of both parts of the site: behind τ, and η.
        self.parts = (len(sizes), sum(sizes))
        self.size = sum(self.parts)

    def distribution(self, like: Tensor) -> dist.Distribution:
        """Standard normal over the site (number,), on the device of ``like``; in a form with a closed divergence."""
        zeros = like.new_zeros(self.size)
        return dist.LowRankMultivariateNormal(zeros, zeros[:, None], torch.ones_like(zeros), validate_args=False)

    def scales(self, w: Tensor) -> Tensor:
        """τ of every block (..., block), of values (..., number) of the site."""
        return self.scale * (_BLOCKS_DIFFER * w[..., : len(self.sizes)]).exp()

    def changes(self, w: Tensor) -> Tensor:
        """Relative changes (..., number of the network) of values (..., number) of the site."""
        eta = w[..., len(self.sizes) :]
        return torch.repeat_interleave(self.scales(w), torch.tensor(self.sizes, device=w.device), dim=-1) * eta


class WeightPosterior(nn.Module):
    """Joint Gaussian over the site of a :class:`WeightPrior`: for every kernel or bias a scale, times a covariance of low rank plus one.

    Mean field would underestimate the spread of strongly dependent numbers. Scales are of whole blocks, because what a few rollouts tell of
    a single number's drowns in their noise. All is kept relative: a learning rate of 0.01 is a hundredth of a number, and 1 % of a scale,
    in a step.

    Parameters
    ----------
    prior
        What it is the posterior of.
    n_spread
        So many of the networks' last numbers tell spread; their centre is a parameter of its own.
    rank
        Rank of the covariance beside its diagonal.
    initial_scale
        Standard deviation of every number of the site before training.
    """

    def __init__(self, prior: WeightPrior, n_spread: int, rank: int, initial_scale: float = 0.1) -> None:
        super().__init__()
        self._prior_scale = prior.scale
        n_scales, n_changes = prior.parts
        self._sizes = (n_scales, *prior.sizes)
        self.scales = nn.Parameter(torch.zeros(n_scales))
        self.changes = nn.Parameter(torch.zeros(n_changes - n_spread))
        self.spread = nn.Parameter(torch.zeros(n_spread))
        half = math.sqrt(0.5)  # half of the variance is that of the low rank
        self.log_scale = nn.Parameter(torch.full((len(self._sizes),), math.log(half * initial_scale)))
        self.factor = nn.Parameter(torch.randn(prior.size, rank) / math.sqrt(rank))

    @torch.no_grad()
    def become_prior(self) -> None:
        """Be the prior: what is known without any data."""
        for parameter in self.parameters():
            parameter.zero_()

    def distribution(self) -> dist.Distribution:
        """Over the site (number,)."""
        centre = torch.cat([self.scales, self.changes / self._prior_scale, self.spread / self._prior_scale])
        scale = torch.repeat_interleave(self.log_scale, torch.tensor(self._sizes, device=self.log_scale.device)).exp()
        return dist.LowRankMultivariateNormal(centre, scale[:, None] * self.factor, scale.square(), validate_args=False)
