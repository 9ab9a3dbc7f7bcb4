"""A torch network of the predecessor's shapes (arXiv 2506.12996), untrained, to time against.

Per field: a convolutional encoder and a VGG-like decoder of widths 512 to 64 between the pixels and four latent channels at an
eighth of the resolution, and two U-Nets of three levels and base width 64 that advance the latent's mean and log-variance;
two more U-Nets then correct all fields together. Widths are the published ones, layers per level are two throughout.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from probtokens.baselines.mld_network import LATENT, Decoder, Encoder, UNet

#: Of the finest level, as published.
WIDTH = 64


class Predecessor(nn.Module):
    """All fields: encode, advance mean and log-variance, correct them together, decode."""

    def __init__(self, n_fields: int = 3) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(Encoder(WIDTH) for _ in range(n_fields))
        self.decoders = nn.ModuleList(Decoder(WIDTH) for _ in range(n_fields))
        self.means = nn.ModuleList(UNet(LATENT, LATENT, WIDTH) for _ in range(n_fields))
        self.log_variances = nn.ModuleList(UNet(LATENT, LATENT, WIDTH) for _ in range(n_fields))
        self.coupled_mean = UNet(LATENT * n_fields, LATENT * n_fields, WIDTH)
        self.coupled_log_variance = UNet(LATENT * n_fields, LATENT * n_fields, WIDTH)

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
