"""What training minimises: one class for each objective.

An objective works as the ``loss`` of ``pyro.infer.SVI``, as a module (``objective(model, guide)``) under Lightning, DDP or a bare torch
loop, and as a stage of :func:`probtokens.train.fit`. Its settings are those of recipes (:mod:`probtokens.config.objectives`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import torch
from pyro import poutine
from pyro.infer import TraceMeanField_ELBO
from pyro.poutine.messenger import Messenger
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from probtokens.config import Stage
from probtokens.config.base import Strict
from probtokens.config.objectives import (
    ElboSettings,
    LatentErrorSettings,
    NoiseLikelihoodSettings,
    ReconstructionSettings,
    RestSettings,
    RolloutErrorSettings,
    RolloutScoreSettings,
)
from probtokens.evaluate.training_scores import hot_spot_score, rollout_score
from probtokens.fields import field_index
from probtokens.models.base import only, parameters_of
from probtokens.models.censored import CensoredNormal
from probtokens.models.state_space import NO_SOURCES, Draws, Guide, Model, State, tell_parameters
from probtokens.models.tokens import TokenForecaster

Parts = dict[str, Tensor]

#: Scale of tokens that are taken for known.
_CERTAIN = math.exp(-5.0)

#: Power of the variance that weighs likelihoods of noise: between a plain likelihood, 0, and a squared error, 1.
_VARIANCE_POWER = 0.5


class Objective(Strict):
    """Base of all objectives; the parameter groups that each has in ``learn`` get gradients, others do not."""

    learn: tuple[str, ...] = ()

    def parts(self, model: Any, frames: Tensor, context: Tensor) -> Parts:
        """Scalar named parts for windows of a model; ``"loss"`` is what is minimised, the rest is told.

        Takes windows (simulation, time, field, y, x) and context (simulation, context) in physical units. Errors and scores are in
        standard units of the fields.
        """
        raise NotImplementedError

    def __call__(self, model: nn.Module, guide: nn.Module, *window: Any) -> Any:
        """Loss of ``(frames, context)`` for a Pyro model and its guide; without a window a module that computes it."""
        if not window:
            return Bound(self, model, guide)
        program: Any = model.program
        learning = parameters_of(program, self.learn)
        tell_parameters(program, learning)
        with poutine.block(hide_types=["param"]), only(program, learning):  # the model would tell all
            return self.loss(model, guide, *window)

    def loss(self, model: nn.Module, guide: nn.Module, *window: Any) -> Tensor:
        """What is minimised, of a window; objectives that ask no guide take that of :meth:`parts`."""
        return self.parts(model.program, *window)["loss"]


class Bound(nn.Module):
    """An objective with the Pyro model and guide that it trains; ``forward(frames, context)`` is the loss."""

    def __init__(self, objective: Objective, model: nn.Module, guide: nn.Module) -> None:
        super().__init__()
        self.objective, self.model, self.guide = objective, model, guide

    def forward(self, frames: Tensor, context: Tensor) -> Tensor:
        """Loss of windows in physical units; a scalar."""
        return self.objective(self.model, self.guide, frames, context)


class Reconstruction(ReconstructionSettings, Objective):
    """Squared error of single frames that drawn tokens decode to."""

    def parts(self, model: TokenForecaster, frames: Tensor, context: Tensor) -> Parts:
        """``loss`` of the first frame of every window."""
        x = model.normalizer.normalize(frames[:, 0])
        return {"loss": (model.autoencoder.decode(model.autoencoder.encode(x).rsample()).mean - x).square().mean()}


class LatentError(LatentErrorSettings, Objective):
    """Squared error of a rollout without noise, in fields as the linear part of the decoder sees them, weighted field by field."""

    def parts(self, model: TokenForecaster, frames: Tensor, context: Tensor) -> Parts:
        """``loss`` and that of the ``last`` lead, of windows of tokens (simulation, time, channel, token_y, token_x)."""
        names = [name for group in model.tokens.groups for name in group.fields]
        shares = frames.new_tensor([self.field_weights.get(name, 1.0) for name in names])
        shares = (shares / shares.mean()).repeat_interleave(model.tokens.patch**2)
        errors = []
        for lead, state in enumerate(_states(model, _known(frames[:, 0]), context, frames.shape[1] - 1), start=1):
            with torch.autocast(frames.device.type, enabled=False):
                missed = model.autoencoder.linear_change(state.z[0] - frames[:, lead]).square().mean((0, 2, 3))
                errors.append((shares * missed).mean())
        return {"loss": torch.stack(errors).mean(), "last": errors[-1]}


class RolloutError(RolloutErrorSettings, Objective):
    """Squared error of a decoded rollout without noise, plus that of the first frame's reconstruction, which it starts from."""

    def parts(self, model: Any, frames: Tensor, context: Tensor) -> Parts:
        """``loss``, ``rollout`` and ``reconstruction``; of any model that gives mean frames."""
        leads = _some_leads(frames.shape[1] - 1, half=self.decoded == "half")
        means = zip((0, *leads), model.mean_frames(frames[:, 0], context, (0, *leads)), strict=True)
        errors = [(mean - model.normalizer.normalize(frames[:, lead])).square().mean() for lead, mean in means]
        rollout = torch.stack(errors[1:]).mean()
        return {"loss": rollout + errors[0], "rollout": rollout, "reconstruction": errors[0]}


class RolloutScore(RolloutScoreSettings, Objective):
    """Proper score of posterior predictive rollouts plus the divergence of global sites: generalised variational inference.

    The score stands in for the log-likelihood of an ELBO (Knoblauch, Jewson and Damoulas, JMLR 23, 2022). Members are drawn as forecasts
    draw them. Unless ``decoder_noise`` is set, decoder noise stays as likelihoods left it, which see what tokens cannot hold: a score of
    cells would sooner widen that white noise than the spread of the tokens. Hot spots never teach it: white noise makes areas differ
    where it lifts single cells over the threshold.
    """

    def parts(self, model: TokenForecaster, frames: Tensor, context: Tensor) -> Parts:
        """``loss`` and its parts ``crps``, ``energy``, ``hot_spots`` and ``divergence``, as far as there are any."""
        model.request(frames, context, None)
        leads = _some_leads(frames.shape[1] - 1, half=True)
        draw = Draws(self.members)
        view, states = model.forecast_states(frames[:, 0], context, draw)
        scores = []
        for lead, state in enumerate(islice(states, max(leads) + 1)):
            if lead in leads:
                scores.append(self._score(model, model.observation(state.z, view), frames[:, lead], draw))
        parts = {key: torch.stack([score[key] for score in scores]).mean() for key in scores[0]}
        posterior, prior = model.weight_posterior(), model.weight_prior()
        if posterior is None or prior is None:
            return parts
        simulations, times = model.population or (len(frames), frames.shape[1])
        divergence = kl_divergence(posterior, prior) / (simulations * times)
        return parts | {"loss": parts["loss"] + self.kl_weight * divergence, "divergence": divergence}

    def _score(self, model: TokenForecaster, observed: CensoredNormal, frame: Tensor, draw: Draws) -> Parts:
        truth = model.normalizer.normalize(frame)
        settled = CensoredNormal(observed.loc, observed.scale.detach(), observed.lower, observed.upper)

        def members(distribution: CensoredNormal) -> Tensor:
            return model.normalizer.normalize(draw("x", distribution.to_event(3)))

        score = rollout_score(members(observed if self.decoder_noise else settled), truth, self.energy_weight)
        if not self.hot_spots:
            return score
        hot = hot_spot_score(self._above(model, members(settled)), self._above(model, truth))
        return score | {"loss": score["loss"] + self.hot_spot_weight * hot, "hot_spots": hot}

    def _above(self, model: TokenForecaster, frames: Tensor) -> Tensor:
        """Standard frames (..., field, y, x) of the fields that have thresholds, less these."""
        normalizer = model.normalizer
        positions = [field_index(normalizer.fields, name) for name in self.hot_spots]
        mean, scale = normalizer.field_mean[positions], normalizer.field_scale[positions]
        return frames[..., positions, :, :] - ((mean.new_tensor(list(self.hot_spots.values())) - mean) / scale)[:, None, None]


class Elbo(ElboSettings, Objective):
    """Negative evidence lower bound, divergences in closed form where they have one, in nats per token and frame.

    A patch counts for ``effective_pixels`` in the likelihood.
    """

    def parts(self, model: Any, frames: Tensor, context: Tensor) -> Parts:
        """``loss`` alone."""
        return {"loss": self.loss(Model(model), Guide(model), frames, context)}

    def loss(self, model: nn.Module, guide: nn.Module, *window: Any) -> Tensor:
        """As any objective's; the guide may be another than the model's own."""
        frames: Tensor = window[0]
        program: Any = model.program
        patch = program.tokens.patch
        with _Tempered(self.effective_pixels / patch**2):
            loss: Tensor = TraceMeanField_ELBO().differentiable_loss(model, guide, *window)
        simulations, times = program.population or (0, 0)
        n_frames = max(simulations, len(frames)) * max(times - 1, frames.shape[1] - 1)
        return loss / (n_frames * frames.shape[-2] * frames.shape[-1] / patch**2)


class NoiseLikelihood(NoiseLikelihoodSettings, Objective):
    """Negative log-likelihood of every frame given the mean of its own tokens, and of that mean given the one before.

    Each noise learns from what its own mean misses. An ELBO of windows splits the errors of a rollout between them, and the decoder,
    which is asked at every pixel, takes almost all; a forecast of white noise is the result.
    """

    def parts(self, model: TokenForecaster, frames: Tensor, context: Tensor) -> Parts:
        """``loss`` and its parts ``pixels`` and ``step``."""
        model.request(frames, context, None)
        x = model.normalizer.normalize(frames)
        tokens = model.autoencoder.encode(x).mean
        pixels = self.effective_pixels * _weighted_nats(model.autoencoder.decode(tokens), x).sum()
        before, after = (tokens[:, part].flatten(0, 1) for part in (slice(-1), slice(1, None)))
        each = context.repeat_interleave(tokens.shape[1] - 1, dim=0)
        (state,) = _states(model, _known(before), each, 1)
        step = _weighted_nats(Normal(state.source.mean[0], state.source.stddev[0], validate_args=False), after).sum()
        return {"loss": pixels + step, "pixels": pixels, "step": step}


class Rest(RestSettings, Objective):
    """Absolute error of one step without noise where tokens are at rest.

    It estimates the median drift, so the few tokens that a wave reaches in this step do not bias it.
    """

    def parts(self, model: TokenForecaster, frames: Tensor, context: Tensor) -> Parts:
        """``loss`` of windows of two token lattices (simulation, time, channel, token_y, token_x)."""
        rest = model.transition.rest
        if rest is None:
            raise ValueError("rest: expected tokens that know fields at rest, got tokens that know none")
        (state,) = _states(model, _known(frames[:, 0]), context, 1)
        return {"loss": (rest.nearness(frames[:, 0]) * (state.z[0] - frames[:, 1]).abs()).mean()}


_OBJECTIVES: Mapping[str, type[Objective]] = {
    "reconstruction": Reconstruction,
    "latent_error": LatentError,
    "rollout_error": RolloutError,
    "rollout_score": RolloutScore,
    "elbo": Elbo,
    "noise_likelihood": NoiseLikelihood,
    "rest": Rest,
}


def objective_of(stage: Stage) -> Objective:
    """What a stage of a recipe minimises."""
    kind = _OBJECTIVES[stage.objective]
    return kind(**{key: getattr(stage, key) for key in kind.model_fields})


class _Tempered(Messenger):
    """Scales the log-likelihood of the observed frames."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self._factor = factor

    def _pyro_sample(self, message: Any) -> None:
        if message["name"] == "x":
            message["scale"] = message["scale"] * self._factor


def _known(tokens: Tensor) -> Normal:
    """Tokens (simulation, channel, y, x) that are known."""
    return Normal(tokens, torch.full_like(tokens, _CERTAIN), validate_args=False)


def _states(model: TokenForecaster, first: Normal, context: Tensor, n_steps: int) -> Iterator[State]:
    """States after the first, (1, simulation, ...), of a rollout without noise from given tokens."""
    draw = Draws(1, sources=NO_SOURCES)
    return islice(model.continued(first, model.context_vector(context), draw), 1, n_steps + 1)


def _some_leads(horizon: int, *, half: bool) -> tuple[int, ...]:
    """Leads 1 … ``horizon``, all or a random half: decoding is what a free-running step costs most."""
    if not half:
        return tuple(range(1, horizon + 1))
    return tuple(sorted((1 + torch.randperm(horizon)[: (horizon + 1) // 2]).tolist()))


def _weighted_nats(predicted: Normal, truth: Tensor) -> Tensor:
    """Negative log-likelihood per value of each field or channel (channel,) of (..., channel, y, x), weighted by the noise itself.

    The β-NLL of Seitzer et al. (ICLR 2022). Errors have heavy tails, and without weights a few that are hundreds of times the noise
    of their place widen it wherever features look alike.
    """
    weight = predicted.stddev.detach() ** (2 * _VARIANCE_POWER)
    others = [axis for axis in range(truth.ndim) if axis != truth.ndim - 3]
    return -(weight * predicted.log_prob(truth)).mean(others) / weight.mean(others)
