"""A recipe may declare meso data in wider cells, and with frames that are several micro steps apart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import probtokens as pt
from probtokens.config import load_config
from probtokens.pipeline.commands import run_all, run_stages
from probtokens.pipeline.folder import RunFolder
from probtokens.pipeline.graph import build_stages
from probtokens.predict import open_rollout
from tests.helpers import make_campaign
from tests.pipeline.recipes import TINY

DECLARED = ["data.meso_cell_width=2", "data.meso_steps_per_frame=2"]
SHORT = [
    "micro.stages=[{name: rollout, objective: rollout_error, steps: 2, horizon: 2, batch_size: 1}]",
    "meso.stages=[{name: means, objective: latent_error, steps: 2, horizon: 2, batch_size: 2}]",
    "rollout.models=[tokens, micro_tokens]",
    "evaluate.recalibrate=false",
]


def given(folder: Path) -> list[str]:
    """Micro data, and meso data of twice the width of cells and twice the frame step."""
    make_campaign(folder / "micro", n_train=2, n_valid=1, n_test=1, n_times=5)
    make_campaign(folder / "meso", n_train=2, n_valid=1, n_test=1, ny=12, nx=16, n_times=4, spacing=0.08, time_step=0.25)
    return [f"data.{scale}={folder / scale}" for scale in ("micro", "meso")]


def test_a_run_forecasts_meso_data_of_declared_scales(tmp_path: Path) -> None:
    recipe, folder = tmp_path / "tiny.yaml", RunFolder(tmp_path / "run")
    recipe.write_text(TINY, encoding="utf-8")
    data = given(tmp_path / "data")
    with pytest.raises(ValueError, match="cell size: expected 0.04 µm as in"):
        run_all(recipe, folder.root, [*data, *SHORT])
    assert not folder.root.exists()
    run_all(recipe, folder.root, [*data, *SHORT, *DECLARED])
    model = pt.load(folder.model("meso"))
    assert (model.patch, model.steps_per_frame, model.tokens.patch) == (4, 2, 8)
    for name in ("tokens", "micro_tokens"):
        rollout = open_rollout(folder.rollout(name, "test"))
        assert rollout["prediction"].shape[-2:] == (12, 16)
        np.testing.assert_allclose(rollout["time"], [0.0, 0.25, 0.5, 0.75])
    scores = json.loads(folder.scores.read_text(encoding="utf-8"))["models"]
    assert set(scores) == {"tokens", "micro_tokens"}
    for entry in scores.values():
        bound = entry["evidence_bound"]
        assert (bound["window_frames"], bound["simulations"]) == (4, 1)
        assert bound["by_simulation"]["bound"] == [bound["mean"]]
    assert "4 × 4 cells" in folder.report.read_text(encoding="utf-8")
    run_stages("train meso", recipe, folder.root, [*data, *SHORT, *DECLARED, "meso.n_simulations=0"])
    prior = pt.load(folder.model("meso"))
    assert (prior.patch, prior.steps_per_frame, prior.population) == (4, 2, None)


def test_only_what_is_declared_makes_finished_stages_begin_again(tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(TINY, encoding="utf-8")

    def settings(*overrides: str) -> dict[str, object]:
        stages = build_stages(load_config(recipe, overrides), RunFolder(tmp_path / "run"))
        return {stage.name: dict(stage.settings) for stage in stages}

    plain, declared = settings(), settings(*DECLARED)
    assert settings("data.meso_cell_width=1", "data.meso_steps_per_frame=1") == plain
    assert {name for name in plain if declared[name] != plain[name]} == {"train_meso", "rollout_micro_tokens"}
