"""What a report makes of the files that lie among the records of stages, and of the report that is there."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import pytest

from probtokens.config import load_config
from probtokens.pipeline import engine
from probtokens.pipeline.folder import RunFolder
from probtokens.pipeline.graph import build_stages
from probtokens.report.facts import headline_facts, provenance, timings
from probtokens.report.run import open_run

NO_RECORDS = {
    "empty": b"",
    "cut": b'{"stage": "train',
    "list": b"[1, 2]",
    "nothing": b"null",
    "text": b'"done"',
    "time in words": b'{"seconds": "long"}',
    "no time": b'{"seconds": NaN}',
    "infinite": b'{"seconds": Infinity}',
    "negative": b'{"seconds": -1}',
    "truth": b'{"seconds": true}',
    "hardware in words": b'{"seconds": 1, "hardware": "fast"}',
    "versions in a list": b'{"seconds": 1, "versions": ["3.11"]}',
    "bytes": b"\xff\xfe\x00",
    "deep": b"[" * 100_000,
}


@pytest.fixture
def folder(run_folder: Path, tmp_path: Path) -> Path:
    """A run whose records may be spoiled."""
    for name in ("config.yaml", "scores.json"):
        shutil.copy(run_folder / name, tmp_path / name)
    for name in ("stages", "rollouts", "recalibration"):
        shutil.copytree(run_folder / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize("name", NO_RECORDS)
def test_what_is_no_record_is_named_and_left_out(name: str, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    whole = timings(open_run(folder))
    path = folder / "stages" / "train_old.json"
    path.write_bytes(NO_RECORDS[name])
    with caplog.at_level(logging.WARNING, "probtokens"):
        run = open_run(folder)
    assert [record.getMessage().split(": ")[0] for record in caplog.records] == [str(path)]
    assert timings(run) == whole
    assert headline_facts(run)
    assert provenance(run)


def test_unfinished_stages_and_folders_are_no_faults(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "stages" / "rollout_parc.json").write_text(
        json.dumps({"stage": "x", "fingerprint": "0", "status": "started"}), encoding="utf-8"
    )
    (folder / "stages" / "copies.json").mkdir()
    assert "rollout_parc" not in open_run(folder).records
    assert not caplog.records


@pytest.mark.parametrize("state", ["outdated", "partial"])
def test_a_report_stays_until_there_is_a_new_one(state: engine.State, folder: Path) -> None:
    run = RunFolder(folder)
    stage = next(stage for stage in build_stages(load_config(run.config), run) if stage.name == "report")
    run.report.write_text("the old one", encoding="utf-8")
    engine._prepare(run, stage, "0", state)
    assert run.report.read_text(encoding="utf-8") == "the old one"


def test_facts_tell_which_simulations_are_extrapolation_and_of_what(folder: Path) -> None:
    run = open_run(folder)
    assert "Outside of training" not in dict(headline_facts(run))
    found = {f"meso_{number:03d}": f"shock_pressure 4{number} (5 to 14 GPa in training)" for number in range(8)}
    for name in ("tokens", "parc"):
        run.scores["models"][name]["extrapolation"] = found
    run.scores["models"]["micro_tokens"]["extrapolation"] = {"meso_001": "pressure 0 to 50 (0 to 35 GPa in training)"}
    told = dict(headline_facts(run))["Outside of training"]
    assert told.startswith(
        "Meso tokens and PARC: 8 of 2 test simulations, meso_000: shock_pressure 40 (5 to 14 GPa in training); meso_001: "
    )
    assert "2 more, which scores.json lists. Micro tokens" in told
    assert told.endswith("1 of 2 test simulations, meso_001: pressure 0 to 50 (0 to 35 GPa in training)")
