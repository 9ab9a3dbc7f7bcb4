"""Two-phase mixture at pressure equilibrium: conserved state, primitive variables, closures.

Phase 1 is the solid (with its reaction products), phase 2 the gas of the pores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from probtokens.simulate.eos import AMBIENT_PRESSURE, AMBIENT_TEMPERATURE, Eos, StiffenedGas

#: Guards divisions by a volume fraction; far below the floor that initial states carry.
TINY = 1e-30

#: Smallest bulk modulus [GPa] used for wave speeds and for K: that of a gas at ambient pressure. Below
#: it lie only round-off at ambient pressure and tension. It bounds coefficients, never the state.
BULK_FLOOR = AMBIENT_PRESSURE

#: Tension [GPa] of the gas beyond which a cell counts as troubled.
TENSION = 1e-3


class State(NamedTuple):
    """Evolved variables, each (batch, y, x).

    ``gas`` is the gas volume fraction (stored rather than the solid's because single precision must
    resolve its small values). All others are per volume of mixture: masses [g/cm³], momenta, total
    (thermal and kinetic) ``energy`` [GPa], and the masses of the solid's species A, B and C; the rest
    of the solid mass is the final product D.
    """

    gas: Tensor
    solid_mass: Tensor
    gas_mass: Tensor
    momentum_x: Tensor
    momentum_y: Tensor
    energy: Tensor
    species_a: Tensor
    species_b: Tensor
    species_c: Tensor


class Primitive(NamedTuple):
    """Variables that are reconstructed at faces, each (batch, y, x).

    Phase densities (rather than phase masses) keep a trace phase's density between its neighbours'.
    Internal energy is linear in the volume fraction where pressure and phase densities are uniform,
    so one limiter for both keeps an isolated interface exact.
    """

    gas: Tensor
    solid_density: Tensor
    gas_density: Tensor
    velocity_x: Tensor
    velocity_y: Tensor
    pressure: Tensor
    internal: Tensor  # thermal energy per mixture volume, ρe [GPa]
    fraction_a: Tensor  # species mass per solid mass
    fraction_b: Tensor
    fraction_c: Tensor


class Phases(NamedTuple):
    """Description of a state by its phases, each (batch, y, x); see :meth:`Mixture.state`."""

    gas: Tensor
    solid_density: Tensor
    gas_density: Tensor
    velocity_x: Tensor
    velocity_y: Tensor
    pressure: Tensor


class Acoustics(NamedTuple):
    """Cell-wise wave properties, each (batch, y, x)."""

    speed: Tensor  # frozen mixture sound speed [km/s]
    bulk_1: Tensor  # isentropic bulk moduli of solid and gas [GPa]
    bulk_2: Tensor
    troubled: Tensor  # bool: fall back to first-order reconstruction here


@dataclass(frozen=True, slots=True)
class Mixture:
    """Pair of phases and the closures of the five-equation model.

    Kapila et al., Phys. Fluids 13, 3002 (2001); Allaire, Clerc & Kokh, J. Comput. Phys. 181, 577 (2002).
    """

    solid: Eos
    gas: StiffenedGas
    kapila: bool = True

    def primitive(self, state: State) -> tuple[Primitive, Acoustics]:
        """Primitive variables and wave properties of every cell."""
        gas = state.gas
        solid = 1.0 - gas
        solid_density = state.solid_mass / solid.clamp_min(TINY)
        gas_density = state.gas_mass / gas.clamp_min(TINY)
        density = state.solid_mass + state.gas_mass
        u, v = state.momentum_x / density, state.momentum_y / density
        thermal = state.energy - 0.5 * (state.momentum_x * u + state.momentum_y * v)
        first, second = self.solid.affine(solid_density), self.gas.affine(gas_density)
        pressure = (thermal - solid * first.energy_0 - gas * second.energy_0) / (solid * first.energy_1 + gas * second.energy_1)
        primitive = Primitive(
            gas=gas,
            solid_density=solid_density,
            gas_density=gas_density,
            velocity_x=u,
            velocity_y=v,
            pressure=pressure,
            internal=thermal,
            fraction_a=state.species_a / state.solid_mass,
            fraction_b=state.species_b / state.solid_mass,
            fraction_c=state.species_c / state.solid_mass,
        )
        bulk_1 = first.bulk_0 + first.bulk_1 * pressure
        bulk_2 = second.bulk_0 + second.bulk_1 * pressure
        return primitive, self._acoustics(solid, gas, density, bulk_1, bulk_2)

    def _acoustics(self, solid: Tensor, gas: Tensor, density: Tensor, bulk_1: Tensor, bulk_2: Tensor) -> Acoustics:
        """Bulk moduli above their floor, and the frozen sound speed ρc² = Σ αₖBₖ."""
        troubled = torch.minimum(bulk_1, bulk_2 + TENSION) <= BULK_FLOOR
        bulk_1, bulk_2 = bulk_1.clamp_min(BULK_FLOOR), bulk_2.clamp_min(BULK_FLOOR)
        speed = torch.sqrt((solid * bulk_1 + gas * bulk_2) / density)
        return Acoustics(speed, bulk_1, bulk_2, troubled)

    def share_volume(self, moved: Tensor, gas: Tensor, excess: Tensor, bulk_1: Tensor, bulk_2: Tensor) -> Tensor:
        """Gas fraction after a strain that both phases share at equal pressure change.

        Transport at fixed phase densities leaves volumes α₁*, α₂* that exceed the cell by
        ``excess`` = α₁* + α₂* − 1 = −dt div u. Both phases are compressed by the one δp that makes
        them fit, α₁*/(1 + δp/B₁) + α₂*/(1 + δp/B₂) = 1, a quadratic. To first order in the strain
        this is Kapila's term, dα₁ = K div u with K = α₁α₂(B₂ − B₁)/(α₂B₁ + α₁B₂); in this form it
        is positive for any strain and keeps a stiff phase's density where a soft one yields.
        Without ``kapila`` the volume fraction is merely advected.

        Parameters
        ----------
        moved
            α₂*, the gas fraction after conservative transport.
        gas
            Gas fraction before.
        excess
            Volume strain, positive in compression.
        bulk_1, bulk_2
            Bulk moduli of solid and gas [GPa].
        """
        if not self.kapila:
            return moved - gas * excess
        product = excess * bulk_1 * bulk_2
        linear = bulk_1 * (moved - excess) + bulk_2 * (1.0 - moved)
        root = torch.sqrt((linear * linear + 4.0 * product).clamp_min(0.0))
        rise = torch.where(linear > 0.0, 2.0 * product / (linear.abs() + root), 0.5 * (linear.abs() + root))
        return moved / (1.0 + rise / bulk_2)

    def state(self, phases: Phases) -> State:
        """State from volume fraction, phase densities, velocity and pressure; the solid is pure A."""
        solid = 1.0 - phases.gas
        solid_mass = solid * phases.solid_density
        gas_mass = phases.gas * phases.gas_density
        density = solid_mass + gas_mass
        u, v = phases.velocity_x, phases.velocity_y
        first, second = self.solid.affine(phases.solid_density), self.gas.affine(phases.gas_density)
        internal = solid * (first.energy_0 + first.energy_1 * phases.pressure) + phases.gas * (
            second.energy_0 + second.energy_1 * phases.pressure
        )
        return State(
            gas=phases.gas,
            solid_mass=solid_mass,
            gas_mass=gas_mass,
            momentum_x=density * u,
            momentum_y=density * v,
            energy=internal + 0.5 * density * (u**2 + v**2),
            species_a=solid_mass,
            species_b=torch.zeros_like(solid_mass),
            species_c=torch.zeros_like(solid_mass),
        )

    def exchange_heat(self, state: State, cells: Primitive, acoustics: Acoustics, rate: float, time_step: Tensor) -> State:
        """Relax the gas of mixed cells towards the solid's temperature, at fixed masses and energy.

        At constant pressure the gas would settle at the volume α₂* = m₂ (γ − 1) Cv T₁ / p; it
        approaches that at ``rate``·α₁ [1/ns], linearly implicit, and both phases then share the
        volume that is freed. What internal energy the gas loses the solid gains. Gas that touches no
        solid stays adiabatic. Without the exchange, gas caught in mixed cells by numerical diffusion
        heats beyond bound and props the collapsed pore open.
        """
        temperature = self.solid_temperature(cells).clamp_min(0.5 * AMBIENT_TEMPERATURE)
        per_mass = (self.gas.gamma - 1.0) * self.gas.heat_capacity * temperature
        settled = state.gas_mass * per_mass / cells.pressure.clamp_min(AMBIENT_PRESSURE)
        gain = rate * (1.0 - state.gas) * time_step
        moved = (state.gas + gain * settled.clamp_max(0.5)) / (1.0 + gain)
        shared = self.share_volume(moved, state.gas, moved - state.gas, acoustics.bulk_1, acoustics.bulk_2)
        return state._replace(gas=shared)

    def solid_temperature(self, cells: Primitive) -> Tensor:
        """Temperature of the solid phase [K]."""
        return self.solid.temperature(cells.solid_density, cells.pressure)

    def temperature(self, cells: Primitive) -> Tensor:
        """Temperature of what burns [K]: the condensed phase's, with the pores' share of a cell at ambient.

        T = α₁ T₁ + α₂ T₀. The pore gas holds a thousandth of the mass; as an ideal gas without
        dissociation or ionisation it reaches temperatures in a collapsing pore that are neither real
        nor matter to the energy. Sharp-interface solvers leave pores empty for the same reason. Solid
        so far in tension that its equation of state would give less counts as 0 K.
        """
        excess = self.solid_temperature(cells).clamp_min(0.0) - AMBIENT_TEMPERATURE
        return AMBIENT_TEMPERATURE + (1.0 - cells.gas) * excess
