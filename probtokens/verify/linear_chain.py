"""Chains of tokens that are linear and Gaussian, behind the interfaces of the networks, with their exact posterior.

z_t = a z_t−1 + b u + l s_t + σ ε and x_t = D z_t + σ_x ε, channel by channel, on a small lattice whose tokens share the effects u and
at every step one number s_t.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import multivariate_normal, norm
from torch import Tensor, nn
from torch.distributions import Normal

from probtokens.models.state_space import Belief, GuideNotes, TokenGuide, TokenModel, Weights, local_parameters
from probtokens.nn.process import Transition
from probtokens.nn.smoothing import BackwardMessages


@dataclass(frozen=True)
class Chain:
    """Numbers of a chain; one effect for every channel.

    Attributes
    ----------
    carry, drive, noise
        a, b and σ of every channel.
    shared
        l of every channel; without it there is no s_t.
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
    shared: tuple[float, ...] | None = None
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
        self.shared = None if chain.shared is None else nn.Parameter(torch.tensor(chain.shared))
        self.extent = max(chain.lattice)

    def forward(self, belief: Belief, u: Tensor, context: Tensor, weights: Weights) -> Transition:
        """Distribution of the next tokens (..., channel, y, x) given effects (..., channel, 1, 1)."""
        mean = self.carry[:, None, None] * belief.z + self.drive[:, None, None] * u
        loading = None if self.shared is None else self.shared[:, None, None].expand_as(mean).unsqueeze(-4)
        return Transition(mean, self.log_noise.exp()[:, None, None].expand_as(mean), loading, self.extent)


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
            shared = torch.randn(n, *step.shared_shape, generator=generator)
            z = step.given(shared).mean + step.stddev * torch.randn(z.shape, generator=generator)
            tokens.append(z)
        pixels = self.autoencoder.decode(torch.stack(tokens, dim=1))
        return pixels.mean + pixels.stddev * torch.randn(pixels.mean.shape, generator=generator)


class ExactPosterior:
    """Posterior and evidence of a chain by conditioning one joint Gaussian of u, z and x, in double precision.

    Pixels are rotated: so many of them along the decoder's columns, each of which sees one channel, and the rest, which are noise.
    """

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self._matrix = chain.decoder().double().numpy()
        self._covariance = self._joint()
        norms = np.linalg.norm(self._matrix, axis=0)
        n_effects, n_values = chain.n_channels, len(self._covariance) - chain.n_channels
        seen = np.repeat(norms, n_values // n_effects)
        self._seen = np.concatenate([np.zeros((n_values, n_effects)), np.diag(seen)], axis=1)
        self._total = self._seen @ self._covariance @ self._seen.T + chain.pixel_noise**2 * np.eye(n_values)

    def _joint(self) -> np.ndarray:
        """Covariance of all u, then all z in the order channel, time, token."""
        chain = self.chain
        n_tokens, n_channels, n_times = int(np.prod(chain.lattice)), chain.n_channels, chain.n_times
        # Every variable as a combination of independent standard normals: u, z_0 and white noise, and s of each step.
        sources = np.eye(n_channels * (1 + n_times * n_tokens) + n_times)
        effects, own, shared = np.split(sources, [n_channels, len(sources) - n_times])
        own = own.reshape(n_channels, n_times, n_tokens, -1)
        z = np.zeros_like(own)
        z[:, 0] = own[:, 0]
        loadings = chain.shared or (0.0,) * n_channels
        for channel in range(n_channels):
            for t in range(1, n_times):
                steady = chain.carry[channel] * z[channel, t - 1] + chain.drive[channel] * effects[channel]
                z[channel, t] = steady + loadings[channel] * shared[t] + chain.noise[channel] * own[channel, t]
        rows = np.concatenate([effects, z.reshape(-1, z.shape[-1])])
        return rows @ rows.T

    def _rotated(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixels (simulation, time, pixel, y, x) along the decoder's columns, (simulation, channel · time · token), and the rest."""
        columns = self._matrix / np.linalg.norm(self._matrix, axis=0)
        rest = np.linalg.svd(columns)[0][:, columns.shape[1] :]
        along, beyond = (np.einsum("pq,ntpyx->nqtyx", part, frames.astype(np.float64)) for part in (columns, rest))
        return along.reshape(len(frames), -1), beyond.reshape(len(frames), -1)

    def moments(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Means and standard deviations of z, (simulation, time, channel, y, x), and of u, (simulation, effect)."""
        chain = self.chain
        gain = np.linalg.solve(self._total, self._seen @ self._covariance).T
        mean = self._rotated(frames)[0] @ gain.T
        scale = np.sqrt(np.diag(self._covariance - gain @ self._seen @ self._covariance))
        u_mean, z_mean = np.split(mean, [chain.n_channels], axis=1)
        u_scale, z_scale = np.split(scale, [chain.n_channels])
        shape = (chain.n_channels, chain.n_times, *chain.lattice)
        z_mean = z_mean.reshape(len(frames), *shape).swapaxes(1, 2)
        z_scale = np.broadcast_to(z_scale.reshape(shape).swapaxes(0, 1), z_mean.shape)
        return z_mean, z_scale, u_mean, np.broadcast_to(u_scale, u_mean.shape)

    def log_evidence(self, frames: np.ndarray) -> np.ndarray:
        """Log p(x) of every simulation [nat]."""
        along, beyond = self._rotated(frames)
        seen = multivariate_normal(np.zeros(along.shape[1]), self._total).logpdf(along)
        return seen + norm(scale=self.chain.pixel_noise).logpdf(beyond).sum(axis=1)
