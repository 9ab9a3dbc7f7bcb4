"""Given simulations that are in several splits are told wherever scores are shown."""

from __future__ import annotations

import io
import json
import logging
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import rich.console

from probtokens.config import Config, load_config
from probtokens.console import Console
from probtokens.evaluate.scores_file import seen_before
from probtokens.pipeline.engine import execute
from probtokens.pipeline.folder import RunFolder
from probtokens.pipeline.graph import build_stages
from probtokens.pipeline.stage import Job
from probtokens.pipeline.work.evaluate import provenance
from probtokens.pipeline.work.simulations import check_data, duplicates, open_split
from tests.helpers import make_campaign

SHAPE = {"ny": 8, "nx": 8, "n_times": 3}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Return a recipe on given simulations of both scales, all different."""
    for number, scale in enumerate(("micro", "meso")):
        make_campaign(tmp_path / scale, n_train=2, n_valid=1, n_test=1, seed=7 * number, **SHAPE)
    return load_config(None, [f"data.{scale}={tmp_path / scale}" for scale in ("micro", "meso")])


def check(config: Config, folder: RunFolder) -> None:
    for scale in ("micro", "meso"):
        check_data(Job(config=config, folder=folder, progress=lambda *_: None), scale=scale)


def test_different_simulations_say_nothing(config: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = RunFolder(tmp_path / "run")
    check(config, folder)
    assert not caplog.records
    assert duplicates(config, folder) == []
    assert "duplicates" not in provenance(config, folder)
    assert {split: len(names) for split, names in json.loads(folder.checked("meso").read_text(encoding="utf-8")).items()} == {
        "train": 2,
        "valid": 1,
        "test": 1,
    }


def test_a_test_simulation_that_tokens_have_learned_from(config: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = RunFolder(tmp_path / "run")
    shutil.copy(tmp_path / "micro" / "train" / "shard_0000.hdf5", tmp_path / "meso" / "test" / "again.hdf5")
    with caplog.at_level(logging.WARNING):
        check(config, folder)
    expected = [f"micro/train shard_0000/{number} = meso/test again/{number}" for number in (0, 1)]
    assert duplicates(config, folder) == provenance(config, folder)["duplicates"] == expected
    (record,) = caplog.records
    assert record.getMessage().startswith(
        "data.meso: simulations that are in two splits, so that scores are not of unseen ones: ['micro/train"
    )
    sentence = seen_before({"provenance": provenance(config, folder)})
    assert sentence.startswith(
        "2 simulations are in several splits, so these scores are not of unseen simulations: ['micro/train shard_0000/0"
    )


def test_the_same_split_at_both_scales_is_no_leak(config: Config, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    shutil.copytree(tmp_path / "micro", tmp_path / "meso", dirs_exist_ok=True)
    check(config, folder)
    assert duplicates(config, folder) == []


def test_data_that_have_changed_are_checked_again(config: Config, tmp_path: Path) -> None:
    folder, screen = RunFolder(tmp_path / "run"), io.StringIO()

    def run() -> str:
        stages = build_stages(config, folder)
        execute(folder, config, stages, Console(rich.console.Console(file=screen)), {"check_micro", "check_meso"})
        return folder.checked("meso").read_text(encoding="utf-8")

    before = run()
    with h5py.File(tmp_path / "meso" / "test" / "shard_0000.hdf5", "r+") as file:
        file["t0_fields/temperature"][0, 1, 2, 2] += 1
    after = run()
    assert {split for split, names in json.loads(before).items() if names != json.loads(after)[split]} == {"test"}
    assert run() == after
    assert screen.getvalue().count("check meso: done in") == 2
    assert screen.getvalue().count("check micro: done in") == 1


def test_a_damaged_list_is_named(config: Config, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    check(config, folder)
    folder.checked("micro").write_text("{", encoding="utf-8")
    with pytest.raises(ValueError, match="run/checks/micro.json: expected digests of simulations, got"):
        duplicates(config, folder)


def test_the_frame_cache_is_as_large_as_the_recipe_says(config: Config, tmp_path: Path) -> None:
    for gibibytes, held in ((0.5, True), (0.0, False)):
        data = config.data.model_copy(update={"frame_cache": gibibytes})
        opened = open_split(config.model_copy(update={"data": data}), RunFolder(tmp_path), "micro", "train")
        assert np.shares_memory(opened.frames(0, 0, 1), opened.frames(0, 0, 1)) == held


def test_scores_of_unseen_simulations_say_nothing() -> None:
    assert seen_before({"provenance": {}}) == ""
    assert seen_before({"provenance": {"duplicates": ["a = b"]}}).startswith("One simulation is in several splits")
