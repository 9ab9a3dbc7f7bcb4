"""Transport of tokens with the material, from their own velocity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from probtokens.nn.autoencoder import TokenAutoencoder


class TokenTransport(nn.Module):
    """Semi-Lagrangian step: the change of tokens whose fields move along with the velocity in them.

    Material crosses most of a patch in a frame. Patterns that move by fractions of a patch are hard to learn
    for convolutions over tokens and cost nothing to compute: fields are read from the tokens by
    one linear map, taken from where the velocity brought them, and written back by another.

    Parameters
    ----------
    channels
        Token channels.
    n_fields
        Fields of a frame.
    patch
        Cells along each edge of a patch.
    velocity
        Positions of the velocity along (x, y) among the fields.
    mean, scale
        Of both velocities' normalisation, in cells per frame.

    Source: semi-Lagrangian scheme with the departure point to first order (Staniforth and Côté, MWR 119, 1991).
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self, channels: int, n_fields: int, patch: int, velocity: Sequence[int], mean: Sequence[float], scale: Sequence[float]
    ) -> None:
        super().__init__()
        self.patch = patch
        self.velocity = list(velocity)
        self.read = nn.Conv2d(channels, n_fields * patch**2, 1)
        self.write = nn.Conv2d(n_fields * patch**2, channels, 1, bias=False)
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("scale", torch.tensor(scale)[:, None, None])

    def forward(self, z: Tensor) -> Tensor:
        """Change of tokens (batch, channel, token_y, token_x) over one frame; beyond the edge the edge repeats."""
        fields = nn.functional.pixel_shuffle(self.read(z), self.patch)
        cells = self.mean + self.scale * fields[:, self.velocity]
        change = _departed(fields, cells) - fields
        return self.write(nn.functional.pixel_unshuffle(change, self.patch))

    @torch.no_grad()
    def initialise(self, autoencoder: TokenAutoencoder) -> None:
        """Read and write as the linear parts of the decoder and the encoder do."""
        for parameter in self.parameters():
            parameter.zero_()
        start, cells = 0, torch.arange(self.patch**2)
        for group, n, encoder, decoder in zip(
            autoencoder.field_groups, autoencoder.channels, autoencoder.encoders, autoencoder.decoders, strict=True
        ):
            rows = (torch.tensor(group)[:, None] * self.patch**2 + cells).flatten()
            own = slice(start, start + n)
            self.read.weight[rows, own] = decoder.get_parameter("linear.weight")
            self.read.get_parameter("bias")[rows] = decoder.get_parameter("linear.bias")
            self.write.weight[own, rows] = encoder.get_parameter("linear.weight")
            start += n


def _departed(fields: Tensor, cells: Tensor) -> Tensor:
    """Bilinear values of fields (batch, field, y, x) at what lies ``cells`` (batch, 2, y, x) upstream along (x, y)."""
    ny, nx = fields.shape[-2:]
    y = torch.arange(ny, device=fields.device, dtype=fields.dtype)[:, None] - cells[:, 1]
    x = torch.arange(nx, device=fields.device, dtype=fields.dtype) - cells[:, 0]
    # grid_sample puts −1 and 1 on the outer edges of the outermost cells
    places = torch.stack([(2 * x + 1) / nx - 1, (2 * y + 1) / ny - 1], dim=-1)
    return nn.functional.grid_sample(fields, places, mode="bilinear", padding_mode="border", align_corners=False)
