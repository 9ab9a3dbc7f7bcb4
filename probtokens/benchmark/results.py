"""What the cells of a benchmark say: tables, comparisons that were written down before, learning curves."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import LogLocator, NullLocator

from probtokens.data.atomic import replacing
from probtokens.evaluate.compare import Comparison, compare
from probtokens.evaluate.leads import CELLS

Document = dict[str, Any]

#: A model and its number of meso simulations.
Side = tuple[str, int]

#: What :func:`write_results` writes.
_PAGE = """# Benchmark

Every model forecasts the same $simulations simulations with $draws draws, before recalibration. Scores are of leads $leads.
Processors: $processors.

![CRPS over the number of meso simulations](learning_curves.png)

$short_table

## Comparisons

$endpoints

## All cells

$table

## By lead

CRPS, seeds averaged, deterministic models with their errors:

$crps_by_lead

Spread/skill, then the share of truths that 90 % intervals cover, seeds averaged.

$leads_tables
"""

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
_COLOURS = {
    "tokens": "C0",
    "micro_tokens": "C7",
    "twin": "C2",
    "scratch": "C5",
    "parc": "C1",
    "parc_ensemble": "C8",
    "parc_pretrained": "C3",
    "mld": "C4",
    "persistence": "black",
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

    A deterministic model has a second row, ``with_errors``, where its errors have made an ensemble of it.
    """
    still = next((np.mean(cell["scores"][CELLS]["error_square"]) for cell in cells if cell["cell"]["model"] == "persistence"), np.nan)
    rows = []
    for cell in cells:
        for kind in ("scores", "with_errors"):
            if kind in cell:
                row = {**cell["cell"], "with_errors": kind == "with_errors", **_pooled(cell[kind], float(still))}
                rows.append(row | {"training_minutes": cell["training_minutes"]})
    return rows


def _pooled(scores: dict[str, dict[str, Any]], still: float) -> dict[str, float]:
    """Scores over all leads and simulations; ``still`` is the squared error of persistence."""
    field = scores[CELLS]
    error = np.mean(field["error_square"])
    found = {"rmse_over_persistence": float(np.sqrt(error / still))}
    found |= {f"{name}_crps": float(np.mean(scores[name]["crps"])) for name in scores}
    if "spread_square" in field:
        found["spread_skill"] = float(np.sqrt(np.mean(field["spread_square"]) / error))
        found |= {f"{name}_coverage_90": float(np.mean(scores[name]["coverage_90"])) for name in scores}
    return found


def _scores(cell: Document) -> dict[str, Any]:
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
    found = [np.mean(_scores(cell)[quantity]["crps"], axis=1) for cell in chosen]
    return np.mean(found, axis=0) if found else None


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


def convergence(cells: Sequence[Document]) -> str:
    """Errors of PARC with all of its steps and with half of them, in cells of validation simulations."""
    every = quantities(cells)
    field, unit = every[CELLS]
    errors = [f"absolute error, {title} [{unit}]" for title, unit in every.values()]
    lines = [f"| model | N | seed | RMSE of {field} [{unit}] | {' | '.join(errors)} |", f"|{' --- |' * (len(errors) + 4)}"]
    for cell in cells:
        model, n, seed = cell["cell"].values()
        if model in ("parc", "parc_half"):
            error = np.sqrt(np.mean(cell["scores"][CELLS]["error_square"]))
            absolute = [f"{np.mean(cell['scores'][name]['crps']):.3g}" for name in every]
            lines.append(f"| {title_of(model)} | {n} | {seed} | {error:.3g} | {' | '.join(absolute)} |")
    return "\n".join(lines)


def parts(cells: Sequence[Document], endpoints: Sequence[tuple[Side, Side]]) -> dict[str, str]:
    """Tables and facts that a page is made of, by name."""
    first = cells[0]
    return {
        "short_table": short_table(cells),
        "table": _table(cells),
        "crps_by_lead": _crps_by_lead(cells),
        "leads_tables": "\n\n".join(
            f"{title[0].upper() + title[1:]}:\n\n{_leads_table(cells, name)}" for name, (title, _) in quantities(cells).items()
        ),
        "endpoints": _endpoints(cells, endpoints),
        "simulations": str(len(first["simulations"])),
        "draws": str(first["draws"]),
        "leads": ", ".join(map(str, first["leads"])),
        "processors": "; ".join(sorted({cell["hardware"]["instructions"] for cell in cells})),
    }


def write_results(cells: Sequence[Document], endpoints: Sequence[tuple[Side, Side]], folder: Path) -> Path:
    """Write ``results.md`` and ``learning_curves.png`` to a folder; gives the former."""
    page = folder / "results.md"
    with replacing(page) as temporary:
        temporary.write_text(Template(_PAGE).substitute(parts(cells, endpoints)), encoding="utf-8")
    draw_learning_curves(cells, folder / "learning_curves.png")
    return page


def draw_learning_curves(cells: Sequence[Document], picture: Path) -> None:
    """Save the figure of :func:`learning_curves`."""
    figure = learning_curves(cells)
    picture.parent.mkdir(parents=True, exist_ok=True)
    with replacing(picture) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
    plt.close(figure)


def short_table(cells: Sequence[Document]) -> str:
    """A row for every model and number of meso simulations, seeds averaged; deterministic models with their errors, where known."""
    groups: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in summary(cells):
        if "spread_skill" in row:
            groups.setdefault((row["model"], row["n"]), []).append(row)
    every = quantities(cells)
    lines = _head("model", "meso runs", "seeds", *_titles(every))
    for (model, n), rows in groups.items():
        mean = {key: float(np.mean([row[key] for row in rows])) for key in rows[0] if key not in ("model", "with_errors")}
        lines.append(f"| {' | '.join([title_of(model), str(n), str(len(rows)), *_columns(mean, every, 2)])} |")
    return "\n".join(lines)


def _table(cells: Sequence[Document]) -> str:
    every = quantities(cells)
    lines = _head("model", "N", "seed", *_titles(every), "training [min]")
    for row in summary(cells):
        title = title_of(row["model"]) + (" with errors" if row["with_errors"] else "")
        columns = [title, str(row["n"]), str(row["seed"]), *_columns(row, every, 3), f"{row['training_minutes']:.0f}"]
        lines.append(f"| {' | '.join(columns)} |")
    return "\n".join(lines)


def _head(*columns: str) -> list[str]:
    return [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]


def _titles(every: dict[str, tuple[str, str]]) -> list[str]:
    """Columns of scores that tables of the page share."""
    hot = [f"{title} CRPS [{unit}], 90 % covers" for name, (title, unit) in every.items() if name != CELLS]
    return ["RMSE / persistence", f"CRPS [{every[CELLS][1]}]", "spread/skill", "90 % covers", *hot]


def _columns(row: dict[str, Any], every: dict[str, tuple[str, str]], digits: int) -> list[str]:
    """Cells of a row below :func:`_titles`; hot spots with so many digits, and a dash for what a deterministic model has not."""
    ensemble = "spread_skill" in row
    covered = {name: f"{row[f'{name}_coverage_90']:.2f}" if ensemble else "–" for name in every}
    spread = f"{row['spread_skill']:.2f}" if ensemble else "–"
    columns = [f"{row['rmse_over_persistence']:.3f}", _digits(row[f"{CELLS}_crps"], 3), spread, covered[CELLS]]
    return columns + [f"{_digits(row[f'{name}_crps'], digits)}, {covered[name]}" for name in every if name != CELLS]


def _digits(value: float, count: int) -> str:
    """So many digits of a number, without a power of ten below a million."""
    return f"{float(f'{value:.{count}g}'):g}"


def _groups(cells: Sequence[Document], *, ensembles: bool) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """Scores of all seeds by model and N: those of ensembles as they are, or of all models, deterministic ones with their errors."""
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for cell in cells:
        scores = cell["scores"] if ensembles else _scores(cell)
        if not ensembles or "spread_square" in scores[CELLS]:
            found.setdefault((cell["cell"]["model"], cell["cell"]["n"]), []).append(scores)
    return found


def _by_lead(cells: Sequence[Document], rows: dict[tuple[str, int], list[str]]) -> str:
    leads = cells[0]["leads"]
    lines = [f"| model | N | {' | '.join(f'lead {lead}' for lead in leads)} |", f"|{' --- |' * (len(leads) + 2)}"]
    return "\n".join([*lines, *(f"| {title_of(model)} | {n} | {' | '.join(columns)} |" for (model, n), columns in rows.items())])


def _crps_by_lead(cells: Sequence[Document]) -> str:
    """CRPS of temperature by lead, seeds averaged."""
    groups = _groups(cells, ensembles=False)
    crps = {key: np.mean([np.mean(scores[CELLS]["crps"], axis=0) for scores in found], axis=0) for key, found in groups.items()}
    return _by_lead(cells, {key: [f"{value:.3g}" for value in values] for key, values in crps.items()})


def _leads_table(cells: Sequence[Document], quantity: str) -> str:
    """Spread over error and coverage by lead, seeds averaged."""
    rows = {}
    for key, found in _groups(cells, ensembles=True).items():
        spread, error, covered = (
            np.mean([np.mean(scores[quantity][name], axis=0) for scores in found], axis=0)
            for name in ("spread_square", "error_square", "coverage_90")
        )
        ratios = np.sqrt(np.divide(spread, error, out=np.full_like(error, np.nan), where=error > 0))  # of what is never there
        rows[key] = [f"{ratio:.2f}, {share:.2f}" for ratio, share in zip(ratios, covered, strict=True)]
    return _by_lead(cells, rows)


def _endpoints(cells: Sequence[Document], endpoints: Sequence[tuple[Side, Side]]) -> str:
    every = quantities(cells)
    lines = ["| model | against | quantity | CRPS skill | 95 % interval | p, Holm |", "| --- | --- | --- | --- | --- | --- |"]
    for (model, n), (other, m), quantity, found, p_value in comparisons(cells, endpoints):
        names = f"| {title_of(model)}, N = {n} | {title_of(other)}, N = {m} | {every[quantity][0]}"
        p_text = f"{p_value:.4f}" if p_value >= 1e-4 else "< 0.0001"
        lines.append(f"{names} | {found.skill:.2f} | {found.skill_low:.2f} to {found.skill_high:.2f} | {p_text} |")
    made = {pair[:2] for pair in comparisons(cells, endpoints)}
    missing = [
        f"{title_of(ours[0])}, N = {ours[1]}, against {title_of(theirs[0])}, N = {theirs[1]}"
        for ours, theirs in endpoints
        if (ours, theirs) not in made
    ]
    return "\n".join([*lines, "", f"Not computed yet: {'; '.join(missing) or 'none'}."])


def learning_curves(cells: Sequence[Document]) -> Any:
    """CRPS over the number of meso simulations, with 95 % intervals over test simulations; a point for every seed."""
    every = quantities(cells)
    figure, axes = plt.subplots(1, len(every), figsize=(11, 3.8), layout="constrained")
    numbers = sorted({cell["cell"]["n"] for cell in cells})
    place = {n: at for at, n in enumerate(numbers)}
    for axis, (quantity, (title, unit)) in zip(axes, every.items(), strict=True):
        for model in dict.fromkeys(cell["cell"]["model"] for cell in cells):
            label, colour = title_of(model), _COLOURS.get(model, "C6")
            if model == "persistence":
                continue  # far above all others
            known = {n: score for n in numbers if (score := by_simulation(cells, model, n, quantity)) is not None}
            scores = list(known.values())
            if model == "micro_tokens":
                axis.axhline(scores[0].mean(), color=colour, linestyle=":", label=label)
                continue
            low, high = np.array([_interval(score) for score in scores]).T
            middle = np.array([score.mean() for score in scores])
            at = [place[n] for n in known]
            axis.errorbar(at, middle, [middle - low, high - middle], color=colour, marker="o", capsize=3, label=label)
            for cell in cells:
                if cell["cell"]["model"] == model:
                    kind = _scores(cell)
                    axis.plot(place[cell["cell"]["n"]], np.mean(kind[quantity]["crps"]), ".", color=colour, alpha=0.5, zorder=3)
        axis.set_xticks(range(len(numbers)), [str(n) for n in numbers])
        axis.set(xlabel="meso simulations to learn from", ylabel=f"CRPS of {title} [{unit}]", yscale="log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_locator(NullLocator())
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
    return figure


def _interval(values: np.ndarray) -> tuple[float, float]:
    """Bootstrap interval of the mean over simulations."""
    rows = np.random.default_rng(0).integers(len(values), size=(2000, len(values)))
    low, high = np.quantile(values[rows].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)
