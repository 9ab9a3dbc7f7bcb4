"""Micro tokens: a reusable probabilistic building block learned from many cheap simulations."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.distributions import Normal

from probtokens.config import TokenConfig
from probtokens.data.normalize import Normalizer
from probtokens.data.trajectories import TrajectorySet, require_trajectories
from probtokens.fields import Grid, field_index
from probtokens.models.files import load_model, save_model
from probtokens.models.state_space import Weights
from probtokens.models.tokens import TokenForecaster
from probtokens.nn.autoencoder import TokenAutoencoder
from probtokens.nn.edges import wrap
from probtokens.nn.lattice import merge_leading
from probtokens.nn.smoothing import BackwardMessages, TokenEvidence, TrajectoryEncoder
from probtokens.nn.transition import TokenTransition


class MicroTokens(TokenForecaster):
    """Token lattice with an amortized posterior and a local stochastic transition.

    Parameters
    ----------
    config
        Token lattice and network sizes; without groups every field has one of its own, and the components of a vector one together.
    normalizer
        Fitted on the training trajectories; kept with the model.
    grid
        Grid of the training trajectories; forecasts need the same spacing and step, any extent.

    Raises
    ------
    ValueError
        If the field groups are not exactly the normaliser's fields, or one has constant fields and others.

    Examples
    --------
    >>> from probtokens.verify.token_pairs import GRID, TOKENS, normalizer
    >>> sorted(MicroTokens(TOKENS, normalizer(), GRID).parameter_groups())
    ['codec', 'dynamics', 'guide', 'noise']
    """

    def __init__(self, config: TokenConfig, normalizer: Normalizer, grid: Grid) -> None:
        config = config.of(normalizer.fields)
        super().__init__(config, normalizer, grid)
        groups = [[field_index(self.fields, name) for name in group.fields] for group in config.groups]
        for group in groups:
            together = {self.fields[index].name: self.fields[index].constant for index in group}
            if len(set(together.values())) > 1:
                raise ValueError(f"groups: expected constant fields in groups of their own, got {list(together)} in one")
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
        wrap(self, grid.periodic)
        # Convolutions take a third less time on a CPU; torch declares no overload with the format alone.
        self.float().to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @classmethod
    def untrained(cls, trajectories: TrajectorySet, config: TokenConfig | None = None) -> MicroTokens:
        """Tokens that know nothing yet but the training data's normalisation and the principal components of its patches.

        Parameters
        ----------
        trajectories
            Training simulations.
        config
            Token lattice and network sizes. Networks draw their weights from torch's global generator.

        Raises
        ------
        ValueError
            If the field groups are not exactly the fields of the trajectories, or extents are no multiples of the patch.
        """
        require_trajectories(trajectories, "trajectories")
        config = config or TokenConfig()
        if any(cells % config.patch for cells in trajectories.grid.shape):
            raise ValueError(
                f"trajectories: expected y and x as multiples of the patch of {config.patch} cells, got {trajectories.grid.shape}"
            )
        model = cls(config, Normalizer.fit(trajectories), trajectories.grid)
        model.initialise(torch.tensor(trajectories.whole(number)) for number in range(len(trajectories)))
        return model

    def step(self, z: Tensor, u: Tensor, context: Tensor, weights: Weights) -> Normal:
        """Distribution of the next tokens: of the micro transition."""
        leading, flat, (u_flat, c_flat) = merge_leading(z, u.flatten(-3), context)
        drift, scale = self.transition(flat, u_flat.unflatten(1, u.shape[-3:]), c_flat)
        return self.moved(flat, drift, scale, leading, weights)

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
