"""Shrinkage of draws towards each other, where they differ no more than views of quiet material do."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

#: Share of the way to the other draw, of at most half, and difference [normalised units] beyond which it fades, before any training.
_WEIGHT, _SCALE = 0.3, 0.2


class PairShrinkage(nn.Module):
    """Moves values of a draw towards those of another, by a share that fades where the two are far apart.

    What a network makes of one view of quiet material differs from what it makes of another by more than their mean errs, which
    no noise that is added can make less. A draw that is moved by a share of its difference d to another, ``w d / (1 + (d/s)²)``,
    has the variance of their weighted mean there, and is left alone where draws disagree about where things are: at the rims
    of hot spots, which a mean would blur. Weights w ≤ 1/2 and scales s are learned, field by field.

    Parameters
    ----------
    n_fields
        Fields of a frame.
    """

    def __init__(self, n_fields: int) -> None:
        super().__init__()
        self.raw_weight = nn.Parameter(torch.full((n_fields,), math.log(2 * _WEIGHT / (1 - 2 * _WEIGHT))))
        self.log_scale = nn.Parameter(torch.full((n_fields,), math.log(_SCALE)))

    @property
    def weight(self) -> Tensor:
        """Share of the way to a draw that is near, shape (field,)."""
        return self.raw_weight.sigmoid() / 2

    @property
    def scale(self) -> Tensor:
        """Difference at which the share is half of that [normalised units], shape (field,)."""
        return self.log_scale.exp()

    def forward(self, draws: Tensor, others: Tensor, unit: Tensor | None = None) -> Tensor:
        """``draws`` moved towards ``others``, both (..., field, y, x).

        Parameters
        ----------
        unit
            What one normalised unit of a field is worth in that of the draws, shape (field,); 1 by default.
        """
        apart = others - draws
        scale = self.scale if unit is None else self.scale * unit
        return draws + self.weight[:, None, None] * apart / (1 + (apart / scale[:, None, None]).square())
