"""What the cells of a benchmark say, as Markdown tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from probtokens.benchmark.statistics import (
    Document,
    Equivalence,
    Side,
    by_lead,
    comparisons,
    equivalences,
    lost,
    quantities,
    rank_correlation,
    summary,
    title_of,
)
from probtokens.config.benchmark import CoreHours
from probtokens.evaluate.leads import CELLS

#: What rows of :func:`summary` are told as beside the name of the model.
_LABELS = {"": "", "with_errors": " with errors", "recalibrated": " recalibrated"}


def parts(cells: Sequence[Document], endpoints: Sequence[tuple[Side, Side]], core_hours: CoreHours | None = None) -> dict[str, str]:
    """Tables and facts that a page is made of, by name."""
    first = cells[0]
    return {
        "short_table": short_table(cells),
        "table": _table(cells),
        "crps_by_lead": _crps_by_lead(cells),
        "leads_tables": "\n\n".join(
            f"{title[0].upper() + title[1:]}:\n\n{_leads_table(cells, name)}" for name, (title, _) in quantities(cells).items()
        ),
        "recalibrated": _mean_table(cells, "recalibrated") or "No cell was recalibrated.",
        "endpoints": _endpoints(cells, endpoints),
        "lost": _lost(cells, endpoints),
        "gain": _gain(cells),
        "equivalences": _equivalences(cells, equivalences(cells, endpoints, core_hours)),
        "simulations": str(len(first["simulations"])),
        "draws": str(first["draws"]),
        "leads": ", ".join(map(str, first["leads"])),
        "processors": "; ".join(sorted({cell["hardware"]["instructions"] for cell in cells})),
    }


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


def short_table(cells: Sequence[Document]) -> str:
    """A row for every model and number of meso simulations, seeds averaged; deterministic models with their errors, where known."""
    return _mean_table(cells, "", "with_errors")


def _mean_table(cells: Sequence[Document], *kinds: str) -> str:
    """A row for every model and number of meso simulations that is an ensemble, of scores of some kinds; empty without any."""
    groups: dict[Side, list[dict[str, Any]]] = {}
    for row in summary(cells):
        if "spread_skill" in row and row["adjusted"] in kinds:
            groups.setdefault((row["model"], row["n"]), []).append(row)
    if not groups:
        return ""
    every = quantities(cells)
    lines = _head("model", "meso runs", "seeds", *_titles(every))
    for (model, n), rows in groups.items():
        mean = {key: float(np.mean([row[key] for row in rows])) for key in rows[0] if key not in ("model", "adjusted")}
        lines.append(f"| {' | '.join([title_of(model), str(n), str(len(rows)), *_columns(mean, every, 2)])} |")
    return "\n".join(lines)


def shift_table(sets: Mapping[str, Sequence[Document]]) -> str:
    """A row for every set, model and number of meso simulations that is an ensemble; below, whether spread grows where error does."""
    lines: list[str] = []
    sides: dict[Side, None] = {}
    for name, cells in sets.items():
        if not (found := _mean_table(cells, "")):
            continue
        head, rule, *rows = found.splitlines()
        lines = lines or [f"| set {head}", f"| --- {rule}"]
        lines += [f"| {name.replace('_', ' ')} {row}" for row in rows]
        sides |= dict.fromkeys((cell["cell"]["model"], cell["cell"]["n"]) for cell in cells)
    told = []
    for side in sides:
        if (known := rank_correlation(list(sets.values()), side)) is not None:
            told.append(f"{known[0]:.2f} for {title_of(side[0])}, N = {side[1]}, over {known[1]} simulations")
    if not told:
        return "No model is an ensemble."
    return "\n".join([*lines, "", f"Spearman's correlation of spread and error: {'; '.join(told)}."])


def _table(cells: Sequence[Document]) -> str:
    every = quantities(cells)
    lines = _head("model", "N", "seed", *_titles(every), "training [min]")
    for row in summary(cells):
        title = title_of(row["model"]) + _LABELS[row["adjusted"]]
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
    """Cells of a row below :func:`_titles`; hot spots with so many digits, and a dash for what there is not."""
    ensemble = "spread_skill" in row
    covered = {name: f"{row[f'{name}_coverage_90']:.2f}" if ensemble else "–" for name in every}
    spread = f"{row['spread_skill']:.2f}" if ensemble else "–"
    ratio = row["rmse_over_persistence"]  # unknown without a cell of persistence
    columns = ["–" if np.isnan(ratio) else f"{ratio:.3f}", _digits(row[f"{CELLS}_crps"], 3), spread, covered[CELLS]]
    return columns + [f"{_digits(row[f'{name}_crps'], digits)}, {covered[name]}" for name in every if name != CELLS]


def _digits(value: float, count: int) -> str:
    """So many digits of a number, without a power of ten below a million."""
    return f"{float(f'{value:.{count}g}'):g}"


def _ensembles(cells: Sequence[Document]) -> dict[tuple[str, int], list[dict[str, Any]]]:
    """Scores of all seeds of ensembles, by model and N."""
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for cell in cells:
        if "spread_square" in cell["scores"][CELLS]:
            found.setdefault((cell["cell"]["model"], cell["cell"]["n"]), []).append(cell["scores"])
    return found


def _by_lead(cells: Sequence[Document], rows: dict[tuple[str, int], list[str]]) -> str:
    leads = cells[0]["leads"]
    lines = [f"| model | N | {' | '.join(f'lead {lead}' for lead in leads)} |", f"|{' --- |' * (len(leads) + 2)}"]
    return "\n".join([*lines, *(f"| {title_of(model)} | {n} | {' | '.join(columns)} |" for (model, n), columns in rows.items())])


def _crps_by_lead(cells: Sequence[Document]) -> str:
    """CRPS of temperature by lead, seeds averaged."""
    sides = dict.fromkeys((cell["cell"]["model"], cell["cell"]["n"]) for cell in cells)
    crps = {side: by_lead(cells, side, CELLS) for side in sides}
    return _by_lead(cells, {side: [f"{value:.3g}" for value in values] for side, values in crps.items() if values is not None})


def _leads_table(cells: Sequence[Document], quantity: str) -> str:
    """Spread over error and coverage by lead, seeds averaged."""
    rows = {}
    for key, found in _ensembles(cells).items():
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


def _gain(cells: Sequence[Document]) -> str:
    """What meso simulations make of micro tokens: errors relative to theirs, seed by seed."""
    rows = [row for row in summary(cells) if not row["adjusted"]]
    before = next((row for row in rows if row["model"] == "micro_tokens"), None)
    if before is None:
        return "There is no cell of micro tokens as they are."
    every = quantities(cells)
    titles = {f"{name}_crps": f"CRPS, {title}" for name, (title, _) in every.items()}
    columns = {"rmse": f"RMSE, {every[CELLS][0]}"} | titles
    lines = _head("meso runs", *columns.values())
    adapted: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        if row["model"] == "tokens":
            adapted.setdefault(row["n"], []).append(row)
    for n, seeds in adapted.items():
        ratios = {key: [row[key] / before[key] for row in seeds] for key in columns}
        told = [f"{np.mean(each):.2f}" + f" ({', '.join(f'{one:.2f}' for one in each)})" * (len(each) > 1) for each in ratios.values()]
        lines.append(f"| {n} | {' | '.join(told)} |")
    return "\n".join(lines)


def _lost(cells: Sequence[Document], endpoints: Sequence[tuple[Side, Side]]) -> str:
    every = quantities(cells)
    found: dict[tuple[Side, Side], list[str]] = {}
    for theirs, ours, quantity, leads in lost(cells, endpoints):
        at = "all leads" if leads == cells[0]["leads"] else f"lead{'s' * (len(leads) > 1)} {', '.join(map(str, leads))}"
        found.setdefault((theirs, ours), []).append(f"{every[quantity][0]} at {at}")
    lines = [
        f"- {title_of(other)}, N = {m}, against {title_of(model)}, N = {n}: {'; '.join(where)}."
        for ((other, m), (model, n)), where in found.items()
    ]
    return "\n".join(lines) or "- Nowhere."


def _equivalences(cells: Sequence[Document], found: Sequence[Equivalence]) -> str:
    every = quantities(cells)
    hours = any(one.hours is not None for one in found)
    lines = _head("model", "as good as", "quantity", "meso runs it needs", *(["core-hours, model", "core-hours, other"] if hours else []))
    for one in found:
        (model, n), bound = one.ours, "> " if one.beyond else ""
        columns = [f"{title_of(model)}, N = {n}", title_of(one.reference), every[one.quantity][0], str(one.meso_runs)]
        columns += [] if one.hours is None else [f"{one.hours:.3g}", f"{bound}{one.reference_hours:.3g}"]
        lines.append(f"| {' | '.join(columns)} |")
    return "\n".join(lines) if found else "There is nothing to compare yet."
