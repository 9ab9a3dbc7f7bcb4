"""Equations of state: Mie–Grüneisen HMX, ideal and stiffened gases, and their shock Hugoniots.

Units: µm, ns, g/cm³, GPa, km/s, kJ/g, K (1 g/cm³·(km/s)² = 1 GPa = 1 kJ/cm³).

Every equation of state here is affine in pressure at fixed density, so the pressure of a mixture at
pressure equilibrium follows in closed form. :meth:`Eos.affine` returns the four coefficients of

    ρe  = energy_0 + energy_1 · p            energy per volume
    ρc² = bulk_0   + bulk_1   · p            isentropic bulk modulus
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

#: Ambient state of crystal and pore gas.
AMBIENT_PRESSURE = 1e-4
AMBIENT_TEMPERATURE = 300.0


class Affine(NamedTuple):
    """Coefficients of energy density and bulk modulus, affine in pressure."""

    energy_0: Tensor
    energy_1: Tensor
    bulk_0: Tensor
    bulk_1: Tensor


class Eos(Protocol):
    """Equation of state of one phase. Arguments are tensors of any one shape."""

    @property
    def heat_capacity(self) -> float:
        """Cv [kJ/g/K]."""
        ...

    def affine(self, density: Tensor) -> Affine:
        """Coefficients of ρe(p) and ρc²(p) at ``density`` [g/cm³]."""
        ...

    def temperature(self, density: Tensor, pressure: Tensor) -> Tensor:
        """Temperature [K]."""
        ...


@dataclass(frozen=True, slots=True)
class StiffenedGas:
    """Stiffened gas p = (γ − 1) ρe − γ π; an ideal gas when ``stiffness`` (π, GPa) is zero.

    ``heat_capacity`` is Cv in kJ/g/K.
    """

    gamma: float
    stiffness: float = 0.0
    heat_capacity: float = 7.184e-4

    def affine(self, density: Tensor) -> Affine:
        """Coefficients of ρe(p) and ρc²(p); none depends on density."""
        one = torch.ones_like(density)
        ratio = 1.0 / (self.gamma - 1.0)
        stiff = self.gamma * self.stiffness
        return Affine(stiff * ratio * one, ratio * one, stiff * one, self.gamma * one)

    def temperature(self, density: Tensor, pressure: Tensor) -> Tensor:
        """Temperature [K] from (p + π) = (γ − 1) ρ Cv T."""
        return (pressure + self.stiffness) / ((self.gamma - 1.0) * self.heat_capacity * density)

    def density(self, pressure: float, temperature: float) -> float:
        """Density [g/cm³] at the given pressure [GPa] and temperature [K]."""
        return (pressure + self.stiffness) / ((self.gamma - 1.0) * self.heat_capacity * temperature)


@dataclass(frozen=True, slots=True)
class MieGruneisen:
    """Mie–Grüneisen solid about the isotherm at T0, with Γ/V constant.

    p = p0(V) + (Γ0/V0) (e − e0(V)),  e0' = −p0 + T0 Cv Γ0/V0,  T = T0 + (e − e0)/Cv, which is
    thermodynamically consistent: (∂e/∂V)_T = T (∂p/∂T)_V − p.

    Attributes
    ----------
    rho0, bulk, bulk_prime
        Density [g/cm³], isothermal bulk modulus [GPa] and its pressure derivative on the reference
        isotherm at zero pressure.
    gruneisen
        Γ0 at ``rho0``.
    heat_capacity
        Cv [kJ/g/K].
    curve
        Shape of the isotherm: third-order Birch–Murnaghan or Murnaghan. In expansion both follow
        Murnaghan's, whose modulus stays positive (Birch–Murnaghan's turns negative at ρ ≈ 0.9 ρ0);
        pressure, modulus and its derivative are continuous at ρ0.
    reference_temperature
        T0 [K].
    """

    rho0: float
    bulk: float
    bulk_prime: float
    gruneisen: float
    heat_capacity: float
    curve: Literal["birch_murnaghan", "murnaghan"]
    reference_temperature: float = AMBIENT_TEMPERATURE

    @property
    def coupling(self) -> float:
        """Γ/V = Γ0 ρ0 [g/cm³]."""
        return self.gruneisen * self.rho0

    def isotherm(self, density: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pressure [GPa], energy [kJ/g] and bulk modulus [GPa] on the reference isotherm."""
        ratio = density / self.rho0
        pressure, energy, modulus = self._murnaghan(ratio)
        if self.curve == "birch_murnaghan":
            compressed = self._birch_murnaghan(ratio)
            inside = ratio > 1.0
            pressure, energy, modulus = (
                torch.where(inside, value, expanded) for value, expanded in zip(compressed, (pressure, energy, modulus), strict=True)
            )
        heat = self.reference_temperature * self.heat_capacity * self.coupling
        return pressure, energy + heat * (1.0 / density - 1.0 / self.rho0), modulus

    def _birch_murnaghan(self, ratio: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Third-order finite strain (Birch 1947), strain f = ((ρ/ρ0)^(2/3) − 1)/2."""
        square = torch.exp(torch.log(ratio) * (2.0 / 3.0))
        strain = 0.5 * (square - 1.0)
        slope = 1.5 * (self.bulk_prime - 4.0)
        scale = self.bulk * ratio * square
        pressure = 3.0 * scale * strain * (1.0 + slope * strain)
        energy = 4.5 * self.bulk / self.rho0 * strain**2 * (1.0 + (self.bulk_prime - 4.0) * strain)
        modulus = scale * ((1.0 + 2.0 * slope * strain) * square + 5.0 * strain * (1.0 + slope * strain))
        return pressure, energy, modulus

    def _murnaghan(self, ratio: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Bulk modulus linear in pressure (Murnaghan 1944)."""
        n = self.bulk_prime
        power = torch.exp(torch.log(ratio) * n)
        pressure = self.bulk / n * (power - 1.0)
        energy = self.bulk / (n * self.rho0) * (power / (ratio * (n - 1.0)) + 1.0 / ratio - n / (n - 1.0))
        return pressure, energy, self.bulk * power

    def affine(self, density: Tensor) -> Affine:
        """Coefficients of ρe(p) and ρc²(p)."""
        pressure, energy, modulus = self.isotherm(density)
        g = self.coupling
        heat = self.reference_temperature * self.heat_capacity * g
        bulk_1 = g / density
        return Affine(
            energy_0=density * (energy - pressure / g),
            energy_1=density / g,
            bulk_0=modulus + bulk_1 * (heat - pressure),
            bulk_1=bulk_1,
        )

    def temperature(self, density: Tensor, pressure: Tensor) -> Tensor:
        """Temperature [K]."""
        reference, _, _ = self.isotherm(density)
        return self.reference_temperature + (pressure - reference) / (self.coupling * self.heat_capacity)

    def density(self, temperature: NDArray[np.floating], pressure: NDArray[np.floating]) -> NDArray[np.float64]:
        """Density [g/cm³] at ``temperature`` [K] and ``pressure`` [GPa]: the inverse of :meth:`temperature`.

        On the isotherm p0(ρ) = p − (Γ/V) Cv (T − T0), which a table of 8192 densities inverts to 1e-6 of the density. So hot and
        at so low a pressure that no density above 0.2 ``rho0`` fits, the solid has that one.
        """
        reference = pressure - self.coupling * self.heat_capacity * (temperature - self.reference_temperature)
        densities, pressures = _isotherm_table(self)
        return np.interp(reference, pressures, densities)

    def release_temperature(self, density: Tensor, pressure: Tensor) -> Tensor:
        """Temperature [K] after isentropic return to ``rho0``: a measure of entropy.

        With Γ/V constant, dT/T = −(Γ/V) dV along an isentrope.
        """
        exponent = self.coupling * (1.0 / density - 1.0 / self.rho0)
        return self.temperature(density, pressure) * torch.exp(exponent)


@lru_cache
def _isotherm_table(eos: MieGruneisen) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Densities from 0.2 to 2.5 times ``rho0`` [g/cm³] and the pressures [GPa] of the reference isotherm there."""
    densities = np.linspace(0.2, 2.5, 8192) * eos.rho0
    return densities, eos.isotherm(torch.from_numpy(densities))[0].numpy()


#: HMX after Menikoff & Sewell, Combust. Theory Model. 6, 103 (2002): isotherm and Γ0 at 300 K.
MENIKOFF_SEWELL = MieGruneisen(1.9, 14.7, 8.6, 1.1, 1.5e-3, "birch_murnaghan")

#: HMX with a Murnaghan isotherm whose Hugoniot follows U_s = 2.901 + 2.058 u_p (ρ0 1.891 g/cm³, LASL
#: Shock Hugoniot Data, Marsh 1980) within 0.5 % for u_p of 0.5–2.5 km/s.
LASL = MieGruneisen(1.891, 14.076, 8.016, 1.1, 1.5e-3, "murnaghan")

#: Gas in the pores: γ 1.4, Cv such that 1 bar and 300 K give 1.16 kg/m³.
PORE_GAS = StiffenedGas(gamma=1.4)


def hmx(name: Literal["menikoff_sewell", "lasl"]) -> MieGruneisen:
    """Return the HMX parameter set called ``name``.

    Raises
    ------
    ValueError
        If there is no such set.
    """
    sets = {"menikoff_sewell": MENIKOFF_SEWELL, "lasl": LASL}
    if name not in sets:
        raise ValueError(f"equation of state: expected one of {sorted(sets)}, got {name!r}")
    return sets[name]


def ambient_density(eos: MieGruneisen, pressure: float = AMBIENT_PRESSURE) -> float:
    """Density [g/cm³] of the solid at its reference temperature and ``pressure`` [GPa]."""

    def excess(density: float) -> float:
        return float(eos.isotherm(torch.tensor(density, dtype=torch.float64))[0]) - pressure

    return _bisect(excess, 0.9 * eos.rho0, 1.5 * eos.rho0)


@dataclass(frozen=True, slots=True)
class ShockState:
    """State behind a steady shock into the ambient solid.

    ``particle_velocity`` and ``shock_velocity`` [km/s] are relative to the material ahead.
    """

    pressure: float
    density: float
    temperature: float
    particle_velocity: float
    shock_velocity: float


def hugoniot(eos: MieGruneisen, pressure: float) -> ShockState:
    """Rankine–Hugoniot state of the ambient solid shocked to ``pressure`` [GPa].

    Solves e − e_i = (p + p_i)(V_i − V)/2 together with the equation of state.

    Raises
    ------
    ValueError
        If ``pressure`` is not above ambient or no solution exists below 2.5-fold compression.
    """
    if not pressure > AMBIENT_PRESSURE:
        raise ValueError(f"shock pressure: expected > {AMBIENT_PRESSURE} GPa, got {pressure}")
    ahead = ambient_density(eos)

    def energy_density(density: float, p: float) -> float:
        coefficients = eos.affine(torch.tensor(density, dtype=torch.float64))
        return float(coefficients.energy_0 + coefficients.energy_1 * p)

    energy_ahead = energy_density(ahead, AMBIENT_PRESSURE) / ahead

    def excess(density: float) -> float:
        work = 0.5 * (pressure + AMBIENT_PRESSURE) * (1.0 / ahead - 1.0 / density)
        return energy_density(density, pressure) / density - energy_ahead - work

    density = _bisect(excess, ahead * (1.0 + 1e-9), 2.5 * ahead)
    jump = pressure - AMBIENT_PRESSURE
    velocity = math.sqrt(jump * (1.0 / ahead - 1.0 / density))
    as_tensor = torch.tensor([density, pressure], dtype=torch.float64)
    temperature = float(eos.temperature(as_tensor[0], as_tensor[1]))
    return ShockState(pressure, density, temperature, velocity, jump / (ahead * velocity))


def _bisect(function: Callable[[float], float], low: float, high: float) -> float:
    """Root of ``function`` between ``low`` and ``high`` to machine precision."""
    sign = math.copysign(1.0, function(low))
    if sign * function(high) > 0:
        raise ValueError(f"expected a sign change on [{low}, {high}], got none")
    for _ in range(200):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        if sign * function(middle) > 0:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)
