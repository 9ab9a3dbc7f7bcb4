"""The scores of a run as a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from probtokens.evaluate.scores_file import evidence_line, seen_before
from probtokens.fields import HotSpot
from probtokens.screen import TextTable


def score_table(scores: Mapping[str, Any]) -> TextTable:
    """One row for each model: errors and calibration of the field of hot spots, errors of their area A_hs and of the mean over it.

    Parameters
    ----------
    scores
        Content of ``scores.json``.
    """
    hotspot, units = HotSpot(**scores["hotspot"]), scores["units"]
    unit, (area, mean) = units["fields"][hotspot.field], (units["hotspot"][name] for name in hotspot.curves)
    symbol = "T" if hotspot.field == "temperature" else "F"
    title = f"Test scores: {scores['n_test']} simulations, {scores['members']} members"
    caption = f"{symbol}: {hotspot.field}; hs: where {symbol} > {hotspot.threshold:g}{'' if unit == '1' else f' {unit}'}"
    caption = "\n".join(filter(None, (caption, _recalibrated(scores, hotspot.field), evidence_line(scores), seen_before(scores))))
    table = TextTable(title=title, caption=caption)
    table.column("", "", "model")
    for header in (
        ("", "meso", "runs"),
        (symbol, "RMSE", f"[{unit}]"),
        (symbol, "CRPS", f"[{unit}]"),
        (symbol, "spread", "/skill"),
        (symbol, "cover", "90 %"),
        ("A_hs", "CRPS", f"[{area}]"),
        (f"{symbol}_hs", "CRPS", f"[{mean}]"),
    ):
        table.column(*header, numbers=True)
    for name, entry in scores["models"].items():
        field, curves = entry["fields"][hotspot.field], entry["hotspot"]
        table.row(
            name,
            _number(entry["n_meso"], "d"),
            _number(field["rmse"], ".4g"),
            _number(field["crps"], ".4g"),
            _number(field["spread_skill"], ".2f"),
            _number(field.get("coverage_90"), ".2f"),
            _number(curves["area"]["crps"], ".3g"),
            _number(curves[hotspot.field]["crps"], ".3g"),
        )
    return table


def _recalibrated(scores: Mapping[str, Any], field: str) -> str:
    """Line on spreads before recalibration; empty where there was none, or no spread."""
    before = {
        name: entry["uncalibrated"]["fields"][field]["spread_skill"] for name, entry in scores["models"].items() if "uncalibrated" in entry
    }
    told = ", ".join(f"{name} {value:.2f}" for name, value in before.items() if value is not None)
    return f"Spread recalibrated on validation simulations; spread/skill was {told} before." if told else ""


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
