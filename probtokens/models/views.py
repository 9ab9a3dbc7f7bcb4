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
from probtokens.fields import SPATIAL_DIMS, FieldSpec

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
    periodic
        Axes whose ends meet: along these a view is turned around, and no longer than the domain.
    """

    mirrored: Tensor
    before: Tensor
    longer: int
    fields: Sequence[FieldSpec]
    periodic: str = ""

    @classmethod
    def of(cls, site: Tensor, longer: int, fields: Sequence[FieldSpec], periodic: str = "") -> View:
        """View that the site's value (..., simulation, 3) in [0, 1] stands for: mirrored or not, cells before along y and x.

        Zeros stand for the domain as it is; like all views that are longer, it goes on beyond its far edges.
        """
        cells = (site[..., 1:] * longer).long().clamp(max=max(longer - 1, 0))
        return cls(site[..., 0] >= 0.5, cells, longer, fields, periodic)

    def seen(self, frames: Tensor) -> Tensor:
        """Frames (simulation, ..., field, y, x), physical units, as each draw sees them: (..., simulation, ..., field, y', x').

        Beyond an edge is what is at the edge.
        """
        images = (frames, mirror_image(frames, self.fields))
        n = len(frames)

        def view(number: int, mirrored: bool, y: int, x: int) -> Tensor:
            (turn_y, turn_x), (more_y, more_x) = self._turned(y, x), self._longer
            y, x = y - turn_y, x - turn_x
            image = images[mirrored][number % n].roll((turn_y, turn_x), (-2, -1))
            return nn.functional.pad(image, (x, more_x - x, y, more_y - y), mode="replicate")

        return self._each(view)

    def back(self, frames: Tensor) -> Tensor:
        """Frames (..., simulation, ..., field, y', x') as the domain has them; inverse of :meth:`seen`."""
        return self._back(frames, lambda part: mirror_image(part, self.fields))

    def spread_back(self, spread: Tensor) -> Tensor:
        """As :meth:`back` for standard deviations, which have no direction."""
        return self._back(spread, lambda part: part.flip(-2))

    def _back(self, frames: Tensor, turned: Turn) -> Tensor:
        flat = frames.flatten(0, self.mirrored.ndim - 1)
        ny, nx = (size - more for size, more in zip(frames.shape[-2:], self._longer, strict=True))

        def domain(number: int, mirrored: bool, y: int, x: int) -> Tensor:
            turn_y, turn_x = self._turned(y, x)
            y, x = y - turn_y, x - turn_x
            found = flat[number, ..., y : y + ny, x : x + nx].roll((-turn_y, -turn_x), (-2, -1))
            return turned(found) if mirrored else found

        return self._each(domain)

    @property
    def _longer(self) -> tuple[int, int]:
        """Cells by which views are longer along y and x."""
        y, x = (0 if axis in self.periodic else self.longer for axis in SPATIAL_DIMS)
        return y, x

    def _turned(self, *before: int) -> tuple[int, int]:
        """How many of the cells before the domain, along y and x, come from its other end."""
        y, x = (cells if axis in self.periodic else 0 for axis, cells in zip(SPATIAL_DIMS, before, strict=True))
        return y, x

    def _each(self, function: Callable[[int, bool, int, int], Tensor]) -> Tensor:
        """Stack (..., simulation, ...) of what comes of a draw's number, whether it is mirrored, and cells before it along y and x."""
        mirrored, before = self.mirrored.flatten().tolist(), self.before.flatten(0, -2).tolist()
        found = [function(number, flip, *cells) for number, (flip, cells) in enumerate(zip(mirrored, before, strict=True))]
        return torch.stack(found).unflatten(0, self.mirrored.shape)
