"""Reacted mass of frames: exact states, the simulator's own, and ensembles."""

import numpy as np
import pytest
import torch
import xarray as xr

from probtokens.config import PhysicsConfig
from probtokens.fields import Grid, field_spec
from probtokens.predict import open_rollout, reacted
from probtokens.predict.reacted import FIELDS, describe_pores, reacted_curves, reacted_mass
from probtokens.predict.store import create_store
from probtokens.simulate.eos import MENIKOFF_SEWELL
from probtokens.simulate.initial import shocked_crystal
from probtokens.simulate.microstructure.rasterize import gas_fraction
from probtokens.simulate.run import build_solver, observe

SPECS = tuple(map(field_spec, ("pressure", *(name for name in FIELDS if name != "pressure"))))


def frames(density, pressure, solid, reacted):
    """Fields of cells whose condensed phase has this density."""
    condensed = MENIKOFF_SEWELL.temperature(torch.tensor(density), torch.tensor(pressure)).numpy()
    return {"temperature": 300 + solid * (condensed - 300), "pressure": pressure, "solid_fraction": solid, "reacted_fraction": reacted}


def test_mass_of_known_states_is_exact():
    rng = np.random.default_rng(0)
    shape = (3, 5, 7)
    density, pressure = rng.uniform(1.2, 2.6, shape), rng.uniform(1.0, 15.0, shape)
    solid, reacted = rng.uniform(0.2, 1.0, shape), rng.uniform(0.05, 1.0, shape)
    found = reacted_mass(frames(density, pressure, solid, reacted), 0.0016)
    np.testing.assert_allclose(found, (reacted * solid * density).sum(axis=(1, 2)) * 0.0016, rtol=1e-5)


def test_traces_of_products_and_states_beyond_the_equation_of_state_give_finite_masses():
    one = np.ones((1, 2, 2))
    assert float(reacted_mass(frames(2.0 * one, 9.0 * one, one, 0.009 * one), 1.0)[0]) == 0.0
    hot = {"temperature": 9000 * one, "pressure": 0.1 * one, "solid_fraction": one, "reacted_fraction": one}
    np.testing.assert_allclose(reacted_mass(hot, 1.0), 4 * 0.5 * MENIKOFF_SEWELL.rho0)


def test_an_error_of_thirty_kelvin_hardly_changes_the_mass_of_the_thinnest_products(monkeypatch):
    """The isotherm is flat where products are thin: read off it alone, the same error halves their mass."""
    one = np.ones((1, 2, 2))
    thin = frames(1.0 * one, 6.0 * one, one, one)
    warmer = {**thin, "temperature": thin["temperature"] + 30}
    np.testing.assert_allclose(reacted_mass(thin, 1.0), 4.0, rtol=1e-4)
    assert 0.9 < (reacted_mass(warmer, 1.0) / reacted_mass(thin, 1.0))[0] < 1.0
    monkeypatch.setattr(reacted, "_LEAST_DENSITY", 0.0)
    assert (reacted_mass(warmer, 1.0) / reacted_mass(thin, 1.0))[0] < 0.5


def test_mass_is_the_simulators_within_two_percent():
    """A pore burns: densities from stored fields against the state's own; densities that are no state's are far off."""
    physics, spacing = PhysicsConfig(compile=False), 0.04
    solver = build_solver(physics, spacing)
    y, x = np.mgrid[:16, :24]
    gas = gas_fraction(((y - 8.0) ** 2 + (x - 11.0) ** 2 < 4.5**2).astype(float))[None]
    state, outside = shocked_crystal(gas, np.array([13.0]), solver.model.mixture, spacing, physics.frame)
    for _ in range(3):
        state, _, _ = solver.advance(state, outside, 0.15)
    seen = observe(solver.model, state)
    mass = (state.solid_mass + state.gas_mass).double().numpy()
    exact = (seen["reacted_fraction"] * mass).sum(axis=(1, 2)) * spacing**2
    assert exact[0] > 0.03
    np.testing.assert_allclose(reacted_mass(seen, spacing**2), exact, rtol=0.02)
    for constant in (1.9, 2.4):
        wrong = (seen["reacted_fraction"] * seen["solid_fraction"] * constant).sum(axis=(1, 2)) * spacing**2
        assert abs(wrong[0] / exact[0] - 1) > 0.05


@pytest.fixture(scope="module")
def rollout(tmp_path_factory):
    """Eleven draws of two simulations over four frames, more draws than are read at once."""
    rng = np.random.default_rng(1)
    path, grid = tmp_path_factory.mktemp("rollout") / "r.zarr", Grid(4, 6, 0.1, 0.5, 4)
    draws, simulations = 11, 2
    shape = (draws, simulations, grid.n_times, *grid.shape)
    fields = frames(rng.uniform(1.5, 2.5, shape), rng.uniform(2, 12, shape), np.ones(shape), rng.uniform(0.02, 1, shape))
    values = np.stack([fields[spec.name] for spec in SPECS], axis=3)
    values[:, :, 0] = values[0, :, 0]
    arrays = create_store(
        path,
        draws=draws,
        simulations=["a", "b"],
        fields=SPECS,
        grid=grid,
        context={"shock_pressure": np.array([6.0, 9.0])},
        attributes={"spacing": 0.1, "time_step": 0.5},
    )
    arrays.prediction[:] = values
    arrays.truth[:] = values[-1]
    return open_rollout(path)


def test_every_draw_of_a_rollout_has_its_mass(rollout):
    calls = []
    found = reacted_curves(rollout, progress=lambda *progress: calls.append(progress))
    assert found["reacted_mass"].dims == ("draw", "simulation", "time")
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    values = rollout["prediction"].values
    names = [spec.name for spec in SPECS]
    direct = reacted_mass({name: values[:, :, :, names.index(name)] for name in FIELDS}, 0.01)
    np.testing.assert_allclose(found["reacted_mass"], direct)
    np.testing.assert_allclose(found["mean_pressure"], values[:, :, :, 0].mean(axis=(-2, -1)), rtol=1e-6)
    np.testing.assert_array_equal(found["shock_pressure"], [6.0, 9.0])


def test_the_truth_is_a_single_draw(rollout):
    truth, forecast = reacted_curves(rollout, "truth"), reacted_curves(rollout)
    np.testing.assert_allclose(truth["reacted_mass"].values[0], forecast["reacted_mass"].values[-1])
    alone = reacted_curves(rollout.isel(simulation=1))
    np.testing.assert_allclose(alone["reacted_mass"].values[:, 0], forecast["reacted_mass"].values[:, 1])


def test_units_of_a_rollout_change_nothing_and_none_at_all_is_refused(rollout):
    """The same ensemble in mm, ms, Pa and °C."""
    other, names = rollout.copy(), [spec.name for spec in SPECS]
    other["field_unit"] = ("field", np.array([{"pressure": "Pa", "temperature": "degC"}.get(name, "1") for name in names], dtype=object))
    factor = xr.DataArray([1e9 if name == "pressure" else 1.0 for name in names], dims="field")
    offset = xr.DataArray([-273.15 if name == "temperature" else 0.0 for name in names], dims="field")
    for name in ("prediction", "truth"):
        other[name] = (rollout[name].load() * factor + offset).transpose(*rollout[name].dims)
    for axis, unit, size in (("x", "mm", 1e-3), ("y", "mm", 1e-3), ("time", "ms", 1e-6)):
        other = other.assign_coords({axis: (axis, size * rollout[axis].values, {"unit": unit})})
    other["shock_pressure"] = ("simulation", 1e9 * rollout["shock_pressure"].values, {"unit": "Pa"})
    other.attrs = {}
    found, expected = reacted_curves(other), reacted_curves(rollout)
    for name in ("reacted_mass", "mean_pressure", "time", "shock_pressure"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, err_msg=name)
    nothing = other.assign_coords(field_unit=("field", np.array(["1"] * len(names), dtype=object)))
    with pytest.raises(ValueError, match=r"field 'temperature': expected a unit that becomes 'K', got '1'"):
        reacted_curves(nothing)
    other["x"].attrs["unit"] = other["y"].attrs["unit"] = "1"
    with pytest.raises(ValueError, match=r"grid: expected a unit that becomes 'µm', got '1'"):
        reacted_curves(other)


def test_a_missing_field_or_first_frame_is_named(rollout):
    with pytest.raises(ValueError, match="field 'reacted_fraction'"):
        reacted_curves(rollout.isel(field=slice(0, 3)))
    with pytest.raises(ValueError, match="leads from 0"):
        reacted_curves(rollout.isel(time=slice(1, None)))


def test_pores_have_their_area_and_sizes():
    y, x = np.mgrid[:64, :96] + 0.5
    void = ((y - 20) ** 2 + (x - 30) ** 2 < 10**2) | ((y - 45) ** 2 + (x - 70) ** 2 < 5**2)
    found = describe_pores(1 - gas_fraction(void.astype(float))[None], 0.04)
    area = np.pi * np.array([0.4, 0.2]) ** 2
    assert float(found["porosity"][0]) == pytest.approx(area.sum() / (64 * 96 * 0.0016), rel=0.01)
    assert float(found["pore_size"][0]) == pytest.approx(0.6, rel=0.01)
    assert float(found["pore_spread"][0]) == pytest.approx(0.2, rel=0.02)
    assert found["pore_size"].attrs["units"] == "µm"


def test_crystals_without_pores_are_refused():
    with pytest.raises(ValueError, match=r"expected pores in every one, got none in simulations \[1\]"):
        describe_pores(np.stack([np.eye(8), np.ones((8, 8))]), 0.04)
