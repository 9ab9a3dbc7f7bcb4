"""The local transition of tokens from one frame to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from probtokens.nn.blocks import Activation, ConvNextBlock, ResidualBlock, ScaleRange, SpreadHead, silent
from probtokens.nn.lattice import merge_leading
from probtokens.nn.process import Transition
from probtokens.nn.rest import RestBalance
from probtokens.nn.transport import TokenTransport

#: Range of the process noise's standard deviation, in latent units.
PROCESS_SCALE = ScaleRange(0.001, 1.5, start=0.01)

#: Standard deviation of the weights that loadings of shared noise start with. From nothing they would not learn: either sign is as good.
_LOADING_START = 0.003

#: Before training a pair of frames says almost nothing of an effect: the precision of its factor is softplus of this.
_RAW_PRECISION = -5.0

Adapter = Callable[[Tensor], Tensor]


Backbone = Literal["resnet", "unet", "convnext"]

#: What a trajectory effect does to the features of tokens: it scales them and adds to them, or scales them alone.
Effect = Literal["affine", "scale"]

#: Cells across the depthwise convolutions of a ConvNeXt.
_CONVNEXT_KERNEL = 5


class TransitionNetwork(nn.Module):
    """Drift, raw noise scale and ``noise_rank`` loadings of shared noise of some channels.

    A plain chain of ``blocks`` has the small stencil of its convolutions: ``resnet`` of 3×3 residual blocks, ``convnext`` of
    depthwise 5×5 ones. In a ``unet`` every one of ``levels`` halvings of the lattice doubles the width and has one
    residual block on the way down and one on the way up, and ``blocks`` are those of the coarsest level. Extents that do
    not divide are padded with edge values.
    """

    def __init__(
        self,
        channels: int,
        context_dim: int,
        effect_dim: int,
        width: int,
        blocks: int,
        levels: int,
        backbone: Backbone = "resnet",
        noise_rank: int = 0,
        activation: Activation = "gelu",
        effect: Effect = "affine",
    ) -> None:
        super().__init__()
        self.channels = channels
        self.noise_rank = noise_rank
        levels = levels if backbone == "unet" else 0
        widths = [width * 2**level for level in range(levels + 1)]
        self.multiple = 2**levels
        self.block_widths = [*widths[:-1], *[widths[-1]] * blocks, *reversed(widths[:-1])]
        self.embed = nn.Conv2d(channels, width, 3, padding=1)
        self.effect = silent(nn.Conv2d(effect_dim, width * (1 if effect == "scale" else 2), 1, bias=False))
        self.blocks = nn.ModuleList(
            ConvNextBlock(w, context_dim, _CONVNEXT_KERNEL, activation=activation)
            if backbone == "convnext"
            else ResidualBlock(w, context_dim)
            for w in self.block_widths
        )
        self.down = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in pairwise(widths))
        self.up = nn.ModuleList(nn.ConvTranspose2d(coarse, fine, 2, stride=2) for fine, coarse in pairwise(widths))
        self.head = nn.Conv2d(width, channels, 1)
        self.spread = SpreadHead(width, channels * (1 + noise_rank))
        with torch.no_grad():
            for parameter in self.head.parameters():
                parameter.mul_(0.1)
            self.spread[-1].get_parameter("weight")[channels:].normal_(std=_LOADING_START)

    def forward(self, z: Tensor, u: Tensor, context: Tensor, adapters: Sequence[Adapter] | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Drift and raw scale, each (batch, channel, y, x), and loadings (batch, rank, channel, y, x).

        Of tokens with effects (batch, D, y, x) and context (batch, c).
        """
        ny, nx = z.shape[-2:]
        features = self.embed(z)
        gain, *shift = self.effect(u).split(features.shape[1], dim=1)
        h = torch.addcmul(shift[0], 1 + gain, features) if shift else (1 + gain) * features
        missing = (0, -nx % self.multiple, 0, -ny % self.multiple)
        if any(missing):
            h = nn.functional.pad(h, missing, mode="replicate")
        todo = iter(zip(self.blocks, adapters if adapters is not None else [None] * len(self.blocks), strict=True))
        skips = []
        for down in self.down:
            h = _apply(todo, h, context)
            skips.append(h)
            h = down(h)
        for _ in range(len(self.blocks) - 2 * len(self.down)):
            h = _apply(todo, h, context)
        for up, skip in zip(reversed(self.up), reversed(skips), strict=True):
            h = _apply(todo, skip + up(h), context)
        h = nn.functional.silu(h[..., :ny, :nx])
        raw = self.spread(h)
        return self.head(h), raw[:, : self.channels], raw[:, self.channels :].unflatten(1, (self.noise_rank, self.channels))


def _apply(todo: Iterator[tuple[nn.Module, Adapter | None]], h: Tensor, context: Tensor) -> Tensor:
    block, adapter = next(todo)
    return block(h, context, adapter)


class TokenTransition(nn.Module):
    """p(z_t | z_t−1, u, c): mean z_t−1 + f(z_t−1, u, c), noise of each token σ(z_t−1, u, c), loadings of shared noise.

    ``noise_rank`` shared noises have a node every ``noise_patch`` tokens; see :class:`~probtokens.nn.process.Transition`.
    With ``coupled`` one network sees all channels; without, every field group has its own and
    evolves alone (the "decoupled" variant of arXiv 2506.12996). With ``transport`` f is the change by
    transport plus what the network makes of the transported tokens. With ``rest`` it has no drift at rest; see
    :class:`~probtokens.nn.rest.RestBalance`.
    """

    def __init__(
        self,
        channels: Sequence[int],
        context_dim: int,
        effect_dim: int,
        effect_patch: int,
        width: int,
        blocks: int,
        levels: int,
        backbone: Backbone,
        coupled: bool,
        transport: TokenTransport | None = None,
        noise_rank: int = 0,
        noise_patch: int = 4,
        activation: Activation = "gelu",
        effect: Effect = "affine",
        rest: bool = False,
    ) -> None:
        super().__init__()
        self.transport = transport
        self.rest = RestBalance(sum(channels)) if rest else None
        self.noise_rank = noise_rank
        self.noise_patch = noise_patch
        self.effect_dim = effect_dim
        self.effect_patch = effect_patch
        self.channels = [sum(channels)] if coupled else list(channels)
        sizes = (context_dim, effect_dim, width, blocks, levels)
        networks = [TransitionNetwork(k, *sizes, backbone, noise_rank, activation, effect) for k in self.channels]
        self.block_widths = networks[0].block_widths
        self.networks = nn.ModuleList(networks)

    @property
    def adapter_widths(self) -> list[int]:
        """Width of every adaptable convolution, network by network."""
        return self.block_widths * len(self.networks)

    def effect_shape(self, ny: int, nx: int) -> tuple[int, int, int]:
        """Shape (D, y, x) of the trajectory effects of a lattice of ``ny`` × ``nx`` tokens."""
        return self.effect_dim, -(-ny // self.effect_patch), -(-nx // self.effect_patch)

    def parts(
        self, z: Tensor, u: Tensor, context: Tensor, adapters: Sequence[Adapter] | None = None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Drift, standard deviation and loadings of flat tokens (batch, channel, y, x).

        Given effects (batch, D, …) and context (batch, c). Networks of their own share no noise with others.
        """
        ny, nx = z.shape[-2:]
        u = nn.functional.interpolate(u, scale_factor=float(self.effect_patch), mode="bilinear")[..., :ny, :nx]
        change = self.transport(z) if self.transport is not None else torch.zeros_like(z)
        drifts, raws, loadings, adapted, before = [], [], [], 0, 0
        for network, part in zip(self.networks, (z + change).split(self.channels, dim=1), strict=True):
            own = adapters[adapted : adapted + len(self.block_widths)] if adapters is not None else None
            drift, raw, loading = network(part, u, context, own)
            drifts.append(drift)
            raws.append(raw)
            loadings.append(nn.functional.pad(loading, (0, 0, 0, 0, before, z.shape[1] - before - part.shape[1])))
            adapted += len(self.block_widths)
            before += part.shape[1]
        loading = torch.cat(loadings, dim=1) if self.noise_rank else None
        change = change + torch.cat(drifts, dim=1)
        return change if self.rest is None else change - self.rest(z), PROCESS_SCALE(torch.cat(raws, dim=1)), loading

    def forward(self, z: Tensor, u: Tensor, context: Tensor) -> Transition:
        """Distribution of the next tokens (..., channel, y, x) given effects (..., D, effect_y, effect_x) and context (..., c)."""
        leading, flat, (u_flat, c_flat) = merge_leading(z, u.flatten(-3), context)
        drift, scale, loading = self.parts(flat, u_flat.unflatten(1, u.shape[-3:]), c_flat)
        return Transition(flat + drift, scale, loading, self.noise_patch).unflattened(leading)


class TrajectoryEncoder(nn.Module):
    """Amortized q(u | x_0:T): the prior times a Gaussian factor from every pair of frames and every token around an effect.

    Information and precision of the factors add up, so that more frames tell more, whatever their number and order.
    """

    def __init__(self, channels: int, context_dim: int, width: int, effect_dim: int, effect_patch: int) -> None:
        super().__init__()
        self.effect_patch = effect_patch
        self.effect_dim = effect_dim
        self.local = nn.Sequential(
            nn.Conv2d(2 * channels + context_dim, width, 3, padding=1), nn.SiLU(), nn.Conv2d(width, width, 1), nn.SiLU()
        )
        self.head = silent(nn.Conv2d(width, 2 * effect_dim, 1))

    def forward(self, tokens: Tensor, context: Tensor) -> Normal:
        """Distribution of u (batch, D, effect_y, effect_x) given token means (batch, time, channel, y, x) and context (batch, c).

        A single frame says nothing about the effects on its future: the answer is then the prior.
        """
        batch, n_times = tokens.shape[:2]
        if n_times < 2:
            ny, nx = (-(-size // self.effect_patch) for size in tokens.shape[-2:])
            zeros = tokens.new_zeros(batch, self.effect_dim, ny, nx)
            return Normal(zeros, torch.ones_like(zeros), validate_args=False)
        maps = context[:, None, :, None, None].expand(-1, n_times - 1, -1, *tokens.shape[-2:])
        pairs = torch.cat([tokens[:, :-1], tokens[:, 1:] - tokens[:, :-1], maps], dim=2)
        information, raw = self.head(self.local(pairs.flatten(0, 1))).chunk(2, dim=1)
        precision = nn.functional.softplus(raw + _RAW_PRECISION)
        information, precision = (self._summed(part.unflatten(0, (batch, n_times - 1))) for part in (information, precision))
        return Normal(information / (1 + precision), (1 + precision).rsqrt(), validate_args=False)

    def _summed(self, factors: Tensor) -> Tensor:
        """Sum of (batch, time, D, y, x) over time and over the tokens of each effect."""
        return nn.functional.avg_pool2d(factors.sum(1), self.effect_patch, ceil_mode=True, divisor_override=1)
