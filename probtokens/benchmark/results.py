"""The page of what the cells of a benchmark say, with its learning curves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import LogLocator, NullLocator

from probtokens.benchmark.statistics import Document, Side, by_simulation, quantities, read_cells, scores_of, title_of
from probtokens.benchmark.tables import parts, shift_table
from probtokens.config.benchmark import CoreHours
from probtokens.data.atomic import replacing

#: What :func:`write_results` writes.
_PAGE = """# Benchmark

Every model forecasts the same $simulations simulations with $draws draws, before recalibration. Scores are of leads $leads.
Processors: $processors.

![CRPS over the number of meso simulations](learning_curves.png)

$short_table

Where the other model of a [comparison](#comparisons) has the lower CRPS:

$lost

## What meso simulations add

Errors of adapted tokens over those of micro tokens as they are; single seeds in brackets.

$gain

## After recalibration

Spread times a factor by lead that validation simulations tell.

$recalibrated

## Comparisons

$endpoints

## Data equivalence

Meso simulations that another model needs for the same CRPS, with 95 % intervals over simulations. Nothing is extrapolated.

$equivalences

## All cells

$table

## By lead

CRPS, seeds averaged, deterministic models with their errors:

$crps_by_lead

Spread/skill, then the share of truths that 90 % intervals cover, seeds averaged.

$leads_tables
"""

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


def write_results(
    cells: Sequence[Document], endpoints: Sequence[tuple[Side, Side]], folder: Path, core_hours: CoreHours | None = None
) -> Path:
    """Write ``results.md`` and ``learning_curves.png`` to a folder; gives the former."""
    page = folder / "results.md"
    with replacing(page) as temporary:
        temporary.write_text(Template(_PAGE).substitute(parts(cells, endpoints, core_hours)), encoding="utf-8")
    draw_learning_curves(cells, folder / "learning_curves.png")
    return page


def write_shifts(out: Path) -> None:
    """Write ``shifts.md`` to the folder of a benchmark: all shifted test sets whose cells are there side by side."""
    names = sorted(path.name for path in out.iterdir() if path.is_dir() and path.name not in ("valid", "test", "training"))
    with replacing(out / "shifts.md") as temporary:
        temporary.write_text(f"# Shifted test sets\n\n{shift_table({name: read_cells(out / name) for name in names})}\n", encoding="utf-8")


def draw_learning_curves(cells: Sequence[Document], picture: Path) -> None:
    """Save the figure of :func:`learning_curves`."""
    figure = learning_curves(cells)
    picture.parent.mkdir(parents=True, exist_ok=True)
    with replacing(picture) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
    plt.close(figure)


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
                    kind = scores_of(cell)
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
