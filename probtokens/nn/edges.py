"""What networks see beyond the edges of a lattice: its other end along periodic axes, nothing along others."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def wrapped(lattice: Tensor, reach: tuple[int, int], periodic: str) -> tuple[Tensor, tuple[int, int]]:
    """Lattice (..., y, x) with as much of the other end as an operator reaches beyond either end of periodic axes.

    Parameters
    ----------
    lattice
        Any values.
    reach
        Points along (y, x), at most the lattice's.
    periodic
        Axes that wrap: ``""``, ``"x"``, ``"y"`` or ``"xy"``.

    Returns
    -------
    tuple
        The longer lattice, and what is still to be padded at either end along (y, x).

    Examples
    --------
    >>> wrapped(torch.tensor([[1, 2, 3]]), (1, 1), "x")
    (tensor([[3, 1, 2, 3, 1]]), (1, 0))
    """
    left = list(reach)
    for number, (dim, axis) in enumerate(((-2, "y"), (-1, "x"))):
        if axis in periodic:
            cells, size = reach[number], lattice.shape[dim]
            lattice = torch.cat([lattice.narrow(dim, size - cells, cells), lattice, lattice.narrow(dim, 0, cells)], dim)
            left[number] = 0
    return lattice, (left[0], left[1])


class Wrapping(nn.Module):
    """Part of a network that looks beyond edges.

    Attributes
    ----------
    periodic
        Axes that wrap; none before :func:`wrap`.
    """

    periodic: str = ""


def wrap(network: nn.Module, periodic: str) -> None:
    """Let all parts of a network wrap along these axes."""
    for part in network.modules():
        if isinstance(part, Wrapping):
            part.periodic = periodic


class Convolution(Wrapping, nn.Conv2d):
    """Convolution of a lattice that keeps its extent; beyond edges that do not wrap are zeros."""

    def __init__(self, n_in: int, n_out: int, kernel: int = 3, groups: int = 1) -> None:
        super().__init__(n_in, n_out, kernel, padding=kernel // 2, groups=groups)

    def forward(self, input: Tensor) -> Tensor:
        """Map (batch, n_in, y, x) to (batch, n_out, y, x)."""
        lattice, padding = wrapped(input, (self.kernel_size[0] // 2, self.kernel_size[1] // 2), self.periodic)
        return nn.functional.conv2d(lattice, self.weight, self.bias, padding=padding, groups=self.groups)


def raised(lattice: Tensor, factor: int, periodic: str) -> Tensor:
    """Lattice (batch, channel, y, x) with ``factor`` times the points along both axes, bilinear between and constant beyond the centres."""
    wide, left = wrapped(lattice, (1, 1), periodic)
    fine = nn.functional.interpolate(wide, scale_factor=float(factor), mode="bilinear")
    (y, x), (ny, nx) = (factor * (1 - left[0]), factor * (1 - left[1])), lattice.shape[-2:]
    return fine[..., y : y + factor * ny, x : x + factor * nx]
