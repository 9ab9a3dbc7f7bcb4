"""Cases of inference: fast ones here, those that train for a minute among the slow tests."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from torch.distributions import Normal

from probtokens.verify import calibration
from probtokens.verify.inference import CASES
from probtokens.verify.linear_chain import Chain, ExactPosterior, LinearPair
from probtokens.verify.pyro_pair import predictive_draws

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


@pytest.mark.parametrize("chain", [CHAIN, replace(CHAIN, shared=(0.3, -0.5))])
def test_evidence_and_posterior_are_those_of_the_simulated_joint_distribution(chain):
    """Against moments of many simulations of the model itself, which the closed form knows nothing of."""
    pair = LinearPair(chain)
    frames = pair.simulate(200_000, torch.Generator().manual_seed(0)).double().numpy()
    flat = frames.reshape(len(frames), -1)
    sampled = multivariate_normal(np.zeros(flat.shape[1]), np.cov(flat.T))
    exact = ExactPosterior(chain).log_evidence(frames[:50])
    np.testing.assert_allclose(exact, sampled.logpdf(flat[:50]), atol=0.2)
    # Posterior means are a linear regression on the frames; the effect is regressed on them here through the tokens' prior.
    z_mean, z_scale, u_mean, u_scale = ExactPosterior(chain).moments(frames)
    assert z_mean.var() + z_scale.mean() ** 2 > 0
    prior_u = u_mean.var(axis=0) + u_scale[0] ** 2  # law of total variance: the prior's is one
    np.testing.assert_allclose(prior_u, 1.0, atol=0.02)
    prior_z0 = z_mean[:, 0].var(axis=0) + z_scale[0, 0] ** 2
    np.testing.assert_allclose(prior_z0, 1.0, atol=0.02)


def test_an_exact_guide_has_the_evidence_as_its_elbo():
    """Encoder, messages and effects set to what they must learn, without any training."""
    from probtokens.verify.guide_training import elbo

    chain = Chain(carry=(0.9,), drive=(0.0,), noise=(0.3,), n_times=4)
    pair = LinearPair(chain)
    with torch.no_grad():
        pair.autoencoder.inverse.copy_(torch.linalg.pinv(pair.autoencoder.matrix))
        pair.autoencoder.log_scale.fill_(np.log(chain.pixel_noise / 1.5))
        pair.smoother.jacobians[0][0, 0, 1, 1] = 0.9
    frames = pair.simulate(64, torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    assert elbo(pair.pair, frames, particles=200) == pytest.approx(ExactPosterior(chain).log_evidence(frames.numpy()).mean(), rel=2e-3)


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
