"""Trains the guide of a small pair on simulations of its own model."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from probtokens.models.objectives import negative_elbo
from probtokens.models.state_space import Scales, TokenGuide, TokenModel

Pair = tuple[TokenModel, TokenGuide]


def no_context(frames: Tensor) -> Tensor:
    """Context (simulation, 1) of simulations about which nothing is known."""
    return frames.new_zeros(len(frames), 1)


def elbo(pair: Pair, frames: Tensor, particles: int) -> float:
    """ELBO per simulation [nat], averaged over so many draws of the guide."""
    with torch.no_grad():
        losses = [float(negative_elbo(*pair, frames, no_context(frames), Scales())) for _ in range(particles)]
    return -sum(losses) / len(losses) / len(frames)


def train(
    pair: Pair, learned: Iterable[nn.Parameter], simulate: Callable[[int], Tensor], *, steps: int, batch: int, learning_rate: float
) -> None:
    """Maximise the ELBO over ``learned``, with new simulations at every step and a rate that falls like a cosine.

    Parameters
    ----------
    simulate
        Gives frames (simulation, time, field, y, x) of so many simulations.
    """
    optimizer = torch.optim.Adam(learned, lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        frames = simulate(batch)
        loss = negative_elbo(*pair, frames, no_context(frames), Scales()) / batch
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
