"""Outlines of pores: ellipse, V, crack and cluster, each with random proportions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from probtokens.config import PoreKind

#: Distance-like function of points (…, 2) [µm], negative inside the pore.
Level = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class Outline:
    """A pore.

    Attributes
    ----------
    level
        Distance-like function of points (…, 2) = (x, y) [µm], negative inside.
    reach
        Radius [µm] of a circle about ``centre`` that holds the pore; a strongly wobbling ellipse may leave it a little.
    centre
        (x, y) [µm].
    """

    level: Level
    reach: float
    centre: np.ndarray = field(default_factory=lambda: np.zeros(2))

    def placed(self, centre: np.ndarray, angle: float) -> Outline:
        """Turned by ``angle`` [rad] and moved from the origin to ``centre`` (x, y) [µm]."""
        level, cos, sin = self.level, np.cos(angle), np.sin(angle)
        rotation = np.array([[cos, -sin], [sin, cos]])
        return Outline(lambda points: level((points - centre) @ rotation), self.reach, centre)


def draw_outline(kind: PoreKind, diameter: float, generator: np.random.Generator) -> Outline:
    """Random outline of a kind at the origin, of the size that ``diameter`` [µm] stands for."""
    level, reach = _SHAPES[kind](diameter, generator)
    return Outline(level, reach)


def _wobble(amplitude: float, generator: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """Smooth random relative radius, 1 ± about ``amplitude``, from four angular modes."""
    order = np.arange(2, 6)
    size = amplitude * generator.normal(size=4) / order
    phase = generator.uniform(0.0, 2.0 * np.pi, size=4)
    return lambda angle: 1.0 + (size * np.cos(order * angle[..., None] + phase)).sum(axis=-1)


def _ellipse(diameter: float, generator: np.random.Generator) -> tuple[Level, float]:
    """Ellipse of aspect ratio 1–2 with an irregular outline and the area of a disc of ``diameter``."""
    aspect = generator.uniform(1.0, 2.0)
    semi = 0.5 * diameter * np.array([np.sqrt(aspect), 1.0 / np.sqrt(aspect)])
    wobble = _wobble(0.2, generator)

    def level(points: np.ndarray) -> np.ndarray:
        scaled = points / semi
        return np.hypot(scaled[..., 0], scaled[..., 1]) - wobble(np.arctan2(scaled[..., 1], scaled[..., 0]))

    return level, float(semi[0] * 1.2)


def _bar(points: np.ndarray, start: np.ndarray, end: np.ndarray, half_width: float) -> np.ndarray:
    """Signed distance to a bar with round ends."""
    along = end - start
    t = np.clip(((points - start) @ along) / (along @ along), 0.0, 1.0)
    return np.linalg.norm(points - start - t[..., None] * along, axis=-1) - half_width


def _crack(diameter: float, generator: np.random.Generator) -> tuple[Level, float]:
    """Slightly curved slit, 1.6 ``diameter`` long, five to eight times longer than wide."""
    length = 1.6 * diameter
    half_width = 0.5 * length / generator.uniform(5.0, 8.0)
    bow = generator.uniform(-0.25, 0.25) * length
    half = 0.5 * length - half_width

    def level(points: np.ndarray) -> np.ndarray:
        bent = points.copy()
        bent[..., 1] -= bow * ((points[..., 0] / length) ** 2 - 0.08)
        return _bar(bent, np.array([-half, 0.0]), np.array([half, 0.0]), half_width)

    return level, 0.6 * length


def _v(diameter: float, generator: np.random.Generator) -> tuple[Level, float]:
    """Two arms that meet at an angle of 50–110 degrees."""
    opening = np.deg2rad(generator.uniform(50.0, 110.0)) / 2.0
    arm = diameter
    half_width = 0.5 * diameter * generator.uniform(0.25, 0.4)
    tip = np.array([-0.35 * arm, 0.0])
    ends = [tip + arm * np.array([np.cos(opening), s * np.sin(opening)]) for s in (1.0, -1.0)]

    def level(points: np.ndarray) -> np.ndarray:
        return np.minimum(*(_bar(points, tip, end, half_width) for end in ends))

    return level, max(float(np.linalg.norm(ends[0])), 0.35 * arm) + half_width


def _cluster(diameter: float, generator: np.random.Generator) -> tuple[Level, float]:
    """Three to five overlapping or touching blobs."""
    count = int(generator.integers(3, 6))
    angles = 2.0 * np.pi * (np.arange(count) + generator.uniform(-0.3, 0.3, count)) / count
    ring = 0.35 * diameter * generator.uniform(0.7, 1.2, count)
    centres = ring[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    radii = diameter * generator.uniform(0.16, 0.28, count)

    def level(points: np.ndarray) -> np.ndarray:
        return np.min([np.linalg.norm(points - c, axis=-1) - r for c, r in zip(centres, radii, strict=True)], axis=0)

    return level, float(np.max(ring + radii))


_SHAPES: dict[PoreKind, Callable[[float, np.random.Generator], tuple[Level, float]]] = {
    "ellipse": _ellipse,
    "v": _v,
    "crack": _crack,
    "cluster": _cluster,
}
