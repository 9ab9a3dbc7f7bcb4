"""The contracts that every model and baseline meets: one to forecast, one to be trained."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from probtokens.config import Stage
from probtokens.data.support import ExtrapolationWarning, Range, Support, extrapolation
from probtokens.data.the_well.faults import listed
from probtokens.fields import FieldSpec, Grid
from probtokens.units import equal

#: Largest finite number in single precision.
_LARGEST = float(np.finfo(np.float32).max)

#: Whether someone else has told of extrapolation already.
_TOLD = ContextVar("told", default=False)


@runtime_checkable
class Forecaster(Protocol):
    """Anything that continues a trajectory from its first frame.

    One that always yields a single member says so with an attribute ``deterministic = True``, one that knows what it was trained on with an
    attribute ``support``, which :meth:`probtokens.Normalizer.support` makes: rollouts then refuse what is absurd and mark extrapolation.
    """

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
            If shapes, fields or grid do not fit the model, or values are absurdly far from those that it was trained on.

        Warns
        -----
        ExtrapolationWarning
            If a value is outside of the ranges that it was trained on; see :class:`probtokens.data.support.Support`.
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


def require_units(what: str, expected: Mapping[str, str], found: Mapping[str, str]) -> None:
    """Refuse fields or scalars that are in other units than a model's, where both tell theirs; by name.

    Raises
    ------
    ValueError
        If a unit is another one, whatever its dimension.

    Examples
    --------
    >>> require_units("truth", {"pressure": "bar"}, {"pressure": "GPa"})
    Traceback (most recent call last):
        ...
    ValueError: truth: pressure: expected the unit 'bar', as the model has it, got 'GPa'; convert the values, or declare their unit
    """
    for name, unit in expected.items():
        if unit and found.get(name) and not equal(unit, found[name]):
            raise ValueError(
                f"{what}: {name}: expected the unit {unit!r}, as the model has it, got {found[name]!r}; convert the values, or declare "
                "their unit"
            )


def require_whole(name: str, value: Any, least: int) -> None:
    """Refuse what is no whole number of at least ``least``, by its name."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not least <= value < 2**63:
        raise ValueError(f"{name}: expected a whole number >= {least}, got {value!r:.80}")


def check_schedule(model: nn.Module, stages: Sequence[Stage], n_times: int, devices: int = 1) -> None:
    """Refuse a schedule of which a stage could not begin.

    Parameters
    ----------
    model
        A :class:`Trainable` with ``fields``.
    stages
        The schedule.
    n_times
        Frames of the training simulations.
    devices
        Processes that share every batch.

    Raises
    ------
    ValueError
        If a stage needs more than one frame and there is one, it names fields or parameter groups that the model does not have, or devices
        cannot share a batch evenly; or its objective asks for what the model does not have, such as a guide.
    """
    fields: Sequence[FieldSpec] = model.fields  # type: ignore[assignment]
    if n_times < 2 and any(stage.horizon for stage in stages):
        raise ValueError(f"expected simulations of at least 2 frames, got {n_times}")
    for stage in stages:
        stage.shared(devices)
        stage.check_fields([spec.name for spec in fields])
        try:
            parameters_of(model, stage.learn)
        except ValueError as error:
            raise ValueError(f"{stage.name}: {error}") from None
        if missing := [name for name in stage.asks if not hasattr(model, name)]:
            expected = f"a model with {' and '.join(stage.asks)}, as MicroTokens and MesoTokens have them (RolloutError trains others too)"
            raise ValueError(f"{stage.name}: expected {expected}, got {type(model).__name__} without {' and '.join(missing)}")


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


class Request(NamedTuple):
    """First frames (simulation, field, y, x) and context (simulation, context) of a forecast, physical units, in single precision."""

    initial: Tensor
    context: Tensor


def check_request(
    initial: Any,
    context: Any,
    *,
    fields: Sequence[FieldSpec],
    support: Support | None,
    trained_on: Grid | None,
    grid: Grid,
    n_steps: int,
    n_draws: int,
    seed: int,
    patch: int = 1,
) -> Request:
    """Refuse a forecast that does not fit the model, warn of extrapolation, and give the rest in the precision that models compute in.

    Parameters
    ----------
    initial
        First frames, shape (simulation, field, y, x); real numbers of any type.
    context
        Known scalars, shape (simulation, context); real numbers of any type.
    fields
        Fields that the model knows, in order.
    support
        What the model was trained on, with its context scalars in order; ``None`` where anything will do.
    trained_on
        Grid of the training data; cell edge, frame step, their units and periodic axes must agree. ``None`` where any will do.
    grid
        Grid asked for.
    n_steps, n_draws, seed
        Numbers of frames and of ensemble members asked for, and what draws follow from.
    patch
        Cells of which both extents must be a multiple.

    Raises
    ------
    ValueError
        With what was expected and what came, by name; also for values that no file of simulations may have, or that are absurdly far
        from those in training, with the unit that they are probably in.

    Warns
    -----
    ExtrapolationWarning
        If first frames or context are outside of the training range, unless within :func:`told`.
    """
    first, known = as_single(initial, "initial"), as_single(context, "context")
    names = [spec.name for spec in fields]
    expected = (len(names), *grid.shape)
    if first.ndim != 4 or tuple(first.shape[1:]) != expected or not len(first):
        raise ValueError(
            f"initial: expected shape (simulation, field, y, x) with (field, y, x) = {expected} for fields {listed(names)}, "
            f"got {tuple(first.shape)}"
        )
    if any(size % patch for size in grid.shape):
        raise ValueError(f"initial: expected y and x as multiples of the patch of {patch} cells, got {grid.ny} and {grid.nx}")
    check_context(known, len(first), None if support is None else len(support.scalars))
    if trained_on is not None and trained_on.periodic != grid.periodic:
        raise ValueError(f"grid: expected {trained_on.edges}, got {grid.edges}")
    if trained_on is not None and not trained_on.compatible_with(grid):
        raise ValueError(f"grid: expected {trained_on.steps}, got {grid.steps}{_unit_of_grid(trained_on, grid)}")
    for name, number, least in (("n_steps", n_steps, 1), ("n_draws", n_draws, 1), ("seed", seed, 0)):
        require_whole(name, number, least)
    check_frames(first[:, None], fields, "initial", support)
    if not known.isfinite().all():
        simulation, number = (int(i) for i in (~known.isfinite()).nonzero()[0])
        scalar = repr(support.scalars[number].name) if support is not None else str(number)
        raise ValueError(f"context: scalar {scalar}, simulation {simulation}: expected a finite value, got {known[simulation, number]:g}")
    if support is not None:
        outside = support.outside(first, known)
        if any(outside) and not _TOLD.get():
            warnings.warn(extrapolation("forecast", outside), ExtrapolationWarning, stacklevel=3)
    return Request(first, known)


@contextmanager
def told() -> Iterator[None]:
    """Forecasts within do not warn of extrapolation: the caller has, or it does not matter."""
    token = _TOLD.set(True)
    try:
        yield
    finally:
        _TOLD.reset(token)


def _unit_of_grid(trained_on: Grid, grid: Grid) -> str:
    """Question after the unit of cell edge or frame step, if one explains why they differ from those in training in the same unit."""
    if trained_on.units != grid.units:
        return ""
    (length, time), edges, steps = grid.units, (trained_on.spacing, grid.spacing), (trained_on.time_step, grid.time_step)
    pairs = (("cell edge", length, *edges), ("frame step", time, *steps))
    questions = [(what, Range(what, unit, value, value, 0.01 * value).unit_meant(found, found)) for what, unit, value, found in pairs]
    return "".join(f"; is the {what} in {meant}?" for what, meant in questions if meant)


def as_single(values: Any, name: str) -> Tensor:
    """Real numbers of any type as a tensor in single precision, in which all models compute; not copied where they are one.

    Raises
    ------
    ValueError
        If they are no real numbers.
    """
    found = values.detach() if isinstance(values, Tensor) else np.asarray(values)
    real = found.dtype.kind in "iuf" if isinstance(found, np.ndarray) else not found.is_complex() and found.dtype != torch.bool
    if not real:
        raise ValueError(f"{name}: expected real numbers, got {found.dtype}")
    if isinstance(found, Tensor):
        return found.to(torch.float32)
    with np.errstate(over="ignore"):  # what is beyond single precision becomes infinite, which is refused by name
        return torch.from_numpy(found.astype(np.float32))


def require_single(model: nn.Module) -> None:
    """Refuse a model whose weights are no longer in single precision, in which all forecast.

    Raises
    ------
    ValueError
        Naming the precision, and how to get back.
    """
    if wrong := {weight.dtype for weight in model.parameters() if weight.is_floating_point()} - {torch.float32}:
        raise ValueError(f"{type(model).__name__}: expected weights of torch.float32, got {wrong.pop()}; model.float() converts them")


def check_frames(frames: Tensor, fields: Sequence[FieldSpec], name: str, support: Support | None = None) -> None:
    """Refuse frames (simulation, time, field, y, x) with values that are not finite or not physical.

    With ``support`` the message asks for the unit that would explain them.

    Raises
    ------
    ValueError
        Naming the field, and where the first such value is.
    """
    for number, spec in enumerate(fields):
        values, (low, high) = frames[:, :, number], spec.limits
        bad = ~((values >= max(low, -_LARGEST)) & (values <= min(high, _LARGEST)))
        if bad.any():
            simulation, time, y, x = (int(i) for i in bad.nonzero()[0])
            at = f"frame {time}, " if frames.shape[1] > 1 else ""
            ends = float(values[simulation].min()), float(values[simulation].max())
            question = "" if support is None else support.fields[number].question(*ends)
            raise ValueError(
                f"{name}: field {spec.name!r}, simulation {simulation}: expected finite values in [{low:g}, {high:g}] {spec.unit}, "
                f"got {values[simulation, time, y, x]:g} at {at}(y, x) = ({y}, {x}){question}"
            )


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
