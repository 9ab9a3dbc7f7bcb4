"""Changes of the adaptation: every row changes one thing, and rows that are there are compared with the recipe, seeds averaged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import meso_recipe
from benchmarks.meso_recipe import CHANGES, WHOLE, settings_of
from tests.benchmark.test_results import made_up
from tests.test_micro_recipe import differences


@pytest.mark.parametrize(
    ("row", "changed"),
    [
        ("without replay", {".replay"}),
        ("without field weights", {".stages.means.field_weights.temperature"}),
        ("without shifted patches", {".stages.means.shifts"}),
        ("without stage spread (means has its steps)", {".stages.spread", ".stages.means.steps"}),
        ("means with twice the steps", {".stages.means.steps"}),
        ("a quarter of the divergence", {f".stages.{name}.kl_weight" for name in ("means", "spread")}),
        ("four times the divergence", {f".stages.{name}.kl_weight" for name in ("means", "spread")}),
    ],
)
def test_a_row_changes_one_thing(row: str, changed: set[str]) -> None:
    whole, other = (settings_of(name, Path("data")).meso.model_dump(mode="json") for name in (WHOLE, row))
    assert differences(whole, other) == changed
    assert row in CHANGES


def test_rows_are_compared_with_the_recipe() -> None:
    def row(crps: list[float]) -> list[dict[str, Any]]:
        return [made_up("tokens", 4, 0, crps), made_up("tokens", 4, 1, [3 * value for value in crps])]

    found = {WHOLE: row([1.0, 2.0, 1.0, 2.0, 1.0, 2.0, 1.0, 2.0]), "without replay": row([2.0, 4.0, 2.0, 4.0, 2.0, 4.0, 2.0, 4.0])}
    lines = meso_recipe.table(found).splitlines()
    assert lines[0].startswith("Tokens adapted to 4 meso runs, seeds 0, 1, on 8 validation runs, 4 draws, leads 5.")
    assert lines[-2] == "| recipe | 2.0 | 3.00 | 0.50 | 0.900 | – | – | – |"
    assert lines[-1] == "| without replay | 2.0 | 6.00 | 0.50 | 0.900 | 50 (50 to 50) | 50 (50 to 50) | 50 (50 to 50) |"
