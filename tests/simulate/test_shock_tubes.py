"""Tubes of two fluids against the exact solution."""

import pytest
import torch

from probtokens.simulate.boundaries import Boundaries
from probtokens.simulate.eos import StiffenedGas
from probtokens.simulate.flow import FlowModel
from probtokens.simulate.mixture import Mixture, Phases, Primitive, State
from probtokens.simulate.solver import Solver
from tests.simulate.exact_riemann import Gas, Star, solve

TRACE = 1e-7

#: name -> left, right, duration, membrane, published star pressure, velocity, densities, shock speed.
TUBES = {
    "sod": (
        Gas(1.4, 0.0, 1.0, 0.0, 1.0),
        Gas(1.4, 0.0, 0.125, 0.0, 0.1),
        0.2,
        0.5,
        (0.303130, 0.927453, 0.426319, 0.265574, 1.752156),
    ),
    "water_dense_air": (
        Gas(4.4, 0.6, 1.0, 0.0, 1.0),
        Gas(1.4, 0.0, 0.05, 0.0, 1e-4),
        0.24,
        0.7,
        (1.41905e-2, 0.482610, 0.804445, 0.288168, 0.583928),
    ),
    "water_air": (
        Gas(4.4, 0.6, 1.0, 0.0, 1.0),
        Gas(1.4, 0.0, 0.001, 0.0, 1e-4),
        0.24,
        0.7,
        (4.79691e-4, 0.491974, 0.800328, 2.75833e-3, 0.771770),
    ),
}


def exact(name: str) -> Star:
    left, right, *_ = TUBES[name]
    return solve(left, right)


def run_tube(name: str, n: int) -> tuple[Primitive, float]:
    """Final profile and the shock's speed over the second half."""
    left, right, duration, membrane, _ = TUBES[name]
    mixture = Mixture(StiffenedGas(left.gamma, left.stiffness), StiffenedGas(right.gamma, right.stiffness))
    x = ((torch.arange(n, dtype=torch.float64) + 0.5) / n).expand(1, 2, n)

    def pick(a: float, b: float) -> torch.Tensor:
        return torch.where(x < membrane, a, b).double()

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
    model = FlowModel(mixture, Boundaries(left="open", right="open"), spacing=1.0 / n)
    level = 0.5 * (exact(name).pressure + right.pressure)
    speed, fronts = None, []
    for _ in range(4):
        state, _, speed = Solver(model).advance(state, None, duration / 4, speed)
        cells, _ = mixture.primitive(State(*(value[0, 0] for value in state)))
        fronts.append(front(cells.pressure, level) / n)
    return cells, (fronts[3] - fronts[1]) / (duration / 2)


def front(pressure: torch.Tensor, level: float) -> float:
    """Position, in cells, where pressure last falls through ``level``."""
    last = int((pressure > level).nonzero().max())
    return last + 0.5 + float((pressure[last] - level) / (pressure[last] - pressure[last + 1]))


@pytest.mark.parametrize("name", TUBES)
def test_exact_solver_reproduces_published_star_states(name):
    star = exact(name)
    got = (star.pressure, star.velocity, star.left_density, star.right_density, star.shock)
    assert got == pytest.approx(TUBES[name][-1], rel=1e-5)


def check_tube(name: str, cells: int, tolerance: float, shock_tolerance: float, density_tolerance: float) -> None:
    left, _, duration, membrane, _ = TUBES[name]
    star = exact(name)
    got, shock = run_tube(name, cells)
    density = (1.0 - got.gas) * got.solid_density + got.gas * got.gas_density

    def plateau(slow: float, fast: float) -> slice:
        """Cells at 50–85 % of the way between two waves: off the contact's smear and the shock's."""
        low, high = slow + 0.5 * (fast - slow), slow + 0.85 * (fast - slow)
        return slice(int((membrane + duration * low) * cells), int((membrane + duration * high) * cells) + 1)

    # Pressure behind the rarefaction is resolved relative to the one ahead of it.
    for region, expected, scale in (
        (plateau(star.velocity, star.tail), star.left_density, left.pressure),
        (plateau(star.velocity, star.shock), star.right_density, star.pressure),
    ):
        region = slice(min(region.start, region.stop), max(region.start, region.stop))
        assert float(got.pressure[region].mean()) == pytest.approx(star.pressure, abs=tolerance * scale)
        assert float(got.velocity_x[region].mean()) == pytest.approx(star.velocity, rel=tolerance)
        assert float(density[region].mean()) == pytest.approx(expected, rel=density_tolerance)
    assert shock == pytest.approx(star.shock, rel=shock_tolerance)


# The shocked layer of air is 10 and 27 cells thick at 400 cells, about as wide as the contact's smear:
# coarse water tubes check the star state, fine ones everything to 1 %.
@pytest.mark.parametrize(
    ("name", "cells", "tolerance", "shock_tolerance", "density_tolerance"),
    [("sod", 200, 0.01, 0.01, 0.01), ("water_dense_air", 400, 0.02, 0.02, 0.15), ("water_air", 400, 0.02, 0.05, 0.06)],
)
def test_tube_reaches_exact_star_state_and_shock_speed(name, cells, tolerance, shock_tolerance, density_tolerance):
    check_tube(name, cells, tolerance, shock_tolerance, density_tolerance)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", ["water_dense_air", "water_air"])
def test_water_tube_on_a_fine_grid(name):
    check_tube(name, cells=2000, tolerance=0.01, shock_tolerance=0.01, density_tolerance=0.015)
