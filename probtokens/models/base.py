"""The contracts that every model and baseline meets: one to be trained, one to forecast."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol, runtime_checkable

from torch import Tensor

from probtokens.config import StageConfig
from probtokens.data.dataset import Batch
from probtokens.fields import FieldSpec, Grid


@runtime_checkable
class Forecaster(Protocol):
    """Anything that continues a trajectory from its first frame."""

    name: str
    fields: tuple[FieldSpec, ...]

    def forecast(self, initial: Tensor, context: Tensor, *, grid: Grid, n_steps: int, n_draws: int, seed: int) -> Iterator[Tensor]:
        """Yield the frames at lead 1, 2, … ``n_steps`` one after the other.

        Parameters
        ----------
        initial
            First frames, shape (simulation, field, y, x), physical units, fields in the order of
            ``self.fields``.
        context
            Known scalars such as shock pressure [GPa], shape (simulation, context).
        grid
            Grid of the forecast; its cell size and frame step must be those of the training data.
        n_steps
            Number of frames after the first.
        n_draws
            Ensemble members. Deterministic models yield a single one whatever is asked.
        seed
            Seed of all random draws: same seed, same ensemble.

        Yields
        ------
        Tensor
            Shape (draw, simulation, field, y, x), physical units.

        Raises
        ------
        ValueError
            If shapes, fields or grid do not fit the model.
        """
        ...


class Trainable(Protocol):
    """An ``nn.Module`` whose loss the training loop minimises, stage by stage."""

    def begin_stage(self, stage: StageConfig) -> None:
        """Set which parameters take gradients in this stage."""
        ...

    def loss(self, batch: Batch, stage: StageConfig) -> Mapping[str, Tensor]:
        """Scalar named parts; the one called ``"loss"`` is minimised, the rest are logged."""
        ...
