"""The amortized guide of a linear chain against its exact smoother, and wrong guides that must fail the same comparison."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial

import torch
from pyro import poutine
from torch import Tensor
from torch.distributions import Normal

from probtokens.models.state_space import TokenGuide, Weights, local_parameters
from probtokens.verify.check import Check
from probtokens.verify.guide_training import elbo, no_context, train
from probtokens.verify.linear_chain import Chain, ExactPosterior, LinearPair

_STEPS, _BATCH, _LEARNING_RATE = 1000, 64, 0.03

#: Shared noise of both channels of :func:`shared_noise`, and how well noises are found: messages from later frames keep the diagonal of
#: their precision, which is exact for white noise alone, and what they leave out ends as noise of the tokens' own.
_SHARED = (0.3, -0.5)
_SHARED_TOLERANCE = 0.2

#: Simulations whose posterior is compared, draws of the guide for each, and simulations of the evidence.
_COMPARED, _DRAWS, _EVIDENCE = 4, 40000, 1024


class NarrowGuide(TokenGuide):
    """Half as wide as it should be."""

    def step_posterior(self, prediction: Normal, factor: Normal) -> Normal:
        """As the right guide's, with half its standard deviation."""
        right = super().step_posterior(prediction, factor)
        return Normal(right.mean, 0.5 * right.stddev, validate_args=False)


class WideGuide(TokenGuide):
    """Twice as wide as it should be."""

    def step_posterior(self, prediction: Normal, factor: Normal) -> Normal:
        """As the right guide's, with twice its standard deviation."""
        right = super().step_posterior(prediction, factor)
        return Normal(right.mean, 2.0 * right.stddev, validate_args=False)


class BiasedGuide(TokenGuide):
    """Right but for a shift of every token."""

    def step_posterior(self, prediction: Normal, factor: Normal) -> Normal:
        """As the right guide's, moved by half a standard deviation."""
        right = super().step_posterior(prediction, factor)
        return Normal(right.mean + 0.5 * right.stddev, right.stddev, validate_args=False)


class FilteringGuide(TokenGuide):
    """Blind to the frames to come."""

    def _smoothed(self, factors: Normal, u: Tensor, context: Tensor, weights: Weights) -> list[Normal]:
        own = zip(factors.mean.unbind(1), factors.stddev.unbind(1), strict=True)
        return [Normal(mean, scale, validate_args=False) for mean, scale in own]


_WRONG = {"too narrow": NarrowGuide, "too wide": WideGuide, "biased": BiasedGuide}


def smoother() -> Sequence[Check]:
    """Guide of a chain whose model is known."""
    return compare(_trained())


def wrong_guides() -> Sequence[Check]:
    """How many checks of :func:`smoother` fail when something is wrong; at least one must."""
    right = _trained()
    state = right.state_dict()
    checks = []
    for name, guide_class in _WRONG.items():
        checks.append(_failures(f"guide {name}", _copy(right, guide_class)))
    half = _copy(right, TokenGuide)
    with torch.no_grad():
        half.dynamics.log_noise.copy_(state["dynamics.log_noise"] - math.log(2.0))
    checks.append(_failures("transition with half the noise", half))
    return checks


def learned_chain() -> Sequence[Check]:
    """The same chain learned together with its guide: noise of the transition as it is; a filtering guide finds another."""
    chain = Chain()
    checks = []
    for guide_class, relation in ((TokenGuide, "right"), (FilteringGuide, "wrong")):
        found = _learned(chain, guide_class)
        for channel, (expected, measured) in enumerate(zip(chain.noise, found, strict=True)):
            if relation == "right":
                checks.append(Check(f"noise of channel {channel}", "1", expected, measured, 0.1))
        if relation == "wrong":
            worst = max(abs(measured / expected - 1.0) for expected, measured in zip(chain.noise, found, strict=True))
            checks.append(Check("error of the noise found with a filtering guide", "1", 0.1, worst, relation="at_least"))
    return checks


def shared_noise() -> Sequence[Check]:
    """A chain whose tokens share part of their noise, learned with its guide from half the right noises; white noise cannot explain it."""
    chain = Chain(shared=_SHARED)
    truth = LinearPair(chain)
    frames = truth.simulate(_EVIDENCE, torch.Generator().manual_seed(7))
    evidence = float(ExactPosterior(chain).log_evidence(frames.numpy()).mean())
    white = replace(chain, shared=None, noise=tuple(map(math.hypot, chain.noise, _SHARED)))
    pairs = [_learned_from_half(start, truth) for start in (chain, white)]
    torch.manual_seed(8)
    found, without = (elbo(pair.pair, frames, particles=20) for pair in pairs)
    learned = pairs[0].dynamics
    assert learned.shared is not None
    noises = {"shared noise": (_SHARED, learned.shared), "own noise": (chain.noise, learned.log_noise.exp())}
    checks = [
        Check(f"{name} of channel {channel}", "1", right, measured, _SHARED_TOLERANCE)
        for name, (expected, values) in noises.items()
        for channel, (right, measured) in enumerate(zip(expected, values.tolist(), strict=True))
    ]
    return [
        *checks,
        Check("ELBO per simulation", "nat", evidence, found, 0.01),
        Check("what the ELBO of white noise misses of it", "nat", 1.0, evidence - without, relation="at_least"),
    ]


def compare(pair: LinearPair) -> list[Check]:
    """Standard deviations and means of z at every time and of u, and the evidence, against the exact ones."""
    chain = pair.chain
    exact = ExactPosterior(chain)
    truth = LinearPair(chain)
    generator = torch.Generator().manual_seed(7)
    frames = truth.simulate(_EVIDENCE, generator)
    torch.manual_seed(8)
    z_mean, z_scale, u_mean, u_scale = (torch.from_numpy(part.copy()) for part in exact.moments(frames[:_COMPARED].numpy()))
    ratios, shifts, u_ratios, u_shifts = [], [], [], []
    for n in range(_COMPARED):
        z, u = _draws(pair, frames[n])
        ratios.append(z.std(0) / z_scale[n])
        shifts.append((z.mean(0) - z_mean[n]).abs() / z_scale[n])
        u_ratios.append(u.std(0) / u_scale[n])
        u_shifts.append((u.mean(0) - u_mean[n]).abs() / u_scale[n])
    steps = torch.stack(ratios).mean(dim=(0, -1, -2))  # (time, channel)
    found, evidence = elbo(pair.pair, frames, particles=20), float(exact.log_evidence(frames.numpy()).mean())
    return [
        Check("sd of z, smallest ratio over times", "1", 0.9, float(steps.min()), relation="at_least"),
        Check("sd of z, largest ratio over times", "1", 1.1, float(steps.max()), relation="at_most"),
        Check("mean of z, largest deviation in sd", "1", 0.05, float(torch.stack(shifts).max()), relation="at_most"),
        Check("sd of u, smallest ratio", "1", 0.9, float(torch.stack(u_ratios).min()), relation="at_least"),
        Check("sd of u, largest ratio", "1", 1.1, float(torch.stack(u_ratios).max()), relation="at_most"),
        Check("mean of u, largest deviation in sd", "1", 0.1, float(torch.stack(u_shifts).max()), relation="at_most"),
        Check("ELBO per simulation", "nat", evidence, found, 0.01),
    ]


def _failures(name: str, pair: LinearPair) -> Check:
    failed = sum(not check.passed for check in compare(pair))
    return Check(f"checks that a {name} fails", "1", 1, failed, relation="at_least")


@cache
def _trained() -> LinearPair:
    """A pair whose guide has learned; its model is the chain's own."""
    torch.manual_seed(0)
    pair = LinearPair(Chain())
    generator = torch.Generator().manual_seed(1)
    guide = [parameter for name, parameter in pair.named_parameters() if not name.startswith("dynamics.")]
    train(pair.pair, guide, lambda n: pair.simulate(n, generator), steps=_STEPS, batch=_BATCH, learning_rate=_LEARNING_RATE)
    return pair


def _learned(chain: Chain, guide_class: type[TokenGuide]) -> list[float]:
    """Noise of every channel that model and guide find together, from twice the right one."""
    torch.manual_seed(0)
    truth, pair = LinearPair(chain), LinearPair(chain, guide_class)
    with torch.no_grad():
        pair.dynamics.log_noise.add_(math.log(2.0))
    _learn_all(pair, truth)
    return pair.dynamics.log_noise.detach().exp().tolist()


def _learned_from_half(chain: Chain, truth: LinearPair) -> LinearPair:
    """A pair that begins with half the noises of ``chain`` and learns from simulations of ``truth``."""
    torch.manual_seed(0)
    pair = LinearPair(chain)
    with torch.no_grad():
        pair.dynamics.log_noise.sub_(math.log(2.0))
        if pair.dynamics.shared is not None:
            pair.dynamics.shared.mul_(0.5)
    _learn_all(pair, truth)
    return pair


def _learn_all(pair: LinearPair, truth: LinearPair) -> None:
    simulate = partial(truth.simulate, generator=torch.Generator().manual_seed(2))
    train(pair.pair, pair.parameters(), simulate, steps=_STEPS, batch=_BATCH, learning_rate=_LEARNING_RATE)


def _copy(pair: LinearPair, guide_class: type[TokenGuide]) -> LinearPair:
    copied = LinearPair(pair.chain, guide_class)
    copied.load_state_dict(pair.state_dict())
    return copied


@torch.no_grad()
def _draws(pair: LinearPair, frames: Tensor) -> tuple[Tensor, Tensor]:
    """Draws of z (draw, time, channel, y, x) and of u (draw, effect) for one simulation (time, pixel, y, x)."""
    repeated = frames.expand(_DRAWS, *frames.shape)
    with local_parameters():
        trace = poutine.trace(pair.pair[1]).get_trace(repeated, no_context(repeated))
    z = torch.stack([trace.nodes[f"z_{t}"]["value"] for t in range(pair.chain.n_times)], dim=1)
    return z.double(), trace.nodes["u"]["value"].flatten(1).double()
