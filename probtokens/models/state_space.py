"""The generative program of a chain of token lattices, and what gives its sites their values.

Given the first frame x_0 and a context c, the sites are::

    view        ~ Uniform(0, 1)³                             how a draw sees the domain; see View
    w           ~ prior                                      shared by all trajectories; meso scale only
    u           ~ Normal(0, I)                               effect of a trajectory, constant in time, on a coarse lattice
    z_0 | x_0   ~ Normal(m(x_0), s(x_0))                     tokens of the first frame
    z_t | z_t−1 ~ Normal(z_t−1 + f(z_t−1, u, c, w), σ(·))    a local step
    x_t | z_t   ~ decoder, a Normal censored at the fields' bounds, t ≥ 1; constant fields are those of x_0

Where a frame of the data is several steps, sites are of every step and frames x of those that data have.

:meth:`StateSpace.trajectory` is the only place where a step is taken. A *sampler* is asked for the value of every site by name and prior:

- :class:`InPlate` asks Pyro: the :class:`Model`.
- :class:`Posterior` multiplies each prior with what data say, and asks another sampler for a value of the product: the :class:`Guide`.
- :class:`Draws` draws from a seed, some sites or all, and takes means of the others: forecasts, scores, regression, ablations.

A forecast asks :class:`Posterior` of the first frame alone, over :class:`Draws`. It is what ``Predictive(model, guide)`` draws from.
"""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from enum import StrEnum
from itertools import count, islice
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.poutine.runtime import am_i_wrapped, effectful
from torch import Tensor, nn
from torch.distributions import Normal

from probtokens.models.censored import CensoredNormal
from probtokens.models.views import View
from probtokens.nn.smoothing import Factor

#: Value of the site with this name and this prior.
Sample = Callable[[str, dist.Distribution], Tensor]
Weights = Mapping[str, Tensor]


class StateSpace(nn.Module, ABC):
    """The program; subclasses say what its distributions are.

    Attributes
    ----------
    population
        Simulations and frames of each that batches of windows stand for: local sites then weigh as those of the whole set, so that
        weights shared by all trajectories meet their prior once. ``None`` lets a batch stand for itself.
    steps_per_frame
        Steps from one frame of the data to the next.
    """

    population: tuple[int, int] | None = None
    steps_per_frame: int = 1

    @abstractmethod
    def encoded(self, frames: Tensor) -> Normal:
        """What each of frames (..., field, y, x) in physical units says of its own tokens (..., channel, y, x)."""

    @abstractmethod
    def effect_shape(self, ny: int, nx: int) -> tuple[int, int, int]:
        """Shape (D, y, x) of the trajectory effects of a lattice of ``ny`` × ``nx`` tokens."""

    @abstractmethod
    def step(self, z: Tensor, u: Tensor, context: Tensor, weights: Weights) -> Normal:
        """Distribution of the tokens that follow ``z`` (..., channel, y, x), given a context vector (..., simulation, feature)."""

    @abstractmethod
    def observation(self, z: Tensor, view: View | None, x0: Tensor | None = None) -> CensoredNormal:
        """Frames (..., field, y, x) in physical units, as the domain has them, of tokens in a view.

        Constant fields have no spread: they are as in first frames ``x0``, whose axes fit. Without these they are what the tokens say.
        """

    @abstractmethod
    def effect_factor(self, tokens: Normal, predicted: Normal, context: Tensor) -> Factor:
        """What tokens (..., time, channel, y, x) of several frames, and steps from them without effects, say of the trajectory effects."""

    @abstractmethod
    def messages(self, own: Normal, predicted: Normal) -> list[Factor]:
        """What later frames say of the tokens of each; see :class:`~probtokens.nn.smoothing.BackwardMessages`."""

    def first_tokens(self, x0: Tensor) -> Normal:
        """Distribution of the tokens of first frames (..., field, y, x); by default what these say of them."""
        return self.encoded(x0)

    def evidence(self, frames: Tensor) -> Normal:
        """What each of frames (..., field, y, x) says of its own tokens in a posterior; by default what :meth:`encoded` says."""
        return self.encoded(frames)

    def view(self, n_simulations: int, sample: Sample) -> View | None:
        """How draws see their domain; by default all see it as it is."""
        return None

    def weight_prior(self) -> dist.Distribution | None:
        """Prior of the weights' site ``w``, without batch dimensions; by default there are none."""
        return None

    def weight_posterior(self) -> dist.Distribution | None:
        """Posterior of the same site."""
        return None

    def weights(self, w: Tensor) -> Weights:
        """Weights by name, (..., weight), that a value of ``w`` stands for."""
        return {}

    def described(self, w: Tensor) -> Weights:
        """What people ask of the weights' site, by name, of values (..., number): by default these numbers."""
        return {"w": w}

    def shared(self, ny: int, nx: int) -> Weights:
        """What all steps on a lattice of ``ny`` × ``nx`` tokens would compute alike, by name; by default nothing."""
        return {}

    def context_vector(self, context: Tensor) -> Tensor:
        """What the networks see of the known scalars (simulation, context); by default these."""
        return context

    def request(self, frames: Tensor, context: Tensor, n_steps: int | None) -> int:
        """Check a window and tell its horizon.

        Raises
        ------
        ValueError
            If shapes do not fit, or there is nothing to observe and nothing to forecast.
        """
        horizon = frames.shape[1] - 1 if n_steps is None else n_steps
        if horizon < 1:
            raise ValueError(f"frames: expected at least 2 frames along time, or n_steps >= 1, got shape {tuple(frames.shape)}")
        return horizon

    def begin(self, x0: Tensor, sample: Sample) -> tuple[View | None, Normal]:
        """View, and distribution of the first tokens, of first frames (simulation, field, y, x) in physical units."""
        view = self.view(len(x0), sample)
        return view, self.first_tokens(x0 if view is None else view.seen(x0))

    def trajectory(self, first: Normal, context: Tensor, sample: Sample) -> Iterator[Tensor]:
        """Tokens of the frames at lead 0, 1, 2, … without end; sites are of every step.

        Parameters
        ----------
        first
            Distribution of the first tokens, (..., simulation, channel, y, x).
        context
            Context vector (simulation, feature).
        sample
            What gives the sites their values.
        """
        prior = self.weight_prior()
        ny, nx = first.mean.shape[-2:]
        weights = {**(self.weights(sample("w", prior)) if prior is not None else {}), **self.shared(ny, nx)}
        effect = first.mean.new_zeros(*first.mean.shape[:-3], *self.effect_shape(ny, nx))
        u = sample("u", on_lattice(Normal(effect, torch.ones_like(effect), validate_args=False)))
        following = first
        for t in count():
            z = sample(f"z_{t}", on_lattice(following))
            if t % self.steps_per_frame == 0:
                yield z
            following = self.step(z, u, context, weights)

    def forecast_tokens(self, x0: Tensor, context: Tensor, draw: Sample) -> tuple[View | None, Iterator[Tensor]]:
        """View and tokens of the posterior predictive given first frames (simulation, field, y, x), physical units.

        Sites that the guide has come from it, which has seen the first frame alone.
        """
        view, first = self.begin(x0, draw)
        return view, self.continued(first, self.context_vector(context), draw)

    def continued(self, first: Normal, context: Tensor, draw: Sample) -> Iterator[Tensor]:
        """Tokens of the posterior predictive from first ones on, given a context vector."""
        return self.trajectory(first, context, Posterior(self, None, context, draw))


def on_lattice(normal: Normal) -> dist.Distribution:
    """Joint distribution of (..., channel, y, x): its last three axes are one event."""
    return dist.Normal(normal.mean, normal.stddev, validate_args=False).to_event(3)


class InPlate:
    """Asks Pyro for every site; those with a batch lie in the plate ``simulation``."""

    def __init__(self, program: StateSpace, n_simulations: int, horizon: int) -> None:
        self._plate = pyro.plate("simulation", n_simulations, dim=-1)
        population = program.population or (0, 0)
        self._simulations = max(population[0], n_simulations) / n_simulations
        self._frames = max(population[1] - 1, horizon) / horizon

    def __call__(self, name: str, prior: dist.Distribution, **options: Any) -> Tensor:
        """Value of the site; observed with ``obs=``."""
        if not prior.batch_shape:
            return pyro.sample(name, prior, **options)
        of_a_trajectory = name in ("view", "u")
        with poutine.scale(scale=self._simulations * (1.0 if of_a_trajectory else self._frames)), self._plate:
            return pyro.sample(name, prior, **options)


class Posterior:
    """Every site's prior times what the observed frames say of it, as far as they are known when the site is met.

    Tokens of steps between frames have their prior: nothing is observed of them.

    Parameters
    ----------
    program
        Whose sites they are.
    frames
        Observed frames, the first included, as the draws see them: (..., simulation, time, field, y, x), physical units. ``None`` where
        only the first is known, which says nothing beyond the first tokens that it gives.
    context
        Context vector (simulation, feature).
    sample
        What gives the posterior's sites their values.
    """

    def __init__(self, program: StateSpace, frames: Tensor | None, context: Tensor, sample: Sample) -> None:
        self._program, self._context, self._sample = program, context, sample
        self._own = None if frames is None or frames.shape[-4] < 2 else program.evidence(frames)
        self._weights: Weights = {}
        self._factors: Iterator[Factor | None] = iter(())

    def __call__(self, name: str, prior: dist.Distribution) -> Tensor:
        """Value of the site."""
        if name == "w":
            posterior = self._program.weight_posterior()
            w = self._sample("w", prior if posterior is None else posterior)
            self._weights = self._program.weights(w)
            return w
        if name == "u":
            return self._effect(prior)
        factor = next(self._factors, None)
        return self._sample(name, prior if factor is None else on_lattice(self.tokens(prior.base_dist, factor)))

    def tokens(self, prior: Normal, factor: Factor) -> Normal:
        """Posterior of a frame's tokens, given those before it by ``prior`` and this and later frames by ``factor``."""
        return factor.posterior(prior)

    def later(self, own: Normal, predicted: Normal) -> list[Factor]:
        """What later frames say of each frame's tokens; see :meth:`StateSpace.messages`."""
        return self._program.messages(own, predicted)

    def _effect(self, prior: dist.Distribution) -> Tensor:
        """The effect, with which factors of all tokens can be told."""
        if self._own is None:
            return self._sample("u", prior)
        without = self._predicted(self._own, prior.base_dist.mean)
        factor = self._program.effect_factor(self._own, without, self._context)
        u = self._sample("u", on_lattice(factor.posterior(prior.base_dist)))
        later = self.later(self._own, self._predicted(self._own, u))
        # The first tokens' prior is what their own frame says of them.
        frames = zip(self._own.mean.unbind(-4)[1:], self._own.stddev.unbind(-4)[1:], later[1:], strict=True)
        told = (Factor.of(Normal(mean, sd, validate_args=False)) * factor for mean, sd, factor in frames)
        between = [None] * (self._program.steps_per_frame - 1)
        self._factors = iter([later[0], *(site for factor in told for site in (*between, factor))])
        return u

    def _predicted(self, own: Normal, u: Tensor) -> Normal:
        """Where steps lead from the means of all frames but the last to the next frame; the variances of their noise add up."""
        found = Normal(own.mean[..., :-1, :, :, :], own.stddev[..., :-1, :, :, :], validate_args=False)
        each = {name: weight.unsqueeze(-2) for name, weight in self._weights.items()}
        variances = []
        for _ in range(self._program.steps_per_frame):
            found = self._program.step(found.mean, u.unsqueeze(-4), self._context.unsqueeze(-2), each)
            variances.append(found.variance)
        return found if len(variances) == 1 else Normal(found.mean, torch.stack(variances).sum(0).sqrt(), validate_args=False)


class Source(StrEnum):
    """What makes the members of a forecast differ."""

    VIEW = "view"
    INITIAL = "initial state"
    PROCESS = "process noise"
    EFFECT = "trajectory effect"
    WEIGHTS = "weights"
    DECODER = "decoder noise"


#: Sources that a forecast draws from. Of the others it takes the mean, of weights the centre, no effect, and of views the domain as it is.
Sources = frozenset[Source]

ALL_SOURCES: Sources = frozenset(Source)
NO_SOURCES: Sources = frozenset()

_SOURCE_OF = {"view": Source.VIEW, "w": Source.WEIGHTS, "u": Source.EFFECT, "z_0": Source.INITIAL, "x": Source.DECODER}


class Draws:
    """Seeded draws of some sites, means of the others.

    Inactive sites still consume random numbers, so draws from other sources share the noise of those that both draw from. Without any
    source, and without a generator to draw from, all sites are at their mean.

    Parameters
    ----------
    n_draws
        Draws of every simulation.
    generator
        Where random numbers come from; torch's global generator by default.
    sources
        Sites to draw.
    given
        Values of sites by name; their leading dimensions broadcast against (draw, simulation).
    """

    def __init__(
        self,
        n_draws: int,
        generator: torch.Generator | None = None,
        sources: Sources = ALL_SOURCES,
        given: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.n_draws, self.generator, self.sources, self.given = n_draws, generator, sources, given or {}

    def __call__(self, name: str, prior: dist.Distribution) -> Tensor:
        """Value (draw, simulation, ...) of the site; of ``w``, which all simulations share, (draw, 1, ...)."""
        size = (self.n_draws, *(prior.batch_shape[-1:] or (1,)), *prior.event_shape)
        base = prior.base_dist if isinstance(prior, torch.distributions.Independent) else prior
        mean = torch.zeros_like(base.low) if isinstance(base, torch.distributions.Uniform) else base.loc
        drawn = self._drawn(base, size) if self.sources else None  # given sites consume random numbers as well
        if name in self.given:
            return self.given[name].expand(size)
        value = drawn if drawn is not None and _SOURCE_OF.get(name, Source.PROCESS) in self.sources else mean.expand(size)
        return base.bounded(value) if isinstance(base, CensoredNormal) else value

    def _drawn(self, base: dist.Distribution, size: tuple[int, ...]) -> Tensor:
        if isinstance(base, torch.distributions.Uniform):
            return base.low + (base.high - base.low) * torch.rand(
                size, generator=self.generator, device=base.low.device, dtype=base.low.dtype
            )
        if isinstance(base, torch.distributions.LowRankMultivariateNormal):
            rank = self._noise((*size[:-1], base.cov_factor.shape[-1]), base.loc)
            return base.loc + rank @ base.cov_factor.mT + base.cov_diag.sqrt() * self._noise(size, base.loc)
        return base.loc + base.scale * self._noise(size, base.loc)

    def _noise(self, size: tuple[int, ...], like: Tensor) -> Tensor:
        return torch.randn(size, generator=self.generator, device=like.device, dtype=like.dtype)


def draw_from(program: StateSpace, x0: Tensor, context: Tensor, n_steps: int, draw: Draws) -> tuple[Tensor, View | None, dict[str, Tensor]]:
    """One trajectory of every simulation drawn from the program, with all that it came from.

    Parameters
    ----------
    x0, context
        First frames (simulation, field, y, x) and known scalars (simulation, context), physical units.
    n_steps
        Frames after the first.
    draw
        Sampler of a single draw.

    Returns
    -------
    tuple
        Frames (simulation, time, field, y, x), the first one given; their view; and the values (1, simulation, ...) of all sites by name.
    """
    sites: dict[str, Tensor] = {}

    def remembered(name: str, prior: dist.Distribution) -> Tensor:
        sites[name] = draw(name, prior)
        return sites[name]

    view, tokens = program.forecast_tokens(x0, context, remembered)
    z = torch.stack(list(islice(tokens, n_steps + 1)), dim=-4)
    x = draw("x", program.observation(z[..., 1:, :, :, :], view, x0[:, None]).to_event(4))
    return torch.cat([x0[:, None], x[0]], dim=1), view, sites


def posterior_draws(program: StateSpace, frames: Tensor, context: Tensor, draw: Draws) -> dict[str, Tensor]:
    """Draws of all sites from the guide, given whole trajectories.

    Parameters
    ----------
    frames, context
        Observed frames (simulation, time, field, y, x) and known scalars (simulation, context), physical units.
    draw
        Sampler; where it has a view given, the posterior is that given the view.

    Returns
    -------
    dict
        Values (draw, simulation, ...) of all sites by name.
    """
    sites: dict[str, Tensor] = {}

    def remembered(name: str, posterior: dist.Distribution) -> Tensor:
        sites[name] = draw(name, posterior)
        return sites[name]

    view, first = program.begin(frames[:, 0], remembered)
    vector = program.context_vector(context)
    posterior = Posterior(program, frames if view is None else view.seen(frames), vector, remembered)
    for _ in islice(program.trajectory(first, vector, posterior), frames.shape[1]):
        pass
    return sites


class Model(nn.Module):
    """The program as a Pyro model.

    Parameters
    ----------
    program
        Owner of all parameters.
    """

    def __init__(self, program: StateSpace) -> None:
        super().__init__()
        self.program = program

    def forward(self, frames: Tensor, context: Tensor, n_steps: int | None = None) -> Tensor:
        """Sample or score a window; sites ``view``, ``w``, ``u``, ``z_0``, ``z_1``, … and ``x``, as far as the program has them.

        Parameters
        ----------
        frames
            Frames (simulation, time, field, y, x), physical units. The first is given, all later ones are observed.
        context
            Known scalars (simulation, context), physical units.
        n_steps
            Forecasts so many frames after the first instead; nothing is observed then.

        Returns
        -------
        Tensor
            Frames after the first, (..., simulation, lead, field, y, x), physical units.

        Raises
        ------
        ValueError
            If shapes do not fit the program.
        """
        program = self.program
        horizon = program.request(frames, context, n_steps)
        tell_parameters(program)
        sample = InPlate(program, len(frames), horizon)
        view, first = program.begin(frames[:, 0], sample)
        _, *later = islice(program.trajectory(first, program.context_vector(context), sample), horizon + 1)
        z = torch.stack(later, dim=-4)
        return sample("x", program.observation(z, view, frames[:, :1]).to_event(4), obs=frames[:, 1:] if n_steps is None else None)


class Guide(nn.Module):
    """The amortized posterior: the same program, each prior times a Gaussian factor of this and all later frames.

    Parameters
    ----------
    program
        Owner of all parameters.
    """

    posterior = Posterior

    def __init__(self, program: StateSpace) -> None:
        super().__init__()
        self.program = program

    def forward(self, frames: Tensor, context: Tensor, n_steps: int | None = None) -> None:
        """Sample all sites that the observed frames say something of; arguments as those of :class:`Model`."""
        program = self.program
        horizon = program.request(frames, context, n_steps)
        tell_parameters(program)
        sample = InPlate(program, len(frames), horizon)
        view, first = program.begin(frames[:, 0], sample)
        observed = frames if n_steps is None else frames[:, :1]
        vector = program.context_vector(context)
        posterior = self.posterior(program, observed if view is None else view.seen(observed), vector, sample)
        for _ in islice(program.trajectory(first, vector, posterior), observed.shape[1]):
            pass


def tell_parameters(program: nn.Module, among: Collection[nn.Parameter] | None = None) -> None:
    """Show the program's parameters, or those ``among`` them, to Pyro's handlers, such as that of ``SVI.step``.

    Modules own their parameters: Pyro's global store, where a second model in a process would meet the first one's, is not used.
    """
    if not am_i_wrapped():
        return
    chosen = None if among is None else {id(parameter) for parameter in among}
    for name, parameter in program.named_parameters():
        if parameter.requires_grad and (chosen is None or id(parameter) in chosen):
            shown = parameter.view_as(parameter)
            setattr(shown, "unconstrained", weakref.ref(parameter))  # noqa: B010 - what Pyro asks of parameters, unknown to torch's types
            effectful(type="param")(lambda *_, shown=shown, **__: shown)(name, shown, name=name)
