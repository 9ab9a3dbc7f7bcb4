"""Cells of a benchmark have files of their own, and what is there is not computed again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from probtokens.baselines import Persistence
from probtokens.benchmark.cells import Cell, Task
from probtokens.benchmark.models import MODELS, MeanOf
from probtokens.benchmark.statistics import read_cells, summary
from probtokens.cli import app
from probtokens.config.benchmark import BenchmarkConfig
from probtokens.config.recipe import load_config, load_recipe
from probtokens.data import TrajectorySet, split_folder
from probtokens.models.micro import MicroTokens
from probtokens.verify.token_pairs import FIELDS, GRID, micro_tokens, window
from probtokens.yaml_text import write_yaml
from tests.helpers import make_campaign

FEW = {"steps": 1, "batch_size": 2, "horizon": 1}
SMALL: dict[str, Any] = {
    "leads": [1, 3],
    "draws": 4,
    "devices": 1,
    "cells": {"persistence": {0: 1}, "micro_tokens": {0: 1}, "tokens": {0: 2}},
    "endpoints": [["tokens-0", "micro_tokens-0"]],
    "parc": {"width": 4, "stages": [{"name": name, "objective": "rollout_error", **FEW} for name in ("one", "two")]},
    "mld": {"width": 4, "codec": 1, "decoupled": 1, "coupled": 1, "meso": 1},
    "scratch": {
        "tokens": {"width": 8, "transition_blocks": 1},
        "stages": [{"name": "all", "objective": "rollout_error", **FEW}],
    },
}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder with both scales, and small tokens in place of those that ship."""
    monkeypatch.setattr(MicroTokens, "load", lambda path: micro_tokens())
    for scale in ("micro", "meso"):
        make_campaign(tmp_path / "data" / scale, n_train=3, n_valid=2, n_test=2)
    return tmp_path / "data"


def call(folder: Path, out: Path, *options: str, **recipe: Any) -> Any:
    path = out.parent / "recipe.yaml"
    path.write_text(write_yaml(SMALL | {"data": str(folder)} | recipe), encoding="utf-8")
    return CliRunner().invoke(app, ["benchmark", str(path), "--out", str(out), *options])


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.json")}


def test_cells_are_scored_once_and_summed_up(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = call(data, out, "--cell", "persistence-0-0", "--cell", "micro_tokens-0-0", "--cell", "tokens-0-1")
    assert result.exit_code == 0, result.output
    assert "1 cells are still to be computed" in result.output
    first = files(out / "valid")
    assert set(first) == {"persistence-0-0.json", "micro_tokens-0-0.json", "tokens-0-1.json"}
    again = call(data, out)
    assert again.exit_code == 0, again.output
    assert "tokens-0-0" in again.stderr
    assert "persistence-0-0" not in again.stderr  # is there
    assert "still to be computed" not in again.output
    after = files(out / "valid")
    assert set(after) == set(first) | {"tokens-0-0.json"}
    assert {name: after[name] for name in first} == first
    rows = {(row["model"], row["seed"]): row for row in summary(read_cells(out / "valid"))}
    assert rows["persistence", 0]["rmse_over_persistence"] == 1.0
    assert "spread_skill" not in rows["persistence", 0]
    document = json.loads(first["micro_tokens-0-0.json"])
    assert np.shape(document["scores"]["cells"]["crps"]) == (2, 2)
    assert rows["micro_tokens", 0]["cells_crps"] == pytest.approx(np.mean(document["scores"]["cells"]["crps"]))
    page = (out / "valid" / "results.md").read_text(encoding="utf-8")
    assert "| meso tokens, N = 0 | micro tokens as they are, N = 0 | temperature |" in page
    assert (out / "valid" / "learning_curves.png").stat().st_size > 1000


def test_cells_that_answer_other_questions_are_refused_before_any_work(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert call(data, out, "--cell", "persistence-0-0").exit_code == 0
    result = call(data, out, draws=5)
    assert result.exit_code == 2
    assert "persistence-0-0.json: draws: expected 5, found 4; name another folder with --out, or remove it" in result.stderr
    assert set(files(out / "valid")) == {"persistence-0-0.json"}


ADAPTED: dict[str, Any] = {
    "cells": {"tokens": {2: 1}, "persistence": {0: 1}},
    "endpoints": [],
    "meso": {"devices": 1, "stages": [{"name": "means", "objective": "latent_error", **FEW, "field_weights": {"temperature": 4}}]},
}


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"meso": ADAPTED["meso"] | {"replay": 1}}, "meso.replay"),
        ({"meso": {"devices": 1, "stages": [{**ADAPTED["meso"]["stages"][0], "steps": 2}]}}, "meso.stages.0.steps"),
        ({"tokens": "other.pt"}, "tokens"),
        (
            {"meso": {"devices": 1, "stages": [{"name": "means", "objective": "latent_error", **FEW, "field_weights": {}}]}},
            "meso.stages.0.field_weights.temperature",
        ),
        ({"devices": 2}, "devices"),
        ({"hotspot_threshold": 900.0}, "threshold"),
    ],
)
def test_neither_cells_nor_checkpoints_of_other_settings_are_taken(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], where: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("other.pt").write_bytes(b"other tokens")
    out = tmp_path / "out"
    assert call(data, out, **ADAPTED).exit_code == 0
    result = call(data, out, **ADAPTED | change)
    assert result.exit_code == 2
    assert f"{where}: expected" in result.stderr
    if where != "threshold":  # which no training depends on
        (out / "valid" / "tokens-2-0.json").unlink()
        result = call(data, out, **ADAPTED | change)
        assert result.exit_code == 2
        assert f"found one of other {where}" in result.stderr
    assert call(data, out, **ADAPTED | {"mld": {"width": 8}}).exit_code == 0  # no business of theirs


def test_checkpoints_of_other_simulations_are_not_taken(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert call(data, out, **ADAPTED).exit_code == 0
    other = tmp_path / "other"
    for scale, seed in (("micro", 0), ("meso", 7)):
        make_campaign(other / scale, n_train=3, n_valid=2, n_test=2, seed=seed)
    result = call(other, out, **ADAPTED)
    assert result.exit_code == 2
    assert "data.train: expected" in result.stderr
    for path in (out / "valid").glob("*.json"):
        path.unlink()
    result = call(other, out, **ADAPTED)
    assert result.exit_code == 2
    assert "found one of other simulations" in result.stderr


@pytest.mark.parametrize(
    ("recipe", "options", "message"),
    [
        ({"cells": {"unet": {4: 1}}, "endpoints": []}, (), "cells: expected models of ['tokens', "),
        ({"cells": {"nowhere:Model": {4: 1}}, "endpoints": []}, (), "cells: nowhere:Model: expected a module 'nowhere' to import"),
        ({"cells": {"parc": {9: 1}}, "endpoints": []}, (), "parc-9-0: expected at most the 3 training simulations"),
        ({"endpoints": [["tokens-0", "parc-16"]]}, (), "endpoints: expected MODEL-N of some of cells, got 'parc-16'"),
        ({"leads": [3, 1]}, (), "leads: expected ascending numbers, got [3, 1]"),
        ({"split": "train"}, (), "split: expected valid, test or the name of a shifted test set, got 'train'"),
        ({"split": "../valid"}, (), "split: "),
        ({"split": "nowhere"}, (), "nowhere"),
        ({"core_hours": {"micro": 1.0, "tokens": 2.0}}, (), "core_hours.meso: Field required"),
        ({"drawz": 4}, (), "drawz: no such key (got 4); did you mean 'draws'?"),
        ({}, ("--cell", "tokens-0-9"), "--cell: expected some of the recipe's cells"),
        ({"data": "nowhere"}, (), "nowhere"),
    ],
)
def test_wrong_recipes_are_refused_and_leave_nothing(
    data: Path, tmp_path: Path, recipe: dict[str, Any], options: tuple[str, ...], message: str
) -> None:
    result = call(data, tmp_path / "out", *options, **recipe)
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "out").exists()


def test_other_methods_are_trained_and_share_what_they_know_of_single_pores(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    names = ("mld-2-0", "mld-1-0", "parc_pretrained-2-1", "scratch-2-0", "parc_ensemble-2-0", "parc-2-3", "parc_literal-2-0")
    cells: dict[str, Any] = {"mld": {2: 1, 1: 1}, "parc_pretrained": {2: 2}, "scratch": {2: 1}}
    cells |= {"parc_ensemble": {2: 1}, "parc": {2: 4}, "parc_literal": {2: 1}}
    chosen = [option for name in names for option in ("--cell", name)]
    result = call(data, out, *chosen, cells=cells, endpoints=[], split="test", simulations=1, draws=3)
    assert result.exit_code == 0, result.output
    folders = {path.name for path in (out / "training").iterdir()}
    assert folders == {
        "mld-micro",
        "mld-2-0",
        "mld-1-0",
        "parc_pretrained-micro",
        "parc_pretrained-2-1",
        "scratch-2-0",
        "parc_literal-2-0",
        "parc_ensemble-2-0",  # how long all four were trained
    } | {f"parc-2-{seed}" for seed in range(4)}
    trained = {path.stem for path in (out / "training" / "mld-micro").glob("*.pt")}
    assert trained == {"00_codec"} | {
        f"{1 + 5 * k + h:02d}_{name}_{h + 1}" for k, name in enumerate(("decoupled", "coupled")) for h in range(5)
    }
    found = {name: json.loads(text) for name, text in files(out / "test").items()}
    assert "with_errors" in found["parc_ensemble-2-0.json"]
    assert "with_errors" not in found["mld-2-0.json"]
    assert "recalibrated" in found["mld-2-0.json"]
    assert found["mld-2-0.json"]["units"] == {"cells": "K", "area": "µm²", "temperature": "K"}
    assert found["mld-2-0.json"]["shared_minutes"] > 0 == found["parc-2-3.json"]["shared_minutes"]
    assert found["parc_ensemble-2-0.json"]["training_minutes"] >= found["parc-2-3.json"]["training_minutes"]
    scored = [json.dumps(found[f"{name}.json"]["scores"]) for name in ("parc_ensemble-2-0", "parc-2-3", "parc_literal-2-0")]
    assert len(set(scored)) == 3


def test_shifted_sets_are_scored_by_what_was_trained_before(data: Path, tmp_path: Path) -> None:
    make_campaign(tmp_path / "data" / "more_pores", n_train=0, n_valid=0, n_test=1)
    out = tmp_path / "out"
    assert call(data, out, **ADAPTED).exit_code == 0
    trained = (out / "training" / "tokens-2-0" / "00_means.pt").read_bytes()
    result = call(data, out, **ADAPTED, split="more_pores")
    assert result.exit_code == 0, result.output
    assert (out / "training" / "tokens-2-0" / "00_means.pt").read_bytes() == trained
    own, before = (json.loads(files(out / split)["tokens-2-0.json"]) for split in ("more_pores", "valid"))
    assert np.shape(own["scores"]["cells"]["crps"]) == np.shape(own["recalibrated"]["cells"]["crps"]) == (1, 2)
    assert np.shape(before["scores"]["cells"]["crps"]) == (2, 2)
    assert "recalibrated" not in before
    assert own["data"].keys() == {"train", "valid", "more_pores"}
    table = (out / "shifts.md").read_text(encoding="utf-8")
    assert "| more pores | meso tokens | 2 | 1 |" in table
    assert "for meso tokens, N = 2, over 1 simulations" in table


def test_an_own_model_is_a_cell(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "still_benchmarked.py").write_text("from probtokens import Persistence as Still\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out"
    result = call(data, out, cells={"still_benchmarked:Still": {2: 1}, "persistence": {0: 1}}, endpoints=[])
    assert result.exit_code == 0, result.output
    own, other = (json.loads(files(out / "valid")[name]) for name in ("still_benchmarked.Still-2-0.json", "persistence-0-0.json"))
    assert own["scores"] == other["scores"]
    assert len(own["trained_on"]) == 2


def test_a_mean_of_forecasts_is_their_mean() -> None:
    frames, context = window()

    class Shifted(Persistence):
        support = None

        def __init__(self, by: float) -> None:
            super().__init__(FIELDS, GRID)
            self.by = by

        def forecast(self, *args: Any, **kwargs: Any) -> Iterator[torch.Tensor]:
            yield from (frame + self.by for frame in super().forecast(*args, **kwargs))

    (found,) = MeanOf([Shifted(1.0), Shifted(3.0)]).forecast(frames[:, 0], context, grid=GRID, n_steps=1, n_draws=5, seed=0)
    torch.testing.assert_close(found, frames[None, :, 0] + 2)


def test_subsets_of_a_seed_are_nested(data: Path, tmp_path: Path) -> None:
    fields = tuple(spec.name for spec in micro_tokens().fields)
    every = TrajectorySet.open(split_folder(data / "meso", "train"), fields, ("shock_pressure",))
    settings = BenchmarkConfig.model_validate(SMALL | {"data": str(data)})
    chosen = [Task(Cell("tokens", n, 4), settings, every, every, tmp_path).chosen().names for n in (1, 2, 3)]
    assert set(chosen[0]) < set(chosen[1]) < set(chosen[2])


@pytest.mark.parametrize("name", ["tokens", "tokens-4", "tokens-4-x", "tokens-4--1"])
def test_names_that_are_no_cells(name: str) -> None:
    with pytest.raises(ValueError, match="cell: expected MODEL-N-SEED such as tokens-4-0, got"):
        Cell.of(name)


def test_the_example_adapts_as_the_example_of_meso_tokens() -> None:
    settings = load_recipe(BenchmarkConfig, Path("examples/benchmark.yaml"))
    adapted = load_config(Path("examples/meso.yaml")).meso
    assert settings.meso == adapted.model_copy(update={"n_simulations": None})
    assert set(settings.cells) == set(MODELS)
    micro = load_config(Path("examples/micro.yaml")).micro
    assert settings.scratch.tokens == micro.tokens
    assert [stage.name for stage in settings.scratch.stages] == [stage.name for stage in micro.stages if stage.name != "guide"]
    assert [4 * stage.steps for stage in settings.scratch.stages] == [stage.steps for stage in micro.stages if stage.name != "guide"]


def test_the_page_names_every_key_and_model() -> None:
    page = Path("docs/suite.md").read_text(encoding="utf-8")
    assert [name for name in (*BenchmarkConfig.model_fields, *MODELS) if f"`{name}`" not in page] == []
