"""The scores in plain words, whoever wins."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from probtokens.evaluate import compare_models
from probtokens.evaluate.scores import covered
from probtokens.evaluate.scores_file import evidence_line, seen_before
from probtokens.report.style import model_label
from probtokens.report.tables import format_score
from probtokens.report.verdict import COVERAGE_TOLERANCE, SPREAD_TARGET
from probtokens.report.wording import Wording, listing, sentence
from probtokens.units import in_unit

_BASELINES = ("parc", "persistence")
#: Share of cells outside of the training range that is told.
_OUTSIDE = 0.001


def plain_reading(document: Mapping[str, Any], primary: str) -> list[str]:
    """Sentences on accuracy, significance, adaptation, calibration, extrapolation, hot spots and evidence, made from the numbers alone.

    Parameters
    ----------
    document
        Content of ``scores.json``.
    primary
        Model that the report is about.
    """
    models, wording = document["models"], Wording.of(document)
    others = [name for name in dict.fromkeys(("parc", "micro_tokens", "persistence", *models)) if name in models and name != primary]
    sentences = [seen_before(document), _ranking(models, wording)]
    sentences += [_comparison(document, primary, other, wording) for other in others]
    sentences += [_calibration(models[primary], primary, wording), _extrapolation(models[primary], primary, document["n_test"])]
    sentences += [_hotspot(models, primary, name, wording) for name in wording.hotspot.curves]
    sentences.append(evidence_line(document, model_label))
    if document["n_test"] < 6:
        sentences.append(f"With {document['n_test']} test simulations no difference can be significant at the 5 % level, however large.")
    return [text for text in sentences if text]


def _ranking(models: Mapping[str, Any], wording: Wording) -> str:
    spec = wording.spec
    values = {name: entry["fields"][spec.name]["crps"] for name, entry in models.items()}
    ranked = sorted((name for name, value in values.items() if _is_number(value)), key=lambda name: values[name])
    if not ranked:
        return ""
    best = ranked[0]
    crps, rmse = (in_unit(format_score(value), spec.unit) for value in (values[best], models[best]["fields"][spec.name]["rmse"]))
    text = f"Over all test simulations and lead times the best {spec.label} forecast is that of {model_label(best)}: "
    text += f"fair CRPS {crps}, RMSE of the mean {rmse}."
    if len(ranked) > 1:
        text += f" Next is {model_label(ranked[1])} with a CRPS of {in_unit(format_score(values[ranked[1]]), spec.unit)}."
    return text + (" A baseline wins here." if best in _BASELINES and len(ranked) > 1 else "")


def _comparison(document: Mapping[str, Any], primary: str, other: str, wording: Wording) -> str:
    """CRPS of the primary model against another, paired by simulation."""
    if document["n_test"] < 2:
        return ""
    result = compare_models(document, primary, other, "fields", wording.spec.name)
    if not _is_number(result.skill):
        return ""
    direction = "lower" if result.skill >= 0 else "higher"
    low, high = sorted((100 * result.skill_low, 100 * result.skill_high))
    verdict = "" if result.p_value < 0.05 else " This difference may be chance."
    return (
        f"Against {model_label(other)} the {wording.spec.label} CRPS of {model_label(primary)} is "
        f"{abs(100 * result.skill):.0f} % {direction} "
        f"(skill {100 * result.skill:.0f} %, 95 % bootstrap interval {low:.0f} to {high:.0f} %, sign-flip p = {result.p_value:.2g}, "
        f"{result.n} simulations).{verdict}"
    )


def _calibration(entry: Mapping[str, Any], primary: str, wording: Wording) -> str:
    scores = entry["fields"][wording.spec.name]
    ratio, coverage = scores["spread_skill"], scores.get("coverage_90")
    if not _is_number(ratio):
        return f"{model_label(primary)} is deterministic: it states no uncertainty, and its CRPS is its mean absolute error."
    low, high = SPREAD_TARGET
    state = "too narrow (overconfident)" if ratio < low else "too wide (underconfident)" if ratio > high else "about right"
    text = f"The {wording.spec.label} spread of {model_label(primary)} is {state}: spread/skill {ratio:.2f}, where 1 is right"
    if _is_number(coverage):
        text += f"; its 90 % interval holds the truth in {100 * coverage:.0f} % of the cells{_coverage_verdict(coverage)}"
    raw = entry.get("uncalibrated")
    before = None if raw is None else raw["fields"][wording.spec.name]["spread_skill"]
    return text + (f". Before recalibration the ratio was {before:.2f}." if _is_number(before) else ".") + _few_draws(entry["members"])


def _few_draws(members: int) -> str:
    """What coverage means where draws are too few to bound 90 %."""
    beyond = float(covered(np.zeros(()), np.zeros(()), members, 0.9))
    return f" {members} draws cannot bound 90 %, so a truth beyond all of them counts as {100 * beyond:.0f} % inside." if beyond > 0 else ""


def _extrapolation(entry: Mapping[str, Any], primary: str, n_test: int) -> str:
    """How many simulations begin outside of the training range, and how far draws have left it at the last lead."""
    begins = entry.get("extrapolation", {})
    last = {name: scores["by_lead"]["outside"][-1] for name, scores in entry["fields"].items() if "outside" in scores["by_lead"]}
    left = [f"{name.replace('_', ' ')} in {100 * share:.2g} % of the cells" for name, share in last.items() if share >= _OUTSIDE]
    begin = "begins" if len(begins) == 1 else "begin"
    told = [f"{len(begins)} of {n_test} test simulations {begin} outside of the training range of {model_label(primary)}"] * bool(begins)
    told += [f"at the last lead draws of {model_label(primary)} have left the training range, {listing(left)}"] * bool(left)
    return sentence("; ".join(told)) + ": this is extrapolation." if told else ""


def _coverage_verdict(coverage: float) -> str:
    if abs(coverage - 0.9) <= COVERAGE_TOLERANCE:
        return ", as it should"
    return ", too few" if coverage < 0.9 else ", more than it should"


def _hotspot(models: Mapping[str, Any], primary: str, name: str, wording: Wording) -> str:
    scores, unit = models[primary]["hotspot"][name], wording.units[name]
    values = {other: entry["hotspot"][name]["rmse"] for other, entry in models.items() if _is_number(entry["hotspot"][name]["rmse"])}
    if primary not in values:
        return ""
    best = min(values, key=lambda other: values[other])
    place = "the lowest" if best == primary else f"against {in_unit(format_score(values[best]), unit)} of {model_label(best)}, the lowest"
    text = (
        f"{sentence(wording.curves[name])}: the RMSE of {model_label(primary)} is {in_unit(format_score(values[primary]), unit)}, {place}"
    )
    coverage, conformal = scores.get("coverage_90"), scores.get("conformal_90")
    text += f"; the 90 % band holds the truth {100 * coverage:.0f} % of the time" if _is_number(coverage) else ""
    return text + (f", the conformal one {100 * conformal:.0f} %." if _is_number(conformal) else ".")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
