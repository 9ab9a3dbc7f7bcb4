"""Power laws of draws: recovered, smooth, refused outside."""

import doctest
import json

import numpy as np
import pytest

from probtokens.predict import closure, closure_rates
from probtokens.predict.closure_rates import Closure, load_closure
from tests.predict.closures import power_law_closure


@pytest.fixture(scope="module")
def law():
    return Closure.fit(power_law_closure())


def test_exponents_and_draws_of_a_known_law_come_back(law):
    exponents = law.coefficients[:, 0, 1:]
    np.testing.assert_allclose(exponents, np.broadcast_to([-2.0, 0.3, -0.5], exponents.shape), atol=0.12)
    np.testing.assert_allclose(law.coefficients[:, 1, 1:], -exponents, atol=0.2)
    found = law.rates(8.0, 0.06, 0.6)
    np.testing.assert_allclose(found.ignition_time, 1 + 0.1 * np.arange(8), rtol=0.05)
    np.testing.assert_allclose(found.growth_rate, 1 / (1 + 0.1 * np.arange(8)), rtol=0.05)


def test_points_broadcast_and_one_draw_is_that_of_all(law):
    pressure = np.array([[7.0], [8.0], [9.0]])
    every = law.rates(pressure, np.array([0.05, 0.06]), 0.6)
    assert every.ignition_rate.shape == (8, 3, 2)
    one = law.rates(pressure, np.array([0.05, 0.06]), 0.6, draw=5)
    for a, b in zip(every, one, strict=True):
        np.testing.assert_array_equal(a[5], b)
    assert (np.diff(every.ignition_time, axis=1) < 0).all()
    assert law.rates(8.0, 0.06, 0.6, draw=0).growth_rate.shape == ()


@pytest.mark.parametrize(
    "point",
    [(3.0, 0.06, 0.6), (15.0, 0.06, 0.6), (8.0, 0.2, 0.6), (8.0, 0.06, 0.2), (8.0, -0.06, 0.6), (0.0, 0.06, 0.6), (np.nan, 0.06, 0.6)],
)
def test_points_outside_the_simulations_are_refused(law, point):
    assert not law.covers(*point)
    with pytest.raises(ValueError, match="expected points among the simulations"):
        law.rates(*point)
    with pytest.raises(ValueError, match="expected points among the simulations"):
        law.rates(np.array([8.0, point[0]]), np.array([0.06, point[1]]), np.array([0.6, point[2]]))


def test_a_corner_of_the_box_that_no_simulation_is_near_is_outside(law):
    """Each input is in its range, all together are not in the hull."""
    corner = law.low["shock_pressure"], law.low["porosity"], law.low["pore_size"]
    assert not law.covers(*corner)
    assert law.covers(8.0, 0.06, 0.6)


def test_draws_are_those_there_are(law):
    with pytest.raises(ValueError, match=r"draw: expected 0..7, got 8"):
        law.rates(8.0, 0.06, 0.6, draw=8)


def test_an_input_that_does_not_vary_has_no_exponent_and_one_value():
    law = Closure.fit(power_law_closure(constant_size=True))
    assert law.varied == ("shock_pressure", "porosity")
    law.rates(8.0, 0.06, 0.6)
    with pytest.raises(ValueError, match="got .*pore_size 0.8"):
        law.rates(8.0, 0.06, 0.8)


def test_files_hold_all_there_is(law, tmp_path):
    path = tmp_path / "closure.json"
    law.save(path)
    again = load_closure(path)
    for a, b in zip(law.rates([7.0, 9.0], 0.06, 0.6), again.rates([7.0, 9.0], 0.06, 0.6), strict=True):
        np.testing.assert_array_equal(a, b)
    document = json.loads(path.read_text())
    assert document["rates"] == {"ignition_time": "ns", "ignition_rate": "1/ns", "growth_rate": "1/ns"}
    for broken in ({**document, "schema": 9}, {**document, "coefficients": [[1.0]]}, [1], {**document, "low": {}}):
        path.write_text(json.dumps(broken))
        with pytest.raises(ValueError, match="expected a closure file of schema 1"):
            load_closure(path)


def test_simulations_that_do_not_ignite_are_not_in_the_hull():
    closure = power_law_closure(n=20)
    weak = closure["shock_pressure"].values < 7
    assert 1 < weak.sum() < 15
    closure["ignition_time"][:, weak] = np.nan
    law = Closure.fit(closure)
    assert law.low["shock_pressure"] > 7
    with pytest.raises(ValueError, match="expected points among the simulations"):
        law.rates(6.0, 0.06, 0.6)


def test_too_few_simulations_are_refused():
    closure = power_law_closure(n=4)
    with pytest.raises(ValueError, match="expected at least 5 simulations that ignite.*got 4"):
        Closure.fit(closure)
    closure = power_law_closure()
    closure["growth_rate"][:] = np.nan
    with pytest.raises(ValueError, match="expected a growth_rate of some simulation"):
        Closure.fit(closure)


def test_scatter_of_microstructures_is_told_and_widens_the_laws():
    """Negative control: rates that do not follow the inputs leave scatter, and exponents that differ between draws."""
    closure = power_law_closure()
    order = np.random.default_rng(5).permutation(closure.sizes["simulation"])
    shuffled = closure.copy(deep=True)
    shuffled["ignition_time"][:] = closure["ignition_time"].values[:, order]
    exact, loose = Closure.fit(closure), Closure.fit(shuffled)
    assert loose.scatter[:, 0].min() > 3 * exact.scatter[:, 0].max()
    assert loose.coefficients[:, 0, 1].std() > 5 * exact.coefficients[:, 0, 1].std()


@pytest.mark.parametrize("module", [closure, closure_rates])
def test_examples_run(module):
    result = doctest.testmod(module)
    assert result.attempted
    assert not result.failed
