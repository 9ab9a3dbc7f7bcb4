"""The Pyro model and guide of a chain of token lattices, shared by both scales.

Generative story of one trajectory with context c, tokens z and normalised frames x::

    w ~ prior()                                      coupling weights (meso scale only)
    u ~ Normal(0, I)                                 trajectory effects, constant in time, on a coarse lattice
    z_0 ~ Normal(0, 10² I)
    s_t ~ Normal(0, I)                               noise that neighbouring tokens share; see Transition
    z_t ~ Normal(z_t−1 + f(z_t−1, u, c, w) + L s_t, σ)  dynamics; L and σ depend on z_t−1, u, c and w too
    x_t ~ Normal(d(z_t), σ_x(z_t))                   decoder

The guide multiplies the model's own transition with a Gaussian data factor, weighted by precision: what
the encoder makes of a frame, and what the frames after it say of its tokens. Given that factor the posterior
of shared noise is exact. The prior of z_0 times the factor of x_0 alone is where every forecast starts.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.nn import PyroModule
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, Normal

from probtokens.nn.process import Transition
from probtokens.nn.smoothing import BackwardMessages

Weights = dict[str, Tensor]

#: Standard deviation of a trajectory's first tokens before its frame is seen. Tokens have unit variance over all patches, but those
#: of a pore's edge lie many units from the rest: a narrower prior would draw them towards shocked bulk.
INITIAL_SCALE = 10.0

#: Scale, in normalised units, at which the decoder's mean learns; see :func:`evenly_attended`.
REFERENCE_SCALE = 0.1


def local_parameters() -> AbstractContextManager[None]:
    """Pyro setting under which modules own their parameters; needed where they are made and where they are run."""
    return pyro.settings.context(module_local_params=True)


@dataclass(frozen=True)
class Belief:
    """Sampled tokens with the Gaussian that they came from, each (..., channel, y, x)."""

    z: Tensor
    mean: Tensor
    log_scale: Tensor

    @classmethod
    def of(cls, z: Tensor, source: Normal) -> Belief:
        """Belief of a sample ``z`` of ``source``."""
        return cls(z, source.mean.expand_as(z), source.stddev.log().expand_as(z))


class Autoencoder(Protocol):
    """Frames to tokens and back."""

    def encode(self, frames: Tensor) -> Normal:
        """Gaussian factor over tokens (..., channel, y, x) of frames (..., field, y, x)."""
        ...

    def decode(self, z: Tensor) -> Normal:
        """Gaussian over frames of tokens."""
        ...


class Dynamics(Protocol):
    """One step of the token chain."""

    def __call__(self, belief: Belief, u: Tensor, context: Tensor, weights: Weights) -> Transition:
        """Distribution of the next tokens (..., channel, y, x)."""
        ...


@dataclass(frozen=True)
class Scales:
    """How much a window's sites count.

    Factors on log-probabilities: ``pixels`` makes neighbouring pixels count as fewer than their number;
    ``simulations`` and ``frames`` blow a batch of windows up to the whole training set, so that weights
    shared by all trajectories meet their prior once. ``evenly`` lets means learn as :func:`evenly_attended`
    does; gradients are then no longer those of the ELBO, and a guide would not become the posterior.
    """

    pixels: float = 1.0
    simulations: float = 1.0
    frames: float = 1.0
    evenly: bool = False


def product(first: Normal, second: Normal) -> Normal:
    """Normalised product of two Gaussians: precisions add, means are weighted by precision."""
    precision_1, precision_2 = first.stddev**-2, second.stddev**-2
    precision = precision_1 + precision_2
    mean = (precision_1 * first.mean + precision_2 * second.mean) / precision
    return Normal(mean, precision.rsqrt(), validate_args=False)


def initial_prior(like: Normal, scale: float = INITIAL_SCALE) -> Normal:
    """Prior of the first tokens, in the shape of ``like``."""
    return Normal(torch.zeros_like(like.mean), torch.full_like(like.mean, scale), validate_args=False)


class GuideNotes:
    """What the guide worked out for the very tensors that it sampled.

    Pyro replays those tensors through the model, which may then look up beliefs and transitions
    rather than compute them a second time. Other tensors are simply not found.
    """

    def __init__(self) -> None:
        self._beliefs: dict[int, Belief] = {}
        self._transitions: dict[int, Transition] = {}

    def clear(self) -> None:
        """Forget everything, and with it the autograd graph."""
        self._beliefs.clear()
        self._transitions.clear()

    def record(self, belief: Belief, transition: Transition | None = None) -> None:
        """Keep the belief of ``belief.z`` and, once known, the transition that leaves it."""
        self._beliefs[id(belief.z)] = belief
        if transition is not None:
            self._transitions[id(belief.z)] = transition

    def belief(self, z: Tensor) -> Belief | None:
        """Belief recorded for this tensor."""
        found = self._beliefs.get(id(z))
        return found if found is not None and found.z is z else None

    def transition(self, z: Tensor) -> Transition | None:
        """Transition recorded for this tensor."""
        return self._transitions.get(id(z)) if self.belief(z) is not None else None


class TokenModel(PyroModule):
    """Generative model; sites ``u``, ``z_0`` … ``z_T``, ``s_1`` … ``s_T`` if noise is shared, ``x`` and those of ``prior``."""

    def __init__(
        self,
        autoencoder: Autoencoder,
        dynamics: nn.Module,
        effect_shape: Callable[[int, int], tuple[int, int, int]],
        notes: GuideNotes,
        prior: Callable[[], Weights] | None = None,
        initial_scale: float = INITIAL_SCALE,
    ) -> None:
        super().__init__()
        self.initial_scale = initial_scale
        self.autoencoder = autoencoder
        self.dynamics = dynamics
        self.effect_shape = effect_shape
        self.notes = notes
        self.prior = prior

    def forward(self, frames: Tensor, context: Tensor, n_steps: int | None = None, scales: Scales = Scales()) -> Tensor:
        """Sample or score a window.

        Parameters
        ----------
        frames
            Normalised frames (simulation, time, field, y, x). All are observed, unless ``n_steps``
            asks for more than they hold: then only the first conditions, through the guide.
        context
            Context vector (simulation, feature).
        n_steps
            Steps after the first frame; by default as many as ``frames`` has.
        scales
            Factors on the sites' log-probabilities.

        Returns
        -------
        Tensor
            Frames (..., simulation, time, field, y, x).
        """
        horizon = frames.shape[1] - 1 if n_steps is None else n_steps
        weights = self.prior() if self.prior is not None else {}
        start = initial_posterior(self.autoencoder, frames[:, 0])
        with pyro.plate("simulation", frames.shape[0], dim=-1), poutine.scale(scale=scales.simulations):
            effect = frames.new_zeros(self.effect_shape(*start.mean.shape[-2:]))
            u = pyro.sample("u", dist.Normal(effect, 1.0).to_event(3))
            with poutine.scale(scale=scales.frames):
                chain = self._chain(u, context, weights, start, horizon)
                pixels = self.autoencoder.decode(torch.stack(chain, dim=-4))
                if scales.evenly:
                    pixels = evenly_attended(pixels)
                observed = frames if horizon < frames.shape[1] else None
                with poutine.scale(scale=scales.pixels):
                    return pyro.sample("x", dist.Normal(pixels.mean, pixels.stddev).to_event(4), obs=observed)

    def _chain(self, u: Tensor, context: Tensor, weights: Weights, start: Normal, horizon: int) -> list[Tensor]:
        z = pyro.sample("z_0", _over_lattice(initial_prior(start, self.initial_scale)))
        belief = self.notes.belief(z) or Belief.of(z, start)
        chain = [z]
        for step in range(1, horizon + 1):
            known = self.notes.transition(belief.z)
            transition = known if known is not None else self.dynamics(belief, u, context, weights)
            shared = _shared(step, transition, transition.shared_prior)
            z = pyro.sample(f"z_{step}", _over_lattice(transition.given(shared)))
            belief = self.notes.belief(z) or Belief.of(z, transition.marginal)
            chain.append(z)
        return chain


class TokenGuide(PyroModule):
    """Amortized posterior: model transition times the factor of this and all later frames."""

    def __init__(
        self,
        autoencoder: Autoencoder,
        dynamics: nn.Module,
        trajectory_encoder: Callable[[Tensor, Tensor], Normal],
        smoother: BackwardMessages,
        notes: GuideNotes,
        posterior: Callable[[], Weights] | None = None,
        initial_scale: float = INITIAL_SCALE,
    ) -> None:
        super().__init__()
        self.initial_scale = initial_scale
        self.autoencoder = autoencoder
        self.dynamics = dynamics
        self.trajectory_encoder = trajectory_encoder
        self.smoother = smoother
        self.notes = notes
        self.posterior = posterior

    def forward(self, frames: Tensor, context: Tensor, n_steps: int | None = None, scales: Scales = Scales()) -> None:
        """Sample u and the tokens of all observed frames; same signature as the model."""
        self.notes.clear()
        weights = self.posterior() if self.posterior is not None else {}
        observed = frames if n_steps is None else frames[:, :1]
        factors = self.autoencoder.encode(observed)
        effect = self.trajectory_encoder(factors.mean, context)
        with pyro.plate("simulation", frames.shape[0], dim=-1), poutine.scale(scale=scales.simulations):
            u = pyro.sample("u", dist.Normal(effect.mean, effect.stddev).to_event(3))
            with poutine.scale(scale=scales.frames):
                self._chain(u, context, weights, self._smoothed(factors, u, context, weights))

    def step_posterior(self, prediction: Normal, factor: Normal) -> Normal:
        """Posterior of the tokens of a frame, given those before it by ``prediction`` and this and later frames by ``factor``."""
        return product(prediction, factor)

    def _smoothed(self, factors: Normal, u: Tensor, context: Tensor, weights: Weights) -> list[Normal]:
        """Factor of every frame and of all that follow it, given the trajectory's effects and weights."""
        if factors.mean.shape[1] == 1:
            return [_at(factors, 0)]
        earlier = Normal(factors.mean[:, :-1], factors.stddev[:, :-1], validate_args=False)
        each = {name: weight.unsqueeze(-2) for name, weight in weights.items()}
        predicted = self.dynamics(Belief.of(earlier.mean, earlier), u.unsqueeze(-4), context.unsqueeze(-2), each)
        return self.smoother(factors, predicted.marginal)

    def _chain(self, u: Tensor, context: Tensor, weights: Weights, factors: list[Normal]) -> None:
        source = self.step_posterior(initial_prior(factors[0], self.initial_scale), factors[0])
        for step in range(len(factors)):
            z = pyro.sample(f"z_{step}", _over_lattice(source))
            belief = Belief.of(z, source)
            if step + 1 == len(factors):
                self.notes.record(belief)
                return
            transition = self.dynamics(belief, u, context, weights)
            self.notes.record(belief, transition)
            factor = factors[step + 1]
            shared = _shared(step + 1, transition, partial(transition.shared_posterior, factor))
            source = self.step_posterior(transition.given(shared), factor)


def initial_posterior(autoencoder: Autoencoder, frame: Tensor) -> Normal:
    """Posterior of z_0 (..., channel, y, x) given the first normalised frame (..., field, y, x)."""
    factor = autoencoder.encode(frame)
    return product(initial_prior(factor), factor)


def evenly_attended(pixels: Normal) -> Normal:
    """The same distribution with gradients of its mean as if its scale were ``REFERENCE_SCALE`` everywhere.

    A Gaussian likelihood with learned scale gives up on what is hard: gradients of the mean shrink
    with the square of the scale, so that hot spots, where scales are large, are never learned (Seitzer et
    al., ICLR 2022, who weigh the likelihood instead). Values, and the gradients of the scale, stay as they are.
    """
    factor = (pixels.stddev.detach() / REFERENCE_SCALE).square()
    mean = pixels.mean + (pixels.mean - pixels.mean.detach()) * (factor - 1)
    return Normal(mean, pixels.stddev, validate_args=False)


def _at(factors: Normal, step: int) -> Normal:
    return Normal(factors.mean[:, step], factors.stddev[:, step], validate_args=False)


def _shared(step: int, transition: Transition, source: Callable[[], MultivariateNormal]) -> Tensor | None:
    """Sample of a step's shared noise (..., rank, node_y, node_x), where there is any."""
    if transition.loading is None:
        return None
    normal = source()
    flat = pyro.sample(f"s_{step}", dist.MultivariateNormal(normal.loc, scale_tril=normal.scale_tril))
    return flat.unflatten(-1, transition.shared_shape)


def _over_lattice(normal: Normal) -> dist.Distribution:
    return dist.Normal(normal.mean, normal.stddev).to_event(3)
