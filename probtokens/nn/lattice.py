"""Shapes of lattice tensors (..., channel, y, x): leading batch dimensions, and cells along the edge of a patch."""

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


def resampled(frames: Tensor, patch: int, other: int) -> Tensor:
    """Frames (..., y, x) with ``other`` cells along the edge of a patch in place of ``patch``: means, or values repeated.

    >>> resampled(torch.tensor([[1.0, 3.0], [5.0, 7.0]]), 2, 1)
    tensor([[4.]])
    """
    if other > patch:
        return frames.repeat_interleave(other // patch, -2).repeat_interleave(other // patch, -1)
    if other < patch:
        n = patch // other
        return frames.unflatten(-1, (-1, n)).mean(-1).unflatten(-2, (-1, n)).mean(-2)
    return frames
