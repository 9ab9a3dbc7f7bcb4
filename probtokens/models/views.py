"""How a draw sees its domain: as it is or mirrored, and with patches that begin at any cell.

The physics knows neither up from down nor where a patch begins. A network that was trained on all of these views knows it only nearly:
what it makes of one view errs otherwise than what it makes of another. So the mean over views errs less than each, and the difference
between views tells how uncertain the forecast is. Averages over shifts are the cycle spinning of Coifman and Donoho
(Translation-invariant de-noising, 1995).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from probtokens.data.normalize import mirror_image
from probtokens.fields import FieldSpec

Turn = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class View:
    """A view for every draw of every simulation.

    Attributes
    ----------
    mirrored
        Whether it is the mirror image along y, shape (..., simulation).
    before
        Cells by which it begins below and left of the domain, shape (..., simulation, axis) for y and x.
    longer
        Cells by which it is longer than the domain along either axis: a patch, or none if all begin where the domain does.
    fields
        Fields of the frames that are seen.
    """

    mirrored: Tensor
    before: Tensor
    longer: int
    fields: Sequence[FieldSpec]

    @classmethod
    def of(cls, site: Tensor, longer: int, fields: Sequence[FieldSpec]) -> View:
        """View that the site's value (..., simulation, 3) in [0, 1] stands for: mirrored or not, cells before along y and x.

        Zeros stand for the domain as it is; like all views that are longer, it goes on beyond its far edges.
        """
        cells = (site[..., 1:] * longer).long().clamp(max=max(longer - 1, 0))
        return cls(site[..., 0] >= 0.5, cells, longer, fields)

    def seen(self, frames: Tensor) -> Tensor:
        """Frames (simulation, ..., field, y, x), physical units, as each draw sees them: (..., simulation, ..., field, y', x').

        Beyond an edge is what is at the edge.
        """
        images = (frames, mirror_image(frames, self.fields))
        n = len(frames)

        def view(number: int, mirrored: bool, y: int, x: int) -> Tensor:
            return nn.functional.pad(images[mirrored][number % n], (x, self.longer - x, y, self.longer - y), mode="replicate")

        return self._each(view)

    def back(self, frames: Tensor) -> Tensor:
        """Frames (..., simulation, ..., field, y', x') as the domain has them; inverse of :meth:`seen`."""
        return self._back(frames, lambda part: mirror_image(part, self.fields))

    def spread_back(self, spread: Tensor) -> Tensor:
        """As :meth:`back` for standard deviations, which have no direction."""
        return self._back(spread, lambda part: part.flip(-2))

    def _back(self, frames: Tensor, turned: Turn) -> Tensor:
        flat = frames.flatten(0, self.mirrored.ndim - 1)
        ny, nx = (size - self.longer for size in frames.shape[-2:])

        def domain(number: int, mirrored: bool, y: int, x: int) -> Tensor:
            found = flat[number, ..., y : y + ny, x : x + nx]
            return turned(found) if mirrored else found

        return self._each(domain)

    def _each(self, function: Callable[[int, bool, int, int], Tensor]) -> Tensor:
        """Stack (..., simulation, ...) of what comes of a draw's number, whether it is mirrored, and cells before it along y and x."""
        mirrored, before = self.mirrored.flatten().tolist(), self.before.flatten(0, -2).tolist()
        found = [function(number, flip, *cells) for number, (flip, cells) in enumerate(zip(mirrored, before, strict=True))]
        return torch.stack(found).unflatten(0, self.mirrored.shape)
