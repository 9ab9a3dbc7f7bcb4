from __future__ import annotations

import numpy as np
import pytest
import scoringrules
import torch

from probtokens.models.objectives import fair_crps, fair_energy_score


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
