"""Three-step decomposition against a stiff ODE solver."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from probtokens.simulate.kinetics import Fractions, Tarver

CV = 1.5e-3


def reference(start: float, times: np.ndarray) -> np.ndarray:
    """Adiabatic decomposition at constant volume: (A, B, C, T) at ``times`` [ns]; constants written out anew."""

    def rate(ln_z: float, kcal: float, temperature: float) -> float:
        return 1e-9 * np.exp(ln_z - kcal / (1.9872e-3 * temperature))

    def slope(_, y):
        a, b, c, temperature = y
        limited = min(max(temperature, 250.0), 6000.0)
        one = rate(48.7, 52.7, limited) * a
        two = rate(37.3, 44.1, limited) * b
        three = rate(28.1, 34.1, limited) * c * c
        heat = 4.184e-3 * (-100.0 * one + 300.0 * two + 1200.0 * three)
        return [-one, one - two, two - three, heat / CV]

    solution = solve_ivp(slope, (0.0, times[-1]), [1.0, 0.0, 0.0, start], "Radau", times, rtol=1e-8, atol=1e-10)
    return solution.y


@pytest.mark.parametrize("start", [950.0, 1100.0, 1500.0, 2500.0])
def test_matches_stiff_ode_solver(start):
    kinetics, step, count = Tarver(), torch.tensor(0.002, dtype=torch.float64), 1000
    one = torch.ones(1, dtype=torch.float64)
    fractions, temperature, path = Fractions(one, 0.0 * one, 0.0 * one), start * one, []
    for _ in range(count):
        before = kinetics.chemical_energy(fractions)
        fractions = kinetics.advance(fractions, temperature, CV, step)
        temperature = temperature + (before - kinetics.chemical_energy(fractions)) / CV
        path.append([float(v) for v in (*fractions, temperature)])
    times = 0.002 * np.arange(1, count + 1)
    exact = reference(start, times)
    got = np.array(path).T
    # A shift in time of two steps is allowed where the transition is as sharp as a step.
    for index, scale in ((0, 1.0), (2, 1.0), (3, 3000.0)):
        early, late = np.roll(exact[index], 2), np.roll(exact[index], -2)
        low = np.minimum(np.minimum(early, late), exact[index])[5:-5]
        high = np.maximum(np.maximum(early, late), exact[index])[5:-5]
        outside = np.maximum(low - got[index][5:-5], got[index][5:-5] - high)
        assert outside.max() < 0.03 * scale


def test_energy_released_in_full_is_the_sum_of_the_heats():
    one = torch.ones(())
    assert float(Tarver().chemical_energy(Fractions(one, 0 * one, 0 * one))) == pytest.approx(1400 * 4.184e-3)


def test_fractions_stay_in_bounds_for_any_temperature_and_step():
    temperature = torch.linspace(-500.0, 20000.0, 200)
    fractions = Fractions(torch.full((200,), 0.5), torch.full((200,), 0.3), torch.full((200,), 0.1))
    for step in (1e-4, 1e-2, 10.0):
        new = Tarver().advance(fractions, temperature, CV, torch.tensor(step))
        assert all(((value >= 0.0) & (value <= 1.0)).all() for value in new)
        assert (sum(new) <= 1.0 + 1e-6).all()
