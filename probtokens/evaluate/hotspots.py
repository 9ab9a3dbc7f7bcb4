"""Hot-spot curves of an ensemble: area, temperature, their rates, and means over the domain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from probtokens.fields import field_spec
from probtokens.predict.recalibrate import Recalibration
from probtokens.predict.store import Slab, map_slabs, rollout_fields, rollout_grid

Array = NDArray[np.floating]

#: Unit of every curve.
UNITS = {
    "area": "µm²",
    "temperature": "K",
    "area_rate": "µm²/ns",
    "temperature_rate": "K/ns",
    "mean_pressure": "GPa",
    "mean_reacted_fraction": "1",
}
_DOMAIN_MEANS = {"mean_pressure": "pressure", "mean_reacted_fraction": "reacted_fraction"}


def hotspot_area(temperature: Array, threshold: float, cell_area: float) -> Array:
    """Area [µm²] hotter than ``threshold`` [K], shape (...), from temperature [K] of shape (..., y, x)."""
    return np.count_nonzero(temperature > threshold, axis=(-2, -1)) * cell_area


def hotspot_temperature(temperature: Array, threshold: float) -> Array:
    """Mean temperature [K] of the cells hotter than ``threshold`` [K], shape (...), from shape (..., y, x).

    Where no cell is, it is the threshold: the limit of a hot spot that vanishes, so the curve is continuous at
    ignition, never NaN, and members without hot spot can be scored together with members that have one.
    """
    count = np.count_nonzero(temperature > threshold, axis=(-2, -1))
    excess = np.maximum(temperature - threshold, 0).sum(axis=(-2, -1))
    return threshold + excess / np.maximum(count, 1)


def rates(curve: Array, time_step: float) -> Array:
    """Backward differences per ns, shape (..., time - 1), of a curve of shape (..., time)."""
    return np.diff(curve, axis=-1) / time_step


def slab_curves(slab: Slab, threshold: float, cell_area: float) -> dict[str, Array]:
    """What one frame adds to the curves, by curve: one value for each draw and, last, that of the truth."""
    mean_of = {field: name for name, field in _DOMAIN_MEANS.items()}
    name = slab.field.name
    if name != "temperature" and name not in mean_of:
        return {}
    both = (slab.prediction, slab.truth[None])
    if name == "temperature":
        return {
            "area": np.concatenate([hotspot_area(values, threshold, cell_area) for values in both]),
            "temperature": np.concatenate([hotspot_temperature(values, threshold) for values in both]),
        }
    return {mean_of[name]: np.concatenate([values.mean(axis=(-2, -1), dtype=np.float64) for values in both])}


def assemble_curves(columns: Mapping[str, Sequence[Mapping[str, Array]]], rollout: xr.Dataset, threshold: float) -> xr.Dataset:
    """Curves, as :func:`hotspot_curves` returns them, from the results of :func:`slab_curves` by field."""
    grid, draws = rollout_grid(rollout), rollout.sizes["draw"]
    dims, shape = ("simulation", "time"), (rollout.sizes["simulation"], grid.n_times - 1)
    curves = {}
    for field, parts in columns.items():
        given = rollout["truth"].isel(time=0, field=list(rollout["field"].values).index(field)).values
        first = [slab_curves(Slab(field_spec(field), i, 0, frame[None], frame), threshold, grid.cell_area) for i, frame in enumerate(given)]
        for name in parts[0]:
            later = np.moveaxis(np.reshape([part[name] for part in parts], (*shape, draws + 1)), -1, 0)
            start = np.broadcast_to([[part[name][-1]] for part in first], (draws + 1, shape[0], 1))
            curves[name] = np.concatenate([start, later], axis=-1)
    for name in ("area", "temperature"):
        curves[f"{name}_rate"] = np.full_like(curves[name], np.nan)
        curves[f"{name}_rate"][..., 1:] = rates(curves[name], grid.time_step)
    variables: dict[str, tuple[tuple[str, ...], Array, dict[str, str]]] = {}
    for name, values in curves.items():
        variables[name] = (("draw", *dims), values[:-1], {"unit": UNITS[name]})
        variables[f"{name}_truth"] = (dims, values[-1], {"unit": UNITS[name]})
    return xr.Dataset(variables, coords={name: rollout[name] for name in ("simulation", "time", "lead")})


def hotspot_curves(rollout: xr.Dataset, threshold: float, recalibration: Recalibration | None = None) -> xr.Dataset:
    """Curves of every draw and of the truth, read from the rollout one frame at a time.

    Parameters
    ----------
    rollout
        As opened by :func:`probtokens.predict.open_rollout`; must have a temperature field.
    threshold
        Temperature above which a cell is a hot spot [K].
    recalibration
        Applied to each frame before its curves are taken.

    Returns
    -------
    xr.Dataset
        Each curve as ``NAME`` (draw, simulation, time) and ``NAME_truth`` (simulation, time) with attribute ``unit``;
        names and units in ``UNITS``, means over the domain only where the field is there. Time starts at the initial
        frame; rates are backward differences and start at lead 1, NaN before.

    Raises
    ------
    ValueError
        If there is no temperature field.
    """
    fields = curve_fields(rollout)
    cell_area = rollout_grid(rollout).cell_area

    def work(slab: Slab) -> dict[str, Array]:
        return slab_curves(slab if recalibration is None else recalibration.apply_to(slab), threshold, cell_area)

    columns = map_slabs(work, rollout, fields)
    return assemble_curves(columns, rollout, threshold)


def curve_fields(rollout: xr.Dataset) -> list[str]:
    """Fields that curves are made of.

    Raises
    ------
    ValueError
        If there is no temperature field.
    """
    names = [spec.name for spec in rollout_fields(rollout)]
    if "temperature" not in names:
        raise ValueError(f"hot spots: expected a temperature field, got fields {names}")
    return [name for name in names if name == "temperature" or name in _DOMAIN_MEANS.values()]
