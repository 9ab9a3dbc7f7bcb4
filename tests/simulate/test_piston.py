"""Reverse impact of crystal on a wall against the Rankine–Hugoniot relations."""

import pytest
import torch

from probtokens.simulate.boundaries import Boundaries
from probtokens.simulate.eos import LASL, MENIKOFF_SEWELL, PORE_GAS, ambient_density, hugoniot
from probtokens.simulate.flow import FlowModel
from probtokens.simulate.mixture import Mixture, Phases
from probtokens.simulate.solver import Solver


def impact(eos, velocity: float, n: int = 120, duration: float = 0.8) -> tuple[float, float, float]:
    """Pressure, density and shock velocity after solid crystal at −velocity hits the wall."""
    mixture = Mixture(eos, PORE_GAS)
    one = torch.ones((1, 2, n), dtype=torch.float64)
    state = mixture.state(Phases(1e-6 * one, ambient_density(eos) * one, 1.16e-3 * one, -velocity * one, 0.0 * one, 1e-4 * one))
    spacing = 0.04
    solver = Solver(FlowModel(mixture, Boundaries("wall", "open"), spacing))
    front, speed = [], None
    for _ in range(2):
        state, _, speed = solver.advance(state, None, duration / 2, speed)
        cells, _ = mixture.primitive(state)
        profile = cells.pressure[0, 0]
        level = 0.5 * float(profile[10])
        last = int((profile > level).nonzero().max())
        inside = float((profile[last] - level) / (profile[last] - profile[last + 1]))
        front.append((last + 0.5 + inside) * spacing)
    middle = slice(int(0.3 * last), int(0.8 * last))  # off the wall, where impact leaves some heat
    density = (state.solid_mass + state.gas_mass)[0, 0]
    wave = (front[1] - front[0]) / (duration / 2) + velocity
    return float(profile[middle].mean()), float(density[middle].mean()), wave


@pytest.mark.parametrize(("eos", "pressure"), [(MENIKOFF_SEWELL, 9.5), (MENIKOFF_SEWELL, 15.0), (LASL, 15.0)])
def test_impact_reaches_the_hugoniot_of_its_eos(eos, pressure):
    expected = hugoniot(eos, pressure)
    got = impact(eos, expected.particle_velocity)
    assert got == pytest.approx((expected.pressure, expected.density, expected.shock_velocity), rel=0.01)


def test_impact_follows_the_lasl_line():
    assert impact(LASL, 1.0092) == pytest.approx((9.5, 2.37186, 4.9780), rel=0.01)
