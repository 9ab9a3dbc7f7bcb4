import numpy as np
import pytest

from probtokens.pipeline.doctor import SelfCheck, self_check

DRAWS = np.array([1.0, 1.2, 1.4])


@pytest.mark.parametrize(
    ("simulated", "repeated", "sound"),
    [(1.3, True, True), (1.55, True, True), (1.65, True, False), (0.75, True, False), (1.3, False, False)],
)
def test_a_forecast_is_right_where_the_simulation_is_among_its_draws(simulated, repeated, sound):
    assert SelfCheck(simulated, DRAWS, repeated, (1.0, 1.0)).sound is sound


def test_a_pore_that_does_not_heat_checks_nothing():
    assert not SelfCheck(0.0, np.zeros(3), True, (1.0, 1.0)).sound


@pytest.mark.slow
def test_this_installation_is_sound():
    found = self_check()
    assert found.sound, str(found)
    assert 0.5 * float(found.forecast.mean()) < found.simulated < 2.0 * float(found.forecast.mean())
