"""Exact Riemann solver for two stiffened gases (Toro 2009, ch. 4); shares nothing with the simulator."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.optimize import brentq


@dataclass(frozen=True)
class Gas:
    """State of a stiffened gas p = (γ − 1) ρe − γ π on one side of the membrane, in any consistent units."""

    gamma: float
    stiffness: float
    density: float
    velocity: float
    pressure: float

    @property
    def sound_speed(self) -> float:
        """Speed of sound."""
        return math.sqrt(self.gamma * (self.pressure + self.stiffness) / self.density)

    def velocity_change(self, p: float) -> float:
        """|u* − u| across the wave that brings this side to pressure p, negative in expansion."""
        g, total, target = self.gamma, self.pressure + self.stiffness, p + self.stiffness
        if p > self.pressure:
            a, b = 2.0 / ((g + 1.0) * self.density), (g - 1.0) / (g + 1.0) * total
            return (p - self.pressure) * math.sqrt(a / (target + b))
        return 2.0 * self.sound_speed / (g - 1.0) * ((target / total) ** ((g - 1.0) / (2.0 * g)) - 1.0)

    def star_density(self, p: float) -> float:
        """Density behind the wave that brings this side to pressure ``p``."""
        ratio = (p + self.stiffness) / (self.pressure + self.stiffness)
        if p > self.pressure:
            k = (self.gamma - 1.0) / (self.gamma + 1.0)
            return self.density * (ratio + k) / (k * ratio + 1.0)
        return self.density * ratio ** (1.0 / self.gamma)

    def shock_speed(self, p: float) -> float:
        """Speed of the shock relative to this side."""
        ratio = (p + self.stiffness) / (self.pressure + self.stiffness)
        g = self.gamma
        return self.sound_speed * math.sqrt((g + 1.0) / (2.0 * g) * ratio + (g - 1.0) / (2.0 * g))


@dataclass(frozen=True)
class Star:
    """Solution of a tube with a rarefaction to the left and a shock to the right."""

    pressure: float
    velocity: float
    left_density: float
    right_density: float
    shock: float
    head: float
    tail: float


def solve(left: Gas, right: Gas) -> Star:
    """Solve the Riemann problem.

    Raises
    ------
    ValueError
        If the waves are not a rarefaction to the left and a shock to the right.
    """

    def excess(p: float) -> float:
        return left.velocity_change(p) + right.velocity_change(p) + right.velocity - left.velocity

    p = brentq(excess, 1e-12, 10.0 * max(left.pressure, right.pressure), xtol=1e-16, rtol=1e-14)
    if not right.pressure < p < left.pressure:
        raise ValueError(f"Riemann problem: expected p* between {right.pressure:g} and {left.pressure:g}, got {p:g}")
    u = left.velocity - left.velocity_change(p)
    inside = left.star_density(p)
    sound = math.sqrt(left.gamma * (p + left.stiffness) / inside)
    return Star(
        pressure=p,
        velocity=u,
        left_density=inside,
        right_density=right.star_density(p),
        shock=right.velocity + right.shock_speed(p),
        head=left.velocity - left.sound_speed,
        tail=u - sound,
    )
