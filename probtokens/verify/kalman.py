"""The amortized guide of a linear chain against its exact smoother, and wrong guides that must fail the same comparison."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from functools import cache, partial

import torch
from pyro import poutine
from torch import Tensor
from torch.distributions import Normal

from probtokens.models.state_space import Guide, Posterior
from probtokens.nn.smoothing import Factor
from probtokens.verify.check import Check
from probtokens.verify.guide_training import elbo, no_context, train
from probtokens.verify.linear_chain import Chain, ExactPosterior, LinearChain, simulate

_STEPS, _BATCH, _LEARNING_RATE = 1000, 64, 0.03

#: Simulations whose posterior is compared, draws of the guide for each, and simulations of the evidence.
_COMPARED, _DRAWS, _EVIDENCE = 4, 40000, 1024


class _Narrow(Posterior):
    def tokens(self, prior: Normal, factor: Factor) -> Normal:
        right = super().tokens(prior, factor)
        return Normal(right.mean, 0.5 * right.stddev, validate_args=False)


class _Wide(Posterior):
    def tokens(self, prior: Normal, factor: Factor) -> Normal:
        right = super().tokens(prior, factor)
        return Normal(right.mean, 2.0 * right.stddev, validate_args=False)


class _Biased(Posterior):
    def tokens(self, prior: Normal, factor: Factor) -> Normal:
        right = super().tokens(prior, factor)
        return Normal(right.mean + 0.5 * right.stddev, right.stddev, validate_args=False)


class _Filtering(Posterior):
    def later(self, own: Normal, predicted: Normal) -> list[Factor]:
        nothing = torch.zeros_like(own.mean[..., 0, :, :, :])
        return [Factor(nothing, nothing)] * own.mean.shape[-4]


class NarrowGuide(Guide):
    """Half as wide as it should be."""

    posterior = _Narrow


class WideGuide(Guide):
    """Twice as wide as it should be."""

    posterior = _Wide


class BiasedGuide(Guide):
    """Right but for a shift of every token by half a standard deviation."""

    posterior = _Biased


class FilteringGuide(Guide):
    """Blind to the frames to come."""

    posterior = _Filtering


_WRONG = {"too narrow": NarrowGuide, "too wide": WideGuide, "biased": BiasedGuide}


def smoother() -> Sequence[Check]:
    """Guide of a chain whose model is known."""
    return compare(_trained())


def wrong_guides() -> Sequence[Check]:
    """How many checks of :func:`smoother` fail when something is wrong; at least one must."""
    right = _trained()
    checks = [_failures(f"guide {name}", right, guide) for name, guide in _WRONG.items()]
    half = copy.deepcopy(right)
    with torch.no_grad():
        half.log_noise.sub_(math.log(2.0))
    checks.append(_failures("transition with half the noise", half, Guide))
    return checks


def learned_chain() -> Sequence[Check]:
    """The same chain learned together with its guide: noise of the transition as it is; a filtering guide finds another."""
    chain = Chain()
    checks = []
    for guide_class, relation in ((Guide, "right"), (FilteringGuide, "wrong")):
        found = _learned(chain, guide_class)
        for channel, (expected, measured) in enumerate(zip(chain.noise, found, strict=True)):
            if relation == "right":
                checks.append(Check(f"noise of channel {channel}", "1", expected, measured, 0.1))
        if relation == "wrong":
            worst = max(abs(measured / expected - 1.0) for expected, measured in zip(chain.noise, found, strict=True))
            checks.append(Check("error of the noise found with a filtering guide", "1", 0.1, worst, relation="at_least"))
    return checks


def compare(program: LinearChain, guide: type[Guide] = Guide) -> list[Check]:
    """Standard deviations and means of z at every time and of u, and the evidence, against the exact ones."""
    chain = program.chain
    exact = ExactPosterior(chain)
    frames = simulate(chain, _EVIDENCE, torch.Generator().manual_seed(7))
    torch.manual_seed(8)
    z_mean, z_scale, u_mean, u_scale = (torch.from_numpy(part.copy()) for part in exact.moments(frames[:_COMPARED].numpy()))
    ratios, shifts, u_ratios, u_shifts = [], [], [], []
    for n in range(_COMPARED):
        z, u = _draws(program, guide, frames[n])
        ratios.append(z.std(0) / z_scale[n])
        shifts.append((z.mean(0) - z_mean[n]).abs() / z_scale[n])
        u_ratios.append(u.std(0) / u_scale[n])
        u_shifts.append((u.mean(0) - u_mean[n]).abs() / u_scale[n])
    steps = torch.stack(ratios).mean(dim=(0, -1, -2))  # (time, channel)
    found, evidence = elbo(program, frames, 20, guide), float(exact.log_evidence(frames.numpy()).mean())
    return [
        Check("sd of z, smallest ratio over times", "1", 0.9, float(steps.min()), relation="at_least"),
        Check("sd of z, largest ratio over times", "1", 1.1, float(steps.max()), relation="at_most"),
        Check("mean of z, largest deviation in sd", "1", 0.05, float(torch.stack(shifts).max()), relation="at_most"),
        Check("sd of u, smallest ratio", "1", 0.9, float(torch.stack(u_ratios).min()), relation="at_least"),
        Check("sd of u, largest ratio", "1", 1.1, float(torch.stack(u_ratios).max()), relation="at_most"),
        Check("mean of u, largest deviation in sd", "1", 0.1, float(torch.stack(u_shifts).max()), relation="at_most"),
        Check("ELBO per simulation", "nat", evidence, found, 0.01),
    ]


def _failures(name: str, program: LinearChain, guide: type[Guide]) -> Check:
    failed = sum(not check.passed for check in compare(program, guide))
    return Check(f"checks that a {name} fails", "1", 1, failed, relation="at_least")


@cache
def _trained() -> LinearChain:
    """A program whose guide has learned; its model is the chain's own."""
    torch.manual_seed(0)
    program = LinearChain(Chain())
    model = {id(parameter) for parameter in (program.carry, program.drive, program.log_noise)}
    guide = [parameter for parameter in program.parameters() if id(parameter) not in model]
    new = partial(simulate, program.chain, generator=torch.Generator().manual_seed(1))
    train(program, guide, new, steps=_STEPS, batch=_BATCH, learning_rate=_LEARNING_RATE)
    return program


def _learned(chain: Chain, guide: type[Guide]) -> list[float]:
    """Noise of every channel that model and guide find together, from twice the right one."""
    torch.manual_seed(0)
    program = LinearChain(chain)
    with torch.no_grad():
        program.log_noise.add_(math.log(2.0))
    new = partial(simulate, chain, generator=torch.Generator().manual_seed(2))
    train(program, program.parameters(), new, steps=_STEPS, batch=_BATCH, learning_rate=_LEARNING_RATE, guide=guide)
    found: list[float] = program.log_noise.detach().exp().tolist()
    return found


@torch.no_grad()
def _draws(program: LinearChain, guide: type[Guide], frames: Tensor) -> tuple[Tensor, Tensor]:
    """Draws of z (draw, time, channel, y, x) and of u (draw, effect) for one simulation (time, pixel, y, x)."""
    repeated = frames.expand(_DRAWS, *frames.shape)
    trace = poutine.trace(guide(program)).get_trace(repeated, no_context(repeated))
    z = torch.stack([trace.nodes[f"z_{t}"]["value"] for t in range(program.chain.n_times)], dim=1)
    return z.double(), trace.nodes["u"]["value"].flatten(1).double()
