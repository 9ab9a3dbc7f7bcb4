"""Advection and diffusion against exact solutions; the order is measured."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from probtokens.baselines.integrators import rk4
from probtokens.baselines.parc_operators import advection, diffusion

DURATION = 0.5
VELOCITY = (0.8, -0.5)
DIFFUSIVITY = 0.02
LENGTH = 4.0

Operator = Callable[[Tensor, Tensor, float], Tensor]


def _cells(n: int) -> tuple[Tensor, Tensor, float]:
    """Cell centres (y, x) of n × n cells on a square of ``LENGTH`` µm, and the cell edge."""
    spacing = LENGTH / n
    centres = (torch.arange(n, dtype=torch.float64) + 0.5) * spacing
    return centres[:, None], centres[None, :], spacing


def _bump(y: Tensor, x: Tensor, spread: float = 0.3) -> Tensor:
    """Gaussian about the centre of the square, shape (1, 1, y, x)."""
    return torch.exp(-((y - LENGTH / 2) ** 2 + (x - LENGTH / 2) ** 2) / (2.0 * spread**2))[None, None]


def _march(tendency: Callable[[Tensor], Tensor], state: Tensor, n_steps: int) -> Tensor:
    for _ in range(n_steps):
        state = rk4(tendency, state, DURATION / n_steps)
    return state


def _advection_error(n: int, operator: Operator) -> float:
    y, x, spacing = _cells(n)
    velocity = torch.tensor(VELOCITY, dtype=torch.float64)[None, :, None, None].expand(1, 2, n, n)
    moved = _march(lambda state: operator(state, velocity, spacing), _bump(y, x), n_steps=n)
    exact = _bump(y - VELOCITY[1] * DURATION, x - VELOCITY[0] * DURATION)
    return float((moved - exact).square().mean().sqrt())


def _order(errors: list[float]) -> float:
    return math.log2(errors[-2] / errors[-1])


def test_advection_moves_a_smooth_profile_with_second_order() -> None:
    errors = [_advection_error(n, advection) for n in (40, 80, 160)]
    assert _order(errors) == pytest.approx(2.0, abs=0.1)
    assert errors[-1] < 2e-3


def test_advection_with_the_sign_flipped_is_caught() -> None:
    errors = [_advection_error(n, lambda *of: -advection(*of)) for n in (40, 80, 160)]
    assert errors[-1] > 0.1
    assert abs(_order(errors)) < 0.1


def test_advection_with_the_components_swapped_is_caught() -> None:
    assert _advection_error(160, lambda state, velocity, spacing: advection(state, velocity.flip(1), spacing)) > 0.1


def test_advection_is_exact_for_linear_fields_inside() -> None:
    y, x, spacing = _cells(10)
    state = torch.stack((3.0 * x + 0.0 * y, 5.0 * y + 0.0 * x))[None]
    velocity = torch.stack((x * y, x + y))[None]
    expected = torch.stack((-3.0 * x * y, -5.0 * (x + y)))[None]
    torch.testing.assert_close(advection(state, velocity, spacing)[..., 1:-1, 1:-1], expected[..., 1:-1, 1:-1])


def _cosine(y: Tensor, x: Tensor) -> tuple[Tensor, float]:
    """Mode with no flux through the boundary, shape (1, 1, y, x), and its squared wave number [1/µm²]."""
    wave_y, wave_x = math.pi / LENGTH, 2.0 * math.pi / LENGTH
    return (torch.cos(wave_y * y) * torch.cos(wave_x * x))[None, None], wave_y**2 + wave_x**2


def _decay_error(n: int) -> float:
    y, x, spacing = _cells(n)
    mode, square = _cosine(y, x)
    left = _march(lambda state: DIFFUSIVITY * diffusion(state, spacing), mode, n_steps=n)
    return float((left - math.exp(-DIFFUSIVITY * square * DURATION) * mode).abs().max())


def test_diffusion_decays_a_wave_with_second_order_up_to_the_boundary() -> None:
    errors = [_decay_error(n) for n in (10, 20, 40)]
    assert _order(errors) == pytest.approx(2.0, abs=0.1)


def test_diffusion_spreads_a_gaussian_as_the_heat_kernel() -> None:
    y, x, spacing = _cells(120)
    spread = 0.3
    later = math.sqrt(spread**2 + 2.0 * DIFFUSIVITY * DURATION)
    exact = (spread / later) ** 2 * _bump(y, x, later)
    left = _march(lambda state: DIFFUSIVITY * diffusion(state, spacing), _bump(y, x), n_steps=60)
    torch.testing.assert_close(left, exact, rtol=0.0, atol=1e-3)


def test_diffusion_keeps_the_total() -> None:
    state = torch.rand(2, 3, 7, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    total = diffusion(state, 0.04).sum(dim=(-2, -1))
    torch.testing.assert_close(total, torch.zeros_like(total), rtol=0.0, atol=1e-9)


def test_velocity_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected .*\(1, 2, 4, 5\), got \(1, 3, 4, 5\)"):
        advection(torch.zeros(1, 1, 4, 5), torch.zeros(1, 3, 4, 5), 0.04)
