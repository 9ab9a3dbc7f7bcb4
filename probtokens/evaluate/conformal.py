"""Bands of curves that hold whatever the ensemble is like: split conformal prediction, with the simulation as unit."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from probtokens.ensembles import as_ensemble
from probtokens.evaluate.scores import central_interval


def conformal_band(
    forecast: ArrayLike, validation: ArrayLike, truth: ArrayLike, *, level: float = 0.9
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Central intervals of an ensemble, moved outward or inward by what validation simulations ask for.

    At each time the margin is the k-th smallest of max(lower − y, y − upper) over n validation simulations, k = ⌈(n + 1) level⌉. If
    test and validation simulations are exchangeable, a band covers a new simulation at any one time with probability
    ``level`` to ``level + 1 / (n + 1)``, on average over validation sets. It does not cover all times of a curve together.

    Parameters
    ----------
    forecast
        Curves of test simulations, (draw, simulation, time).
    validation
        Curves of validation simulations by the same model, (draw, validation simulation, time).
    truth
        Their true curves, (validation simulation, time).
    level
        Probability of the band.

    Returns
    -------
    tuple
        Lower and upper ends, each (simulation, time), in the unit of the curves.

    Raises
    ------
    ValueError
        If there are too few validation simulations for the level (9 for 90 %, 19 for 95 %), or shapes do not fit.

    References
    ----------
    Romano, Patterson and Candès, Conformalized quantile regression, NeurIPS 2019.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> lower, upper = conformal_band(rng.normal(size=(50, 3, 4)), rng.normal(size=(50, 19, 4)), rng.normal(size=(19, 4)))
    >>> lower.shape
    (3, 4)
    """
    known, target = as_ensemble(validation, truth)
    new = np.asarray(forecast, dtype=np.float64)
    if new.ndim != 3 or new.shape[2:] != known.shape[2:]:
        raise ValueError(f"forecast: expected shape (draw, simulation, {known.shape[-1]}), got {new.shape}")
    n = target.shape[0]
    if n < fewest_simulations(level):
        raise ValueError(f"validation: expected at least {fewest_simulations(level)} simulations for {level:.0%}, got {n}")
    rank = math.ceil((n + 1) * level)
    lower, upper = central_interval(np.sort(known, axis=0), level, is_sorted=True)
    margin = np.sort(np.maximum(lower - target, target - upper), axis=0)[rank - 1]
    lower, upper = central_interval(np.sort(new, axis=0), level, is_sorted=True)
    middle = (lower + upper) / 2
    return np.minimum(lower - margin, middle), np.maximum(upper + margin, middle)


def fewest_simulations(level: float) -> int:
    """Validation simulations that a band of this probability needs: 9 for 90 %, 19 for 95 %."""
    return math.ceil(level / (1 - level) - 1e-9)
