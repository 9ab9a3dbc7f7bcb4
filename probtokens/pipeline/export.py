"""Forecasts of a run as files that ArviZ opens, and its figures as files for papers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich.console

from probtokens.config import Config, load_config
from probtokens.data.atomic import replacing
from probtokens.pipeline.folder import RunFolder
from probtokens.pipeline.tokens_of_run import TOKEN_MODELS, load_tokens
from probtokens.screen import next_step, open_screen, say

#: Draws of the weights of coupled tokens.
_DRAWS = 500


def export_run(path: Path, *, recalibrated: bool = False, screen: rich.console.Console | None = None) -> list[Path]:
    """Write every ensemble of a run's test simulations to ``path``/arviz/MODEL.nc; deterministic models are left out.

    Parameters
    ----------
    path
        Run folder whose test forecasts are there.
    recalibrated
        Whether spreads are those after recalibration.
    screen
        Where to print; standard output by default.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    ValueError
        If it is no run folder, or a forecast or, of coupled tokens, the model is missing.
    """
    from probtokens.evaluate.arviz_export import to_arviz
    from probtokens.predict import load_recalibration, open_rollout

    screen, folder, written = screen or open_screen(), RunFolder(path), []
    if not folder.config.is_file():
        raise ValueError(f"{path}: expected a run folder (with config.yaml) to export, found none")
    config = load_config(folder.config, uses=("rollout",))
    for model in config.rollout.names:
        with open_rollout(folder.rollout(model, "test")) as rollout:
            if rollout.sizes["draw"] < 2:
                continue
            factors = load_recalibration(folder.recalibration(model)) if recalibrated else None
            tree = to_arviz(rollout, recalibration=factors, seed=config.seed, **_training(model, config, folder))
        target = folder.arviz(model)
        with replacing(target) as temporary:
            tree.to_netcdf(temporary, engine="h5netcdf")
        say(screen, f"{target}: {', '.join(tree.children)}")
        written.append(target)
    next_step(
        screen, f'in Python: xarray.open_datatree("{written[0]}")' if written else "nothing: no model of this run states an uncertainty"
    )
    return written


def export_figures(path: Path, *, screen: rich.console.Console | None = None) -> list[Path]:
    """Write the figures of a run's report and its animation to ``path``/figures; what was written.

    Raises
    ------
    ValueError
        If the run has no scores or forecasts; the message names the file.
    """
    from probtokens.report import write_figures

    written = write_figures(path)
    say(screen or open_screen(), f"figures: {written[0].parent}: {', '.join(file.name for file in written)}")
    return written


def _training(model: str, config: Config, folder: RunFolder) -> dict[str, Any]:
    """Posterior and prior of the weights that all trajectories share, and the history of the training."""
    if model not in TOKEN_MODELS:
        return {}
    from probtokens.evaluate.global_sites import weight_draws
    from probtokens.train.fitting import History
    from probtokens.train.loop import finished_stages

    name, settings = ("meso", config.meso) if model == "tokens" else ("micro", config.micro)
    stages = finished_stages(folder.training(name), settings.stages)
    weights = weight_draws(load_tokens(model, folder.model, config), draws=_DRAWS, seed=config.seed)
    return weights | ({"history": History(stages)} if stages else {})
