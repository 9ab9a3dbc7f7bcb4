"""Edges, symmetry, shared strain; exact solutions are in tests/verify."""

import numpy as np
import torch

from probtokens.simulate.boundaries import Boundaries
from probtokens.simulate.eos import MENIKOFF_SEWELL, PORE_GAS, ambient_density
from probtokens.simulate.flow import FlowModel
from probtokens.simulate.initial import shocked_crystal
from probtokens.simulate.kinetics import Fractions, Tarver
from probtokens.simulate.mixture import Mixture, Phases
from probtokens.simulate.solver import Solver

PERIODIC = Boundaries("periodic", "periodic", "periodic", "periodic")
HMX = Mixture(MENIKOFF_SEWELL, PORE_GAS)


def blob(ny: int, nx: int, low: float = 1e-6, high: float = 0.999) -> torch.Tensor:
    """Gas fraction (1, y, x) of a round pore with a soft edge."""
    y, x = torch.meshgrid(torch.arange(ny) - ny / 2, torch.arange(nx) - nx / 2, indexing="ij")
    return (low + (high - low) * torch.sigmoid(2.0 * (0.25 * ny - torch.hypot(y, x)).double()))[None]


def shocked_pore(ny: int, nx: int) -> tuple[torch.Tensor, ...]:
    state, _ = shocked_crystal(blob(ny, nx).numpy(), np.array([28.0]), HMX, 0.04, "piston", torch.float64)
    return state


def totals(model: FlowModel, state) -> torch.Tensor:
    quantities = (state.solid_mass + state.gas_mass, state.momentum_x, state.momentum_y, model.total_energy(state))
    return torch.stack([value.sum() for value in quantities])


def test_closed_box_conserves_mass_and_energy_and_reports_no_outflow():
    model = FlowModel(HMX, Boundaries(), 0.04, 0.1, 1.9, Tarver(), heat_exchange=20.0)
    state = shocked_pore(16, 24)
    new, outflow, _ = Solver(model).advance(state, None, 0.1)
    start, end = totals(model, state), totals(model, new)
    torch.testing.assert_close(end[[0, 3]] / start[[0, 3]], torch.ones(2).double(), rtol=0.0, atol=1e-13)
    assert outflow.abs().max() < 1e-13


def test_open_edges_account_for_what_leaves():
    model = FlowModel(HMX, Boundaries("wall", "open"), 0.04, 0.1, 1.9)
    state = shocked_pore(8, 16)
    new, outflow, _ = Solver(model).advance(state, None, 0.1)
    change = (totals(model, new) - totals(model, state))[[0, 3]]
    assert outflow[0, 0] < -0.1  # the crystal streams in
    torch.testing.assert_close(change, -outflow[0] / model.spacing, rtol=0.0, atol=1e-10)


def test_axes_are_treated_alike():
    """A pore hit along y is the mirror image of one hit along x."""
    state = shocked_pore(24, 24)
    turned = [value.transpose(-1, -2) for value in state]
    turned[3], turned[4] = turned[4], turned[3]
    model = FlowModel(HMX, Boundaries(), 0.04, 0.1, 1.9)
    one, _, _ = Solver(model).advance(state, None, 0.03)
    two, _, _ = Solver(model).advance(type(state)(*turned), None, 0.03)
    torch.testing.assert_close(one.energy, two.energy.transpose(-1, -2), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(one.momentum_x, two.momentum_y.transpose(-1, -2), rtol=1e-12, atol=1e-12)


def test_first_order_strain_is_kapilas_coefficient():
    gas, excess = torch.tensor(0.3).double(), torch.tensor(1e-7).double()
    bulk_1, bulk_2 = torch.tensor(15.0).double(), torch.tensor(2.0).double()
    transported = gas * (1.0 + excess)
    change = HMX.share_volume(transported, gas, excess, bulk_1, bulk_2) - gas
    k = 0.7 * 0.3 * (bulk_2 - bulk_1) / (0.3 * bulk_1 + 0.7 * bulk_2)
    # dα₂ = −K div u dt, and div u dt = −excess.
    torch.testing.assert_close(change / excess, k, rtol=1e-5, atol=0.0)


def test_share_volume_stays_within_bounds_for_any_strain():
    generator = torch.Generator().manual_seed(0)
    n = 2000
    gas = torch.sigmoid(20.0 * torch.randn(n, generator=generator)).double().clamp(1e-9, 1.0 - 1e-6)
    excess = torch.empty(n).uniform_(-0.6, 0.6, generator=generator).double()
    bulk_1, bulk_2 = (10.0 ** torch.empty(n).uniform_(-4, 2, generator=generator).double() for _ in range(2))
    shared = HMX.share_volume(gas * (1.0 + excess), gas, excess, bulk_1, bulk_2)
    assert ((shared > 0.0) & (shared < 1.0)).all()


def test_ambient_crystal_and_pores_are_not_troubled():
    """Else everything ahead of the shock falls back to first order and pores are smeared before it comes."""
    gas = blob(16, 24)
    one = torch.ones_like(gas)
    density = ambient_density(MENIKOFF_SEWELL) * one
    state = HMX.state(Phases(gas, density, PORE_GAS.density(1e-4, 300.0) * one, -one, 0.0 * one, 1e-4 * one))
    assert not HMX.primitive(state)[1].troubled.any()


def test_reactions_in_mixed_cells_run_at_the_temperature_of_the_solid():
    """Not at the stored one, which counts the pores' share of a cell as cold."""
    model = FlowModel(HMX, PERIODIC, 0.04, kinetics=Tarver())
    one = torch.ones((1, 2, 2), dtype=torch.float64)
    state = HMX.state(Phases(0.4 * one, 2.3 * one, 0.5 * one, 0.0 * one, 0.0 * one, 10.0 * one))
    cells, _ = HMX.primitive(state)
    step = torch.tensor(1e-3, dtype=torch.float64)
    pure = Fractions(one, 0.0 * one, 0.0 * one)
    expected = Tarver().advance(pure, HMX.solid_temperature(cells), MENIKOFF_SEWELL.heat_capacity, step)
    assert 0.05 < float(expected.a.max()) < 0.95
    got = model.react(state, step)
    torch.testing.assert_close(got.species_a / got.solid_mass, expected.a)
    assert float(HMX.temperature(cells).max()) < 0.8 * float(HMX.solid_temperature(cells).min())
