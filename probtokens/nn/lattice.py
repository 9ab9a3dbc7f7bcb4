"""Leading batch dimensions of lattice tensors: any number of them, in front of (channel, y, x)."""

from __future__ import annotations

import torch
from torch import Size, Tensor


def merge_leading(lattice: Tensor, *vectors: Tensor) -> tuple[Size, Tensor, tuple[Tensor, ...]]:
    """Broadcast and flatten leading dimensions for a convolution.

    Parameters
    ----------
    lattice
        Shape (..., channel, y, x).
    vectors
        Each of shape (..., feature); their leading dimensions broadcast against the lattice's.

    Returns
    -------
    tuple
        Leading shape, lattice as (batch, channel, y, x), vectors as (batch, feature).
    """
    leading = torch.broadcast_shapes(lattice.shape[:-3], *(v.shape[:-1] for v in vectors))
    flat = lattice.expand(*leading, *lattice.shape[-3:]).reshape(-1, *lattice.shape[-3:])
    flat_vectors = tuple(v.expand(*leading, v.shape[-1]).reshape(-1, v.shape[-1]) for v in vectors)
    return leading, flat, flat_vectors
