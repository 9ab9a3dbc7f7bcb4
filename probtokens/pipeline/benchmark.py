"""Benchmarks: every model on every number of meso simulations, scored once each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from probtokens.config.benchmark import BenchmarkConfig, side_of
from probtokens.config.recipe import load_recipe
from probtokens.console import Console, Progress
from probtokens.screen import next_step, open_screen, say


def run_benchmark(recipe: Path, out: Path, overrides: Sequence[str] = (), cells: Sequence[str] = ()) -> None:
    """Compute the cells of a benchmark that are not there yet, and write what all that are there say.

    Parameters
    ----------
    recipe, overrides
        A recipe of :class:`probtokens.config.benchmark.BenchmarkConfig`.
    out
        Folder of results: ``SPLIT/CELL.json`` and ``SPLIT/results.md``; checkpoints are in ``training``.
    cells
        Only these, such as ``tokens-4-0``; all of the recipe by default.

    Raises
    ------
    ValueError
        If the recipe, an override, a cell, the data or the tokens are not as expected; before any training.
    """
    settings = load_recipe(BenchmarkConfig, recipe, overrides)
    names = list(cells or settings.names)
    if unknown := [name for name in names if name not in settings.names]:
        raise ValueError(f"--cell: expected some of the recipe's cells, {_few(settings.names)}, got {unknown[0]!r:.80}")
    from probtokens.benchmark.cells import compute
    from probtokens.benchmark.models import make, require_known
    from probtokens.benchmark.results import write_results, write_shifts
    from probtokens.benchmark.statistics import read_cells
    from probtokens.benchmark.tables import short_table

    for model in settings.cells:
        require_known(model)
    compute(settings, names, out, _told, make=make)
    folder = out / settings.split
    found = read_cells(folder)
    page = write_results(found, [(side_of(ours), side_of(theirs)) for ours, theirs in settings.endpoints], folder, settings.core_hours)
    if settings.split not in ("valid", "test"):
        write_shifts(out)
    screen = open_screen()
    say(screen, short_table(found))
    missing = [name for name in settings.names if not (folder / f"{name.replace(':', '.')}.json").exists()]
    more = f"; {len(missing)} cells are still to be computed: probtokens benchmark {recipe} --out {out}" if missing else ""
    next_step(screen, f"read {page}{more}")


@contextmanager
def _told(cell: str) -> Iterator[Progress]:
    """Progress of a cell on the terminal; training and scoring are told as they come."""
    with Console().stage(cell) as progress:
        yield progress


def _few(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (", …" if len(names) > most else "")
