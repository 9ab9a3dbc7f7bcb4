"""Checks of what a forecaster is asked for."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from probtokens.fields import FieldSpec, Grid


def check_request(
    initial: Tensor,
    context: Tensor,
    *,
    fields: Sequence[FieldSpec],
    n_context: int | None,
    trained_on: Grid | None,
    grid: Grid,
    n_steps: int,
    n_draws: int,
) -> None:
    """Refuse a forecast that does not fit the model.

    Parameters
    ----------
    initial
        First frames, shape (simulation, field, y, x).
    context
        Known scalars, shape (simulation, context).
    fields
        Fields that the model knows, in order.
    n_context
        Context scalars that the model knows, ``None`` where any number will do.
    trained_on
        Grid of the training data; cell edge [µm] and frame step [ns] must agree. ``None`` where any will do.
    grid
        Grid asked for.
    n_steps, n_draws
        Numbers of frames and of ensemble members asked for.

    Raises
    ------
    ValueError
        With what was expected and what came.
    """
    names = [spec.name for spec in fields]
    expected = (len(names), *grid.shape)
    if initial.ndim != 4 or tuple(initial.shape[1:]) != expected:
        raise ValueError(
            f"initial: expected shape (simulation, field, y, x) with (field, y, x) = {expected} for fields {names}, "
            f"got {tuple(initial.shape)}"
        )
    if not initial.is_floating_point():
        raise ValueError(f"initial: expected floating-point numbers, got {initial.dtype}")
    width = context.shape[-1] if n_context is None and context.ndim == 2 else n_context
    if context.ndim != 2 or tuple(context.shape) != (initial.shape[0], width):
        raise ValueError(f"context: expected shape (simulation, context) = ({initial.shape[0]}, {width}), got {tuple(context.shape)}")
    if trained_on is not None and not trained_on.compatible_with(grid):
        raise ValueError(
            f"grid: expected spacing {trained_on.spacing} µm and time step {trained_on.time_step} ns, "
            f"got {grid.spacing} µm and {grid.time_step} ns"
        )
    for name, value in (("n_steps", n_steps), ("n_draws", n_draws)):
        if value < 1:
            raise ValueError(f"{name}: expected >= 1, got {value}")


def check_effects(effects: Tensor, expected: tuple[int, ...]) -> None:
    """Refuse trajectory effects that do not broadcast to the shape (draw, simulation, D, effect_y, effect_x) ``expected``.

    Raises
    ------
    ValueError
        With what was expected and what came.
    """
    sizes = zip(reversed(effects.shape), reversed(expected), strict=False)
    if effects.ndim > len(expected) or any(size not in (1, wanted) for size, wanted in sizes):
        raise ValueError(f"effects: expected shape (draw, simulation, D, effect_y, effect_x) = {expected}, got {tuple(effects.shape)}")
