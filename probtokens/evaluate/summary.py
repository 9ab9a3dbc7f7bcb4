"""All scores of one rollout, computed one frame at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from probtokens.ensembles import Floats, as_ensemble, ensemble_mean, mean_of_defined, spread_variance
from probtokens.evaluate import scores
from probtokens.evaluate.conformal import conformal_band, fewest_simulations
from probtokens.evaluate.hotspots import assemble_curves, curve_fields, curve_units, hotspot_curves, slab_curves
from probtokens.evaluate.multivariate import Pairs, energy_score, lattice_pairs, pool, variogram_score
from probtokens.evaluate.perfect import FEWEST_MEMBERS, LeftOut, left_out, trials
from probtokens.fields import Grid, HotSpot
from probtokens.predict.recalibrate import Recalibration
from probtokens.predict.store import Slab, all_axes, map_slabs, rollout_fields, rollout_grid

#: Name of a quantity to its values by simulation and lead, shape (simulation, lead). Names ending in ``_square``
#: are averaged, then rooted.
Table = dict[str, Floats]

#: Cells of a frame that tell what chance makes of its calibration: neighbours err alike, and all cells would double the cost of scores.
_CELLS_FOR_CHANCE = 2048
#: Trials that tell its quantiles, and these.
_CHANCE_TRIALS = 500
_CHANCE_QUANTILES = {"lower": 0.05, "upper": 0.95}
#: Probability of conformal bands.
_BAND = 0.9


def score_rollout(
    rollout: xr.Dataset,
    *,
    hotspot: HotSpot | None,
    coverage_levels: Sequence[float],
    recalibration: Recalibration | None = None,
    validation: xr.Dataset | None = None,
    block: int = 8,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Score a rollout against its truth, over leads >= 1.

    Memory holds one frame with all fields and draws for each thread, whatever the size of the rollout.

    Parameters
    ----------
    rollout
        As opened by :func:`probtokens.predict.open_rollout`.
    hotspot
        Field and threshold of hot spots, also of the Brier score; without one there are no curves of them.
    coverage_levels
        Probabilities of central intervals, e.g. (0.5, 0.8, 0.9).
    recalibration
        Factors fitted on validation simulations. With them every score is of the recalibrated ensemble and those
        before are added under ``"uncalibrated"``. Without them the scores are of the ensemble as it is.
    validation
        Rollout of validation simulations by the same model, over the same leads. If they are at least nine, curves have conformal bands:
        see :func:`probtokens.evaluate.conformal.conformal_band`.
    block
        Edge, in cells, of the blocks that energy and variogram score average over; at most the whole domain.
    progress
        Called as ``progress(done, total)`` after each frame.

    Returns
    -------
    dict
        ``members``, ``fields`` (by field), ``hotspot`` (by curve), ``units`` and, with ``recalibration``,
        ``uncalibrated``; see :func:`probtokens.evaluate.write_scores` for the layout. ``None`` where a score is not
        defined: spread, coverage and intervals of a deterministic model, ratios to an error of exactly 0, coverage
        of hot spots where no member and no truth has one. ``by_chance`` tells what would be found if all were right, by
        :func:`probtokens.evaluate.perfect.trials`; ``None`` of fewer than three members. ``extrapolation`` has what is outside of the
        training range in the simulations that begin there, by name.

    Raises
    ------
    ValueError
        If the rollout lacks the field of hot spots or the initial frame, its coordinates are not those of square cells and equal
        steps, a level is not in (0, 1), or a score is not finite (corrupt store).
    """
    rollout = all_axes(rollout)
    for level in coverage_levels:
        scores.check_level(level)
    recalibrations = [None] if recalibration is None else [recalibration, None]
    hot_fields = [] if hotspot is None else curve_fields(rollout, hotspot)
    work = _slab_work(rollout_grid(rollout), recalibrations, hotspot, coverage_levels, block, _limits(rollout))
    results = map_slabs(work, rollout, progress=progress)
    curve_unit = {} if hotspot is None else curve_units(rollout, hotspot)
    # Of the ensemble as it is: factors of anomalies, the same for all cells of a lead, change nothing about it but at the fields' bounds.
    by_chance = {name: _by_chance([rows[0].left_out for rows in found], coverage_levels, rollout) for name, found in results.items()}
    sections: list[dict[str, dict[str, Any]]] = []
    for version in range(len(recalibrations)):
        columns = {name: [rows[version].curves for rows in results[name]] for name in hot_fields}
        curves = None if hotspot is None else assemble_curves(columns, rollout, hotspot)
        known = None if hotspot is None else _known_curves(validation, hotspot, recalibrations[version])
        tables = {name: _table([rows[version].scores for rows in results[name]], rollout) for name in results}
        fields = {name: _summarise(table, coverage_levels, rollout) for name, table in tables.items()}
        for name, summary in fields.items():
            summary["by_chance"] = by_chance[name]
        of_curves = {} if curves is None else {name: _score_curve(name, curves, known, coverage_levels, rollout) for name in curve_unit}
        sections.append({"fields": fields, "hotspot": of_curves})
    units = {
        "fields": {spec.name: spec.unit for spec in rollout_fields(rollout) if not spec.constant},
        "hotspot": curve_unit,
        "time": rollout_grid(rollout).time_unit,
        "length": rollout_grid(rollout).length_unit,
    }
    uncalibrated = {"uncalibrated": sections[1]} if recalibration is not None else {}
    begins = rollout["outside"].values if "outside" in rollout.coords else [""] * rollout.sizes["simulation"]
    extrapolation = {name: str(text) for name, text in zip(_names(rollout), begins, strict=True) if text}
    return {"members": rollout.sizes["draw"], **sections[0], **uncalibrated, "units": units, "extrapolation": extrapolation}


def _known_curves(validation: xr.Dataset | None, hotspot: HotSpot, recalibration: Recalibration | None) -> xr.Dataset | None:
    """Curves of validation simulations; ``None`` of too few for a band, or of a model with a single member."""
    if validation is None or validation.sizes["simulation"] < fewest_simulations(_BAND) or validation.sizes["draw"] < 2:
        return None
    return hotspot_curves(validation, hotspot, recalibration)


def _limits(rollout: xr.Dataset) -> dict[str, tuple[float, float]]:
    """Least and largest value of every field that count as inside of what the model was trained on, where it knows."""
    if "field_least" not in rollout.coords:
        return {}
    ends = zip(rollout["field"].values, rollout["field_least"].values, rollout["field_most"].values, strict=True)
    return {str(name): (float(low), float(high)) for name, low, high in ends if np.isfinite(low)}


class _SlabResult(NamedTuple):
    """What one slab contributes: scores averaged over the frame, and columns of the hot-spot curves."""

    scores: dict[str, float]
    curves: dict[str, Floats]
    left_out: LeftOut | None


def _slab_work(
    grid: Grid,
    recalibrations: Sequence[Recalibration | None],
    hotspot: HotSpot | None,
    levels: Sequence[float],
    block: int,
    limits: Mapping[str, tuple[float, float]],
) -> Callable[[Slab], list[_SlabResult]]:
    """Function that scores a slab, once for each recalibration; members are sorted only once."""
    block = min(block, grid.ny, grid.nx)
    pairs = lattice_pairs(grid.ny // block, grid.nx // block)
    stride = math.ceil(math.sqrt(grid.ny * grid.nx / _CELLS_FOR_CHANCE))

    def work(slab: Slab) -> list[_SlabResult]:
        """Scores and hot-spot curves of one slab, a result for each recalibration."""
        raw = np.sort(slab.prediction, axis=0)
        others = left_out(slab.prediction[:, ::stride, ::stride], levels) if len(raw) >= FEWEST_MEMBERS else None
        results = []
        for version in recalibrations:
            here = slab if version is None else version.apply_to(slab)
            ordered = raw if version is None else version.apply(raw, slab.field, slab.lead)
            row = marginal_scores(ordered, slab.truth, levels) | _spatial_scores(here.prediction, slab.truth, block, pairs)
            if hotspot is not None and slab.field.name == hotspot.field:
                row["brier"] = _mean(scores.brier(ordered, slab.truth, hotspot.threshold))
            if slab.field.name in limits:  # of draws as the model made them, whatever the version
                low, high = limits[slab.field.name]
                row["outside"] = float(((raw < low) | (raw > high)).mean())
            _check_finite(row, slab)
            results.append(_SlabResult(row, {} if hotspot is None else slab_curves(here, hotspot, grid), others))
        return results

    return work


def _check_finite(row: dict[str, float], slab: Slab) -> None:
    bad = [name for name, value in row.items() if not np.isfinite(value)]
    if bad:
        where = f"{slab.field.name}, simulation {slab.simulation}, lead {slab.lead}"
        raise ValueError(f"{where}: expected finite scores, got others for {bad}")


def _table(rows: Sequence[dict[str, float]], rollout: xr.Dataset) -> Table:
    shape = (rollout.sizes["simulation"], rollout.sizes["time"] - 1)
    return {key: np.array([row[key] for row in rows]).reshape(shape) for key in rows[0]}


def marginal_scores(ordered: ArrayLike, truth: ArrayLike, levels: Sequence[float]) -> dict[str, float]:
    """Scores of single cells, averaged over one frame, for :func:`reduce_table`.

    Parameters
    ----------
    ordered
        Members in ascending order, shape (draw, y, x).
    truth
        Shape (y, x).
    levels
        Probabilities of central intervals.

    Returns
    -------
    dict
        ``error_square``, ``crps`` and, of more than one member, ``spread_square`` and ``coverage_90``, ``interval_score_90``, …
    """
    return {name: _mean(values) for name, values in element_scores(ordered, truth, levels).items()}


def element_scores(ordered: ArrayLike, truth: ArrayLike, levels: Sequence[float]) -> Table:
    """What :func:`marginal_scores` averages, each of shape (...), from members in ascending order (draw, ...) and the truth (...)."""
    values, target = as_ensemble(ordered, truth)
    members = len(values)
    table = {"error_square": (ensemble_mean(values) - target) ** 2, "crps": scores.crps(values, target, is_sorted=True)}
    if members > 1:
        table["spread_square"] = spread_variance(values)
        ranks = scores.rank_range(values, target)
        for level in levels:
            lower, upper = scores.central_interval(values, level, is_sorted=True)
            table[_key("coverage", level)] = scores.covered(*ranks, members, level)
            table[_key("interval_score", level)] = scores.interval_score(lower, upper, target, level)
    return table


def _spatial_scores(prediction: ArrayLike, truth: ArrayLike, block: int, pairs: Pairs) -> dict[str, float]:
    """Scores of one frame averaged over blocks; ``prediction`` has shape (draw, y, x)."""
    pooled, target = pool(prediction, block), pool(truth, block)
    return {"energy_score": energy_score(pooled, target), "variogram_score": variogram_score(pooled, target, pairs)}


def _score_curve(name: str, curves: xr.Dataset, known: xr.Dataset | None, levels: Sequence[float], rollout: xr.Dataset) -> dict[str, Any]:
    """Scores and quantiles of one hot-spot curve; with those ``known`` of validation simulations its conformal band."""
    prediction, truth = curves[name].values[..., 1:], curves[f"{name}_truth"].values[..., 1:]
    ordered = np.sort(prediction, axis=0)
    members = len(ordered)
    table = element_scores(ordered, truth, levels)
    # The speed of a front that has left is not defined, but the front is.
    checked = (curves["front"].values, curves["front_truth"].values) if name == "front_rate" else tuple(table.values())
    if any(not np.isfinite(values).all() for values in checked):
        raise ValueError(f"{name}: expected finite scores, got others; is a frame not finite, the initial one included?")
    table["median_error_square"] = (np.median(ordered, axis=0) - truth) ** 2
    quantiles: dict[str, Any] = {"mean": ensemble_mean(ordered), "median": np.median(ordered, axis=0)}
    if members > 1:
        informative = ((ordered[0] != ordered[-1]) | (ordered[0] != truth)) & np.isfinite(table["crps"])
        for level in levels:
            table[_key("coverage", level)] = np.where(informative, table[_key("coverage", level)], np.nan)
            quantiles[_key("lower", level)], quantiles[_key("upper", level)] = scores.central_interval(ordered, level, is_sorted=True)
        if known is not None:
            lower, upper = conformal_band(prediction, known[name].values[..., 1:], known[f"{name}_truth"].values[..., 1:], level=_BAND)
            table[_key("conformal", _BAND)] = np.where(informative & ~np.isnan(lower), (lower <= truth) & (truth <= upper), np.nan)
            quantiles[_key("conformal_lower", _BAND)], quantiles[_key("conformal_upper", _BAND)] = lower, upper
    lists = {key: values.tolist() for key, values in ({"truth": truth} | quantiles).items()}
    summary = _summarise(table, levels, rollout)
    summary["by_chance"] = _by_chance([_left_out_of_curve(column, levels) for column in prediction.reshape(members, -1).T], levels, rollout)
    summary["curves"] = {"simulation": _names(rollout), "time": _times(rollout), **lists}
    return summary


def _summarise(table: Table, levels: Sequence[float], rollout: xr.Dataset) -> dict[str, Any]:
    """Overall scores with lists ``by_lead`` and ``by_simulation``; what one member leaves undefined is ``None``."""
    undefined = np.full_like(table["crps"], np.nan)
    keys = [_key(name, level) for name in ("coverage", "interval_score") for level in levels]
    table = dict.fromkeys(keys, undefined) | table
    summary: dict[str, Any] = {key: values[0] for key, values in reduce_table(table, axis=(0, 1)).items()}
    summary["by_lead"] = {"time": _times(rollout), **reduce_table(table, axis=(0,))}
    summary["by_simulation"] = {"simulation": _names(rollout), **reduce_table(table, axis=(1,))}
    return summary


def _left_out_of_curve(members: Floats, levels: Sequence[float]) -> LeftOut | None:
    """What :func:`left_out` finds for one number, members having shape (draw,); no coverage where all are the same."""
    if len(members) < FEWEST_MEMBERS:
        return None
    found = left_out(members, levels)
    return found._replace(coverage=np.full_like(found.coverage, np.nan)) if np.ptp(members) == 0 else found


def _by_chance(found: Sequence[LeftOut | None], levels: Sequence[float], rollout: xr.Dataset) -> dict[str, Any] | None:
    """Range by lead of what a perfect forecaster would score on these simulations; ``found`` is over simulations and, faster, leads."""
    parts = [part for part in found if part is not None]
    if not parts:
        return None
    n_leads = rollout.sizes["time"] - 1
    chance = trials([parts[first : first + n_leads] for first in range(0, len(parts), n_leads)], n_trials=_CHANCE_TRIALS)
    named = {"spread_skill": chance.spread_skill} | {_key("coverage", level): chance.coverages[k] for k, level in enumerate(levels)}
    return {"time": _times(rollout)} | {
        name: {side: _quantiles(values, share) for side, share in _CHANCE_QUANTILES.items()} for name, values in named.items()
    }


def _quantiles(values: Floats, share: float) -> list[float | None]:
    """Quantile, lead by lead, of the trials (trial, lead) in which a score is defined."""
    defined = [column[np.isfinite(column)] for column in values.T]
    return [float(np.quantile(column, share)) if len(column) else None for column in defined]


def reduce_table(table: Table, axis: tuple[int, ...]) -> dict[str, list[float | None]]:
    """Means over ``axis`` of a table (simulation, lead), roots of mean squares, and their ratio; ``None`` where not defined."""
    means = {name: np.atleast_1d(mean_of_defined(values, axis)) for name, values in table.items()}
    error = np.sqrt(means.pop("error_square"))
    out: dict[str, Floats] = {"rmse": error}
    if "median_error_square" in means:
        out["rmse_median"] = np.sqrt(means.pop("median_error_square"))
    out["crps"] = means.pop("crps")
    spread = np.sqrt(means.pop("spread_square", np.full_like(error, np.nan)))
    out["spread_skill"] = np.divide(spread, error, out=np.full_like(error, np.nan), where=error > 0)
    return {name: _defined(values) for name, values in (out | means).items()}


def _defined(values: Floats) -> list[float | None]:
    return [None if np.isnan(value) else float(value) for value in values]


def _key(name: str, level: float) -> str:
    return f"{name}_{100 * level:g}"


def _mean(values: Floats) -> float:
    return float(np.mean(values, dtype=np.float64))


def _times(rollout: xr.Dataset) -> list[float]:
    return [float(time) for time in rollout["time"].values[1:]]


def _names(rollout: xr.Dataset) -> list[str]:
    return [str(name) for name in rollout["simulation"].values]
