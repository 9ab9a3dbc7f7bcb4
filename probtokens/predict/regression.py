"""Linear regressions of every draw of an ensemble over its simulations, as draws of a posterior."""

from __future__ import annotations

import numpy as np

from probtokens.ensembles import Floats

#: Least scatter of logarithms about a regression: differences of a few per cent are not to be followed.
_LEAST_SCATTER = 0.05


def simulation_weights(draws: int, simulations: int, seed: int) -> Floats:
    """Weights of simulations, (draw, simulation), each row of mean 1: the Bayesian bootstrap (Rubin 1981, doi:10.1214/aos/1176345338).

    A draw of the ensemble knows how sure a forecast is, not how few the microstructures are. Weights that are drawn anew for every draw,
    the same in all regressions, say the latter, and keep draws joint.
    """
    return simulations * np.random.default_rng(seed).dirichlet(np.ones(simulations), size=draws)


def posterior_draw(design: Floats, target: Floats, weights: Floats, centre: Floats, scale: Floats) -> tuple[Floats, float]:
    """Coefficients (coefficient,) and scatter of a weighted linear regression with an independent normal prior.

    With random weights and a prior mean ``centre`` that is a draw from the prior, coefficients are nearly a draw from the posterior
    (weighted Bayesian bootstrap; Newton, Polson and Xu, Can. J. Stat. 49, 421, 2021). What data do not tell keeps its prior's width.

    Parameters
    ----------
    design, target
        (row, coefficient) and (row,); rows that are not finite are left out.
    weights
        (row,).
    centre, scale
        Prior mean, drawn from the prior, and prior standard deviation, each (coefficient,).

    Returns
    -------
    Coefficients, those of the prior if there is no row, and the standard deviation of what they leave of the target.
    """
    known = np.isfinite(target) & np.isfinite(design).all(axis=1)
    design, target, weights = design[known], target[known], weights[known]
    if not len(target):
        return centre, float("nan")
    noise = _LEAST_SCATTER
    for _ in range(2):  # first as if data were nearly exact, then with the scatter that this leaves
        rows = np.sqrt(weights) / noise
        stacked = np.concatenate([design * rows[:, None], np.diag(1.0 / scale)])
        coefficients = np.linalg.lstsq(stacked, np.concatenate([target * rows, centre / scale]), rcond=None)[0]
        noise = max(_LEAST_SCATTER, float(np.sqrt(np.average((target - design @ coefficients) ** 2, weights=weights))))
    return coefficients, noise
