"""Says what a file or folder is and what is in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import rich.console

from probtokens.data.the_well import is_shard
from probtokens.evaluate import load_scores
from probtokens.pipeline.folder import RunFolder
from probtokens.pipeline.inspect_data import describe_files
from probtokens.pipeline.inspect_model import describe_model
from probtokens.pipeline.inspect_rollout import describe_rollout
from probtokens.pipeline.inspect_run import describe_recipe, describe_run
from probtokens.pipeline.table import score_table
from probtokens.screen import next_step, open_screen, print_table


def describe(path: Path, screen: rich.console.Console | None = None) -> None:
    """Print what is at ``path``.

    Parameters
    ----------
    path
        Run folder, recipe, HDF5 file or folder of them, rollout, model file, or ``scores.json``; that of a collected result will do.
    screen
        Where to print; standard output by default.

    Raises
    ------
    ValueError
        If there is nothing, nothing known, or a damaged file.
    """
    screen = screen or open_screen()
    if not path.exists():
        raise ValueError(f"{path}: expected a file or folder, found none")
    if path.is_dir() and RunFolder(path).config.is_file():
        describe_run(RunFolder(path), screen)
    elif path.is_dir() and (path / "zarr.json").is_file():
        describe_rollout(path, screen)
    elif path.is_file() and path.suffix == ".json":
        print_table(screen, score_table(load_scores(path, curves=False)))
        next_step(screen, "the table has pooled scores; the file has them by lead and by simulation, too")
    elif path.is_file() and path.suffix in (".yaml", ".yml"):
        describe_recipe(path, screen)
    elif path.is_file() and path.suffix == ".pt":
        describe_model(path, screen)
    elif shards := _shards(path):
        describe_files(path, shards, screen)
    else:
        inside = sorted(entry.name for entry in path.iterdir() if _may_be_known(entry))[:8] if path.is_dir() else []
        hint = f"; inspect one of {inside} in it?" if inside else ""
        raise ValueError(
            f"{path}: expected a run folder, recipe, HDF5 files, rollout (.zarr), model (.pt) or scores file, found none of them{hint}"
        )


def _may_be_known(entry: Path) -> bool:
    """Whether what a folder holds is worth a look: folders, rollouts, recipes, models and scores."""
    named = entry.suffix in (".yaml", ".yml", ".pt") or entry.name.endswith("scores.json")
    return not entry.name.startswith(".") and (entry.is_dir() or named)


def _shards(path: Path) -> list[Path]:
    """HDF5 files at ``path`` or below, by their names, as a run finds them: also links, and without hidden (temporary) ones."""
    candidates = [path] if path.is_file() else _files_below(path, frozenset())
    return [file for file in candidates if is_shard(file)]


def _files_below(folder: Path, above: frozenset[Path]) -> Iterator[Path]:
    """What is no folder in a folder and its sub-folders, sorted; a link to a folder that it lies in is not followed."""
    real = folder.resolve()
    if not folder.is_dir() or real in above:
        return
    for entry in sorted(folder.iterdir()):
        if entry.is_dir():
            yield from _files_below(entry, above | {real})
        else:
            yield entry
