"""Interfaces, conservation, order of accuracy."""

import dataclasses

import numpy as np
import pytest
import torch

from probtokens.simulate.boundaries import Boundaries
from probtokens.simulate.eos import MENIKOFF_SEWELL, PORE_GAS, StiffenedGas, ambient_density
from probtokens.simulate.flow import FlowModel
from probtokens.simulate.initial import shocked_crystal
from probtokens.simulate.kinetics import Tarver
from probtokens.simulate.mixture import Mixture, Phases
from probtokens.simulate.solver import Solver

PERIODIC = Boundaries("periodic", "periodic", "periodic", "periodic")
HMX = Mixture(MENIKOFF_SEWELL, PORE_GAS)


def blob(ny: int, nx: int, low: float = 1e-6, high: float = 0.999) -> torch.Tensor:
    """Gas fraction (1, y, x) of a round pore with a soft edge."""
    y, x = torch.meshgrid(torch.arange(ny) - ny / 2, torch.arange(nx) - nx / 2, indexing="ij")
    return (low + (high - low) * torch.sigmoid(2.0 * (0.25 * ny - torch.hypot(y, x)).double()))[None]


def test_isolated_interface_keeps_pressure_and_velocity_uniform():
    gas = blob(16, 24)
    one = torch.ones_like(gas)
    state = HMX.state(Phases(gas, ambient_density(MENIKOFF_SEWELL, 1e-2) * one, 1e-2 * one, -1.4 * one, 0.7 * one, 1e-2 * one))
    state, _, _ = Solver(FlowModel(HMX, PERIODIC, spacing=0.04)).advance(state, None, 0.1)
    cells, _ = HMX.primitive(state)
    assert (cells.gas - gas).abs().max() > 0.1  # it did move
    torch.testing.assert_close(cells.pressure, 1e-2 * one, rtol=0.0, atol=1e-11)
    torch.testing.assert_close(cells.velocity_x, -1.4 * one, rtol=0.0, atol=1e-11)
    torch.testing.assert_close(cells.velocity_y, 0.7 * one, rtol=0.0, atol=1e-11)


def shocked_pore(ny: int, nx: int) -> tuple[torch.Tensor, ...]:
    state, _ = shocked_crystal(blob(ny, nx).numpy(), np.array([28.0]), HMX, 0.04, "piston", torch.float64)
    return state


def totals(model: FlowModel, state) -> torch.Tensor:
    quantities = (state.solid_mass + state.gas_mass, state.momentum_x, state.momentum_y, model.total_energy(state))
    return torch.stack([value.sum() for value in quantities])


def test_periodic_domain_conserves_mass_momentum_energy():
    model = FlowModel(HMX, PERIODIC, 0.04, 0.1, 1.9, Tarver(), heat_exchange=20.0)
    state = shocked_pore(16, 24)
    new, _, _ = Solver(model).advance(state, None, 0.1)
    start = totals(model, state)
    scale = torch.stack([start[0], start[0], start[0], start[3]])  # momenta: mass × 1 km/s
    torch.testing.assert_close(totals(model, new) / scale, start / scale, rtol=0.0, atol=1e-13)
    assert (new.species_a / new.solid_mass).min() < 0.97  # reactions did run


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


def advection_error(n: int) -> float:
    mixture = Mixture(StiffenedGas(1.4), StiffenedGas(1.4))
    x = ((torch.arange(n, dtype=torch.float64) + 0.5) / n).expand(1, 2, n)
    density = 1.0 + 0.2 * torch.sin(2.0 * torch.pi * x)
    one = torch.ones_like(x)
    state = mixture.state(Phases(1e-6 * one, density, one, one, 0.0 * one, one))
    new, _, _ = Solver(FlowModel(mixture, PERIODIC, spacing=1.0 / n)).advance(state, None, 1.0)
    return float((new.solid_mass - state.solid_mass).abs().mean())


def test_smooth_advection_is_second_order():
    coarse, fine = advection_error(40), advection_error(80)
    assert np.log2(coarse / fine) > 1.8


def test_viscosity_damps_a_shear_wave_at_the_analytic_rate():
    mixture, n, viscosity = Mixture(StiffenedGas(1.4), StiffenedGas(1.4)), 32, 0.02
    x = ((torch.arange(n, dtype=torch.float64) + 0.5) / n).expand(1, 2, n)
    one = torch.ones_like(x)
    wave = 0.05 * torch.sin(2.0 * torch.pi * x)
    state = mixture.state(Phases(1e-6 * one, one, one, 0.0 * one, wave, 10.0 * one))
    model = FlowModel(mixture, PERIODIC, 1.0 / n, viscosity, viscous_density=1.0)
    new, _, _ = Solver(model).advance(state, None, 0.5)
    decay = float((new.momentum_y * wave).sum() / (wave**2).sum())
    assert decay == pytest.approx(np.exp(-viscosity * (2.0 * np.pi) ** 2 * 0.5), rel=0.02)


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


def gas_left(kapila: bool) -> float:
    mixture = dataclasses.replace(HMX, kapila=kapila)
    pore = blob(16, 24).numpy()
    state, outside = shocked_crystal(pore, np.array([15.0]), mixture, 0.04, "piston", torch.float64)
    solver = Solver(FlowModel(mixture, Boundaries("wall", "far"), 0.04, 0.1, 1.9))
    speed = None
    for _ in range(4):
        state, _, speed = solver.advance(state, outside, 0.08, speed)
    return float(state.gas.sum() / pore.sum())


def test_pore_closes_with_kapilas_term_and_not_without():
    assert gas_left(kapila=True) < 0.1
    assert gas_left(kapila=False) > 0.15


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
