"""Which pores a microstructure has: random diameters and kinds."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import ndtr, ndtri

from probtokens.config import MicrostructureConfig, PoreKind
from probtokens.simulate.microstructure.shapes import Outline, draw_outline


def draw_pore(config: MicrostructureConfig, generator: np.random.Generator) -> Outline:
    """Outline at the origin, of a random kind and size."""
    diameter = draw_diameter(config, generator)
    return draw_outline(_draw_kind(config, generator), diameter, generator)


def draw_diameter(config: MicrostructureConfig, generator: np.random.Generator) -> float:
    """Diameter [µm]: uniform, or log-normal and truncated to the interval by the inverse of its distribution function."""
    low, high = config.diameter.low, config.diameter.high
    if config.diameter_distribution == "uniform":
        return generator.uniform(low, high)
    median = config.diameter_median or math.sqrt(low * high)
    ends = ndtr(np.log(np.array([low, high]) / median) / config.diameter_log_sd)
    return float(np.clip(median * np.exp(config.diameter_log_sd * ndtri(generator.uniform(*ends))), low, high))


def _draw_kind(config: MicrostructureConfig, generator: np.random.Generator) -> PoreKind:
    if config.kind_weights is None:
        return config.kinds[generator.integers(len(config.kinds))]
    weights = np.array([config.kind_weights.get(kind, 1.0) for kind in config.kinds])
    return config.kinds[generator.choice(len(weights), p=weights / weights.sum())]
