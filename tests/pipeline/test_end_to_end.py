"""Whole runs: every stage does its work, a second call does none, and a kill changes nothing."""

from __future__ import annotations

import json
import multiprocessing
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from probtokens.config import load_config
from probtokens.pipeline.commands import run_all, run_stages
from probtokens.pipeline.engine import states
from probtokens.pipeline.folder import RunFolder
from probtokens.pipeline.graph import build_stages
from probtokens.pipeline.inspect import describe
from tests.helpers import make_campaign
from tests.pipeline.recipes import TINY


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    path.write_text(TINY, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def finished(recipe, tmp_path_factory) -> RunFolder:
    """A run of all stages in one go."""
    folder = RunFolder(tmp_path_factory.mktemp("run") / "tiny")
    run_all(recipe, folder.root)
    return folder


def scores(folder: RunFolder) -> dict:
    return json.loads(folder.scores.read_text(encoding="utf-8"))


def test_a_run_leaves_everything_a_report_needs(finished, recipe):
    config = load_config(recipe)
    assert load_config(finished.config) == config
    assert set(states(finished, build_stages(config, finished)).values()) == {"done"}
    assert set(scores(finished)["models"]) == set(config.rollout.models)
    assert [entry["n_meso"] for entry in scores(finished)["models"].values()] == [2, 0, 2, None]
    bounded = {name: entry["evidence_bound"] for name, entry in scores(finished)["models"].items() if "evidence_bound" in entry}
    assert set(bounded) == {"tokens", "micro_tokens"}
    assert all(np.isfinite(bound["mean"]) and bound["standard_error"] > 0 for bound in bounded.values())
    assert "<html" in finished.report.read_text(encoding="utf-8").lower()
    for model in config.rollout.models:
        assert finished.recalibration(model).is_file()
        assert finished.rollout(model, "test").is_dir()


def test_a_second_call_works_on_nothing(finished, recipe, capsys):
    before = {path: path.stat().st_mtime_ns for path in finished.root.rglob("*") if path.is_file() and path.name != "log"}
    begin = time.perf_counter()
    run_all(recipe, finished.root)
    assert time.perf_counter() - begin < 5
    after = {path: path.stat().st_mtime_ns for path in finished.root.rglob("*") if path.is_file() and path.name != "log"}
    assert after == before
    captured = capsys.readouterr()
    assert "done in" not in captured.err
    assert str(finished.report) in captured.out


def test_inspect_tells_what_is_in_a_run(finished, capsys):
    describe(finished.root)
    text = capsys.readouterr().out
    assert "run 'tiny', seed 0" in text
    assert "complete; open" in text
    assert "micro_tokens" in text


def test_inspect_tells_what_is_in_data_and_rollouts(finished, capsys):
    describe(finished.data("meso"))
    describe(finished.rollout("tokens", "test"))
    describe(finished.scores)
    text = capsys.readouterr().out
    for part in (
        "24 × 32 cells of 0.04 µm",
        "shock_pressure",
        "GPa",
        "ignition: ",
        "hot spots: ",
        "rollout of tokens",
        "members: 4",
        "Log-evidence bound",
    ):
        assert part in text


@pytest.mark.slow
def test_one_stage_of_a_finished_run_can_be_repeated_with_other_settings(finished, recipe, capsys):
    run_stages("report", recipe, finished.root, ["report.simulation=1"])
    assert "report: done in" in capsys.readouterr().err
    run_stages("report", recipe, finished.root)


def test_killed_while_training_then_run_again_gives_the_same_scores(recipe, tmp_path):
    data = make_campaign(tmp_path / "data")
    first = "{name: one_step, objective: rollout_error, steps: 30, horizon: 1, batch_size: 2}"
    second = "{name: rollout, objective: rollout_error, steps: 60, horizon: 2, batch_size: 1}"  # long enough to be killed in
    overrides = [f"data.meso={data}", "rollout.models=[parc]", f"parc.stages=[{first}, {second}]"]
    whole, broken = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "broken")
    run_stages_up_to_evaluate(recipe, whole, overrides)
    assert kill_when(lambda: any(broken.training("parc").glob("*.ckpt")), recipe, broken, overrides)
    assert not broken.model("parc").exists()
    run_stages_up_to_evaluate(recipe, broken, overrides)
    assert "goes on where it was interrupted" in broken.log.read_text(encoding="utf-8")
    assert scores(broken) == scores(whole)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_in_every_stage_then_run_again_gives_the_same_scores(finished, recipe, tmp_path):
    broken = RunFolder(tmp_path / "broken")

    def appears(*patterns: str) -> Callable[[], bool]:
        return lambda: any(next(broken.root.glob(pattern), None) for pattern in patterns)

    moments = {
        "simulate_micro": appears("data/micro/train/shard_0000.hdf5"),
        "simulate_meso": appears("data/meso/train/shard_0000.hdf5"),
        "train_micro": appears("checkpoints/micro/01_*.ckpt"),
        "train_meso": appears("checkpoints/meso/00_*.ckpt"),
        "train_parc": appears("checkpoints/parc/00_*.ckpt"),
        "rollout_tokens": appears("rollouts/.tokens_valid*", "rollouts/tokens_valid*"),
        "evaluate": appears("recalibration/tokens.json"),
        "report": appears("stages/report.json"),
    }
    for stage, moment in moments.items():
        assert kill_when(moment, recipe, broken), f"{stage}: ended before it was killed"
    run_all(recipe, broken.root)
    assert scores(broken)["models"] == scores(finished)["models"]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_a_hundred_times_at_any_moment(finished, recipe, tmp_path, record_property):
    rng, kills, runs = np.random.default_rng(0), 0, 0
    context = multiprocessing.get_context("forkserver")  # every run would load torch anew otherwise
    context.set_forkserver_preload(["probtokens.pipeline.commands", "lightning", "pyro", "arviz_plots", "probtokens.report"])
    while kills < 100:
        broken, runs = RunFolder(tmp_path / str(runs)), runs + 1
        longest, before = 4.0, results(broken)
        while True:
            process = context.Process(target=run_all, args=(recipe, broken.root))
            process.start()
            process.join(rng.uniform(0.05, longest))
            if process.exitcode is not None:
                assert process.exitcode == 0
                break
            process.kill()
            process.join()
            kills += 1
            after = results(broken)  # a busy machine needs longer for a piece of work
            longest, before = 4.0 if after != before else 1.5 * longest, after
        assert scores(broken)["models"] == scores(finished)["models"]
        for model in ("micro", "meso", "parc"):
            ours, theirs = (torch.load(folder.model(model), weights_only=True) for folder in (broken, finished))
            assert str(ours) == str(theirs)
    record_property("kills", kills)


def results(folder: RunFolder) -> dict[Path, int]:
    """Files that stages made and when they changed, without the records of those under way."""
    files = (path for path in folder.root.glob("*/**/*") if path.parent != folder.stages and path.is_file())
    return {path: path.stat().st_mtime_ns for path in files}


def run_stages_up_to_evaluate(recipe: Path, folder: RunFolder, overrides: list[str]) -> None:
    for command in ("simulate", "train parc", "rollout", "evaluate"):
        run_stages(command, recipe, folder.root, overrides)


def kill_when(moment: Callable[[], bool], recipe: Path, folder: RunFolder, overrides: list[str] = ()) -> bool:
    """Start a run, send SIGKILL at the given moment; whether it came to that."""
    arguments = [sys.executable, "-m", "probtokens.cli", "run", str(recipe), "--out", str(folder.root)]
    for override in overrides:
        arguments += ["--set", override]
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not moment():
            time.sleep(0.005)
        if process.returncode is None:
            process.kill()
    return process.returncode == -signal.SIGKILL
