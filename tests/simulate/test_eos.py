"""Equations of state: thermodynamic identities and shock states."""

import numpy as np
import pytest
import torch

from probtokens.simulate.eos import LASL, MENIKOFF_SEWELL, StiffenedGas, ambient_density, hmx, hugoniot

SETS = {"menikoff_sewell": MENIKOFF_SEWELL, "lasl": LASL}


def energy(eos, density: torch.Tensor, pressure: torch.Tensor) -> torch.Tensor:
    c = eos.affine(density)
    return (c.energy_0 + c.energy_1 * pressure) / density


@pytest.mark.parametrize("name", SETS)
def test_temperature_is_consistent_with_energy(name):
    """(∂e/∂V)_T = T (∂p/∂T)_V − p, by central differences."""
    eos, temperature = SETS[name], 900.0

    def state(volume: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        density = 1.0 / volume
        at_zero = eos.temperature(density, torch.zeros_like(density))
        pressure = (temperature - at_zero) * eos.coupling * eos.heat_capacity
        return energy(eos, density, pressure), pressure

    volume = torch.linspace(0.38, 0.6, 12, dtype=torch.float64)
    step = 1e-5
    slope = (state(volume + step)[0] - state(volume - step)[0]) / (2.0 * step)
    expected = temperature * eos.coupling * eos.heat_capacity - state(volume)[1]
    torch.testing.assert_close(slope, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("eos", [*SETS.values(), StiffenedGas(4.4, 0.6)], ids=[*SETS, "stiffened"])
def test_bulk_modulus_is_the_isentropic_slope(eos):
    """ρc² = ρ (∂p/∂ρ)_s with de = p/ρ² dρ along the isentrope."""
    density = torch.linspace(1.6, 2.8, 9, dtype=torch.float64)
    pressure = torch.full_like(density, 6.0)
    c = eos.affine(density)
    step = 1e-6 * density
    target = energy(eos, density, pressure) + pressure / density**2 * step
    d = eos.affine(density + step)
    moved = (target * (density + step) - d.energy_0) / d.energy_1
    torch.testing.assert_close(density * (moved - pressure) / step, c.bulk_0 + c.bulk_1 * pressure, rtol=2e-5, atol=0.0)


@pytest.mark.parametrize("name", SETS)
def test_modulus_stays_positive_and_curve_smooth_in_expansion(name):
    eos = SETS[name]
    density = torch.linspace(0.3, 1.2, 181, dtype=torch.float64) * eos.rho0
    pressure, _, modulus = eos.isotherm(density)
    assert (modulus > 0.0).all()
    slope = density[1:-1] * (pressure[2:] - pressure[:-2]) / (density[2:] - density[:-2])
    torch.testing.assert_close(slope, modulus[1:-1], rtol=0.02, atol=1e-3)


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("pressure", [5.0, 15.0, 30.0])
def test_hugoniot_satisfies_the_jump_conditions(name, pressure):
    eos = SETS[name]
    s, ahead, p0 = hugoniot(eos, pressure), ambient_density(eos), 1e-4
    assert ahead * s.shock_velocity == pytest.approx(s.density * (s.shock_velocity - s.particle_velocity))
    assert pressure - p0 == pytest.approx(ahead * s.shock_velocity * s.particle_velocity)
    as_tensor = torch.tensor([[ahead, p0], [s.density, pressure]], dtype=torch.float64)
    before, behind = energy(eos, as_tensor[:, 0], as_tensor[:, 1])
    assert float(behind - before) == pytest.approx(0.5 * (pressure + p0) * (1.0 / ahead - 1.0 / s.density))


def test_lasl_set_follows_the_measured_line():
    for velocity in np.linspace(0.5, 2.5, 9):
        shock = 2.901 + 2.058 * velocity
        state = hugoniot(LASL, 1.891 * velocity * shock)
        assert state.particle_velocity == pytest.approx(velocity, rel=0.006)
        assert state.shock_velocity == pytest.approx(shock, rel=0.006)
    state = hugoniot(LASL, 9.5)
    assert (state.particle_velocity, state.shock_velocity, state.density) == pytest.approx((1.0092, 4.9780, 2.37186), rel=0.005)


def test_bulk_temperature_behind_an_unreacted_shock_stays_below_ignition():
    assert hugoniot(MENIKOFF_SEWELL, 18.0).temperature < 875.0


def test_unknown_set_and_weak_shock_are_errors():
    with pytest.raises(ValueError, match="expected one of"):
        hmx("petn")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="shock pressure"):
        hugoniot(MENIKOFF_SEWELL, 0.0)


@pytest.mark.parametrize("name", SETS)
def test_density_inverts_temperature(name):
    eos = SETS[name]
    density = np.linspace(0.9, 3.4, 60)
    for pressure in (0.1, 9.0, 40.0):
        temperature = eos.temperature(torch.from_numpy(density), torch.full((60,), pressure, dtype=torch.float64)).numpy()
        np.testing.assert_allclose(eos.density(temperature, np.full(60, pressure)), density, rtol=2e-6)
    assert eos.density(np.array([20000.0]), np.array([0.1])) == pytest.approx(0.2 * eos.rho0)
