"""The page of meso results, from the committed cells of ``examples/benchmark.yaml``.

probtokens benchmark examples/benchmark.yaml --out benchmarks/results/suite
python -m benchmarks.suite
"""

from __future__ import annotations

import argparse
from pathlib import Path
from string import Template

from probtokens.benchmark.results import draw_learning_curves
from probtokens.benchmark.statistics import read_cells
from probtokens.benchmark.tables import convergence, parts
from probtokens.config.benchmark import BenchmarkConfig, side_of
from probtokens.config.recipe import load_recipe

ROOT = Path(__file__).parents[1]
CELLS = ROOT / "benchmarks" / "results" / "suite"
RECIPE = ROOT / "examples" / "benchmark.yaml"


def write_page(page: Path, cells: Path = CELLS, recipe: Path = RECIPE) -> None:
    """Write a page from its text ``PAGE.in``, and the learning curves to ``images`` beside it."""
    settings = load_recipe(BenchmarkConfig, recipe)
    tested = read_cells(cells / "test")
    told = parts(tested, [(side_of(ours), side_of(theirs)) for ours, theirs in settings.endpoints], settings.core_hours)
    text = Template(page.with_suffix(".md.in").read_text(encoding="utf-8"))
    page.write_text(text.substitute(told, convergence=convergence(read_cells(cells / "valid"))), encoding="utf-8")
    draw_learning_curves(tested, page.parent / "images" / "learning_curves.png")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path, nargs="?", default=ROOT / "docs" / "meso_results.md", help="Markdown file; PAGE.in is its text")
    write_page(parser.parse_args().page)


if __name__ == "__main__":
    main()
