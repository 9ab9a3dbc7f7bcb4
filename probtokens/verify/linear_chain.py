"""Chains of tokens that are linear and Gaussian, behind the interfaces of the networks, with their exact posterior.

z_t = a z_t−1 + b u + σ ε and x_t = D z_t + σ_x ε, channel by channel, on a small lattice whose tokens share the effects u; z_0 is
standard normal and x_0 says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import multivariate_normal, norm
from torch import Tensor, nn
from torch.distributions import Normal

from probtokens.models.censored import CensoredNormal
from probtokens.models.state_space import StateSpace, Weights
from probtokens.models.views import View
from probtokens.nn.smoothing import BackwardMessages, Factor


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


class LinearChain(StateSpace):
    """The chain as a program; its posterior knows nothing yet.

    The encoder's mean is linear in the pixels, that of the effects' factor in the tokens' averages over the lattice at every time; scales
    are numbers of a channel. The first tokens are standard normal, whatever the first frame.

    Parameters
    ----------
    chain
        Its numbers.
    """

    def __init__(self, chain: Chain) -> None:
        super().__init__()
        self.chain = chain
        n = chain.n_channels
        self.register_buffer("matrix", chain.decoder())
        self.carry, self.drive = (nn.Parameter(torch.tensor(part)) for part in (chain.carry, chain.drive))
        self.log_noise = nn.Parameter(torch.tensor(chain.noise).log())
        self.inverse = nn.Parameter(torch.zeros(n, chain.n_pixels))
        self.log_scale = nn.Parameter(torch.zeros(n))
        self.effect_weight = nn.Parameter(torch.zeros(n, chain.n_times, n))
        self.effect_log_precision = nn.Parameter(torch.zeros(n))
        self.smoother = BackwardMessages([n])

    def encoded(self, frames: Tensor) -> Normal:
        """Factor over tokens (..., channel, y, x) of frames (..., pixel, y, x)."""
        mean = torch.einsum("kp,...pyx->...kyx", self.inverse, frames)
        return Normal(mean, self.log_scale.exp()[:, None, None].expand_as(mean), validate_args=False)

    def first_tokens(self, x0: Tensor) -> Normal:
        """Standard normal."""
        zeros = self.encoded(x0).mean.detach() * 0.0
        return Normal(zeros, torch.ones_like(zeros), validate_args=False)

    def effect_shape(self, ny: int, nx: int) -> tuple[int, int, int]:
        """One effect for every channel."""
        return (self.chain.n_channels, 1, 1)

    def step(self, z: Tensor, u: Tensor, context: Tensor, weights: Weights) -> Normal:
        """The chain's transition."""
        mean = self.carry[:, None, None] * z + self.drive[:, None, None] * u
        return Normal(mean, self.log_noise.exp()[:, None, None].expand_as(mean), validate_args=False)

    def observation(self, z: Tensor, view: View | None, x0: Tensor | None = None) -> CensoredNormal:
        """Frames (..., pixel, y, x), without bounds."""
        mean = torch.einsum("pk,...kyx->...pyx", self.get_buffer("matrix"), z)
        infinity = mean.new_full((), torch.inf)
        return CensoredNormal(mean, torch.full_like(mean, self.chain.pixel_noise), -infinity, infinity)

    def effect_factor(self, tokens: Normal, predicted: Normal, context: Tensor) -> Factor:
        """Factor over u (..., effect, 1, 1)."""
        mean = torch.einsum("dtk,...tk->...d", self.effect_weight, tokens.mean.mean(dim=(-1, -2)))[..., None, None]
        precision = self.effect_log_precision.exp()[:, None, None].expand_as(mean)
        return Factor(precision * mean, precision)

    def messages(self, own: Normal, predicted: Normal) -> list[Factor]:
        """Backward messages, exact for this chain once they are learned."""
        return self.smoother(own, predicted)


@torch.no_grad()
def simulate(chain: Chain, n: int, generator: torch.Generator) -> Tensor:
    """Frames (simulation, time, pixel, y, x) of a chain, drawn without the program."""

    def noise(*shape: int) -> Tensor:
        return torch.randn(n, *shape, generator=generator)

    carry, drive, scale = (torch.tensor(part)[:, None, None] for part in (chain.carry, chain.drive, chain.noise))
    u = noise(chain.n_channels, 1, 1)
    tokens = [noise(chain.n_channels, *chain.lattice)]
    for _ in range(1, chain.n_times):
        tokens.append(carry * tokens[-1] + drive * u + scale * noise(chain.n_channels, *chain.lattice))
    pixels = torch.einsum("pk,ntkyx->ntpyx", chain.decoder(), torch.stack(tokens, dim=1))
    return pixels + chain.pixel_noise * noise(*pixels.shape[1:])


class ExactPosterior:
    """Posterior and evidence of a chain given all frames but the first, by conditioning one joint Gaussian of u, z and x.

    In double precision.

    Pixels are rotated: so many of them along the decoder's columns, each of which sees one channel, and the rest, which are noise.
    """

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self._matrix = chain.decoder().double().numpy()
        self._covariance = self._joint()
        norms = np.linalg.norm(self._matrix, axis=0)
        n_effects, n_values = chain.n_channels, len(self._covariance) - chain.n_channels
        every = np.concatenate([np.zeros((n_values, n_effects)), np.diag(np.repeat(norms, n_values // n_effects))], axis=1)
        self._seen = every.reshape(n_effects, chain.n_times, -1, every.shape[1])[:, 1:].reshape(-1, every.shape[1])
        self._total = self._seen @ self._covariance @ self._seen.T + chain.pixel_noise**2 * np.eye(len(self._seen))

    def _joint(self) -> np.ndarray:
        """Covariance of all u, then all z in the order channel, time, token."""
        chain = self.chain
        n_tokens, n_channels, n_times = int(np.prod(chain.lattice)), chain.n_channels, chain.n_times
        # Every variable as a combination of independent standard normals: u, z_0 and the noise of each step.
        sources = np.eye(n_channels * (1 + n_times * n_tokens))
        effects, own = np.split(sources, [n_channels])
        own = own.reshape(n_channels, n_times, n_tokens, -1)
        z = np.zeros_like(own)
        z[:, 0] = own[:, 0]
        for channel in range(n_channels):
            for t in range(1, n_times):
                steady = chain.carry[channel] * z[channel, t - 1] + chain.drive[channel] * effects[channel]
                z[channel, t] = steady + chain.noise[channel] * own[channel, t]
        rows = np.concatenate([effects, z.reshape(-1, z.shape[-1])])
        return rows @ rows.T

    def _rotated(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Later pixels of frames along the decoder's columns, (simulation, channel · time · token), and the rest."""
        columns = self._matrix / np.linalg.norm(self._matrix, axis=0)
        rest = np.linalg.svd(columns)[0][:, columns.shape[1] :]
        along, beyond = (np.einsum("pq,ntpyx->nqtyx", part, frames[:, 1:].astype(np.float64)) for part in (columns, rest))
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
        """Log p(x_1:T) of every simulation [nat]."""
        along, beyond = self._rotated(frames)
        seen = multivariate_normal(np.zeros(along.shape[1]), self._total).logpdf(along)
        return seen + norm(scale=self.chain.pixel_noise).logpdf(beyond).sum(axis=1)
