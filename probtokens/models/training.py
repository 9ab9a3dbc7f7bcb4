"""How token models are trained: what learns in a stage, and the loss of a batch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial

import torch
from torch import Tensor
from torch.distributions import Normal

from probtokens.config import StageConfig
from probtokens.data.dataset import Batch
from probtokens.data.normalize import Normalizer
from probtokens.fields import field_index
from probtokens.models.forecast import ALL_SOURCES, NO_SOURCES, Source, Sources, draw, free_running
from probtokens.models.objectives import hot_spot_score, negative_elbo, rollout_score
from probtokens.models.pair import TokenPair
from probtokens.models.state_space import Belief, initial_posterior

#: Modules and parameters that tell spread. Without noise a step does not depend on them, save through the certainty
#: that messages of the meso coupling carry and a small pull of the first tokens towards their prior.
UNCERTAINTY = frozenset({"spread", "effect", "pixel_raw_scale", "noise_log_factor", "trajectory_encoder", "smoother", "posterior"})

#: Of these what only the guide has: what it makes of a window. The encoder's heads are part of it too.
POSTERIOR = frozenset({"trajectory_encoder", "smoother", "posterior", "encoders"})

#: Logarithm of the scale of tokens that are taken for known.
_CERTAIN = -5.0

#: Power of the variance that weighs likelihoods in the noise stage: between a plain likelihood, 0, and a squared error, 1.
_VARIANCE_POWER = 0.5


def learns(name: str, stage: StageConfig) -> bool:
    """Whether the stage gives gradients to the parameter called ``name``.

    Latent stages leave the autoencoder as it is, and errors without noise what tells spread: the encoder's would do nothing but vanish.
    """
    parts = name.split(".")
    for alone in ("shrinkage", "rest"):
        if stage.learn == alone or alone in parts:
            return stage.learn == alone and alone in parts
    if not UNCERTAINTY.isdisjoint(parts):
        return stage.objective not in ("mse", "latent") and (stage.learn != "posterior" or not POSTERIOR.isdisjoint(parts))
    if name.startswith("autoencoder."):
        return stage.learn == "everything" and stage.objective != "latent"
    return stage.learn not in ("uncertainty", "posterior")


def stage_loss(pair: TokenPair, batch: Batch, stage: StageConfig) -> Mapping[str, Tensor]:
    """Named parts of the stage's objective; see :meth:`probtokens.models.tokens.TokenForecaster.loss`."""
    context = pair.context_vector(batch.context)
    if stage.learn == "rest":
        return _rest_error(pair, batch.frames, context)
    if stage.objective == "latent":
        return _latent_error(pair, batch.frames, context, stage.field_weights)
    if stage.objective == "noise":
        return _noise_likelihood(pair, batch.frames, context)
    if stage.objective == "score":
        return _score(pair, batch.frames, context, stage)
    if stage.objective == "mse":
        return _squared_error(pair, batch.frames, context)
    return _elbo_per_token(pair, batch.frames, context)


def _elbo_per_token(pair: TokenPair, frames: Tensor, context: Tensor) -> dict[str, Tensor]:
    """Negative ELBO per token of the frames that the batch stands for."""
    loss = negative_elbo(pair.model, pair.guide, frames, context, pair.scales)
    n_frames = math.prod(frames.shape[:2]) * pair.scales.simulations * pair.scales.frames
    n_tokens = math.prod(frames.shape[-2:]) / pair.tokens.patch**2
    return {"loss": loss / (n_frames * n_tokens)}


def _score(pair: TokenPair, frames: Tensor, context: Tensor, stage: StageConfig) -> dict[str, Tensor]:
    """Score of decoded members.

    Unless told otherwise decoder noise stays as likelihoods left it, which see what tokens cannot hold: a score of pixels would sooner
    widen that white noise than the spread of the tokens, and no forecast drifts like that. Hot spots never teach it: white noise
    makes areas differ where it lifts single cells over the threshold.
    """
    shrunk = stage.learn == "shrinkage"

    def members(pixels: Normal) -> Tensor:
        drawn = draw(pixels, None)
        return pair.shrinkage(*drawn.chunk(2)) if shrunk and pair.shrinkage is not None else drawn

    leads = decoded_leads(pair, frames, context, stage.members * (2 if shrunk else 1))
    if not stage.decoder_noise:
        leads = ((Normal(pixels.mean, pixels.stddev.detach()), x) for pixels, x in leads)
    scores = []
    for pixels, truth in leads:
        score = rollout_score(members(pixels), truth, stage.energy_weight)
        if stage.hot_spots:
            undisturbed = members(Normal(pixels.mean, pixels.stddev.detach()))
            hot = hot_spot_score(_above(undisturbed, pair.normalizer, stage.hot_spots), _above(truth, pair.normalizer, stage.hot_spots))
            score |= {"loss": score["loss"] + stage.hot_spot_weight * hot, "hot_spots": hot}
        scores.append(score)
    return _mean_over_leads(scores)


def _above(frames: Tensor, normalizer: Normalizer, thresholds: Mapping[str, float]) -> Tensor:
    """Normalised frames (..., field, y, x) of the fields that have thresholds, in the fields' units, less these."""
    positions = [field_index(normalizer.fields, name) for name in thresholds]
    mean, scale = normalizer.field_mean[positions], normalizer.field_scale[positions]
    return frames[..., positions, :, :] - ((mean.new_tensor(list(thresholds.values())) - mean) / scale)[:, None, None]


def _squared_error(pair: TokenPair, frames: Tensor, context: Tensor) -> dict[str, Tensor]:
    """Squared error of the rollout without noise plus that of the first frame's reconstruction, which it starts from.

    Without a horizon it is that of tokens drawn from the posterior, so that what is near them decodes alike.
    """
    if frames.shape[1] == 1:
        drawn = draw(initial_posterior(pair.autoencoder, frames[:, 0]), None)
        error = (pair.autoencoder.decode(drawn).mean - frames[:, 0]).square().mean()
        return {"loss": error, "reconstruction": error}
    leads = decoded_leads(pair, frames, context, 1, NO_SOURCES)
    rollout = _mean_over_leads([{"mse": (pixels.mean[0] - x).square().mean()} for pixels, x in leads])["mse"]
    start = initial_posterior(pair.autoencoder, frames[:, 0]).mean
    reconstruction = (pair.autoencoder.decode(start).mean - frames[:, 0]).square().mean()
    return {"loss": rollout + reconstruction, "rollout": rollout, "reconstruction": reconstruction}


def _latent_error(pair: TokenPair, tokens: Tensor, context: Tensor, field_weights: Mapping[str, float]) -> dict[str, Tensor]:
    """Squared error of a rollout without noise, in fields as the linear part of the decoder sees them, weighted field by field."""
    weights = pair.central_weights()
    shares = torch.tensor([field_weights.get(name, 1.0) for group in pair.tokens.groups for name in group.fields], device=tokens.device)
    shares = (shares / shares.mean()).repeat_interleave(pair.tokens.patch**2)
    belief = Belief(tokens[None, :, 0], tokens[None, :, 0], torch.full_like(tokens[None, :, 0], _CERTAIN))
    u = tokens.new_zeros(1, len(tokens), *pair.effect_shape(*tokens.shape[-2:]))
    errors = []
    for lead in range(1, tokens.shape[1]):
        transition = pair.dynamics(belief, u, context, weights)
        belief = Belief.of(transition.mean, transition.marginal)
        with torch.autocast(tokens.device.type, enabled=False):
            missed = pair.autoencoder.linear_change(transition.mean[0] - tokens[:, lead]).square().mean((0, 2, 3))
            errors.append((shares * missed).mean())
    loss = torch.stack(errors).mean()
    return {"loss": loss, "last": errors[-1]}


def _rest_error(pair: TokenPair, tokens: Tensor, context: Tensor) -> dict[str, Tensor]:
    """Absolute error of one step without noise where tokens are at rest: of the few that a wave reaches in it a median sees nothing."""
    assert pair.transition.rest is not None
    z = tokens[None, :, 0]
    u = tokens.new_zeros(1, len(tokens), *pair.effect_shape(*tokens.shape[-2:]))
    mean = pair.dynamics(Belief(z, z, torch.full_like(z, _CERTAIN)), u, context, pair.central_weights()).mean[0]
    loss = (pair.transition.rest.nearness(z[0]) * (mean - tokens[:, 1]).abs()).mean()
    return {"loss": loss}


def _noise_likelihood(pair: TokenPair, frames: Tensor, context: Tensor) -> dict[str, Tensor]:
    """Negative log-likelihood of every frame given the mean of its own tokens, and of that mean given the one before.

    Each noise learns from what its own mean misses. An ELBO of windows splits the errors of a rollout between them, and the decoder,
    which is asked at every pixel, takes almost all; a forecast of white noise is the result. Loadings of shared noise are left to scores:
    errors have heavy tails, and shared noise that is to explain them drowns everything else.
    """
    tokens = pair.autoencoder.encode(frames).mean
    nats = _weighted_nats(pair.autoencoder.decode(tokens), frames).sum()
    parts = {"pixels": nats * pair.scales.pixels * pair.tokens.patch**2}
    if tokens.shape[1] > 1:
        before, after = tokens[None, :, :-1].flatten(1, 2), tokens[None, :, 1:].flatten(1, 2)
        u = tokens.new_zeros(1, before.shape[1], *pair.effect_shape(*tokens.shape[-2:]))
        belief = Belief(before, before, torch.full_like(before, _CERTAIN))
        each = context.repeat_interleave(tokens.shape[1] - 1, dim=0)
        step = pair.dynamics(belief, u, each, pair.central_weights())
        parts["step"] = _weighted_nats(step.given(None), after).sum()
    return {"loss": torch.stack(list(parts.values())).sum(), **parts}


def _weighted_nats(predicted: Normal, truth: Tensor) -> Tensor:
    """Negative log-likelihood per value of each field or channel (channel,) of (..., channel, y, x), weighted by the noise itself.

    The β-NLL of Seitzer et al. (ICLR 2022). Errors have heavy tails, and without weights a few that are hundreds of times the noise
    of their place widen it wherever features look alike.
    """
    weight = predicted.stddev.detach() ** (2 * _VARIANCE_POWER)
    others = [axis for axis in range(truth.ndim) if axis != truth.ndim - 3]
    return -(weight * predicted.log_prob(truth)).mean(others) / weight.mean(others)


def decoded_leads(
    pair: TokenPair, frames: Tensor, context: Tensor, members: int, sources: Sources = ALL_SOURCES
) -> Iterator[tuple[Normal, Tensor]]:
    """Decoded rollout and truth at a random half of the leads: decoding is what a free-running step costs most."""
    horizon = frames.shape[1] - 1
    chosen = set((1 + torch.randperm(horizon)[: (horizon + 1) // 2]).tolist())
    weights = pair.sample_weights(members) if Source.WEIGHTS in sources else pair.central_weights()
    views = pair.drawn_views(members, len(frames), sources)
    rollout = free_running(
        pair.autoencoder,
        pair.dynamics,
        frames[:, 0] if views is None else views.seen(frames[:, 0], pair.normalizer.mirror),
        context,
        weights,
        n_draws=members,
        effect_shape=pair.effect_shape,
        sources=sources,
    )
    for lead, z in zip(range(1, max(chosen) + 1), rollout, strict=False):
        if lead in chosen:
            pixels = pair.autoencoder.decode(z)
            if views is not None:
                mean, scale = views.back(pixels.mean, pair.normalizer.mirror), views.back(pixels.stddev, partial(torch.flip, dims=(-2,)))
                pixels = Normal(mean, scale, validate_args=False)
            yield pixels, frames[:, lead]


def _mean_over_leads(leads: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {key: torch.stack([lead[key] for lead in leads]).mean() for key in leads[0]}
