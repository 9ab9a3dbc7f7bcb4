"""Collapse of a round pore: closure, and convergence with the cells' size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from probtokens.config import EvaluateConfig, PhysicsConfig
from probtokens.simulate.eos import hmx, hugoniot
from probtokens.simulate.initial import SHOCK_START, shocked_crystal
from probtokens.simulate.microstructure import GAS_FLOOR, SOLID_FLOOR
from probtokens.simulate.run import build_solver, observe
from probtokens.verify.check import Check

_PRESSURES = (9.0, 11.0, 13.0)
_DIAMETER = 0.5
_CENTRE = 0.96
_EXTENT = (0.96, 2.88)  # µm along y and x
_DEFAULT_SPACING = 0.04

#: A pore counts as collapsed when this part of its area is left.
_COLLAPSED = 0.05


@dataclass(frozen=True, slots=True)
class Collapse:
    """What a pore did, one entry per shock pressure.

    ``time`` [ns] passes from the shock's arrival at the pore to its collapse. ``residual`` is the part
    of its area left when a free surface would have crossed it one and a quarter times. ``area`` [µm²] is
    the hot-spot area at ``hot_times``, (time, pressure).
    """

    time: np.ndarray
    residual: np.ndarray
    area: np.ndarray


def collapse(spacing: float, physics: PhysicsConfig, hot_times: Sequence[float] = ()) -> Collapse:
    """Shock a round pore whose lower half the bottom wall mirrors away.

    Parameters
    ----------
    spacing
        Cell edge [µm].
    hot_times
        When to take the hot-spot area [ns], in multiples of 0.02.
    """
    solver = build_solver(physics, spacing)
    porosity = np.stack([_half_disc(spacing)] * len(_PRESSURES))
    dtype = getattr(torch, physics.dtype)
    state, outside = shocked_crystal(porosity, np.array(_PRESSURES), solver.model.mixture, spacing, physics.frame, dtype)
    shocks = [hugoniot(hmx(physics.eos), pressure) for pressure in _PRESSURES]
    arrival = np.array([(_CENTRE - _DIAMETER / 2 - SHOCK_START) / shock.shock_velocity for shock in shocks])
    crossed = arrival + np.array([1.25 * _DIAMETER / (2.0 * shock.particle_velocity) for shock in shocks])
    step, speed = 0.02, None
    areas, hot = [_area(state.gas)], {}
    for index in range(1, round(max(*crossed, 0.5, *hot_times) / step) + 2):
        state, _, speed = solver.advance(state, outside, step, speed)
        areas.append(_area(state.gas))
        hot[index] = observe(solver.model, state)["temperature"] > EvaluateConfig().hotspot_threshold
    left = np.array(areas) / areas[0]
    times = step * np.arange(len(areas))
    collapsed = np.array([np.interp(-_COLLAPSED, -column, times) for column in left.T])
    return Collapse(
        time=collapsed - arrival,
        residual=np.array([np.interp(moment, times, column) for moment, column in zip(crossed, left.T, strict=True)]),
        area=np.array([2.0 * hot[round(moment / step)].sum(axis=(1, 2)) * spacing**2 for moment in hot_times]),
    )


def pore_closes(physics: PhysicsConfig | None = None) -> Sequence[Check]:
    """At most 2 % of a pore is left soon after the jet has crossed it; merely advected volume leaves several times more."""
    residual = collapse(_DEFAULT_SPACING, physics or PhysicsConfig()).residual
    return [
        Check(f"part of the pore left at {pressure:g} GPa", "1", 0.02, float(part), relation="at_most")
        for pressure, part in zip(_PRESSURES, residual, strict=True)
    ]


def collapse_convergence(physics: PhysicsConfig | None = None) -> Sequence[Check]:
    """Collapse time and hot-spot area on cells of twice, once and half the default size.

    The collapse time of the default cells must be within 5 % of that of the fine ones, and the area after
    collapse within 15 %; the orders are those of the change from one grid to the next. Areas of growing hot
    spots converge at first order and are within 50 % only: a burning front is as thick as its cells, since
    heat conduction would need far smaller ones.
    """
    hot_times = (0.76, 2.0)
    coarse, middle, fine = (collapse(_DEFAULT_SPACING * factor, physics or PhysicsConfig(), hot_times) for factor in (2.0, 1.0, 0.5))
    checks = [
        Check(f"collapse time at {pressure:g} GPa", "ns", float(fine.time[i]), float(middle.time[i]), 0.05)
        for i, pressure in enumerate(_PRESSURES)
    ]
    checks.append(Check("order of the collapse time", "1", 0.5, _order(coarse.time, middle.time, fine.time), relation="at_least"))
    for moment, *areas in zip(hot_times, coarse.area, middle.area, fine.area, strict=True):
        early = moment == hot_times[0]
        means = [float(area.mean()) for area in areas]
        checks.append(Check(f"hot-spot area at {moment:g} ns, mean", "µm²", means[2], means[1], 0.15 if early else 0.5))
        checks.append(Check(f"order of the hot-spot area at {moment:g} ns", "1", 0.5, _order(*areas), relation="at_least"))
    return checks


def _order(coarse: np.ndarray, middle: np.ndarray, fine: np.ndarray) -> float:
    """Order of convergence from three grids that halve their cells, of the mean over pressures."""
    return float(np.log2(abs(np.mean(coarse - middle)) / abs(np.mean(middle - fine))))


def _area(gas: torch.Tensor) -> np.ndarray:
    return gas.double().sum(dim=(1, 2)).numpy()


def _half_disc(spacing: float, subcells: int = 8) -> np.ndarray:
    """Gas fraction (y, x) of the pore's upper half."""
    ny, nx = (round(extent / spacing) for extent in _EXTENT)
    fine = spacing / subcells
    x, y = ((np.arange(n * subcells) + 0.5) * fine for n in (nx, ny))
    inside = (x[None, :] - _CENTRE) ** 2 + y[:, None] ** 2 < (0.5 * _DIAMETER) ** 2
    return GAS_FLOOR + (1.0 - GAS_FLOOR - SOLID_FLOOR) * inside.reshape(ny, subcells, nx, subcells).mean(axis=(1, 3))
