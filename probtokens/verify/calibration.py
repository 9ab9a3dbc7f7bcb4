"""Simulation-based calibration of the trajectory effects on a chain that is not linear."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from scipy.stats import kstest
from torch import Tensor
from torch.distributions import Normal

from probtokens.models.state_space import Weights
from probtokens.nn.smoothing import Factor, TrajectoryEncoder
from probtokens.verify.check import Check
from probtokens.verify.guide_training import no_context, train
from probtokens.verify.linear_chain import Chain, LinearChain

_CHAIN = Chain(pixel_noise=0.04, n_times=6)
_STEPS, _BATCH, _LEARNING_RATE, _WIDTH = 2500, 64, 0.01, 64

#: Simulations whose effects are ranked, and how far the distribution function of their ranks may be from a straight line: what
#: ranks that are uniform stay below in 95 of 100 cases (Kolmogorov).
_RANKED = 2000
_DISTANCE = 1.358 / math.sqrt(_RANKED)


class Oscillator(LinearChain):
    """Two channels that drive each other; their effects act according to where the other one is, their noise too.

    The trajectory encoder is that of token models.
    """

    def __init__(self) -> None:
        super().__init__(_CHAIN)
        self.trajectory_encoder = TrajectoryEncoder(2, 1, _WIDTH, 2, effect_patch=2)
        with torch.no_grad():
            self.inverse.copy_(torch.linalg.pinv(self.get_buffer("matrix")))
            self.log_scale.fill_(math.log(_CHAIN.pixel_noise))

    def step(self, z: Tensor, u: Tensor, context: Tensor, weights: Weights) -> Normal:
        """Distribution of the next tokens (..., 2, y, x) given effects (..., 2, 1, 1)."""
        a, b = z.split(1, dim=-3)
        push_a, push_b = u.split(1, dim=-3)
        next_a = 0.9 * a + 0.12 * push_a * (1.0 + 0.5 * torch.sin(2.0 * b))
        next_b = 0.85 * b + 0.2 * torch.sin(a) + 0.1 * torch.tanh(0.5 * push_b) * (1.0 + 0.5 * torch.cos(a))
        mean = torch.cat([next_a, next_b], dim=-3)
        return Normal(mean, (0.15 + 0.1 * torch.sigmoid(a)).expand_as(mean), validate_args=False)

    def effect_factor(self, tokens: Normal, predicted: Normal, context: Tensor) -> Factor:
        """What the trajectory encoder makes of them."""
        return self.trajectory_encoder(tokens, predicted, context)

    @torch.no_grad()
    def simulate(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Effects (simulation, 2) and frames (simulation, time, pixel, y, x) drawn from the model."""
        u = torch.randn(n, 2, 1, 1, generator=generator)
        tokens = [torch.randn(n, 2, *_CHAIN.lattice, generator=generator)]
        for _ in range(1, _CHAIN.n_times):
            step = self.step(tokens[-1], u, u, {})
            tokens.append(step.mean + step.stddev * torch.randn(step.mean.shape, generator=generator))
        pixels = self.observation(torch.stack(tokens, dim=1), None)
        return u.flatten(1), pixels.loc + pixels.scale * torch.randn(pixels.loc.shape, generator=generator)

    @torch.no_grad()
    def effects(self, frames: Tensor) -> Normal:
        """q(u | x), (simulation, 2)."""
        own, context = self.encoded(frames), no_context(frames)
        zeros = own.mean.new_zeros(len(frames), own.mean.shape[1] - 1, *self.effect_shape(1, 1))
        factor = self.effect_factor(own, self.step(own.mean[:, :-1], zeros, context, {}), context)
        prior = Normal(torch.zeros_like(factor.information), torch.ones_like(factor.information))
        found = factor.posterior(prior)
        return Normal(found.mean.flatten(1), found.stddev.flatten(1))


def effects_calibration() -> Sequence[Check]:
    """Where the true effects lie in the guide's posterior of simulations that it never saw: everywhere alike."""
    return checks_of(*_ranked())


def wrong_effects() -> Sequence[Check]:
    """How many checks of :func:`effects_calibration` fail when the posterior is made wrong; at least one must."""
    truth, right = _ranked()
    wrong = {
        "too narrow": Normal(right.mean, 0.7 * right.stddev),
        "too wide": Normal(right.mean, 1.4 * right.stddev),
        "biased": Normal(right.mean + 0.3 * right.stddev, right.stddev),
        "that is the prior": Normal(torch.zeros_like(right.mean), torch.ones_like(right.mean)),
    }
    return [
        Check(f"checks that a posterior {name} fails", "1", 1, sum(not c.passed for c in checks_of(truth, q)), relation="at_least")
        for name, q in wrong.items()
    ]


def checks_of(truth: Tensor, posterior: Normal) -> list[Check]:
    """Uniformity of ranks and spread of standardised errors of (simulation, effect); and that something was learned.

    The rank among infinitely many draws of a Gaussian is its distribution function (Talts et al., arXiv 1804.06788). The
    prior is calibrated as well, so the posterior's width has to be checked apart.
    """
    ranks = posterior.cdf(truth).numpy()
    errors = ((truth - posterior.mean) / posterior.stddev).numpy()
    checks = []
    for effect in range(truth.shape[1]):
        distance = float(kstest(ranks[:, effect].astype(np.float64), "uniform").statistic)
        checks += [
            Check(f"ranks of u[{effect}], distance from uniform", "1", _DISTANCE, distance, relation="at_most"),
            Check(f"errors of u[{effect}] in sd, their sd", "1", 1.0, float(errors[:, effect].std()), 0.1),
            Check(f"errors of u[{effect}] in sd, their mean", "1", 0.0, float(errors[:, effect].mean()), 0.1, "absolute"),
        ]
    return [*checks, Check("posterior sd of u in prior sd, mean", "1", 0.7, float(posterior.stddev.mean()), relation="at_most")]


@cache
def _ranked() -> tuple[Tensor, Normal]:
    """True effects of new simulations and what a trained guide makes of them."""
    torch.manual_seed(0)
    toy = Oscillator()
    generator = torch.Generator().manual_seed(1)
    train(toy, toy.parameters(), lambda n: toy.simulate(n, generator)[1], steps=_STEPS, batch=_BATCH, learning_rate=_LEARNING_RATE)
    truth, frames = toy.simulate(_RANKED, generator)
    return truth, toy.effects(frames)
