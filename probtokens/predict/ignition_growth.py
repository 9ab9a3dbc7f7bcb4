"""Ignition-and-growth terms fitted to every draw of a closure.

Lee and Tarver, Phys. Fluids 23, 2362 (1980), in the form with a compression threshold a (Tarver, Hallquist and Erickson 1985):

    dλ/dt = I (1 − λ)^b (ρ/ρ0 − 1 − a)^x      while λ < λ_ig = F_ign φ/(1 − φ)
    dλ/dt = G1 (1 − λ)^c λ^d p^y              from λ_ig on

λ is the burnt fraction, ρ the density behind the shock of crystal and ρ0 = (1 − φ) ρ_s that of the sample before. The two terms follow
each other as the two rates of :mod:`probtokens.predict.closure` do; in codes with two growth terms this is the second one, which has a
least burnt fraction. b = c = 2/9 as in 1980: a burnt fraction of a tenth does not tell them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from probtokens.data.atomic import replacing
from probtokens.ensembles import Floats, as_floats
from probtokens.predict.closure import BEGUN, IGNITED, window_values
from probtokens.predict.regression import posterior_draw, simulation_weights
from probtokens.simulate.eos import MENIKOFF_SEWELL, MieGruneisen, ambient_density, hugoniot

#: b and c.
DEPLETION = 2.0 / 9.0
#: Points of the growth window between whose neighbours rates are taken.
_KNOTS = np.linspace(0.0, 1.0, 5)
#: Thresholds a that are tried, as parts of the least compression.
_THRESHOLDS = np.linspace(0.0, 0.95, 39)
#: Prior means and standard deviations of log I and x, and of log G1, d and y: Lee and Tarver's x = 4, d = 2/3 and y = 1 to 2.
_IGNITION_PRIOR = np.array([[0.0, 4.0], [6.0, 2.0]])
_GROWTH_PRIOR = np.array([[-3.0, 2.0 / 3.0, 1.5], [3.0, 0.3, 1.0]])


@dataclass(frozen=True)
class IgnitionGrowth:
    """Card of one draw.

    Attributes
    ----------
    draw
        Index of the draw in the ensemble.
    I, a, x
        Ignition: coefficient [1/ns], threshold and exponent of the compression.
    G1, d, y
        Growth: coefficient [1/(ns GPa^y)], exponents of the burnt fraction and of the pressure in GPa.
    ignition_scatter, growth_scatter
        Standard deviations of the logarithm of single simulations' rates about the terms.
    """

    draw: int
    I: float  # noqa: E741 - the field's name
    a: float
    x: float
    G1: float
    d: float
    y: float
    ignition_scatter: float
    growth_scatter: float

    def rate(self, burnt: ArrayLike, compression: ArrayLike, pressure: ArrayLike, porosity: ArrayLike) -> Floats:
        """dλ/dt [1/ns] at burnt fraction λ, compression ρ/ρ0 − 1, pressure [GPa] and porosity; shapes broadcast."""
        fraction, void = as_floats(burnt, "burnt"), as_floats(porosity, "porosity")
        above = np.maximum(as_floats(compression, "compression") - self.a, 0.0)
        left = np.clip(1.0 - fraction, 0.0, 1.0) ** DEPLETION
        growth = self.G1 * left * np.maximum(fraction, 0.0) ** self.d * np.maximum(as_floats(pressure, "pressure"), 0.0) ** self.y
        return np.where(fraction < IGNITED * void / (1.0 - void), self.I * left * above**self.x, growth)


def shock_compression(shock_pressure: ArrayLike, porosity: ArrayLike, eos: MieGruneisen = MENIKOFF_SEWELL) -> Floats:
    """ρ/ρ0 − 1 (simulation,) of porous crystal behind a shock [GPa]: crystal on its Hugoniot, over (1 − φ) ρ_s."""
    behind = np.array([hugoniot(eos, float(one)).density for one in np.atleast_1d(shock_pressure)])
    return behind / ((1.0 - as_floats(porosity, "porosity")) * ambient_density(eos)) - 1.0


def fit_ignition_growth(closure: xr.Dataset, *, eos: MieGruneisen = MENIKOFF_SEWELL, seed: int = 0) -> list[IgnitionGrowth]:
    """Fit both terms to the rates of every draw.

    Draws are the uncertainty: each is a curve without noise, and what a term leaves of it is the term's own error, not an observation's.
    A likelihood of all frames, as for MCMC, would count them as independent data and be too sure. So every draw has a fit of its own:
    weighted least squares of logarithms, with simulations weighted and prior means drawn anew
    (:mod:`probtokens.predict.regression`). Given a, both terms are linear; a is the best of 39 thresholds.

    Parameters
    ----------
    closure
        As :func:`probtokens.predict.closure.closure` returns it.
    eos
        Equation of state that the simulations had.
    seed
        Seed of weights and priors.

    Raises
    ------
    ValueError
        If a draw has fewer than three simulations that ignite, or none that grows.
    """
    porosity, pressure = closure["porosity"].values, closure["shock_pressure"].values
    compression = shock_compression(pressure, porosity, eos)
    share = porosity / (1.0 - porosity)
    weights = simulation_weights(closure.sizes["draw"], closure.sizes["simulation"], seed)
    generator = np.random.default_rng((seed, 2))
    cards = []
    for draw in range(closure.sizes["draw"]):
        one = closure.isel(draw=draw)
        middle = 0.5 * (1.0 + BEGUN) * IGNITED * share
        ignition = _log(one["ignition_rate"].values * share) - DEPLETION * np.log1p(-middle)
        design, target, own = _growth_rows(one, weights[draw])
        if np.isfinite(ignition).sum() < 3 or not np.isfinite(target).any():
            raise ValueError(
                f"ignition and growth, draw {draw}: expected at least 3 simulations that ignite and 1 that grows, "
                f"got {np.isfinite(ignition).sum()} and {np.isfinite(target.reshape(-1, len(_KNOTS) - 1)).any(axis=1).sum()}"
            )
        first = _IGNITION_PRIOR[0] + _IGNITION_PRIOR[1] * generator.normal(size=2)
        second = _GROWTH_PRIOR[0] + _GROWTH_PRIOR[1] * generator.normal(size=3)
        a, (log_i, x), ignition_scatter = _threshold(compression, ignition, weights[draw], first)
        (log_g, d, y), growth_scatter = posterior_draw(design, target, own, second, _GROWTH_PRIOR[1])
        cards.append(IgnitionGrowth(draw, *map(float, (np.exp(log_i), a, x, np.exp(log_g), d, y, ignition_scatter, growth_scatter))))
    return cards


def _log(values: Floats) -> Floats:
    return np.log(np.where(values > 0, values, np.nan))


def _growth_rows(one: xr.Dataset, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Design (row, 3), target and weights (row,) of the growth term: the rates between neighbouring knots of the window."""
    time = one["time"].values
    start = np.maximum(one["ignition_time"].values, one["crossing_time"].values)
    points, burnt = window_values(time, one["lambda"].values, start, _KNOTS)
    _, pressure = window_values(time, one["mean_pressure"].values, start, _KNOTS)
    middle, level = (0.5 * (values[:, 1:] + values[:, :-1]) for values in (burnt, pressure))
    target = _log(np.diff(burnt, axis=-1) / np.diff(points, axis=-1)) - DEPLETION * np.log1p(-middle)
    design = np.stack([np.ones_like(middle), _log(middle), _log(level)], axis=-1)
    rows = middle.shape[1]
    return design.reshape(-1, 3), target.ravel(), np.repeat(weights / rows, rows)


def _threshold(compression: Floats, target: Floats, weights: Floats, centre: Floats) -> tuple[float, Floats, float]:
    """a, (log I, x) and scatter with the least loss, that of the prior on x included."""
    least = compression[np.isfinite(target)].min()
    best: tuple[float, float, Floats, float] | None = None
    for part in _THRESHOLDS:
        a = float(part * least)
        design = np.stack([np.ones_like(compression), _log(compression - a)], axis=1)
        found, scatter = posterior_draw(design, target, weights, centre, _IGNITION_PRIOR[1])
        misfit = np.nansum(weights * (target - design @ found) ** 2) / scatter**2 + 2.0 * np.isfinite(target).sum() * np.log(scatter)
        loss = float(misfit + (((found - centre) / _IGNITION_PRIOR[1]) ** 2).sum())
        if best is None or loss < best[0]:
            best = loss, a, found, scatter
    assert best is not None
    return best[1], best[2], best[3]


def save_cards(cards: Sequence[IgnitionGrowth], path: Path) -> None:
    """Write cards as JSON, with the form and units of the terms, whole or not at all."""
    document: dict[str, Any] = {
        "schema": 1,
        "form": {
            "ignition": "dlambda/dt = I (1 - lambda)^b (rho/rho0 - 1 - a)^x while lambda < F_ign phi/(1 - phi)",
            "growth": "dlambda/dt = G1 (1 - lambda)^c lambda^d p^y from there on",
        },
        "source": "Lee and Tarver, Phys. Fluids 23, 2362 (1980)",
        "units": {"I": "1/ns", "a": "1", "x": "1", "G1": "1/(ns GPa^y)", "d": "1", "y": "1", "p": "GPa", "t": "ns"},
        "fixed": {"b": DEPLETION, "c": DEPLETION, "F_ign": IGNITED},
        "cards": [asdict(card) for card in cards],
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
