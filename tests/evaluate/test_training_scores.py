from __future__ import annotations

import numpy as np
import pytest
import scoringrules
import torch

from probtokens.evaluate.training_scores import fair_crps, rollout_score


def ensemble(members: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(members, 3, 4, 6, generator=generator), torch.randn(3, 4, 6, generator=generator)


def test_crps_is_the_fair_one() -> None:
    members, truth = ensemble()
    expected = scoringrules.crps_ensemble(truth.numpy(), members.numpy(), m_axis=0, estimator="fair")
    np.testing.assert_allclose(fair_crps(members, truth), expected, rtol=1e-4, atol=1e-5)


def test_a_single_member_is_refused() -> None:
    members, truth = ensemble(1)
    with pytest.raises(ValueError, match="at least 2, got 1"):
        fair_crps(members, truth)


def test_the_score_is_that_of_every_scale_and_field_relative_to_its_error() -> None:
    members, truth = (part.unflatten(-1, (2, 6, 8)) for part in (torch.randn(4, 3, 96), torch.randn(3, 96)))
    relative = []
    for edge_y, edge_x in ((1, 1), (4, 4), (6, 8), (6, 8)):
        n_y, n_x = 6 // edge_y, 8 // edge_x
        for field in range(2):
            x, y = (
                part[..., field, : n_y * edge_y, : n_x * edge_x].reshape(-1, 3, n_y, edge_y, n_x, edge_x).mean((3, 5)).numpy()
                for part in (members, truth)
            )
            crps = scoringrules.crps_ensemble(y[0], x, m_axis=0, estimator="fair").mean()
            relative.append(crps / np.abs(x - y).mean())
    np.testing.assert_allclose(rollout_score(members, truth), np.mean(relative), rtol=1e-4)


@pytest.mark.parametrize("size", [1e-3, 1.0])
def test_the_score_asks_for_the_right_spread_however_small_errors_are(size: float) -> None:
    """Errors that all pixels share: their spread must be learned, whatever its size, and white noise is no help."""
    torch.manual_seed(0)
    truth = size * torch.randn(400, 1, 1, 1).expand(400, 1, 16, 16)
    shared = torch.randn(3, 400, 1, 1, 1).expand(3, 400, 1, 16, 16)
    losses = {factor: float(rollout_score(factor * size * shared, truth)) for factor in (0.5, 0.8, 1.0, 1.25, 2.0)}
    white = float(rollout_score(size * torch.randn(3, 400, 1, 16, 16), truth))
    slopes = []
    for factor in (0.7, 1.4):
        scale = torch.tensor(factor, requires_grad=True)
        rollout_score(scale * size * shared, truth).backward()
        slopes.append(float(scale.grad))
    assert slopes[0] < -0.02
    assert slopes[1] > 0.02
    assert white > losses[1.0] + 0.1
