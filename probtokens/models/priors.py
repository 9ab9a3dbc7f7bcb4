"""Hierarchical priors of the meso coupling, written over standard-normal sites.

Every scale is a quantile transform of a standard normal rather than a site with positive support. The
priors are exactly half-Cauchy and half-normal, the geometry is non-centred, and no Jacobian stands
between an automatic guide's Gaussian and the sites: ``TraceMeanField_ELBO`` drops the log-density of the
``Delta`` sites with which Pyro's automatic guides would account for it.
"""

from __future__ import annotations

import math

import pyro
import pyro.distributions as dist
import torch
from pyro.infer.autoguide import AutoLowRankMultivariateNormal
from pyro.nn import PyroModule
from torch import Tensor

from probtokens.models.state_space import Weights

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


class CouplingPrior:
    """Strengths of the adapters and partially pooled coupling weights of (field group, direction).

    Sites ``tau_x``, ``lambda_x``, ``eta`` give ``strengths``; ``mu`` (group), ``varsigma_x`` (group)
    and ``beta_x`` (group · direction) give ``coupling`` = µ_g + ς_g · beta_x.
    """

    def __init__(self, n_strengths: int, n_groups: int, n_directions: int, global_scale: float, slab_scale: float) -> None:
        self.n_strengths = n_strengths
        self.n_groups = n_groups
        self.n_directions = n_directions
        self.global_scale = global_scale
        self.slab_scale = slab_scale

    def __call__(self) -> Weights:
        """Sample all sites; leading dimensions come from enclosing plates."""
        tau_x = _standard_normal("tau_x", 1)
        lambda_x = _standard_normal("lambda_x", self.n_strengths)
        eta = _standard_normal("eta", self.n_strengths)
        mu = _standard_normal("mu", self.n_groups)
        varsigma_x = _standard_normal("varsigma_x", self.n_groups)
        beta_x = _standard_normal("beta_x", self.n_groups * self.n_directions)
        return self.weights(tau_x, lambda_x, eta, mu, varsigma_x, beta_x)

    def weights(self, tau_x: Tensor, lambda_x: Tensor, eta: Tensor, mu: Tensor, varsigma_x: Tensor, beta_x: Tensor) -> Weights:
        """``strengths`` (..., strength) and ``coupling`` (..., group · direction) of the sites' values."""
        spread = half_normal(varsigma_x)
        pooled = beta_x.unflatten(-1, (self.n_groups, self.n_directions)) * spread[..., None] + mu[..., None]
        return {
            "strengths": regularised_horseshoe(tau_x, lambda_x, eta, self.global_scale, self.slab_scale),
            "coupling": pooled.flatten(-2),
        }


class CouplingPosterior(PyroModule):
    """Joint Gaussian over all sites of a :class:`CouplingPrior`, covariance of low rank plus diagonal.

    Its parameters come into being at the first call, which has to follow its attachment to a guide.
    Mean field would underestimate the spread of strongly dependent sites such as τ and λ.
    """

    def __init__(self, prior: CouplingPrior, rank: int, initial_scale: float = 0.1) -> None:
        super().__init__()
        self.prior = prior
        self.sites = AutoLowRankMultivariateNormal(prior, init_scale=initial_scale, rank=rank)

    def forward(self) -> Weights:
        """Sample all sites and return the weights that they stand for."""
        return self.prior.weights(**self.sites())

    def centre(self) -> Weights:
        """Weights that the median of every site stands for, without leading dimensions."""
        return self.prior.weights(**self.sites.median())


def _standard_normal(name: str, size: int) -> Tensor:
    return pyro.sample(name, dist.Normal(torch.zeros(size), 1.0).to_event(1))


def _uniform(x: Tensor) -> Tensor:
    return (0.5 * (1.0 + torch.erf(x / math.sqrt(2.0)))).clamp(_EDGE, 1.0 - _EDGE)
