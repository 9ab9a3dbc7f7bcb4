"""Collapse of a round pore: closure, and convergence with the cells' size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from probtokens.config import EvaluateConfig, PhysicsConfig
from probtokens.evaluate.hotspots import hotspot_area
from probtokens.simulate.eos import hmx, hugoniot
from probtokens.simulate.initial import SHOCK_START, shocked_crystal
from probtokens.simulate.microstructure import GAS_FLOOR, SOLID_FLOOR
from probtokens.simulate.run import build_solver, observe
from probtokens.verify.check import Check

_PRESSURES = (9.0, 11.0, 13.0)
_DIAMETER = 0.5
_CENTRE, _LENGTH, _HEIGHT = 0.96, 2.88, 0.96  # µm
_DEFAULT_SPACING = 0.04

#: A pore counts as collapsed when this part of its area is left.
_COLLAPSED = 0.05


@dataclass(frozen=True, slots=True)
class Collapse:
    """What a pore did, one column per shock pressure.

    Attributes
    ----------
    times
        [ns], (time,).
    left
        Part of the pore's area that is left, (time, pressure).
    hot
        Hot-spot area [µm²], (time, pressure).
    arrival
        When the shock reaches the pore [ns], (pressure,).
    crossing
        How long a free surface takes to cross the pore one and a quarter times [ns], (pressure,).
    """

    times: np.ndarray
    left: np.ndarray
    hot: np.ndarray
    arrival: np.ndarray
    crossing: np.ndarray

    @property
    def collapse_time(self) -> np.ndarray:
        """From the shock's arrival until ``_COLLAPSED`` of the pore is left [ns], (pressure,)."""
        moments = [np.interp(-_COLLAPSED, -column, self.times) for column in self.left.T]
        return np.array(moments) - self.arrival

    @property
    def residual(self) -> np.ndarray:
        """Part of the pore that is left after ``crossing``, (pressure,)."""
        return self._at(self.left, self.arrival + self.crossing)

    def hot_area(self, moment: float, after_arrival: bool = False) -> np.ndarray:
        """Hot-spot area [µm²] at ``moment`` [ns] of the simulation or after the shock's arrival, (pressure,)."""
        return self._at(self.hot, moment + (self.arrival if after_arrival else np.zeros_like(self.arrival)))

    def _at(self, curves: np.ndarray, moments: np.ndarray) -> np.ndarray:
        return np.array([np.interp(moment, self.times, column) for moment, column in zip(moments, curves.T, strict=True)])


def collapse(spacing: float, physics: PhysicsConfig, duration: float, centre: float = _CENTRE, length: float = _LENGTH) -> Collapse:
    """Shock a round pore whose lower half the bottom wall mirrors away.

    Parameters
    ----------
    spacing
        Cell edge [µm].
    duration
        [ns], a multiple of 0.02.
    centre, length
        Where the pore is and how long the domain is [µm].
    """
    solver = build_solver(physics, spacing)
    porosity = np.stack([_half_disc(spacing, centre, length)] * len(_PRESSURES))
    dtype = getattr(torch, physics.dtype)
    state, outside = shocked_crystal(porosity, np.array(_PRESSURES), solver.model.mixture, spacing, physics.frame, dtype)
    step, pace = 0.02, None
    gas, hot = [], []
    for index in range(round(duration / step) + 1):
        if index:
            state, _, pace = solver.advance(state, outside, step, pace)
        gas.append(state.gas.double().sum(dim=(1, 2)).numpy())
        temperature = observe(solver.model, state)["temperature"]
        hot.append(2.0 * hotspot_area(temperature, EvaluateConfig().hotspot_threshold, spacing**2))
    shocks = [hugoniot(hmx(physics.eos), pressure) for pressure in _PRESSURES]
    return Collapse(
        times=step * np.arange(len(gas)),
        left=np.array(gas) / gas[0],
        hot=np.array(hot),
        arrival=np.array([(centre - _DIAMETER / 2 - SHOCK_START) / shock.shock_velocity for shock in shocks]),
        crossing=np.array([1.25 * _DIAMETER / (2.0 * shock.particle_velocity) for shock in shocks]),
    )


def pore_closes(physics: PhysicsConfig | None = None) -> Sequence[Check]:
    """At most 2 % of a pore is left soon after the jet has crossed it; merely advected volume leaves several times more."""
    residual = collapse(_DEFAULT_SPACING, physics or PhysicsConfig(), duration=0.5).residual
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
    runs = [collapse(_DEFAULT_SPACING * factor, physics or PhysicsConfig(), duration=2.0) for factor in (2.0, 1.0, 0.5)]
    times = [run.collapse_time for run in runs]
    checks = [
        Check(f"collapse time at {pressure:g} GPa", "ns", float(fine), float(default), 0.05)
        for pressure, default, fine in zip(_PRESSURES, times[1], times[2], strict=True)
    ]
    checks.append(Check("order of the collapse time", "1", 0.5, _order(*times), relation="at_least"))
    for moment, tolerance in ((0.75, 0.15), (2.0, 0.5)):
        areas = [run.hot_area(moment) for run in runs]
        checks.append(Check(f"hot-spot area at {moment:g} ns, mean", "µm²", float(areas[2].mean()), float(areas[1].mean()), tolerance))
        checks.append(Check(f"order of the hot-spot area at {moment:g} ns", "1", 0.5, _order(*areas), relation="at_least"))
    return checks


def frame_invariance(physics: PhysicsConfig | None = None) -> Sequence[Check]:
    """The same pore 0.96 and 4 µm from the piston, and 4 µm away in the laboratory frame.

    What moves through the grid is smeared: pores on their way to the shock with shocked material at rest, hot
    spots in the laboratory frame. Collapse times must agree within 3 %, areas half a nanosecond after the shock's
    arrival within 15 %.
    """
    physics = physics or PhysicsConfig()
    laboratory = physics.model_copy(update={"frame": "laboratory"})
    near = collapse(_DEFAULT_SPACING, physics, duration=0.7)
    far = collapse(_DEFAULT_SPACING, physics, duration=1.4, centre=4.0, length=5.6)
    moving = collapse(_DEFAULT_SPACING, laboratory, duration=1.4, centre=4.0, length=7.2)
    checks = []
    for name, reference, run in (("far from the piston", near, far), ("in the laboratory frame", far, moving)):
        for i, pressure in enumerate(_PRESSURES):
            one, two = float(reference.collapse_time[i]), float(run.collapse_time[i])
            checks.append(Check(f"collapse time {name} at {pressure:g} GPa", "ns", one, two, 0.03))
        expected, measured = (float(case.hot_area(0.5, after_arrival=True).mean()) for case in (reference, run))
        checks.append(Check(f"hot-spot area {name}, mean", "µm²", expected, measured, 0.15))
    return checks


def _order(coarse: np.ndarray, middle: np.ndarray, fine: np.ndarray) -> float:
    """Order of convergence from three grids that halve their cells, of the mean over pressures."""
    return float(np.log2(abs(np.mean(coarse - middle)) / abs(np.mean(middle - fine))))


def _half_disc(spacing: float, centre: float, length: float, subcells: int = 8) -> np.ndarray:
    """Gas fraction (y, x) of the pore's upper half."""
    ny, nx = round(_HEIGHT / spacing), round(length / spacing)
    fine = spacing / subcells
    x, y = ((np.arange(n * subcells) + 0.5) * fine for n in (nx, ny))
    inside = (x[None, :] - centre) ** 2 + y[:, None] ** 2 < (0.5 * _DIAMETER) ** 2
    return GAS_FLOOR + (1.0 - GAS_FLOOR - SOLID_FLOOR) * inside.reshape(ny, subcells, nx, subcells).mean(axis=(1, 3))
