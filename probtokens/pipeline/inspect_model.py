"""Describes a model file."""

from __future__ import annotations

from pathlib import Path

import rich.console

from probtokens.screen import TextTable, next_step, print_table, say
from probtokens.units import in_unit


def describe_model(path: Path, screen: rich.console.Console) -> None:
    """Print what trained tokens are, what they take and give, and what they were trained on.

    Raises
    ------
    ValueError
        If the file is damaged or of another version, or holds no tokens, as weights of PARC and states of trainings do not.
    """
    from probtokens.models.files import CARD_NAME
    from probtokens.models.micro import MicroTokens
    from probtokens.models.shelf import load
    from probtokens.pipeline.forecast import require_of_crystals
    from probtokens.pipeline.inspect_data import describe_grid

    model = load(path)
    tokens, normalizer = model.tokens, model.normalizer
    channels = sum(group.channels for group in tokens.groups)
    say(screen, (str(path), "bold"), f": {type(model).__name__}, {sum(parameter.numel() for parameter in model.parameters()):,} parameters")
    say(screen, f"tokens: {channels} numbers for {model.patch} × {model.patch} cells of {len(model.fields)} fields")
    say(screen, f"learned from: {describe_grid(model.learned_on)}")
    cell, step = in_unit(f"{model.grid.spacing:.4g}", model.grid.length_unit), in_unit(f"{model.grid.time_step:.4g}", model.grid.time_unit)
    say(screen, f"forecasts: any extent in cells of {cell}, frames every {step}")
    say(screen, f"precision of convolutions here: {model.precision}")
    table = TextTable()
    for header in ("kind", "name", "unit", "range in training"):
        table.column(header)
    for kind, names, units, (low, high) in (
        ("field", [spec.name for spec in model.fields], [spec.unit for spec in model.fields], normalizer.field_range),
        ("context", normalizer.context_names, normalizer.context_units, normalizer.context_range),
    ):
        for name, unit, least, most in zip(names, units, low.tolist(), high.tolist(), strict=True):
            table.row(kind, name, unit, f"{least:.4g} … {most:.4g}")
    print_table(screen, table)
    if (card := path.with_name(CARD_NAME)).is_file():
        say(screen, f"card: {card}")
    uses = [f"in a recipe data.micro_tokens: {path}"] if isinstance(model, MicroTokens) else []
    try:
        require_of_crystals(model, str(path))
        uses.insert(0, f"probtokens forecast --model {path} --image MICROGRAPH …")
    except ValueError:  # of another physics
        uses.append(f"in Python probtokens.load({str(path)!r})")
    next_step(screen, ", or ".join(uses))
