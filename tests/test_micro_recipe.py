"""The ablation of the micro recipe: every row lacks one thing and nothing else, and shares the stages that it does not change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks import micro_recipe
from benchmarks.micro_recipe import UNFINISHED, WHOLE, WITHOUT, full_recipe, run_stages, short_recipe
from probtokens.config import Config


def changed(row: str) -> dict[str, Any]:
    document = short_recipe(0.1)
    WITHOUT[row](document)
    return document


def differences(left: Any, right: Any, where: str = "") -> set[str]:
    """Keys, joined by points, at which two documents differ; stages by their names."""
    if isinstance(left, dict) and isinstance(right, dict):
        return {found for key in left | right for found in differences(left.get(key), right.get(key), f"{where}.{key}")}
    if isinstance(left, list | tuple) and isinstance(right, list | tuple) and where.endswith("stages"):
        named = [{stage["name"]: stage for stage in stages} for stages in (left, right)]
        return differences(*named, where)
    return set() if left == right else {where}


def test_the_short_recipe_is_the_recipe_with_fewer_steps() -> None:
    names = ("codec", "dynamics", "late", "noise")
    found = differences(full_recipe(), short_recipe(0.1))
    assert found == {f".micro.stages.{name}.steps" for name in names}
    assert [stage["steps"] for stage in short_recipe(0.1)["micro"]["stages"]] == [200, 1800, 300, 40]


@pytest.mark.parametrize(
    ("row", "lacks"),
    [
        ("field weights", {f"stages.{name}.field_weights.temperature" for name in ("dynamics", "late")}),
        ("stage late (dynamics has its steps)", {"stages.late", "stages.dynamics.steps"}),
        ("curriculum", {f"stages.dynamics.curriculum.{horizon}" for horizon in (1, 4)}),
        ("latest start", {"stages.dynamics.latest_start"}),
        ("muon (AdamW instead)", {f"stages.{name}.optimizer" for name in ("codec", "dynamics", "late")}),
        ("gate at rest", {"tokens.rest.temperature", "tokens.rest.pressure", "tokens.rest.reacted_fraction"}),
        ("shifted patches and views", {"stages.dynamics.shifts", "stages.late.shifts", "tokens.views"}),
    ],
)
def test_a_row_lacks_one_thing(row: str, lacks: set[str]) -> None:
    found = differences(short_recipe(0.1), changed(row))
    assert found == {f".micro.{key}" for key in lacks}
    Config.model_validate(changed(row))


@pytest.mark.parametrize(
    ("row", "shared"),
    [("latest start", ["codec"]), ("field weights", ["codec"]), ("gate at rest", []), ("muon (AdamW instead)", [])],
)
def test_a_row_takes_over_the_stages_it_shares(tmp_path: Path, row: str, shared: list[str]) -> None:
    whole = Config.model_validate(short_recipe(0.1))
    done = tmp_path / "recipe"
    done.mkdir()
    for number, stage in enumerate(whole.micro.stages):
        for suffix in (".pt", ".json"):
            (done / f"{number:02d}_{stage.name}{suffix}").write_text(stage.name)
    micro_recipe.begin(tmp_path / "row", Config.model_validate(changed(row)), whole, done)
    assert sorted(path.stem for path in (tmp_path / "row").glob("*.pt")) == [f"{number:02d}_{name}" for number, name in enumerate(shared)]


def test_stages_of_a_whole_training_are_scored_as_they_were_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = Config.model_validate(full_recipe()).micro.stages
    for number, stage in enumerate(stages[:-1]):
        (tmp_path / f"{number:02d}_{stage.name}.pt").touch()
    seen: dict[str, list[str]] = {}

    def scored(names: Any, trained: Any, *more: Any) -> dict[str, Any]:
        for row in names[1:]:
            trained(row)
        with pytest.raises(ValueError, match="03_noise.pt: expected a finished stage, found none"):
            trained(WHOLE)
        return {}

    def trained(settings: Any, stages: Any, training: Any, place: Path, seed: int, row: str) -> None:
        seen[row] = [stage.name for stage in stages]

    monkeypatch.setattr(micro_recipe, "_opened", lambda data, settings: (range(7), range(2)))
    monkeypatch.setattr(micro_recipe, "_scored", scored)
    monkeypatch.setattr(micro_recipe, "_trained", trained)
    assert run_stages(tmp_path, tmp_path, draws=2, seed=0)["pores"] == 7
    assert seen == {"stage noise": ["codec", "dynamics", "late"]}
    assert list(seen) == list(UNFINISHED)


def test_a_table_tells_what_is_saved() -> None:
    cells = {"crps": [1.0, 3.0], "spread_skill": [1.0, None], "coverage_90": [0.9, 0.92]}
    document = {
        "pores": 2, "share": 0.1, "simulations": 2, "draws": 4, "seed": 0, "leads": [1, 2],
        "rows": {"recipe": {"cells": cells}, "curriculum": {"cells": cells | {"crps": [2.0, 4.0]}}},
        "gains": {"curriculum": {"cells": {"crps": [1 / 3, 0.25, 0.5], "miscoverage": [0.01, -0.01, 0.02]}}},
    }  # fmt: skip
    rows = micro_recipe.table(document).splitlines()
    assert rows[-1].startswith("| curriculum | 3.00 | 1.00 | 0.910 | 33.3 (25.0 to 50.0) | 0.010 (-0.010 to 0.020) |")
    assert rows[-2].startswith("| – | 2.00 |")
