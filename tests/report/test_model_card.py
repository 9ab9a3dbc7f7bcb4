"""The card beside a model file: what it names, and code that runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import probtokens
from probtokens.models.files import CARD_NAME
from probtokens.models.micro import MicroTokens
from probtokens.models.tokens import TokenForecaster
from probtokens.precision import instructions
from probtokens.report.model_card import write_card
from probtokens.verify.token_pairs import GRID, TOKENS, meso_tokens, micro_tokens, normalizer, window


def card_of(model: TokenForecaster, folder: Path) -> str:
    model.save(folder / "model.pt")
    write_card(folder / "model.pt", model, {"micro simulations": "96", "seed": "0"})
    return (folder / CARD_NAME).read_text(encoding="utf-8")


@pytest.mark.parametrize("build", [micro_tokens, meso_tokens])
def test_it_names_fields_units_grid_and_training(build, tmp_path: Path) -> None:
    model = build()
    card = card_of(model, tmp_path)
    for part in (
        f"# {type(model).__name__}: `model.pt`",
        "Forecasts temperature, pressure, solid volume fraction, velocity along x, velocity along y from",
        "| context | shock_pressure |",
        "| grid | 16 × 24 cells and 5 frames in training: cells of 0.04 µm and frames every 0.125 ns |",
        "| temperature, solid_fraction | 3 channels |",
        "7 numbers for 8 × 8 cells of 5 fields: 45.7 times fewer",
        f"{sum(parameter.numel() for parameter in model.parameters()):,} parameters",
        "| micro simulations | 96 |",
        "| seed | 0 |",
        f"| version | probtokens {probtokens.__version__} |",
        "cells of 0.04 µm and frames every 0.125 ns",
    ):
        assert part in card


def test_it_tells_the_scales_of_the_data_and_of_tokens(tmp_path: Path) -> None:
    card = card_of(micro_tokens().on(GRID.scaled(cell_width=2, steps_per_frame=3)), tmp_path)
    for part in (
        "| grid | 16 × 24 cells and 5 frames in training: cells of 0.04 µm and frames every 0.125 ns |",
        "| token | 0.32 µm wide; 3 steps of 0.125 ns a frame |",
        "7 numbers for 4 × 4 cells of 5 fields: 11.4 times fewer",
        "It knows cells of 0.08 µm and frames every 0.375 ns",
    ):
        assert part in card


@pytest.mark.parametrize("build", [micro_tokens, meso_tokens])
def test_its_code_runs(build, tmp_path: Path) -> None:
    card = card_of(build(), tmp_path)
    code = card.split("```python")[1].split("```")[0].replace('"model.pt"', f'"{tmp_path / "model.pt"}"')
    frames, context = window()
    names = {"frames": frames, "context": context}
    exec(code, names)
    assert type(names["model"]) is type(build())
    assert names["frame"].shape == (50, 2, 5, *GRID.shape)
    assert names["tokens"].mean.shape == (2, 4, 7, 2, 3)
    assert names["fields"].mean.shape == frames.shape


def test_it_tells_what_fields_and_context_were_in_training(tmp_path: Path) -> None:
    model = micro_tokens()
    model.normalizer.field_std.copy_(torch.tensor([350.0, 4.5, 0.1, 0.7, 0.15]))
    model.normalizer.field_range.copy_(torch.tensor([[300.0, 0.0001, 0.02, -0.1, -0.5], [4321.0, 21.0, 1.0, 2.5, 0.5]]))
    model.normalizer.context_range.copy_(torch.tensor([[13.0], [17.5]]))
    rows = {line.replace("|  |", "| |") for line in card_of(model, tmp_path).splitlines()}
    for row in (
        "| quantity | unit | mean | scale | standard deviation | least | most |",
        "| temperature | K | 700 | 400 | 350 | 300 | 4321 |",
        "| pressure | GPa | 6 | 5 | 4.5 | 0.0001 | 21 |",
        "| velocity_x | km/s | 0.6 | 0.7 | 0.7 | -0.1 | 2.5 |",
        "| shock_pressure | | 15 | 1.5 | 1.5 | 13 | 17.5 |",
    ):
        assert row in rows


def test_it_tells_views_rest_and_the_precision_where_it_was_saved(tmp_path: Path) -> None:
    changes = {"views": "shifted", "rest": {"temperature": 300.0, "solid_fraction": 1.0, "pressure": 0.0}, "precision": "auto"}
    model = MicroTokens(TOKENS.model_copy(update=changes), normalizer(), GRID)
    card = card_of(model, tmp_path)
    assert "| views | shifted |" in card
    assert "| at rest | temperature 300 K, solid_fraction 1 1, pressure 0 GPa |" in card
    assert f"| precision | auto (where it was saved, {', '.join(instructions()) or 'no known instructions'}: {model.precision}) |" in card
    plain = card_of(micro_tokens(), tmp_path)
    assert "| views | one |" in plain
    assert "| at rest | not known |" in plain
    assert "| precision | float32 (where it was saved, " in plain
    assert ": float32) |" in plain


def test_it_lies_beside_the_model_and_replaces_an_older_one(tmp_path: Path) -> None:
    model = micro_tokens()
    write_card(tmp_path / "a.pt", model, {})
    write_card(tmp_path / "b.pt", model, {"seed": "7"})
    assert [path.name for path in tmp_path.iterdir()] == [CARD_NAME]
    card = (tmp_path / CARD_NAME).read_text(encoding="utf-8")
    assert card.startswith("# MicroTokens: `b.pt`\n")
    assert 'MicroTokens.load(Path("b.pt"))' in card
