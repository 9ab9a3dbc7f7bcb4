"""Rollouts of own first frames, or of trajectories, as one lazy xarray ensemble."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import dask.array
import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from probtokens.data.arrays import numbers, with_fields
from probtokens.data.support import ExtrapolationWarning, extrapolation
from probtokens.data.trajectories import TrajectorySet
from probtokens.errors import renamed
from probtokens.fields import FieldSpec, Grid
from probtokens.models.base import Forecaster, require_units, require_whole, told
from probtokens.predict.rollout import forecast_blocks, support_of
from probtokens.predict.store import DRAWS_AT_ONCE, PREDICTION_DIMS, TRUTH_DIMS, coordinates, open_rollout, rollout_fields
from probtokens.units import equal, in_unit

#: Steps of a forecast from first frames, if nothing is said.
_STEPS = 20
#: What :meth:`Forecaster.forecast` calls an argument -> what :func:`rollout` calls it.
_OWN_NAMES = {"initial": "first_frames", "n_steps": "steps", "n_draws": "draws"}


def rollout(
    model: Forecaster, first_frames: Any, context: Any = None, steps: int | None = None, *, draws: int = 50, seed: int = 0
) -> xr.DataArray:
    """Posterior predictive draws of the frames that follow first frames.

    Nothing is computed before values are asked for, and then for 8 draws of one simulation at a time: memory grows with neither number if
    the result is reduced, or written with ``to_zarr``. A draw depends on the seed, its number and that of its simulation, not on how many
    are asked for.

    Parameters
    ----------
    model
        Trained tokens, for example ``load("hmx-standard")``, or any :class:`~probtokens.models.base.Forecaster`.
    first_frames
        Shape (simulation, field, y, x), or (field, y, x) of one simulation, physical units; numpy, torch or xarray. Fields of an xarray
        are found by their names, other arrays have them in the order of ``model.fields``. Or trajectories, which bring their context.
    context
        Known scalars, shape (simulation, context) in the order of the model's context, physical units. Those of an xarray are its
        coordinates of the same names unless given.
    steps
        Frames after the first; by default as many as trajectories have, and 20 from first frames.
    draws
        Members. Deterministic models have one, whatever is asked.
    seed
        What draws follow from.

    Returns
    -------
    xarray.DataArray
        Shape (draw, simulation, time, field, y, x), float32, physical units, with the coordinates ``time``, ``field_unit``, ``y`` and
        ``x``, whose units are their attribute ``unit``, and one for each scalar. ``outside`` says by simulation what lies outside of the
        training range, ``field_least`` and ``field_most`` say what counts as inside.

    Raises
    ------
    ValueError
        If fields, shapes, scalars or numbers do not fit the model, or values are absurdly far from those in training.

    Warns
    -----
    ExtrapolationWarning
        If a simulation begins outside of the training range.

    Examples
    --------
    >>> from probtokens.verify.token_pairs import micro_tokens, window
    >>> frames, context = window()
    >>> ensemble = rollout(micro_tokens(), frames[:, 0], context, steps=2, draws=10)
    >>> dict(ensemble.sizes)
    {'draw': 10, 'simulation': 2, 'time': 2, 'field': 5, 'y': 16, 'x': 24}
    """
    if not isinstance(model, Forecaster):
        raise ValueError(f"model: expected trained tokens or another Forecaster, got {type(model).__name__}")
    request = _request(model, first_frames, context, steps)
    initial, scalars, grid = request.initial, request.context, request.grid
    draws = 1 if getattr(model, "deterministic", False) else draws
    n_steps = grid.n_times - 1

    def block(simulation: int, number: int) -> np.ndarray:
        own = slice(simulation, simulation + 1)
        every = forecast_blocks(model, initial[own], scalars[own], grid=grid, n_steps=n_steps, draws=draws, seed=seed, number=simulation)
        _, frames = next(islice(every, number, None))
        return torch.stack(list(frames), dim=2).cpu().numpy()

    def late(simulation: int, number: int) -> Any:
        shape = (min(DRAWS_AT_ONCE, draws - number * DRAWS_AT_ONCE), 1, grid.n_times - 1, *initial.shape[1:])
        return dask.array.from_delayed(dask.delayed(block, pure=False)(simulation, number), shape=shape, dtype=np.float32)

    with told(), renamed(_OWN_NAMES):
        model.forecast(initial, scalars, grid=grid, n_steps=n_steps, n_draws=draws, seed=seed)  # which refuses at once what does not fit
    support = support_of(model)
    outside = None if support is None else support.outside(initial, scalars)
    if outside is not None and (text := extrapolation(model.name, outside, request.simulations)):
        warnings.warn(text, ExtrapolationWarning, stacklevel=2)
    rows = [dask.array.concatenate([late(i, k) for i in range(len(initial))], axis=1) for k in range(-(-draws // DRAWS_AT_ONCE))]
    columns = {name: scalars[:, number].cpu().numpy() for number, name in enumerate(request.context_names)}
    units = None if support is None else {known.name: known.unit for known in support.scalars}
    every = xr.Dataset(coords=coordinates(draws, request.simulations, model.fields, grid, columns, support, outside, units))
    return xr.DataArray(
        dask.array.concatenate(rows),
        dims=PREDICTION_DIMS,
        coords=every.isel(time=slice(1, None)).coords,
        name="prediction",
        attrs={
            "model": model.name,
            "seed": seed,
            "precision": getattr(model, "precision", "float32"),
            "spacing": grid.spacing,
            "time_step": grid.time_step,
            "periodic": grid.periodic,
        },
    )


def with_truth(ensemble: xr.DataArray, truth: Any = None) -> xr.Dataset:
    """An ensemble with what came about, as :func:`probtokens.predict.open_rollout` gives stored ones; as lazy as the ensemble.

    Parameters
    ----------
    ensemble
        As :func:`rollout` returns it.
    truth
        Trajectories, or frames (simulation, time, field, y, x) of any kind in physical units: the first frames, then at least those that
        were forecast. Without them it is NaN.

    Raises
    ------
    ValueError
        If the ensemble lacks what :func:`rollout` says of it, or the truth has another shape or other fields.
    """
    missing = [name for name in ("lead", "field_unit", "field_label") if name not in ensemble.coords]
    if missing or ensemble.dims != PREDICTION_DIMS:
        raise ValueError(
            f"ensemble: expected one that rollout made, with dimensions {PREDICTION_DIMS}, got {ensemble.dims} without {missing}"
        )
    leads = [0, *(int(lead) for lead in ensemble["lead"].values)]
    sizes = [ensemble.sizes[dim] for dim in TRUTH_DIMS]
    shape = (sizes[0], len(leads), *sizes[2:])
    if truth is None:
        values = dask.array.full(shape, np.nan, dtype=np.float32)
    else:
        values = _truth(truth, rollout_fields(ensemble.to_dataset(name="prediction").assign(truth=ensemble.isel(draw=0, drop=True))), leads)
    if values.shape != shape:
        raise ValueError(f"truth: expected frames (simulation, time, field, y, x) at leads 0 to {leads[-1]}, {shape}, got {values.shape}")
    every = ensemble.coords.to_dataset()
    given = every.isel(time=[0]).assign_coords(time=("time", [0.0], ensemble["time"].attrs), lead=("time", [0]))
    whole = xr.concat([given, every], "time", data_vars="minimal", coords="minimal", join="override")
    first = dask.array.broadcast_to(values[None, :, :1], (ensemble.sizes["draw"], *shape[:1], 1, *shape[2:]))
    return xr.Dataset(
        {
            "prediction": (PREDICTION_DIMS, dask.array.concatenate([first, dask.array.asarray(ensemble.data)], axis=2).rechunk({2: 1})),
            "truth": (TRUTH_DIMS, values),
        },
        coords=whole.coords,
        attrs=ensemble.attrs,
    ).assign_coords({name: values.astype(object) for name, values in whole.coords.items() if values.dtype.kind in "TU"})


@contextmanager
def as_rollout(ensemble: xr.DataArray | xr.Dataset, truth: Any = None) -> Iterator[xr.Dataset]:
    """A stored rollout as it is, and an ensemble :func:`with_truth`, to be read frame by frame.

    Draws that are not made yet are made once, and kept on disk meanwhile.

    Raises
    ------
    ValueError
        As :func:`with_truth`, and if a stored rollout, which holds its truth, has one beside it.
    """
    if not isinstance(ensemble, xr.DataArray | xr.Dataset):
        raise ValueError(f"ensemble: expected what pt.rollout returns, or a stored rollout, got {type(ensemble).__name__}")
    if isinstance(ensemble, xr.Dataset):
        if truth is not None:
            raise ValueError("truth: expected none beside a stored rollout, which holds it, got one")
        yield ensemble
        return
    rollout = with_truth(ensemble, truth)
    if ensemble.chunks is None:
        yield rollout
        return
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rollout.zarr"
        rollout.to_zarr(path, consolidated=False)
        with open_rollout(path) as opened:
            yield opened


def _truth(truth: Any, fields: Sequence[FieldSpec], leads: Sequence[int]) -> Any:
    """Frames of the truth at these leads, lazy if they are of trajectories."""
    names = [spec.name for spec in fields]
    require_units("truth", _units(fields), _units(truth.fields) if isinstance(truth, TrajectorySet) else _units_of_axis(truth))
    if not isinstance(truth, TrajectorySet):
        values = with_fields(truth, names, TRUTH_DIMS, "truth")
        return values[:, leads] if values.ndim == len(TRUTH_DIMS) and values.shape[1] > leads[-1] else values
    order = _order(truth, names, "truth")
    if truth.grid.n_times <= leads[-1]:
        raise ValueError(f"truth: expected at least {leads[-1] + 1} frames, got trajectories of {truth.grid.n_times}")

    def frames(number: int) -> np.ndarray:
        return truth.frames(number)[leads][:, order]

    shape = (len(leads), len(names), *truth.grid.shape)
    return dask.array.stack(
        [dask.array.from_delayed(dask.delayed(frames, pure=False)(number), shape=shape, dtype=np.float32) for number in range(len(truth))]
    )


def _units(fields: Sequence[FieldSpec]) -> dict[str, str]:
    """Units of fields by name."""
    return {spec.name: spec.unit for spec in fields}


def _units_of_axis(frames: Any) -> dict[str, str]:
    """Units of the fields along an axis of an xarray, where it tells them."""
    if not isinstance(frames, xr.DataArray) or not {"field", "field_unit"} <= set(frames.coords):
        return {}
    return dict(zip(np.atleast_1d(frames["field"]).tolist(), np.atleast_1d(frames["field_unit"]).tolist(), strict=True))


def _scalar_units(model: Forecaster) -> dict[str, str]:
    """Units of the scalars that a model was trained on, where it tells them."""
    normalizer = getattr(model, "normalizer", None)
    return dict(zip(getattr(normalizer, "context_names", ()), getattr(normalizer, "context_units", ()), strict=False))


def _order(trajectories: TrajectorySet, names: Sequence[str], what: str) -> list[int]:
    found = [spec.name for spec in trajectories.fields]
    if missing := [name for name in names if name not in found]:
        raise ValueError(f"{what}: expected the fields {list(names)}, got trajectories without {missing}")
    return [found.index(name) for name in names]


class _Request(NamedTuple):
    """First frames (simulation, field, y, x) and context (simulation, context) where the model is, and what else a forecast is told."""

    initial: Tensor
    context: Tensor
    context_names: Sequence[str]
    simulations: list[str]
    grid: Grid


def _request(model: Forecaster, first: Any, context: Any, steps: int | None) -> _Request:
    known = getattr(model, "grid", None)
    if steps is not None:
        require_whole("steps", steps, 1)
    if isinstance(first, TrajectorySet):
        if context is not None:
            raise ValueError("context: expected none beside trajectories, which bring theirs, got one")
        known, steps = first.grid, first.grid.n_times - 1 if steps is None else steps
        scalars = dict(zip(first.context_names, first.context_units, strict=True))
        require_units("trajectories", _units(model.fields) | _scalar_units(model), _units(first.fields) | scalars)
        first = _beginnings(first)
    _require_fields(first, len(model.fields))
    if known is None:
        raise ValueError(f"{model.name}: expected trajectories, or a model with a grid, to know cell edge and frame step; got neither")
    normalizer = getattr(model, "normalizer", None)
    names = () if normalizer is None else normalizer.context_names
    _require_cells(first, known)
    require_units("first_frames", _units(model.fields), _units_of_axis(first))
    frames = with_fields(first, [spec.name for spec in model.fields], ("simulation", "field", "y", "x"), "first_frames")
    frames = frames[None] if frames.ndim == 3 else frames
    labels = first["simulation"].values if isinstance(first, xr.DataArray) and "simulation" in first.coords else range(len(frames))
    parameter = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    device = "cpu" if parameter is None else parameter.device
    return _Request(
        torch.from_numpy(frames).to(device),
        torch.from_numpy(_scalars(names, first, context, len(frames))).to(device),
        names,
        [str(label) for label in np.atleast_1d(labels)],
        replace(known, ny=frames.shape[-2], nx=frames.shape[-1], n_times=(_STEPS if steps is None else steps) + 1),
    )


def _require_fields(first: Any, count: int) -> None:
    """Refuse what has no axis of so many fields, such as a microstructure alone.

    Raises
    ------
    ValueError
        If it has none.
    """
    shape: tuple[int, ...] = () if isinstance(first, str | os.PathLike) else tuple(np.shape(first))
    alone = len(shape) == 3 and shape[0] != count and not isinstance(first, xr.DataArray)  # of several simulations
    if len(shape) not in (3, 4) or alone:
        got = f"{first!s:.80}" if not shape else f"shape {shape}"
        raise ValueError(
            f"first_frames: expected (simulation, field, y, x) or (field, y, x) with {count} fields, got {got}; "
            "pt.first_frame makes them of a micrograph or of solid fractions (y, x)"
        )


def _require_cells(first: Any, grid: Grid) -> None:
    """Refuse first frames whose coordinates say that their cells are others than the model's.

    Raises
    ------
    ValueError
        If they do.
    """
    for axis in ("y", "x"):
        if isinstance(first, xr.DataArray) and axis in first.coords and first.sizes.get(axis, 1) > 1:
            step = float(np.diff(first[axis].values.astype(np.float64)).mean())
            unit = str(first[axis].attrs.get("unit", first[axis].attrs.get("units", grid.length_unit)))
            if not (equal(unit, grid.length_unit) and math.isclose(abs(step), grid.spacing, rel_tol=1e-3)):
                expected = f"cells of {in_unit(f'{grid.spacing:g}', grid.length_unit)} as the model's"
                raise ValueError(f"first_frames: expected {expected}, got {axis} in steps of {in_unit(f'{step:g}', unit)}")


def _beginnings(trajectories: TrajectorySet) -> xr.DataArray:
    """First frames of trajectories with what is known of them."""
    columns = {name: ("simulation", trajectories.context[:, number]) for number, name in enumerate(trajectories.context_names)}
    return xr.DataArray(
        np.stack([trajectories.frames(number, 0, 1)[0] for number in range(len(trajectories))]),
        dims=("simulation", "field", "y", "x"),
        coords={"simulation": list(trajectories.names), "field": [spec.name for spec in trajectories.fields], **columns},
    )


def _scalars(names: Sequence[str], first: Any, context: Any, n_simulations: int) -> np.ndarray:
    """Known scalars (simulation, context)."""
    if context is not None:
        return np.atleast_2d(numbers(context, "context"))
    missing = [name for name in names if not isinstance(first, xr.DataArray) or name not in first.coords]
    if missing:
        raise ValueError(f"context: expected the scalars {list(names)}, or first frames with coordinates of these names, got no {missing}")
    columns = [numbers(np.atleast_1d(first[name].values), name) for name in names]
    return np.stack(columns, axis=1) if columns else np.zeros((n_simulations, 0), dtype=np.float32)
