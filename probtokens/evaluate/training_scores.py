"""Differentiable scores of ensembles: what rollouts are trained by."""

from __future__ import annotations

import torch
from torch import Tensor, nn

#: Edges, in cells, of the blocks whose means the CRPS looks at beside the mean over the domain.
BLOCKS = (1, 4, 16)

#: A value counts as above a threshold gradually, over about so much [standard units].
_SOFTNESS = 0.05

#: Cells, not above the threshold, that the mean excess of a hot spot is taken with: it vanishes with the hot spot.
_CELLS_BESIDE = 4

#: Errors, in standard units, that scores are taken relative to are at least this.
_SMALLEST_ERROR = 1e-5


def fair_crps(members: Tensor, truth: Tensor) -> Tensor:
    """Fair CRPS of an ensemble, elementwise (Ferro, QJRMS 140, 2014).

    Parameters
    ----------
    members
        Shape (member, ...), at least two members.
    truth
        Shape (...).

    Raises
    ------
    ValueError
        If there is a single member.
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


def rollout_score(members: Tensor, truth: Tensor, energy_weight: float) -> dict[str, Tensor]:
    """Fair CRPS of cells, of means over blocks and over the domain, plus ``energy_weight`` times the fair energy score of whole fields.

    Each is relative to its error, field by field, so that an ensemble has to be calibrated where errors are small as much as
    where they are large, and in what hot spots add up to as much as in single cells. The mixture is that of arXiv 2502.12902. Distances
    of whole fields concentrate, so that the energy score is least where the ensemble's variance over a field is its squared error; CRPS
    of cells whose errors have heavy tails is least elsewhere.

    Parameters
    ----------
    members
        Frames in standard units at one lead (member, simulation, field, y, x).
    truth
        Shape (simulation, field, y, x).
    """
    pairs = [(_pooled(members, edge), _pooled(truth, edge)) for edge in (*BLOCKS, max(truth.shape[-2:]))]
    crps = torch.stack([_relative(fair_crps(x, y), (x - y).abs().mean(0)) for x, y in pairs]).mean()
    energies = fair_energy_score(members.flatten(1, 2), truth.flatten(0, 1)).unflatten(0, truth.shape[:2])
    energy = _relative(energies[..., None, None], (members - truth).square().mean((0, -2, -1)).sqrt()[..., None, None])
    return {"loss": crps + energy_weight * energy, "crps": crps, "energy": energy}


def hot_spot_score(members: Tensor, truth: Tensor) -> Tensor:
    """Fair CRPS of the share of the domain that is above a threshold and of the mean excess there, each relative to its error.

    Cells and blocks can have the right spread while a hot spot, which errs as one, is far too sure. Simulations without one count too:
    a score of those alone that have one would reward forecasts of too many (the forecaster's dilemma, Lerch et al., Statistical
    Science 32, 2017).

    Parameters
    ----------
    members
        Values less their thresholds, standard units, at one lead (member, simulation, field, y, x).
    truth
        Shape (simulation, field, y, x).
    """
    pairs = zip(_hot_spots(members), _hot_spots(truth), strict=True)
    return torch.stack([_relative(fair_crps(x, y), (x - y).abs().mean(0)) for x, y in pairs]).mean()


def _hot_spots(above: Tensor) -> tuple[Tensor, Tensor]:
    """Share of the domain above zero and mean excess there, each (..., 1, 1), of values (..., y, x)."""
    hot = (above / _SOFTNESS).sigmoid()
    excess = (above * hot).sum((-2, -1), keepdim=True) / (hot.sum((-2, -1), keepdim=True) + _CELLS_BESIDE)
    return hot.mean((-2, -1), keepdim=True), excess


def _pooled(frames: Tensor, edge: int) -> Tensor:
    """Means over blocks of ``edge`` cells, cut off at the domain, of frames (..., y, x)."""
    ny, nx = (min(edge, size) for size in frames.shape[-2:])
    return nn.functional.avg_pool2d(frames.flatten(0, -4), (ny, nx)).unflatten(0, frames.shape[:-3])


def _relative(score: Tensor, error: Tensor) -> Tensor:
    """Mean over fields of scores over errors, each (simulation, field, y, x) and averaged over all but fields; errors take no gradients."""
    mean_score, mean_error = score.mean((0, 2, 3)), error.detach().mean((0, 2, 3))
    return (mean_score / mean_error.clamp_min(_SMALLEST_ERROR)).mean()


def _distance(a: Tensor, b: Tensor) -> Tensor:
    return ((a - b).square().sum(-1) + 1e-12).sqrt()
