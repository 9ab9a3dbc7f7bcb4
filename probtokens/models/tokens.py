"""Token models of both scales: the program's distributions as networks, and what users ask of them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager
from itertools import islice
from typing import Self

import numpy as np
import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.distributions import Normal

from probtokens.config import TokenConfig
from probtokens.data.normalize import Normalizer
from probtokens.data.support import Support
from probtokens.fields import FieldSpec, Grid, field_index
from probtokens.models.base import as_single, check_context, check_frames, check_request, require_single
from probtokens.models.censored import CensoredNormal
from probtokens.models.compiled import CompiledNetworks
from probtokens.models.state_space import (
    ALL_SOURCES,
    NO_SOURCES,
    Draws,
    Guide,
    Model,
    Sample,
    Source,
    Sources,
    StateSpace,
    Weights,
    posterior_draws,
)
from probtokens.models.views import View
from probtokens.nn.autoencoder import TokenAutoencoder
from probtokens.nn.blocks import hidden_kernels
from probtokens.nn.lattice import resampled
from probtokens.nn.rest import RestGate
from probtokens.nn.smoothing import BackwardMessages, Factor, TokenEvidence, TrajectoryEncoder
from probtokens.nn.transition import PROCESS_SCALE, TokenTransition
from probtokens.precision import resolve


class TokenForecaster(CompiledNetworks, StateSpace):
    """A token lattice that can be trained, conditioned and asked for forecasts.

    Frames and context go in and come out in physical units. Subclasses make the networks.

    Attributes
    ----------
    tokens
        Lattice and networks, as the recipe gives them.
    normalizer
        Fields and context of the training data.
    grid
        Grid of the data that it continues, that of the training data unless it was put :meth:`on` another.
    learned_on
        Grid of the training data, which gives tokens their size [µm] and steps their time [ns].
    patch
        Cells of the data along each edge of a token.
    """

    name = "tokens"
    autoencoder: TokenAutoencoder
    transition: TokenTransition
    trajectory_encoder: TrajectoryEncoder
    token_evidence: TokenEvidence
    smoother: BackwardMessages
    lower: Tensor
    upper: Tensor
    constant: Tensor
    moving: Tensor

    def __init__(self, tokens: TokenConfig, normalizer: Normalizer, grid: Grid) -> None:
        super().__init__()
        self.tokens = tokens
        self.normalizer = normalizer
        self.fields: tuple[FieldSpec, ...] = normalizer.fields
        self.learned_on = self.grid = grid
        self.patch = tokens.patch
        for name, absent in (("lower", -math.inf), ("upper", math.inf)):
            bounds = [absent if (bound := getattr(spec, name)) is None else bound for spec in self.fields]
            self.register_buffer(name, torch.tensor(bounds, dtype=torch.float32)[:, None, None], persistent=False)
        constant = {spec.name for spec in self.fields if spec.constant}
        moving = [not set(group.fields) <= constant for group in tokens.groups for _ in range(group.channels)]
        self.register_buffer("constant", torch.tensor([spec.constant for spec in self.fields])[:, None, None], persistent=False)
        self.register_buffer("moving", torch.tensor(moving, dtype=torch.float32)[:, None, None], persistent=False)
        tells = [set(group.fields) <= set(tokens.rest) for group in tokens.groups for _ in range(group.channels)]
        reach = math.ceil(grid.speed(tokens.wave_speed, "km/s") * grid.time_step / (tokens.patch * grid.spacing))
        self.rest = RestGate(tells, reach) if tokens.rest else None

    def on(self, grid: Grid) -> Self:
        """The same tokens, sharing all weights, for data of other cells or frame steps.

        A token keeps its size and a step its time. Data whose cells are wider are repeated for the encoder, and decoded fields are averaged
        to their cells; of finer ones the encoder sees averages. A frame of the data is one or several steps.

        Parameters
        ----------
        grid
            Grid of the data. Cells are a whole number of times as wide as those learned from, at most a token, or as fine. The frame step
            is a multiple of that learned from.

        Raises
        ------
        ValueError
            If it is another one, or its periodic axes are others.

        Examples
        --------
        >>> from probtokens.verify.token_pairs import GRID, micro_tokens
        >>> tokens = micro_tokens().on(GRID.scaled(cell_width=2, steps_per_frame=3))
        >>> tokens.patch, tokens.steps_per_frame
        (4, 3)
        """
        learned, cells = self.learned_on, self.tokens.patch
        steps = max(1, round(grid.time_step / learned.time_step))
        patch = max(1, round(cells * learned.spacing / grid.spacing))
        if (cells % patch and patch % cells) or not learned.scaled(cells / patch, steps).compatible_with(grid):
            raise ValueError(
                f"grid: expected {learned.steps}, cells times a divisor of {cells} or over a whole number, steps times a whole number, and "
                f"{learned.edges}; got {grid.steps} and {grid.edges}"
            )
        found = object.__new__(type(self))
        found.__dict__.update(self.__dict__)
        found.grid, found.patch, found.steps_per_frame = grid, patch, steps
        return found

    def require_grid(self, grid: Grid, name: str) -> None:
        """Refuse training data of other cells or frame steps than the model continues.

        Raises
        ------
        ValueError
            Naming the data, and how to declare other ones.
        """
        if not self.grid.compatible_with(grid):
            raise ValueError(
                f"{name}: expected {self.grid.steps} and {self.grid.edges}, got {grid.steps} and {grid.edges}; tokens.on(grid) declares "
                "cells and steps of whole ratios"
            )

    @property
    def model(self) -> Model:
        """The Pyro model; a thin module that shares all parameters with this one."""
        return Model(self)

    @property
    def guide(self) -> Guide:
        """The Pyro guide; arguments and parameters as those of :attr:`model`."""
        return Guide(self)

    @property
    def holds(self) -> bool:
        """Whether some fields are constant."""
        return any(spec.constant for spec in self.fields)

    @property
    def context_dim(self) -> int:
        """Length of the context vector: the known scalars and the relative frame step."""
        return len(self.normalizer.context_names) + 1

    @property
    def precision(self) -> str:
        """Precision of convolutions in forecasts on this device, ``float32`` or ``bfloat16``."""
        return resolve(self.tokens.precision, self.lower.device.type)

    @property
    def support(self) -> Support:
        """What the tokens were trained on; meso tokens have what their micro tokens have."""
        return self.normalizer.support(mirrored=self.tokens.views != "one")

    def parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        """Parameters by what they tell.

        ``codec`` and ``dynamics`` tell means, ``noise`` how far draws are from them (the effect's influence too), and ``guide`` what only
        the posterior has.
        """
        codec = [self.autoencoder.encoders, self.autoencoder.decoders]
        spread = _parameters(*(part.get_submodule("spread") for group in codec for part in group))
        noise = [*spread, self.autoencoder.pixel_raw_scale]
        dynamics: list[nn.Parameter] = []
        for network in self.transition.networks:
            own = _parameters(network.get_submodule("spread"), network.get_submodule("effect"))
            noise += own
            dynamics += _without(_parameters(network), own)
        guide = _parameters(self.trajectory_encoder, self.token_evidence, self.smoother)
        groups = {"codec": _without(_parameters(*codec), spread), "dynamics": dynamics, "noise": noise, "guide": guide}
        return {name: parameters for name, parameters in groups.items() if parameters}

    def hidden_kernels(self) -> list[nn.Parameter]:
        """Kernels between the first and the last layers of all networks."""
        return hidden_kernels(self)

    # The program's distributions

    def request(self, frames: Tensor, context: Tensor, n_steps: int | None) -> int:
        """Check a window (simulation, time, field, y, x) and its context, physical units, and tell its horizon.

        Raises
        ------
        ValueError
            If shapes do not fit the model's fields, patches or context, or a value is not finite or not physical; the message names
            what was expected and what was found.
        """
        names, patch = [spec.name for spec in self.fields], self.patch
        fits = frames.ndim == 5 and frames.shape[2] == len(names) and not any(size % patch for size in frames.shape[-2:])
        if not fits:
            raise ValueError(
                f"frames: expected shape (simulation, time, field, y, x) with fields {names} and y and x multiples of the patch of {patch} "
                f"cells, got {tuple(frames.shape)}"
            )
        check_context(context, len(frames), len(self.normalizer.context_names))
        for name, values in (("frames", frames), ("context", context)):
            if values.dtype != self.lower.dtype:
                raise ValueError(f"{name}: expected {self.lower.dtype}, got {values.dtype}")
        check_frames(frames, self.fields, "frames")
        return super().request(frames, context, n_steps)

    def context_vector(self, context: Tensor) -> Tensor:
        """Standardised scalars (simulation, context) with log(dt·c0 / (p·dx)) behind.

        The last entry tells a network how far a sound wave travels, in tokens, in a step.
        """
        speed = self.learned_on.speed(self.tokens.reference_speed, "km/s")
        relative = self.learned_on.time_step * speed / (self.tokens.patch * self.learned_on.spacing)
        standard = self.normalizer.normalize_context(context)
        return torch.cat([standard, standard.new_full((len(standard), 1), math.log(relative))], dim=1)

    def view(self, n_simulations: int, sample: Sample) -> View | None:
        """Uniform over views, where tokens have any."""
        if self.tokens.views == "one":
            return None
        zeros = self.lower.new_zeros(n_simulations, 3)
        site = sample("view", dist.Uniform(zeros, torch.ones_like(zeros), validate_args=False).to_event(1))
        return View.of(site, self.patch if self.tokens.views == "shifted" else 0, self.fields, self.grid.periodic)

    def encoded(self, frames: Tensor) -> Normal:
        """What the encoder makes of frames, always in single precision."""
        with torch.autocast(frames.device.type, enabled=False):
            return self.autoencoder.encode(self.normalizer.normalize(resampled(frames, self.patch, self.tokens.patch)))

    def evidence(self, frames: Tensor) -> Normal:
        """What a guide trained for it makes of the encoder's means."""
        return self.token_evidence(self.encoded(frames).mean)

    def shared(self, ny: int, nx: int) -> Weights:
        """Tokens ``rest`` of fields at rest, (channel, y, x), where these make a difference."""
        return {} if self.rest is None else {"rest": self.at_rest(ny, nx)}

    def moved(self, z: Tensor, drift: Tensor, scale: Tensor, leading: torch.Size, weights: Weights) -> Normal:
        """Next tokens: ``z + drift`` with noise of ``scale``, but as they are of constant fields, and where nothing has come yet.

        The flat batch (batch, channel, y, x) is taken apart to ``leading``.
        """
        if self.rest is not None or self.holds:
            gate = self.moving
            if self.rest is not None:
                gate = gate * self.rest(z - (weights["rest"] if "rest" in weights else self.at_rest(*z.shape[-2:])))
            drift, scale = gate * drift, PROCESS_SCALE.low + gate * (scale - PROCESS_SCALE.low)
        shape = (*leading, *z.shape[1:])
        return Normal((z + drift).reshape(shape), scale.reshape(shape), validate_args=False)

    @torch.no_grad()
    def at_rest(self, ny: int, nx: int) -> Tensor:
        """What the encoder makes of fields at rest: tokens (channel, y, x); edges differ from the middle."""
        frame = self.normalizer.field_mean[:, None, None].repeat(1, ny * self.patch, nx * self.patch)
        for name, value in self.tokens.rest.items():
            frame[field_index(self.fields, name)] = value
        return self.encoded(frame).mean

    def effect_shape(self, ny: int, nx: int) -> tuple[int, int, int]:
        """Shape (D, y, x) of the trajectory effects of a lattice of ``ny`` × ``nx`` tokens."""
        return self.transition.effect_shape(ny, nx)

    def observation(self, z: Tensor, view: View | None, x0: Tensor | None = None) -> CensoredNormal:
        """What the decoder makes of tokens, turned back and within the fields' bounds; those of constant fields leave what was given."""
        pixels, scale = self.pixels(z), self.normalizer.field_scale[:, None, None]
        mean, spread = self.normalizer.denormalize(pixels.mean), pixels.stddev * scale
        if view is not None:
            mean, spread = view.back(mean), view.spread_back(spread)
        if x0 is None or not self.holds:
            return CensoredNormal(mean, spread, self.lower, self.upper)
        mean, lower, upper = (torch.where(self.constant, x0, values) for values in (mean, self.lower, self.upper))
        return CensoredNormal(mean, spread, lower, upper)

    def pixels(self, z: Tensor) -> Normal:
        """What the decoder makes of tokens, frames (..., field, y, x) in standard units and the data's cells.

        A wider cell is the mean of decoded ones, whose noise is independent; in finer ones a decoded value is repeated.
        """
        decoded = self.autoencoder.decode(z)
        if self.patch == self.tokens.patch:
            return decoded
        mean, variance = (resampled(part, self.tokens.patch, self.patch) for part in (decoded.mean, decoded.variance))
        averaged = max(1, self.tokens.patch // self.patch) ** 2
        return Normal(mean, (variance / averaged).sqrt(), validate_args=False)

    def effect_factor(self, tokens: Normal, predicted: Normal, context: Tensor) -> Factor:
        """What the trajectory encoder makes of several frames' tokens."""
        return self.trajectory_encoder(tokens, predicted, context)

    def messages(self, own: Normal, predicted: Normal) -> list[Factor]:
        """Backward messages of the smoother."""
        return self.smoother(own, predicted)

    # What users and objectives ask

    def mean_frames(self, x0: Tensor, context: Tensor, leads: Collection[int]) -> Iterator[Tensor]:
        """Decoded means of the rollout without noise, at lead 0 the reconstruction; see :class:`~probtokens.models.base.Trainable`."""
        view, tokens = self.forecast_tokens(x0, context, Draws(1, sources=NO_SOURCES))
        for lead, z in enumerate(islice(tokens, max(leads) + 1)):
            if lead in leads:
                mean = self.observation(z, view, x0).loc[0]
                yield self.normalizer.normalize(mean)

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Normal:
        """Distribution of the tokens of single frames.

        Parameters
        ----------
        frames
            Physical units, shape (..., field, y, x), fields in the order of ``self.fields``; real numbers of any type.

        Returns
        -------
        Normal
            Shape (..., channel, token_y, token_x); the channels of ``self.tokens.groups`` one after the other.

        Raises
        ------
        ValueError
            If the fields or extents do not fit the model, or a value is not finite or not physical.
        """
        require_single(self)
        single = as_single(frames, "frames")
        self.autoencoder.check_frames(single, self.patch)
        check_frames(single.flatten(0, -4)[:, None] if single.ndim > 3 else single[None, None], self.fields, "frames")
        return self.encoded(single)

    @torch.no_grad()
    def smooth(self, frames: Tensor, context: Tensor, *, n_draws: int, seed: int) -> dict[str, Tensor]:
        """Draws from the guide given whole trajectories: what all frames say of the trajectory effect and of every frame's tokens.

        The domain is seen as it is.

        Parameters
        ----------
        frames, context
            Observed frames (simulation, time, field, y, x) and known scalars (simulation, context), physical units.

        Returns
        -------
        dict
            ``u``, shape (draw, simulation, D, effect_y, effect_x), and ``z``, shape (draw, simulation, time, channel, token_y, token_x).

        Raises
        ------
        ValueError
            If shapes do not fit the model.
        """
        self.request(frames, context, None)
        draw = Draws(n_draws, torch.Generator(device=frames.device).manual_seed(seed), ALL_SOURCES - {Source.VIEW})
        sites = posterior_draws(self, frames, context, draw)
        ny, nx = (size // self.patch for size in frames.shape[-2:])  # a view may go on beyond the far edges
        z = torch.stack([sites[f"z_{time * self.steps_per_frame}"][..., :ny, :nx] for time in range(frames.shape[1])], dim=2)
        return {"u": sites["u"], "z": z}

    @torch.no_grad()
    def decode(self, tokens: Tensor) -> CensoredNormal:
        """Frames (..., field, y, x), physical units, that tokens (..., channel, token_y, token_x) of the domain as it is stand for."""
        return self.observation(as_single(tokens, "tokens"), None)

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
        effects: Tensor | None = None,
    ) -> Iterator[Tensor]:
        """Posterior predictive frames lead by lead; see :class:`probtokens.models.base.Forecaster`.

        Draws are independent. Every draw keeps its view, its trajectory effect and its weights over the whole trajectory. Frames depend
        on the seed and on ``sources``, not on ``leads``; two forecasts with other sources share the noise of those that both draw from.

        Parameters
        ----------
        sources
            What the draws differ by; means of everything else.
        leads
            Those of 1 … ``n_steps`` to decode, which costs most, and to yield; all by default.
        effects
            Trajectory effects u in place of drawn ones, one number for each direction everywhere: shape (draw, D).

        Raises
        ------
        ValueError
            Also if a lead is not in 1 … ``n_steps``, a source is unknown or effects have another shape.
        """
        require_single(self)
        request = check_request(
            initial,
            context,
            fields=self.fields,
            support=self.support,
            trained_on=self.grid,
            grid=grid,
            n_steps=n_steps,
            n_draws=n_draws,
            seed=seed,
            patch=self.patch,
        )
        wanted = frozenset(range(1, n_steps + 1) if leads is None else leads)
        if not wanted <= set(range(1, n_steps + 1)):
            raise ValueError(f"leads: expected some of 1..{n_steps}, got {sorted(wanted)}")
        if not sources <= ALL_SOURCES:
            raise ValueError(f"sources: expected some of {[str(source) for source in Source]}, got {sorted(sources)}")
        given = {}
        if effects is not None:
            effects = as_single(effects, "effects")
            if tuple(effects.shape) != (expected := (n_draws, self.transition.effect_dim)):
                raise ValueError(f"effects: expected shape (draw, D) = {expected}, got {tuple(effects.shape)}")
            given["u"] = effects[:, None, :, None, None]
        self.require_compiled_weights()
        draw = Draws(n_draws, torch.Generator(device=request.initial.device).manual_seed(seed), sources, given)
        return self._stream(request.initial, request.context, wanted, draw, seed)

    @torch.no_grad()
    def _stream(self, initial: Tensor, context: Tensor, leads: frozenset[int], draw: Draws, seed: int) -> Iterator[Tensor]:
        view, tokens = self.forecast_tokens(initial, context, draw)
        next(tokens)
        for lead in range(1, max(leads, default=0) + 1):
            with self._half_precision():
                z = next(tokens)
                frames = self.observation(z, view, initial) if lead in leads else None
            if frames is not None:
                # Noise of a step has a seed of its own, so that frames do not depend on which others are decoded.
                number = int(np.random.SeedSequence([seed, lead * self.steps_per_frame]).generate_state(1)[0])
                noise = torch.Generator(device=initial.device).manual_seed(number)
                yield Draws(draw.n_draws, noise, draw.sources)("x", frames.to_event(3))

    def _half_precision(self) -> AbstractContextManager[None]:
        return torch.autocast(self.lower.device.type, torch.bfloat16, enabled=self.precision == "bfloat16")

    def initialise(self, frames: Iterator[Tensor]) -> None:
        """Start the tokens at the principal components of training patches, before any training.

        Parameters
        ----------
        frames
            Trajectories (time, field, y, x), physical units; passed through once.
        """
        self.autoencoder.initialise(map(self.normalizer.normalize, frames))

    def compiled_parts(self) -> list[tuple[nn.Module, str]]:
        """Modules and their methods that forecasts spend their time in and whose weights do not change between draws."""
        return [(self.autoencoder, "encode"), (self.transition, "forward"), (self.autoencoder, "decode")]


def _parameters(*modules: nn.Module) -> list[nn.Parameter]:
    return [parameter for module in modules for parameter in module.parameters()]


def _without(parameters: list[nn.Parameter], others: list[nn.Parameter]) -> list[nn.Parameter]:
    left_out = {id(parameter) for parameter in others}
    return [parameter for parameter in parameters if id(parameter) not in left_out]
