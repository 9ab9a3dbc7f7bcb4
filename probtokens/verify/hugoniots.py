"""Shocks in HMX against the Rankine–Hugoniot relations and the measured Us–up line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy.integrate import quad
from scipy.optimize import brentq

from probtokens.simulate.boundaries import Boundaries
from probtokens.simulate.eos import AMBIENT_PRESSURE, LASL, PORE_GAS, MieGruneisen, ambient_density
from probtokens.simulate.flow import FlowModel
from probtokens.simulate.mixture import Mixture, Phases
from probtokens.simulate.solver import Solver
from probtokens.verify.check import Check
from probtokens.verify.tracking import last_fall

#: Pressures [GPa] of the piston shocks.
PRESSURES = (4.0, 9.5, 15.0, 22.0, 30.0)

#: U_s = c0 + s u_p of solid HMX and its density [km/s, 1, g/cm³] (LASL Shock Hugoniot Data, Marsh 1980).
LASL_LINE = (2.901, 2.058, 1.891)

_SPACING = 0.04
_CELLS = 260
_DURATION = 1.6


@dataclass(frozen=True, slots=True)
class Shock:
    """State behind a shock into crystal at rest: GPa, g/cm³, K, km/s."""

    pressure: float
    density: float
    temperature: float
    particle_velocity: float
    shock_velocity: float


def rankine_hugoniot(eos: MieGruneisen, pressure: float) -> Shock:
    """Hugoniot state of ``eos`` by numerical integration and root finding.

    Only parameters are shared with :mod:`probtokens.simulate.eos`: the energy on the isotherm is the integral
    of −p + T₀ Cv Γ/V over volume, and the state behind the shock solves e − e₀ = (p + p₀)(V₀ − V)/2.
    """
    gamma_per_volume = eos.gruneisen * eos.rho0
    heat = eos.heat_capacity * eos.reference_temperature

    def cold(volume: float) -> float:
        x = 1.0 / (volume * eos.rho0)
        if eos.curve == "murnaghan" or x < 1.0:
            return eos.bulk / eos.bulk_prime * (x**eos.bulk_prime - 1.0)
        strain_terms = x ** (7 / 3) - x ** (5 / 3)
        return 1.5 * eos.bulk * strain_terms * (1.0 + 0.75 * (eos.bulk_prime - 4.0) * (x ** (2 / 3) - 1.0))

    def energy(volume: float, p: float) -> float:
        work, _ = quad(cold, volume, 1.0 / eos.rho0, epsabs=1e-13, epsrel=1e-12)
        isotherm = work + heat * gamma_per_volume * (volume - 1.0 / eos.rho0)
        return isotherm + (p - cold(volume)) / gamma_per_volume

    ahead = brentq(lambda v: cold(v) - AMBIENT_PRESSURE, 0.9 / eos.rho0, 1.1 / eos.rho0, xtol=1e-15)

    def excess(volume: float) -> float:
        work = 0.5 * (pressure + AMBIENT_PRESSURE) * (ahead - volume)
        return energy(volume, pressure) - energy(ahead, AMBIENT_PRESSURE) - work

    volume = brentq(excess, 0.45 * ahead, ahead * (1.0 - 1e-6), xtol=1e-14)
    jump = pressure - AMBIENT_PRESSURE
    velocity = math.sqrt(jump * (ahead - volume))
    temperature = eos.reference_temperature + (pressure - cold(volume)) / (gamma_per_volume * eos.heat_capacity)
    return Shock(pressure, 1.0 / volume, temperature, velocity, ahead * jump / velocity)


def piston(eos: MieGruneisen, velocities: Sequence[float], viscosity: float = 0.0) -> list[Shock]:
    """Simulate crystal that hits a wall at ``velocities`` [km/s], all in one batch, and measure its shocks.

    States are averaged over 30–80 % of the shocked layer: the wall keeps some heat of the impact. The
    shock's speed is that of the half-pressure point over the second half of the run.
    """
    mixture = Mixture(eos, PORE_GAS)
    one = torch.ones((len(velocities), 2, _CELLS), dtype=torch.float64)
    velocity = torch.tensor(velocities, dtype=torch.float64).reshape(-1, 1, 1)
    gas_density = PORE_GAS.density(AMBIENT_PRESSURE, 300.0)
    phases = Phases(1e-6 * one, ambient_density(eos) * one, gas_density * one, -velocity * one, 0.0 * one, AMBIENT_PRESSURE * one)
    solver = Solver(FlowModel(mixture, Boundaries("wall", "open"), _SPACING, viscosity, eos.rho0))
    state, speed, fronts = mixture.state(phases), None, []
    for _ in range(2):
        state, _, speed = solver.advance(state, None, _DURATION / 2, speed)
        cells, _ = mixture.primitive(state)
        pressure = cells.pressure[:, 0].numpy()
        fronts.append([last_fall(profile, 0.5 * profile[10], _SPACING) for profile in pressure])
    density = (state.solid_mass + state.gas_mass)[:, 0].numpy()
    temperature = mixture.solid_temperature(cells)[:, 0].numpy()
    shocks = []
    for index, (early, late) in enumerate(zip(*fronts, strict=True)):
        layer = slice(int(0.3 * late / _SPACING), int(0.8 * late / _SPACING))
        mean_pressure, mean_density, mean_temperature = (float(v[index, layer].mean()) for v in (pressure, density, temperature))
        wave = (late - early) / (_DURATION / 2) + velocities[index]
        shocks.append(Shock(mean_pressure, mean_density, mean_temperature, velocities[index], wave))
    return shocks


def piston_shocks(eos: MieGruneisen, simulated: MieGruneisen | None = None, viscosity: float = 0.1) -> Sequence[Check]:
    """Piston shocks of 4–30 GPa against the Hugoniot of ``eos``; ``simulated`` takes its place in the simulation."""
    exact = [rankine_hugoniot(eos, pressure) for pressure in PRESSURES]
    got = piston(simulated or eos, [shock.particle_velocity for shock in exact], viscosity)
    checks = []
    for one, two in zip(exact, got, strict=True):
        at = f"at {one.pressure:g} GPa"
        checks += [
            Check(f"p {at}", "GPa", one.pressure, two.pressure, 0.002),
            Check(f"ρ {at}", "g/cm³", one.density, two.density, 0.002),
            Check(f"U_s {at}", "km/s", one.shock_velocity, two.shock_velocity, 0.002),
            Check(f"T {at}", "K", one.temperature, two.temperature, 0.002),
        ]
    return checks


def lasl_line(eos: MieGruneisen = LASL) -> Sequence[Check]:
    """Piston shocks against the measured line, for u_p of 0.5–2.4 km/s, and the state at 9.5 GPa."""
    intercept, slope, density = LASL_LINE
    velocities = [0.5, 1.0092, 1.5, 2.0, 2.4]
    checks = []
    for velocity, shock in zip(velocities, piston(eos, velocities), strict=True):
        wave = intercept + slope * velocity
        at = f"at u_p {velocity:g} km/s"
        checks += [
            Check(f"U_s {at}", "km/s", wave, shock.shock_velocity, 0.01),
            Check(f"p {at}", "GPa", density * wave * velocity, shock.pressure, 0.01),
            Check(f"ρ {at}", "g/cm³", density * wave / (wave - velocity), shock.density, 0.01),
        ]
    return checks
