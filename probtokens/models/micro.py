"""Micro tokens: a reusable probabilistic building block learned from many cheap simulations."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import torch
from torch import Tensor, nn

from probtokens.config import TokenConfig
from probtokens.data.dataset import TrajectorySet
from probtokens.data.normalize import Normalizer
from probtokens.fields import VELOCITY, Grid, field_index
from probtokens.models.checkpoint import load_checkpoint, restore_data_description, save_checkpoint
from probtokens.models.state_space import Belief, Weights
from probtokens.models.tokens import TokenForecaster
from probtokens.nn.autoencoder import TokenAutoencoder
from probtokens.nn.process import Transition
from probtokens.nn.smoothing import BackwardMessages
from probtokens.nn.transition import TokenTransition, TrajectoryEncoder
from probtokens.nn.transport import TokenTransport

P = ParamSpec("P")
T = TypeVar("T")


def _frozen(function: Callable[P, T]) -> Callable[P, T]:
    """Compiled function in which weights are constants; the setting counts while a function is traced, which is at its first call.

    Nobody asks at every call whether a network has changed, which would take a fiftieth of a frame's time.
    """
    compiled = torch.compile(function, options={"guard_filter_fn": torch.compiler.skip_guard_on_all_nn_modules_unsafe})

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        with torch._inductor.config.patch(freezing=True):
            return compiled(*args, **kwargs)

    return call


class MicroDynamics(nn.Module):
    """The micro transition as a step of the chain: neither beliefs nor weights matter."""

    transition: TokenTransition

    def __init__(self, transition: TokenTransition) -> None:
        super().__init__()
        self.transition = transition

    def forward(self, belief: Belief, u: Tensor, context: Tensor, weights: Weights) -> Transition:
        """Distribution of the next tokens (..., channel, y, x)."""
        return self.transition(belief.z, u, context)


class MicroTokens(TokenForecaster):
    """Token lattice with an amortized posterior and a local stochastic transition.

    Parameters
    ----------
    config
        Token lattice and network sizes.
    normalizer
        Fitted on the training trajectories; kept with the model.
    grid
        Grid of the training trajectories; forecasts need the same spacing and step, any extent.

    Raises
    ------
    ValueError
        If the field groups are not exactly the normaliser's fields.
    """

    dynamics: MicroDynamics

    def __init__(self, config: TokenConfig, normalizer: Normalizer, grid: Grid) -> None:
        super().__init__(config, normalizer, grid)
        groups = [[field_index(self.fields, name) for name in group.fields] for group in config.groups]
        if sorted(index for group in groups for index in group) != list(range(len(self.fields))):
            raise ValueError(f"groups: expected every field of {[f.name for f in self.fields]} once, got {config.groups}")
        channels = [group.channels for group in config.groups]
        widths = [group.width or config.group_width for group in config.groups]
        depths = (config.encoder_blocks, config.decoder_blocks)
        self.autoencoder = TokenAutoencoder(groups, channels, config.patch, widths, *depths, config.activation)
        transition = TokenTransition(
            channels,
            self.context_dim,
            config.trajectory_dim,
            config.trajectory_patch,
            config.width,
            config.transition_blocks,
            config.transition_levels,
            config.backbone,
            config.coupled,
            self._transport(),
            config.noise_rank,
            config.noise_patch,
            config.activation,
            config.trajectory_effect,
            bool(config.rest),
        )
        self.dynamics = MicroDynamics(transition)
        self.trajectory_encoder = TrajectoryEncoder(
            sum(channels), self.context_dim, config.width, config.trajectory_dim, config.trajectory_patch
        )
        self.smoother = BackwardMessages(transition.channels)
        # Convolutions take a third less time on a CPU; torch declares no overload with the format alone.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._pair()

    def initialise(self, trajectories: TrajectorySet) -> None:
        """Start the tokens at the principal components of the training patches, before any training."""
        frames = (torch.tensor(trajectories.frames(i)) for i in range(len(trajectories)))
        self.autoencoder.initialise(map(self.normalizer.normalize, frames))

    def compile_networks(self) -> None:
        """Compile the networks in place, for many forecasts of one shape.

        The first forecast of each number of draws, simulations and cells takes some seconds longer; weights are frozen
        into it and should not be trained afterwards. Draws differ by rounding.
        """
        for owner, name in ((self.autoencoder, "encode"), (self.transition, "parts"), (self, "_observed")):
            setattr(owner, name, _frozen(getattr(owner, name)))

    def _transport(self) -> TokenTransport | None:
        """Transport with the material, where tokens may see each other's fields and the data have its velocity."""
        names = [spec.name for spec in self.fields]
        if not (self.tokens.transport and self.tokens.coupled and set(VELOCITY) <= set(names)):
            return None
        positions = [names.index(name) for name in VELOCITY]
        cells = self.grid.time_step / self.grid.spacing
        mean, scale = ((part[positions] * cells).tolist() for part in (self.normalizer.field_mean, self.normalizer.field_scale))
        return TokenTransport(self.autoencoder, positions, mean, scale)

    def save(self, path: str | Path) -> None:
        """Write weights, configuration, normalisation and grid to one file, whole or not at all."""
        save_checkpoint(path, "micro", self)

    @classmethod
    def load(cls, path: str | Path) -> MicroTokens:
        """Read a model written by :meth:`save`.

        Raises
        ------
        ValueError
            If the file is missing, damaged or holds another kind of model.
        """
        content = load_checkpoint(path, "micro")
        normalizer, grid = restore_data_description(content)
        model = cls(TokenConfig.model_validate(content["tokens"]), normalizer, grid)
        model.load_state_dict(content["state"])
        return model.eval()
