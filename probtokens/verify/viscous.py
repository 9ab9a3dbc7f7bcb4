"""Viscous flow of solid HMX against exact shear flows: momentum and heat."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from scipy.integrate import quad
from scipy.special import erf

from probtokens.simulate.boundaries import Boundaries
from probtokens.simulate.eos import MENIKOFF_SEWELL, PORE_GAS, ambient_density
from probtokens.simulate.flow import FlowModel
from probtokens.simulate.mixture import Mixture, Phases, Primitive
from probtokens.simulate.solver import Solver
from probtokens.verify.check import Check

_SPACING = 0.02
_CELLS = 200
_PRESSURE = 1.0


def _shear(profile: np.ndarray, viscosity: float, duration: float) -> tuple[Primitive, np.ndarray]:
    """Let crystal that moves at ``profile`` (x,) [km/s] along y shear for ``duration`` [ns]: cells and temperature rise (x,)."""
    mixture = Mixture(MENIKOFF_SEWELL, PORE_GAS)
    one = torch.ones((1, 4, profile.size), dtype=torch.float64)
    density = ambient_density(MENIKOFF_SEWELL, _PRESSURE)
    gas_density = PORE_GAS.density(_PRESSURE, 300.0)
    velocity = torch.from_numpy(profile).expand_as(one)
    state = mixture.state(Phases(1e-6 * one, density * one, gas_density * one, 0.0 * one, velocity, _PRESSURE * one))
    start = mixture.solid_temperature(mixture.primitive(state)[0])
    model = FlowModel(mixture, Boundaries("open", "open", "periodic", "periodic"), _SPACING, viscosity, MENIKOFF_SEWELL.rho0)
    state, _, _ = Solver(model).advance(state, None, duration)
    cells, _ = mixture.primitive(state)
    return cells, (mixture.solid_temperature(cells) - start)[0, 0].numpy()


def couette_heating(viscosity: float = 0.1, simulated: float | None = None) -> Sequence[Check]:
    """Uniform shear S heats at μS²/(ρ Cv), exactly, for as long as the ends have not diffused to the middle."""
    rate, duration = 1.0, 0.2
    x = (np.arange(_CELLS) + 0.5 - _CELLS / 2) * _SPACING
    cells, rise = _shear(rate * x, viscosity if simulated is None else simulated, duration)
    middle = slice(_CELLS // 2 - 20, _CELLS // 2 + 20)
    density = ambient_density(MENIKOFF_SEWELL, _PRESSURE)
    exact = viscosity * rate**2 / (density * MENIKOFF_SEWELL.heat_capacity) * duration
    slope = np.gradient(cells.velocity_y[0, 0].numpy(), _SPACING)[middle]
    return (
        Check("temperature rise in uniform shear", "K", exact, float(rise[middle].mean()), 0.005),
        Check("its spread over the middle", "K", 0.0, float(np.ptp(rise[middle])), 0.01 * exact, "absolute"),
        Check("shear rate in the middle", "1/ns", rate, float(slope.mean()), 1e-3),
    )


def shear_layer(viscosity: float = 0.1, simulated: float | None = None) -> Sequence[Check]:
    """Two half-spaces at ±U: the layer between is U erf(x/√(4νt)), and heat makes up for its kinetic energy.

    Momentum diffuses within the layer's own thickness in a density that heating and release change by
    less than the tolerance.
    """
    amplitude, begin, duration = 0.3, 0.4, 0.4
    density = ambient_density(MENIKOFF_SEWELL, _PRESSURE)
    diffusivity = viscosity / density
    x = (np.arange(_CELLS) + 0.5 - _CELLS / 2) * _SPACING

    def layer(position: np.ndarray | float, time: float) -> np.ndarray:
        return np.asarray(amplitude * erf(position / math.sqrt(4.0 * diffusivity * time)))

    cells, rise = _shear(layer(x, begin), viscosity if simulated is None else simulated, duration)
    end = begin + duration
    error = np.abs(cells.velocity_y[0, 0].numpy() - layer(x, end)).max()
    limit = _CELLS / 2 * _SPACING
    lost, _ = quad(lambda s: 0.5 * density * float(layer(s, begin) ** 2 - layer(s, end) ** 2), -limit, limit, epsabs=1e-10)
    heat = float((cells.solid_density[0, 0].numpy() * MENIKOFF_SEWELL.heat_capacity * rise).sum() * _SPACING)
    return (
        Check("velocity in the layer, largest error", "km/s", 0.0, float(error), 0.01 * amplitude, "absolute"),
        Check("heat per area of the layer", "GPa·µm", lost, heat, 0.02),
    )
