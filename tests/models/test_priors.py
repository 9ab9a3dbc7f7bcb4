from __future__ import annotations

import numpy as np
import pyro
import pytest
import torch
from scipy import stats

from probtokens.models.priors import CouplingPrior, half_cauchy, half_normal, regularised_horseshoe

PRIOR = CouplingPrior(n_strengths=6, n_groups=2, n_directions=8, global_scale=0.1, slab_scale=1.0)


def test_half_cauchy_and_half_normal_are_quantile_transforms() -> None:
    x = torch.linspace(-3, 3, 25, dtype=torch.float64)
    uniform = stats.norm.cdf(x.numpy())
    np.testing.assert_allclose(half_cauchy(x, 0.7), stats.halfcauchy(scale=0.7).ppf(uniform), rtol=1e-6)
    np.testing.assert_allclose(half_normal(x), stats.halfnorm.ppf(uniform), rtol=1e-6)


def test_horseshoe_is_bounded_by_the_slab_and_shrinks_with_tau() -> None:
    big = torch.full((4,), 4.0)
    one = torch.ones(4)
    assert regularised_horseshoe(torch.tensor([4.0]), big, one, 0.1, 0.5).max() <= 0.5
    small = regularised_horseshoe(torch.tensor([-3.0]), torch.zeros(4), one, 0.1, 0.5)
    large = regularised_horseshoe(torch.tensor([2.0]), torch.zeros(4), one, 0.1, 0.5)
    assert (small < 0.1 * large).all()


def test_coupling_is_pooled_within_a_group() -> None:
    torch.manual_seed(0)
    with pyro.plate("draw", 4000, dim=-1):
        coupling = PRIOR()["coupling"].unflatten(-1, (2, 8))
    within = np.corrcoef(coupling[:, 0, 0], coupling[:, 0, 1])[0, 1]
    between = np.corrcoef(coupling[:, 0, 0], coupling[:, 1, 0])[0, 1]
    assert within == pytest.approx(0.5, abs=0.05)  # Var(µ) = 1 and E[ς²] = 1
    assert between == pytest.approx(0.0, abs=0.05)


def test_all_sites_are_standard_normal() -> None:
    trace = pyro.poutine.trace(PRIOR).get_trace()
    for name in trace.stochastic_nodes:
        normal = trace.nodes[name]["fn"]
        assert (normal.mean == 0).all(), name
        assert (normal.variance == 1).all(), name
