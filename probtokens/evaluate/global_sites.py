"""What simulations say of a token model's global sites, in the words of ArviZ."""

from __future__ import annotations

import math

import numpy as np
import torch
from pyro import poutine
from torch import Tensor

from probtokens.data.trajectories import TrajectorySet
from probtokens.models.state_space import Guide, Model, StateSpace
from probtokens.models.tokens import TokenForecaster

#: Sites whose values hold for a whole trajectory, or for all.
GLOBAL_SITES = ("w", "u", "view")

Groups = dict[str, dict[str, np.ndarray]]


@torch.no_grad()
def global_sites(model: TokenForecaster, trajectories: TrajectorySet, *, draws: int = 50, samples: int = 1, seed: int = 0) -> Groups:
    """Posterior and prior draws of a model's global sites given whole trajectories, and log-likelihoods of these.

    Parameters
    ----------
    model
        Trained tokens; its fields must be those of ``trajectories``, in the same order.
    trajectories
        Simulations with all their frames, which are held in memory.
    draws
        Draws of each site.
    samples
        Draws of the local sites for each draw of the others: the log-likelihood of a trajectory is the logarithm of their mean importance
        weight, p(x, z, u | x_0, c, w) / q(z, u | x, w), which is too low on average, the less so the more there are.
    seed
        Seed of all draws.

    Returns
    -------
    dict
        ``posterior`` and ``prior``: ``u`` (draw, simulation, effect, effect_y, effect_x), ``view`` (draw, simulation, 3) and what is told
        of the weights (draw, ...), as far as the model has them. ``log_likelihood``: ``frames`` (draw, simulation) [nats]. Arguments of
        :func:`probtokens.to_arviz`.

    Raises
    ------
    ValueError
        If fields or shapes do not fit the model, or a number is not positive.
    """
    if min(draws, samples) < 1:
        raise ValueError(f"draws and samples: expected >= 1, got {draws} and {samples}")
    found = [spec.name for spec in trajectories.fields]
    if found != (names := [spec.name for spec in model.fields]):
        raise ValueError(f"trajectories: expected the fields {names}, got {found}")
    where = model.lower.device
    frames = torch.tensor(np.stack([trajectories.frames(number) for number in range(len(trajectories))])).to(where)
    context = torch.tensor(trajectories.context).to(where)
    groups: Groups = {"posterior": {}, "prior": {}, "log_likelihood": {}}
    posterior: list[dict[str, Tensor]] = []
    prior: list[dict[str, Tensor]] = []
    weights: list[Tensor] = []
    with torch.random.fork_rng(devices=[where] if where.type == "cuda" else []):
        torch.manual_seed(seed)
        for _ in range(draws):
            guide = poutine.trace(Guide(model)).get_trace(frames, context)
            posterior.append(_global(model, guide))
            again = poutine.condition(Guide(model), {"w": guide.nodes["w"]["value"]}) if "w" in guide.nodes else Guide(model)
            traces = [guide, *(poutine.trace(again).get_trace(frames, context) for _ in range(samples - 1))]
            weights.append(torch.stack([log_weight(model, trace, frames, context) for trace in traces]).logsumexp(0) - math.log(samples))
            prior.append(_global(model, poutine.trace(Model(model)).get_trace(frames[:, :1], context, 1)))
    for name in posterior[0]:
        groups["posterior"][name] = torch.stack([draw[name] for draw in posterior]).cpu().numpy()
        groups["prior"][name] = torch.stack([draw[name] for draw in prior]).cpu().numpy()
    groups["log_likelihood"]["frames"] = torch.stack(weights).cpu().numpy()
    return groups


@torch.no_grad()
def weight_draws(model: TokenForecaster, *, draws: int, seed: int = 0) -> Groups:
    """Posterior and prior draws of the weights that all trajectories share; no simulation is needed.

    Returns
    -------
    dict
        ``posterior`` and ``prior``: what :meth:`~probtokens.models.state_space.StateSpace.described` tells of draws of the site, each
        (draw, ...). Empty for models that have no such weights.
    """
    distributions = {"posterior": model.weight_posterior(), "prior": model.weight_prior()}
    groups: Groups = {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for group, distribution in distributions.items():
            if distribution is not None:
                each = [model.described(distribution.sample()) for _ in range(draws)]  # one by one: the site may be long
                groups[group] = {name: torch.stack([draw[name] for draw in each]).cpu().numpy() for name in each[0]}
    return groups


def _global(model: TokenForecaster, trace: poutine.Trace) -> dict[str, Tensor]:
    found = {name: trace.nodes[name]["value"] for name in GLOBAL_SITES if name in trace.nodes}
    return found | dict(model.described(found.pop("w"))) if "w" in found else found


def log_weight(program: StateSpace, guide: poutine.Trace, frames: Tensor, context: Tensor) -> Tensor:
    """Logarithm of the importance weight of every simulation's local sites in a trace of the guide, shape (simulation,).

    Its exponential is an unbiased estimate of the evidence p(x_1:T | x_0, c, w).
    """
    model = poutine.trace(poutine.replay(Model(program), trace=guide)).get_trace(frames, context)
    return _log_density(model, len(frames)) - _log_density(guide, len(frames))


def _log_density(trace: poutine.Trace, n_simulations: int) -> Tensor:
    trace.compute_log_prob()
    sites = [node for name, node in trace.nodes.items() if node["type"] == "sample" and name != "w"]
    parts = [node["unscaled_log_prob"] for node in sites if tuple(node["unscaled_log_prob"].shape) == (n_simulations,)]
    return torch.stack(parts).sum(0)
