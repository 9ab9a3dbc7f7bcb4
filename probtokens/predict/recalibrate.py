"""Spread inflation fitted on validation simulations: makes the ensemble's spread match its error, lead by lead."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from probtokens.data.atomic import replacing
from probtokens.ensembles import as_floats, ensemble_mean, spread_variance
from probtokens.fields import FieldSpec
from probtokens.json_text import read_json
from probtokens.predict.store import Slab, all_axes, map_slabs, rollout_fields, rollout_leads

#: Smallest factor: a spread is never removed altogether.
FLOOR = 0.05
_SCHEMA = 1
_NEIGHBOURS = np.array([1.0, 2.0, 1.0])


def inflated(members: NDArray[Any], factor: float, lower: float = -math.inf, upper: float = math.inf) -> NDArray[Any]:
    """Members (draw, ...) with their anomalies about the mean times a factor, inside of bounds; members at a bound stay there.

    Examples
    --------
    >>> inflated(np.array([0.0, 1.0, 2.0]), 3.0, lower=0.0).tolist()
    [0.0, 1.0, 4.0]
    """
    if factor == 1 or len(members) == 1:
        return members
    values = as_floats(members, "members")
    mean = ensemble_mean(values)
    kind = members.dtype if members.dtype.kind == "f" else np.dtype(np.float64)
    found = np.clip((values - mean) * factor + mean, lower, upper).astype(kind, copy=False)
    for bound in (lower, upper):
        found[members == bound] = bound
    return found


@dataclass(frozen=True)
class Recalibration:
    """Factors on the anomalies about the ensemble mean.

    Attributes
    ----------
    model
        Name of the model whose validation rollout they were fitted on.
    n_simulations
        Number of validation simulations.
    factors
        Field name to the factors at lead 1, 2, …; all 1 for a deterministic model.

    Examples
    --------
    >>> Recalibration("tokens", 3, {"temperature": [1.2, 1.1]}).factor("temperature", lead=5)
    1.1
    """

    model: str
    n_simulations: int
    factors: dict[str, list[float]]

    def factor(self, field: str, lead: int) -> float:
        """Factor at ``lead`` >= 1; beyond the last fitted lead that of the last.

        Raises
        ------
        ValueError
            If the field was not fitted or ``lead`` is not positive.
        """
        if field not in self.factors or lead < 1:
            raise ValueError(f"recalibration of {self.model}: expected one of {list(self.factors)} and lead >= 1, got {field!r}, {lead}")
        return self.factors[field][min(lead, len(self.factors[field])) - 1]

    def apply(self, prediction: NDArray[Any], field: FieldSpec, lead: int) -> NDArray[Any]:
        """Widen or narrow one frame about its ensemble mean; shape (draw, ...) is kept, and so is the order of members.

        A factor of 1 and single members leave it as it is. Floating-point members keep their type, others become double precision.

        Where the factor differs from 1, values beyond the field's physical bounds are set to the bound (no
        negative temperature, no fraction outside [0, 1]); that trims the tail and moves the mean inward a little.
        Members at a bound stay there: a crystal without pores has a solid fraction of exactly one.
        """
        lower, upper = (default if bound is None else bound for bound, default in ((field.lower, -math.inf), (field.upper, math.inf)))
        return inflated(prediction, self.factor(field.name, lead), lower, upper)

    def apply_to(self, slab: Slab) -> Slab:
        """The slab with its prediction recalibrated."""
        return replace(slab, prediction=self.apply(slab.prediction, slab.field, slab.lead))

    def save(self, path: Path) -> None:
        """Write as JSON, whole or not at all."""
        with replacing(path) as temporary:
            temporary.write_text(json.dumps({"schema": _SCHEMA, **asdict(self)}, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def load_recalibration(path: Path) -> Recalibration:
    """Read what :meth:`Recalibration.save` wrote.

    Raises
    ------
    ValueError
        If the file is missing, no JSON, or of another schema.
    """
    document = read_json(path, "a recalibration file")
    keys = {"schema", "model", "n_simulations", "factors"}
    if not isinstance(document, dict) or set(document) != keys or document["schema"] != _SCHEMA:
        raise ValueError(f"{path}: expected a recalibration file with keys {sorted(keys)} and schema {_SCHEMA}, got {str(document)[:80]}")
    del document["schema"]
    factors = document["factors"]
    columns = list(factors.values()) if isinstance(factors, dict) else [None]
    if not all(isinstance(column, list) and column and all(map(_is_factor, column)) for column in columns):
        raise ValueError(f"{path}: factors: expected lists of positive numbers by field, got {factors!r:.80}")
    return Recalibration(**document)


def _is_factor(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf


def fit_recalibration(validation: xr.Dataset, progress: Callable[[int, int], None] | None = None) -> Recalibration:
    """Fit factors on the rollout of *validation* simulations, never on those that are scored afterwards.

    At each lead the factor is what brings spread/skill, ``sqrt((M + 1) / M * mean variance) / RMSE``, to 1 over all
    validation simulations; then log factors are smoothed over neighbouring leads (weights 1, 2, 1) and shrunk
    towards their mean over leads by an empirical-Bayes weight: the variance between leads that exceeds what the
    jackknife over simulations explains, as a fraction of the total. With one simulation only the mean is used.
    The clipping in :meth:`Recalibration.apply` is not undone. ``progress(done, total)`` is called after each frame.

    Raises
    ------
    ValueError
        If leads are left out, or a frame holds values that are not finite.
    """
    validation = all_axes(validation)
    fields = rollout_fields(validation)
    n, leads = validation.sizes["simulation"], validation.sizes["time"] - 1
    if rollout_leads(validation) != list(range(leads + 1)):
        raise ValueError(f"recalibration: expected every lead from 0 to {leads}, got {rollout_leads(validation)}")
    model = str(validation.attrs.get("model", "model"))
    if validation.sizes["draw"] == 1:
        return Recalibration(model, n, {spec.name: [1.0] * leads for spec in fields if not spec.constant})
    factors = {}
    for name, moments in map_slabs(_error_and_spread, validation, progress=progress).items():
        error, spread = np.array(moments).T.reshape(2, n, leads)
        factors[name] = inflation_factors(error, spread).tolist()
    return Recalibration(model, n, factors)


def _error_and_spread(slab: Slab) -> tuple[float, float]:
    """Mean squared error of the ensemble mean and the one that the spread announces."""
    error = float(np.mean((ensemble_mean(slab.prediction) - slab.truth) ** 2))
    spread = float(np.mean(spread_variance(slab.prediction)))
    if not np.isfinite([error, spread]).all():
        raise ValueError(f"{slab.field.name}, simulation {slab.simulation}, lead {slab.lead}: expected finite values, got others")
    return error, spread


def inflation_factors(error: NDArray[np.float64], spread: NDArray[np.float64]) -> NDArray[np.float64]:
    """Factors by lead, (lead,), from squared errors and spreads, (simulation, lead); see :func:`fit_recalibration`."""
    estimate = _smooth_log_ratio(error, spread)
    deviation = estimate - estimate.mean()
    n = len(error)
    if n > 1:
        without = np.stack([_smooth_log_ratio(np.delete(error, i, axis=0), np.delete(spread, i, axis=0)) for i in range(n)])
        without -= without.mean(axis=1, keepdims=True)
        noise = (n - 1) / n * np.sum((without - without.mean(axis=0)) ** 2, axis=0).mean()
        total = np.mean(deviation**2)
        deviation = deviation * (max(0.0, 1 - noise / total) if total > 0 else 0.0)
    else:
        deviation = np.zeros_like(deviation)
    return np.maximum(np.exp(0.5 * (estimate.mean() + deviation)), FLOOR)


def _smooth_log_ratio(error: NDArray[np.float64], spread: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log of squared error over squared spread by lead, pooled over simulations and smoothed over leads."""
    error, spread = error.mean(axis=0), spread.mean(axis=0)
    ratio = np.where(spread > 0, error / np.where(spread > 0, spread, 1), 1.0)
    logs = np.log(np.maximum(ratio, FLOOR**2))
    padded = np.convolve(logs, _NEIGHBOURS, mode="full")[1:-1]
    weights = np.convolve(np.ones_like(logs), _NEIGHBOURS, mode="full")[1:-1]
    return padded / weights
