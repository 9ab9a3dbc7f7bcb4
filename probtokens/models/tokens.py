"""What token models of both scales share: context, the Pyro pair, losses, forecasts."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.distributions import Normal

from probtokens.config import StageConfig, TokenConfig
from probtokens.data.dataset import Batch
from probtokens.data.normalize import Normalizer
from probtokens.fields import FieldSpec, Grid
from probtokens.models.forecast import ALL_SOURCES, NO_SOURCES, Source, Sources, draw, free_running, to_physical
from probtokens.models.objectives import negative_elbo, rollout_score
from probtokens.models.requests import check_effects, check_request
from probtokens.models.state_space import Belief, GuideNotes, Scales, TokenGuide, TokenModel, Weights, initial_posterior, local_parameters
from probtokens.nn.autoencoder import TokenAutoencoder
from probtokens.nn.smoothing import BackwardMessages
from probtokens.nn.transition import TokenTransition, TrajectoryEncoder

#: Modules and parameters that tell spread. Without noise a step does not depend on them, save through the certainty
#: that messages of the meso coupling carry and a small pull of the first tokens towards their prior.
UNCERTAINTY = frozenset({"spread", "effect", "pixel_log_scale", "noise_log_factor", "trajectory_encoder", "smoother", "posterior"})


#: Logarithm of the scale of tokens that are taken for known.
_CERTAIN = -5.0


class TokenForecaster(nn.Module):
    """A Pyro model and guide over token lattices that can be trained and asked for forecasts.

    Subclasses register their networks, then call :meth:`_pair`.
    """

    name = "tokens"
    autoencoder: TokenAutoencoder
    trajectory_encoder: TrajectoryEncoder
    smoother: BackwardMessages
    dynamics: nn.Module

    def __init__(self, tokens: TokenConfig, normalizer: Normalizer, grid: Grid) -> None:
        super().__init__()
        self.tokens = tokens
        self.normalizer = normalizer
        self.fields: tuple[FieldSpec, ...] = normalizer.fields
        self.grid = grid
        self.scales = Scales(pixels=tokens.effective_pixels / tokens.patch**2)

    @property
    def context_dim(self) -> int:
        """Length of the context vector: the known scalars and the relative frame step."""
        return len(self.normalizer.context_names) + 1

    def context_vector(self, standardised: Tensor) -> Tensor:
        """Context (simulation, feature) of standardised scalars: appends log(dt·c0 / (p·dx)).

        The last entry tells a network how far a sound wave travels, in tokens, between two frames.
        """
        relative = self.grid.time_step * self.tokens.reference_speed / (self.tokens.patch * self.grid.spacing)
        return torch.cat([standardised, standardised.new_full((len(standardised), 1), math.log(relative))], dim=1)

    @property
    def effect_shape(self) -> Callable[[int, int], tuple[int, int, int]]:
        """Shape (D, y, x) of the trajectory effects of a lattice of so many tokens along y and x."""
        return self.transition.effect_shape

    @property
    def transition(self) -> TokenTransition:
        """The transition network."""
        found = self.dynamics.get_submodule("transition")
        assert isinstance(found, TokenTransition)
        return found

    def begin_stage(self, stage: StageConfig) -> None:
        """Choose what takes gradients: what may learn at all, or of that the parts that a noiseless rollout never meets.

        Reconstruction, an ELBO of single frames, attends to all pixels evenly. Latent stages leave the autoencoder as it is, and errors
        without noise what tells spread: the encoder's would do nothing but vanish.
        """
        self.scales = replace(self.scales, evenly=stage.horizon == 0)
        noiseless = stage.objective in ("mse", "latent")
        for name, parameter in self.named_parameters():
            uncertain = not UNCERTAINTY.isdisjoint(name.split("."))
            encoded = stage.objective == "latent" and name.startswith("autoencoder.")
            of_means = "everything" if name.startswith("autoencoder.") else "dynamics"
            wanted = not noiseless if uncertain else stage.learn in ("everything", of_means)
            parameter.requires_grad_(self.may_learn(name) and not encoded and wanted)

    def may_learn(self, name: str) -> bool:
        """Whether the parameter called ``name`` takes gradients in any stage."""
        return True

    def loss(self, batch: Batch, stage: StageConfig) -> Mapping[str, Tensor]:
        """Named parts of the stage's objective; ``"loss"`` is what training minimises.

        Likelihoods are in nats per token and frame; errors and scores are in units of the normalised fields. For ``latent`` the
        batch's frames are tokens.
        """
        context = self.context_vector(batch.context)
        if stage.objective == "latent":
            return self._latent_error(batch.frames, context)
        if stage.objective == "noise":
            return self._noise_likelihood(batch.frames, context)
        if stage.objective == "score":
            return self._score(batch.frames, context, stage.members)
        if stage.objective == "mse":
            return self._squared_error(batch.frames, context)
        loss = negative_elbo(self.model, self.guide, batch.frames, context, self.scales)
        n_tokens = math.prod(batch.frames.shape[-2:]) / self.tokens.patch**2
        return {"loss": loss / (self._frames_per_batch(batch) * n_tokens)}

    @torch.no_grad()
    def token_means(self, frames: Tensor) -> Tensor:
        """Encoder means (..., channel, token_y, token_x) of normalised frames (..., field, y, x)."""
        return self.autoencoder.encode(frames).mean

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Normal:
        """Posterior of the tokens of single frames.

        Parameters
        ----------
        frames
            Physical units, shape (..., field, y, x), fields in the order of ``self.fields``.

        Returns
        -------
        Normal
            Shape (..., channel, token_y, token_x); the channels of ``self.tokens.groups`` one after the other.

        Raises
        ------
        ValueError
            If the fields or extents do not fit the model.
        """
        return initial_posterior(self.autoencoder, self.normalizer.normalize(frames))

    @torch.no_grad()
    def decode(self, tokens: Tensor) -> Normal:
        """Frames that tokens (..., channel, token_y, token_x) stand for: Gaussian of physical units, shape (..., field, y, x)."""
        pixels = self.autoencoder.decode(tokens)
        scale = self.normalizer.field_scale[:, None, None]
        return Normal(self.normalizer.denormalize(pixels.mean), pixels.stddev * scale, validate_args=False)

    @torch.no_grad()
    def rollout(
        self,
        x0: Tensor,
        context: Tensor,
        n_steps: int,
        n_draws: int,
        seed: int = 0,
        *,
        effects: Tensor | None = None,
        sources: Sources = ALL_SOURCES,
    ) -> Tensor:
        """Draws of the tokens that follow first frames; what :meth:`forecast` decodes.

        Parameters
        ----------
        x0
            First frames, physical units, shape (simulation, field, y, x).
        context
            Known scalars such as shock pressure [GPa], shape (simulation, context).
        n_steps, n_draws
            Numbers of frames and of draws.
        seed
            Of all draws.
        effects
            Trajectory effects in place of those that draws have of their own, shape (draw, simulation, D, effect_y, effect_x)
            with :attr:`effect_shape`, or one that broadcasts to it; their prior is standard normal.
        sources
            What is drawn; the rest is at its mean, and effects that are not given are zero.

        Returns
        -------
        Tensor
            Shape (draw, simulation, lead, channel, token_y, token_x), leads 1 … ``n_steps``.

        Raises
        ------
        ValueError
            If shapes do not fit the model.
        """
        grid = replace(self.grid, ny=x0.shape[-2], nx=x0.shape[-1])
        self._check(x0, context, grid, n_steps, n_draws)
        if effects is not None:
            lattice = (size // self.tokens.patch for size in grid.shape)
            check_effects(effects, (n_draws, len(x0), *self.effect_shape(*lattice)))
        generator = torch.Generator(device=x0.device).manual_seed(seed)
        drawn = self._drawn(x0, context, n_draws, seed, generator, sources, effects)
        return torch.stack([z for _, z in zip(range(n_steps), drawn, strict=False)], dim=2)

    def sample_weights(self, n_draws: int) -> Weights:
        """Weight draws with leading dimensions (draw, 1); none at the micro scale."""
        return {}

    def central_weights(self) -> Weights:
        """Weights at the centre of their posterior, leading dimensions (1, 1); none at the micro scale."""
        return {}

    def forecast(
        self,
        initial: Tensor,
        context: Tensor,
        *,
        grid: Grid,
        n_steps: int,
        n_draws: int,
        seed: int,
        sources: Sources = ALL_SOURCES,
        leads: Collection[int] | None = None,
    ) -> Iterator[Tensor]:
        """Posterior predictive frames lead by lead; see :class:`probtokens.models.base.Forecaster`.

        Every draw keeps its trajectory effect and its weights over the whole trajectory. Frames depend on the seed and on
        ``sources``, not on ``leads``; two forecasts with other sources share the noise of those that both draw from.

        Parameters
        ----------
        sources
            What the draws differ by; means of everything else.
        leads
            Those of 1 … ``n_steps`` to decode, which costs most, and to yield; all by default.

        Raises
        ------
        ValueError
            Also if a lead is not in 1 … ``n_steps`` or a source is unknown.
        """
        self._check(initial, context, grid, n_steps, n_draws)
        wanted = frozenset(range(1, n_steps + 1) if leads is None else leads)
        if not wanted <= set(range(1, n_steps + 1)):
            raise ValueError(f"leads: expected some of 1..{n_steps}, got {sorted(wanted)}")
        if not sources <= ALL_SOURCES:
            raise ValueError(f"sources: expected some of {[str(source) for source in Source]}, got {sorted(sources)}")
        return self._stream(initial, context, wanted, n_draws, seed, sources)

    def _check(self, initial: Tensor, context: Tensor, grid: Grid, n_steps: int, n_draws: int) -> None:
        check_request(
            initial,
            context,
            fields=self.fields,
            n_context=len(self.normalizer.context_names),
            trained_on=self.grid,
            grid=grid,
            n_steps=n_steps,
            n_draws=n_draws,
        )

    @torch.inference_mode()
    def _stream(
        self, initial: Tensor, context: Tensor, leads: frozenset[int], n_draws: int, seed: int, sources: Sources
    ) -> Iterator[Tensor]:
        generator = torch.Generator(device=initial.device).manual_seed(seed)
        drawn = self._drawn(initial, context, n_draws, seed, generator, sources)
        for lead, z in zip(range(1, max(leads, default=0) + 1), drawn, strict=False):
            noise = torch.randn((n_draws, *initial.shape), generator=generator, device=z.device, dtype=z.dtype)
            if lead in leads:
                with self._forecast_precision():
                    pixels = self.autoencoder.decode(z)
                frames = pixels.mean + pixels.stddev * noise if Source.DECODER in sources else pixels.mean
                yield to_physical(frames, self.normalizer, self.fields)

    def _drawn(
        self,
        initial: Tensor,
        context: Tensor,
        n_draws: int,
        seed: int,
        generator: torch.Generator,
        sources: Sources = ALL_SOURCES,
        effects: Tensor | None = None,
    ) -> Iterator[Tensor]:
        """Tokens at lead 1, 2, … of draws that each keep their weights and effects; physical units in."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            weights = self.sample_weights(n_draws) if Source.WEIGHTS in sources else self.central_weights()
        vector = self.context_vector(self.normalizer.normalize_context(context))
        first = self.normalizer.normalize(initial)
        return self._rollout(first, vector, weights, n_draws, generator, sources, effects, self._forecast_precision)

    def _forecast_precision(self) -> AbstractContextManager[None]:
        return torch.autocast(self.normalizer.field_mean.device.type, torch.bfloat16, enabled=self.tokens.precision == "bfloat16")

    def _rollout(
        self,
        first: Tensor,
        context: Tensor,
        weights: Weights,
        n_draws: int,
        generator: torch.Generator | None = None,
        sources: Sources = ALL_SOURCES,
        effects: Tensor | None = None,
        precision: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> Iterator[Tensor]:
        return free_running(
            self.autoencoder,
            self.dynamics,
            first,
            context,
            weights,
            n_draws=n_draws,
            effect_shape=self.effect_shape,
            generator=generator,
            sources=sources,
            effects=effects,
            precision=precision,
        )

    def _score(self, frames: Tensor, context: Tensor, members: int) -> dict[str, Tensor]:
        """Score of decoded members. Decoder noise stays as the ELBO left it, which sees what tokens cannot hold: a
        score of pixels would sooner widen that white noise than the spread of the tokens, and no forecast drifts like that.
        """
        leads = self._leads(frames, context, members)
        fixed = ((Normal(pixels.mean, pixels.stddev.detach()), x) for pixels, x in leads)
        return _mean_over_leads([rollout_score(draw(pixels, None), x) for pixels, x in fixed])

    def _squared_error(self, frames: Tensor, context: Tensor) -> dict[str, Tensor]:
        """Squared error of the rollout without noise plus that of the first frame's reconstruction, which it starts from.

        Without a horizon it is that of tokens drawn from the posterior, so that what is near them decodes alike.
        """
        if frames.shape[1] == 1:
            drawn = draw(initial_posterior(self.autoencoder, frames[:, 0]), None)
            error = (self.autoencoder.decode(drawn).mean - frames[:, 0]).square().mean()
            return {"loss": error, "reconstruction": error}
        leads = self._leads(frames, context, 1, NO_SOURCES)
        rollout = _mean_over_leads([{"mse": (pixels.mean[0] - x).square().mean()} for pixels, x in leads])["mse"]
        start = initial_posterior(self.autoencoder, frames[:, 0]).mean
        reconstruction = (self.autoencoder.decode(start).mean - frames[:, 0]).square().mean()
        return {"loss": rollout + reconstruction, "rollout": rollout, "reconstruction": reconstruction}

    def _latent_error(self, tokens: Tensor, context: Tensor) -> dict[str, Tensor]:
        """Squared error of a rollout without noise, in fields as the linear part of the decoder sees them."""
        weights = self.central_weights()
        belief = Belief(tokens[None, :, 0], tokens[None, :, 0], torch.full_like(tokens[None, :, 0], _CERTAIN))
        u = tokens.new_zeros(1, len(tokens), *self.effect_shape(*tokens.shape[-2:]))
        errors = []
        for lead in range(1, tokens.shape[1]):
            transition = self.dynamics(belief, u, context, weights)
            belief = Belief.of(transition.mean, transition)
            with torch.autocast(tokens.device.type, enabled=False):
                errors.append(self.autoencoder.linear_change(transition.mean[0] - tokens[:, lead]).square().mean())
        loss = torch.stack(errors).mean()
        return {"loss": loss, "last": errors[-1]}

    def _noise_likelihood(self, frames: Tensor, context: Tensor) -> dict[str, Tensor]:
        """Negative log-likelihood of every frame given the mean of its own tokens, and of that mean given the one before.

        Each noise learns from what its own mean misses. An ELBO of windows splits the errors of a rollout between them, and the decoder,
        which is asked at every pixel, takes almost all; a forecast of white noise is the result.
        """
        tokens = self.autoencoder.encode(frames).mean
        nats = -self.autoencoder.decode(tokens).log_prob(frames).mean((0, 1, 3, 4)).sum()
        parts = {"pixels": nats * self.scales.pixels * self.tokens.patch**2}
        if tokens.shape[1] > 1:
            before, after = tokens[None, :, :-1].flatten(1, 2), tokens[None, :, 1:].flatten(1, 2)
            u = tokens.new_zeros(1, before.shape[1], *self.effect_shape(*tokens.shape[-2:]))
            belief = Belief(before, before, torch.full_like(before, _CERTAIN))
            each = context.repeat_interleave(tokens.shape[1] - 1, dim=0)
            step = self.dynamics(belief, u, each, self.central_weights())
            parts["step"] = -step.log_prob(after).sum(-3).mean()
        return {"loss": torch.stack(list(parts.values())).sum(), **parts}

    def _leads(self, frames: Tensor, context: Tensor, members: int, sources: Sources = ALL_SOURCES) -> Iterator[tuple[Normal, Tensor]]:
        """Decoded rollout and truth at a random half of the leads: decoding is what a free-running step costs most."""
        horizon = frames.shape[1] - 1
        chosen = set((1 + torch.randperm(horizon)[: (horizon + 1) // 2]).tolist())
        weights = self.sample_weights(members) if Source.WEIGHTS in sources else self.central_weights()
        rollout = self._rollout(frames[:, 0], context, weights, members, sources=sources)
        for lead, z in zip(range(1, max(chosen) + 1), rollout, strict=False):
            if lead in chosen:
                yield self.autoencoder.decode(z), frames[:, lead]

    def _frames_per_batch(self, batch: Batch) -> float:
        return len(batch) * batch.frames.shape[1] * self.scales.simulations * self.scales.frames

    def _pair(self, prior: Callable[[], Weights] | None = None, posterior: Callable[[], Weights] | None = None) -> None:
        notes = GuideNotes()
        with local_parameters():
            model = TokenModel(self.autoencoder, self.dynamics, self.effect_shape, notes, prior)
            guide = TokenGuide(self.autoencoder, self.dynamics, self.trajectory_encoder, self.smoother, notes, posterior)
        # In a tuple, so that the networks they share with this module are not registered again.
        self._model_and_guide = (model, guide)

    @property
    def model(self) -> TokenModel:
        """The Pyro model; arguments (frames, context, n_steps, scales), all normalised."""
        return self._model_and_guide[0]

    @property
    def guide(self) -> TokenGuide:
        """The Pyro guide; same arguments as the model."""
        return self._model_and_guide[1]


def _mean_over_leads(leads: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {key: torch.stack([lead[key] for lead in leads]).mean() for key in leads[0]}
