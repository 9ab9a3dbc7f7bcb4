"""A torch network of the predecessor's shapes (arXiv 2506.12996), untrained, to time against.

Per field: a convolutional encoder and a VGG-like decoder of widths 512 to 64 between the pixels and four latent channels at an
eighth of the resolution, and two U-Nets of three levels and base width 64 that advance the latent's mean and log-variance;
two more U-Nets then correct all fields together. Widths are the published ones, layers per level are two throughout.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

LATENT = 4
WIDTHS = (64, 128, 256, 512)


class _Pair(nn.Sequential):
    """Two 3×3 convolutions."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__(nn.Conv2d(before, after, 3, padding=1), nn.ReLU(), nn.Conv2d(after, after, 3, padding=1), nn.ReLU())


class Encoder(nn.Module):
    """A field (batch, 1, y, x) to mean and log-variance (batch, 4, y/8, x/8)."""

    def __init__(self) -> None:
        super().__init__()
        pairs = [_Pair(before, after) for before, after in zip((1, *WIDTHS[:2]), WIDTHS[:3], strict=True)]
        self.layers = nn.Sequential(*(layer for pair in pairs for layer in (pair, nn.MaxPool2d(2))))
        self.head = nn.Conv2d(WIDTHS[2], 2 * LATENT, 1)

    def forward(self, field: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance."""
        mean, log_variance = self.head(self.layers(field)).chunk(2, dim=1)
        return mean, log_variance


class Decoder(nn.Module):
    """A latent (batch, 4, y/8, x/8) to its field (batch, 1, y, x)."""

    def __init__(self) -> None:
        super().__init__()
        down = WIDTHS[::-1]
        layers: list[nn.Module] = [_Pair(LATENT, down[0])]
        for before, after in pairwise(down):
            layers += [nn.Upsample(scale_factor=2), _Pair(before, after)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(down[-1], 1, 1))

    def forward(self, z: Tensor) -> Tensor:
        """The field."""
        return self.layers(z)


class UNet(nn.Module):
    """Three levels of base width 64."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        a, b, c = WIDTHS[:3]
        self.one, self.two, self.three = _Pair(before, a), _Pair(a, b), _Pair(b, c)
        self.up_two, self.up_one = nn.ConvTranspose2d(c, b, 2, stride=2), nn.ConvTranspose2d(b, a, 2, stride=2)
        self.back_two, self.back_one = _Pair(2 * b, b), _Pair(2 * a, a)
        self.head = nn.Conv2d(a, after, 1)

    def forward(self, z: Tensor) -> Tensor:
        """(batch, after, y, x) of (batch, before, y, x)."""
        one = self.one(z)
        two = self.two(nn.functional.max_pool2d(one, 2))
        three = self.three(nn.functional.max_pool2d(two, 2))
        two = self.back_two(torch.cat([two, self.up_two(three)], dim=1))
        return self.head(self.back_one(torch.cat([one, self.up_one(two)], dim=1)))


class Predecessor(nn.Module):
    """All fields: encode, advance mean and log-variance, correct them together, decode."""

    def __init__(self, n_fields: int = 3) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(Encoder() for _ in range(n_fields))
        self.decoders = nn.ModuleList(Decoder() for _ in range(n_fields))
        self.means = nn.ModuleList(UNet(LATENT, LATENT) for _ in range(n_fields))
        self.log_variances = nn.ModuleList(UNet(LATENT, LATENT) for _ in range(n_fields))
        self.coupled_mean = UNet(LATENT * n_fields, LATENT * n_fields)
        self.coupled_log_variance = UNet(LATENT * n_fields, LATENT * n_fields)

    def encode(self, frame: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance (batch, 4 · field, y/8, x/8) of a frame (batch, field, y, x)."""
        parts = [encoder(field) for encoder, field in zip(self.encoders, frame.split(1, dim=1), strict=True)]
        return torch.cat([mean for mean, _ in parts], dim=1), torch.cat([log_variance for _, log_variance in parts], dim=1)

    def advance(self, mean: Tensor, log_variance: Tensor) -> tuple[Tensor, Tensor]:
        """Both one frame later."""
        mean = torch.cat([net(part) for net, part in zip(self.means, mean.split(LATENT, dim=1), strict=True)], dim=1)
        parts = zip(self.log_variances, log_variance.split(LATENT, dim=1), strict=True)
        log_variance = torch.cat([net(part) for net, part in parts], dim=1)
        return mean + self.coupled_mean(mean), log_variance + self.coupled_log_variance(log_variance)

    def decode(self, z: Tensor) -> Tensor:
        """Frame of a latent."""
        return torch.cat([net(part) for net, part in zip(self.decoders, z.split(LATENT, dim=1), strict=True)], dim=1)

    def loss(self, frames: Tensor) -> Tensor:
        """Of one rollout step between two frames (batch, 2, field, y, x): reconstruction, prediction and both latents."""
        mean, log_variance = self.encode(frames[:, 0])
        later_mean, later_log_variance = self.encode(frames[:, 1])
        z = mean + (0.5 * log_variance).exp() * torch.randn_like(mean)
        next_mean, next_log_variance = self.advance(mean, log_variance)
        next_z = next_mean + (0.5 * next_log_variance).exp() * torch.randn_like(next_mean)
        pixels = (self.decode(z) - frames[:, 0]).square().mean() + (self.decode(next_z) - frames[:, 1]).square().mean()
        latents = (next_mean - later_mean).square().mean() + (next_log_variance - later_log_variance).square().mean()
        kl = 0.5 * (mean.square() + log_variance.exp() - log_variance - 1.0).mean()
        return pixels + latents + 1e-3 * kl
