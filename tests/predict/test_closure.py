"""Closure quantities of curves that are known in closed form."""

import numpy as np
import pytest
import xarray as xr

from probtokens.predict.closure import BEGUN, GROWTH_WINDOW, IGNITED, LEVELS, closure, crossing_time, first_time, growth_slope, rise_rate
from probtokens.simulate.eos import LASL, MENIKOFF_SEWELL, hugoniot
from tests.predict.closures import closure_of

TIME = np.linspace(0, 6, 1201)


def one(curve, *, time=TIME, pressure=9.0, porosity=0.06):
    return closure_of(np.asarray(curve)[None, None], time, pressure, porosity, 0.6).isel(draw=0, simulation=0)


def logistic(time, end=0.8, rate=2.5, middle=2.0):
    return end / (1 + np.exp(-rate * (time - middle)))


def test_logistic_curve_has_its_times_and_rates():
    end, rate, middle, porosity = 0.8, 2.5, 2.0, 0.06

    def time_at(level):
        return middle - np.log(end / level - 1) / rate

    found = one(logistic(TIME, end, rate, middle), porosity=porosity)
    assert float(found["ignition_time"]) == pytest.approx(time_at(IGNITED), abs=1e-4)
    expected = (1 - BEGUN) * IGNITED / (time_at(IGNITED) - time_at(BEGUN * IGNITED))
    assert float(found["ignition_rate"]) == pytest.approx(expected, rel=1e-3)
    fine = time_at(IGNITED) + np.linspace(0, GROWTH_WINDOW, 2001)
    assert float(found["growth_rate"]) == pytest.approx(np.polyfit(fine, logistic(fine, end, rate, middle), 1)[0], rel=0.02)
    share = porosity / (1 - porosity)
    level = LEVELS[0]
    slope = rate * level * (1 - level / (end * share))  # of λ = F share
    assert float(found["lambda_rate"].sel(level=level)) == pytest.approx(slope, rel=0.03), "the secant is that of 20 % around the level"


def test_linear_growth_has_its_rate_exactly_whatever_the_frames():
    onset, rate = 0.75, 0.4
    for time in (TIME, np.arange(0, 6.01, 0.125)):
        found = one(np.maximum(rate * (time - onset), 0), time=time)
        assert float(found["ignition_time"]) == pytest.approx(onset + IGNITED / rate)
        assert float(found["ignition_rate"]) == pytest.approx(rate)
        assert float(found["growth_rate"]) == pytest.approx(rate)


def test_rates_have_the_dimension_of_an_inverse_time():
    curve = logistic(TIME, rate=1.2, middle=1.0)
    fast, slow = (first_time(factor * TIME, curve, 0.3) for factor in (1, 2))
    assert float(slow) == pytest.approx(2 * float(fast))
    assert float(rise_rate(2 * TIME, curve, 0.1, 0.3)) == pytest.approx(0.5 * float(rise_rate(TIME, curve, 0.1, 0.3)))
    straight = 0.3 * TIME
    assert float(growth_slope(2 * TIME, straight, 1.0)) == pytest.approx(0.5 * float(growth_slope(TIME, straight, 1.0)))


def test_ratio_and_burnt_fraction_are_masses_over_masses():
    """F is per crystal that would fill the pores, λ per crystal that is there; twice the sample with twice the mass is the same."""
    found = one(logistic(TIME), porosity=0.2)
    np.testing.assert_allclose(found["lambda"], 0.25 * found["F"], rtol=1e-12)
    curves = xr.Dataset(
        {name: (("draw", "simulation", "time"), np.ones((1, 2, 4))) for name in ("reacted_mass", "mean_pressure")},
        coords={"draw": [0], "simulation": ["a", "b"], "time": np.arange(4.0), "shock_pressure": ("simulation", [9.0, 9.0])},
    )
    pores = xr.Dataset({name: ("simulation", [0.1, 0.2]) for name in ("porosity", "pore_size", "pore_spread")})
    small, large = (closure(curves.assign(reacted_mass=k * curves["reacted_mass"]), pores, (1.0, 2.0 * k)) for k in (1, 2))
    np.testing.assert_allclose(small["F"], large["F"])
    np.testing.assert_allclose(small["F"].values[0, 0], 2 * small["F"].values[0, 1])


def test_growth_is_measured_after_the_shock_has_crossed():
    """Two slopes: the first until 2 ns, the second from there on."""
    curve = np.where(TIME < 2, 0.3 * TIME, 0.6 + 0.1 * (TIME - 2))
    early, late = (float(growth_slope(TIME, curve, start)) for start in (0.4, 2.0))
    assert early == pytest.approx(0.3, rel=0.02)
    assert late == pytest.approx(0.1)
    found = crossing_time([6.0, 12.0], 7.68)
    np.testing.assert_allclose(found, [(7.68 - 0.16) / hugoniot(MENIKOFF_SEWELL, p).shock_velocity for p in (6.0, 12.0)])
    assert found[0] > found[1] != pytest.approx(float(crossing_time(12.0, 7.68, LASL)[0]))


@pytest.mark.parametrize(
    ("curve", "missing"),
    [
        (0 * TIME, {"ignition_time", "ignition_rate", "growth_rate"}),
        (0 * TIME + 0.99 * IGNITED, {"ignition_time", "ignition_rate", "growth_rate"}),
        (np.maximum(0.2 * (TIME - 4.5), 0), {"growth_rate"}),
        (0.2 * TIME, set()),
    ],
    ids=["inert", "just below", "too late for growth", "ignites"],
)
def test_what_a_record_ends_before_is_missing(curve, missing):
    found = one(curve)
    assert {name for name in ("ignition_time", "ignition_rate", "growth_rate") if np.isnan(found[name])} == missing


def test_a_dip_of_a_draw_ignites_it_once():
    curve = 0.2 * TIME - 0.15 * np.exp(-(((TIME - 0.8) / 0.1) ** 2))
    assert float(one(curve)["ignition_time"]) == pytest.approx(float(TIME[np.argmax(np.maximum.accumulate(curve) >= IGNITED)]), abs=0.005)


def test_units_and_draws_are_kept():
    found = closure_of(np.linspace(0.5, 1.0, 3)[:, None, None] * np.ones((1, 2, 1)) * TIME, TIME, [6.0, 9.0], 0.06, 0.6)
    assert {name: found[name].attrs["units"] for name in ("ignition_time", "growth_rate", "F", "shock_pressure")} == {
        "ignition_time": "ns",
        "growth_rate": "1/ns",
        "F": "1",
        "shock_pressure": "GPa",
    }
    np.testing.assert_allclose(found["growth_rate"], np.linspace(0.5, 1.0, 3)[:, None] * np.ones(2))
    assert found["growth_rate"].dims == ("draw", "simulation")


def test_simulations_without_shock_pressure_are_refused():
    curves = xr.Dataset({"reacted_mass": (("draw", "simulation", "time"), np.zeros((1, 1, 2)))}, coords={"time": [0.0, 1.0]})
    with pytest.raises(ValueError, match="expected a coordinate 'shock_pressure'"):
        closure(curves, xr.Dataset({"porosity": ("simulation", [0.1])}), (1.0, 1.0))
