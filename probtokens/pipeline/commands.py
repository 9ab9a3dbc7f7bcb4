"""What the sub-commands that work on a recipe do."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from probtokens.config import CampaignConfig, Config, ShiftConfig, load_config
from probtokens.console import Console
from probtokens.evaluate import load_scores
from probtokens.pipeline.engine import execute, require_usable
from probtokens.pipeline.export import export_figures
from probtokens.pipeline.folder import SCALES, RunFolder
from probtokens.pipeline.graph import build_stages, required, run_by
from probtokens.pipeline.inspect_run import next_command, planned_data
from probtokens.pipeline.preview import write_preview
from probtokens.pipeline.table import score_table
from probtokens.screen import next_step, open_screen, print_table, say
from probtokens.weights import resolved, shipped

#: Sections that have to fit the data and each other for a sub-command; all of them for one that is not named.
_USED: dict[str, tuple[str, ...]] = {
    "simulate": (),
    "train micro": ("micro",),
    "train meso": ("micro", "meso"),
    "train parc": (),
    "rollout": ("micro", "meso", "rollout"),
}

Owner = TypeVar("Owner", CampaignConfig, ShiftConfig)


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
    screen = open_screen()
    print_table(screen, score_table(load_scores(folder.scores)))
    say(screen, f"report: {folder.report}")
    next_step(screen, f"open {folder.report}; forecasts for ArviZ: probtokens export {folder.root}")


def run_stages(command: str, recipe: Path, out: Path, overrides: Sequence[str] = (), *, figures: bool = False) -> None:
    """Bring the stages of one sub-command up to date; those that they need must be. With ``figures`` write the report's as files, too.

    Raises
    ------
    ValueError
        As :func:`run_all`, and if something needed is not there; the message names the command that makes it.
    """
    config, folder = _resolved(recipe, overrides, command), RunFolder(out)
    stages = build_stages(config, folder)
    if command == "simulate":
        for line in planned_data(config):
            say(open_screen(), line)
    execute(folder, config, stages, Console(), run_by(stages, command))
    if figures:
        export_figures(out)
    next_step(open_screen(), next_command(folder, stages))


def preview_simulations(recipe: Path, out: Path, overrides: Sequence[str] = ()) -> None:
    """Draw the microstructures that ``simulate`` would run, without running anything.

    Raises
    ------
    ValueError
        As :func:`run_stages`, and if a microstructure cannot be drawn.
    """
    config, folder, screen = _resolved(recipe, overrides, "simulate"), RunFolder(out), open_screen()
    require_usable(folder)
    write_preview(config, folder, screen)
    next_step(screen, f"look at {folder.preview}, then: probtokens simulate {recipe} --out {out}")


def _resolved(recipe: Path, overrides: Sequence[str], command: str = "run") -> Config:
    """Recipe with absolute paths of data and images, so that the saved one holds from any working folder; what is needed must exist."""
    config = load_config(recipe, overrides, _USED.get(command))
    if command == "simulate" and any(getattr(config.data, scale) is not None for scale in config.scales):
        config = load_config(recipe, overrides)  # given simulations are checked for all that a run does with them
    given: dict[str, Path] = {scale: path.absolute() for scale in SCALES if (path := getattr(config.data, scale)) is not None}
    for scale, path in given.items():
        if not path.is_dir():
            raise ValueError(f"data.{scale}: {path}: expected a folder of simulations, found none")
    tokens = config.data.micro_tokens
    if tokens is not None:
        tokens = resolved(tokens)
        if not tokens.is_file() and not (command == "simulate" and not given):
            raise ValueError(
                f"data.micro_tokens: {tokens}: expected a file of trained micro tokens or one of {list(shipped())}, found none"
            )
    settings = config.simulate
    said = [scale for scale in SCALES if scale in settings.model_fields_set]  # defaults have no images, and stay told from the recipe's
    own: dict[str, CampaignConfig] = {scale: _with_absolute_image(getattr(settings, scale)) for scale in said}
    shifts = {name: _with_absolute_image(shift) for name, shift in settings.shifts.items()}
    owners: list[tuple[str, CampaignConfig | ShiftConfig]] = [*own.items(), *((f"shifts.{name}", shift) for name, shift in shifts.items())]
    for key, owner in owners:
        image = owner.microstructure.image if owner.microstructure is not None else None
        if key not in given and image is not None and not image.path.is_file():
            raise ValueError(f"simulate.{key}.microstructure.image.path: {image.path}: expected an image (PNG, PGM or npy), found no file")
    simulate = settings.model_copy(update={**own, "shifts": shifts})
    return config.model_copy(update={"data": config.data.model_copy(update={**given, "micro_tokens": tokens}), "simulate": simulate})


def _with_absolute_image(owner: Owner) -> Owner:
    if owner.microstructure is None or owner.microstructure.image is None:
        return owner
    image = owner.microstructure.image
    pores = owner.microstructure.model_copy(update={"image": image.model_copy(update={"path": image.path.absolute()})})
    return owner.model_copy(update={"microstructure": pores})
