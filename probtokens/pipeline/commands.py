"""What the sub-commands that work on a recipe do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import rich.console

from probtokens.config import Config, load_config
from probtokens.evaluate import load_scores
from probtokens.pipeline.console import Console
from probtokens.pipeline.engine import execute
from probtokens.pipeline.folder import RunFolder
from probtokens.pipeline.graph import build_stages, required, run_by
from probtokens.pipeline.table import score_table


def run_all(recipe: Path, out: Path, overrides: Sequence[str] = ()) -> None:
    """Bring everything that the report needs up to date, then print the scores and where the report is.

    Raises
    ------
    ValueError
        If the recipe, an override, the run folder or a given file is not as expected.
    """
    config, folder = _resolved(recipe, overrides), RunFolder(out)
    stages = build_stages(config, folder)
    execute(folder, config, stages, Console(), required(stages, "report"))
    screen = rich.console.Console(highlight=False, soft_wrap=True)
    screen.print(score_table(load_scores(folder.scores)))
    screen.print(f"report: {folder.report}", markup=False)


def run_stages(command: str, recipe: Path, out: Path, overrides: Sequence[str] = ()) -> None:
    """Bring the stages of one sub-command up to date; those that they need must be.

    Raises
    ------
    ValueError
        As :func:`run_all`, and if something needed is not there; the message names the command that makes it.
    """
    config, folder = _resolved(recipe, overrides), RunFolder(out)
    stages = build_stages(config, folder)
    execute(folder, config, stages, Console(), run_by(stages, command))


def _resolved(recipe: Path, overrides: Sequence[str]) -> Config:
    """Recipe with absolute data paths, so that the saved one holds from any working folder; given folders must exist."""
    config = load_config(recipe, overrides)
    given = {scale: path.absolute() for scale in ("micro", "meso") if (path := getattr(config.data, scale)) is not None}
    for scale, path in given.items():
        if not path.is_dir():
            raise ValueError(f"data.{scale}: {path}: expected a folder of simulations, found none")
    return config.model_copy(update={"data": config.data.model_copy(update=given)})
