"""MUSCL reconstruction: limited slopes and face values along one axis."""

from __future__ import annotations

import torch
from torch import Tensor

from probtokens.simulate.mixture import Primitive

#: Ghost cells that a sweep needs on either side.
GHOSTS = 2


#: Largest ratio of a slope to the smaller one-sided difference. 2 (monotonized central) rings behind
#: rarefactions in stiff liquids, 1 (minmod) smears contacts.
_STEEPNESS = 1.5


def limited(backward: Tensor, forward: Tensor) -> Tensor:
    """Generalised minmod slope (van Leer 1979): central, at most 1.5 times either one-sided difference."""
    low, high = torch.minimum(backward, forward), torch.maximum(backward, forward)
    centre = 0.5 * (low + high)
    rising = torch.minimum(_STEEPNESS * low, centre).clamp_min(0.0)
    falling = torch.maximum(_STEEPNESS * high, centre).clamp_max(0.0)
    return rising + falling


def faces(cells: Primitive, smooth: Tensor, dim: int) -> tuple[Primitive, Primitive]:
    """States left and right of every face along ``dim``.

    Parameters
    ----------
    cells
        Primitive variables with n + 4 cells along ``dim``.
    smooth
        1 where slopes are used, 0 in troubled cells, which fall back to first order; same shape.
    dim
        −1 for x, −2 for y.

    Returns
    -------
    Left and right states with n + 1 faces along ``dim``. Limited slopes keep every face value between
    its neighbouring cell values, so densities and fractions stay admissible.
    """
    n = cells.gas.shape[dim] - 2 * GHOSTS
    mask = smooth.narrow(dim, 1, n + 2)
    left, right = [], []
    for value in cells:
        step = value.narrow(dim, 1, n + 3) - value.narrow(dim, 0, n + 3)
        half = 0.5 * mask * limited(step.narrow(dim, 0, n + 2), step.narrow(dim, 1, n + 2))
        left.append(value.narrow(dim, 1, n + 1) + half.narrow(dim, 0, n + 1))
        right.append(value.narrow(dim, 2, n + 1) - half.narrow(dim, 1, n + 1))
    return Primitive(*left), Primitive(*right)
