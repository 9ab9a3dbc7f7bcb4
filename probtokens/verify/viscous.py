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
from probtokens.simulate.viscosity import ViscousFlux, viscous_flux
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


def stress_tensor(viscosity: float = 0.1) -> Sequence[Check]:
    """Fluxes in a linear velocity field against −μ(∇u + ∇uᵀ − ⅔ div u) and its work, on both kinds of face.

    Four gradients of different size tell every component apart; a rigid rotation must give none.
    """
    checks = []
    for name, gradient in (("general", np.array([[0.7, -0.4], [1.1, 0.3]])), ("rotation", np.array([[0.0, -0.9], [0.9, 0.0]]))):
        exact = viscosity * (gradient + gradient.T - np.eye(2) * 2.0 / 3.0 * np.trace(gradient))
        for axis, dim in enumerate((-1, -2)):
            got, velocity = _linear_flux(gradient, viscosity, dim)
            work = exact[axis, 0] * velocity[0] + exact[axis, 1] * velocity[1]
            for label, expected, measured in (
                ("x", exact[axis, 0], -got.momentum_x),
                ("y", exact[axis, 1], -got.momentum_y),
                ("work", work, -got.energy),
            ):
                error = float((measured - expected).abs().max())
                face = f"{name}, face normal to {'xy'[axis]}, {label}"
                checks.append(Check(face, "GPa", 0.0, error, 1e-12, "absolute"))
    return checks


def _linear_flux(gradient: np.ndarray, viscosity: float, dim: int) -> tuple[ViscousFlux, tuple[torch.Tensor, torch.Tensor]]:
    """Viscous flux of u_i = Σ_j gradient[i, j] x_j in dense solid, and the velocity at the faces."""
    ny, nx = 7, 9
    x, y = ((torch.arange(n, dtype=torch.float64) - 2.0 + 0.5) * _SPACING for n in (nx + 4, ny + 4))
    position = (x[None, None, :].expand(1, ny + 4, nx + 4), y[None, :, None].expand(1, ny + 4, nx + 4))
    u, v = (gradient[i, 0] * position[0] + gradient[i, 1] * position[1] for i in range(2))
    one = torch.ones_like(u)
    dense = 2.0 * MENIKOFF_SEWELL.rho0
    cells = Primitive(1e-9 * one, dense * one, one, u, v, one, one, one, one, one)
    inside = (slice(None), slice(2, -2), slice(1, -1)) if dim == -1 else (slice(None), slice(1, -1), slice(2, -2))
    low, high = (slice(None, -1), slice(1, None))
    pick = ((slice(None), slice(None), low), (slice(None), slice(None), high)) if dim == -1 else ((slice(None), low), (slice(None), high))
    faces = [0.5 * (value[inside][pick[0]] + value[inside][pick[1]]) for value in (u, v)]
    return viscous_flux(cells, viscosity, MENIKOFF_SEWELL.rho0, _SPACING, dim), (faces[0], faces[1])
