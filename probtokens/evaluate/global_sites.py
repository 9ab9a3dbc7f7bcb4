"""What simulations say of a token model's global sites, in the words of ArviZ, and how probable the model finds simulations."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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
    _require_fields(model, trajectories)
    where = model.lower.device
    frames = torch.tensor(np.stack([trajectories.frames(number) for number in range(len(trajectories))])).to(where)
    context = torch.tensor(trajectories.context).to(where)
    groups: Groups = {"posterior": {}, "prior": {}, "log_likelihood": {}}
    posterior: list[dict[str, Tensor]] = []
    prior: list[dict[str, Tensor]] = []
    weights: list[Tensor] = []
    with _seeded(seed, where):
        for _ in range(draws):
            guide = poutine.trace(Guide(model)).get_trace(frames, context)
            posterior.append(_global(model, guide))
            again = poutine.condition(Guide(model), {"w": guide.nodes["w"]["value"]}) if "w" in guide.nodes else Guide(model)
            traces = [guide, *(poutine.trace(again).get_trace(frames, context) for _ in range(samples - 1))]
            weights.append(_log_mean_exp([log_weight(model, trace, frames, context) for trace in traces]))
            prior.append(_global(model, poutine.trace(Model(model)).get_trace(frames[:, :1], context, 1)))
    for name in posterior[0]:
        groups["posterior"][name] = torch.stack([draw[name] for draw in posterior]).cpu().numpy()
        groups["prior"][name] = torch.stack([draw[name] for draw in prior]).cpu().numpy()
    groups["log_likelihood"]["frames"] = torch.stack(weights).cpu().numpy()
    return groups


@torch.no_grad()
def evidence_bound(
    model: TokenForecaster, trajectories: TrajectorySet, *, frames: int = 8, samples: int = 4, seed: int = 0
) -> dict[str, Any]:
    """Lower bound of the log evidence, log p(x_1:T | x_0, c), of every simulation's first frames; higher is better.

    The evidence is the mean over the posterior of w, what the model has learned. The bound is the logarithm of the mean of K importance
    weights p(x, z, u | x_0, c, w) / q(z, u | x, w), each with its own draw of w. It is below the log evidence on average, the less so the
    larger K (Burda, Grosse and Salakhutdinov, *Importance weighted autoencoders*, ICLR 2016, equation 8). Memory holds one simulation and
    one sample at a time.

    Parameters
    ----------
    model
        Trained tokens; fields, cells and frame steps must be those of ``trajectories``.
    trajectories
        Simulations, best those that training has not seen.
    frames
        Frames of each simulation from its first one, which is given; the T others are scored. All frames where there are fewer.
    samples
        Importance samples K.
    seed
        Seed of all draws.

    Returns
    -------
    dict
        ``window_frames``, ``samples`` and ``simulations``, the numbers of each. ``mean`` over simulations and its ``standard_error``, which
        is NaN for a single one; both are NaN where a density is not finite. ``unit``, nats per value: a value is a number in a scored frame
        of a field that is not constant, and its density is in the field's unit. ``by_simulation``: lists ``simulation``, the names, and
        ``bound``.

    Raises
    ------
    ValueError
        If fields, grid or shapes do not fit the model, or a number is too small.
    """
    if frames < 2 or samples < 1:
        raise ValueError(f"frames and samples: expected >= 2 and >= 1, got {frames} and {samples}")
    _require_fields(model, trajectories)
    model.require_grid(trajectories.grid, "trajectories")
    where, grid, length = next(model.parameters()).device, trajectories.grid, min(frames, trajectories.grid.n_times)
    n_values = (length - 1) * sum(not spec.constant for spec in trajectories.fields) * grid.ny * grid.nx
    bounds = []
    with _seeded(seed, where):
        for number in range(len(trajectories)):
            x = torch.tensor(trajectories.frames(number, 0, length)[None]).to(where)
            context = torch.tensor(trajectories.context[number : number + 1]).to(where)
            weights = [log_weight(model, poutine.trace(model.guide).get_trace(x, context), x, context) for _ in range(samples)]
            bound = float(_log_mean_exp(weights)) / n_values
            bounds.append(bound if math.isfinite(bound) else math.nan)
    return {
        "window_frames": length,
        "samples": samples,
        "simulations": len(bounds),
        "mean": float(np.mean(bounds)),
        "standard_error": float(np.std(bounds, ddof=1) / math.sqrt(len(bounds))) if len(bounds) > 1 else math.nan,
        "unit": "nats per value",
        "by_simulation": {"simulation": list(trajectories.names), "bound": bounds},
    }


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
    with _seeded(seed, torch.device("cpu")):
        for group, distribution in distributions.items():
            if distribution is not None:
                each = [model.described(distribution.sample()) for _ in range(draws)]  # one by one: the site may be long
                groups[group] = {name: torch.stack([draw[name] for draw in each]).cpu().numpy() for name in each[0]}
    return groups


def _require_fields(model: TokenForecaster, trajectories: TrajectorySet) -> None:
    found = [spec.name for spec in trajectories.fields]
    if found != (names := [spec.name for spec in model.fields]):
        raise ValueError(f"trajectories: expected the fields {names}, got {found}")


@contextmanager
def _seeded(seed: int, where: torch.device) -> Iterator[None]:
    """Draws within follow from the seed; those after it are as if there had been none."""
    with torch.random.fork_rng(devices=[where] if where.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def _global(model: TokenForecaster, trace: poutine.Trace) -> dict[str, Tensor]:
    found = {name: trace.nodes[name]["value"] for name in GLOBAL_SITES if name in trace.nodes}
    return found | dict(model.described(found.pop("w"))) if "w" in found else found


def _log_mean_exp(weights: list[Tensor]) -> Tensor:
    """Logarithm of the mean of weights given by their logarithms, (simulation,) each."""
    return torch.stack(weights).logsumexp(0) - math.log(len(weights))


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
