"""What token models of both scales can be asked for: training stages, tokens and frames, rollouts, forecasts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor
from torch.distributions import Normal

from probtokens.config import StageConfig
from probtokens.data.dataset import Batch
from probtokens.data.normalize import mirror_image
from probtokens.fields import Grid, field_index
from probtokens.models.forecast import ALL_SOURCES, Source, Sources, free_running, within_bounds
from probtokens.models.pair import TokenPair
from probtokens.models.requests import check_effects, check_request
from probtokens.models.state_space import initial_posterior
from probtokens.models.training import learns, stage_loss


class TokenForecaster(TokenPair):
    """A Pyro model and guide over token lattices that can be trained and asked for forecasts."""

    name = "tokens"

    def begin_stage(self, stage: StageConfig) -> None:
        """Choose what takes gradients: what may learn at all, or of that the parts that a noiseless rollout never meets.

        Reconstruction, an ELBO of single frames, attends to all pixels evenly.

        Raises
        ------
        ValueError
            If the stage names a field that the model does not have, or is to learn a shrinkage or a rest that it has not.
        """
        names = [field.name for field in self.fields]
        stage.check_fields(names)
        if stage.learn == "shrinkage" and self.shrinkage is None:
            raise ValueError(f"{stage.name}: expected learn shrinkage with tokens that have it only, got tokens that have none")
        if stage.learn == "rest":
            self._find_rest(stage)
        self.scales = replace(self.scales, evenly=stage.horizon == 0)
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(self.may_learn(name) and learns(name, stage))

    @torch.no_grad()
    def _find_rest(self, stage: StageConfig) -> None:
        """Tell the transition which tokens are those of rest: what the encoder makes of fields that are at rest everywhere."""
        rest = self.transition.rest
        if rest is None:
            raise ValueError(f"{stage.name}: expected learn rest with tokens that have rest only, got tokens that have none")
        frames = self.normalizer.denormalize(torch.zeros(len(self.fields), *self.grid.shape, device=rest.tokens.device))
        for name, value in self.tokens.rest.items():
            frames[field_index(self.fields, name)] = value
        z = self.token_means(self.normalizer.normalize(frames))
        rest.tokens.copy_(z[:, z.shape[-2] // 2, z.shape[-1] // 2])
        tells = [set(group.fields) <= set(self.tokens.rest) for group in self.tokens.groups for _ in range(group.channels)]
        rest.tells.copy_(torch.tensor(tells))

    def may_learn(self, name: str) -> bool:
        """Whether the parameter called ``name`` takes gradients in any stage."""
        return True

    def loss(self, batch: Batch, stage: StageConfig) -> Mapping[str, Tensor]:
        """Named parts of the stage's objective; ``"loss"`` is what training minimises.

        Likelihoods are in nats per token and frame; errors and scores are in units of the normalised fields. For ``latent`` the
        batch's frames are tokens.
        """
        return stage_loss(self, batch, stage)

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
        """Draws of the tokens that follow first frames; what :meth:`forecast` decodes, but all in the view that the frames are in.

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
        drawn = self._drawn(self.normalizer.normalize(x0), context, n_draws, seed, generator, sources, effects)
        return torch.stack([z for _, z in zip(range(n_steps), drawn, strict=False)], dim=2)

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

        Every draw keeps its view, its trajectory effect and its weights over the whole trajectory. With shrinkage draws are moved
        towards each other, every one towards the next and the last towards the first: one alone stays as it is, and where they
        nearly agree two differ by two fifths of what many do, three by three quarters, ten by 0.95. Frames depend on the seed and
        on ``sources``, not on ``leads``; two forecasts with other sources share the noise of those that both draw from, if shifted
        views are drawn in both or in neither.

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
        views = self.drawn_views(n_draws, len(initial), sources, generator)
        mirror = partial(mirror_image, fields=self.fields)
        first = self.normalizer.normalize(initial if views is None else views.seen(initial, mirror))
        drawn = self._drawn(first, context, n_draws, seed, generator, sources)
        n_cells = len(self.fields) * self.tokens.patch**2
        for lead, z in zip(range(1, max(leads, default=0) + 1), drawn, strict=False):
            # Channels last, as the decoder's convolutions leave what is multiplied with it.
            shape = (*z.shape[:-3], *z.shape[-2:], n_cells)
            noise = torch.randn(shape, generator=generator, device=z.device, dtype=z.dtype).movedim(-1, -3)
            if lead in leads:
                with self._forecast_precision():
                    frames = self._observed(z, noise if Source.DECODER in sources else None)
                # Within bounds last: what many draws have at a bound shall stay there.
                yield within_bounds(self._shrunk(frames if views is None else views.back(frames, mirror)), self.fields)

    def _shrunk(self, frames: Tensor) -> Tensor:
        """Draws (draw, ...) of frames in physical units, each moved towards the next where the two nearly agree; one alone stays."""
        return frames if self.shrinkage is None else self.shrinkage(frames, frames.roll(-1, 0), self.normalizer.field_scale)

    def _observed(self, z: Tensor, noise: Tensor | None) -> Tensor:
        """Frames of tokens in physical units, bounds aside: the decoder's mean plus so many of its standard deviations, patch by patch."""
        patches = self.autoencoder.decode_patches(z)
        drawn = patches.mean if noise is None else patches.mean + patches.stddev * noise
        return self.normalizer.denormalize(self.autoencoder.joined(drawn))

    def _drawn(
        self,
        first: Tensor,
        context: Tensor,
        n_draws: int,
        seed: int,
        generator: torch.Generator,
        sources: Sources = ALL_SOURCES,
        effects: Tensor | None = None,
    ) -> Iterator[Tensor]:
        """Tokens at lead 1, 2, … of draws that each keep their weights and effects, from normalised first frames."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            weights = self.sample_weights(n_draws) if Source.WEIGHTS in sources else self.central_weights()
        vector = self.context_vector(self.normalizer.normalize_context(context))
        return free_running(
            self.autoencoder,
            self.dynamics,
            first,
            vector,
            weights,
            n_draws=n_draws,
            effect_shape=self.effect_shape,
            generator=generator,
            sources=sources,
            effects=effects,
            precision=self._forecast_precision,
        )

    def _forecast_precision(self) -> AbstractContextManager[None]:
        return torch.autocast(self.normalizer.field_mean.device.type, torch.bfloat16, enabled=self.tokens.precision == "bfloat16")
