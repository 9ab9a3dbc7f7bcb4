"""Persistence: tomorrow is like today. The floor that any model must beat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor

from probtokens.fields import FieldSpec, Grid
from probtokens.models.base import check_request


class Persistence:
    """Forecaster that repeats the first frame at every lead time.

    Parameters
    ----------
    fields
        Fields of the frames, in order.
    grid
        Grid of the data that it is compared on; ``None`` accepts any cell edge and frame step.

    Examples
    --------
    >>> from probtokens import rollout
    >>> from probtokens.verify.token_pairs import FIELDS, GRID, window
    >>> frames, _ = window()
    >>> rollout(Persistence(FIELDS, GRID), frames[:, 0], steps=3).sizes["draw"]
    1
    """

    name = "persistence"
    #: A forecast has one member, whatever is asked.
    deterministic = True

    def __init__(self, fields: Sequence[FieldSpec], grid: Grid | None = None) -> None:
        self.fields = tuple(fields)
        self.grid = grid

    def forecast(self, initial: Tensor, context: Tensor, *, grid: Grid, n_steps: int, n_draws: int, seed: int) -> Iterator[Tensor]:
        """Yield ``initial`` ``n_steps`` times.

        Parameters
        ----------
        initial
            First frames, shape (simulation, field, y, x), physical units.
        context
            Known scalars, shape (simulation, context); not used.
        grid, n_steps
            Grid and number of frames of the forecast.
        n_draws, seed
            Not used: the forecast is deterministic.

        Yields
        ------
        Tensor
            Shape (1, simulation, field, y, x), physical units.

        Raises
        ------
        ValueError
            If shapes, fields or grid do not fit.
        """
        request = check_request(
            initial,
            context,
            fields=self.fields,
            support=None,
            trained_on=self.grid,
            grid=grid,
            n_steps=n_steps,
            n_draws=n_draws,
            seed=seed,
        )
        return (request.initial[None].clone() for _ in range(n_steps))
