"""Closures of forecasts beside those of simulations, and what a physicist checks first."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from scipy.stats import kendalltau

from probtokens.ensembles import Floats
from probtokens.evaluate.scores import central_interval, covered, crps, quantile, rank_range
from probtokens.predict.closure import RATES
from probtokens.predict.closure_rates import Closure

#: Probability of the intervals.
LEVEL = 0.9
_RESAMPLES = 2000
#: Signs of the exponents of pressure in what ignites sooner and burns faster under stronger shocks.
_SIGNS = {"ignition_time": -1, "ignition_rate": 1, "growth_rate": 1}


class Agreement(NamedTuple):
    """Draws of one quantity against the truth, over the simulations where both are defined.

    Attributes
    ----------
    n
        Simulations: of which the truth, and at least half of the draws, have the quantity.
    undecided
        Simulations of which only one of the two has it.
    coverage, coverage_low, coverage_high
        Share of truths in the central 90 % interval, randomised over ranks, and its 90 % bootstrap interval over simulations.
    bias, relative_bias
        Mean of the median draw minus the truth, in the quantity's unit and over the mean truth.
    rmse
        Root mean squared error of the median draw.
    half_width
        Mean half width of the interval.
    crps
        Fair, mean over simulations.
    """

    n: int
    undecided: int
    coverage: float
    coverage_low: float
    coverage_high: float
    bias: float
    relative_bias: float
    rmse: float
    half_width: float
    crps: float


def agreement(draws: Floats, truth: Floats, *, seed: int = 0) -> Agreement:
    """Compare draws (draw, simulation) with truths (simulation,); NaN where a record ends before the quantity.

    Draws that are NaN are left out, simulation by simulation.
    """
    known, enough = np.isfinite(truth), np.isfinite(draws).mean(axis=0) >= 0.5
    rows = []
    for number in np.flatnonzero(known & enough):
        own, target = draws[np.isfinite(draws[:, number]), number], truth[number]
        hit = covered(*rank_range(own, target), len(own), LEVEL)
        low, high = central_interval(own, LEVEL)
        rows.append((hit, quantile(own, 0.5) - target, 0.5 * (high - low), crps(own, target), target))
    undecided = int(np.count_nonzero(known != enough))
    if not rows:
        return Agreement(0, undecided, *[float("nan")] * 8)
    hits, errors, widths, scores, targets = np.array(rows, dtype=np.float64).T
    resampled = hits[np.random.default_rng(seed).integers(len(hits), size=(_RESAMPLES, len(hits)))].mean(axis=1)
    low, high = np.quantile(resampled, [0.05, 0.95])
    bias = errors.mean()
    numbers = (hits.mean(), low, high, bias, bias / targets.mean(), np.sqrt(np.mean(errors**2)), widths.mean(), scores.mean())
    return Agreement(len(rows), undecided, *map(float, numbers))


def closure_agreement(closure: xr.Dataset) -> dict[str, Agreement]:
    """Agreement of every scalar of a closure that has truths, by name; ``lambda_rate`` and ``lambda`` at each level and at the end."""
    columns = {name: (closure[name].values, closure[f"{name}_truth"].values) for name in RATES}
    for number, level in enumerate(closure["level"].values):
        columns[f"lambda_rate_{level:g}"] = closure["lambda_rate"].values[..., number], closure["lambda_rate_truth"].values[..., number]
    columns["lambda_end"] = (closure["lambda"].values[..., -1], closure["lambda_truth"].values[..., -1])
    return {name: agreement(*pair) for name, pair in columns.items()}


def physical_checks(closure: xr.Dataset, law: Closure | None) -> dict[str, Any]:
    """What is known of shocked porous explosives, asked of a closure.

    Parameters
    ----------
    closure
        As :func:`probtokens.predict.closure.closure` returns it.
    law
        Its power laws, if enough simulations ignite.

    Returns
    -------
    dict
        ``monotone``: by rate, Kendall's rank correlation with shock pressure, median over draws, and the share of draws whose exponent of
        pressure has the expected sign. ``threshold``: the highest pressure at which fewer than half of the draws ignite, the lowest at
        which more do, and the number of simulations that do not ignite above the latter. ``p2_tau``: 5, 50 and 95 % quantiles of n in
        P_s^n t_ign = constant, and the coefficient of variation of P_s² t_ign over simulations; n = 2 for the thin-pulse rule of Walker
        and Wasley (1969).
    """
    pressure, times = closure["shock_pressure"].values, closure["ignition_time"].values
    ignites = np.isfinite(times).mean(axis=0) >= 0.5
    monotone: dict[str, Any] = {}
    for number, (name, sign) in enumerate(_SIGNS.items()):
        ranks = [_rank_correlation(pressure, row) for row in closure[name].values]
        entry: dict[str, Any] = {"kendall": _median(np.array(ranks)), "expected_sign": sign}
        if law is not None and "shock_pressure" in law.varied:
            exponents = law.coefficients[:, number, 1 + law.varied.index("shock_pressure")]
            entry |= {"exponent": np.nanquantile(exponents, [0.05, 0.5, 0.95]).tolist(), "share": float((sign * exponents > 0).mean())}
        monotone[name] = entry
    lowest = float(pressure[ignites].min()) if ignites.any() else None
    threshold = {
        "lowest_ignited": lowest,
        "highest_not_ignited": float(pressure[~ignites].max()) if (~ignites).any() else None,
        "not_ignited_above": int((~ignites & (pressure > lowest)).sum()) if lowest is not None else 0,
    }
    products = pressure[ignites] ** 2 * np.nanmedian(times[:, ignites], axis=0) if ignites.any() else np.array([np.nan])
    exponent = monotone["ignition_time"].get("exponent")
    return {
        "monotone": monotone,
        "threshold": threshold,
        "p2_tau": {
            "n": None if exponent is None else [-value for value in reversed(exponent)],
            "mean": float(products.mean()),
            "variation": float(products.std() / products.mean()),
        },
    }


def _rank_correlation(pressure: Floats, values: Floats) -> float:
    """Kendall's, of what is defined; NaN of fewer than two."""
    known = np.isfinite(values)
    return float(kendalltau(pressure[known], values[known])[0]) if known.sum() > 1 else float("nan")


def _median(values: Floats) -> float:
    return float(np.nanmedian(values)) if np.isfinite(values).any() else float("nan")
