"""An air cavity in water, run over by a Mach 1.72 shock."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from probtokens.simulate.boundaries import Boundaries
from probtokens.simulate.eos import StiffenedGas
from probtokens.simulate.flow import FlowModel
from probtokens.simulate.mixture import Mixture, Phases
from probtokens.simulate.solver import Solver
from probtokens.verify.check import Check
from probtokens.verify.tracking import first_rise, last_fall

_MACH = 1.72
_WATER = StiffenedGas(4.4, 0.6)
_AMBIENT = 1e-4
_RADIUS = 0.5

#: State behind the shock and the first speed of the cavity's wall: GPa, g/cm³, km/s.
_EXACT = {"pressure": 1.915, "density": 1.3248, "velocity": 0.6852, "shock": 2.7949, "wall": 1.406}


def cavity_shock(cells_per_radius: int = 160) -> Sequence[Check]:
    """State behind the shock, and the speed of the upstream wall while it moves the third and fourth percent of the radius.

    Before that the shock, some cells wide, is still arriving; later the curved wall accelerates inwards.
    """
    spacing = _RADIUS / cells_per_radius
    mixture = Mixture(_WATER, StiffenedGas(1.4))
    front, centre, height = 0.4, 1.0, 0.4
    nx, ny = round(1.1 / spacing), round(height / spacing)
    x = (torch.arange(nx, dtype=torch.float64) + 0.5) * spacing
    shocked = (x < front).expand(1, ny, nx)
    pressure, density, velocity, _ = behind_shock()

    def pick(behind: float, ahead: float) -> torch.Tensor:
        return torch.where(shocked, behind, ahead).double()

    gas = torch.from_numpy(_disc(ny, nx, spacing, centre))[None]
    zero = torch.zeros_like(gas)
    phases = Phases(gas, pick(density, 1.0), 1.2e-3 + zero, pick(velocity, 0.0), zero, pick(pressure, _AMBIENT))
    state, speed = mixture.state(phases), None
    solver = Solver(FlowModel(mixture, Boundaries("open", "open", "wall", "open"), spacing))
    step = 0.002
    walls, fronts = [], []
    for _ in range(34):
        state, _, speed = solver.advance(state, None, step, speed)
        cells, _ = mixture.primitive(state)
        walls.append(first_rise(state.gas[0, 0].numpy(), 0.5, spacing))
        fronts.append(last_fall(cells.pressure[0, -1].numpy(), 0.5 * pressure, spacing))
    times = step * np.arange(1, len(walls) + 1)
    moved = (np.array(walls) - (centre - _RADIUS)) / _RADIUS
    if moved[-1] < 0.04:
        raise RuntimeError(f"cavity: expected the wall to move by 4 % of the radius, got {100 * moved[-1]:.1f} %")
    passing = np.interp([0.02, 0.04], moved, times)
    early = slice(1, 12)  # the row farthest from the cavity, while nothing has come back from it
    plateau = slice(int(0.1 / spacing), int(0.35 / spacing))
    return (
        Check("pressure behind the shock", "GPa", _EXACT["pressure"], float(cells.pressure[0, -1, plateau].mean()), 0.01),
        Check("density behind the shock", "g/cm³", _EXACT["density"], float(cells.solid_density[0, -1, plateau].mean()), 0.01),
        Check("velocity behind the shock", "km/s", _EXACT["velocity"], float(cells.velocity_x[0, -1, plateau].mean()), 0.01),
        Check("speed of the shock", "km/s", _EXACT["shock"], float(np.polyfit(times[early], fronts[early], 1)[0]), 0.01),
        Check("first speed of the cavity's wall", "km/s", _EXACT["wall"], 0.02 * _RADIUS / float(passing[1] - passing[0]), 0.02),
    )


def behind_shock() -> tuple[float, float, float, float]:
    """Pressure, density, velocity behind the shock and its speed, from the jump conditions of water at rest."""
    gamma, stiff = _WATER.gamma, _WATER.stiffness
    square = _MACH**2
    speed = _MACH * math.sqrt(gamma * (_AMBIENT + stiff))
    pressure = (_AMBIENT + stiff) * (1.0 + 2.0 * gamma / (gamma + 1.0) * (square - 1.0)) - stiff
    density = (gamma + 1.0) * square / ((gamma - 1.0) * square + 2.0)
    return pressure, density, speed * (1.0 - 1.0 / density), speed


def _disc(ny: int, nx: int, spacing: float, centre: float, subcells: int = 4) -> np.ndarray:
    """Gas fraction (y, x) of the cavity's upper half, centred on the bottom edge."""
    fine = spacing / subcells
    x, y = ((np.arange(n * subcells) + 0.5) * fine for n in (nx, ny))
    inside = (x[None, :] - centre) ** 2 + y[:, None] ** 2 < _RADIUS**2
    return 1e-6 + (1.0 - 2e-6) * inside.reshape(ny, subcells, nx, subcells).mean(axis=(1, 3))
