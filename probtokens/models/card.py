"""Model cards: what a model file holds, in words, beside it."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import probtokens
from probtokens.data.atomic import replacing

if TYPE_CHECKING:
    from probtokens.models.tokens import TokenForecaster

CARD_NAME = "model_card.md"


def write_card(path: Path, model: TokenForecaster, training: Mapping[str, str]) -> None:
    """Write the card of a token model, whole or not at all.

    Parameters
    ----------
    path
        The model file; the card lies beside it.
    training
        What it was trained on and how, as lines of a table.
    """
    with replacing(path.with_name(CARD_NAME)) as temporary:
        temporary.write_text(_card(path.name, model, training), encoding="utf-8")


def copy_model(source: Path, target: Path) -> None:
    """Copy a model file and, if there is one, its card; each whole or not at all."""
    pairs = {source.with_name(CARD_NAME): target.with_name(CARD_NAME), source: target}
    for one, other in pairs.items():
        if one.is_file():
            with replacing(other) as temporary:
                shutil.copyfile(one, temporary)


def _card(name: str, model: TokenForecaster, training: Mapping[str, str]) -> str:
    tokens, grid, normalizer = model.tokens, model.grid, model.normalizer
    kind = type(model).__name__
    n_parameters = sum(parameter.numel() for parameter in model.parameters())
    channels = sum(group.channels for group in tokens.groups)
    compression = len(model.fields) * tokens.patch**2 / channels
    lines = [
        f"# {kind}: `{name}`",
        "",
        f"Forecasts {', '.join(spec.label for spec in model.fields)} from the first frame, as draws that differ where the forecast is "
        "uncertain.",
        "",
        "```python",
        "from pathlib import Path",
        "",
        f"from probtokens.models.{kind.removesuffix('Tokens').lower()} import {kind}",
        "",
        f'model = {kind}.load(Path("{name}"))',
        "for members in model.forecast(frames[:, 0], context, grid=model.grid, n_steps=20, n_draws=50, seed=0):",
        "    ...  # (draw, simulation, field, y, x) in physical units, lead by lead: what scores are about",
        "",
        "tokens = model.encode(frames)  # posterior of (..., channel, token_y, token_x)",
        "later = model.rollout(frames[:, 0], context, n_steps=20, n_draws=50)",
        f"# Gaussian of physical units{_ONE_VIEW if tokens.views != 'one' else ''}:",
        "fields = model.decode(later)",
        "```",
        "",
        *_table("What goes in", {"context": ", ".join(normalizer.context_names) or "nothing"} | _grid(model)),
        *_table("Tokens", dict(_groups(model)) | _forecasts(model)),
        f"{channels} numbers for {tokens.patch} × {tokens.patch} cells of {len(model.fields)} fields: {compression:.1f} times fewer. "
        f"{n_parameters:,} parameters.",
        "",
        "| field | unit | mean | scale |",
        "| --- | --- | --- | --- |",
    ]
    for spec, mean, scale in zip(model.fields, normalizer.field_mean.tolist(), normalizer.field_scale.tolist(), strict=True):
        lines.append(f"| {spec.name} | {spec.unit} | {mean:.4g} | {scale:.4g} |")
    lines += ["", *_table("Training", dict(training) | {"version": f"probtokens {probtokens.__version__}"})]
    lines += [
        "## Limits",
        "",
        f"It knows cells of {grid.spacing:g} µm and frames every {grid.time_step:g} ns, any extent, and states like those that it was "
        "trained on; `probtokens inspect RUN --coverage` tells whether others are. The spread of its forecasts is as good as its scores on "
        "simulations that it has not seen: look at them before use. It is a surrogate of simulations, not of an experiment.",
        "",
    ]
    return "\n".join(lines)


#: What draws of tokens lack that forecasts have.
_ONE_VIEW = "; all in one view, with larger errors than a forecast and less spread, and not shrunk"


def _grid(model: TokenForecaster) -> dict[str, str]:
    grid = model.grid
    relative = grid.time_step * model.tokens.reference_speed / (model.tokens.patch * grid.spacing)
    return {
        "grid": f"{grid.ny} × {grid.nx} cells of {grid.spacing:g} µm in training, {grid.n_times} frames every {grid.time_step:g} ns",
        "way of sound in a frame": f"{relative:.2g} tokens (log {math.log(relative):.2f})",
    }


def _groups(model: TokenForecaster) -> list[tuple[str, str]]:
    return [(", ".join(group.fields), f"{group.channels} channels") for group in model.tokens.groups]


def _forecasts(model: TokenForecaster) -> dict[str, str]:
    """What makes a forecast more than draws of tokens."""
    tokens = model.tokens
    rest = ", ".join(f"{name} {value:g} {spec.unit}" for name, value in tokens.rest.items() for spec in model.fields if spec.name == name)
    return {"views": tokens.views, "shrinkage of draws": "yes" if tokens.shrinkage else "no", "left as it is": rest or "nothing"}


def _table(title: str, rows: Mapping[str, str]) -> list[str]:
    return [f"## {title}", "", "| | |", "| --- | --- |", *(f"| {key} | {value} |" for key, value in rows.items()), ""]
