"""Initial states: a porous crystal with a shock that has just entered from the left."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from probtokens.simulate.eos import (
    AMBIENT_PRESSURE,
    AMBIENT_TEMPERATURE,
    MieGruneisen,
    ShockState,
    ambient_density,
    hugoniot,
)
from probtokens.simulate.mixture import Mixture, Phases, State

Frame = Literal["piston", "laboratory"]

#: Initial distance of the shock from the left edge [µm]. Starting away from the wall avoids the
#: spurious wall heating of a shock that forms by impact.
SHOCK_START = 0.16

#: Initial half-width of the shock, in cells: about that of the steady captured one, so that the
#: start leaves little spurious heat behind.
SHOCK_WIDTH = 1.2

#: Cells with more than this many times the least gas fraction belong to a pore.
_PORE = 10.0


def shocked_crystal(
    porosity: np.ndarray,
    shock_pressure: np.ndarray,
    mixture: Mixture,
    spacing: float,
    frame: Frame,
    dtype: torch.dtype = torch.float32,
) -> tuple[State, State]:
    """Initial state and left-edge inflow of a batch of shocked porous crystals.

    Parameters
    ----------
    porosity
        Gas volume fraction (batch, y, x), in (0, 1).
    shock_pressure
        Pressure behind the shock [GPa], (batch,).
    mixture
        Solid and pore gas.
    spacing
        Cell edge [µm].
    frame
        ``piston``: shocked material at rest, the crystal arrives from the right at −u_p.
        ``laboratory``: the crystal at rest, shocked material follows at u_p.

    Returns
    -------
    State (batch, y, x) and the shocked state that flows in on the left (batch, 1, 1).
    """
    if shock_pressure.shape != porosity.shape[:1]:
        raise ValueError(f"shock pressure: expected shape {porosity.shape[:1]}, got {shock_pressure.shape}")
    if not isinstance(mixture.solid, MieGruneisen):
        raise ValueError(f"solid: expected a Mie–Grüneisen equation of state, got {type(mixture.solid).__name__}")
    shocks = [hugoniot(mixture.solid, float(p)) for p in shock_pressure]
    gas = torch.as_tensor(porosity, dtype=torch.float64)
    trace = gas.amin(dim=(1, 2), keepdim=True)
    x = (torch.arange(gas.shape[-1], dtype=torch.float64) + 0.5) * spacing
    weight = 0.5 * (1.0 - torch.tanh((x - SHOCK_START) / (SHOCK_WIDTH * spacing)))
    front = _front(weight.expand_as(gas), trace, shocks, mixture, frame)
    ahead = _ahead(gas, front, mixture)
    start = Phases(*(torch.where(gas > _PORE * trace, a, b) for a, b in zip(ahead, front, strict=True)))
    behind = _front(torch.ones_like(trace), trace, shocks, mixture, frame)
    state, outside = mixture.state(start), mixture.state(behind)
    return State(*(v.to(dtype) for v in state)), State(*(v.to(dtype) for v in outside))


def _column(values: list[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).reshape(-1, 1, 1)


def _front(weight: Tensor, trace: Tensor, shocks: list[ShockState], mixture: Mixture, frame: Frame) -> Phases:
    """Solid in the profile of a steady viscous shock, from undisturbed (weight 0) to shocked (weight 1).

    Along the profile mass and energy fluxes are those of the jump: ρ = ρ₀U/(U − u) and
    e = e₀ + u²/2 + p₀u/(ρ₀U) for material moving at u = weight·u_p relative to that ahead. The trace
    of gas is compressed isentropically.
    """
    solid = mixture.solid
    assert isinstance(solid, MieGruneisen)
    particle, wave = _column([s.particle_velocity for s in shocks]), _column([s.shock_velocity for s in shocks])
    ahead = torch.full_like(weight, ambient_density(solid))
    initial = solid.affine(ahead)
    velocity = weight * particle
    density = ahead * wave / (wave - velocity)
    work = 0.5 * velocity**2 + AMBIENT_PRESSURE * velocity / (ahead * wave)
    energy = (initial.energy_0 + initial.energy_1 * AMBIENT_PRESSURE) / ahead + work
    here = solid.affine(density)
    pressure = ((density * energy - here.energy_0) / here.energy_1).clamp_min(AMBIENT_PRESSURE)
    compression = (pressure / AMBIENT_PRESSURE) ** (1.0 / mixture.gas.gamma)
    return Phases(
        gas=trace / compression,
        solid_density=density,
        gas_density=mixture.gas.density(AMBIENT_PRESSURE, AMBIENT_TEMPERATURE) * compression,
        velocity_x=velocity - particle if frame == "piston" else velocity,
        velocity_y=torch.zeros_like(weight),
        pressure=pressure,
    )


def _ahead(gas: Tensor, front: Phases, mixture: Mixture) -> Phases:
    """Undisturbed pores at 1 bar and 300 K, moving like the solid far ahead of the shock."""
    assert isinstance(mixture.solid, MieGruneisen)
    one = torch.ones_like(gas)
    return Phases(
        gas=gas,
        solid_density=ambient_density(mixture.solid) * one,
        gas_density=mixture.gas.density(AMBIENT_PRESSURE, AMBIENT_TEMPERATURE) * one,
        velocity_x=front.velocity_x[..., -1:] * one,
        velocity_y=front.velocity_y,
        pressure=AMBIENT_PRESSURE * one,
    )
