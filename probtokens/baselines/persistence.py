"""Persistence: tomorrow is like today. The floor that any model must beat."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from probtokens.data.arrays import Fields, specs_of
from probtokens.data.trajectories import TrajectorySet
from probtokens.fields import Grid
from probtokens.models.base import check_request


class Persistence:
    """Forecaster that repeats the first frame at every lead time.

    Parameters
    ----------
    fields
        Fields of the frames in order, as :meth:`probtokens.Trajectories.from_arrays` takes them; or trajectories, which bring their grid.
    grid
        Grid of the data that it is compared on; ``None`` accepts any cell edge and frame step.

    Raises
    ------
    ValueError
        If there is no field, or one comes twice.

    Examples
    --------
    >>> import numpy as np
    >>> from probtokens import Trajectories, rollout
    >>> data = Trajectories.from_arrays(np.ones((2, 4, 1, 8, 8)), {"height": "m"}, spacing="1 m", time_step="1 s")
    >>> rollout(Persistence(data), data).shape
    (1, 2, 3, 1, 8, 8)
    """

    name = "persistence"
    #: A forecast has one member, whatever is asked.
    deterministic = True

    def __init__(self, fields: Fields | TrajectorySet, grid: Grid | None = None) -> None:
        if isinstance(fields, TrajectorySet):
            grid, fields = grid or fields.grid, fields.fields
        self.fields = specs_of(fields)
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
