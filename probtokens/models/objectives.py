"""What training minimises: the negative ELBO of a Pyro pair, and scores of free-running rollouts."""

from __future__ import annotations

import torch
from pyro.infer import TraceMeanField_ELBO
from torch import Tensor

from probtokens.models.state_space import Scales, TokenGuide, TokenModel, local_parameters

#: Weight of the energy score beside the CRPS (arXiv 2502.12902 uses a mixture of both).
ENERGY_WEIGHT = 0.5


def negative_elbo(model: TokenModel, guide: TokenGuide, frames: Tensor, context: Tensor, scales: Scales) -> Tensor:
    """Negative ELBO of a batch of windows in nats, Kullback–Leibler terms in closed form."""
    with local_parameters():
        loss = TraceMeanField_ELBO()(model, guide)(frames, context, None, scales)
    guide.notes.clear()
    return loss


def fair_crps(members: Tensor, truth: Tensor) -> Tensor:
    """Fair CRPS of an ensemble, elementwise (Ferro, QJRMS 140, 2014).

    Parameters
    ----------
    members
        Shape (member, ...), at least two members.
    truth
        Shape (...).
    """
    n = members.shape[0]
    if n < 2:
        raise ValueError(f"members: expected at least 2, got {n}")
    skill = (members - truth).abs().mean(0)
    spread = torch.zeros_like(truth)
    for i in range(n):
        for j in range(i + 1, n):
            spread = spread + (members[i] - members[j]).abs()
    return skill - spread / (n * (n - 1))


def fair_energy_score(members: Tensor, truth: Tensor) -> Tensor:
    """Fair energy score per simulation, scaled by the square root of the dimension.

    Parameters
    ----------
    members
        Shape (member, simulation, ...).
    truth
        Shape (simulation, ...).
    """
    n = members.shape[0]
    x, y = members.flatten(2), truth.flatten(1)
    skill = _distance(x, y).mean(0)
    pairs = [_distance(x[i], x[j]) for i in range(n) for j in range(i + 1, n)]
    spread = torch.stack(pairs).sum(0) / (n * (n - 1))
    return (skill - spread) / y.shape[1] ** 0.5


def rollout_score(members: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """Fair CRPS of pixels plus fair energy score of whole fields, averaged over fields.

    The CRPS asks for calibrated pixels; the energy score, whose unit is a root-mean-square distance,
    does not let the few pixels of a hot spot drown among the many that are easy.

    Parameters
    ----------
    members
        Normalised frames at one lead (member, simulation, field, y, x).
    truth
        Shape (simulation, field, y, x).
    """
    crps = fair_crps(members, truth).mean()
    energy = fair_energy_score(members.flatten(1, 2), truth.flatten(0, 1)).mean()
    return {"loss": crps + ENERGY_WEIGHT * energy, "crps": crps, "energy": energy}


def _distance(a: Tensor, b: Tensor) -> Tensor:
    return ((a - b).square().sum(-1) + 1e-12).sqrt()
