"""Transport: isolated interfaces, order of accuracy, conservation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from probtokens.simulate.boundaries import Boundaries
from probtokens.simulate.eos import MENIKOFF_SEWELL, PORE_GAS, StiffenedGas, ambient_density
from probtokens.simulate.flow import FlowModel
from probtokens.simulate.initial import shocked_crystal
from probtokens.simulate.kinetics import Tarver
from probtokens.simulate.mixture import Mixture, Phases, State
from probtokens.simulate.solver import Solver
from probtokens.verify.check import Check

_PERIODIC = Boundaries("periodic", "periodic", "periodic", "periodic")
_SPACING = 0.04


def soft_disc(ny: int, nx: int) -> np.ndarray:
    """Gas fraction (1, y, x) of a round pore, half as wide as the domain is high, with an edge of some cells."""
    y, x = np.meshgrid(np.arange(ny) - ny / 2, np.arange(nx) - nx / 2, indexing="ij")
    return 1e-6 + 0.999 / (1.0 + np.exp(-2.0 * (0.25 * ny - np.hypot(y, x))))[None]


def moving_interface() -> Sequence[Check]:
    """A pore carried across the grid in uniform pressure and velocity must leave both as they are."""
    mixture = Mixture(MENIKOFF_SEWELL, PORE_GAS)
    gas = torch.from_numpy(soft_disc(24, 32))
    one = torch.ones_like(gas)
    pressure, velocity = 1e-2, (-1.4, 0.7)
    solid = ambient_density(MENIKOFF_SEWELL, pressure)
    state = mixture.state(Phases(gas, solid * one, 1e-2 * one, velocity[0] * one, velocity[1] * one, pressure * one))
    state, _, _ = Solver(FlowModel(mixture, _PERIODIC, _SPACING)).advance(state, None, 0.1)
    cells, _ = mixture.primitive(state)
    return (
        Check("pressure, largest deviation", "GPa", 0.0, float((cells.pressure - pressure).abs().max()), 1e-11, "absolute"),
        Check("velocity x, largest deviation", "km/s", 0.0, float((cells.velocity_x - velocity[0]).abs().max()), 1e-11, "absolute"),
        Check("velocity y, largest deviation", "km/s", 0.0, float((cells.velocity_y - velocity[1]).abs().max()), 1e-11, "absolute"),
        Check("gas fraction, change where the pore was", "1", 0.1, float((cells.gas - gas).abs().max()), relation="at_least"),
    )


def advection_error(cells: int, direction: tuple[float, float] = (1.0, 0.0)) -> dict[str, float]:
    """Mean absolute errors after smooth waves have crossed three quarters of the unit domain along ``direction``.

    Density and the masses of three species with different profiles; after a whole period a flux of the wrong one
    would have done no harm.
    """
    mixture = Mixture(StiffenedGas(1.4), StiffenedGas(1.4))
    rows = 4 if direction[1] == 0.0 else cells
    x, y = ((torch.arange(n, dtype=torch.float64) + 0.5) / cells for n in (cells, rows))
    phase = direction[0] * x[None, None, :] + direction[1] * y[None, :, None]
    density = 1.0 + 0.2 * torch.sin(2.0 * torch.pi * phase.expand(1, rows, cells))
    one = torch.ones_like(density)
    state = mixture.state(Phases(1e-6 * one, density, one, direction[0] * one, direction[1] * one, one))
    shares = {
        name: mean + 0.1 * torch.cos(2.0 * torch.pi * (phase + shift)).expand_as(one)
        for name, mean, shift in (("species_a", 0.5, 0.0), ("species_b", 0.2, 0.3), ("species_c", 0.15, 0.6))
    }
    state = state._replace(**{name: state.solid_mass * share for name, share in shares.items()})
    new, _, _ = Solver(FlowModel(mixture, _PERIODIC, spacing=1.0 / cells)).advance(state, None, 0.75)
    shift = [round(0.75 * cells * component) for component in reversed(direction)]

    def error(name: str) -> float:
        return float((getattr(new, name) - getattr(state, name).roll(shift, dims=(-2, -1))).abs().mean())

    return {name: error(name) for name in ("solid_mass", *shares)}


def smooth_advection() -> Sequence[Check]:
    """Order of accuracy of smooth waves of density and composition carried along an axis and along the diagonal.

    A limiter clips every extremum, so that coarse grids show less than second order: 1.5 is asked for on the
    diagonal, where fine ones take too long for more.
    """
    checks = []
    for name, cells, direction, bound in (("x", 80, (1.0, 0.0), 1.8), ("the diagonal", 48, (1.0, 1.0), 1.5)):
        coarse, fine = advection_error(cells, direction), advection_error(2 * cells, direction)
        for quantity, error in coarse.items():
            order = float(np.log2(error / fine[quantity]))
            least = 1.8 if quantity == "solid_mass" else bound
            checks.append(Check(f"order of {quantity.replace('_', ' ')} along {name}", "1", least, order, relation="at_least"))
    return checks


def conservation() -> Sequence[Check]:
    """Mass, momentum and energy of a pore that collapses and burns, in a periodic and in a closed domain."""
    checks = []
    for name, boundaries in (("periodic", _PERIODIC), ("closed", Boundaries())):
        model = FlowModel(Mixture(MENIKOFF_SEWELL, PORE_GAS), boundaries, _SPACING, 0.1, 1.9, Tarver(), heat_exchange=20.0)
        state, _ = shocked_crystal(soft_disc(16, 24), np.array([28.0]), model.mixture, _SPACING, "piston", torch.float64)
        new, _, _ = Solver(model).advance(state, None, 0.1)
        before, after = _totals(model, state), _totals(model, new)
        scale = before | dict.fromkeys(("momentum x", "momentum y"), before["mass"])  # momenta: per mass · 1 km/s
        kept = ("mass", "momentum x", "momentum y", "energy") if name == "periodic" else ("mass", "energy")
        checks += [
            Check(
                f"{quantity}, {name}, relative change", "1", 0.0, (after[quantity] - before[quantity]) / scale[quantity], 1e-10, "absolute"
            )
            for quantity in kept
        ]
        burnt = 1.0 - float((new.species_a / new.solid_mass).min())
        checks.append(Check(f"fraction of A that reacted somewhere, {name}", "1", 0.03, burnt, relation="at_least"))
    return checks


def _totals(model: FlowModel, state: State) -> dict[str, float]:
    quantities = {
        "mass": state.solid_mass + state.gas_mass,
        "momentum x": state.momentum_x,
        "momentum y": state.momentum_y,
        "energy": model.total_energy(state),
    }
    return {name: float(value.sum()) for name, value in quantities.items()}
