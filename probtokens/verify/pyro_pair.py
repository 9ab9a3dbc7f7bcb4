"""What must hold of every Pyro pair, whatever its weights: gradients reach all parameters, serial and parallel draws agree."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import torch
from pyro.infer import Predictive, TraceMeanField_ELBO
from torch import Tensor

from probtokens.models.tokens import TokenForecaster
from probtokens.verify.check import Check
from probtokens.verify.token_pairs import meso_tokens, micro_tokens, window

_PAIRS: dict[str, Callable[[], TokenForecaster]] = {
    "micro": micro_tokens,
    "micro, fields apart": lambda: micro_tokens(coupled=False),
    "micro, shifted views": lambda: micro_tokens(views="shifted"),
    "meso": meso_tokens,
}


def gradients() -> Sequence[Check]:
    """Parameters that may learn and get no gradient from the ELBO of a window."""
    checks = []
    for name, build in _PAIRS.items():
        tokens = build()
        frames, context = window()
        TraceMeanField_ELBO()(tokens.model, tokens.guide)(frames, context).backward()
        silent = silent_parameters(tokens)
        checks.append(Check(f"parameters without gradient, {name}", "1", 0, len(silent), relation="at_most"))
    return checks


def silent_parameters(tokens: TokenForecaster) -> list[str]:
    """Names of the parameters that may learn and have no gradient."""
    return [name for name, p in tokens.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]


def predictive_draws(pairs: Collection[str] = tuple(_PAIRS), draws: int = 120, repetitions: int = 4) -> Sequence[Check]:
    """Moments of posterior predictive frames, drawn one after the other and all at once.

    Pixels of one repetition share weights and effects: alone it says little. Fields with bounds are left out: where all draws lie on
    one, their mean has no standard error.
    """
    checks = []
    for name in pairs:
        tokens = _PAIRS[name]()
        frames, context = window(n_times=1)
        (mean_1, sd_1), (mean_2, sd_2) = (
            _moments(tokens, frames, context, draws, repetitions, parallel=parallel) for parallel in (False, True)
        )
        z = (mean_1 - mean_2) / ((sd_1**2 + sd_2**2) / draws).sqrt()
        rms = float(z.square().mean().sqrt())
        checks += [
            Check(f"differences of means in standard errors, root mean square, {name}", "1", 1.0, rms, 0.15),
            Check(f"ratio of sd, mean, {name}", "1", 1.0, float((sd_1 / sd_2).mean()), 0.04),
        ]
    return checks


def _moments(
    tokens: TokenForecaster, frames: Tensor, context: Tensor, draws: int, repetitions: int, *, parallel: bool
) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation over draws of unbounded fields (repetition, simulation, time, field, y, x) three steps ahead."""
    unbounded = [number for number, spec in enumerate(tokens.fields) if spec.lower is None and spec.upper is None]
    moments = []
    for seed in range(repetitions):
        torch.manual_seed(seed)
        with torch.no_grad():
            predictive = Predictive(tokens.model, guide=tokens.guide, num_samples=draws, parallel=parallel)
            x = tokens.normalizer.normalize(predictive(frames, context, 3)["x"])[..., unbounded, :, :]
        moments.append((x.mean(0), x.std(0)))
    means, spreads = (torch.stack(parts) for parts in zip(*moments, strict=True))
    return means, spreads
