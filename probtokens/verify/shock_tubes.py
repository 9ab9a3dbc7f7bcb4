"""Tubes of two fluids against the exact solution of the Riemann problem."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from probtokens.simulate.boundaries import Boundaries
from probtokens.simulate.eos import StiffenedGas
from probtokens.simulate.flow import FlowModel
from probtokens.simulate.mixture import Mixture, Phases, State
from probtokens.simulate.solver import Solver
from probtokens.verify.check import Check, Relation
from probtokens.verify.exact_riemann import Gas, solve
from probtokens.verify.tracking import last_fall

#: Volume fraction of the other phase in either half of the tube.
TRACE = 1e-7


@dataclass(frozen=True, slots=True)
class Tube:
    """Two gases at rest, a membrane at ``membrane`` of a tube of unit length, and when to look."""

    left: Gas
    right: Gas
    duration: float
    membrane: float


@dataclass(frozen=True, slots=True)
class StarState:
    """What a tube becomes between its waves, and its shock's speed."""

    pressure: float
    velocity: float
    left_density: float
    right_density: float
    shock: float


#: name -> tube and exact state. Sod in its own units, the others in g/cm³, km/s, GPa.
TUBES: dict[str, tuple[Tube, StarState]] = {
    "sod": (
        Tube(Gas(1.4, 0.0, 1.0, 0.0, 1.0), Gas(1.4, 0.0, 0.125, 0.0, 0.1), 0.2, 0.5),
        StarState(0.303130, 0.927453, 0.426319, 0.265574, 1.752156),
    ),
    "water_dense_air": (
        Tube(Gas(4.4, 0.6, 1.0, 0.0, 1.0), Gas(1.4, 0.0, 0.05, 0.0, 1e-4), 0.24, 0.7),
        StarState(1.41905e-2, 0.482610, 0.804445, 0.288168, 0.583928),
    ),
    "water_air": (
        Tube(Gas(4.4, 0.6, 1.0, 0.0, 1.0), Gas(1.4, 0.0, 0.001, 0.0, 1e-4), 0.24, 0.7),
        StarState(4.79691e-4, 0.491974, 0.800328, 2.75833e-3, 0.771770),
    ),
}


@dataclass(frozen=True, slots=True)
class _Profiles:
    """Final profiles (x,) and the shock's speed over the second half of the run."""

    pressure: np.ndarray
    velocity: np.ndarray
    density: np.ndarray
    shock: float


def shock_tube(name: str, cells: int, tolerance: float = 0.01, compiled: bool = False) -> Sequence[Check]:
    """Star states on either side of the contact and the speed of the shock.

    Plateaus are averaged over 40–80 % of the way from the contact to the tail of the rarefaction or
    to the shock: off what the scheme smears. Liquid that expands by orders of magnitude carries the
    ripples of its high pressure into a low one: left of the contact they count relative to the former.
    """
    tube, exact = TUBES[name]
    got = _run(tube, exact, cells, compiled)
    solution = solve(tube.left, tube.right)
    behind = _plateau(tube, exact.velocity, solution.tail, cells)
    ahead = _plateau(tube, exact.velocity, exact.shock, cells)
    expands = exact.pressure < 0.1 * tube.left.pressure
    scale: float
    relation: Relation
    scale, relation = (tube.left.pressure, "absolute") if expands else (1.0, "relative")
    pressure_unit, velocity_unit, density_unit = ("1", "1", "1") if name == "sod" else ("GPa", "km/s", "g/cm³")
    return (
        Check("p* right", pressure_unit, exact.pressure, float(got.pressure[ahead].mean()), tolerance),
        Check("p* left", pressure_unit, exact.pressure, float(got.pressure[behind].mean()), tolerance * scale, relation),
        Check("u* right", velocity_unit, exact.velocity, float(got.velocity[ahead].mean()), tolerance),
        Check("u* left", velocity_unit, exact.velocity, float(got.velocity[behind].mean()), tolerance),
        Check("ρ* right", density_unit, exact.right_density, float(got.density[ahead].mean()), tolerance),
        Check("ρ* left", density_unit, exact.left_density, float(got.density[behind].mean()), tolerance),
        Check("shock speed", velocity_unit, exact.shock, got.shock, tolerance),
    )


def _run(tube: Tube, exact: StarState, cells: int, compiled: bool) -> _Profiles:
    left, right = tube.left, tube.right
    mixture = Mixture(StiffenedGas(left.gamma, left.stiffness), StiffenedGas(right.gamma, right.stiffness))
    x = ((torch.arange(cells, dtype=torch.float64) + 0.5) / cells).expand(1, 2, cells)

    def pick(a: float, b: float) -> torch.Tensor:
        return torch.where(x < tube.membrane, a, b).double()

    zero = torch.zeros_like(x)
    state = mixture.state(
        Phases(
            gas=pick(TRACE, 1.0 - TRACE),
            solid_density=left.density + zero,
            gas_density=right.density + zero,
            velocity_x=zero,
            velocity_y=zero,
            pressure=pick(left.pressure, right.pressure),
        )
    )
    solver = Solver(FlowModel(mixture, Boundaries(left="open", right="open"), spacing=1.0 / cells), compiled=compiled)
    level = 0.5 * (exact.pressure + right.pressure)
    speed, fronts = None, []
    for _ in range(2):
        state, _, speed = solver.advance(state, None, tube.duration / 2, speed)
        primitive, _ = mixture.primitive(State(*(value[0, 0] for value in state)))
        fronts.append(last_fall(primitive.pressure.numpy(), level, 1.0 / cells))
    density = (state.solid_mass + state.gas_mass)[0, 0]
    shock = (fronts[1] - fronts[0]) / (tube.duration / 2)
    return _Profiles(primitive.pressure.numpy(), primitive.velocity_x.numpy(), density.numpy(), shock)


def _plateau(tube: Tube, contact: float, wave: float, cells: int) -> slice:
    ends = sorted(tube.membrane + tube.duration * (contact + part * (wave - contact)) for part in (0.4, 0.8))
    return slice(int(ends[0] * cells), int(ends[1] * cells) + 1)
