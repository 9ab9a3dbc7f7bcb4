"""The local transition of tokens from one frame to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from probtokens.nn.blocks import ResidualBlock, bounded_scale, silent
from probtokens.nn.lattice import merge_leading
from probtokens.nn.transport import TokenTransport

#: Bounds of the process noise's standard deviation, in latent units.
PROCESS_SCALE = (0.005, 1.5)

Adapter = Callable[[Tensor], Tensor]


class TransitionNetwork(nn.Module):
    """Residual U-Net of 3×3 convolutions: drift and raw noise scale of some channels.

    Every one of ``levels`` halvings of the lattice doubles the width and has one block on the way down
    and one on the way up; the coarsest level has ``blocks``. Without levels it is a plain residual network
    with the small stencil of its convolutions. Extents that do not divide are padded with edge values.
    """

    def __init__(self, channels: int, condition_dim: int, width: int, blocks: int, levels: int) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(levels + 1)]
        self.multiple = 2**levels
        self.block_widths = [*widths[:-1], *[widths[-1]] * blocks, *reversed(widths[:-1])]
        self.embed = nn.Conv2d(channels, width, 3, padding=1)
        self.blocks = nn.ModuleList(ResidualBlock(w, condition_dim) for w in self.block_widths)
        self.down = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in pairwise(widths))
        self.up = nn.ModuleList(nn.ConvTranspose2d(coarse, fine, 2, stride=2) for fine, coarse in pairwise(widths))
        self.head = nn.Conv2d(width, 2 * channels, 1)
        with torch.no_grad():
            for parameter in self.head.parameters():
                parameter.mul_(0.1)

    def forward(self, z: Tensor, condition: Tensor, adapters: Sequence[Adapter] | None = None) -> tuple[Tensor, Tensor]:
        """Drift and raw scale, each (batch, channel, y, x)."""
        ny, nx = z.shape[-2:]
        h = self.embed(nn.functional.pad(z, (0, -nx % self.multiple, 0, -ny % self.multiple), mode="replicate"))
        todo = iter(zip(self.blocks, adapters if adapters is not None else [None] * len(self.blocks), strict=True))
        skips = []
        for down in self.down:
            h = _apply(todo, h, condition)
            skips.append(h)
            h = down(h)
        for _ in range(len(self.blocks) - 2 * len(self.down)):
            h = _apply(todo, h, condition)
        for up, skip in zip(reversed(self.up), reversed(skips), strict=True):
            h = _apply(todo, skip + up(h), condition)
        drift, raw = self.head(nn.functional.silu(h[..., :ny, :nx])).chunk(2, dim=1)
        return drift, raw


def _apply(todo: Iterator[tuple[nn.Module, Adapter | None]], h: Tensor, condition: Tensor) -> Tensor:
    block, adapter = next(todo)
    return block(h, condition, adapter)


class TokenTransition(nn.Module):
    """p(z_t | z_t−1, u, c) = Normal(z_t−1 + f(z_t−1, u, c), σ(z_t−1, u, c)).

    With ``coupled`` one network sees all channels; without, every field group has its own and
    evolves alone (the "decoupled" variant of arXiv 2506.12996). With ``transport`` f is the change by
    transport plus what the network makes of the transported tokens.
    """

    def __init__(
        self,
        channels: Sequence[int],
        condition_dim: int,
        width: int,
        blocks: int,
        levels: int,
        coupled: bool,
        transport: TokenTransport | None = None,
    ) -> None:
        super().__init__()
        self.transport = transport
        self.channels = [sum(channels)] if coupled else list(channels)
        networks = [TransitionNetwork(k, condition_dim, width, blocks, levels) for k in self.channels]
        self.block_widths = networks[0].block_widths
        self.networks = nn.ModuleList(networks)

    @property
    def adapter_widths(self) -> list[int]:
        """Width of every adaptable convolution, network by network."""
        return self.block_widths * len(self.networks)

    def drift_and_scale(self, z: Tensor, condition: Tensor, adapters: Sequence[Adapter] | None = None) -> tuple[Tensor, Tensor]:
        """Drift and standard deviation of flat tokens (batch, channel, y, x), condition (batch, feature)."""
        change = self.transport(z) if self.transport is not None else torch.zeros_like(z)
        drifts, raws, start = [], [], 0
        for network, part in zip(self.networks, (z + change).split(self.channels, dim=1), strict=True):
            own = adapters[start : start + len(self.block_widths)] if adapters is not None else None
            drift, raw = network(part, condition, own)
            drifts.append(drift)
            raws.append(raw)
            start += len(self.block_widths)
        return change + torch.cat(drifts, dim=1), bounded_scale(torch.cat(raws, dim=1), *PROCESS_SCALE)

    def forward(self, z: Tensor, u: Tensor, context: Tensor) -> Normal:
        """Distribution of the next tokens (..., channel, y, x) given u (..., D) and context (..., c)."""
        leading, flat, (u_flat, c_flat) = merge_leading(z, u, context)
        drift, scale = self.drift_and_scale(flat, torch.cat([u_flat, c_flat], dim=1))
        shape = (*leading, *flat.shape[1:])
        return Normal((flat + drift).reshape(shape), scale.reshape(shape), validate_args=False)


class TrajectoryEncoder(nn.Module):
    """Amortized q(u | x_0:T): a permutation-free summary of a window's tokens."""

    def __init__(self, channels: int, context_dim: int, width: int, trajectory_dim: int) -> None:
        super().__init__()
        self.local = nn.Sequential(nn.Conv2d(2 * channels, width, 3, padding=1), nn.SiLU(), nn.Conv2d(width, width, 1), nn.SiLU())
        self.head = silent(nn.Linear(width + context_dim, 2 * trajectory_dim))

    def forward(self, tokens: Tensor, context: Tensor) -> Normal:
        """Distribution of u (batch, D) given token means (batch, time, channel, y, x) and context (batch, c).

        A single frame says nothing about the effect on its future: the answer is then the prior.
        """
        batch, n_times = tokens.shape[:2]
        if n_times < 2:
            zeros = tokens.new_zeros(batch, self.head.out_features // 2)
            return Normal(zeros, torch.ones_like(zeros), validate_args=False)
        pairs = torch.cat([tokens[:, :-1], tokens[:, 1:] - tokens[:, :-1]], dim=2)
        features = self.local(pairs.flatten(0, 1)).mean((2, 3)).reshape(batch, n_times - 1, -1).mean(1)
        mean, raw = self.head(torch.cat([features, context], dim=1)).chunk(2, dim=1)
        return Normal(mean, nn.functional.softplus(raw + 0.5413), validate_args=False)
