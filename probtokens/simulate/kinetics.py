"""Tarver three-step decomposition of HMX, A → B → 2C → D.

Tarver, Chidester & Nichols, J. Phys. Chem. 100, 5794 (1996): a solid-phase step that absorbs heat, a
slightly exothermic one, and a second-order gas-phase step that releases most of the energy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

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
