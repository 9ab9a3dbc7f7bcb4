"""Calibration of a guide by simulation, where the answer is known."""

from __future__ import annotations

import pytest
import torch

from probtokens.verify.guide_calibration import guide_calibration
from probtokens.verify.token_pairs import micro_tokens, window


@pytest.mark.parametrize("views", ["one", "shifted"])
@pytest.mark.parametrize(("scale", "calibrated"), [(1.0, True), (0.7, False), (1.4, False)])
def test_a_guide_that_gives_the_prior_is_calibrated_and_one_of_another_width_is_not(views: str, scale: float, calibrated: bool) -> None:
    """Effects whose posterior is their prior are draws of it, whatever the model."""
    model, (frames, context) = micro_tokens(views=views), window()
    for parameter in model.trajectory_encoder.jacobian.parameters():
        torch.nn.init.zeros_(parameter)
    checks = guide_calibration(model, frames[:, 0], context, n_trajectories=160, leads=(1, 2), seed=0, scale=scale)
    assert [check.quantity.partition(":")[0] for check in checks[::3]] == ["u", "z_1", "z_2"]
    spread, mean, ranks = checks[:3]
    assert spread.passed is calibrated
    assert spread.measured == pytest.approx(1 / scale, rel=0.1)
    assert mean.passed
    assert ranks.passed or not calibrated
