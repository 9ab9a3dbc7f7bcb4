"""Ghost cells: walls, open ends, prescribed inflow, periodic axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from probtokens.simulate.mixture import State
from probtokens.simulate.reconstruct import GHOSTS

Kind = Literal["wall", "open", "inflow", "far", "periodic"]


@dataclass(frozen=True, slots=True)
class Boundaries:
    """Kind of each edge of the domain.

    ``wall`` reflects; ``open`` has zero gradient; ``inflow`` is a given state (left edge only); ``far``
    is that state too, but only where the shock has arrived, and ``open`` before (right edge only);
    ``periodic`` must hold on both edges of an axis.
    """

    left: Kind = "wall"
    right: Kind = "wall"
    bottom: Kind = "wall"
    top: Kind = "wall"

    def __post_init__(self) -> None:
        for low, high in ((self.left, self.right), (self.bottom, self.top)):
            if (low == "periodic") != (high == "periodic"):
                raise ValueError(f"periodic boundaries: expected both edges of an axis, got {low!r} and {high!r}")
        if "inflow" in (self.right, self.bottom, self.top) or "far" in (self.left, self.bottom, self.top):
            raise ValueError(f"boundaries: expected 'inflow' on the left and 'far' on the right edge only, got {self}")


def pad(state: State, boundaries: Boundaries, given: State | None = None, arrived: Tensor | None = None) -> State:
    """Surround a state (batch, ny, nx) by two ghost cells: (batch, ny + 4, nx + 4).

    Parameters
    ----------
    given
        State outside (batch, 1, 1), for edges of kind ``inflow`` and ``far``.
    arrived
        Where the shock has reached the right edge, bool (batch, ny, 1), for an edge of kind ``far``.
    """
    if given is None and (boundaries.left == "inflow" or boundaries.right == "far"):
        raise ValueError(f"{boundaries}: expected a given state outside, got none")
    padded = []
    for index, (name, value) in enumerate(zip(State._fields, state, strict=True)):
        outside = None if given is None else given[index]
        sign_x = -1.0 if name == "momentum_x" else 1.0
        sign_y = -1.0 if name == "momentum_y" else 1.0
        value = _pad_axis(value, -1, boundaries.left, boundaries.right, sign_x, outside, arrived)
        padded.append(_pad_axis(value, -2, boundaries.bottom, boundaries.top, sign_y))
    return State(*padded)


def _pad_axis(
    value: Tensor,
    dim: int,
    low: Kind,
    high: Kind,
    sign: float,
    outside: Tensor | None = None,
    arrived: Tensor | None = None,
) -> Tensor:
    n = value.shape[dim]
    first = [value.narrow(dim, i, 1) for i in range(GHOSTS)]
    last = [value.narrow(dim, n - 1 - i, 1) for i in range(GHOSTS)]
    before = _ghosts(low, first, last, sign, outside, arrived)
    after = _ghosts(high, last, first, sign, outside, arrived)
    return torch.cat([*reversed(before), value, *after], dim=dim)


def _ghosts(kind: Kind, near: list[Tensor], far: list[Tensor], sign: float, outside: Tensor | None, arrived: Tensor | None) -> list[Tensor]:
    """Ghost layers from the edge outwards. ``near`` and ``far`` list layers from their edges inwards."""
    if kind == "wall":
        return near if sign > 0 else [-layer for layer in near]
    if kind == "periodic":
        return far
    edge = near[0]
    if kind == "inflow":
        assert outside is not None
        edge = outside.expand_as(edge)
    elif kind == "far":
        assert outside is not None
        assert arrived is not None
        edge = torch.where(arrived, outside, edge)
    return [edge] * GHOSTS
