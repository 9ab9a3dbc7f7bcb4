"""Noise of one step of a token lattice: of every token its own, and shared by the tokens around a node of a coarser lattice."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Size, Tensor
from torch.distributions import MultivariateNormal, Normal


@dataclass(frozen=True)
class Transition:
    """Distribution of the next tokens z = mean + Σ_r loading_r · (B w_r) + stddev · ε, with w and ε standard normal.

    B interpolates between nodes that lie ``node_spacing`` tokens apart, so that every B w_r has unit variance and neighbouring
    tokens, and all channels of a token, err together: what is uncertain about a front is where it is. Without ``loading`` the noise
    is white.

    Attributes
    ----------
    mean
        Shape (..., channel, y, x).
    stddev
        Of the white part, in the same shape.
    loading
        Amplitudes of the shared parts (..., rank, channel, y, x), of either sign.
    node_spacing
        Tokens between two nodes along both axes.
    """

    mean: Tensor
    stddev: Tensor
    loading: Tensor | None = None
    node_spacing: int = 1

    def unflattened(self, leading: Size) -> Transition:
        """The same with leading dimensions (batch,) taken apart to ``leading``."""
        shape = (*leading, *self.mean.shape[1:])
        loading = self.loading if self.loading is None else self.loading.reshape(*leading, *self.loading.shape[1:])
        return replace(self, mean=self.mean.reshape(shape), stddev=self.stddev.reshape(shape), loading=loading)

    @property
    def marginal(self) -> Normal:
        """Every token channel by itself."""
        if self.loading is None:
            return Normal(self.mean, self.stddev, validate_args=False)
        return Normal(self.mean, (self.stddev.square() + self.loading.square().sum(-4)).sqrt(), validate_args=False)

    @property
    def shared_shape(self) -> tuple[int, int, int]:
        """Shape (rank, node_y, node_x) of the shared noise w; rank 0 without loadings."""
        rank = 0 if self.loading is None else self.loading.shape[-4]
        ny, nx = (-(-size // self.node_spacing) for size in self.mean.shape[-2:])
        return rank, ny, nx

    def given(self, shared: Tensor | None) -> Normal:
        """Tokens given the shared noise (..., rank, node_y, node_x); those without it where it is ``None``."""
        if self.loading is None or shared is None:
            return Normal(self.mean, self.stddev, validate_args=False)
        rows, columns = self._bases()
        fields = torch.einsum("yi,...rij,xj->...ryx", rows, shared, columns)
        moved = self.mean + (self.loading * fields.unsqueeze(-3)).sum(-4)
        return Normal(moved, self.stddev.expand_as(moved), validate_args=False)

    def shared_prior(self) -> MultivariateNormal:
        """Standard normal over the shared noise, flat: (..., rank · node_y · node_x)."""
        rank, ny, nx = self.shared_shape
        size = rank * ny * nx
        return _gaussian(self.mean.new_zeros(*self.mean.shape[:-3], size), torch.eye(size, device=self.mean.device, dtype=self.mean.dtype))

    def shared_posterior(self, observed: Normal) -> MultivariateNormal:
        """Shared noise, flat, once a Gaussian factor ``observed`` (..., channel, y, x) of the tokens is known.

        Exact: with M the map from w to tokens and S the variances of white noise and factor, precision I + Mᵀ S⁻¹ M and
        information Mᵀ S⁻¹ (observed − mean). A factor without variance is the tokens themselves.
        """
        assert self.loading is not None
        rows, columns = self._bases()
        matrix = torch.einsum("...rcyx,yi,xj->...rijcyx", self.loading, rows, columns).flatten(-6, -4).flatten(-3, -1)
        weight = (self.stddev.square() + observed.variance).reciprocal()
        residual = weight * (observed.mean - self.mean)
        weighted = matrix * weight.flatten(-3).unsqueeze(-2)
        precision = torch.eye(matrix.shape[-2], device=matrix.device, dtype=matrix.dtype) + weighted @ matrix.mT
        information = (matrix @ residual.flatten(-3).unsqueeze(-1)).squeeze(-1)
        covariance = torch.cholesky_inverse(_cholesky(precision))
        mean = (covariance @ information.unsqueeze(-1)).squeeze(-1)
        return _gaussian(mean, _cholesky(covariance))

    def _bases(self) -> tuple[Tensor, Tensor]:
        rows, columns = (_basis(size, self.node_spacing).to(self.mean.device, self.mean.dtype) for size in self.mean.shape[-2:])
        return rows, columns


def _cholesky(matrix: Tensor) -> Tensor:
    """Cholesky factor; of what is not finite it is not finite, which training reports with its stage and step."""
    factor, info = torch.linalg.cholesky_ex(matrix)
    return torch.where((info == 0)[..., None, None], factor, torch.nan)


def _gaussian(mean: Tensor, factor: Tensor) -> MultivariateNormal:
    return MultivariateNormal(mean, scale_tril=factor.expand(*mean.shape, mean.shape[-1]), validate_args=False)


@lru_cache(maxsize=32)
@torch.inference_mode(False)  # what is kept from a forecast may be asked for in training
def _basis(size: int, spacing: int) -> Tensor:
    """Linear interpolation (token, node) between nodes in the middle of every ``spacing`` tokens, with rows of unit length."""
    n_nodes = -(-size // spacing)
    place = ((torch.arange(size, dtype=torch.float64) + 0.5) / spacing - 0.5).clamp(0, n_nodes - 1)
    weights = (1.0 - (place[:, None] - torch.arange(n_nodes)).abs()).clamp_min(0.0)
    return weights / weights.square().sum(-1, keepdim=True).sqrt()
