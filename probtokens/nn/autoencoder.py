"""Patches to tokens and back, one field group at a time, so that a field's tokens can be reused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from probtokens.nn.blocks import ConvNextBlock, ScaleRange, SpreadHead, silent
from probtokens.nn.edges import Convolution
from probtokens.nn.lattice import merge_leading

#: Range of the encoder's and the decoder's standard deviations, in units of the normalised latent and field: of either, one says nothing.
FACTOR_SCALE = ScaleRange(0.002, 1.0, start=0.01)
PIXEL_SCALE = ScaleRange(0.001, 1.0, start=0.03)

#: Components of less spread, in normalised units, are not blown up to unit variance.
_SMALLEST_SPREAD = 1e-3


class GroupEncoder(nn.Module):
    """Frames of one field group to a Gaussian factor over the group's token channels: linear plus a correction."""

    def __init__(self, n_fields: int, channels: int, patch: int, width: int, blocks: int) -> None:
        super().__init__()
        self.patch = patch
        self.linear = nn.Conv2d(n_fields * patch**2, channels, 1)
        self.embed = nn.Conv2d(n_fields * patch**2, width, 1)
        self.blocks = nn.ModuleList(ConvNextBlock(width) for _ in range(blocks))
        self.head = silent(nn.Conv2d(width, channels, 1))
        self.spread = SpreadHead(width, channels)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and raw scale, each (batch, channel, token_y, token_x), of (batch, field, y, x)."""
        patches = nn.functional.pixel_unshuffle(frames, self.patch)
        h = self.embed(patches)
        for block in self.blocks:
            h = block(h)
        return self.linear(patches) + self.head(h), self.spread(h)


class GroupDecoder(nn.Module):
    """Token channels of one field group to a Gaussian over the cells of its patches: linear plus a correction."""

    def __init__(self, n_fields: int, channels: int, patch: int, width: int, blocks: int) -> None:
        super().__init__()
        self.linear = nn.Conv2d(channels, n_fields * patch**2, 1)
        self.embed = Convolution(channels, width)
        self.blocks = nn.ModuleList(ConvNextBlock(width) for _ in range(blocks))
        self.head = silent(nn.Conv2d(width, n_fields * patch**2, 1))
        self.spread = SpreadHead(width, n_fields * patch**2)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and raw scale, each (batch, field · cell, token_y, token_x), of (batch, channel, token_y, token_x)."""
        h = self.embed(z)
        for block in self.blocks:
            h = block(h)
        h = nn.functional.silu(h)
        with torch.autocast(z.device.type, enabled=False):  # the amplitude of a hot spot is more than half a precision tells
            linear = self.linear(z.float())
        return linear + self.head(h), self.spread(h)


class _PatchMoments:
    """Streaming mean and covariance of patches, in double precision."""

    def __init__(self, n_pixels: int) -> None:
        self.count = 0
        self.total = torch.zeros(n_pixels, dtype=torch.float64)
        self.products = torch.zeros(n_pixels, n_pixels, dtype=torch.float64)

    def update(self, patches: Tensor) -> None:
        """Add patches (batch, pixel, token_y, token_x)."""
        rows = patches.movedim(1, -1).flatten(0, -2).double()
        self.count += len(rows)
        self.total += rows.sum(0)
        self.products += rows.T @ rows

    def principal_components(self, n: int) -> tuple[Tensor, Tensor, Tensor]:
        """Mean (pixel,), leading directions (pixel, component) with a fixed sign, standard deviations (component,)."""
        mean = self.total / self.count
        covariance = self.products / self.count - torch.outer(mean, mean)
        values, vectors = torch.linalg.eigh(covariance)
        directions = vectors.flip(-1)[:, :n]
        directions = directions * torch.where(directions.sum(0) < 0, -1.0, 1.0)
        spread = values.flip(-1)[:n].clamp_min(_SMALLEST_SPREAD**2).sqrt()
        return mean.float(), directions.float(), spread.float()


def set_affine(layer: nn.Module, weight: Tensor, bias: Tensor) -> None:
    """Give a 1×1 convolution the weight (out, in) and bias (out,)."""
    with torch.no_grad():
        layer.get_parameter("weight").copy_(weight[:, :, None, None])
        layer.get_parameter("bias").copy_(bias)


class TokenAutoencoder(nn.Module):
    """Encoder and decoder of all field groups.

    Parameters
    ----------
    field_groups
        For every group the positions of its fields along the field axis.
    channels
        Token channels of every group.
    patch
        Cells along each edge of a patch.
    widths
        Width of every group's networks.
    encoder_blocks, decoder_blocks
        Their depth.
    """

    field_order: Tensor

    def __init__(
        self,
        field_groups: Sequence[Sequence[int]],
        channels: Sequence[int],
        patch: int,
        widths: Sequence[int],
        encoder_blocks: int,
        decoder_blocks: int,
    ) -> None:
        super().__init__()
        self.field_groups = [list(group) for group in field_groups]
        self.channels = list(channels)
        self.patch = patch
        order = [index for group in self.field_groups for index in group]
        self._ordered = order == sorted(order)
        self.register_buffer("field_order", torch.argsort(torch.tensor(order)), persistent=False)
        sizes = list(zip((len(g) for g in self.field_groups), self.channels, widths, strict=True))
        self.encoders = nn.ModuleList(GroupEncoder(n, k, patch, width, encoder_blocks) for n, k, width in sizes)
        self.decoders = nn.ModuleList(GroupDecoder(n, k, patch, width, decoder_blocks) for n, k, width in sizes)
        self.pixel_raw_scale = nn.Parameter(torch.zeros(len(order)))

    def encode(self, frames: Tensor) -> Normal:
        """Gaussian data factor over tokens, (..., channel, token_y, token_x), of frames (..., field, y, x)."""
        self.check_frames(frames)
        leading, flat, _ = merge_leading(frames)
        parts = [net(flat[:, group]) for net, group in zip(self.encoders, self.field_groups, strict=True)]
        mean = torch.cat([part[0] for part in parts], dim=1)
        scale = FACTOR_SCALE(torch.cat([part[1] for part in parts], dim=1))
        shape = (*leading, *mean.shape[1:])
        return Normal(mean.reshape(shape), scale.reshape(shape), validate_args=False)

    def decode(self, z: Tensor) -> Normal:
        """Gaussian over normalised frames (..., field, y, x) of tokens (..., channel, token_y, token_x)."""
        leading, flat, _ = merge_leading(z)
        parts = [net(piece) for net, piece in zip(self.decoders, flat.split(self.channels, dim=1), strict=True)]
        mean, raw = (self._in_field_order(torch.cat(part, dim=1)) for part in zip(*parts, strict=True))
        # Added before the range is applied: a factor outside would move its bounds, and saturate the heads at the upper one.
        scale = PIXEL_SCALE(raw + self.pixel_raw_scale.repeat_interleave(self.patch**2)[:, None, None])
        mean, scale = (nn.functional.pixel_shuffle(part, self.patch) for part in (mean, scale))
        shape = (*leading, *mean.shape[1:])
        return Normal(mean.reshape(shape), scale.reshape(shape), validate_args=False)

    def _in_field_order(self, patches: Tensor) -> Tensor:
        """Patches (batch, field · cell, …) of the groups' fields in the order of the frames' fields."""
        if self._ordered:
            return patches
        return patches.unflatten(1, (-1, self.patch**2))[:, self.field_order].flatten(1, 2)

    def linear_change(self, change: Tensor) -> Tensor:
        """Change of the decoded mean's linear part, patches as channels, that goes with one of tokens (batch, channel, y, x).

        Its mean square is that over the pixels of all fields.
        """
        pieces = zip(self.decoders, change.split(self.channels, dim=1), strict=True)
        return torch.cat([nn.functional.conv2d(piece, net.get_parameter("linear.weight")) for net, piece in pieces], dim=1)

    @torch.no_grad()
    def initialise(self, trajectories: Iterable[Tensor]) -> None:
        """Start from the principal components of patches, scaled to unit variance.

        The linear maps then reconstruct as well as any linear code can and tokens follow their prior's
        scale; training spends its time on what is not linear.

        Parameters
        ----------
        trajectories
            Normalised frames, each (..., field, y, x); passed through once.
        """
        patches = [_PatchMoments(len(group) * self.patch**2) for group in self.field_groups]
        for frames in trajectories:
            flat = frames.flatten(0, -4)
            for moments, group in zip(patches, self.field_groups, strict=True):
                moments.update(nn.functional.pixel_unshuffle(flat[:, group], self.patch))
        for moments, encoder, decoder, channels in zip(patches, self.encoders, self.decoders, self.channels, strict=True):
            mean, directions, spread = moments.principal_components(channels)
            set_affine(encoder.get_submodule("linear"), (directions / spread).T, -(directions / spread).T @ mean)
            set_affine(decoder.get_submodule("linear"), directions * spread, mean)

    def check_frames(self, frames: Tensor, patch: int | None = None) -> None:
        """Refuse frames (..., field, y, x) that do not fit fields and patches, of ``patch`` cells an edge where data have other cells.

        Raises
        ------
        ValueError
            With what was expected and what came.
        """
        n_fields, patch = len(self.pixel_raw_scale), patch or self.patch
        if frames.ndim < 3 or frames.shape[-3] != n_fields:
            raise ValueError(f"frames: expected {n_fields} fields on axis -3, got shape {tuple(frames.shape)}")
        for axis, size in zip(("y", "x"), frames.shape[-2:], strict=True):
            if size % patch:
                raise ValueError(f"frames: expected a multiple of the patch size {patch} along {axis}, got {size} cells")
