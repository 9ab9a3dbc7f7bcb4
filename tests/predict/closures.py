"""Closures of curves that are known in closed form."""

from __future__ import annotations

import numpy as np
import xarray as xr

from probtokens.predict.closure import closure
from probtokens.predict.ignition_growth import IgnitionGrowth, shock_compression
from probtokens.simulate.eos import MENIKOFF_SEWELL, ambient_density

#: Sides of the sample [µm]: small, so that a shock has crossed it before it ignites.
EXTENT = (0.5, 0.5)


def closure_of(
    ratio: np.ndarray, time: np.ndarray, shock_pressure, porosity, pore_size, mean_pressure: np.ndarray | None = None
) -> xr.Dataset:
    """Closure whose F is ``ratio``, shape (draw, simulation, time)."""
    n = ratio.shape[1]
    pressure, void, size = (np.broadcast_to(np.asarray(values, dtype=float), n) for values in (shock_pressure, porosity, pore_size))
    mass = ratio * ambient_density(MENIKOFF_SEWELL) * void[:, None] * np.prod(EXTENT)
    level = np.broadcast_to(pressure[:, None], ratio.shape) if mean_pressure is None else mean_pressure
    dims = ("draw", "simulation", "time")
    curves = xr.Dataset(
        {"reacted_mass": (dims, mass), "mean_pressure": (dims, level)},
        coords={
            "draw": np.arange(len(ratio)),
            "simulation": [f"s{i}" for i in range(n)],
            "time": time,
            "shock_pressure": ("simulation", pressure),
        },
    )
    pores = xr.Dataset(
        {name: ("simulation", values) for name, values in {"porosity": void, "pore_size": size, "pore_spread": 0.1 * size}.items()}
    )
    return closure(curves, pores, EXTENT)


def power_law_closure(draws: int = 8, n: int = 14, seed: int = 0, exponents=(-2.0, 0.3, -0.5), constant_size: bool = False) -> xr.Dataset:
    """F linear in time from an onset on: t_ign a power law of the inputs, with a factor 1 + draw/10, and Ḟ = 1/t_ign."""
    rng = np.random.default_rng(seed)
    pressure, porosity = rng.uniform(5, 12, n), rng.uniform(0.03, 0.1, n)
    size = np.full(n, 0.6) if constant_size else rng.uniform(0.4, 1.0, n)
    factor = 1 + 0.1 * np.arange(draws)[:, None]
    alpha, beta, gamma = exponents
    t_ign = factor * (pressure / 8) ** alpha * (porosity / 0.06) ** beta * (size / 0.6) ** gamma
    time = np.linspace(0, 8, 1601)
    ratio = np.maximum(0.1 + (time - t_ign[..., None]) / t_ign[..., None], 0)
    return closure_of(ratio, time, pressure, porosity, size)


def card_closure(cards: list[IgnitionGrowth], pressure: np.ndarray, porosity: np.ndarray) -> xr.Dataset:
    """What cards integrate to, one draw each, under a constant shock."""
    time = np.linspace(0, 8, 4001)
    burnt = np.zeros((len(cards), len(pressure), len(time)))
    compression = shock_compression(pressure, porosity)
    for k, card in enumerate(cards):
        for i in range(1, len(time)):
            before = burnt[k, :, i - 1]
            half = before + 0.5 * (time[1] - time[0]) * card.rate(before, compression, pressure, porosity)
            burnt[k, :, i] = before + (time[1] - time[0]) * card.rate(half, compression, pressure, porosity)
    return closure_of(burnt * ((1 - porosity) / porosity)[:, None], time, pressure, porosity, 0.6)
