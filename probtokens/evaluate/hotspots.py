"""Curves of an ensemble: area, heat, number and sizes of hot spots, shock front, means over the domain, and rates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from probtokens.ensembles import Floats, above, as_floats
from probtokens.evaluate.physics import hotspot_regions, shock_front
from probtokens.fields import Grid, HotSpot
from probtokens.predict.recalibrate import Recalibration
from probtokens.predict.store import Slab, all_axes, map_slabs, rollout_fields, rollout_grid

_DOMAIN_MEANS = {"pressure": "mean_pressure", "reacted_fraction": "mean_reacted_fraction"}
#: Curves whose rate is told beside those of the area and the heat of hot spots.
_ALSO_RATED = ("front", "mean_reacted_fraction")
#: Scalar and fields of simulations that a shock crosses: other pressures have no front.
_OF_SHOCKS = {"shock_pressure", "solid_fraction", "microstructure"}
#: Distance from the far edge, as a part of the domain, within which a front has left: rounding.
_AT_EDGE = 1e-6
#: How far the mean reacted fraction is below what it has been.
_FALL = "reacted_fall"


def hotspot_area(values: ArrayLike, threshold: float, cell_area: float) -> Floats:
    """Area above ``threshold``, in the unit of ``cell_area``, shape (...), from a field (..., y, x); NaN if a cell is."""
    return above(values, threshold).sum(axis=(-2, -1)) * cell_area


def hotspot_mean(values: ArrayLike, threshold: float) -> Floats:
    """Mean of the cells above ``threshold``, in its unit, shape (...), from a field of shape (..., y, x); NaN if a cell is.

    Where no cell is, it is the threshold: the limit of a hot spot that vanishes, so the curve is continuous at
    ignition, and members without hot spot can be scored together with members that have one.
    """
    hot = above(values, threshold)
    excess = np.where(hot == 0, 0, as_floats(values) - threshold).sum(axis=(-2, -1))
    return threshold + excess / np.maximum(hot.sum(axis=(-2, -1)), 1)


def rates(curve: ArrayLike, time_step: float) -> Floats:
    """Backward differences per unit of ``time_step``, shape (..., time - 1), of a curve of shape (..., time)."""
    return np.diff(as_floats(curve, "curve"), axis=-1) / time_step


def fall(curve: ArrayLike) -> Floats:
    """How far a curve (..., time) is below the most that it has been so far, in its shape and unit: zero if it never falls."""
    values = as_floats(curve, "curve")
    return np.maximum.accumulate(values, axis=-1) - values


def curve_units(rollout: xr.Dataset, hotspot: HotSpot) -> dict[str, str]:
    """Unit of every curve of a rollout by name, in order of display."""
    units, grid = {spec.name: spec.unit for spec in rollout_fields(rollout) if not spec.constant}, rollout_grid(rollout).units
    curves = dict(zip(hotspot.curves, (grid.area, units[hotspot.field]), strict=True))
    curves |= {"hotspot_count": "1", "hotspot_size": grid.area, "largest_hotspot": grid.area}
    shocked = _OF_SHOCKS & {*rollout.coords, *(spec.name for spec in rollout_fields(rollout))}
    curves |= {"front": grid.length} if "pressure" in units and shocked else {}
    curves |= {mean: units[field] for field, mean in _DOMAIN_MEANS.items() if field in units}
    rated = (*hotspot.curves, *(name for name in _ALSO_RATED if name in curves))
    falls = {_FALL: units["reacted_fraction"]} if "reacted_fraction" in units else {}
    return curves | {f"{name}_rate": grid.rate(curves[name]) for name in rated} | falls


def slab_curves(slab: Slab, hotspot: HotSpot, grid: Grid) -> dict[str, Floats]:
    """What one frame adds to the curves, by curve: one value for each draw and, last, that of the truth."""
    parts = [_frame_curves(values, slab.field.name, hotspot, grid) for values in (slab.prediction, slab.truth[None])]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _frame_curves(values: ArrayLike, field: str, hotspot: HotSpot, grid: Grid) -> dict[str, Floats]:
    """Curves that are made of one field, each (draw,), from its frames (draw, y, x)."""
    curves: dict[str, Floats] = {}
    if field == hotspot.field:
        area = hotspot_area(values, hotspot.threshold, grid.cell_area)
        count, largest = hotspot_regions(values, hotspot.threshold, grid.periodic)
        curves |= {"area": area, field: hotspot_mean(values, hotspot.threshold)}
        curves |= {"hotspot_count": count, "hotspot_size": area / np.maximum(count, 1), "largest_hotspot": grid.cell_area * largest}
    if field == "pressure":
        curves["front"] = shock_front(values, grid.spacing)
    if field in _DOMAIN_MEANS:
        curves[_DOMAIN_MEANS[field]] = as_floats(values).mean(axis=(-2, -1))
    return curves


def assemble_curves(columns: Mapping[str, Sequence[Mapping[str, Floats]]], rollout: xr.Dataset, hotspot: HotSpot) -> xr.Dataset:
    """Curves, as :func:`hotspot_curves` returns them, from the results of :func:`slab_curves` by field."""
    rollout = all_axes(rollout)
    grid, draws = rollout_grid(rollout), rollout.sizes["draw"]
    dims, shape = ("simulation", "time"), (rollout.sizes["simulation"], grid.n_times - 1)
    specs = {spec.name: spec for spec in rollout_fields(rollout)}
    curves = {}
    for field, parts in columns.items():
        given = rollout["truth"].isel(time=0, field=list(specs).index(field)).values
        first = [slab_curves(Slab(specs[field], i, 0, 0, frame[None], frame), hotspot, grid) for i, frame in enumerate(given)]
        for name in parts[0]:
            later = np.moveaxis(np.reshape([part[name] for part in parts], (*shape, draws + 1)), -1, 0)
            start = np.broadcast_to([[part[name][-1]] for part in first], (draws + 1, shape[0], 1))
            curves[name] = np.concatenate([start, later], axis=-1)
    units = curve_units(rollout, hotspot)
    for name in (name.removesuffix("_rate") for name in units if name not in curves and name != _FALL):
        curves[f"{name}_rate"] = np.full_like(curves[name], np.nan)
        curves[f"{name}_rate"][..., 1:] = rates(curves[name], grid.time_step)
    if "front" in units:
        curves["front_rate"][curves["front"] > (1 - _AT_EDGE) * grid.nx * grid.spacing] = np.nan  # a front that has left has no speed
    if _FALL in units:
        curves[_FALL] = fall(curves["mean_reacted_fraction"])
    variables: dict[str, tuple[tuple[str, ...], Floats, dict[str, str]]] = {}
    for name, unit in units.items():
        variables[name] = (("draw", *dims), curves[name][:-1], {"unit": unit})
        variables[f"{name}_truth"] = (dims, curves[name][-1], {"unit": unit})
    return xr.Dataset(variables, coords={name: rollout[name] for name in ("simulation", "time", "lead")})


def hotspot_curves(
    rollout: xr.Dataset,
    hotspot: HotSpot,
    recalibration: Recalibration | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> xr.Dataset:
    """Curves of every draw and of the truth, read from the rollout one frame at a time.

    Parameters
    ----------
    rollout
        As opened by :func:`probtokens.predict.open_rollout`.
    hotspot
        Field and threshold of hot spots.
    recalibration
        Applied to each frame before its curves are taken.
    progress
        Called as ``progress(done, total)`` after each frame.

    Returns
    -------
    xr.Dataset
        Each curve as ``NAME`` (draw, simulation, time) and ``NAME_truth`` (simulation, time) with attribute ``unit``:
        ``area``, the field's mean over it under the field's name, ``hotspot_count`` of regions, connected across periodic edges too,
        ``hotspot_size`` (mean area of one) and ``largest_hotspot``; where there is a pressure, ``mean_pressure`` over the domain, and in
        porous solids, or with a ``shock_pressure``, the position ``front`` of the shock;
        where there is a reacted fraction, ``mean_reacted_fraction`` over the domain and ``reacted_fall``, see :func:`fall`: no
        reaction is undone. Last ``…_rate`` of ``area``, the field, ``front`` and ``mean_reacted_fraction``: backward differences, which
        start at lead 1, NaN before; that of a front is NaN once it has left. Time starts at the initial frame.

    Raises
    ------
    ValueError
        If the rollout lacks the field or the initial frame, or its coordinates are not those of square cells and equal steps.
    """
    fields = curve_fields(rollout, hotspot)
    grid = rollout_grid(rollout)

    def work(slab: Slab) -> dict[str, Floats]:
        return slab_curves(slab if recalibration is None else recalibration.apply_to(slab), hotspot, grid)

    columns = map_slabs(work, rollout, fields, progress)
    return assemble_curves(columns, rollout, hotspot)


def curve_fields(rollout: xr.Dataset, hotspot: HotSpot) -> list[str]:
    """Fields that curves are made of.

    Raises
    ------
    ValueError
        If the rollout lacks the field of hot spots.
    """
    names = [spec.name for spec in rollout_fields(rollout) if not spec.constant]
    if hotspot.field not in names:
        raise ValueError(f"hot spots: expected a field {hotspot.field!r}, got fields {names}")
    return [name for name in names if name == hotspot.field or name in _DOMAIN_MEANS]
