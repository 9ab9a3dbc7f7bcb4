"""Chains of tokens that are linear and Gaussian, behind the interfaces of the networks, with their exact posterior.

z_t = a z_t−1 + b u + σ ε and x_t = D z_t + σ_x ε, channel by channel, on a small lattice whose tokens share the effects u.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from probtokens.models.state_space import Belief, GuideNotes, TokenGuide, TokenModel, Weights, local_parameters
from probtokens.nn.smoothing import BackwardMessages


@dataclass(frozen=True)
class Chain:
    """Numbers of a chain; one effect for every channel.

    Attributes
    ----------
    carry, drive, noise
        a, b and σ of every channel.
    pixel_noise
        σ_x.
    n_pixels
        Pixels that every token is seen through.
    lattice
        Tokens along y and x.
    n_times
        Frames, the first included.
    """

    carry: tuple[float, ...] = (0.95, 0.7)
    drive: tuple[float, ...] = (0.15, 0.3)
    noise: tuple[float, ...] = (0.2, 0.4)
    pixel_noise: float = 0.5
    n_pixels: int = 4
    lattice: tuple[int, int] = (2, 2)
    n_times: int = 11

    @property
    def n_channels(self) -> int:
        """Channels of a token, and trajectory effects."""
        return len(self.carry)

    def decoder(self) -> Tensor:
        """D (pixel, channel): orthogonal columns, so that what a frame says of one channel does not depend on the others."""
        columns = np.linalg.qr(np.random.default_rng(0).normal(size=(self.n_pixels, self.n_channels)))[0]
        return torch.tensor(1.5 * columns, dtype=torch.float32)


class LinearAutoencoder(nn.Module):
    """Encoder with a mean linear in the pixels and one scale per channel; the decoder is the chain's own."""

    def __init__(self, chain: Chain) -> None:
        super().__init__()
        self.register_buffer("matrix", chain.decoder())
        self.pixel_noise = chain.pixel_noise
        self.inverse = nn.Parameter(torch.zeros(chain.n_channels, chain.n_pixels))
        self.log_scale = nn.Parameter(torch.zeros(chain.n_channels))

    def encode(self, frames: Tensor) -> Normal:
        """Factor over tokens (..., channel, y, x) of frames (..., pixel, y, x)."""
        mean = torch.einsum("kp,...pyx->...kyx", self.inverse, frames)
        return Normal(mean, self.log_scale.exp()[:, None, None].expand_as(mean), validate_args=False)

    def decode(self, z: Tensor) -> Normal:
        """Frames (..., pixel, y, x) of tokens (..., channel, y, x)."""
        mean = torch.einsum("pk,...kyx->...pyx", self.get_buffer("matrix"), z)
        return Normal(mean, torch.full_like(mean, self.pixel_noise), validate_args=False)


class LinearDynamics(nn.Module):
    """The chain's transition."""

    def __init__(self, chain: Chain) -> None:
        super().__init__()
        self.carry = nn.Parameter(torch.tensor(chain.carry))
        self.drive = nn.Parameter(torch.tensor(chain.drive))
        self.log_noise = nn.Parameter(torch.tensor(chain.noise).log())

    def forward(self, belief: Belief, u: Tensor, context: Tensor, weights: Weights) -> Normal:
        """Distribution of the next tokens (..., channel, y, x) given effects (..., channel, 1, 1)."""
        mean = self.carry[:, None, None] * belief.z + self.drive[:, None, None] * u
        return Normal(mean, self.log_noise.exp()[:, None, None].expand_as(mean), validate_args=False)


class LinearTrajectoryEncoder(nn.Module):
    """q(u | x): mean linear in the tokens' averages over the lattice at every time, one scale per effect."""

    def __init__(self, chain: Chain) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(chain.n_channels, chain.n_times, chain.n_channels))
        self.log_scale = nn.Parameter(torch.zeros(chain.n_channels))

    def forward(self, tokens: Tensor, context: Tensor) -> Normal:
        """Distribution of u (simulation, effect, 1, 1) given token means (simulation, time, channel, y, x)."""
        mean = torch.einsum("dtk,ntk->nd", self.weight, tokens.mean(dim=(-1, -2)))[:, :, None, None]
        return Normal(mean, self.log_scale.exp()[:, None, None].expand_as(mean), validate_args=False)


class LinearPair(nn.Module):
    """Model and guide of a chain; the guide knows nothing yet.

    Parameters
    ----------
    chain
        Its numbers.
    guide_class
        Guide to use.
    """

    def __init__(self, chain: Chain, guide_class: type[TokenGuide] = TokenGuide) -> None:
        super().__init__()
        self.chain = chain
        self.autoencoder = LinearAutoencoder(chain)
        self.dynamics = LinearDynamics(chain)
        self.trajectory_encoder = LinearTrajectoryEncoder(chain)
        self.smoother = BackwardMessages([chain.n_channels])
        notes = GuideNotes()
        with local_parameters():
            model = TokenModel(self.autoencoder, self.dynamics, lambda ny, nx: (chain.n_channels, 1, 1), notes, initial_scale=1.0)
            guide = guide_class(self.autoencoder, self.dynamics, self.trajectory_encoder, self.smoother, notes, initial_scale=1.0)
        self.pair = (model, guide)

    @torch.no_grad()
    def simulate(self, n: int, generator: torch.Generator) -> Tensor:
        """Frames (simulation, time, pixel, y, x) drawn from the model."""
        chain = self.chain
        u = torch.randn(n, chain.n_channels, 1, 1, generator=generator)
        z = torch.randn(n, chain.n_channels, *chain.lattice, generator=generator)
        tokens = [z]
        for _ in range(1, chain.n_times):
            step = self.dynamics(Belief(z, z, z), u, u, {})
            z = step.mean + step.stddev * torch.randn(z.shape, generator=generator)
            tokens.append(z)
        pixels = self.autoencoder.decode(torch.stack(tokens, dim=1))
        return pixels.mean + pixels.stddev * torch.randn(pixels.mean.shape, generator=generator)


class ExactPosterior:
    """Posterior and evidence of a chain by conditioning one joint Gaussian of u, z and x, in double precision.

    Tokens and effects of different channels are independent and so are, after rotation, their pixels: the
    joint Gaussian is over the effect, all tokens and all rotated pixels of one channel.
    """

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        n_tokens = int(np.prod(chain.lattice))
        self.size = chain.n_times * n_tokens
        self._matrix = chain.decoder().double().numpy()
        self._channels = [self._joint(k, n_tokens) for k in range(chain.n_channels)]

    def _joint(self, channel: int, n_tokens: int) -> tuple[np.ndarray, np.ndarray]:
        """Covariance of (u, z) and the matrix that maps it to the rotated pixels of a channel."""
        chain = self.chain
        a, b, noise = chain.carry[channel], chain.drive[channel], chain.noise[channel]
        # Every variable as a combination of independent standard normals: u, z_0 and the noise of each step.
        n_sources = 1 + self.size
        rows = np.zeros((1 + self.size, n_sources))
        rows[0, 0] = 1.0
        for token in range(n_tokens):
            for t in range(chain.n_times):
                row = 1 + t * n_tokens + token
                if t == 0:
                    rows[row, row] = 1.0
                else:
                    rows[row] = a * rows[row - n_tokens] + b * rows[0]
                    rows[row, row] += noise
        norm = float(np.linalg.norm(self._matrix[:, channel]))
        seen = np.zeros((self.size, 1 + self.size))
        seen[:, 1:] = norm * np.eye(self.size)
        return rows @ rows.T, seen

    def _rotated(self, frames: np.ndarray) -> np.ndarray:
        """Pixels (simulation, time, pixel, y, x) along the decoder's columns and beyond: (simulation, pixel, time · token)."""
        columns = self._matrix / np.linalg.norm(self._matrix, axis=0)
        rest = np.linalg.svd(columns)[0][:, columns.shape[1] :]
        rotation = np.concatenate([columns, rest], axis=1)
        rotated = np.einsum("pq,ntpyx->nqtyx", rotation, frames.astype(np.float64))
        return rotated.reshape(*rotated.shape[:2], -1)

    def moments(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Means and standard deviations of z, (simulation, time, channel, y, x), and of u, (simulation, effect)."""
        chain, rotated = self.chain, self._rotated(frames)
        means, scales = [], []
        for channel, (covariance, seen) in enumerate(self._channels):
            total = seen @ covariance @ seen.T + chain.pixel_noise**2 * np.eye(self.size)
            gain = np.linalg.solve(total, seen @ covariance).T
            means.append(rotated[:, channel] @ gain.T)
            scales.append(np.sqrt(np.diag(covariance - gain @ seen @ covariance)))
        mean, scale = np.stack(means, axis=1), np.stack(scales)
        shape = (chain.n_channels, chain.n_times, *chain.lattice)
        z_mean = mean[:, :, 1:].reshape(len(frames), *shape).swapaxes(1, 2)
        z_scale = np.broadcast_to(scale[:, 1:].reshape(shape).swapaxes(0, 1), z_mean.shape)
        return z_mean, z_scale, mean[:, :, 0], np.broadcast_to(scale[:, 0], mean[:, :, 0].shape)

    def log_evidence(self, frames: np.ndarray) -> np.ndarray:
        """Log p(x) of every simulation [nat]."""
        chain, rotated = self.chain, self._rotated(frames)
        result = np.zeros(len(frames))
        noise = chain.pixel_noise**2
        for pixel in range(chain.n_pixels):
            total = noise * np.eye(self.size)
            if pixel < chain.n_channels:
                covariance, seen = self._channels[pixel]
                total = total + seen @ covariance @ seen.T
            values = rotated[:, pixel]
            _, log_determinant = np.linalg.slogdet(total)
            squared = np.einsum("ni,ni->n", values, np.linalg.solve(total, values.T).T)
            result -= 0.5 * (squared + log_determinant + self.size * np.log(2.0 * np.pi))
        return result
