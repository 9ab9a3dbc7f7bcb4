"""What baselines that are trained have in common: normalisation, grid, bounds, and which forecasts they take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from probtokens.data.normalize import Normalizer
from probtokens.data.support import Support
from probtokens.fields import FieldSpec, Grid
from probtokens.models.base import check_request, require_single


class Learned(nn.Module):
    """A network that continues frames on the grid of its training data.

    Parameters
    ----------
    normalizer
        Fitted normalisation; it carries the fields and the context.
    grid
        Grid of the training data.
    mirrored
        Whether it is trained on mirror images along y as well: fields that are odd then reach the negative of their range.
    """

    name: str
    constant: Tensor
    lower: Tensor
    upper: Tensor

    def __init__(self, normalizer: Normalizer, grid: Grid, *, mirrored: bool) -> None:
        super().__init__()
        self.fields: tuple[FieldSpec, ...] = tuple(normalizer.fields)
        self.normalizer, self.grid, self.mirrored = normalizer, grid, mirrored
        lower = [-torch.inf if spec.lower is None else spec.lower for spec in self.fields]
        upper = [torch.inf if spec.upper is None else spec.upper for spec in self.fields]
        columns: Mapping[str, Sequence[Any]] = {"lower": lower, "upper": upper, "constant": [spec.constant for spec in self.fields]}
        for name, column in columns.items():
            values = torch.tensor(column) if name == "constant" else torch.tensor(column, dtype=torch.float32)
            self.register_buffer(name, values[:, None, None], persistent=False)

    @property
    def support(self) -> Support:
        """What it was trained on."""
        return self.normalizer.support(mirrored=self.mirrored)

    def forecast(self, initial: Tensor, context: Tensor, *, grid: Grid, n_steps: int, n_draws: int, seed: int) -> Iterator[Tensor]:
        """Yield the frames at lead 1, 2, … ``n_steps``.

        Parameters
        ----------
        initial
            First frames, shape (simulation, field, y, x), physical units.
        context
            Known scalars, shape (simulation, context), physical units.
        grid, n_steps
            Grid and number of frames of the forecast.
        n_draws, seed
            Ensemble members and what their noise follows from; not used where the forecast is deterministic.

        Yields
        ------
        Tensor
            Shape (draw, simulation, field, y, x), physical units, within the bounds of the fields; one draw of a deterministic forecast.

        Raises
        ------
        ValueError
            If shapes, fields or grid do not fit, or values are absurd.
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
        )
        self.require_extent(grid)
        return self.frames(request.initial, request.context, n_steps, n_draws, seed)

    def require_extent(self, grid: Grid) -> None:
        """Refuse a grid whose numbers of cells do not fit the networks, by a ``ValueError``."""
        raise NotImplementedError

    def frames(self, initial: Tensor, context: Tensor, n_steps: int, n_draws: int, seed: int) -> Iterator[Tensor]:
        """Frames of a forecast that fits, in physical units."""
        raise NotImplementedError

    def within(self, frames: Tensor, initial: Tensor) -> Tensor:
        """Frames of a forecast within the bounds of their fields; constant fields as they were."""
        return torch.where(self.constant, initial, frames.clamp(self.lower, self.upper))
