"""Agreement of closures with truths, and the physicist's checks."""

import numpy as np
import pytest

from probtokens.evaluate.closure import agreement, closure_agreement, physical_checks
from probtokens.predict.closure_rates import Closure
from tests.predict.closures import power_law_closure


def gaussian(width=1.0, bias=0.0, n=400, draws=16, seed=0):
    rng = np.random.default_rng(seed)
    centre = rng.uniform(2, 3, n)
    return centre + 0.1 * (bias + width * rng.normal(size=(draws, n))), centre + 0.1 * rng.normal(size=n)


def test_draws_that_are_right_cover_nine_of_ten_truths():
    found = agreement(*gaussian())
    assert found.coverage == pytest.approx(0.9, abs=0.03)
    assert found.coverage_low < 0.9 < found.coverage_high
    assert abs(found.bias) < 0.015
    assert (found.n, found.undecided) == (400, 0)


def test_draws_that_are_too_sure_or_off_are_told():
    """Negative controls."""
    assert agreement(*gaussian(width=0.3)).coverage < 0.5
    off = agreement(*gaussian(bias=3.0))
    assert off.bias == pytest.approx(0.3, abs=0.02)
    assert off.relative_bias == pytest.approx(0.3 / 2.5, rel=0.1)
    assert off.coverage < 0.3
    assert abs(off.bias) > off.half_width > abs(agreement(*gaussian()).bias)


def test_simulations_of_which_only_one_side_ignites_are_counted_apart():
    draws, truth = gaussian(n=6)
    draws[:9, 0] = np.nan  # most draws do not
    draws[:7, 1] = np.nan  # most do: the others are left out
    truth[2] = np.nan
    draws[:, 3], truth[3] = np.nan, np.nan
    found = agreement(draws, truth)
    assert (found.n, found.undecided) == (3, 2)
    assert np.isfinite(found[2:]).all()
    nothing = agreement(np.full((4, 2), np.nan), np.full(2, np.nan))
    assert (nothing.n, nothing.undecided) == (0, 0)
    assert np.isnan(nothing.coverage)


def test_every_quantity_of_a_closure_is_compared():
    closure = power_law_closure(draws=9)
    truths = {f"{name}_truth": closure[name].isel(draw=4, drop=True) for name in closure.data_vars}
    found = closure_agreement(closure.assign(truths))
    assert set(found) == {
        "ignition_time",
        "ignition_rate",
        "growth_rate",
        "lambda_rate_0.01",
        "lambda_rate_0.05",
        "lambda_rate_0.1",
        "lambda_end",
    }
    assert found["ignition_time"].bias == pytest.approx(0, abs=1e-9), "the truth is the median draw"
    assert found["ignition_time"].coverage == 1


def test_a_pulse_rule_of_power_two_is_found():
    closure = power_law_closure(exponents=(-2.0, 0.0, 0.0))
    checks = physical_checks(closure, Closure.fit(closure))
    low, middle, high = checks["p2_tau"]["n"]
    assert low < middle < high
    assert middle == pytest.approx(2, abs=0.05)
    assert checks["p2_tau"]["variation"] < 0.01
    for name, sign in (("ignition_time", -1), ("ignition_rate", 1), ("growth_rate", 1)):
        assert checks["monotone"][name]["kendall"] == pytest.approx(sign)
        assert checks["monotone"][name]["share"] == 1
    assert checks["threshold"] == {
        "lowest_ignited": closure["shock_pressure"].values.min(),
        "highest_not_ignited": None,
        "not_ignited_above": 0,
    }


def test_a_closure_against_physics_is_told():
    """Negative control: it ignites later under stronger shocks, and one strong shock does not ignite at all."""
    closure = power_law_closure(exponents=(1.0, 0.0, 0.0))
    strongest = int(closure["shock_pressure"].values.argmax())
    closure["ignition_time"][:, strongest] = np.nan
    checks = physical_checks(closure, Closure.fit(closure))
    assert checks["monotone"]["ignition_time"]["share"] == 0
    assert checks["p2_tau"]["variation"] > 0.2
    assert checks["threshold"]["not_ignited_above"] == 1
    assert checks["threshold"]["highest_not_ignited"] == closure["shock_pressure"].values.max()


def test_checks_need_neither_power_laws_nor_ignition():
    closure = power_law_closure(n=4)
    assert physical_checks(closure, None)["p2_tau"]["n"] is None
    closure["ignition_time"][:] = np.nan
    assert physical_checks(closure, None)["threshold"]["lowest_ignited"] is None
