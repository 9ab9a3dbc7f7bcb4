"""Messages between neighbouring tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from probtokens.nn.blocks import silent
from probtokens.nn.edges import Wrapping, wrapped

#: Offsets (dy, dx) of the eight neighbours, row by row, in the order of the direction axis of the weights.
NEIGHBOURS: tuple[tuple[int, int], ...] = ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1))


class NeighbourCoupling(Wrapping):
    """Drift g(z_i, m_i) with messages m_i = Σ_d β_gd h_g(mean_i+d, log sd_i+d) from eight neighbours.

    Messages carry the neighbours' posterior, mean and log standard deviation, not a point. The last
    layer starts at zero: untrained coupling changes nothing. Nothing comes from outside the domain but along periodic axes.
    """

    def __init__(self, channels: Sequence[int], width: int) -> None:
        super().__init__()
        self.channels = list(channels)
        self.width = width
        self.message = nn.ModuleList(_message_network(k, width) for k in self.channels)
        total = sum(self.channels)
        self.read = nn.Conv2d(total + width * len(self.channels), 2 * width, 1)
        self.write = silent(nn.Conv2d(2 * width, total, 1))

    def messages(self, mean: Tensor, log_scale: Tensor, weights: Tensor) -> Tensor:
        """Messages (batch, group·width, y, x) given weights (batch, group, direction)."""
        sent = []
        parts = zip(mean.split(self.channels, 1), log_scale.split(self.channels, 1), self.message, strict=True)
        for m, s, net in parts:
            sent.append(net(torch.cat([m, s], dim=1)))
        h = torch.stack(sent, dim=1)
        batch, groups, width, ny, nx = h.shape
        # The sum over neighbours is a convolution with a kernel of its own for every batch entry and group.
        kernel = nn.functional.pad(weights[..., :4], (0, 1)), weights[..., 4:]
        kernels = torch.cat(kernel, dim=-1).reshape(batch * groups, 1, 3, 3)
        images = h.permute(2, 0, 1, 3, 4).reshape(width, batch * groups, ny, nx)
        images, padding = wrapped(images, (1, 1), self.periodic)
        total = nn.functional.conv2d(images, kernels, padding=padding, groups=batch * groups)
        return total.reshape(width, batch, groups, ny, nx).permute(1, 2, 0, 3, 4).flatten(1, 2)

    def forward(self, z: Tensor, mean: Tensor, log_scale: Tensor, weights: Tensor) -> Tensor:
        """Coupling drift (batch, channel, y, x) of flat tokens with their beliefs."""
        received = self.messages(mean, log_scale, weights)
        return self.write(nn.functional.silu(self.read(torch.cat([z, received], dim=1))))


def _message_network(channels: int, width: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(2 * channels, width, 1), nn.SiLU(), nn.Conv2d(width, width, 1))
