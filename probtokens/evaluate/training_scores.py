"""Differentiable scores of ensembles: what rollouts are trained by."""

from __future__ import annotations

import torch
from torch import Tensor, nn

#: Edges, in cells, of the blocks whose means the CRPS looks at beside the mean over the domain.
BLOCKS = (1, 4, 16)

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


def rollout_score(members: Tensor, truth: Tensor) -> Tensor:
    """Fair CRPS of cells, of means over blocks and over the domain, each relative to its error, field by field.

    So an ensemble has to be calibrated where errors are small as much as where they are large, and in what hot spots add up to as much as
    in single cells.

    Parameters
    ----------
    members
        Frames in standard units at one lead (member, simulation, field, y, x).
    truth
        Shape (simulation, field, y, x).
    """
    pairs = [(_pooled(members, edge), _pooled(truth, edge)) for edge in (*BLOCKS, max(truth.shape[-2:]))]
    return torch.stack([_relative(fair_crps(x, y), (x - y).abs().mean(0)) for x, y in pairs]).mean()


def _pooled(frames: Tensor, edge: int) -> Tensor:
    """Means over blocks of ``edge`` cells, cut off at the domain, of frames (..., y, x)."""
    ny, nx = (min(edge, size) for size in frames.shape[-2:])
    return nn.functional.avg_pool2d(frames.flatten(0, -4), (ny, nx)).unflatten(0, frames.shape[:-3])


def _relative(score: Tensor, error: Tensor) -> Tensor:
    """Mean over fields of scores over errors, each (simulation, field, y, x) and averaged over all but fields; errors take no gradients."""
    mean_score, mean_error = score.mean((0, 2, 3)), error.detach().mean((0, 2, 3))
    return (mean_score / mean_error.clamp_min(_SMALLEST_ERROR)).mean()
