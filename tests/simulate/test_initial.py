"""Initial states: the jump across the shock, and that the start leaves no spurious heat."""

import numpy as np
import pytest
import torch

from probtokens.config import PhysicsConfig
from probtokens.fields import Grid
from probtokens.simulate.eos import MENIKOFF_SEWELL, PORE_GAS, StiffenedGas, ambient_density, hugoniot
from probtokens.simulate.initial import shocked_crystal
from probtokens.simulate.mixture import Mixture
from probtokens.simulate.run import build_solver, run_batch

PRESSURE = np.array([8.0, 14.0])


@pytest.mark.parametrize("frame", ["piston", "laboratory"])
def test_both_sides_of_the_shock_satisfy_the_jump(frame):
    mixture = Mixture(MENIKOFF_SEWELL, PORE_GAS)
    state, outside = shocked_crystal(np.full((2, 4, 40), 1e-6), PRESSURE, mixture, 0.04, frame, torch.float64)
    cells, _ = mixture.primitive(state)
    behind, _ = mixture.primitive(outside)
    for index, pressure in enumerate(PRESSURE):
        shock = hugoniot(MENIKOFF_SEWELL, pressure)
        rest = shock.particle_velocity if frame == "piston" else 0.0
        assert float(behind.pressure[index]) == pytest.approx(pressure)
        assert float(behind.solid_density[index]) == pytest.approx(shock.density)
        assert float(behind.velocity_x[index]) == pytest.approx(shock.particle_velocity - rest, abs=1e-9)
        assert float(cells.velocity_x[index, 0, -1]) == pytest.approx(-rest, abs=1e-9)
        assert float(cells.solid_density[index, 0, -1]) == pytest.approx(ambient_density(MENIKOFF_SEWELL))
        assert float(cells.pressure[index, 0, 0]) == pytest.approx(pressure, rel=0.02)


def bulk_temperature(frame: str) -> np.ndarray:
    physics = PhysicsConfig(viscosity=0.1, compile=False, kinetics="none", frame=frame)
    grid = Grid(ny=4, nx=40, spacing=0.04, time_step=0.08, n_times=3)
    result = run_batch(build_solver(physics, 0.04), np.full((2, 4, 40), 1e-6), PRESSURE, grid, physics)
    return result.frames["temperature"][:, -1]


@pytest.mark.parametrize("frame", ["piston", "laboratory"])
def test_steady_shock_heats_the_bulk_to_the_hugoniot_and_no_further(frame):
    temperature = bulk_temperature(frame)
    for index, pressure in enumerate(PRESSURE):
        expected = hugoniot(MENIKOFF_SEWELL, pressure).temperature
        assert temperature[index].max() == pytest.approx(expected, rel=0.02)
        assert np.median(temperature[index, :, :10]) == pytest.approx(expected, rel=0.01)


def test_wrong_arguments_are_errors():
    porosity = np.full((2, 4, 8), 1e-6)
    with pytest.raises(ValueError, match="shock pressure"):
        shocked_crystal(porosity, np.array([9.0]), Mixture(MENIKOFF_SEWELL, PORE_GAS), 0.04, "piston")
    with pytest.raises(ValueError, match="Mie–Grüneisen"):
        shocked_crystal(porosity, PRESSURE, Mixture(StiffenedGas(4.4, 0.6), PORE_GAS), 0.04, "piston")
