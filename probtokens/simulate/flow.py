"""Reactive two-phase flow: finite-volume stages, time steps and frames.

Second-order MUSCL–HLLC on the five-equation model, unsplit in space, SSP Runge–Kutta of second order
in time; viscosity enters each stage explicitly; reactions follow every flow step. Arrays are
(batch, y, x); units µm, ns, g/cm³, GPa, km/s, kJ/g, K.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from probtokens.simulate.boundaries import Boundaries, pad
from probtokens.simulate.eos import AMBIENT_TEMPERATURE, MieGruneisen
from probtokens.simulate.kinetics import Fractions, Kinetics
from probtokens.simulate.mixture import Acoustics, Mixture, Primitive, State
from probtokens.simulate.reconstruct import faces
from probtokens.simulate.riemann import hllc
from probtokens.simulate.viscosity import viscous_flux


class Stage(NamedTuple):
    """Outcome of one Runge–Kutta stage.

    ``outflow`` [(batch, 2, face), per µm of depth] is the mass and chemical-plus-thermal energy that
    leaves through every face of the edges per ns, not summed, because the order of a compiled sum
    depends on the number of threads; ``wave_speed`` (batch, km/s) is the largest |u| + |v| + 2c.
    """

    state: State
    outflow: Tensor
    wave_speed: Tensor


@dataclass(frozen=True, slots=True)
class FlowModel:
    """Discretised physics. Methods are pure functions of tensors and compile as they stand."""

    mixture: Mixture
    boundaries: Boundaries
    spacing: float
    viscosity: float = 0.0
    viscous_density: float = 1.0
    kinetics: Kinetics | None = None
    heat_exchange: float = 0.0

    def euler(self, state: State, outside: State | None, time_step: Tensor) -> Stage:
        """Forward Euler update of the flow: state + time_step·L(state).

        ``outside`` (batch, 1, 1) is the shocked state that edges of kind ``inflow`` and ``far`` impose.
        """
        arrived = self._arrived(state, outside) if self.boundaries.right == "far" else None
        cells, acoustics = self.mixture.primitive(pad(state, self.boundaries, outside, arrived))
        smooth = torch.where(acoustics.troubled, 0.0, 1.0)
        flux_x, velocity_x = self._sweep(cells, acoustics, smooth, -1)
        flux_y, velocity_y = self._sweep(cells, acoustics, smooth, -2)
        scale = time_step / self.spacing
        centre = (slice(None), slice(2, -2), slice(2, -2))
        divergence = (velocity_x.diff(dim=-1) + velocity_y.diff(dim=-2)) * scale
        new = [old - (fx.diff(dim=-1) + fy.diff(dim=-2)) * scale for old, fx, fy in zip(state, flux_x, flux_y, strict=True)]
        new[0] = self.mixture.share_volume(new[0], state.gas, -divergence, acoustics.bulk_1[centre], acoustics.bulk_2[centre])
        speed = cells.velocity_x[centre].abs() + cells.velocity_y[centre].abs() + 2.0 * acoustics.speed[centre]
        return Stage(State(*new), self._outflow(flux_x, flux_y), speed.amax(dim=(-2, -1)))

    def _arrived(self, state: State, outside: State | None) -> Tensor:
        """Where the last column has been shocked, by its entropy: bool (batch, ny, 1).

        The threshold is a fifth of the way from ambient to ``outside``, in release temperature.
        """
        assert outside is not None
        assert isinstance(self.mixture.solid, MieGruneisen)
        solid = self.mixture.solid
        edge, behind = (
            solid.release_temperature(cells.solid_density, cells.pressure)
            for cells, _ in map(self.mixture.primitive, (State(*(v[..., -1:] for v in state)), outside))
        )
        return edge > 0.8 * AMBIENT_TEMPERATURE + 0.2 * behind

    def _sweep(self, cells: Primitive, acoustics: Acoustics, smooth: Tensor, dim: int) -> tuple[State, Tensor]:
        """Fluxes through the faces normal to ``dim``; ``cells`` have ghosts along both axes."""
        across = -2 if dim == -1 else -1

        def rows(value: Tensor) -> Tensor:
            return value.narrow(across, 2, value.shape[across] - 4)

        n = smooth.shape[dim] - 4
        left, right = faces(Primitive(*map(rows, cells)), rows(smooth), dim)
        speed = rows(acoustics.speed)
        flux, velocity = hllc(left, right, speed.narrow(dim, 1, n + 1), speed.narrow(dim, 2, n + 1), dim)
        if self.viscosity:
            extra = viscous_flux(cells, self.viscosity, self.viscous_density, self.spacing, dim)
            flux = flux._replace(
                momentum_x=flux.momentum_x + extra.momentum_x,
                momentum_y=flux.momentum_y + extra.momentum_y,
                energy=flux.energy + extra.energy,
            )
        return flux, velocity

    def _outflow(self, flux_x: State, flux_y: State) -> Tensor:
        mass, energy = (self._edges(flux_x, flux_y, quantity) for quantity in (_mass, self.total_energy))
        return torch.stack([mass, energy], dim=1)

    def _edges(self, flux_x: State, flux_y: State, quantity: Callable[[State], Tensor]) -> Tensor:
        """Flux of ``quantity`` out of every face of the four edges (batch, face)."""
        parts = []
        for flux, dim in ((flux_x, -1), (flux_y, -2)):
            for edge, sign in ((0, -1.0), (-1, 1.0)):
                parts.append(sign * quantity(State(*(value.select(dim, edge) for value in flux))))
        return torch.cat(parts, dim=-1)

    def total_energy(self, state: State) -> Tensor:
        """Kinetic, thermal and chemical energy per volume [GPa]."""
        if self.kinetics is None:
            return state.energy
        return state.energy + self.kinetics.chemical_energy(Fractions(*state[6:]))

    def react(self, state: State, time_step: Tensor) -> State:
        """Advance the reactions by ``time_step``; what chemistry releases, thermal energy gains."""
        if self.kinetics is None and not self.heat_exchange:
            return state
        primitive, acoustics = self.mixture.primitive(state)
        if self.heat_exchange:
            state = self.mixture.exchange_heat(state, primitive, acoustics, self.heat_exchange, time_step)
        if self.kinetics is None:
            return state
        before = Fractions(primitive.fraction_a, primitive.fraction_b, primitive.fraction_c)
        temperature = self.mixture.solid_temperature(primitive)
        after = self.kinetics.advance(before, temperature, self.mixture.solid.heat_capacity, time_step)
        released = self.kinetics.chemical_energy(before) - self.kinetics.chemical_energy(after)
        return state._replace(
            energy=state.energy + state.solid_mass * released,
            species_a=state.solid_mass * after.a,
            species_b=state.solid_mass * after.b,
            species_c=state.solid_mass * after.c,
        )

    def combine(self, base: State, first: Stage, second: Stage, time_step: Tensor) -> Stage:
        """Average of ``base`` and two successive Euler updates (SSP-RK2, Shu & Osher 1988), then reactions."""
        state = State(*(0.5 * (a + b) for a, b in zip(base, second.state, strict=True)))
        outflow = 0.5 * time_step * (first.outflow + second.outflow)
        speed = torch.maximum(first.wave_speed, second.wave_speed)
        return Stage(self.react(state, time_step), outflow, speed)


def _mass(state: State) -> Tensor:
    return state.solid_mass + state.gas_mass
