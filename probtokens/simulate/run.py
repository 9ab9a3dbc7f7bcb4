"""One batch of simulations: initial state, frames of observable fields, quality figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from probtokens.config import PhysicsConfig
from probtokens.fields import Grid
from probtokens.simulate.boundaries import Boundaries, Kind
from probtokens.simulate.eos import PORE_GAS, hmx
from probtokens.simulate.flow import FlowModel
from probtokens.simulate.initial import shocked_crystal
from probtokens.simulate.kinetics import Tarver
from probtokens.simulate.mixture import Mixture, State
from probtokens.simulate.solver import Pace, Solver

#: Stored fields and their units.
FIELD_UNITS = {
    "temperature": "K",
    "pressure": "GPa",
    "solid_fraction": "1",
    "reacted_fraction": "1",
    "velocity_x": "km/s",
    "velocity_y": "km/s",
}

#: Rate [1/ns] of heat exchange between solid and gas in mixed cells.
HEAT_EXCHANGE = 20.0

#: A run counts as ignited when any stored temperature [K] exceeds this.
IGNITION_TEMPERATURE = 2000.0


@dataclass(frozen=True, slots=True)
class BatchResult:
    """Frames, field name -> float32 (simulation, time, y, x), and scalars, name -> (simulation,)."""

    frames: dict[str, np.ndarray]
    scalars: dict[str, np.ndarray]


def build_solver(physics: PhysicsConfig, spacing: float) -> Solver:
    """Solver for porous HMX with cells of edge ``spacing`` [µm]."""
    left: Kind = "wall" if physics.frame == "piston" else "inflow"
    model = FlowModel(
        mixture=Mixture(hmx(physics.eos), PORE_GAS, kapila=physics.kapila),
        boundaries=Boundaries(left=left, right="far", bottom="wall", top="wall"),
        spacing=spacing,
        viscosity=physics.viscosity,
        viscous_density=hmx(physics.eos).rho0,
        kinetics=Tarver() if physics.kinetics == "tarver" else None,
        heat_exchange=HEAT_EXCHANGE,
    )
    return Solver(model, cfl=physics.cfl, compiled=physics.compile)


def run_batch(
    solver: Solver,
    porosity: np.ndarray,
    shock_pressure: np.ndarray,
    grid: Grid,
    physics: PhysicsConfig,
    progress: Callable[[str], None] | None = None,
) -> BatchResult:
    """Simulate a batch of porous crystals.

    Parameters
    ----------
    solver
        From :func:`build_solver` with the same ``physics`` and grid spacing.
    porosity
        Gas volume fraction (simulation, y, x).
    shock_pressure
        [GPa], (simulation,).
    grid
        Frame 0 is the initial state.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = getattr(torch, physics.dtype)
    mixture = solver.model.mixture
    state, outside = shocked_crystal(porosity, shock_pressure, mixture, grid.spacing, physics.frame, dtype)
    state = State(*(value.to(device) for value in state))
    outside = State(*(value.to(device) for value in outside))
    start = _totals(solver.model, state)
    outflow = torch.zeros_like(start)
    frames = [_observe(solver.model, state)]
    pace: Pace | None = None
    for index in range(1, grid.n_times):
        state, lost, pace = solver.advance(state, outside, grid.time_step, pace)
        outflow += lost / grid.spacing
        frames.append(_observe(solver.model, state))
        if progress is not None:
            progress(f"frame {index + 1}/{grid.n_times}: hottest {float(frames[-1]['temperature'].max()):.0f} K")
    stacked = {name: np.stack([frame[name] for frame in frames], axis=1) for name in FIELD_UNITS}
    drift = ((_totals(solver.model, state) + outflow - start) / start).abs().amax(dim=-1)
    hottest = stacked["temperature"].max(axis=(1, 2, 3))
    scalars = {
        "shock_pressure": np.asarray(shock_pressure, dtype=np.float64),
        "max_temperature": hottest.astype(np.float64),
        "ignited": (hottest > IGNITION_TEMPERATURE).astype(np.float64),
        "conservation_drift": drift.cpu().numpy(),
    }
    return BatchResult(stacked, scalars)


def _totals(model: FlowModel, state: State) -> Tensor:
    """Mass and total energy of every simulation, in units of cells (batch, 2), double precision."""
    mass = state.solid_mass + state.gas_mass
    energy = model.total_energy(state)
    return torch.stack([value.double().sum(dim=(-2, -1)) for value in (mass, energy)], dim=-1)


@torch.no_grad()
def _observe(model: FlowModel, state: State) -> dict[str, np.ndarray]:
    """Stored fields, float32 (simulation, y, x).

    ``temperature`` is that of :meth:`Mixture.temperature`; ``reacted_fraction`` the mass of final
    products D per mass of mixture.
    """
    primitive, _ = model.mixture.primitive(state)
    products = state.solid_mass - state.species_a - state.species_b - state.species_c
    mass = state.solid_mass + state.gas_mass
    fields = {
        "temperature": model.mixture.temperature(primitive),
        "pressure": primitive.pressure,
        "solid_fraction": 1.0 - state.gas,
        "reacted_fraction": (products / mass).clamp(0.0, 1.0),  # only round-off leaves [0, 1]
        "velocity_x": primitive.velocity_x,
        "velocity_y": primitive.velocity_y,
    }
    return {name: value.float().cpu().numpy() for name, value in fields.items()}
