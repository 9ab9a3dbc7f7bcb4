"""Model cards: what a model file holds, in words, beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch

import probtokens
from probtokens.data.atomic import replacing
from probtokens.data.normalize import Normalizer
from probtokens.models.files import CARD_NAME, kind_of
from probtokens.models.tokens import TokenForecaster
from probtokens.precision import instructions
from probtokens.units import in_unit


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


def _card(name: str, model: TokenForecaster, training: Mapping[str, str]) -> str:
    tokens, kind = model.tokens, type(model).__name__
    channels = sum(group.channels for group in tokens.groups)
    compression = len(model.fields) * model.patch**2 / channels
    lines = [
        f"# {kind}: `{name}`",
        "",
        f"Forecasts {', '.join(spec.label for spec in model.fields)} from the first frame, as draws that differ where the forecast is "
        "uncertain.",
        "",
        *_example(name, model),
        *_table("What goes in", {"context": ", ".join(model.normalizer.context_names) or "nothing"} | _grid(model)),
        *_table("Tokens", {", ".join(group.fields): f"{group.channels} channels" for group in tokens.groups} | _forecasts(model)),
        f"{channels} numbers for {model.patch} × {model.patch} cells of {len(model.fields)} fields: {compression:.1f} times fewer. "
        f"{sum(parameter.numel() for parameter in model.parameters()):,} parameters.",
        "",
        *_ranges(model.normalizer),
        *_table("Training", dict(training) | {"version": f"probtokens {probtokens.__version__}"}),
        "## Limits",
        "",
        f"It knows {model.grid.steps}, any extent, and states like those that "
        "it was trained on; `probtokens inspect RUN --coverage` tells whether others are. The spread of its forecasts is as good as its "
        "scores on simulations that it has not seen: look at them before use. It is a surrogate of simulations, not of an experiment.",
        "",
    ]
    return "\n".join(lines)


def _example(name: str, model: TokenForecaster) -> list[str]:
    kind = type(model).__name__
    return [
        "```python",
        "from pathlib import Path",
        "",
        f"from probtokens.models.{kind_of(type(model))} import {kind}",
        "",
        f'model = {kind}.load(Path("{name}"))',
        "# frames: (simulation, time, field, y, x), physical units",
        "# context: (simulation, context)",
        "for frame in model.forecast(frames[:, 0], context, grid=model.grid, n_steps=20, n_draws=50, seed=0):",
        "    ...  # (draw, simulation, field, y, x), physical units, lead by lead",
        "",
        "tokens = model.encode(frames)  # distribution of (..., channel, token_y, token_x)",
        "fields = model.decode(tokens.mean)  # distribution of frames, physical units",
        "```",
        "",
    ]


def _grid(model: TokenForecaster) -> dict[str, str]:
    grid = model.learned_on
    edge = model.tokens.patch * grid.spacing
    relative = grid.time_step * grid.speed(model.tokens.reference_speed, "km/s") / edge
    step = in_unit(f"{grid.time_step:g}", grid.time_unit)
    return {
        "grid": f"{grid.ny} × {grid.nx} cells and {grid.n_times} frames in training: {grid.steps}",
        "token": f"{in_unit(f'{edge:g}', grid.length_unit)} wide; {model.steps_per_frame} steps of {step} a frame",
        "way of sound in a step": f"{relative:.2g} tokens (log {math.log(relative):.2f})",
    }


def _forecasts(model: TokenForecaster) -> dict[str, str]:
    """What makes a forecast more than draws of tokens."""
    tokens = model.tokens
    rest = ", ".join(f"{name} {value:g} {spec.unit}" for name, value in tokens.rest.items() for spec in model.fields if spec.name == name)
    found = f"{', '.join(instructions()) or 'no known instructions'}: {model.precision}"
    return {"views": tokens.views, "at rest": rest or "not known", "precision": f"{tokens.precision} (where it was saved, {found})"}


def _ranges(normalizer: Normalizer) -> list[str]:
    """Table of what fields and context were in training."""
    field = (normalizer.field_mean, normalizer.field_scale, normalizer.field_std, *normalizer.field_range)
    context = (normalizer.context_mean, normalizer.context_scale, normalizer.context_scale, *normalizer.context_range)
    names = [*(f"{spec.name} | {spec.unit}" for spec in normalizer.fields), *(f"{name} |" for name in normalizer.context_names)]
    numbers = torch.cat([torch.stack(field, dim=1), torch.stack(context, dim=1)]).tolist()
    rows = [f"| {name} | " + " | ".join(f"{value:.4g}" for value in row) for name, row in zip(names, numbers, strict=True)]
    head = "| quantity | unit | mean | scale | standard deviation | least | most |"
    return [head, "| --- | --- | --- | --- | --- | --- | --- |", *(f"{row} |" for row in rows), ""]


def _table(title: str, rows: Mapping[str, str]) -> list[str]:
    return [f"## {title}", "", "| | |", "| --- | --- |", *(f"| {key} | {value} |" for key, value in rows.items()), ""]
