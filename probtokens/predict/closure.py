"""Closure of a macro-scale code: ignition time, ignition and growth rates and burnt fraction of every draw.

The quantities are those of Sen et al., J. Appl. Phys. 124, 085110 (2018), with reacted mass M, density ρ_s of the crystal, porosity φ and
area A of the sample before the shock:

    F = M / (ρ_s φ A)          products per mass of crystal that would fill the pores
    λ = F φ / (1 − φ)          products per mass of the sample, the burnt fraction of a macro-scale code

Time counts from the entry of the shock. How rates are read off F(t) is this package's choice:

    t_ign      first time at which F reaches F_ign = 0.1
    Ḟ_ign      0.8 F_ign over the time in which F rises from 0.2 F_ign to F_ign
    Ḟ_growth   least-squares slope of F over 1.5 ns, from t_ign or, if later, from the time at which the shock has crossed the sample
    λ̇(λ*)      0.4 λ* over the time in which λ rises from 0.8 λ* to 1.2 λ*

Curves are linear between frames. What a record ends before is NaN: a draw that does not ignite has no ignition time.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from probtokens.ensembles import Floats, as_floats
from probtokens.simulate.eos import MENIKOFF_SEWELL, MieGruneisen, ambient_density, hugoniot
from probtokens.simulate.initial import SHOCK_START

#: F at which a sample has ignited: products of a tenth of what would fill its pores, which more than one pore has to give.
IGNITED = 0.1
#: Part of ``IGNITED`` at which ignition begins.
BEGUN = 0.2
#: Time [ns] over which growth is measured, and points of it.
GROWTH_WINDOW, _GROWTH_POINTS = 1.5, 31
#: Burnt fractions λ* at which λ̇ is given, and how far around them it is measured.
LEVELS = (0.01, 0.05, 0.1)
_AROUND = 0.2

#: Scalars of every draw and simulation, and their units.
RATES = {"ignition_time": "ns", "ignition_rate": "1/ns", "growth_rate": "1/ns"}
LABELS = {"ignition_time": "ignition time t_ign", "ignition_rate": "ignition rate of F", "growth_rate": "growth rate of F"}
#: What they depend on, by simulation.
INPUTS = ("shock_pressure", "porosity", "pore_size")


def first_time(time: ArrayLike, values: ArrayLike, level: float | Floats) -> Floats:
    """First time, shape (...), at which curves (..., time) reach ``level``, NaN where they do not; linear between frames.

    Examples
    --------
    >>> float(first_time([0.0, 1.0, 2.0], [0.0, 1.0, 3.0], 2.0))
    1.5
    """
    times, curves = as_floats(time, "time"), as_floats(values)
    target = np.broadcast_to(np.asarray(level, dtype=np.float64), curves.shape[:-1])[..., None]
    reached = curves >= target
    after = reached.argmax(axis=-1)
    before = np.maximum(after - 1, 0)
    low, high = (np.take_along_axis(curves, index[..., None], axis=-1)[..., 0] for index in (before, after))
    rise = np.where(high > low, high - low, 1.0)
    share = np.where(high > low, (target[..., 0] - low) / rise, 0.0)
    found = times[before] + share * (times[after] - times[before])
    return np.where(reached.any(axis=-1), found, np.nan)


def rise_rate(time: ArrayLike, values: ArrayLike, low: float | Floats, high: float | Floats) -> Floats:
    """Mean rate, shape (...), at which curves (..., time) rise from ``low`` to ``high``, NaN where they do not get there."""
    duration = first_time(time, values, high) - first_time(time, values, low)
    rise = np.asarray(high, dtype=np.float64) - low
    return np.divide(rise, duration, out=np.full(duration.shape, np.nan), where=duration > 0)


def window_values(time: ArrayLike, values: ArrayLike, start: ArrayLike, fractions: ArrayLike) -> tuple[Floats, Floats]:
    """Times and values, each (..., point), of curves (..., time) at ``fractions`` of the growth window after ``start`` (...).

    NaN where the window does not fit into the record.
    """
    times, curves = as_floats(time, "time"), as_floats(values)
    begin = np.broadcast_to(as_floats(start, "start"), curves.shape[:-1])
    points = begin[..., None] + GROWTH_WINDOW * as_floats(fractions)
    found = np.full(points.shape, np.nan)
    for index in np.ndindex(begin.shape):
        if points[index][-1] <= times[-1] + 1e-9:
            found[index] = np.interp(points[index], times, curves[index])
    return points, found


def growth_slope(time: ArrayLike, values: ArrayLike, start: ArrayLike) -> Floats:
    """Least-squares slope, shape (...), of curves (..., time) over the growth window after ``start`` (...); NaN where it does not fit."""
    points, found = window_values(time, values, start, np.linspace(0.0, 1.0, _GROWTH_POINTS))
    deviation = points - points.mean(axis=-1, keepdims=True)
    return (deviation * found).sum(axis=-1) / (deviation**2).sum(axis=-1)


def crossing_time(shock_pressure: ArrayLike, length: float, eos: MieGruneisen = MENIKOFF_SEWELL) -> Floats:
    """Time [ns], shape (simulation,), at which a shock into crystal has crossed a sample of ``length`` [µm] along its way.

    Pores delay it a little; the shock velocity is that of the crystal's Hugoniot at ``shock_pressure`` [GPa].
    """
    return np.array([(length - SHOCK_START) / hugoniot(eos, float(one)).shock_velocity for one in np.atleast_1d(shock_pressure)])


def closure(curves: xr.Dataset, pores: xr.Dataset, extent: tuple[float, float], eos: MieGruneisen = MENIKOFF_SEWELL) -> xr.Dataset:
    """Closure quantities of every draw; see the top of this module for their definitions.

    Parameters
    ----------
    curves
        From :func:`probtokens.predict.reacted.reacted_curves`, with the coordinate ``shock_pressure`` [GPa] along ``simulation``.
    pores
        From :func:`probtokens.predict.reacted.describe_pores`.
    extent
        Lengths of the sample along y and x [µm].
    eos
        Equation of state that the simulations had.

    Returns
    -------
    xr.Dataset
        ``F`` and ``lambda`` (draw, simulation, time), ``ignition_time`` [ns], ``ignition_rate`` and ``growth_rate`` [1/ns] (draw,
        simulation), ``lambda_rate`` [1/ns] (draw, simulation, level), ``mean_pressure`` [GPa]; coordinates ``shock_pressure``,
        ``porosity``, ``pore_size``, ``pore_spread``, ``crossing_time`` along ``simulation``. The draw index is that of the ensemble.

    Raises
    ------
    ValueError
        If simulations have no shock pressure.
    """
    if "shock_pressure" not in curves.coords:
        raise ValueError(f"closure: expected a coordinate 'shock_pressure' of simulations, got {[str(name) for name in curves.coords]}")
    time, porosity = curves["time"].values, pores["porosity"].values
    pressure = curves["shock_pressure"].values.astype(np.float64)
    crossed = crossing_time(pressure, extent[1], eos)
    ratio = curves["reacted_mass"].values / (ambient_density(eos) * porosity[:, None] * extent[0] * extent[1])
    burnt = ratio * (porosity / (1.0 - porosity))[:, None]
    # Products do not react back: a dip is noise of the forecast, and levels are reached once.
    risen = np.maximum.accumulate(ratio, axis=-1)
    ignited = first_time(time, risen, IGNITED)
    scalars = {
        "ignition_time": ignited,
        "ignition_rate": rise_rate(time, risen, BEGUN * IGNITED, IGNITED),
        "growth_rate": growth_slope(time, ratio, np.maximum(ignited, crossed)),
    }
    whole = np.maximum.accumulate(burnt, axis=-1)
    levels = np.stack([rise_rate(time, whole, (1 - _AROUND) * level, (1 + _AROUND) * level) for level in LEVELS], axis=-1)
    both = ("draw", "simulation")
    return xr.Dataset(
        {
            "F": ((*both, "time"), ratio, {"units": "1", "long_name": "products per mass of crystal that would fill the pores"}),
            "lambda": ((*both, "time"), burnt, {"units": "1", "long_name": "products per mass of the sample"}),
            **{name: (both, values, {"units": RATES[name], "long_name": LABELS[name]}) for name, values in scalars.items()},
            "lambda_rate": ((*both, "level"), levels, {"units": "1/ns", "long_name": "rate of lambda where lambda is level"}),
            "mean_pressure": ((*both, "time"), curves["mean_pressure"].values, {"units": "GPa"}),
        },
        coords={
            "draw": curves["draw"],
            "simulation": [str(name) for name in curves["simulation"].values],
            "time": ("time", time, {"units": "ns", "long_name": "time since the shock entered"}),
            "level": ("level", list(LEVELS), {"units": "1", "long_name": "lambda"}),
            "shock_pressure": ("simulation", pressure, {"units": "GPa"}),
            **{str(name): ("simulation", values.values, values.attrs) for name, values in pores.data_vars.items()},
            "crossing_time": ("simulation", crossed, {"units": "ns", "long_name": "time at which the shock has crossed the sample"}),
        },
        attrs={
            "ignited": IGNITED,
            "growth_window_ns": GROWTH_WINDOW,
            "source": "definitions: Sen et al., J. Appl. Phys. 124, 085110 (2018)",
        },
    )
