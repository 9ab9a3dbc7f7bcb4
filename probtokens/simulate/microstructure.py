"""Random pores: seeded outlines of several kinds, anti-aliased onto cells."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from probtokens.config import MicrostructureConfig, PoreKind

#: Gas volume fraction of solid cells and solid fraction of pore cells: the diffuse-interface floors.
#: The solid's is larger because it is stored as the complement of the gas fraction, which single
#: precision resolves to 6e-8 only.
GAS_FLOOR = 1e-6
SOLID_FLOOR = 1e-4

#: Sub-cells per cell edge used for anti-aliasing.
SUBCELLS = 4
#: Attempts to place one pore, and restarts of a whole microstructure.
ATTEMPTS = 200
RESTARTS = 50

#: Signed distance-like function of points (…, 2) [µm], negative inside the pore.
Shape = Callable[[np.ndarray], np.ndarray]


def pore_fraction(ny: int, nx: int, spacing: float, config: MicrostructureConfig, generator: np.random.Generator) -> np.ndarray:
    """Draw a microstructure and return its gas volume fraction (y, x).

    Pores keep ``config.margin`` from the edges and ``config.gap`` between each other.

    Raises
    ------
    ValueError
        If a pore of the drawn size cannot fit the domain or the pores cannot be placed.
    """
    extent = np.array([nx, ny]) * spacing
    low, high = config.n_pores
    count = int(generator.integers(low, high + 1))
    for _ in range(RESTARTS):
        placed = _place(count, extent, config, generator)
        if placed is not None:
            return _rasterize(placed, ny, nx, spacing)
    raise ValueError(
        f"microstructure: expected room for {count} pores of diameter {config.diameter.low}–{config.diameter.high} µm "
        f"with margin {config.margin} and gap {config.gap} µm, got a domain of {extent[0]:g} × {extent[1]:g} µm"
    )


def _place(count: int, extent: np.ndarray, config: MicrostructureConfig, generator: np.random.Generator) -> list[Shape] | None:
    """Random sequential placement by bounding circles, or None if a pore found no room."""
    centres: list[np.ndarray] = []
    radii: list[float] = []
    shapes: list[Shape] = []
    for _ in range(count):
        diameter = generator.uniform(config.diameter.low, config.diameter.high)
        kind = config.kinds[generator.integers(len(config.kinds))]
        shape, radius = _SHAPES[kind](diameter, generator)
        reach = extent - 2.0 * (radius + config.margin)
        if np.any(reach < 0.0):
            return None
        for _ in range(ATTEMPTS):
            centre = radius + config.margin + reach * generator.random(2)
            distance = [np.hypot(*(centre - c)) - r - radius for c, r in zip(centres, radii, strict=True)]
            if all(d >= config.gap for d in distance):
                break
        else:
            return None
        centres.append(centre)
        radii.append(radius)
        shapes.append(_moved(shape, centre, generator.uniform(0.0, 2.0 * np.pi)))
    return shapes


def _moved(shape: Shape, centre: np.ndarray, angle: float) -> Shape:
    cos, sin = np.cos(angle), np.sin(angle)
    rotation = np.array([[cos, -sin], [sin, cos]])
    return lambda points: shape((points - centre) @ rotation)


def _rasterize(shapes: list[Shape], ny: int, nx: int, spacing: float) -> np.ndarray:
    """Volume fraction by supersampling, between the floors."""
    fine = spacing / SUBCELLS
    x = (np.arange(nx * SUBCELLS) + 0.5) * fine
    y = (np.arange(ny * SUBCELLS) + 0.5) * fine
    points = np.stack(np.meshgrid(x, y), axis=-1)
    inside = np.zeros(points.shape[:2], dtype=bool)
    for shape in shapes:
        inside |= shape(points) < 0.0
    fraction = inside.reshape(ny, SUBCELLS, nx, SUBCELLS).mean(axis=(1, 3))
    return GAS_FLOOR + (1.0 - GAS_FLOOR - SOLID_FLOOR) * fraction


def _wobble(amplitude: float, generator: np.random.Generator) -> Callable[[np.ndarray], np.ndarray]:
    """Smooth random relative radius, 1 ± about ``amplitude``, from four angular modes."""
    order = np.arange(2, 6)
    size = amplitude * generator.normal(size=4) / order
    phase = generator.uniform(0.0, 2.0 * np.pi, size=4)
    return lambda angle: 1.0 + (size * np.cos(order * angle[..., None] + phase)).sum(axis=-1)


def _ellipse(diameter: float, generator: np.random.Generator) -> tuple[Shape, float]:
    """Ellipse of aspect ratio 1–2 with an irregular outline and the area of a disc of ``diameter``."""
    aspect = generator.uniform(1.0, 2.0)
    semi = 0.5 * diameter * np.array([np.sqrt(aspect), 1.0 / np.sqrt(aspect)])
    wobble = _wobble(0.2, generator)

    def shape(points: np.ndarray) -> np.ndarray:
        scaled = points / semi
        return np.hypot(scaled[..., 0], scaled[..., 1]) - wobble(np.arctan2(scaled[..., 1], scaled[..., 0]))

    return shape, float(semi[0] * 1.2)


def _bar(points: np.ndarray, start: np.ndarray, end: np.ndarray, half_width: float) -> np.ndarray:
    """Signed distance to a bar with round ends."""
    along = end - start
    t = np.clip(((points - start) @ along) / (along @ along), 0.0, 1.0)
    return np.linalg.norm(points - start - t[..., None] * along, axis=-1) - half_width


def _crack(diameter: float, generator: np.random.Generator) -> tuple[Shape, float]:
    """Slightly curved slit, 1.6 ``diameter`` long, five to eight times longer than wide."""
    length = 1.6 * diameter
    half_width = 0.5 * length / generator.uniform(5.0, 8.0)
    bow = generator.uniform(-0.25, 0.25) * length
    half = 0.5 * length - half_width

    def shape(points: np.ndarray) -> np.ndarray:
        bent = points.copy()
        bent[..., 1] -= bow * ((points[..., 0] / length) ** 2 - 0.08)
        return _bar(bent, np.array([-half, 0.0]), np.array([half, 0.0]), half_width)

    return shape, 0.6 * length


def _v(diameter: float, generator: np.random.Generator) -> tuple[Shape, float]:
    """Two arms that meet at an angle of 50–110 degrees."""
    opening = np.deg2rad(generator.uniform(50.0, 110.0)) / 2.0
    arm = diameter
    half_width = 0.5 * diameter * generator.uniform(0.25, 0.4)
    tip = np.array([-0.35 * arm, 0.0])
    ends = [tip + arm * np.array([np.cos(opening), s * np.sin(opening)]) for s in (1.0, -1.0)]

    def shape(points: np.ndarray) -> np.ndarray:
        return np.minimum(*(_bar(points, tip, end, half_width) for end in ends))

    return shape, max(float(np.linalg.norm(ends[0])), 0.35 * arm) + half_width


def _cluster(diameter: float, generator: np.random.Generator) -> tuple[Shape, float]:
    """Three to five overlapping or touching blobs."""
    count = int(generator.integers(3, 6))
    angles = 2.0 * np.pi * (np.arange(count) + generator.uniform(-0.3, 0.3, count)) / count
    ring = 0.35 * diameter * generator.uniform(0.7, 1.2, count)
    centres = ring[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    radii = diameter * generator.uniform(0.16, 0.28, count)

    def shape(points: np.ndarray) -> np.ndarray:
        return np.min([np.linalg.norm(points - c, axis=-1) - r for c, r in zip(centres, radii, strict=True)], axis=0)

    return shape, float(np.max(ring + radii))


_SHAPES: dict[PoreKind, Callable[[float, np.random.Generator], tuple[Shape, float]]] = {
    "ellipse": _ellipse,
    "v": _v,
    "crack": _crack,
    "cluster": _cluster,
}
