"""The score tables of the report: which score of which model, formatted, the best in each column marked if it is good."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from probtokens.report.style import model_label, with_unit
from probtokens.report.verdict import COVERAGE_TOLERANCE, SPREAD_TARGET
from probtokens.report.wording import Quantity

DASH = "–"
_LEVELS = (50, 90)


@dataclass(frozen=True)
class Cell:
    """One formatted score."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class ScoreTable:
    """Scores of one quantity: title, headers and a line for each model, which is its label, number of meso simulations and cells."""

    title: str
    headers: list[str]
    lines: list[tuple[str, str, list[Cell]]]


@dataclass(frozen=True)
class _Column:
    header: str
    key: str
    ideal: float | None = None


def score_tables(document: Mapping[str, Any], quantities: Sequence[Quantity], *, uncalibrated: bool = False) -> list[ScoreTable]:
    """One table for each quantity, narrow enough for any page.

    Parameters
    ----------
    document
        Content of ``scores.json``.
    quantities
        In order of display.
    uncalibrated
        Whether to show the scores before recalibration.
    """
    models = {name: {**entry, **(entry.get("uncalibrated", {}) if uncalibrated else {})} for name, entry in document["models"].items()}
    return [_table(models, quantity) for quantity in quantities]


def format_score(value: float | None) -> str:
    """Three significant digits, plain notation; a dash where there is no number."""
    if value is None or not math.isfinite(value):
        return DASH
    if value == 0:
        return "0"
    digits = 2 - math.floor(math.log10(abs(value)))
    return f"{round(value, digits):.{max(digits, 0)}f}" if digits < 7 else f"{value:.2g}"


def _columns() -> list[_Column]:
    coverage = [_Column(f"in {level}\N{NO-BREAK SPACE}%", f"coverage_{level}", level / 100) for level in _LEVELS]
    return [_Column("RMSE", "rmse"), _Column("CRPS", "crps"), _Column("spread / skill", "spread_skill", 1.0), *coverage]


def _table(models: Mapping[str, Any], quantity: Quantity) -> ScoreTable:
    entries = [entry[quantity.part].get(quantity.name, {}) for entry in models.values()]
    columns = [_cells([entry.get(column.key) for entry in entries], column) for column in _columns()]
    lines = [
        (model_label(name), DASH if entry["n_meso"] is None else str(entry["n_meso"]), list(cells))
        for (name, entry), *cells in zip(models.items(), *columns, strict=True)
    ]
    return ScoreTable(with_unit(quantity.label, quantity.unit), [column.header for column in _columns()], lines)


def _cells(values: Sequence[float | None], column: _Column) -> list[Cell]:
    """Cells of a column; the best one is marked unless it is bad, too: a spread or a coverage that is off."""
    percent = column.key.startswith("coverage")
    texts = [_percent(value) if percent else format_score(value) for value in values]
    distances = [_distance(value, column.ideal) for value in values]
    least = min(distances)
    winner = distances.index(least)
    best = texts[winner] if math.isfinite(least) and _good(values[winner], column) else None
    return [Cell(text, best=text == best) for text in texts]


def _good(value: float | None, column: _Column) -> bool:
    if column.ideal is None or value is None:
        return True
    low, high = SPREAD_TARGET if column.ideal == 1.0 else (column.ideal - COVERAGE_TOLERANCE, column.ideal + COVERAGE_TOLERANCE)
    return low <= value <= high


def _percent(value: float | None) -> str:
    return DASH if value is None or not math.isfinite(value) else f"{100 * value:.0f} %"


def _distance(value: float | None, ideal: float | None) -> float:
    """How far a score is from the best possible; a ratio below 1 counts like its inverse."""
    if value is None or not math.isfinite(value):
        return math.inf
    if ideal is None:
        return value
    if ideal == 1.0:
        return abs(math.log(value)) if value > 0 else math.inf
    return abs(value - ideal)
