"""The contracts that every model and baseline meets: one to forecast, one to be trained."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

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
    """An ``nn.Module`` that objectives can train."""

    def parameter_groups(self) -> Mapping[str, list[nn.Parameter]]:
        """Parameters that may learn, by the name under which objectives choose them; no parameter is in two groups."""
        ...

    def hidden_kernels(self) -> list[nn.Parameter]:
        """Kernels (out, in, y, x) between the first and the last layers, whose singular values Muon may set to one."""
        ...

    def mean_frames(self, x0: Tensor, context: Tensor, leads: Collection[int]) -> Iterator[Tensor]:
        """Frames (simulation, field, y, x) of the rollout without noise, in standard units, at ascending ``leads`` from 0 on.

        Takes first frames (simulation, field, y, x) and context (simulation, context) in physical units; differentiable.
        """
        ...


def parameters_of(model: nn.Module, groups: Collection[str]) -> list[nn.Parameter]:
    """Parameters of a model's groups of these names; groups that it does not have are left out.

    Raises
    ------
    ValueError
        If the model has none of the groups.
    """
    declared: Mapping[str, list[nn.Parameter]] = model.parameter_groups()  # type: ignore[operator]
    chosen = [parameter for name, parameters in declared.items() if name in groups for parameter in parameters]
    if not chosen:
        raise ValueError(f"learn: expected some of the parameter groups {list(declared)} of {type(model).__name__}, got {list(groups)}")
    return chosen


@contextmanager
def only(model: nn.Module, learning: Collection[nn.Parameter]) -> Iterator[None]:
    """What is computed within depends on these parameters of a model alone, as far as gradients go."""
    chosen = {id(parameter) for parameter in learning}
    others = [parameter for parameter in model.parameters() if parameter.requires_grad and id(parameter) not in chosen]
    for parameter in others:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in others:
            parameter.requires_grad_(True)


def learn(model: nn.Module, groups: Collection[str]) -> list[nn.Parameter]:
    """Let the parameters of these groups take gradients and no others, and return them; see :func:`parameters_of`."""
    chosen = parameters_of(model, groups)
    model.requires_grad_(False)
    for parameter in chosen:
        parameter.requires_grad_(True)
    return chosen


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
    check_context(context, initial.shape[0], n_context)
    if trained_on is not None and not trained_on.compatible_with(grid):
        raise ValueError(
            f"grid: expected spacing {trained_on.spacing} µm and time step {trained_on.time_step} ns, "
            f"got {grid.spacing} µm and {grid.time_step} ns"
        )
    for name, value in (("n_steps", n_steps), ("n_draws", n_draws)):
        if value < 1:
            raise ValueError(f"{name}: expected >= 1, got {value}")


def check_context(context: Tensor, n_simulations: int, n_context: int | None) -> None:
    """Refuse known scalars that have not the shape (simulation, context).

    Raises
    ------
    ValueError
        With what was expected and what came.
    """
    width = context.shape[-1] if n_context is None and context.ndim == 2 else n_context
    if context.ndim != 2 or tuple(context.shape) != (n_simulations, width):
        raise ValueError(f"context: expected shape (simulation, context) = ({n_simulations}, {width}), got {tuple(context.shape)}")
