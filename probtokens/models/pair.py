"""A Pyro model and guide on the same token networks, and what both are told beside the frames."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from probtokens.config import TokenConfig
from probtokens.data.normalize import Normalizer
from probtokens.fields import FieldSpec, Grid
from probtokens.models.forecast import Source, Sources
from probtokens.models.state_space import GuideNotes, Scales, TokenGuide, TokenModel, Weights, local_parameters
from probtokens.models.views import Views
from probtokens.nn.autoencoder import TokenAutoencoder
from probtokens.nn.shrinkage import PairShrinkage
from probtokens.nn.smoothing import BackwardMessages
from probtokens.nn.transition import TokenTransition, TrajectoryEncoder


class TokenPair(nn.Module):
    """Networks of a token lattice with the Pyro model and guide that share them.

    Subclasses register their networks, then call :meth:`_pair`.
    """

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
        self.shrinkage = PairShrinkage(len(self.fields)) if tokens.shrinkage else None
        self.scales = Scales(pixels=tokens.effective_pixels / tokens.patch**2)

    @property
    def model(self) -> TokenModel:
        """The Pyro model; arguments (frames, context, n_steps, scales), all normalised."""
        return self._model_and_guide[0]

    @property
    def guide(self) -> TokenGuide:
        """The Pyro guide; same arguments as the model."""
        return self._model_and_guide[1]

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

    def sample_weights(self, n_draws: int) -> Weights:
        """Weight draws with leading dimensions (draw, 1); none at the micro scale."""
        return {}

    def central_weights(self) -> Weights:
        """Weights at the centre of their posterior, leading dimensions (1, 1); none at the micro scale."""
        return {}

    def drawn_views(self, n_draws: int, n_simulations: int, sources: Sources, generator: torch.Generator | None = None) -> Views | None:
        """How draws see their domain; ``None`` where all see it as it is.

        As with :func:`~probtokens.models.forecast.draw_if` they are drawn whether or not they are among ``sources``.
        """
        if self.tokens.views == "one" or not sources:
            return None
        longer = self.tokens.patch if self.tokens.views == "shifted" else 0
        views = Views.drawn(n_draws, n_simulations, longer, generator, self.normalizer.field_mean.device)
        return views if Source.VIEW in sources else None

    def _pair(self, prior: Callable[[], Weights] | None = None, posterior: Callable[[], Weights] | None = None) -> None:
        notes = GuideNotes()
        with local_parameters():
            model = TokenModel(self.autoencoder, self.dynamics, self.effect_shape, notes, prior)
            guide = TokenGuide(self.autoencoder, self.dynamics, self.trajectory_encoder, self.smoother, notes, posterior)
        # In a tuple, so that the networks they share with this module are not registered again.
        self._model_and_guide = (model, guide)
