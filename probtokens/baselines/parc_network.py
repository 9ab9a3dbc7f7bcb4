"""Networks of PARC's differentiator: feature extraction, and mapping of features to tendencies.

Both work on blocks of cells folded into channels, so that wide layers run on a coarse lattice.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from probtokens.nn.edges import Convolution, Wrapping, raised

_SLOPE = 0.2
#: Factor on the initial read-out: an untrained model starts near persistence.
_SMALL = 0.1


def fold(cells: Tensor, block: int) -> Tensor:
    """Fold blocks into channels: (batch, channel, y, x) to (batch, channel · block², y / block, x / block).

    Extents that do not divide are padded with the edge values.
    """
    return functional.pixel_unshuffle(_padded(cells, block), block).contiguous(memory_format=torch.channels_last)


def unfold(blocks: Tensor, block: int, ny: int, nx: int) -> Tensor:
    """Inverse of :func:`fold`, cropped to ``ny`` × ``nx`` cells."""
    return functional.pixel_shuffle(blocks, block)[..., :ny, :nx]


def _padded(image: Tensor, multiple: int) -> Tensor:
    ny, nx = image.shape[-2:]
    padding = (0, -nx % multiple, 0, -ny % multiple)
    return functional.pad(image, padding, mode="replicate") if any(padding) else image


def conv_unit(n_in: int, n_out: int, kernel: int = 3) -> nn.Sequential:
    """Convolution ``kernel`` × ``kernel``, then 1 × 1, each followed by a leaky rectifier."""
    return nn.Sequential(
        Convolution(n_in, n_out, kernel),
        nn.LeakyReLU(_SLOPE),
        nn.Conv2d(n_out, n_out, 1),
        nn.LeakyReLU(_SLOPE),
    )


class FeatureExtractor(Wrapping):
    """U-Net: ``width`` channels at the finest level, doubled at each of ``levels`` halvings.

    Extents that do not divide by 2**levels are padded with the edge values and cropped again.
    Source: Nguyen et al., PARCv2, ICML 2024. Here every level has its skip connection, and skips are
    added instead of concatenated, which saves most of the cost of the way up.
    """

    def __init__(self, n_in: int, width: int, levels: int) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(levels + 1)]
        self.multiple = 2**levels
        self.stem = conv_unit(n_in, width)
        self.down = nn.ModuleList(conv_unit(fine, coarse) for fine, coarse in pairwise(widths))
        self.reduce = nn.ModuleList(nn.Conv2d(coarse, fine, 1) for fine, coarse in pairwise(widths))
        self.up = nn.ModuleList(conv_unit(fine, fine) for fine in widths[:-1])

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (batch, channel, y, x) to features (batch, width, y, x)."""
        ny, nx = inputs.shape[-2:]
        hidden = self.stem(_padded(inputs, self.multiple))
        skips = []
        for unit in self.down:
            skips.append(hidden)
            hidden = unit(functional.max_pool2d(hidden, 2))
        for unit, reduce, skip in zip(reversed(self.up), reversed(self.reduce), reversed(skips), strict=True):
            hidden = skip + raised(reduce(hidden), 2, self.periodic)
            hidden = hidden + unit(hidden)
        return hidden[..., :ny, :nx]


class Reconstruction(nn.Module):
    """Tendencies from features and explicit terms, by spatially-adaptive modulation.

    The explicit terms e give a scale and a shift of the features h everywhere,
    h ← (1 + γ(e)) h + β(e); a residual unit and a linear read-out follow. One block serves all
    fields, where the original has one per field, so that each tendency sees every explicit term.
    Source: Nguyen et al., PARCv2, ICML 2024, mapping and reconstruction (SPADE).
    """

    def __init__(self, n_terms: int, n_out: int, width: int) -> None:
        super().__init__()
        self.embed = nn.Sequential(nn.Conv2d(n_terms, width, 1), nn.LeakyReLU(_SLOPE))
        self.modulation = nn.Conv2d(width, 2 * width, 1)
        self.residual = conv_unit(width, width, kernel=1)
        self.out = nn.Conv2d(width, n_out, 1)
        with torch.no_grad():
            for parameter in self.out.parameters():
                parameter.mul_(_SMALL)

    def forward(self, features: Tensor, terms: Tensor) -> Tensor:
        """Map (batch, width, y, x) and (batch, term, y, x) to (batch, n_out, y, x)."""
        scale, shift = self.modulation(self.embed(terms)).chunk(2, dim=1)
        hidden = torch.addcmul(features + shift, features, scale)
        return self.out(hidden + self.residual(hidden))
