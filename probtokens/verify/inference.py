"""Cases of the token models' inference: exact posteriors, calibration, and wrong guides that must not pass."""

from __future__ import annotations

from probtokens.verify import calibration, kalman, pyro_pair
from probtokens.verify.check import Case

_EXACT = "one joint Gaussian of all variables, conditioned in double precision"

CASES: tuple[Case, ...] = (
    Case("gradients", "The ELBO reaches every parameter", "all that may learn", pyro_pair.gradients),
    Case("predictive", "Posterior predictive draws, serial and parallel", "the same distribution", pyro_pair.predictive_draws),
    Case("smoother", "Guide of a linear Gaussian chain", f"Kalman smoother and evidence: {_EXACT}", kalman.smoother),
    Case("wrong_guides", "Wrong guides of the same chain", "they must fail the case smoother", kalman.wrong_guides),
    Case("learned_chain", "Model and guide of the same chain learned together", "the chain that made the data", kalman.learned_chain),
    Case("effects", "Trajectory effects of a non-linear chain", "ranks of the truth are uniform", calibration.effects_calibration),
    Case("wrong_effects", "Wrong posteriors of the same effects", "they must fail the case effects", calibration.wrong_effects),
)
