"""One batch of simulations: initial state, frames of observable fields, quality figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from probtokens.config import PhysicsConfig
from probtokens.fields import Grid
from probtokens.simulate.boundaries import Boundaries, Kind
from probtokens.simulate.eos import PORE_GAS, hmx
from probtokens.simulate.flow import FlowModel
from probtokens.simulate.initial import shocked_crystal
from probtokens.simulate.kinetics import hmx_kinetics
from probtokens.simulate.mixture import Mixture, State
from probtokens.simulate.quality import ignition
from probtokens.simulate.solver import Pace, Solver, UnstableError

#: Stored fields and their units.
FIELD_UNITS = {
    "temperature": "K",
    "pressure": "GPa",
    "solid_fraction": "1",
    "reacted_fraction": "1",
    "velocity_x": "km/s",
    "velocity_y": "km/s",
}
#: Stored scalars and their units.
SCALAR_UNITS = {
    "shock_pressure": "GPa",
    "max_temperature": "K",
    "ignited": "1",
    "ignition_time": "ns",
    "conservation_drift": "1",
    "max_courant": "1",
}

#: Rate [1/ns] of heat exchange between solid and gas in mixed cells.
HEAT_EXCHANGE = 20.0


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
        boundaries=Boundaries(left=left, right=physics.right, bottom=physics.lateral, top=physics.lateral),
        spacing=spacing,
        viscosity=physics.viscosity,
        viscous_density=hmx(physics.eos).rho0,
        kinetics=hmx_kinetics(physics.kinetics),
        heat_exchange=HEAT_EXCHANGE,
    )
    return Solver(model, cfl=physics.cfl, compiled=physics.compile)


def run_batch(
    solver: Solver,
    porosity: np.ndarray,
    shock_pressure: np.ndarray,
    grid: Grid,
    physics: PhysicsConfig,
    progress: Callable[[int, str], None] | None = None,
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
    progress
        Receives the number of frames computed and a line about the last of them.

    Raises
    ------
    UnstableError
        If a frame of one of the simulations cannot be computed.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = getattr(torch, physics.dtype)
    mixture = solver.model.mixture
    state, outside = shocked_crystal(porosity, shock_pressure, mixture, grid.spacing, physics.frame, dtype)
    state = State(*(value.to(device) for value in state))
    outside = State(*(value.to(device) for value in outside))
    start = _totals(solver.model, state)
    outflow = np.zeros_like(start)
    frames = [observe(solver.model, state)]
    courant = np.zeros(len(porosity))
    pace: Pace | None = None
    for index in range(1, grid.n_times):
        try:
            state, lost, pace = solver.advance(state, outside, grid.time_step, pace)
        except UnstableError as error:
            raise UnstableError(f"frame {index}: {error}") from None
        outflow += lost.cpu().numpy() / grid.spacing
        courant = np.maximum(courant, pace.courant.cpu().numpy())
        frames.append(observe(solver.model, state))
        if progress is not None:
            progress(index, f"frame {index + 1}/{grid.n_times}: hottest {float(frames[-1]['temperature'].max()):.0f} K")
    stacked = {name: np.stack([frame[name] for frame in frames], axis=1) for name in FIELD_UNITS}
    drift = np.abs((_totals(solver.model, state) + outflow - start) / start).max(axis=-1)
    scalars = {
        "shock_pressure": np.asarray(shock_pressure, dtype=np.float64),
        **ignition(stacked["temperature"], grid.time_step),
        "conservation_drift": drift,
        "max_courant": courant,
    }
    return BatchResult(stacked, scalars)


def _totals(model: FlowModel, state: State) -> np.ndarray:
    """Mass and total energy of every simulation, in units of cells (batch, 2), double precision.

    Summed by NumPy, whose order does not depend on the number of threads.
    """
    mass = state.solid_mass + state.gas_mass
    energy = model.total_energy(state)
    return np.stack([value.double().cpu().numpy().sum(axis=(-2, -1)) for value in (mass, energy)], axis=-1)


@torch.no_grad()
def observe(model: FlowModel, state: State) -> dict[str, np.ndarray]:
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
        "reacted_fraction": (products / mass).clamp(0.0, 1.0),  # products fall a little below 0 beside steep fronts
        "velocity_x": primitive.velocity_x,
        "velocity_y": primitive.velocity_y,
    }
    return {name: value.float().cpu().numpy() for name, value in fields.items()}
