"""The local transition of tokens from one frame to the next."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from probtokens.nn.blocks import ResidualBlock, ScaleRange, SpreadHead, silent
from probtokens.nn.edges import Convolution, Wrapping, raised

#: Range of the process noise's standard deviation, in latent units.
PROCESS_SCALE = ScaleRange(0.001, 1.5, start=0.01)

#: Factor on the initial weights of the drift: an untrained transition starts near persistence.
_SMALL = 0.1


class TransitionNetwork(nn.Module):
    """Drift and raw noise scale of some channels: a chain of ``blocks`` residual blocks of 3×3 convolutions.

    A trajectory effect scales the features of the tokens around it, so that quiet tokens, whose features are small, change less.
    """

    def __init__(self, channels: int, context_dim: int, effect_dim: int, width: int, blocks: int) -> None:
        super().__init__()
        self.embed = Convolution(channels, width)
        self.effect = silent(nn.Conv2d(effect_dim, width, 1, bias=False))
        self.blocks = nn.ModuleList(ResidualBlock(width, context_dim) for _ in range(blocks))
        self.head = nn.Conv2d(width, channels, 1)
        self.spread = SpreadHead(width, channels)
        with torch.no_grad():
            for parameter in self.head.parameters():
                parameter.mul_(_SMALL)

    def forward(self, z: Tensor, u: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Drift and raw scale (batch, channel, y, x) of tokens with effects (batch, D, y, x) and context (batch, c)."""
        h = (1 + self.effect(u)) * self.embed(z)
        for block in self.blocks:
            h = block(h, context)
        h = nn.functional.silu(h)
        return self.head(h), self.spread(h)


class TokenTransition(Wrapping):
    """p(z_t | z_t−1, u, c): mean z_t−1 + f(z_t−1, u, c) and noise of each token σ(z_t−1, u, c).

    Parameters
    ----------
    channels
        Token channels of every field group.
    context_dim, effect_dim
        Lengths of the context and of an effect.
    effect_patch
        Tokens along each edge of the region that shares an effect.
    width, blocks
        Channels and residual blocks of each network.
    coupled
        One network sees all channels. Without, every field group has its own and evolves alone (the "decoupled" variant of
        arXiv 2506.12996).
    """

    def __init__(
        self,
        channels: Sequence[int],
        context_dim: int,
        effect_dim: int,
        effect_patch: int,
        width: int,
        blocks: int,
        *,
        coupled: bool = True,
    ) -> None:
        super().__init__()
        self.effect_dim = effect_dim
        self.effect_patch = effect_patch
        self.channels = [sum(channels)] if coupled else list(channels)
        self.networks = nn.ModuleList(TransitionNetwork(k, context_dim, effect_dim, width, blocks) for k in self.channels)

    def effect_shape(self, ny: int, nx: int) -> tuple[int, int, int]:
        """Shape (D, y, x) of the trajectory effects of a lattice of ``ny`` × ``nx`` tokens."""
        return self.effect_dim, -(-ny // self.effect_patch), -(-nx // self.effect_patch)

    def forward(self, z: Tensor, u: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Drift and standard deviation of flat tokens (batch, channel, y, x), given effects (batch, D, …) and context (batch, c)."""
        ny, nx = z.shape[-2:]
        u = raised(u, self.effect_patch, self.periodic)[..., :ny, :nx]
        found = [network(part, u, context) for network, part in zip(self.networks, z.split(self.channels, dim=1), strict=True)]
        drift, raw = (torch.cat(part, dim=1) for part in zip(*found, strict=True))
        return drift, PROCESS_SCALE(raw)
