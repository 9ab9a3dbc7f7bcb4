"""Axes of a file in The Well's layout: the grid, and how precisely they tell it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

import numpy as np

from probtokens.data.the_well.faults import Faulty, fault, listed
from probtokens.data.the_well.hdf5 import Node
from probtokens.data.the_well.layout import AXIS_UNITS, FILE_DIMS
from probtokens.data.the_well.storage import require_numbers, require_stored
from probtokens.fields import Grid
from probtokens.limits import MAX_POINTS, require_fits
from probtokens.units import in_unit, unit_of

_AXIS_RTOL = 1e-3
_AXIS_DIGITS = 6

#: Largest part of its step by which rounding may move the points of an axis.
_MAX_ROUNDING = 0.01


@dataclass(frozen=True, slots=True)
class Axis:
    """One uniform axis.

    Attributes
    ----------
    size
        Number of points.
    step
        Distance of two points, in the fewest digits that rounding does not tell apart.
    rounding
        How far ``step`` may be from the one that was meant, because the coordinates are rounded.
    unit
        Unit of the coordinates, ``None`` if nobody tells.
    """

    size: int
    step: float
    rounding: float
    unit: str | None = None


def read_spatial_dims(dimensions: Node) -> tuple[str, ...]:
    """Names of the spatial axes in the file's order."""
    axes = tuple(dimensions.names("spatial_dims"))
    if sorted(axes) != sorted(FILE_DIMS):
        raise fault(dimensions.path, listed(FILE_DIMS), listed(axes), where=f"{dimensions.name}, attribute 'spatial_dims'")
    return axes


def read_grid(dimensions: Node, n_simulations: int) -> tuple[Grid, dict[str, float], tuple[str, ...]]:
    """Read the grid of all simulations, how far its ``spacing`` and ``time_step`` may be off by rounding, and the axes without unit.

    Lengths and times of axes without unit count as in the package's units.
    """
    axes = {name: _read_axis(dimensions.dataset(name), unit, n_simulations) for name, unit in AXIS_UNITS.items()}
    time, x, y = axes["time"], axes["x"], axes["y"]
    length = x.unit or y.unit
    if length != (y.unit or length):
        raise dimensions.fault("one unit of 'x' and 'y'", f"{x.unit!r} and {y.unit!r}")
    finer = require_square(dimensions, x, y)
    require_fits(dimensions, 4 * time.size * x.size * y.size, os.stat(dimensions.path).st_size, "one field of one simulation")
    units = {"length_unit": length or AXIS_UNITS["x"], "time_unit": time.unit or AXIS_UNITS["time"]}
    grid = Grid(ny=y.size, nx=x.size, spacing=finer.step, time_step=time.step, n_times=time.size, **units)
    unsaid = tuple(name for name, axis in axes.items() if axis.unit is None and (name == "time" or length is None))
    return grid, {"spacing": finer.rounding, "time_step": time.rounding}, unsaid


def require_square(place: Faulty, x: Axis, y: Axis) -> Axis:
    """The axis that tells the edge of the square cells more precisely.

    Raises
    ------
    ValueError
        If cells are not square; the message says to which numbers of points the fields have to be resampled.
    """
    if abs(x.step - y.step) > _AXIS_RTOL * x.step + x.rounding + y.rounding:
        edge = min(x.step, y.step)
        points = [max(round(axis.size * axis.step / edge), 2) for axis in (y, x)]
        raise place.fault(
            f"square cells (resample the fields to (y, x) = ({points[0]}, {points[1]}) points, for example with scipy.ndimage.zoom)",
            f"dx = {in_unit(f'{x.step:g}', x.unit or '1')} and dy = {in_unit(f'{y.step:g}', y.unit or '1')}",
        )
    return min(x, y, key=lambda axis: axis.rounding)


def _read_axis(node: Node, ours: str, n_simulations: int) -> Axis:
    found = node.text("units")
    try:
        unit = None if found is None else unit_of(found, ours)
    except ValueError as error:
        raise node.fault(f"a unit of the dimension of {ours!r}", repr(found)) from error
    require_numbers(node)
    shape = node.item.shape
    if len(shape) not in (1, 2) or (len(shape) == 2 and shape[0] not in (1, n_simulations)):
        raise node.fault("an axis of shape (point,) or (simulation, point)", shape)
    if shape[-1] < 2:
        raise node.fault("at least two points", f"shape {shape}")
    if shape[-1] > MAX_POINTS:
        raise node.fault(f"at most {MAX_POINTS} points", shape[-1])
    require_stored(node)
    return replace(uniform_axis(node, node.read()), unit=unit)


def uniform_axis(node: Faulty, coordinates: np.ndarray) -> Axis:
    """Size and step of an axis, shape (point,) or (simulation, point).

    Raises
    ------
    ValueError
        If it is not uniform and increasing, or so coarsely rounded that its step cannot be told.
    """
    points = coordinates.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        steps = np.diff(points, axis=-1)
        mean = float(steps.mean())
        slack = 2 * _epsilon(coordinates) * float(np.abs(points).max())
        uniform = mean > 0 and np.abs(steps - mean).max() <= _AXIS_RTOL * mean + slack
    if not (uniform and np.isfinite(points).all()):
        raise node.fault("a uniform increasing axis", f"steps from {steps.min():g} to {steps.max():g}")
    rounding = slack / steps.shape[-1]
    if rounding > _MAX_ROUNDING * mean:
        raise node.fault(f"coordinates precise enough for their step {mean:g}", f"values up to {points.max():g} in {coordinates.dtype}")
    return Axis(points.shape[-1], _fewest_digits(mean, rounding), rounding)


def _epsilon(coordinates: np.ndarray) -> float:
    """Relative rounding of coordinates; wider types often hold what was computed in single precision."""
    single = float(np.finfo(np.float32).eps)
    if coordinates.dtype.kind != "f":
        return 0.0
    with np.errstate(over="ignore"):
        if np.array_equal(coordinates, coordinates.astype(np.float32)):
            return max(single, float(np.finfo(coordinates.dtype).eps))
    return float(np.finfo(coordinates.dtype).eps)


def _fewest_digits(step: float, rounding: float) -> float:
    for digits in range(1, _AXIS_DIGITS):
        short = float(f"{step:.{digits}g}")
        if abs(short - step) <= rounding:
            return short
    return float(f"{step:.{_AXIS_DIGITS}g}")
