"""Simulation-based calibration of the guide of trained tokens on draws from their own model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from scipy.stats import kstest
from torch import Tensor
from torch.distributions import Distribution, Normal

from probtokens.models.state_space import Draws, draw_from, posterior_draws
from probtokens.models.tokens import TokenForecaster
from probtokens.verify.check import Check

#: Draws of the guide for each trajectory.
_MEMBERS = 24

#: Trajectories whose posteriors are drawn at once.
_BATCH = 8

#: Ranks of so many tokens of a trajectory are looked at: all of them depend on each other.
_RANKED = 1

#: Least probability of ranks as uneven as those found, if they are uniform.
_LEAST_P = 0.001


def guide_calibration(
    model: TokenForecaster,
    first_frames: Tensor,
    context: Tensor,
    *,
    n_trajectories: int = 200,
    leads: Sequence[int] = (1, 4, 8),
    seed: int = 0,
    scale: float = 1.0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Check]:
    """Whether the guide's posteriors of trajectories that the model drew hold the values that they were drawn from, as often as they say.

    The true value of a site is one more draw from an exact posterior, so that its standardised distance from the posterior's draws has
    mean zero and unit variance, and its rank among them is uniform (Talts et al., arXiv 1804.06788). The view is given.

    Parameters
    ----------
    first_frames, context
        Frames (simulation, field, y, x) that trajectories begin with, in turns, and known scalars (simulation, context), physical units.
    n_trajectories
        Trajectories that are drawn.
    leads
        Steps after the first frame at which tokens are looked at; the last one is the trajectories' length.
    scale
        Factor on the guide's standard deviations, for negative controls.
    progress
        Called with trajectories done and in all.
    """
    scores: dict[str, list[Tensor]] = {}
    ranks: dict[str, list[Tensor]] = {}
    generator = torch.Generator().manual_seed(seed)
    for start in range(0, n_trajectories, _BATCH):
        chosen = torch.arange(start, min(start + _BATCH, n_trajectories)) % len(first_frames)
        for name, z, rank in _batch(model, first_frames[chosen], context[chosen], leads, generator, scale):
            scores.setdefault(name, []).append(z)
            ranks.setdefault(name, []).append(rank)
        progress(min(start + _BATCH, n_trajectories), n_trajectories)
    checks = []
    for name in scores:
        z, rank = torch.cat(scores[name]), torch.cat(ranks[name])
        means = z.mean(1)  # values of a trajectory depend on each other, trajectories do not
        error = float(means.std() / len(means) ** 0.5)
        spread = float(z.square().mean().sqrt())
        least = min(float(kstest(rank[:, k].numpy().astype(np.float64), "uniform").pvalue) for k in range(rank.shape[1]))
        checks += [
            Check(f"{name}: sd of standardised errors", "1", 1.0, spread, 0.1),
            Check(f"{name}: their mean, in standard errors", "1", 0.0, float(means.mean()) / error, 3.0, "absolute"),
            Check(f"{name}: probability of ranks as uneven", "1", _LEAST_P, least, relation="at_least"),
        ]
    return checks


@torch.no_grad()
def _batch(
    model: TokenForecaster, x0: Tensor, context: Tensor, leads: Sequence[int], generator: torch.Generator, scale: float
) -> Iterator[tuple[str, Tensor, Tensor]]:
    """Site, standardised errors (trajectory, value) and ranks in (0, 1) of some values (trajectory, value) of a batch of trajectories."""
    frames, _, truth = draw_from(model, x0, context, max(leads), Draws(1, generator))
    given = {"view": truth["view"]} if "view" in truth else {}
    found = posterior_draws(model, frames, context, _Scaled(Draws(_MEMBERS, generator, given=given), scale))
    for name in ("u", *(f"z_{lead}" for lead in leads)):
        members, value = found[name].flatten(2), truth[name][0].flatten(1)
        mean, sd = members.mean(0), members.std(0)
        # The sd of so few members, and their mean, are uncertain: Student's distribution, scaled to unit variance.
        z = (value - mean) / (sd * (1 + 1 / _MEMBERS) ** 0.5) * ((_MEMBERS - 3) / (_MEMBERS - 1)) ** 0.5
        some = torch.randint(value.shape[1], (len(value), _RANKED), generator=generator)
        below = (members < value).float().sum(0).gather(1, some)
        yield name, z, (below + torch.rand(below.shape, generator=generator)) / (_MEMBERS + 1)


class _Scaled(Draws):
    """Draws of distributions whose standard deviation is another by a factor."""

    def __init__(self, draws: Draws, scale: float) -> None:
        super().__init__(draws.n_draws, draws.generator, draws.sources, draws.given)
        self._scale = scale

    def __call__(self, name: str, prior: Distribution) -> Tensor:
        base = getattr(prior, "base_dist", prior)
        if self._scale != 1.0 and isinstance(base, Normal):
            base = Normal(base.loc, self._scale * base.scale, validate_args=False)
            prior = torch.distributions.Independent(base, 3, validate_args=False)
        return super().__call__(name, prior)
