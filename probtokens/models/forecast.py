"""Free-running rollouts of token models: differentiable for training, streamed for forecasts."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from probtokens.data.normalize import Normalizer
from probtokens.fields import FieldSpec
from probtokens.models.state_space import Belief, Weights, initial_posterior
from probtokens.nn.autoencoder import TokenAutoencoder


def draw(normal: Normal, generator: torch.Generator | None, shape: torch.Size | None = None) -> Tensor:
    """Reparametrised sample, optionally broadcast to ``shape``."""
    size = normal.mean.shape if shape is None else shape
    noise = torch.randn(size, generator=generator, device=normal.mean.device, dtype=normal.mean.dtype)
    return normal.mean + normal.stddev * noise


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
    stochastic: bool = True,
    effects: Tensor | None = None,
) -> Iterator[Tensor]:
    """Tokens at lead 1, 2, … without end; every draw keeps its u and its weights.

    Parameters
    ----------
    first
        Normalised first frames (simulation, field, y, x).
    context
        Context vector (simulation, feature).
    weights
        Weight draws with leading dimensions that broadcast against (draw, simulation).
    effect_shape
        Shape of the trajectory effects of a lattice.
    stochastic
        Without, u is zero and every distribution gives its mean.
    effects
        Trajectory effects u in place of drawn or zero ones; their leading dimensions broadcast against (draw, simulation).

    Yields
    ------
    Tensor
        Shape (draw, simulation, channel, token_y, token_x).
    """
    start = initial_posterior(autoencoder, first)
    shape = torch.Size((n_draws, *start.mean.shape))
    belief = Belief.of(draw(start, generator, shape) if stochastic else start.mean.expand(shape), start)
    size = (n_draws, len(first), *effect_shape(*start.mean.shape[-2:]))
    u = torch.randn(size, generator=generator, device=first.device) * stochastic if effects is None else effects.expand(size)
    while True:
        transition = dynamics(belief, u, context, weights)
        belief = Belief.of(draw(transition, generator) if stochastic else transition.mean, transition)
        yield belief.z


def to_physical(frames: Tensor, normalizer: Normalizer, fields: tuple[FieldSpec, ...]) -> Tensor:
    """Physical units (..., field, y, x), each field kept within its physical bounds."""
    physical = normalizer.denormalize(frames)
    for number, spec in enumerate(fields):
        if spec.lower is not None or spec.upper is not None:
            physical[..., number, :, :].clamp_(spec.lower, spec.upper)
    return physical
