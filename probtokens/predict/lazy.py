"""Rollouts of own first frames as one lazy xarray ensemble."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dask.array
import numpy as np
import torch
import xarray as xr
from torch import Tensor

from probtokens.fields import Grid

if TYPE_CHECKING:
    from probtokens.models.tokens import TokenForecaster

#: Draws that are made at once: one chunk of the ensemble, whatever is asked for.
_BLOCK = 8


def rollout(
    model: TokenForecaster, first_frames: Any, context: Any = None, steps: int = 20, *, draws: int = 50, seed: int = 0
) -> xr.DataArray:
    """Posterior predictive draws of the frames that follow own first frames.

    Nothing is computed before values are asked for, and then in blocks of 8 draws: memory does not grow with their number if the result
    is reduced, or written with ``to_zarr``. A draw depends on the seed and its number, not on how many are asked for.

    Parameters
    ----------
    model
        Trained tokens, for example ``load("hmx-standard")``.
    first_frames
        Shape (simulation, field, y, x), or (field, y, x) of one simulation, physical units; numpy, torch or xarray. Fields of an xarray
        are found by their names, other arrays have them in the order of ``model.fields``.
    context
        Known scalars, shape (simulation, context) in the order of the model's context, physical units. Those of an xarray are its
        coordinates of the same names unless given.
    steps
        Frames after the first.
    draws, seed
        Members, and what they follow from.

    Returns
    -------
    xarray.DataArray
        Shape (draw, simulation, time, field, y, x), float32, physical units, with the coordinates ``time`` [ns], ``unit`` of fields, and
        ``y`` and ``x`` [µm].

    Raises
    ------
    ValueError
        If fields, shapes, scalars or numbers do not fit the model.

    Examples
    --------
    >>> from probtokens.verify.token_pairs import micro_tokens, window
    >>> frames, context = window()
    >>> ensemble = rollout(micro_tokens(), frames[:, 0], context, steps=2, draws=10)
    >>> dict(ensemble.sizes)
    {'draw': 10, 'simulation': 2, 'time': 2, 'field': 5, 'y': 16, 'x': 24}
    """
    initial, scalars = _frames(model, first_frames), _scalars(model, first_frames, context)
    grid = Grid(initial.shape[-2], initial.shape[-1], model.grid.spacing, model.grid.time_step, steps + 1)

    def drawn(n_draws: int, seed: int) -> Iterator[Tensor]:
        return model.forecast(initial, scalars, grid=grid, n_steps=steps, n_draws=n_draws, seed=seed)

    drawn(draws, seed)  # which refuses at once what does not fit
    shape = (len(initial), steps, *initial.shape[1:])

    def block(number: int) -> np.ndarray:
        own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
        return torch.stack(list(drawn(_BLOCK, own)), dim=2)[: draws - number * _BLOCK].cpu().numpy()

    blocks = [
        dask.array.from_delayed(
            dask.delayed(block, pure=False)(number), shape=(min(_BLOCK, draws - number * _BLOCK), *shape), dtype=np.float32
        )
        for number in range(-(-draws // _BLOCK))
    ]
    return xr.DataArray(
        dask.array.concatenate(blocks),
        dims=("draw", "simulation", "time", "field", "y", "x"),
        coords={
            "draw": np.arange(draws),
            "time": ("time", grid.time_step * np.arange(1, steps + 1), {"units": "ns"}),
            "field": [spec.name for spec in model.fields],
            "unit": ("field", [spec.unit for spec in model.fields]),
            "y": ("y", (np.arange(grid.ny) + 0.5) * grid.spacing, {"units": "µm"}),
            "x": ("x", (np.arange(grid.nx) + 0.5) * grid.spacing, {"units": "µm"}),
            **{name: ("simulation", scalars[:, number].numpy()) for number, name in enumerate(model.normalizer.context_names)},
        },
        name="prediction",
        attrs={"model": model.name, "seed": seed, "precision": model.precision},
    )


def _frames(model: TokenForecaster, first: Any) -> Tensor:
    """First frames (simulation, field, y, x) with the model's fields in its order."""
    names = [spec.name for spec in model.fields]
    if isinstance(first, xr.DataArray):
        missing = [name for name in names if name not in first["field"].values]
        if missing:
            raise ValueError(f"first_frames: expected the fields {names}, got none called {missing}")
        first = first.sel(field=names).transpose(..., "field", "y", "x").values
    frames = _tensor(first)
    return frames[None] if frames.ndim == 3 else frames


def _tensor(values: Any) -> Tensor:
    """Copy of numbers of any kind, in single precision."""
    found = values if isinstance(values, Tensor) else torch.tensor(np.asarray(values))
    return found.detach().to("cpu", torch.float32, copy=True)


def _scalars(model: TokenForecaster, first: Any, context: Any) -> Tensor:
    """Known scalars (simulation, context)."""
    names = model.normalizer.context_names
    if context is not None:
        return torch.atleast_2d(_tensor(context))
    missing = [name for name in names if not isinstance(first, xr.DataArray) or name not in first.coords]
    if missing:
        raise ValueError(f"context: expected the scalars {list(names)}, or first frames with coordinates of these names, got no {missing}")
    return _tensor(np.stack([np.atleast_1d(first[name].values) for name in names], axis=1))
