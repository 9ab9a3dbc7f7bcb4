"""Building blocks of all token networks: local in space, conditioned by a vector."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from probtokens.nn.edges import Convolution

Layer = TypeVar("Layer", bound=nn.Module)

#: Part of its upper bound from which a :class:`ScaleRange` is linear.
_LINEAR_FROM = 0.1


class ResidualBlock(nn.Module):
    """Residual pair of 3×3 convolutions with optional feature-wise conditioning.

    Features are not normalised: amplitudes are physical here, and a hot spot is many standard deviations
    of the whole field. ``condition_dim`` > 0 adds a scale and a shift of the features computed from a
    conditioning vector (FiLM, Perez et al., AAAI 2018). The second convolution starts at zero, so a fresh
    block is the identity.
    """

    def __init__(self, width: int, condition_dim: int = 0) -> None:
        super().__init__()
        self.film = silent(nn.Linear(condition_dim, 2 * width)) if condition_dim else None
        self.first = Convolution(width, width)
        self.second = silent(Convolution(width, width))

    def forward(self, h: Tensor, condition: Tensor | None = None) -> Tensor:
        """Map (batch, width, y, x) to the same shape."""
        inner = h
        if self.film is not None:
            scale, shift = self.film(condition)[:, :, None, None].chunk(2, dim=1)
            inner = h * (1 + scale) + shift
        return h + self.second(nn.functional.silu(self.first(inner)))


class ConvNextBlock(nn.Module):
    """Depthwise convolution, then a network of each place by itself, four times as wide (Liu et al., CVPR 2022).

    A rectifier, which that paper finds as accurate as GELU, costs nothing; on a CPU the other takes as long as half a convolution.
    Features are not normalised, as in :class:`ResidualBlock`, and the last layer starts at zero.
    """

    def __init__(self, width: int, kernel: int = 3, expansion: int = 4) -> None:
        super().__init__()
        self.depthwise = Convolution(width, width, kernel, groups=width)
        self.expand = nn.Conv2d(width, expansion * width, 1)
        self.project = silent(nn.Conv2d(expansion * width, width, 1))

    def forward(self, h: Tensor) -> Tensor:
        """Map (batch, width, y, x) to the same shape."""
        # What a convolution gave is overwritten: the widest tensors would be written twice, and its gradient does not need it.
        return h + self.project(torch.relu_(self.expand(self.depthwise(h))))


def hidden_kernels(network: nn.Module) -> list[nn.Parameter]:
    """Kernels between the first and the last layers of a network: those of its blocks that mix channels, (out, in > 1, y, x)."""
    blocks = (part for part in network.modules() if isinstance(part, (ResidualBlock, ConvNextBlock)))
    return [kernel for block in blocks for kernel in block.parameters() if kernel.ndim == 4 and kernel.shape[1] > 1]


def silent(layer: Layer) -> Layer:
    """The layer with all weights at zero: what it adds starts as nothing."""
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
    return layer


class SpreadHead(nn.Sequential):
    """Raw scale of every output from the features of its place: nothing before training, so that a :class:`ScaleRange` starts it.

    Features are not normalised, and errors grow like powers of amplitudes: the network sees sign(h) log(1 + |h|) of features h. Features
    themselves would carry a few hot spots to the bound of the range, where nothing is learned any more.
    """

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__(nn.Conv2d(width, width, 1), nn.SiLU(), silent(nn.Conv2d(width, outputs, 1)))

    def forward(self, h: Tensor) -> Tensor:
        """Map features (batch, width, y, x) to raw scales (batch, output, y, x)."""
        return super().forward(h.sign() * h.abs().log1p())


@dataclass(frozen=True)
class ScaleRange:
    """Bounds of a standard deviation, and what it is before training.

    It starts small: a scale that is too small learns from the first residuals it meets, one that is too
    large fades over thousands of steps and drowns the means in noise until then.
    """

    low: float
    high: float
    start: float

    def __call__(self, raw: Tensor) -> Tensor:
        """Standard deviation in (low, high), ``start`` at zero.

        Exponential where it is small, linear in ``raw`` from a tenth of ``high`` on, and towards ``high`` so slowly that it finds back: a
        scale that a few large residuals have thrown to the bound of a sigmoid stays there.
        """
        bend = _LINEAR_FROM * self.high
        offset = math.log(math.expm1((self._unbounded(self.start) - self._unbounded(self.low)) / bend))
        free = self._unbounded(self.low) + bend * nn.functional.softplus(raw + offset)
        return free * self.high / (free + self.high)

    def _unbounded(self, scale: float) -> float:
        return scale * self.high / (self.high - scale)
