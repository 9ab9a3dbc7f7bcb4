"""A linear Gaussian chain whose guide is its exact posterior."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from probtokens.verify.linear_chain import Chain, ExactPosterior, LinearChain, simulate

DRIVEN = Chain(n_times=5)


@cache
def exact_guide() -> LinearChain:
    """Encoder, messages and effects set to what they must learn, without any training."""
    program, exact = LinearChain(DRIVEN), ExactPosterior(DRIVEN)
    frames = simulate(DRIVEN, 200, torch.Generator().manual_seed(1))
    _, _, u_mean, u_scale = exact.moments(frames.numpy())
    precision = u_scale[0] ** -2 - 1.0  # that of the prior is one
    with torch.no_grad():
        program.inverse.copy_(torch.linalg.pinv(program.get_buffer("matrix")))
        program.log_scale.fill_(np.log(DRIVEN.pixel_noise / 1.5))
        for channel, carry in enumerate(DRIVEN.carry):
            program.smoother.jacobians[0][channel, channel, 1, 1] = carry
        # The mean of an effect is linear in what the encoder makes of the frames.
        tokens = program.encoded(frames).mean.mean(dim=(-1, -2)).flatten(1).double().numpy()
        weight, *_ = np.linalg.lstsq(tokens, u_mean / u_scale**2 / precision, rcond=None)
        program.effect_weight.copy_(torch.tensor(weight.T).reshape(program.effect_weight.shape))
        program.effect_log_precision.copy_(torch.tensor(precision).log())
    return program
