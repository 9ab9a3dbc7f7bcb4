"""The file ``scores.json``: one entry for each model, strict JSON, every number with its unit."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from probtokens.data.atomic import replacing
from probtokens.data.the_well.faults import listed
from probtokens.fields import HotSpot
from probtokens.json_text import read_json

SCHEMA = 2
_FIELD_KEYS = ("rmse", "crps", "spread_skill", "by_lead", "by_simulation")
_CURVE_KEYS = (*_FIELD_KEYS, "curves")
_BOUND_KEYS = ("window_frames", "samples", "simulations", "mean", "standard_error", "unit")


def write_scores(
    path: Path, models: Mapping[str, Mapping[str, Any]], hotspot: HotSpot, members: int, n_test: int, provenance: Mapping[str, Any]
) -> Path:
    """Write the scores of all models, whole or not at all.

    Layout, with ``None``/``null`` where a score is not defined (spread and coverage of deterministic models)::

        {"schema": 2, "members": M, "n_test": n, "hotspot": {"field": HOT, "threshold": in its unit},
         "units": {"fields": {FIELD: unit}, "hotspot": {CURVE: unit}, "time": unit, "length": unit},
         "models": {NAME: {"n_meso": N, "members": m,
            "fields": {FIELD: {"rmse", "crps", "spread_skill", "coverage_50", …, "interval_score_50", …, "energy_score",
                       "variogram_score", "brier" (HOT only), "outside",
                       "by_lead": {"time", the same keys: [one for each lead >= 1]},
                       "by_simulation": {"simulation": [names], the same keys: [one for each simulation]},
                       "by_chance": {"time", "spread_skill", "coverage_50", …: {"lower", "upper": [one for each lead >= 1]}}}},
            "hotspot": {CURVE: {"rmse", "rmse_median", "crps", "spread_skill", "coverage_50", …, "conformal_90", "by_lead",
                        "by_simulation", "by_chance", "curves": {"simulation", "time", and [simulation][lead] lists "truth", "mean",
                        "median", "lower_50", "upper_50", …, "conformal_lower_90", "conformal_upper_90"}}},
            "evidence_bound": {"window_frames", "samples", "simulations", "mean", "standard_error", "unit", "by_simulation"}, tokens only,
            "uncalibrated": {"fields", "hotspot"} before recalibration, where there was one,
            "extrapolation": {SIMULATION: what of its beginning is outside of the training range}}},
         "provenance": {…}}

    HOT is the field that hot spots are of. CURVE is ``area``, HOT (its mean over that area) and the others that
    :func:`probtokens.evaluate.hotspot_curves` returns. Units are those of the field for ``rmse``, ``crps``,
    ``interval_score`` and ``energy_score``, those of the field to the power 1 for ``variogram_score`` (order 0.5), and 1 else.
    ``outside`` is the share of cells of draws, as the model made them, outside of the range that it was trained on, where it knows that
    range. ``conformal_90`` is the share of truths in conformal bands, where there were validation simulations enough for
    them. Between ``lower`` and ``upper`` of ``by_chance`` are nine of ten forecasters that are right, at that lead. ``evidence_bound`` is
    what :func:`probtokens.evaluate.global_sites.evidence_bound` returns.

    Parameters
    ----------
    models
        Name to what :func:`probtokens.evaluate.score_rollout` returned, together with ``"n_meso"``, the number of
        meso simulations that the model was trained on (``None`` if that has no meaning).
    hotspot
        Field and threshold that all models were scored with.
    members
        Draws asked of probabilistic models.
    n_test
        Number of test simulations.
    provenance
        Whatever identifies the run: versions, seeds, data; ``duplicates`` lists simulations that are in several splits.

    Raises
    ------
    ValueError
        If an entry lacks a key, units disagree between models, or a number is infinite.
    """
    units = [dict(entry.get("units", {})) for entry in models.values()]
    if any(unit != units[0] for unit in units):
        raise ValueError(f"{path}: expected the same units for all models, got {units}")
    document = {
        "schema": SCHEMA,
        "members": members,
        "n_test": n_test,
        "hotspot": asdict(hotspot),
        "units": units[0] if units else {},
        "models": {name: {key: value for key, value in entry.items() if key != "units"} for name, entry in models.items()},
        "provenance": dict(provenance),
    }
    _validate(document, path)
    try:
        text = json.dumps(without_nan(document), indent=1, allow_nan=False, ensure_ascii=False)
    except ValueError:
        raise ValueError(f"{path}: expected finite numbers or NaN, got an infinite one") from None
    with replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return path


def load_scores(path: Path, *, curves: bool = True) -> dict[str, Any]:
    """Read and validate a file that :func:`write_scores` wrote.

    With ``curves=False`` the curves of single simulations, by far the most of it, may have been left out, as collected results do.

    Raises
    ------
    ValueError
        If the file is missing or no JSON, or a key is missing; the message names it.
    """
    document = read_json(path, "a scores file")
    _validate(document, path, _CURVE_KEYS if curves else _FIELD_KEYS)
    return dict(document)


def seen_before(document: Mapping[str, Any]) -> str:
    """Sentence on simulations that were given in several splits, empty if the scores are of unseen ones."""
    groups = document["provenance"].get("duplicates", ())
    if not groups:
        return ""
    number = f"{len(groups)} simulations are" if len(groups) > 1 else "One simulation is"
    return f"{number} in several splits, so these scores are not of unseen simulations: {listed(groups)}."


def evidence_line(document: Mapping[str, Any], label: Callable[[str], str] = str) -> str:
    """Line on the log-evidence bounds of models, called by ``label`` of their names; empty where none has one, as in older files."""
    bounds = {label(name): entry["evidence_bound"] for name, entry in document["models"].items() if "evidence_bound" in entry}
    if not bounds:
        return ""
    first = next(iter(bounds.values()))
    told = ", ".join(f"{name} {_number(bound['mean'])} ± {_number(bound['standard_error'])}" for name, bound in bounds.items())
    window = f"first {first['window_frames']} frames of {first['simulations']} simulations, {first['samples']} importance samples"
    return f"Log-evidence bound in {first['unit']}, higher is better: {told} ({window})."


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _validate(document: Any, path: Path, curve_keys: tuple[str, ...] = _CURVE_KEYS) -> None:
    _require(document, ("schema",), f"{path}")
    if document["schema"] != SCHEMA:
        raise ValueError(f"{path}: expected schema {SCHEMA}, got {document['schema']!r}; probtokens evaluate writes the file anew")
    _require(document, ("members", "n_test", "hotspot", "units", "models", "provenance"), f"{path}")
    _require(document["hotspot"], ("field", "threshold"), f"{path}: hotspot")
    hotspot = _hotspot(document["hotspot"], path)
    _require(document["models"], (), f"{path}: models")
    if not document["models"]:
        raise ValueError(f"{path}: expected at least one model, got none")
    for model, entry in document["models"].items():
        where = f"{path}: models.{model}"
        _require(entry, ("n_meso", "members", "fields", "hotspot"), where)
        if "evidence_bound" in entry:
            _require(entry["evidence_bound"], _BOUND_KEYS, f"{where}.evidence_bound")
        sections = {where: entry} | ({f"{where}.uncalibrated": entry["uncalibrated"]} if "uncalibrated" in entry else {})
        for place, section in sections.items():
            _require(section, ("fields", "hotspot"), place)
            _require(section["fields"], (hotspot.field,), f"{place}.fields")
            for field, values in section["fields"].items():
                _require(values, _FIELD_KEYS, f"{place}.fields.{field}")
            _require(section["hotspot"], hotspot.curves, f"{place}.hotspot")
            for curve, values in section["hotspot"].items():
                _require(values, curve_keys, f"{place}.hotspot.{curve}")


def _hotspot(node: Mapping[str, Any], path: Path) -> HotSpot:
    field, threshold = node["field"], node["threshold"]
    if not (isinstance(field, str) and isinstance(threshold, int | float)):
        raise ValueError(f"{path}: hotspot: expected the name of a field and a number, got {field!r} and {threshold!r}")
    return HotSpot(field, threshold)


def _require(node: Any, keys: tuple[str, ...], where: str) -> None:
    if not isinstance(node, Mapping):
        raise ValueError(f"{where}: expected a mapping, got {type(node).__name__}")
    missing = [key for key in keys if key not in node]
    if missing:
        raise ValueError(f"{where}: expected keys {list(keys)}, missing {missing}")


def without_nan(node: Any) -> Any:
    """Nested mappings and lists of Python's numbers, with ``None`` in place of NaN, which strict JSON lacks."""
    if isinstance(node, np.generic):
        node = node.item()
    if isinstance(node, Mapping):
        return {str(key): without_nan(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [without_nan(value) for value in node]
    return None if isinstance(node, float) and math.isnan(node) else node
