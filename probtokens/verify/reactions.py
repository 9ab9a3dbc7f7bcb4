"""Reactions alone, at constant volume, against a stiff solver of ordinary differential equations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from scipy.integrate import solve_ivp

from probtokens.simulate.boundaries import Boundaries
from probtokens.simulate.eos import MENIKOFF_SEWELL, PORE_GAS
from probtokens.simulate.flow import FlowModel
from probtokens.simulate.kinetics import Arrhenius, Fractions, Kinetics, Tarver
from probtokens.simulate.mixture import Mixture, Phases
from probtokens.simulate.solver import Solver
from probtokens.verify.check import Check

#: Time step of the compared integration [ns], near that of simulations with cells of 0.04 µm.
_STEP = 0.002
_CV = MENIKOFF_SEWELL.heat_capacity
_KJ_PER_CAL_PER_GRAM = 4.184e-3
_GAS_CONSTANT = 1.9872e-3  # kcal/mol/K

Slope = Callable[[float, np.ndarray], list[float]]


def _tarver_slope(_: float, y: np.ndarray) -> list[float]:
    """d(A, B, C, T)/dt [1/ns], with the published constants written out anew."""
    a, b, c, temperature = y

    def rate(ln_z: float, kcal: float) -> float:
        return float(1e-9 * np.exp(ln_z - kcal / (_GAS_CONSTANT * np.clip(temperature, 250.0, 6000.0))))

    one, two, three = rate(48.7, 52.7) * a, rate(37.3, 44.1) * b, rate(28.1, 34.1) * c * c
    heat = _KJ_PER_CAL_PER_GRAM * (-100.0 * one + 300.0 * two + 1200.0 * three)
    return [-one, one - two, two - three, heat / _CV]


def _arrhenius_slope(_: float, y: np.ndarray) -> list[float]:
    rate = 5.58e3 * np.exp(-17920.0 / np.clip(y[3], 250.0, 6000.0)) * y[0]
    return [-rate, 0.0, 0.0, 1400.0 * _KJ_PER_CAL_PER_GRAM * rate / _CV]


def tarver_reaction(kinetics: Kinetics | None = None) -> Sequence[Check]:
    """Three steps: from 1000 K only the first runs, from 1300 K burning takes 12 ns, from 2500 K it is at once."""
    return _compare(kinetics or Tarver(), _tarver_slope, {1000.0: 6.0, 1300.0: 16.0, 1500.0: 4.0, 2500.0: 1.0})


def arrhenius_reaction(kinetics: Kinetics | None = None) -> Sequence[Check]:
    """A single step, far slower than three: from 1400 K burning takes several ns."""
    return _compare(kinetics or Arrhenius(), _arrhenius_slope, {1400.0: 16.0, 1800.0: 4.0, 2500.0: 1.0, 3500.0: 1.0})


def reacting_flow() -> Sequence[Check]:
    """Hot crystal at rest in a closed box: the flow solver must burn it as the reactions alone do, at constant volume."""
    density, step = 2.3, _STEP
    checks = []
    for start, duration in ((1500.0, 1.2), (2500.0, 0.4)):
        times, temperature = _burn_in_a_box(density, start, duration, step)
        exact = solve_ivp(_tarver_slope, (0.0, duration), [1.0, 0.0, 0.0, start], "Radau", dense_output=True, rtol=1e-9, atol=1e-12)
        reference = exact.sol(times)[3]
        expected, measured = (_rise(times, path, 4000.0) for path in (reference, temperature))
        at = f"from {start:g} K"
        checks += [
            Check(f"time to 4000 K {at}", "ns", expected, measured, max(0.01 * expected, step), "absolute"),
            Check(f"temperature after {duration:g} ns {at}", "K", float(reference[-1]), float(temperature[-1]), 0.005),
        ]
    return checks


def _burn_in_a_box(density: float, start: float, duration: float, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Times (time,) and temperatures of uniform solid in four walls; steps are no longer than ``step``."""
    mixture = Mixture(MENIKOFF_SEWELL, PORE_GAS)
    one = torch.ones((1, 3, 4), dtype=torch.float64)
    cold = float(MENIKOFF_SEWELL.temperature(density * one, 0.0 * one)[0, 0, 0])
    pressure = (start - cold) * MENIKOFF_SEWELL.coupling * _CV
    gas_density = PORE_GAS.density(pressure, start)
    state = mixture.state(Phases(1e-7 * one, density * one, gas_density * one, 0.0 * one, 0.0 * one, pressure * one))
    solver = Solver(FlowModel(mixture, Boundaries(), spacing=0.04, kinetics=Tarver()))
    times, path = [0.0], [start]
    for index in range(round(duration / step)):
        state, _, _ = solver.advance(state, None, step)
        times.append((index + 1) * step)
        path.append(float(mixture.solid_temperature(mixture.primitive(state)[0])[0, 0, 0]))
    return np.array(times), np.array(path)


def _compare(kinetics: Kinetics, slope: Slope, durations: Mapping[float, float]) -> Sequence[Check]:
    """A left early on, time to 4000 K where it is reached, and the end, from every initial temperature [K] for so many ns."""
    checks = []
    for start, duration in durations.items():
        exact = solve_ivp(slope, (0.0, duration), [1.0, 0.0, 0.0, start], "Radau", dense_output=True, rtol=1e-9, atol=1e-12)
        times = np.arange(round(duration / _STEP) + 1) * _STEP
        reference, path = exact.sol(times), _integrate(kinetics, start, times.size - 1)
        at = f"from {start:g} K"
        early = round(0.1 / _STEP)
        checks.append(Check(f"A left after 0.1 ns {at}", "1", float(reference[0, early]), float(path[0, early]), 0.01, "absolute"))
        expected, measured = (_rise(times, run[3], 4000.0) for run in (reference, path))
        if np.isfinite(expected):
            checks.append(Check(f"time to 4000 K {at}", "ns", expected, measured, max(0.01 * expected, _STEP), "absolute"))
        checks.append(Check(f"temperature after {duration:g} ns {at}", "K", float(reference[3, -1]), float(path[3, -1]), 0.005))
    return checks


def _integrate(kinetics: Kinetics, start: float, steps: int) -> np.ndarray:
    """(A, B, C, T) after every step (4, steps + 1), heated by what the kinetics release."""
    one, step = torch.ones((), dtype=torch.float64), torch.tensor(_STEP, dtype=torch.float64)
    fractions, temperature = Fractions(one, 0.0 * one, 0.0 * one), start * one
    path = [(*map(float, fractions), float(temperature))]
    for _ in range(steps):
        before = kinetics.chemical_energy(fractions)
        fractions = kinetics.advance(fractions, temperature, _CV, step)
        temperature = temperature + (before - kinetics.chemical_energy(fractions)) / _CV
        path.append((*map(float, fractions), float(temperature)))
    return np.array(path).T


def _rise(times: np.ndarray, values: np.ndarray, level: float) -> float:
    """When ``values`` last rise through ``level``; NaN if they never do."""
    below = np.flatnonzero(values < level)
    if below.size == 0 or below[-1] + 1 == times.size:
        return float("nan")
    last = below[-1]
    part = (level - values[last]) / (values[last + 1] - values[last])
    return float(times[last] + part * (times[last + 1] - times[last]))
