"""Read frames and scalars from files in The Well's layout, only what is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np

from probtokens.data.the_well.info import FieldSource, ShardInfo, child, opened, varying
from probtokens.data.the_well.layout import check_values


def read_frames(info: ShardInfo, simulation: int, fields: Sequence[str], start: int = 0, stop: int | None = None) -> np.ndarray:
    """Consecutive frames of one simulation.

    Parameters
    ----------
    info
        The file, as ``read_info`` describes it.
    simulation
        Number of the simulation in the file.
    fields
        Names of scalar fields, in the order wanted.
    start, stop
        Frames ``start`` to ``stop`` - 1; all that follow if ``stop`` is left out.

    Returns
    -------
    ndarray
        Shape (time, field, y, x), float32, in the units of ``info``. A field that does not vary along an
        axis is repeated.

    Raises
    ------
    ValueError
        If the file lacks a field or a frame, or holds values that are not finite or not physical.
    """
    stop = info.grid.n_times if stop is None else stop
    _check_request(info, simulation, fields, start, stop)
    frames = np.empty((stop - start, len(fields), *info.grid.shape), dtype=np.float32)
    blocks: dict[tuple[str, str], np.ndarray] = {}
    with opened(info.path) as file:
        for position, name in enumerate(fields):
            source = info.sources[name]
            key = (source.group, source.dataset)
            if key not in blocks:
                blocks[key] = _read_block(file, source, simulation, start, stop)
            component: tuple[Any, ...] = (..., *source.component)
            frames[:, position] = blocks[key][component]
    for position, name in enumerate(fields):
        check_values(frames[:, position], info.spec(name), path=info.path, simulation=simulation, first_frame=start)
    return frames


def read_scalar(info: ShardInfo, name: str) -> np.ndarray:
    """One scalar of every simulation; of a scalar that varies in time the initial value.

    Returns
    -------
    ndarray
        Shape (simulation,), float32, in the unit that the file gives.

    Raises
    ------
    ValueError
        If the file has no such scalar or it is not finite.
    """
    if name not in info.scalars:
        raise ValueError(f"{info.path}: scalar {name!r}: expected one of {list(info.scalars)}")
    with opened(info.path) as file:
        if name in file["scalars"]:
            dataset = child(file["scalars"], name, info.path)
            values = dataset[()]
            if varying(dataset, info.path)[1]:
                values = values[..., 0]
        else:
            values = np.asarray(info.attributes[name], dtype=np.float64)
    scalar = np.broadcast_to(values, (info.n_simulations,)).astype(np.float32)
    if not np.isfinite(scalar).all():
        raise ValueError(f"{info.path}: scalar {name!r}: expected finite values, got {scalar.tolist()}")
    return scalar


def _check_request(info: ShardInfo, simulation: int, fields: Sequence[str], start: int, stop: int) -> None:
    missing = [name for name in fields if name not in info.sources]
    if missing:
        raise ValueError(f"{info.path}: expected fields among {list(info.fields)}, got {missing}")
    if not 0 <= simulation < info.n_simulations:
        raise ValueError(f"{info.path}: expected a simulation in 0..{info.n_simulations - 1}, got {simulation}")
    if not 0 <= start < stop <= info.grid.n_times:
        raise ValueError(f"{info.path}: expected frames within 0..{info.grid.n_times}, got {start}..{stop}")


def _read_block(file: h5py.File, source: FieldSource, simulation: int, start: int, stop: int) -> np.ndarray:
    """Frames of one data set, shape (time or 1, y or 1, x or 1, component…)."""
    dataset = file[source.group][source.dataset]
    index = (simulation,) * source.sample_varying + (slice(start, stop),) * source.time_varying
    block = dataset[(*index, ...)]
    n_frames = stop - start if source.time_varying else 1
    block = block.reshape(n_frames, *source.stored, *dataset.shape[dataset.ndim - len(source.component) :])
    return np.moveaxis(block, 1 + source.axes.index("y"), 1)
