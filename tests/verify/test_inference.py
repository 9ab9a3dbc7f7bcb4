"""Cases of inference: fast ones here, those that train for a minute among the slow tests."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from torch.distributions import Normal

from probtokens.models.state_space import Guide
from probtokens.verify import calibration, kalman
from probtokens.verify.guide_training import elbo
from probtokens.verify.inference import CASES
from probtokens.verify.linear_chain import Chain, ExactPosterior, LinearChain, simulate
from probtokens.verify.pyro_pair import predictive_draws
from tests.verify.exact_guide import DRIVEN, exact_guide

CHAIN = Chain(n_times=3, lattice=(1, 2))


@pytest.mark.parametrize(
    "case", [pytest.param(case, marks=[pytest.mark.slow] * (case.name != "gradients"), id=case.name) for case in CASES]
)
def test_case_passes(case):
    failed = [check for check in case.run() if not check.passed]
    assert not failed


def test_a_few_draws_in_turn_are_as_those_at_once():
    """One pair of the case "predictive", whose draws in turn take a minute; meso tokens have all that micro tokens have."""
    checks = predictive_draws(pairs=["meso"], draws=60, repetitions=2)
    assert len(checks) == 2
    assert all(check.passed for check in checks)


def test_evidence_and_posterior_are_those_of_the_simulated_joint_distribution():
    """Against moments of many simulations of the model itself, which the closed form knows nothing of. The first frame is given."""
    frames = simulate(CHAIN, 200_000, torch.Generator().manual_seed(0)).double().numpy()
    flat = frames[:, 1:].reshape(len(frames), -1)
    sampled = multivariate_normal(np.zeros(flat.shape[1]), np.cov(flat.T))
    exact = ExactPosterior(CHAIN).log_evidence(frames[:50])
    np.testing.assert_allclose(exact, sampled.logpdf(flat[:50]), atol=0.2)
    # Posterior means are a linear regression on the frames; the effect is regressed on them here through the tokens' prior.
    z_mean, z_scale, u_mean, u_scale = ExactPosterior(CHAIN).moments(frames)
    assert z_mean.var() + z_scale.mean() ** 2 > 0
    prior_u = u_mean.var(axis=0) + u_scale[0] ** 2  # law of total variance: the prior's is one
    np.testing.assert_allclose(prior_u, 1.0, atol=0.02)
    prior_z0 = z_mean[:, 0].var(axis=0) + z_scale[0, 0] ** 2
    np.testing.assert_allclose(prior_z0, 1.0, atol=0.02)


def test_the_first_frame_of_a_chain_says_nothing():
    frames = simulate(CHAIN, 8, torch.Generator().manual_seed(0))
    other = frames.clone()
    other[:, 0] += 3.0
    exact, program = ExactPosterior(CHAIN), LinearChain(CHAIN)
    np.testing.assert_array_equal(exact.log_evidence(frames.numpy()), exact.log_evidence(other.numpy()))
    first = program.first_tokens(other[:, 0])
    assert not first.mean.any()
    assert (first.stddev == 1.0).all()


def test_an_exact_guide_has_the_evidence_as_its_elbo():
    frames = simulate(DRIVEN, 64, torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    found = elbo(exact_guide(), frames, particles=200)
    assert found == pytest.approx(ExactPosterior(DRIVEN).log_evidence(frames.numpy()).mean(), rel=2e-3)


@pytest.mark.parametrize(
    "guide", [kalman.NarrowGuide, kalman.WideGuide, kalman.BiasedGuide, kalman.FilteringGuide], ids=lambda guide: guide.__name__
)
def test_a_wrong_guide_has_less(guide: type[Guide]):
    frames = simulate(DRIVEN, 64, torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    exact = ExactPosterior(DRIVEN).log_evidence(frames.numpy()).mean()
    assert elbo(exact_guide(), frames, 50, guide) < exact - 0.5


def test_an_exact_guide_of_a_wrong_transition_has_less():
    frames = simulate(DRIVEN, 64, torch.Generator().manual_seed(0))
    right = exact_guide()
    wrong = copy.deepcopy(right)
    with torch.no_grad():
        wrong.log_noise.sub_(np.log(2.0))
    torch.manual_seed(0)
    assert elbo(wrong, frames, 50) < elbo(right, frames, 50) - 0.5


def test_draws_of_an_exact_guide_pass_the_comparison_and_those_of_wrong_ones_do_not(monkeypatch: pytest.MonkeyPatch):
    """The checks of the case "smoother", with fewer draws and without training."""
    monkeypatch.setattr(kalman, "_DRAWS", 10000)
    monkeypatch.setattr(kalman, "_EVIDENCE", 256)
    right = exact_guide()
    assert [check for check in kalman.compare(right) if not check.passed] == []
    for guide in (kalman.NarrowGuide, kalman.WideGuide, kalman.BiasedGuide, kalman.FilteringGuide):
        assert [check for check in kalman.compare(right, guide) if not check.passed], guide


def test_calibrated_ranks_pass_and_wrong_ones_fail():
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(2000, 2, generator=generator)
    scale = torch.full_like(truth, 0.5)
    mean = truth + scale * torch.randn(truth.shape, generator=generator)

    def failed(shift: float = 0.0, factor: float = 1.0) -> int:
        return sum(not check.passed for check in calibration.checks_of(truth, Normal(mean + shift * scale, factor * scale)))

    assert failed() == 0
    assert failed(factor=0.7) >= 4
    assert failed(factor=1.4) >= 4
    assert failed(shift=0.3) >= 2
