"""Order of the integrators, measured on a linear equation with an exact solution."""

from __future__ import annotations

import math

import pytest
import torch

from probtokens.baselines.integrators import INTEGRATORS, IntegratorName

ORDERS: dict[IntegratorName, int] = {"euler": 1, "heun": 2, "rk4": 4}
#: dX/dt = A X: a damped rotation, A = decay · 1 + turn · J.
DECAY, TURN, DURATION = -0.4, 1.3, 1.0


def _error(name: IntegratorName, n_steps: int) -> float:
    matrix = torch.tensor([[DECAY, -TURN], [TURN, DECAY]], dtype=torch.float64)
    state = torch.tensor([1.0, 0.0], dtype=torch.float64)
    for _ in range(n_steps):
        state = INTEGRATORS[name](lambda x: matrix @ x, state, DURATION / n_steps)
    angle, radius = TURN * DURATION, math.exp(DECAY * DURATION)
    exact = torch.tensor([radius * math.cos(angle), radius * math.sin(angle)], dtype=torch.float64)
    return float((state - exact).norm())


@pytest.mark.parametrize(("name", "order"), ORDERS.items())
def test_order(name: IntegratorName, order: int) -> None:
    measured = math.log2(_error(name, 20) / _error(name, 40))
    assert measured == pytest.approx(order, abs=0.15)


def test_every_integrator_has_its_order_measured() -> None:
    assert set(ORDERS) == set(INTEGRATORS)
