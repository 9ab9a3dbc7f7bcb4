"""Hierarchical prior and posterior of the meso weights, written over one standard-normal site.

Every scale is a quantile transform of a standard normal rather than a site with positive support: the priors are exactly half-Cauchy
and half-normal, the geometry is non-centred, and a Gaussian posterior needs no Jacobian.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import pyro.distributions as dist
import torch
from torch import Tensor, nn

_EDGE = 1e-6


def half_cauchy(x: Tensor, scale: float) -> Tensor:
    """HalfCauchy(scale) variable with the quantile that ``x`` has under Normal(0, 1)."""
    return scale * torch.tan(0.5 * math.pi * _uniform(x))


def half_normal(x: Tensor) -> Tensor:
    """HalfNormal(1) variable with the quantile that ``x`` has under Normal(0, 1)."""
    return math.sqrt(2.0) * torch.erfinv(_uniform(x))


def regularised_horseshoe(global_x: Tensor, local_x: Tensor, sign_x: Tensor, global_scale: float, slab_scale: float) -> Tensor:
    """Strengths s = τ λ~ η of the regularised horseshoe (Piironen and Vehtari, EJS 11, 2017).

    Parameters
    ----------
    global_x
        Standard normal behind τ ~ HalfCauchy(global_scale), shape (..., 1).
    local_x
        Standard normals behind λ ~ HalfCauchy(1), shape (..., strength).
    sign_x
        η ~ Normal(0, 1), shape (..., strength).
    global_scale, slab_scale
        Scale of τ and of the slab that bounds large strengths.
    """
    tau = half_cauchy(global_x, global_scale)
    lam = half_cauchy(local_x, 1.0)
    bounded = slab_scale * lam / (slab_scale**2 + (tau * lam) ** 2).sqrt()
    return tau * bounded * sign_x


class WeightPrior:
    """Strengths of the adapters and partially pooled coupling weights of (field group, direction), from standard normals.

    ``strengths`` have a regularised horseshoe prior. ``coupling`` is µ_g + ς_g β_gd with µ_g, β_gd ~ Normal(0, 1) and
    ς_g ~ HalfNormal(1).

    Parameters
    ----------
    n_strengths, n_groups, n_directions
        Their numbers.
    global_scale, slab_scale
        Scales of the horseshoe's global factor and of its slab.
    """

    def __init__(self, n_strengths: int, n_groups: int, n_directions: int, global_scale: float, slab_scale: float) -> None:
        self.n_groups, self.n_directions = n_groups, n_directions
        self.global_scale, self.slab_scale = global_scale, slab_scale
        #: Length of every part of the site, in order: behind τ, λ and η, µ, behind ς, and β.
        self.parts = (1, n_strengths, n_strengths, n_groups, n_groups, n_groups * n_directions)
        self.size = sum(self.parts)

    def distribution(self, like: Tensor) -> dist.Distribution:
        """Standard normal over the site (number,), on the device of ``like``; in a form with a closed divergence."""
        zeros = like.new_zeros(self.size)
        return dist.LowRankMultivariateNormal(zeros, zeros[:, None], torch.ones_like(zeros))

    def weights(self, w: Tensor) -> Mapping[str, Tensor]:
        """``strengths`` (..., strength) and ``coupling`` (..., group · direction) of values (..., number) of the site."""
        tau_x, lambda_x, eta, mu, varsigma_x, beta_x = w.split(self.parts, dim=-1)
        pooled = beta_x.unflatten(-1, (self.n_groups, self.n_directions)) * half_normal(varsigma_x)[..., None] + mu[..., None]
        return {
            "strengths": regularised_horseshoe(tau_x, lambda_x, eta, self.global_scale, self.slab_scale),
            "coupling": pooled.flatten(-2),
        }


class WeightPosterior(nn.Module):
    """Joint Gaussian over the site of a :class:`WeightPrior`, covariance of low rank plus diagonal.

    Mean field would underestimate the spread of strongly dependent numbers such as those behind τ and λ.

    Parameters
    ----------
    size, rank
        Length of the site and rank of the covariance beside its diagonal.
    initial_scale
        Standard deviation of every number before training.
    """

    def __init__(self, size: int, rank: int, initial_scale: float = 0.1) -> None:
        super().__init__()
        part = initial_scale * math.sqrt(0.5)  # half of the variance is that of the diagonal
        self.loc = nn.Parameter(torch.zeros(size))
        self.log_scale = nn.Parameter(torch.full((size,), math.log(part)))
        self.factor = nn.Parameter(part / math.sqrt(rank) * torch.randn(size, rank))

    def distribution(self) -> dist.Distribution:
        """Over the site (number,)."""
        return dist.LowRankMultivariateNormal(self.loc, self.factor, self.log_scale.mul(2.0).exp(), validate_args=False)


def _uniform(x: Tensor) -> Tensor:
    return (0.5 * (1.0 + torch.erf(x / math.sqrt(2.0)))).clamp(_EDGE, 1.0 - _EDGE)
