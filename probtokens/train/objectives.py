"""What training minimises: one class for each objective.

An objective works as the ``loss`` of ``pyro.infer.SVI``, as a module (``objective(model, guide)``) under Lightning, DDP or a bare torch
loop, and with :func:`probtokens.fit`. Its settings are those of recipes (:mod:`probtokens.config.objectives`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import torch
from pydantic import ValidationError
from pyro import poutine
from pyro.infer import TraceMeanField_ELBO
from pyro.poutine.messenger import Messenger
from torch import Tensor, nn
from torch.distributions import Distribution, Normal, kl_divergence

from probtokens.config import Stage
from probtokens.config.base import Strict
from probtokens.config.objectives import (
    ElboSettings,
    InferenceCompilationSettings,
    LatentErrorSettings,
    ReconstructionSettings,
    RolloutErrorSettings,
    RolloutScoreSettings,
)
from probtokens.errors import in_one_line
from probtokens.evaluate.training_scores import rollout_score
from probtokens.models.base import only, parameters_of
from probtokens.models.state_space import NO_SOURCES, Draws, Guide, Model, Posterior, draw_from, tell_parameters
from probtokens.models.tokens import TokenForecaster

Parts = dict[str, Tensor]

#: Scale of tokens that are taken for known.
_CERTAIN = math.exp(-5.0)


class Objective(Strict):
    """Base of all objectives; the parameter groups that each has in ``learn`` get gradients, others do not."""

    learn: tuple[str, ...] = ()

    def __init__(self, **settings: Any) -> None:
        try:
            super().__init__(**settings)
        except ValidationError as error:
            raise in_one_line(error) from None

    def parts(self, model: Any, frames: Tensor, context: Tensor) -> Parts:
        """Scalar named parts for windows of a model; ``"loss"`` is what is minimised, the rest is told.

        Takes windows (simulation, time, field, y, x) and context (simulation, context) in physical units. Errors and scores are in
        standard units of the fields.
        """
        raise NotImplementedError

    def windows(self, frames: Tensor, context: Tensor, progress: float) -> tuple[Tensor, Tensor]:
        """What :meth:`parts` is to see of a batch of windows after a share ``progress`` of a stage's steps; by default all of it."""
        return frames, context

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
    """Squared error of single frames that drawn tokens decode to.

    What is decoded is the mean of the draws, which bounds move: where a field rests on its bound, what lies beyond it costs nothing.
    """

    def parts(self, model: TokenForecaster, frames: Tensor, context: Tensor) -> Parts:
        """``loss`` of the first frame of every window."""
        x = frames[:, 0]
        decoded = model.observation(model.encoded(x).rsample(), None, x).mean
        return {"loss": (model.normalizer.normalize(decoded) - model.normalizer.normalize(x)).square().mean()}


class LatentError(LatentErrorSettings, Objective):
    """Squared error of a rollout without noise, in fields as the linear part of the decoder sees them, weighted field by field."""

    def windows(self, frames: Tensor, context: Tensor, progress: float) -> tuple[Tensor, Tensor]:
        """Pieces of windows as long as the curriculum has them by then: each begins with given tokens, so that none is left out."""
        for horizon, share in sorted(self.curriculum.items()):
            progress -= share
            if progress < 0:
                pieces = frames.unfold(1, horizon + 1, horizon).movedim(-1, 2)
                return pieces.flatten(0, 1), context.repeat_interleave(pieces.shape[1], dim=0)
        return frames, context

    def parts(self, model: TokenForecaster, frames: Tensor, context: Tensor) -> Parts:
        """``loss`` and that of the ``last`` lead, of windows of tokens (simulation, time, channel, token_y, token_x)."""
        names = [name for group in model.tokens.groups for name in group.fields]
        shares = frames.new_tensor([self.field_weights.get(name, 1.0) for name in names])
        shares = (shares / shares.mean()).repeat_interleave(model.tokens.patch**2)
        errors = []
        for lead, z in enumerate(_later(model, _known(frames[:, 0]), context, frames.shape[1] - 1), start=1):
            with torch.autocast(frames.device.type, enabled=False):
                missed = model.autoencoder.linear_change(z[0] - frames[:, lead]).square().mean((0, 2, 3))
                errors.append((shares * missed).mean())
        error, divergence = torch.stack(errors).mean(), _divergence(model, frames, 1)
        if divergence is None:
            return {"loss": error, "data": error, "last": errors[-1]}
        relative = error / error.detach()  # whose gradient is that of the logarithm: a Gaussian likelihood whose scale is the error's
        return {
            "loss": relative + self.kl_weight * divergence,
            "data": relative,
            "error": error,
            "divergence": divergence,
            "last": errors[-1],
        }


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
    draw them. As every objective it takes windows (simulation, time, field, y, x) and context (simulation, context) in physical units.

    Parameters
    ----------
    members
        Draws of every window, at least 2; 3 by default.
    kl_weight
        Weight of the divergence of global sites from their prior, per token and frame of the training set; 0.05 by default.
    learn
        Parameter groups that take gradients: ``"codec"``, ``"dynamics"``, ``"noise"``, ``"weights"``; the second and third by default.

    Raises
    ------
    ValueError
        If a number is out of range, or there is no such group.

    Examples
    --------
    >>> from probtokens.verify.token_pairs import micro_tokens, window
    >>> RolloutScore(members=2).parts(micro_tokens(), *window())["loss"].shape
    torch.Size([])
    """

    def parts(self, model: TokenForecaster, frames: Tensor, context: Tensor) -> Parts:
        """``loss`` and, where there are global sites, its parts ``score`` and ``divergence``."""
        model.request(frames, context, None)
        leads = _some_leads(frames.shape[1] - 1, half=True)
        draw, standard = Draws(self.members), model.normalizer.normalize
        view, tokens = model.forecast_tokens(frames[:, 0], context, draw)
        scores = []
        for lead, z in enumerate(islice(tokens, max(leads) + 1)):
            if lead in leads:
                members = draw("x", model.observation(z, view, frames[:, 0]).to_event(3))
                scores.append(rollout_score(standard(members), standard(frames[:, lead])))
        score = torch.stack(scores).mean()
        divergence = _divergence(model, frames, model.patch**2)
        if divergence is None:
            return {"loss": score}
        return {"loss": score + self.kl_weight * divergence, "score": score, "divergence": divergence}


class Elbo(ElboSettings, Objective):
    """Negative evidence lower bound, divergences in closed form where they have one, in nats per token and frame.

    It takes windows (simulation, time, field, y, x) and context (simulation, context) in physical units.

    Parameters
    ----------
    effective_pixels
        Independent pixels that a patch counts for in the likelihood, since neighbouring pixels err together; 4 by default.
    learn
        Parameter groups that take gradients, ``"guide"`` among them; all by default.

    Raises
    ------
    ValueError
        If a number is out of range, or there is no such group.

    Examples
    --------
    >>> from probtokens.verify.token_pairs import micro_tokens, window
    >>> tokens = micro_tokens()
    >>> Elbo()(tokens.model, tokens.guide, *window()).shape
    torch.Size([])
    """

    def parts(self, model: Any, frames: Tensor, context: Tensor) -> Parts:
        """``loss`` alone."""
        return {"loss": self.loss(Model(model), Guide(model), frames, context)}

    def loss(self, model: nn.Module, guide: nn.Module, *window: Any) -> Tensor:
        """As any objective's; the guide may be another than the model's own."""
        frames: Tensor = window[0]
        program: Any = model.program
        patch = program.patch
        with _Tempered(self.effective_pixels / patch**2):
            loss: Tensor = TraceMeanField_ELBO().differentiable_loss(model, guide, *window)
        simulations, times = program.population or (0, 0)
        n_frames = max(simulations, len(frames)) * max(times - 1, frames.shape[1] - 1)
        return loss / (n_frames * frames.shape[-2] * frames.shape[-1] / patch**2)


class InferenceCompilation(InferenceCompilationSettings, Objective):
    """Negative log-density that the guide gives to the sites of draws from the model, per token and frame, in nats.

    Its minimum over all guides is the model's posterior, with the right width, where an ELBO prefers guides that are too narrow (Le, Baydin
    and Wood, AISTATS 2017; the sleep phase of Hinton et al., Science 268, 1995). Windows give first frames, contexts and the horizon.
    """

    def parts(self, model: Any, frames: Tensor, context: Tensor) -> Parts:
        """``loss`` and its parts ``effects`` and ``tokens``."""
        horizon = model.request(frames, context, None)
        with torch.no_grad():
            drawn, view, sites = draw_from(model, frames[:, 0], context, horizon, Draws(1))
        logs: dict[str, Tensor] = {}

        def scored(name: str, posterior: Distribution) -> Tensor:
            logs[name] = posterior.log_prob(sites[name])
            return sites[name]

        vector = model.context_vector(context)
        _, first = model.begin(frames[:, 0], lambda name, prior: sites[name])
        posterior = Posterior(model, drawn if view is None else view.seen(drawn), vector, scored)
        for _ in islice(model.trajectory(first, vector, posterior), horizon + 1):
            pass
        of_tokens = [log for name, log in logs.items() if name.startswith("z_")]
        shape = sites["z_0"].shape[-3:]
        tokens = -torch.stack(of_tokens).mean() / (shape[-1] * shape[-2])
        effects = -logs["u"].mean() / (shape[-1] * shape[-2])
        return {"loss": tokens + effects, "tokens": tokens, "effects": effects}


#: Objectives of recipes by name.
OBJECTIVES: Mapping[str, type[Objective]] = {
    "reconstruction": Reconstruction,
    "latent_error": LatentError,
    "rollout_error": RolloutError,
    "rollout_score": RolloutScore,
    "elbo": Elbo,
    "inference_compilation": InferenceCompilation,
}


def objective_of(stage: Stage) -> Objective:
    """What a stage of a recipe minimises."""
    kind = OBJECTIVES[stage.objective]
    return kind(**{key: getattr(stage, key) for key in kind.model_fields})


class _Tempered(Messenger):
    """Scales the log-likelihood of the observed frames."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self._factor = factor

    def _pyro_sample(self, message: Any) -> None:
        if message["name"] == "x":
            message["scale"] = message["scale"] * self._factor


def _divergence(model: TokenForecaster, windows: Tensor, cells: int) -> Tensor | None:
    """Divergence of global sites from their prior in nats per token and frame of the training set; ``None`` without such sites.

    A token of ``windows`` (simulation, time, channel, y, x) has so many cells.
    """
    posterior, prior = model.weight_posterior(), model.weight_prior()
    if posterior is None or prior is None:
        return None
    simulations, times = model.population or windows.shape[:2]
    tokens = windows.shape[-2] * windows.shape[-1] / cells
    return kl_divergence(posterior, prior) / (simulations * (times - 1) * tokens)


def _known(tokens: Tensor) -> Normal:
    """Tokens (simulation, channel, y, x) that are known."""
    return Normal(tokens, torch.full_like(tokens, _CERTAIN), validate_args=False)


def _later(model: TokenForecaster, first: Normal, context: Tensor, n_steps: int) -> Iterator[Tensor]:
    """Tokens after the first, (1, simulation, channel, y, x), of a rollout without noise from given tokens."""
    draw = Draws(1, sources=NO_SOURCES)
    return islice(model.continued(first, model.context_vector(context), draw), 1, n_steps + 1)


def _some_leads(horizon: int, *, half: bool) -> tuple[int, ...]:
    """Leads 1 … ``horizon``, all or a random half: decoding is what a free-running step costs most."""
    if not half:
        return tuple(range(1, horizon + 1))
    return tuple(sorted((1 + torch.randperm(horizon)[: (horizon + 1) // 2]).tolist()))
