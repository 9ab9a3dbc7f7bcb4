"""Decomposition of HMX: three steps after Tarver, or a single Arrhenius step.

Tarver, Chidester & Nichols, J. Phys. Chem. 100, 5794 (1996), A → B → 2C → D: a solid-phase step that
absorbs heat, a slightly exothermic one, and a second-order gas-phase step that releases most of the
energy. Henson et al., J. Chem. Phys. 117, 3780 (2002), A → D: one first-order step fitted to ignition
times from thermal explosion to detonation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

#: kcal/mol per K (gas constant) and kJ/g per cal/g.
_GAS_CONSTANT = 1.98720e-3
_KJ_PER_CAL_PER_GRAM = 4.184e-3
#: ln of seconds per nanosecond.
_LN_NS = -20.7232658369


class Fractions(NamedTuple):
    """Mass fractions of the solid phase's species; the final products D are the rest."""

    a: Tensor
    b: Tensor
    c: Tensor


class Kinetics(Protocol):
    """Reactions of the solid phase at constant volume. Arguments are tensors of any one shape."""

    def chemical_energy(self, fractions: Fractions) -> Tensor:
        """Chemical energy above the final products [kJ/g of solid]."""
        ...

    def advance(self, fractions: Fractions, temperature: Tensor, heat_capacity: float, time_step: Tensor) -> Fractions:
        """Fractions after ``time_step`` [ns] from ``temperature`` [K], heated by what they release."""
        ...


@dataclass(frozen=True, slots=True)
class Arrhenius:
    """Single first-order step A → D; species B and C stay as they are.

    Attributes
    ----------
    frequency
        Frequency factor [1/s].
    activation_temperature
        Activation energy over the gas constant [K].
    heat
        Energy released [kJ/g]; by default the sum of Tarver's three steps.
    min_temperature, max_temperature
        Temperatures [K] to which the rate is confined.
    """

    frequency: float = 5.58e12
    activation_temperature: float = 17920.0
    heat: float = 1400.0 * _KJ_PER_CAL_PER_GRAM
    min_temperature: float = 250.0
    max_temperature: float = 6000.0

    def rate(self, temperature: Tensor) -> Tensor:
        """Rate constant [1/ns] at ``temperature`` [K]."""
        confined = temperature.clamp(self.min_temperature, self.max_temperature)
        return self.frequency * 1e-9 * torch.exp(-self.activation_temperature / confined)

    def chemical_energy(self, fractions: Fractions) -> Tensor:
        """Chemical energy above the final products [kJ/g of solid]."""
        return self.heat * fractions.a

    def advance(self, fractions: Fractions, temperature: Tensor, heat_capacity: float, time_step: Tensor) -> Fractions:
        """Fractions after ``time_step`` [ns] at constant volume, without heat exchange.

        Predictor–corrector like :meth:`Tarver.advance`; A decays exactly at the frozen rate.
        """
        half = fractions.a * torch.exp(-0.5 * time_step * self.rate(temperature))
        released = self.heat * (fractions.a - half)
        middle = self.rate(temperature + released / heat_capacity)
        return fractions._replace(a=fractions.a * torch.exp(-time_step * middle))


@dataclass(frozen=True, slots=True)
class Tarver:
    """Three-step Arrhenius kinetics.

    Attributes
    ----------
    ln_z
        Logarithms of the frequency factors [1/s].
    activation
        Activation energies [kcal/mol].
    heats
        Heat absorbed by each step [cal/g]; negative values release.
    min_temperature, max_temperature
        Temperatures [K] to which the *rates* are confined: extrapolated beyond, they only overflow.
    """

    ln_z: tuple[float, float, float] = (48.7, 37.3, 28.1)
    activation: tuple[float, float, float] = (52.7, 44.1, 34.1)
    heats: tuple[float, float, float] = (100.0, -300.0, -1200.0)
    min_temperature: float = 250.0
    max_temperature: float = 6000.0

    def rates(self, temperature: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rate constants of the three steps [1/ns] at ``temperature`` [K]."""
        inverse = 1.0 / temperature.clamp(self.min_temperature, self.max_temperature)
        first, second, third = (
            torch.exp((z + _LN_NS) - (e / _GAS_CONSTANT) * inverse) for z, e in zip(self.ln_z, self.activation, strict=True)
        )
        return first, second, third

    def chemical_energy(self, fractions: Fractions) -> Tensor:
        """Chemical energy above the final products [kJ/g of solid]."""
        ab, bc, cd = (heat * _KJ_PER_CAL_PER_GRAM for heat in self.heats)
        return -(ab + bc + cd) * fractions.a - (bc + cd) * fractions.b - cd * fractions.c

    def advance(self, fractions: Fractions, temperature: Tensor, heat_capacity: float, time_step: Tensor) -> Fractions:
        """Fractions after ``time_step`` [ns] at constant volume, without heat exchange.

        Predictor–corrector: rates at the start give the temperature at mid-step, and rates at
        mid-step advance the whole step. Each advance is implicit per species and therefore positive
        and stable however stiff the rates.
        """
        half = self._implicit(fractions, self.rates(temperature), 0.5 * time_step)
        released = self.chemical_energy(fractions) - self.chemical_energy(half)
        return self._implicit(fractions, self.rates(temperature + released / heat_capacity), time_step)

    @staticmethod
    def _implicit(fractions: Fractions, rates: tuple[Tensor, Tensor, Tensor], time_step: Tensor) -> Fractions:
        """Advance with frozen rates: A exactly, B and C by backward Euler (C's sink is −k₃C²)."""
        first, second, third = (rate * time_step for rate in rates)
        a = fractions.a * torch.exp(-first)
        b = (fractions.b + (fractions.a - a)) / (1.0 + second)
        source = fractions.c + second * b
        # Positive root of third·c² + c − source = 0, in the form that does not cancel.
        c = 2.0 * source / (1.0 + torch.sqrt(1.0 + 4.0 * third * source))
        return Fractions(a, b, c)


def hmx_kinetics(name: Literal["tarver", "arrhenius", "none"]) -> Kinetics | None:
    """Return the decomposition model called ``name``; ``none`` gives an inert crystal.

    Raises
    ------
    ValueError
        If there is no such model.
    """
    models: dict[str, Kinetics | None] = {"tarver": Tarver(), "arrhenius": Arrhenius(), "none": None}
    if name not in models:
        raise ValueError(f"kinetics: expected one of {sorted(models)}, got {name!r}")
    return models[name]
