"""Micro tokens: a reusable probabilistic building block learned from many cheap simulations."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.distributions import Normal

from probtokens.config import TokenConfig
from probtokens.data.normalize import Normalizer
from probtokens.fields import Grid, field_index
from probtokens.models.files import load_model, save_model
from probtokens.models.state_space import State, Weights
from probtokens.models.tokens import TokenForecaster
from probtokens.nn.autoencoder import TokenAutoencoder
from probtokens.nn.lattice import merge_leading
from probtokens.nn.smoothing import BackwardMessages, TokenEvidence, TrajectoryEncoder
from probtokens.nn.transition import TokenTransition


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

    Examples
    --------
    >>> from probtokens.verify.token_pairs import GRID, TOKENS, normalizer
    >>> sorted(MicroTokens(TOKENS, normalizer(), GRID).parameter_groups())
    ['codec', 'dynamics', 'guide', 'noise']
    """

    def __init__(self, config: TokenConfig, normalizer: Normalizer, grid: Grid) -> None:
        super().__init__(config, normalizer, grid)
        groups = [[field_index(self.fields, name) for name in group.fields] for group in config.groups]
        if sorted(index for group in groups for index in group) != list(range(len(self.fields))):
            raise ValueError(f"groups: expected every field of {[f.name for f in self.fields]} once, got {config.groups}")
        channels = [group.channels for group in config.groups]
        widths = [group.width or config.group_width for group in config.groups]
        effect = (config.trajectory_dim, config.trajectory_patch)
        self.autoencoder = TokenAutoencoder(groups, channels, config.patch, widths, config.encoder_blocks, config.decoder_blocks)
        self.transition = TokenTransition(
            channels,
            self.context_dim,
            *effect,
            config.width,
            config.transition_blocks,
            coupled=config.coupled,
        )
        self.trajectory_encoder = TrajectoryEncoder(sum(channels), self.context_dim, config.width, *effect)
        self.token_evidence = TokenEvidence(sum(channels), config.width)
        self.smoother = BackwardMessages(self.transition.channels)
        # Convolutions take a third less time on a CPU; torch declares no overload with the format alone.
        self.float().to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def step(self, state: State, u: Tensor, context: Tensor, weights: Weights) -> Normal:
        """Distribution of the next tokens: of the micro transition, whatever neighbours know."""
        leading, z, (u_flat, c_flat) = merge_leading(state.z, u.flatten(-3), context)
        drift, scale = self.transition.parts(z, u_flat.unflatten(1, u.shape[-3:]), c_flat)
        return self.moved(z, drift, scale, leading)

    def save(self, path: str | Path) -> None:
        """Write weights, configuration, normalisation and grid to one file, whole or not at all."""
        save_model(path, self)

    @classmethod
    def load(cls, path: str | Path) -> MicroTokens:
        """Read a model written by :meth:`save`.

        Raises
        ------
        ValueError
            If the file is missing, damaged or holds another kind of model.
        """
        return load_model(path, cls, lambda file: cls(TokenConfig.model_validate(file.settings["tokens"]), file.normalizer, file.grid))
