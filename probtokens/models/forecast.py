"""Free-running rollouts of token models: differentiable for training, streamed for forecasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from probtokens.fields import FieldSpec
from probtokens.models.state_space import Belief, Weights, initial_posterior
from probtokens.nn.autoencoder import TokenAutoencoder
from probtokens.nn.process import Transition


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


def draw(normal: Normal, generator: torch.Generator | None, shape: torch.Size | None = None) -> Tensor:
    """Reparametrised sample, optionally broadcast to ``shape``."""
    size = normal.mean.shape if shape is None else shape
    noise = torch.randn(size, generator=generator, device=normal.mean.device, dtype=normal.mean.dtype)
    return normal.mean + normal.stddev * noise


def draw_if(source: Source, sources: Sources, normal: Normal, generator: torch.Generator | None, shape: torch.Size | None = None) -> Tensor:
    """Sample of ``normal`` as :func:`draw` gives it if ``source`` is one of ``sources``, else its mean.

    Unless there are no sources at all, noise is drawn in either case: those that are left meet the noise that they meet among all. Only
    shifted views ask for noise of another size, so that forecasts with and without them share none.
    """
    mean = normal.mean if shape is None else normal.mean.expand(shape)
    if not sources:
        return mean
    sample = draw(normal, generator, shape)
    return sample if source in sources else mean


def free_running(
    autoencoder: TokenAutoencoder,
    dynamics: nn.Module,
    first: Tensor,
    context: Tensor,
    weights: Weights,
    *,
    n_draws: int,
    effect_shape: Callable[[int, int], tuple[int, int, int]],
    generator: torch.Generator | None = None,
    sources: Sources = ALL_SOURCES,
    effects: Tensor | None = None,
    precision: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Iterator[Tensor]:
    """Tokens at lead 1, 2, … without end; every draw keeps its u and its weights.

    Parameters
    ----------
    first
        Normalised first frames (simulation, field, y, x), or those of every draw (draw, simulation, field, y, x).
    context
        Context vector (simulation, feature).
    weights
        Weight draws with leading dimensions that broadcast against (draw, simulation).
    effect_shape
        Shape of the trajectory effects of a lattice.
    sources
        Of initial state, process noise and trajectory effect, those to draw; a process without noise still tells how sure it is.
    effects
        Trajectory effects u in place of drawn ones; their leading dimensions broadcast against (draw, simulation).
    precision
        Context in which the transition is computed.

    Yields
    ------
    Tensor
        Shape (draw, simulation, channel, token_y, token_x).
    """
    start = initial_posterior(autoencoder, first)
    shape = torch.Size((n_draws, *start.mean.shape[-4:]))
    belief = Belief.of(draw_if(Source.INITIAL, sources, start, generator, shape), start)
    size = (*shape[:2], *effect_shape(*start.mean.shape[-2:]))
    drawn = torch.randn(size, generator=generator, device=first.device) * (Source.EFFECT in sources)
    u = drawn if effects is None else effects.expand(size)
    while True:
        with precision():
            transition = dynamics(belief, u, context, weights)
        belief = Belief.of(_next(transition, sources, generator), transition.marginal)
        yield belief.z


def _next(transition: Transition, sources: Sources, generator: torch.Generator | None) -> Tensor:
    """Tokens after a transition; noise is drawn as :func:`draw_if` does."""
    if not sources or transition.loading is None:
        return draw_if(Source.PROCESS, sources, transition.given(None), generator)
    size = (*transition.mean.shape[:-3], *transition.shared_shape)
    shared = torch.randn(size, generator=generator, device=transition.mean.device)
    sample = draw(transition.given(shared), generator)
    return sample if Source.PROCESS in sources else transition.mean


def within_bounds(frames: Tensor, fields: tuple[FieldSpec, ...]) -> Tensor:
    """The same frames (..., field, y, x), in physical units, with each field brought within its physical bounds."""
    for number, spec in enumerate(fields):
        if spec.lower is not None or spec.upper is not None:
            frames[..., number, :, :].clamp_(spec.lower, spec.upper)
    return frames
