"""Read frames and scalars from files in The Well's layout, only what is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from probtokens.data.the_well.faults import fault, listed
from probtokens.data.the_well.hdf5 import Node, opened
from probtokens.data.the_well.info import FieldSource, ShardInfo, varying
from probtokens.data.the_well.layout import check_values
from probtokens.data.the_well.plain import plain, single
from probtokens.data.the_well.storage import missing_values, require_numbers, require_stored, undeclared_missing
from probtokens.fields import FieldSpec


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
        If the file lacks a field or a frame, values were never written or stand for none, or they are not finite or not physical.
    """
    frames = read_values(info, simulation, fields, start, stop)
    for position, name in enumerate(fields):
        spec = info.spec(name)
        check_values(frames[:, position], spec, path=info.path, simulation=simulation, first_frame=start)
        require_measured(frames[:, position], spec, path=info.path, simulation=simulation)
    return frames


def read_values(info: ShardInfo, simulation: int, fields: Sequence[str], start: int = 0, stop: int | None = None) -> np.ndarray:
    """Consecutive frames as :func:`read_frames` returns them, in the file's units and whether or not they are physical.

    Raises
    ------
    ValueError
        If the file lacks a field or a frame, or values were never written or are declared to stand for none.
    """
    stop = info.grid.n_times if stop is None else stop
    _check_request(info, simulation, fields, start, stop)
    frames = np.empty((stop - start, len(fields), *info.grid.shape), dtype=np.float32)
    blocks: dict[tuple[str, str], np.ndarray] = {}
    with opened(info.path, known=True) as file:
        for position, name in enumerate(fields):
            source = info.sources[name]
            key = (source.group, source.dataset)
            if key not in blocks:
                blocks[key] = _read_block(file, source, simulation, start, stop)
            component: tuple[Any, ...] = (..., *source.component)
            values = blocks[key][component]
            _require_present(values, source, info, name, simulation, start)
            with np.errstate(over="ignore"):
                frames[:, position] = values
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
        If the file has no such scalar, or it is no number, not finite, or stands for none.
    """
    scalar = read_scalar_as_stored(info, name)
    if scalar.dtype.kind != "f":
        raise fault(info.path, "real numbers", listed(scalar.tolist()), where=f"scalar {name!r}")
    if not np.isfinite(scalar).all():
        raise fault(info.path, "finite values", listed(scalar.tolist()), where=f"scalar {name!r}")
    return scalar


def read_scalar_as_stored(info: ShardInfo, name: str) -> np.ndarray:
    """One scalar of every simulation, also if it is text or not everywhere finite.

    Returns
    -------
    ndarray
        Shape (simulation,): float32, NaN where the file declares that there is no value; or text.

    Raises
    ------
    ValueError
        If the file has no such scalar, it was never written, or it is neither numbers nor text.
    """
    if name not in info.scalars:
        raise fault(info.path, f"one of {listed(info.scalars)}", "none of them", where=f"scalar {name!r}")
    with opened(info.path, known=True) as file:
        if name in file.group("scalars").names("field_names"):
            values = _read_scalar_values(file.group("scalars").dataset(name))
        else:
            values = np.asarray(single(info.attributes[name]), dtype=np.float64)
    with np.errstate(over="ignore"):
        return np.broadcast_to(values, (info.n_simulations,)).astype(str if values.dtype.kind in "OSU" else np.float32)


def _read_scalar_values(node: Node) -> np.ndarray:
    """Values of a scalar at the first frame, one or one for each simulation."""
    require_stored(node)
    if node.is_text():
        values = np.array(plain(node.read()), dtype=object)
    else:
        require_numbers(node)
        values = node.read()
    sample, time = varying(node)
    values = values[..., 0] if time else values if sample else values.reshape(())
    if values.dtype.kind in "iuf":
        values = np.where(np.isin(values, missing_values(node)), np.nan, values)
    return values


def require_measured(values: np.ndarray, spec: FieldSpec, *, path: Path, simulation: int) -> None:
    """Refuse values that stand for none although the file does not say so. Shape (time, y, x).

    Raises
    ------
    ValueError
        Naming file, field and simulation.
    """
    value = undeclared_missing(values)
    if value is not None:
        got = f"{value:g} {spec.unit} beside values a million times smaller, as if it stood for none"
        raise fault(path, "measured values", got, where=f"field {spec.name!r}, simulation {simulation}")


def _check_request(info: ShardInfo, simulation: int, fields: Sequence[str], start: int, stop: int) -> None:
    missing = [name for name in fields if name not in info.sources]
    if missing:
        raise fault(info.path, f"fields among {listed(info.fields)}", listed(missing))
    for name in fields:
        if info.sources[name].fault:
            raise ValueError(info.sources[name].fault)
    if not 0 <= simulation < info.n_simulations:
        raise fault(info.path, f"a simulation in 0..{info.n_simulations - 1}", simulation)
    if not 0 <= start < stop <= info.grid.n_times:
        raise fault(info.path, f"frames within 0..{info.grid.n_times}", f"{start}..{stop}")


def _read_block(file: Node, source: FieldSource, simulation: int, start: int, stop: int) -> np.ndarray:
    """Frames of one data set, shape (time or 1, y or 1, x or 1, component…)."""
    node = file.group(source.group).dataset(source.dataset)
    index = (simulation,) * source.sample_varying + (slice(start, stop),) * source.time_varying
    block = node.read((*index, ...))
    shape = (stop - start if source.time_varying else 1, *source.stored, *(len(source.axes),) * len(source.component))
    if block.size != np.prod(shape):
        raise node.fault(f"values of shape {shape} as when the file was opened", block.shape)
    return np.moveaxis(block.reshape(shape), 1 + source.axes.index("y"), 1)


def _require_present(values: np.ndarray, source: FieldSource, info: ShardInfo, name: str, simulation: int, start: int) -> None:
    """Refuse values that the file declares to stand for none. Shape (time or 1, y or 1, x or 1)."""
    if not source.missing:
        return
    absent = np.isin(values, [value for value in source.missing if value == value])
    if absent.any():
        frame, y, x = (int(i) for i in np.argwhere(absent)[0])
        where = f"field {name!r}, simulation {simulation}, frame {start + frame}"
        got = f"the value that stands for none, {values[frame, y, x]:g}, at (y, x) = ({y}, {x})"
        raise fault(info.path, "a value everywhere", got, where=where)
