"""Training windows seen otherwise: the physics knows neither up from down nor where a patch begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from probtokens.data.dataset import Batch
from probtokens.data.normalize import mirror_image
from probtokens.fields import FieldSpec


class Reflection(nn.Module):
    """Reflect each window along y with probability one half."""

    def __init__(self, fields: Sequence[FieldSpec]) -> None:
        super().__init__()
        self.fields = fields

    def forward(self, batch: Batch) -> Batch:
        """Batch in which about half of the windows are mirror images, drawn from torch's global generator."""
        mirrored = torch.rand(len(batch), device=batch.frames.device, dtype=torch.float32) < 0.5
        frames = torch.where(mirrored[:, None, None, None, None], mirror_image(batch.frames, self.fields), batch.frames)
        return Batch(frames, batch.context, batch.index)


class Extension:
    """Frames that begin some cells before their domain and are a patch longer, so that patches lie elsewhere.

    Beyond a wall lies the mirror image, with the velocity towards it turned around; beyond an open edge what is at the edge. Along periodic
    axes the domain is turned around and stays as long as it is.

    Parameters
    ----------
    fields
        Fields of the frames.
    boundary
        What every edge is.
    patch
        Cells along each edge of a patch.
    """

    def __init__(self, fields: Sequence[FieldSpec], boundary: Mapping[str, str], patch: int) -> None:
        self.boundary = boundary
        self.patch = patch
        self._sign = {axis: torch.tensor([spec.mirror_sign(axis) for spec in fields], dtype=torch.float32)[:, None, None] for axis in "yx"}

    def __call__(self, frames: Tensor, before: tuple[int, int]) -> Tensor:
        """Extended frames (..., field, y', x') that begin ``before`` cells, at most a patch, below and left of the domain."""
        for axis, sides, cells in zip("yx", (("bottom", "top"), ("left", "right")), before, strict=True):
            dim = -2 if axis == "y" else -1
            if self.boundary[sides[0]] == "PERIODIC":
                frames = frames.roll(cells, dim)
                continue
            first, last = (self._beyond(frames, dim, axis, side, n) for side, n in zip(sides, (cells, self.patch - cells), strict=True))
            frames = torch.cat([first, frames, last], dim=dim)
        return frames

    def _beyond(self, frames: Tensor, dim: int, axis: str, side: str, cells: int) -> Tensor:
        """So many cells beyond an edge."""
        size, low = frames.shape[dim], side in ("bottom", "left")
        if self.boundary[side] == "OPEN":
            edge = frames.narrow(dim, 0 if low else size - 1, 1)
            shape = list(frames.shape)
            shape[dim] = cells
            return edge.expand(shape)
        return frames.narrow(dim, 0 if low else size - cells, cells).flip(dim) * self._sign[axis]


class RandomCrop(nn.Module):
    """Cut windows so that patches begin anywhere: a code of patches learned in one position knows those of no other.

    Parameters
    ----------
    patch
        Cells along each edge of a patch; as many are cut off along an axis.
    periodic
        Axes that wrap: nothing is cut off, the window is turned around.
    """

    def __init__(self, patch: int, periodic: str = "") -> None:
        super().__init__()
        self.patch = patch
        self.periodic = periodic

    def forward(self, batch: Batch) -> Batch:
        """The batch from a random cell on, drawn from torch's global generator; windows of one patch stay as they are."""
        frames = batch.frames
        for axis, dim in (("y", -2), ("x", -1)):
            size = frames.shape[dim]
            kept = max(size - self.patch, self.patch)
            start = int(torch.randint(size - kept + 1, ()))
            frames = frames.roll(-start, dim) if axis in self.periodic else frames.narrow(dim, start, kept)
        return Batch(frames, batch.context, batch.index)
