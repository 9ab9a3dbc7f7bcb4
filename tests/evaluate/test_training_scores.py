from __future__ import annotations

import numpy as np
import pytest
import scoringrules
import torch

from probtokens.evaluate.training_scores import fair_crps, fair_energy_score, hot_spot_score, rollout_score


def ensemble(members: int = 5) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(members, 3, 4, 6, generator=generator), torch.randn(3, 4, 6, generator=generator)


def test_crps_is_the_fair_one() -> None:
    members, truth = ensemble()
    expected = scoringrules.crps_ensemble(truth.numpy(), members.numpy(), m_axis=0, estimator="fair")
    np.testing.assert_allclose(fair_crps(members, truth), expected, rtol=1e-4, atol=1e-5)


def test_energy_score_is_the_fair_one_per_root_dimension() -> None:
    members, truth = ensemble()
    x = members.flatten(2).permute(1, 0, 2).numpy()
    expected = scoringrules.es_ensemble(truth.flatten(1).numpy(), x, estimator="fair") / np.sqrt(24)
    np.testing.assert_allclose(fair_energy_score(members, truth), expected, rtol=1e-4)


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
    energy = [
        np.mean(scoringrules.es_ensemble(y.flatten(1).numpy(), x.flatten(2).permute(1, 0, 2).numpy(), estimator="fair") / np.sqrt(48))
        / (x - y).square().mean((0, -2, -1)).sqrt().mean().item()
        for x, y in ((members[:, :, field], truth[:, field]) for field in range(2))
    ]
    parts = rollout_score(members, truth, energy_weight=0.3)
    np.testing.assert_allclose(parts["loss"], np.mean(relative) + 0.3 * np.mean(energy), rtol=1e-4)


def test_hot_spots_are_scored_by_their_share_of_the_domain_and_their_mean_excess() -> None:
    """Values far from the threshold on either side, so that nothing is gradual; one simulation has no hot spot."""
    generator = torch.Generator().manual_seed(0)
    shape = (6, 3, 1, 8, 10)  # the last member is the truth
    above = torch.where(torch.rand(shape, generator=generator) < 0.3, 2 + torch.rand(shape, generator=generator), -3.0)
    above[-1, 2] = -3.0
    hot = above > 0
    area, excess = hot.double().mean((2, 3, 4)), (above * hot).double().sum((2, 3, 4)) / (hot.sum((2, 3, 4)) + 4)
    expected = [
        scoringrules.crps_ensemble(x[-1].numpy(), x[:-1].numpy(), m_axis=0, estimator="fair").mean() / float((x[:-1] - x[-1]).abs().mean())
        for x in (area, excess)
    ]
    np.testing.assert_allclose(hot_spot_score(above[:-1], above[-1]), np.mean(expected), rtol=1e-4)


def test_hot_spots_that_err_as_one_ask_for_that_spread_where_white_noise_does_not_help() -> None:
    torch.manual_seed(0)
    base = torch.full((8, 8), -3.0)
    base[2:6, 2:6] = 3.0
    truth = base + 0.5 * torch.randn(400, 1, 1, 1) * (base > 0)
    shared = torch.randn(3, 400, 1, 1, 1) * (base > 0)
    white = torch.randn(3, 400, 1, 8, 8) * (base > 0)

    def slope(noise: torch.Tensor, factor: float) -> float:
        scale = torch.tensor(factor, requires_grad=True)
        hot_spot_score(base + 0.5 * scale * noise, truth).backward()
        assert scale.grad is not None
        return float(scale.grad)

    assert slope(shared, 0.7) < -0.02
    assert slope(shared, 1.4) > 0.02
    # Sums over white noise are too sure even where cells are not sure enough.
    assert slope(white, 1.4) < -0.02


@pytest.mark.parametrize("size", [1e-3, 1.0])
def test_the_score_asks_for_the_right_spread_however_small_errors_are(size: float) -> None:
    """Errors that all pixels share: their spread must be learned, whatever its size, and white noise is no help."""
    torch.manual_seed(0)
    truth = size * torch.randn(400, 1, 1, 1).expand(400, 1, 16, 16)
    shared = torch.randn(3, 400, 1, 1, 1).expand(3, 400, 1, 16, 16)
    losses = {factor: float(rollout_score(factor * size * shared, truth, 0.1)["loss"]) for factor in (0.5, 0.8, 1.0, 1.25, 2.0)}
    white = float(rollout_score(size * torch.randn(3, 400, 1, 16, 16), truth, 0.1)["loss"])
    slopes = []
    for factor in (0.7, 1.4):
        scale = torch.tensor(factor, requires_grad=True)
        rollout_score(scale * size * shared, truth, 0.1)["loss"].backward()
        slopes.append(float(scale.grad))
    assert slopes[0] < -0.02
    assert slopes[1] > 0.02
    assert white > losses[1.0] + 0.1


def test_the_energy_score_asks_for_the_variance_of_errors_with_heavy_tails_and_the_crps_does_not() -> None:
    """One pixel in ten misses ten times as much as the others, and the ensemble cannot know which: all get the same spread."""
    torch.manual_seed(0)
    tails = torch.where(torch.rand(300, 1, 24, 24) < 0.1, 10.0, 1.0)
    truth = tails * torch.randn(300, 1, 24, 24)
    noise = torch.randn(4, 300, 1, 24, 24)
    deviation = float(truth.square().mean().sqrt())
    factors = np.linspace(0.2, 1.6, 29)
    best = {}
    for name, score in (("energy", fair_energy_score), ("crps", fair_crps)):
        losses = [float(score(factor * deviation * noise, truth).mean()) for factor in factors]
        best[name] = factors[int(np.argmin(losses))]
    assert best["energy"] == pytest.approx(1.0, abs=0.1)
    assert best["crps"] < 0.7
