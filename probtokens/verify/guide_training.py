"""Trains the guide of a small program on simulations of its own model."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from pyro.infer import TraceMeanField_ELBO
from torch import Tensor, nn

from probtokens.models.state_space import Guide, Model, StateSpace


def no_context(frames: Tensor) -> Tensor:
    """Context (simulation, 1) of simulations about which nothing is known."""
    return frames.new_zeros(len(frames), 1)


def negative_elbo(program: StateSpace, guide: type[Guide], frames: Tensor) -> Tensor:
    """Negative evidence lower bound of frames (simulation, time, field, y, x) [nat], with a guide of this class."""
    loss: Tensor = TraceMeanField_ELBO()(Model(program), guide(program))(frames, no_context(frames))
    return loss


def elbo(program: StateSpace, frames: Tensor, particles: int, guide: type[Guide] = Guide) -> float:
    """ELBO per simulation [nat], averaged over so many draws of the guide."""
    with torch.no_grad():
        losses = [float(negative_elbo(program, guide, frames)) for _ in range(particles)]
    return -sum(losses) / len(losses) / len(frames)


def train(
    program: StateSpace,
    learned: Iterable[nn.Parameter],
    simulate: Callable[[int], Tensor],
    *,
    steps: int,
    batch: int,
    learning_rate: float,
    guide: type[Guide] = Guide,
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
        loss = negative_elbo(program, guide, simulate(batch)) / batch
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
