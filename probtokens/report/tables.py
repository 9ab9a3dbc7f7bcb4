"""The score tables of the report: which score of which model, formatted, the best in each column marked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from probtokens.fields import FieldSpec
from probtokens.report.style import model_label, with_unit
from probtokens.report.wording import Wording

DASH = "–"
_LEVELS = (50, 90)


@dataclass(frozen=True)
class Cell:
    """One formatted score."""

    text: str
    best: bool = False


@dataclass(frozen=True)
class ScoreTable:
    """Column groups (title, headers) and one line for each model: label, number of meso simulations, cells by group."""

    groups: list[tuple[str, list[str]]]
    lines: list[tuple[str, str, list[list[Cell]]]]


@dataclass(frozen=True)
class _Column:
    header: str
    key: str
    ideal: float | None = None


def score_tables(document: Mapping[str, Any], specs: Sequence[FieldSpec], *, uncalibrated: bool = False) -> list[ScoreTable]:
    """Tables of all fields and hot-spot curves, three column groups each, hot spots and their field first.

    Parameters
    ----------
    document
        Content of ``scores.json``.
    specs
        Fields in order of display.
    uncalibrated
        Whether to show the scores before recalibration.
    """
    models = {name: {**entry, **(entry.get("uncalibrated", {}) if uncalibrated else {})} for name, entry in document["models"].items()}
    wording = Wording.of(document)
    ordered = sorted(specs, key=lambda spec: spec.name != wording.hotspot.field)
    quantities = [(with_unit(spec.label, spec.unit), ("fields", spec.name)) for spec in ordered]
    quantities[1:1] = [(with_unit(label, wording.units[name]), ("hotspot", name)) for name, label in wording.curves.items()]
    return [_table(models, quantities[start : start + 3]) for start in range(0, len(quantities), 3)]


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


def _table(models: Mapping[str, Any], quantities: Sequence[tuple[str, tuple[str, str]]]) -> ScoreTable:
    blocks = []
    for _, (section, name) in quantities:
        entries = [entry[section].get(name, {}) for entry in models.values()]
        columns = [_cells([entry.get(column.key) for entry in entries], column) for column in _columns()]
        blocks.append([list(cells) for cells in zip(*columns, strict=True)])
    headers = [column.header for column in _columns()]
    lines = [
        (model_label(name), DASH if entry["n_meso"] is None else str(entry["n_meso"]), [block[i] for block in blocks])
        for i, (name, entry) in enumerate(models.items())
    ]
    return ScoreTable([(title, headers) for title, _ in quantities], lines)


def _cells(values: Sequence[float | None], column: _Column) -> list[Cell]:
    percent = column.key.startswith("coverage")
    texts = [_percent(value) if percent else format_score(value) for value in values]
    distances = [_distance(value, column.ideal) for value in values]
    least = min(distances)
    winner = texts[distances.index(least)] if math.isfinite(least) else None
    return [Cell(text, best=text == winner) for text in texts]


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
