"""What each mechanism of the adaptation is worth: tokens adapted by the benchmark's recipe, and without one mechanism at a time.

    python -m benchmarks.meso_recipe runs/standard/data --out docs/results/meso

Rows learn from the same runs with the same seeds, and are scored on validation simulations. A row that is there is not computed again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.suite import RECIPE
from probtokens.benchmark.cells import compute
from probtokens.benchmark.models import make
from probtokens.benchmark.statistics import Document, by_simulation, quantities, read_cells, summary
from probtokens.config.benchmark import BenchmarkConfig
from probtokens.config.recipe import load_recipe
from probtokens.data.atomic import replacing
from probtokens.evaluate.compare import compare
from probtokens.evaluate.leads import CELLS

#: The recipe itself.
WHOLE = "recipe"

#: Settings of the adaptation as a file has them, to be changed in place.
Settings = dict[str, Any]


def _divergence(factor: float) -> Callable[[Settings], None]:
    def change(meso: Settings) -> None:
        for stage in meso["stages"]:
            stage["kl_weight"] *= factor

    return change


def _without_spread(meso: Settings) -> None:
    means, spread = meso["stages"]
    means["steps"] += spread["steps"]
    meso["stages"] = [means]


def _means(key: str, value: Any) -> Callable[[Settings], None]:
    return lambda meso: meso["stages"][0].update({key: value})


def _twice(meso: Settings) -> None:
    meso["stages"][0]["steps"] *= 2


#: What is changed, by the name of the row.
CHANGES: Mapping[str, Callable[[Settings], None]] = {
    "without replay": lambda meso: meso.update(replay=0),
    "without field weights": _means("field_weights", {}),
    "without shifted patches": _means("shifts", 0),
    "without stage spread (means has its steps)": _without_spread,
    "means with twice the steps": _twice,
    "a quarter of the divergence": _divergence(0.25),
    "four times the divergence": _divergence(4),
}


def settings_of(row: str, data: Path, overrides: tuple[str, ...] = (), recipe: Path = RECIPE) -> BenchmarkConfig:
    """The benchmark's recipe on validation simulations, with the change of a row."""
    settings = load_recipe(BenchmarkConfig, recipe, (f"data={data}", "split=valid", *overrides))
    if row == WHOLE:
        return settings
    document = settings.model_dump(mode="json")
    CHANGES[row](document["meso"])
    return BenchmarkConfig.model_validate(document)


@contextmanager
def _printed(row: str) -> Iterator[Callable[..., None]]:
    def told(done: int, total: int, text: str = "") -> None:
        print(f"{row}: {done}/{total} {text}", flush=True)

    yield told


def run(data: Path, cells: list[str], rows: list[str], folder: Path, overrides: tuple[str, ...] = ()) -> dict[str, list[Document]]:
    """Compute the cells of some rows that are not there yet; gives those of all rows that have theirs."""
    place = {row: folder / row.split(" (")[0].replace(" ", "_") for row in (WHOLE, *CHANGES)}
    for row in rows:
        compute(settings_of(row, data, overrides), cells, place[row], lambda cell, row=row: _printed(f"{row}, {cell}"), make=make)
    found = {row: [cell for cell in read_cells(at / "valid") if _name(cell) in cells] for row, at in place.items() if at.exists()}
    return {row: documents for row, documents in found.items() if len(documents) == len(cells)}


def _name(cell: Document) -> str:
    return "-".join(map(str, cell["cell"].values()))


def table(found: dict[str, list[Document]]) -> str:
    """The rows as a Markdown table, seeds averaged."""
    whole = found[WHOLE]
    every, (model, n, _) = quantities(whole), whole[0]["cell"].values()
    seeds = ", ".join(str(cell["cell"]["seed"]) for cell in whole)
    leads = ", ".join(map(str, whole[0]["leads"]))
    lines = [
        f"Tokens adapted to {n} meso runs, seeds {seeds}, on {len(whole[0]['simulations'])} validation runs, {whole[0]['draws']} draws, "
        f"leads {leads}. Saved is what the recipe has over the row, with 95 % intervals over simulations.",
        "",
        f"| adaptation | RMSE [{every[CELLS][1]}] | CRPS [{every[CELLS][1]}] | spread/skill | 90 % covers | "
        + " | ".join(f"{title}: CRPS saved [%]" for title, _ in every.values())
        + " |",
        "|" + " --- |" * (5 + len(every)),
    ]
    for row, cells in found.items():
        scores = summary(cells)
        error = np.mean([np.sqrt(np.mean(cell["scores"][CELLS]["error_square"])) for cell in cells])
        crps, spread, covers = (np.mean([one[key] for one in scores]) for key in (f"{CELLS}_crps", "spread_skill", f"{CELLS}_coverage_90"))
        saved = ["–" if row == WHOLE else _saved(whole, cells, model, n, name) for name in every]
        lines.append(f"| {row} | {error:.1f} | {crps:.2f} | {spread:.2f} | {covers:.3f} | {' | '.join(saved)} |")
    return "\n".join(lines) + "\n"


def _saved(whole: list[Document], cells: list[Document], model: str, n: int, quantity: str) -> str:
    ours, theirs = (by_simulation(side, model, n, quantity) for side in (whole, cells))
    found = compare(ours, theirs)
    return "{:.0f} ({:.0f} to {:.0f})".format(*(100 * value for value in (found.skill, found.skill_low, found.skill_high)))


def reduced(cells: list[Document]) -> Document:
    """Pooled scores of a row, its CRPS by simulation, and how they were made."""
    model, n, _ = cells[0]["cell"].values()
    kept = ("cell", "trained_on", "training_minutes", "settings", "version", "versions", "hardware")
    crps = {name: [float(f"{value:.5g}") for value in by_simulation(cells, model, n, name)] for name in quantities(cells)}
    return {
        "simulations": cells[0]["simulations"],
        "leads": cells[0]["leads"],
        "draws": cells[0]["draws"],
        "scores": summary(cells),
        "crps": crps,
        "cells": [{key: cell[key] for key in kept} for cell in cells],
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with meso/ and micro/")
    parser.add_argument("--cell", dest="cells", action="append", help="cells of tokens, such as tokens-4-1; tokens-4-0 by default")
    parser.add_argument("--row", dest="rows", action="append", choices=tuple(CHANGES), help="only these beside the recipe; all by default")
    parser.add_argument("--set", dest="overrides", action="append", default=[], help="another value of the recipe, as key=value")
    parser.add_argument("--folder", type=Path, default=Path("runs/meso_recipe"), help="checkpoints and cells")
    parser.add_argument("--out", type=Path, default=Path("docs/results/meso"), help="where the numbers and their table go")
    args = parser.parse_args()
    rows = list(dict.fromkeys((WHOLE, *(args.rows or CHANGES))))
    found = run(args.data, args.cells or ["tokens-4-0"], rows, args.folder, tuple(args.overrides))
    numbers = {row: reduced(documents) for row, documents in found.items()}
    args.out.mkdir(parents=True, exist_ok=True)
    for name, text in {"adaptation.json": json.dumps(numbers) + "\n", "adaptation.md": table(found)}.items():
        with replacing(args.out / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    print(table(found))


if __name__ == "__main__":
    main()
