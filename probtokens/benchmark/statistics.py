"""What the cells of a benchmark say in numbers: pooled scores, comparisons that were written down before, equivalences."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import spearmanr

from probtokens.config.benchmark import CoreHours
from probtokens.evaluate.compare import Comparison, compare
from probtokens.evaluate.equivalence import DataEquivalence, data_equivalence
from probtokens.evaluate.leads import CELLS

Document = dict[str, Any]

#: A model and its number of meso simulations.
Side = tuple[str, int]

#: Scores after what validation simulations tell of a model's errors or spread.
ADJUSTED = ("with_errors", "recalibrated")

#: Models that begin from trained micro tokens, and others that learn from the micro simulations first.
_OF_TOKENS, _OF_MICRO = ("tokens", "micro_tokens", "twin"), ("parc_pretrained", "mld")

#: Units of cells that do not tell theirs.
_UNITS = {CELLS: "K", "area": "µm²", "temperature": "K"}

TITLES = {
    "tokens": "meso tokens",
    "micro_tokens": "micro tokens as they are",
    "twin": "deterministic twin",
    "parc": "PARC",
    "parc_half": "PARC, half the steps",
    "parc_ensemble": "mean of four PARC",
    "parc_pretrained": "PARC, micro data first",
    "parc_literal": "PARC, as published",
    "mld": "MLD, micro data first",
    "scratch": "tokens without micro data",
    "persistence": "persistence",
}


def read_cells(folder: Path) -> list[Document]:
    """All cells of a split, by model, number and seed."""
    found = [json.loads(path.read_text(encoding="ascii")) for path in folder.glob("*.json")]
    known = list(TITLES)

    def place(cell: Document) -> tuple[int, str, int, int]:
        model, n, seed = cell["cell"].values()
        return known.index(model) if model in known else len(known), model, n, seed

    return sorted(found, key=place)


def quantities(cells: Sequence[Document]) -> dict[str, tuple[str, str]]:
    """Scored quantities: their names in the files to what they are called, and the unit."""
    names, units = list(cells[0]["scores"]), cells[0].get("units", _UNITS)
    field = next(name for name in names if name not in (CELLS, "area"))
    return {name: (field if name == CELLS else f"hot-spot {name}", units[name]) for name in names}


def title_of(model: str) -> str:
    """What a model is called; own ones by their names."""
    return TITLES.get(model, model)


def summary(cells: Sequence[Document]) -> list[dict[str, Any]]:
    """Scores of every cell over all leads and simulations; errors relative to persistence where it is there.

    With what validation simulations tell, a model has a second row: ``adjusted`` is then ``with_errors``, an ensemble that a deterministic
    one's errors have made, or ``recalibrated``.
    """
    still = next((np.mean(cell["scores"][CELLS]["error_square"]) for cell in cells if cell["cell"]["model"] == "persistence"), np.nan)
    rows = []
    for cell in cells:
        for kind in ("scores", *ADJUSTED):
            if kind in cell:
                row = {**cell["cell"], "adjusted": kind if kind in ADJUSTED else "", **_pooled(cell[kind], float(still))}
                rows.append(row | {"training_minutes": cell["training_minutes"]})
    return rows


def _pooled(scores: dict[str, dict[str, Any]], still: float) -> dict[str, float]:
    """Scores over all leads and simulations; ``still`` is the squared error of persistence."""
    field = scores[CELLS]
    error = np.mean(field["error_square"])
    found = {"rmse": float(np.sqrt(error)), "rmse_over_persistence": float(np.sqrt(error / still))}
    found |= {f"{name}_crps": float(np.mean(scores[name]["crps"])) for name in scores}
    if "spread_square" in field:
        found["spread_skill"] = float(np.sqrt(np.mean(field["spread_square"]) / error))
        found |= {f"{name}_coverage_90": float(np.mean(scores[name]["coverage_90"])) for name in scores}
    return found


def scores_of(cell: Document) -> dict[str, Any]:
    """Scores of a cell; of a deterministic model with its errors, where known."""
    found: dict[str, Any] = cell["with_errors"] if "with_errors" in cell else cell["scores"]
    return found


def by_simulation(cells: Sequence[Document], model: str, n: int, quantity: str) -> np.ndarray | None:
    """CRPS of every simulation, averaged over leads and seeds, (simulation,); of a deterministic model with its errors, where known.

    Raises
    ------
    ValueError
        If a cell scores other simulations than the first one.
    """
    chosen = [cell for cell in cells if (cell["cell"]["model"], cell["cell"]["n"]) == (model, n)]
    for cell in chosen:
        if cell["simulations"] != cells[0]["simulations"]:
            raise ValueError(f"cell {cell['cell']}: expected the simulations {cells[0]['simulations']}, got {cell['simulations']}")
    found = [np.mean(scores_of(cell)[quantity]["crps"], axis=1) for cell in chosen]
    return np.mean(found, axis=0) if found else None


def by_lead(cells: Sequence[Document], side: Side, quantity: str) -> np.ndarray | None:
    """CRPS of every lead, averaged over simulations and seeds, (lead,); of a deterministic model with its errors, where known."""
    found = [np.mean(scores_of(cell)[quantity]["crps"], axis=0) for cell in cells if (cell["cell"]["model"], cell["cell"]["n"]) == side]
    return np.mean(found, axis=0) if found else None


def lost(cells: Sequence[Document], endpoints: Sequence[tuple[Side, Side]]) -> list[tuple[Side, Side, str, list[int]]]:
    """Where the references of endpoints have the lower CRPS: reference, model, quantity and leads; only where there are any."""
    found = []
    for ours, theirs in endpoints:
        for quantity in quantities(cells):
            mine, other = by_lead(cells, ours, quantity), by_lead(cells, theirs, quantity)
            if mine is None or other is None:
                continue
            if leads := [lead for lead, less in zip(cells[0]["leads"], other < mine, strict=True) if less]:
                found.append((theirs, ours, quantity, leads))
    return found


def comparisons(cells: Sequence[Document], endpoints: Sequence[tuple[Side, Side]]) -> list[tuple[Side, Side, str, Comparison, float]]:
    """Endpoints whose cells are there: model, reference, quantity, comparison, p-value corrected by Holm's method over all of them."""
    found = []
    for ours, theirs in endpoints:
        for quantity in quantities(cells):
            mine, other = by_simulation(cells, *ours, quantity), by_simulation(cells, *theirs, quantity)
            if mine is not None and other is not None:
                found.append((ours, theirs, quantity, compare(mine, other)))
    corrected = holm([row[3].p_value for row in found], of=len(endpoints) * len(quantities(cells)))
    return [(*row, p_value) for row, p_value in zip(found, corrected, strict=True)]


def holm(p_values: Sequence[float], of: int) -> list[float]:
    """P-values of some of ``of`` tests, corrected for all of them (Holm, Scand. J. Statist. 6, 1979); those not made count as 1."""
    corrected, least = np.zeros(len(p_values)), 0.0
    for rank, place in enumerate(np.argsort(p_values)):
        least = max(least, min(1.0, (of - rank) * p_values[place]))
        corrected[place] = least
    return corrected.tolist()


class Equivalence(NamedTuple):
    """What a reference needs to be as good as a model in one quantity."""

    ours: Side
    reference: str
    quantity: str
    meso_runs: DataEquivalence
    hours: float | None
    reference_hours: float | None
    beyond: bool


def equivalences(
    cells: Sequence[Document], endpoints: Sequence[tuple[Side, Side]], core_hours: CoreHours | None = None
) -> list[Equivalence]:
    """Meso simulations, and core-hours, that references of endpoints need for the CRPS of a model; see :func:`data_equivalence`.

    Core-hours are of simulations and training. Those of the micro set count for every model that begins from it; ``beyond`` says that the
    reference is worse with all that it was given, so that its core-hours are a bound from below.
    """
    found = []
    for ours, reference in dict.fromkeys((ours, theirs[0]) for ours, theirs in endpoints if ours[0] != theirs[0]):
        numbers = sorted({cell["cell"]["n"] for cell in cells if cell["cell"]["model"] == reference and cell["cell"]["n"]})
        for quantity in quantities(cells):
            mine = by_simulation(cells, *ours, quantity)
            if mine is None or not numbers:
                continue
            curve = {n: score for n in numbers if (score := by_simulation(cells, reference, n, quantity)) is not None}
            needed = data_equivalence(mine, curve)
            hours = theirs_hours = None
            if core_hours is not None:
                hours = _hours(cells, ours, core_hours)
                theirs_hours = float(np.interp(needed.n, numbers, [_hours(cells, (reference, n), core_hours) for n in numbers]))
            found.append(Equivalence(ours, reference, quantity, needed, hours, theirs_hours, bool(np.isinf(needed.n))))
    return found


def _hours(cells: Sequence[Document], side: Side, core_hours: CoreHours) -> float:
    """Core-hours of a model with its simulations, seeds averaged."""
    model, n = side
    chosen = [cell for cell in cells if (cell["cell"]["model"], cell["cell"]["n"]) == side]
    trained = np.mean([(cell["training_minutes"] + cell.get("shared_minutes", 0.0)) * int(cell["hardware"]["cores"]) for cell in chosen])
    before = core_hours.micro * (model in _OF_TOKENS + _OF_MICRO) + core_hours.tokens * (model in _OF_TOKENS)
    return float(before + n * core_hours.meso + trained / 60)


def error_and_spread(cells: Sequence[Document], side: Side) -> tuple[np.ndarray, np.ndarray] | None:
    """Root mean squared error and spread of cells, over leads and seeds, each (simulation,); none of deterministic models."""
    chosen = [cell["scores"][CELLS] for cell in cells if (cell["cell"]["model"], cell["cell"]["n"]) == side]
    if not chosen or "spread_square" not in chosen[0]:
        return None
    keys = ("error_square", "spread_square")
    error, spread = (np.sqrt(np.mean([np.mean(table[key], axis=1) for table in chosen], axis=0)) for key in keys)
    return error, spread


def rank_correlation(sets: Sequence[Sequence[Document]], side: Side) -> tuple[float, int] | None:
    """Spearman's correlation of spread and error over the simulations of several sets, and their number."""
    found = [pair for cells in sets if (pair := error_and_spread(cells, side)) is not None]
    if not found:
        return None
    error, spread = (np.concatenate(part) for part in zip(*found, strict=True))
    return float(spearmanr(spread, error).statistic), len(error)
