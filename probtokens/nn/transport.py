"""Transport of tokens with the material, from their own velocity."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from probtokens.nn.autoencoder import TokenAutoencoder


class TokenTransport(nn.Module):
    """Semi-Lagrangian step: the change of tokens whose fields move along with the velocity in them.

    Material crosses most of a patch in a frame. Patterns that move by fractions of a patch are hard to learn
    for convolutions over tokens and cost nothing to compute: the linear part of the decoder reads fields from the
    tokens, which are taken from where the velocity brought them and written back by that of the encoder.

    Parameters
    ----------
    autoencoder
        Whose linear maps read and write. It stays its owner's: copy both together.
    velocity
        Positions of the velocity along (x, y) among the fields.
    mean, scale
        Of both velocities' normalisation, in cells per frame.

    Source: semi-Lagrangian scheme with the departure point to first order (Staniforth and Côté, MWR 119, 1991).
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, autoencoder: TokenAutoencoder, velocity: Sequence[int], mean: Sequence[float], scale: Sequence[float]) -> None:
        super().__init__()
        self._autoencoder = (autoencoder,)  # in a tuple, so that its parameters are not registered twice
        self.velocity = list(velocity)
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("scale", torch.tensor(scale)[:, None, None])

    def forward(self, z: Tensor) -> Tensor:
        """Change of tokens (batch, channel, token_y, token_x) over one frame; beyond the edge the edge repeats."""
        (autoencoder,) = self._autoencoder
        fields = autoencoder.linear_decode(z)
        cells = self.mean + self.scale * fields[:, self.velocity]
        return autoencoder.linear_encode(_departed(fields, cells) - fields)


def _departed(fields: Tensor, cells: Tensor) -> Tensor:
    """Bilinear values of fields (batch, field, y, x) at what lies ``cells`` (batch, 2, y, x) upstream along (x, y)."""
    ny, nx = fields.shape[-2:]
    y = torch.arange(ny, device=fields.device, dtype=fields.dtype)[:, None] - cells[:, 1]
    x = torch.arange(nx, device=fields.device, dtype=fields.dtype) - cells[:, 0]
    # grid_sample puts −1 and 1 on the outer edges of the outermost cells
    places = torch.stack([(2 * x + 1) / nx - 1, (2 * y + 1) / ny - 1], dim=-1)
    # The gradient of grid_sample reads beyond the fields where a place is NaN; the fields there are NaN as well and stay it.
    places = torch.where(places.isnan(), 0.0, places)
    return nn.functional.grid_sample(fields, places, mode="bilinear", padding_mode="border", align_corners=False)
