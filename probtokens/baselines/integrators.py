"""Explicit one-step integrators of dX/dt = f(X)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor

Tendency = Callable[[Tensor], Tensor]
Integrator = Callable[[Tendency, Tensor, float], Tensor]
IntegratorName = Literal["euler", "heun", "rk4"]


def euler(tendency: Tendency, state: Tensor, step: float) -> Tensor:
    """Forward Euler, first order, one evaluation."""
    return state + step * tendency(state)


def heun(tendency: Tendency, state: Tensor, step: float) -> Tensor:
    """Heun's explicit trapezoidal rule, second order, two evaluations."""
    first = tendency(state)
    second = tendency(state + step * first)
    return state + 0.5 * step * (first + second)


def rk4(tendency: Tendency, state: Tensor, step: float) -> Tensor:
    """Classical Runge-Kutta, fourth order, four evaluations."""
    first = tendency(state)
    second = tendency(state + 0.5 * step * first)
    third = tendency(state + 0.5 * step * second)
    fourth = tendency(state + step * third)
    return state + step / 6.0 * (first + 2.0 * second + 2.0 * third + fourth)


#: Integrators by the name that the configuration gives them.
INTEGRATORS: dict[IntegratorName, Integrator] = {"euler": euler, "heun": heun, "rk4": rk4}
