"""Explicit advection and diffusion operators of PARC, in physical units.

Both use second-order central differences. Beyond the edge the last cell is repeated, so that the
normal derivative is halved in the edge cells and nothing diffuses through the boundary. Periodic axes wrap.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from probtokens.nn.edges import wrapped


def advection(state: Tensor, velocity: Tensor, spacing: float, periodic: str = "") -> Tensor:
    """Advective tendency −u·∇X of every field.

    Parameters
    ----------
    state
        Fields X, shape (batch, field, y, x), any unit.
    velocity
        Velocity along (x, y), shape (batch, 2, y, x) [lengths per time].
    spacing
        Cell edge.
    periodic
        Axes that wrap.

    Returns
    -------
    Tensor
        Shape (batch, field, y, x), unit of X per time.

    Raises
    ------
    ValueError
        If velocity does not have two components on the cells of state.

    Source: Nguyen et al., PARCv2, ICML 2024, differentiator.
    """
    expected = (state.shape[0], 2, *state.shape[-2:])
    if tuple(velocity.shape) != expected:
        raise ValueError(f"velocity: expected shape (batch, 2, y, x) = {expected}, got {tuple(velocity.shape)}")
    padded = _padded(state, periodic)
    along_x = padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]
    along_y = padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
    cells_per_time = velocity / (2.0 * spacing)
    return -(cells_per_time[:, 0:1] * along_x + cells_per_time[:, 1:2] * along_y)


def diffusion(state: Tensor, spacing: float, periodic: str = "") -> Tensor:
    """Laplacian ∇²X of every field by the five-point stencil.

    Parameters
    ----------
    state
        Fields X, shape (batch, field, y, x), any unit.
    spacing
        Cell edge.
    periodic
        Axes that wrap.

    Returns
    -------
    Tensor
        Shape (batch, field, y, x), unit of X per length squared.

    Source: Nguyen et al., PARCv2, ICML 2024, differentiator.
    """
    padded = _padded(state, periodic)
    neighbours = padded[..., 1:-1, 2:] + padded[..., 1:-1, :-2] + padded[..., 2:, 1:-1] + padded[..., :-2, 1:-1]
    return torch.sub(neighbours, state, alpha=4.0) / spacing**2


def _padded(state: Tensor, periodic: str) -> Tensor:
    wide, (y, x) = wrapped(state, (1, 1), periodic)
    return functional.pad(wide, (x, x, y, y), mode="replicate")
