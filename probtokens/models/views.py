"""How draws of a forecast see their domain: as it is or mirrored, and with patches that begin at any cell.

The physics knows neither up from down nor where a patch begins, a network that was trained on all of these views knows it only nearly.
What it makes of one view errs otherwise than what it makes of another: their mean errs less than each, and by what they differ the
forecast is uncertain. Averages over shifts are the cycle spinning of Coifman and Donoho (Translation-invariant de-noising, 1995).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

#: Turns frames (..., field, y, x) over along y.
Mirror = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Views:
    """A view for every draw of every simulation.

    Attributes
    ----------
    mirrored
        Whether it is the mirror image along y, shape (draw, simulation).
    before
        Cells by which it begins below and left of the domain, shape (draw, simulation, axis) for y and x.
    longer
        Cells by which it is longer than the domain along either axis: a patch, or none if all begin where the domain does.
    """

    mirrored: Tensor
    before: Tensor
    longer: int

    @classmethod
    def drawn(cls, n_draws: int, n_simulations: int, longer: int, generator: torch.Generator | None, device: torch.device) -> Views:
        """Views of which all are equally likely."""
        size = (n_draws, n_simulations)
        mirrored = torch.rand(size, generator=generator, device=device) < 0.5
        return cls(mirrored, torch.randint(max(longer, 1), (*size, 2), generator=generator, device=device), longer)

    def seen(self, frames: Tensor, mirror: Mirror) -> Tensor:
        """Frames (simulation, field, y, x) of every draw in its view: (draw, simulation, field, y + longer, x + longer).

        Beyond an edge is what is at the edge.
        """
        images = (frames, mirror(frames))

        def view(draw: int, number: int, mirrored: bool, y: int, x: int) -> Tensor:
            return nn.functional.pad(images[mirrored][number], (x, self.longer - x, y, self.longer - y), mode="replicate")

        return self._each(view)

    def back(self, frames: Tensor, mirror: Mirror) -> Tensor:
        """Frames (draw, simulation, field, y + longer, x + longer) as the domain has them: (draw, simulation, field, y, x)."""
        ny, nx = (size - self.longer for size in frames.shape[-2:])

        def domain(draw: int, number: int, mirrored: bool, y: int, x: int) -> Tensor:
            found = frames[draw, number, :, y : y + ny, x : x + nx]
            return mirror(found) if mirrored else found

        return self._each(domain)

    def _each(self, function: Callable[[int, int, bool, int, int], Tensor]) -> Tensor:
        """Stack (draw, simulation, ...) of what comes of draw, simulation, whether it is mirrored, and cells before it along y and x."""
        mirrored, before = self.mirrored.tolist(), self.before.tolist()
        found = [function(i, k, mirrored[i][k], *cells) for i, row in enumerate(before) for k, cells in enumerate(row)]
        return torch.stack(found).unflatten(0, self.mirrored.shape)
