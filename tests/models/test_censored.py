"""Observations at bounds, against Monte Carlo, numerical integration and the normal that they come from."""

from __future__ import annotations

import pytest
import torch
from scipy import integrate
from torch.distributions import Normal

from probtokens.models.censored import CensoredNormal

INFINITY = float("inf")
BOUNDS = [(0.0, 1.0), (0.0, INFINITY), (-INFINITY, 0.2), (-INFINITY, INFINITY)]


def made(loc: float, scale: float, lower: float, upper: float, *, grad: bool = False) -> CensoredNormal:
    parts = [torch.tensor(value, dtype=torch.float64, requires_grad=grad) for value in (loc, scale)]
    return CensoredNormal(*parts, torch.tensor(lower, dtype=torch.float64), torch.tensor(upper, dtype=torch.float64))


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("loc", [-0.3, 0.1, 0.5, 1.4])
def test_mass_within_and_on_the_bounds_adds_up_to_one(bounds: tuple[float, float], loc: float) -> None:
    lower, upper = bounds
    density = made(loc, 0.4, lower, upper)

    def inside(x: float) -> float:
        return float(density.log_prob(torch.tensor(x, dtype=torch.float64)).exp())

    ends = max(lower, loc - 6.0), min(upper, loc + 6.0)
    total = integrate.quad(inside, ends[0] + 1e-12, ends[1] - 1e-12, limit=200)[0] if ends[0] < ends[1] else 0.0
    total += sum(inside(bound) for bound in bounds if abs(bound) < INFINITY)
    assert total == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("loc", [-0.3, 0.5, 1.4])
def test_moments_are_those_of_draws(bounds: tuple[float, float], loc: float) -> None:
    torch.manual_seed(0)
    distribution = made(loc, 0.4, *bounds)
    draws = distribution.rsample(torch.Size([200_000]))
    assert bounds[0] <= draws.min()
    assert draws.max() <= bounds[1]
    assert float(distribution.mean) == pytest.approx(float(draws.mean()), abs=0.004)
    assert float(distribution.stddev) == pytest.approx(float(draws.std()), abs=0.004)


def test_without_bounds_it_is_the_normal() -> None:
    distribution = made(300.0, 1.5, -INFINITY, INFINITY)
    normal = Normal(distribution.loc, distribution.scale)
    x = torch.linspace(295.0, 305.0, 7, dtype=torch.float64)
    torch.testing.assert_close(distribution.log_prob(x), normal.log_prob(x))
    assert float(distribution.mean) == 300.0
    assert float(distribution.stddev) == pytest.approx(1.5)


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("x", [0.0, 0.2, 0.7, 1.0])
def test_gradients_are_finite_also_far_from_the_bounds(bounds: tuple[float, float], x: float) -> None:
    for loc, scale in ((0.5, 0.3), (50.0, 0.01), (-50.0, 0.01)):
        distribution = made(loc, scale, *bounds, grad=True)
        distribution.log_prob(torch.tensor(x, dtype=torch.float64)).backward()
        assert torch.isfinite(distribution.loc.grad)
        assert torch.isfinite(distribution.scale.grad)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("apart", [1.0, 30.0, 1e3, 1e5])
def test_gradients_of_tails_are_those_of_mills_ratio(apart: float, dtype: torch.dtype) -> None:
    """Far out d log Φ(−k) / dk is −k (1 + 1/k² − …)."""
    for side in (1.0, -1.0):
        loc = torch.tensor(side * apart, dtype=dtype, requires_grad=True)
        zero, infinity = torch.zeros((), dtype=dtype), torch.tensor(INFINITY, dtype=dtype)
        bounds = (zero, infinity) if side > 0 else (-infinity, zero)
        CensoredNormal(loc, torch.ones((), dtype=dtype), *bounds).log_prob(zero).backward()
        normal = float(torch.exp(Normal(0.0, 1.0).log_prob(torch.tensor(apart, dtype=torch.float64))))
        exact = normal / float(torch.special.ndtr(torch.tensor(-apart, dtype=torch.float64))) if apart < 10 else apart + 1 / apart
        assert float(loc.grad) == pytest.approx(-side * exact, rel=1e-3)


def test_large_numbers_without_bounds_have_finite_gradients() -> None:
    loc = torch.tensor([101325.0], requires_grad=True)
    scale = torch.tensor([0.05], requires_grad=True)
    infinity = torch.tensor(INFINITY)
    CensoredNormal(loc, scale, -infinity, infinity).log_prob(torch.tensor([101325.1])).sum().backward()
    assert torch.isfinite(loc.grad).all()
    assert torch.isfinite(scale.grad).all()


def test_values_beyond_a_bound_count_as_on_it() -> None:
    distribution = made(0.2, 0.3, 0.0, 1.0)
    values = torch.tensor([-0.1, 0.0, 1.0, 1.2], dtype=torch.float64)
    below, at, top, above = distribution.log_prob(values).tolist()
    assert below == at
    assert top == above


def test_it_expands_over_a_batch_and_joins_axes() -> None:
    distribution = CensoredNormal(torch.zeros(2, 1), torch.ones(2, 1), torch.tensor(-1.0), torch.tensor(1.0)).expand(torch.Size([2, 3]))
    assert distribution.rsample(torch.Size([4])).shape == (4, 2, 3)
    assert distribution.to_event(1).log_prob(torch.zeros(2, 3)).shape == (2,)
