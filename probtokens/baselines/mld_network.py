"""Networks of multiscale latent dynamics (arXiv 2506.12996): between pixels and latents, and from a latent to the next.

Published widths are those of ``width`` = 64. Layers per level are two throughout, and levels of the U-Net are raised to the nearest
neighbour where the original learns to.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from probtokens.nn.edges import Convolution

#: Channels of a field's latent.
LATENT = 4
#: Cells along each edge of a latent's place.
PLACE = 8


class _Pair(nn.Sequential):
    """Two 3×3 convolutions."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(Convolution(before, after, 3), nn.ReLU(), Convolution(after, after, 3), nn.ReLU())


class Encoder(nn.Module):
    """A field (batch, 1, y, x) to mean and log-variance (batch, 4, y / 8, x / 8)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = (1, width, 2 * width, 4 * width)
        self.layers = nn.Sequential(*(layer for pair in pairwise(widths) for layer in (_Pair(*pair), nn.MaxPool2d(2))))
        self.head = nn.Conv2d(widths[-1], 2 * LATENT, 1)

    def forward(self, field: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance."""
        mean, log_variance = self.head(self.layers(field)).chunk(2, dim=1)
        return mean, log_variance


class Decoder(nn.Module):
    """A latent (batch, 4, y / 8, x / 8) to its field (batch, 1, y, x)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        widths = (8 * width, 4 * width, 2 * width, width)
        layers: list[nn.Module] = [_Pair(LATENT, widths[0])]
        for before, after in pairwise(widths):
            layers += [nn.Upsample(scale_factor=2), _Pair(before, after)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, 1, 1))

    def forward(self, z: Tensor) -> Tensor:
        """The field."""
        return self.layers(z)


class UNet(nn.Module):
    """Three levels of base width ``width``; extents need not divide."""

    def __init__(self, before: int, after: int, width: int) -> None:
        super().__init__()
        one, two, three = width, 2 * width, 4 * width
        self.one, self.two, self.three = _Pair(before, one), _Pair(one, two), _Pair(two, three)
        self.back_two, self.back_one = _Pair(two + three, two), _Pair(one + two, one)
        self.head = nn.Conv2d(one, after, 1)

    def forward(self, z: Tensor) -> Tensor:
        """(batch, after, y, x) of (batch, before, y, x)."""
        one = self.one(z)
        two = self.two(functional.max_pool2d(one, 2, ceil_mode=True))
        three = self.three(functional.max_pool2d(two, 2, ceil_mode=True))
        two = self.back_two(_joined(two, three))
        return self.head(self.back_one(_joined(one, two)))


def _joined(fine: Tensor, coarse: Tensor) -> Tensor:
    """Features of two levels on the lattice of the finer one."""
    return torch.cat([fine, functional.interpolate(coarse, size=fine.shape[-2:])], dim=1)
