"""Runs that use trained micro tokens instead of training their own."""

import hashlib
import io
import json

import pytest
import rich.console
import torch

from probtokens.config import load_config
from probtokens.console import Console
from probtokens.models.meso import MesoTokens
from probtokens.models.micro import MicroTokens
from probtokens.pipeline.commands import run_all, run_stages
from probtokens.pipeline.engine import execute, states
from probtokens.pipeline.folder import RunFolder
from probtokens.pipeline.graph import build_stages
from probtokens.pipeline.inspect import describe
from probtokens.pipeline.inspect_coverage import describe_coverage
from probtokens.report.model_card import write_card
from probtokens.verify.token_pairs import micro_tokens
from tests.helpers import make_campaign
from tests.pipeline.recipes import TINY


@pytest.fixture
def given(tmp_path):
    path = tmp_path / "given" / "tokens.pt"
    micro_tokens().save(path)
    return path


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY.replace("time_step: 0.02", "time_step: 0.125"), encoding="utf-8")
    return path


def run(folder, given, *overrides):
    config = load_config(None, [f"data.micro_tokens={given}", *overrides])
    stages = build_stages(config, folder)
    execute(folder, config, stages, Console(rich.console.Console(file=io.StringIO())), only={"train_micro"})
    return states(folder, build_stages(config, folder))["train_micro"]


def test_they_are_copied_with_their_card(tmp_path, given):
    write_card(given, micro_tokens(), {"micro simulations": "3"})
    folder = RunFolder(tmp_path / "run")
    assert run(folder, given) == "done"
    assert folder.model("micro").read_bytes() == given.read_bytes()
    assert "| micro simulations | 3 |" in folder.model("micro").with_name("model_card.md").read_text(encoding="utf-8")
    MicroTokens.load(folder.model("micro"))


def test_other_tokens_take_their_place(tmp_path, given):
    folder = RunFolder(tmp_path / "run")
    run(folder, given)
    micro_tokens(seed=1).save(given)
    config = load_config(None, [f"data.micro_tokens={given}"])
    assert states(folder, build_stages(config, folder))["train_micro"] == "outdated"
    run(folder, given)
    assert folder.model("micro").read_bytes() == given.read_bytes()


def test_meso_runs_then_need_no_micro_simulations(tmp_path, given):
    stages = build_stages(load_config(None, [f"data.micro_tokens={given}", "meso.replay=0"]), RunFolder(tmp_path / "run"))
    assert {stage.name for stage in stages} >= {"simulate_meso", "train_micro", "train_meso"}
    assert "simulate_micro" not in {stage.name for stage in stages}


def test_no_file_is_a_clear_error(tmp_path, recipe):
    with pytest.raises(
        ValueError,
        match=r"data\.micro_tokens: .*nowhere\.pt: expected a file of trained micro tokens or one of \['hmx-standard'\], found none",
    ):
        run_all(recipe, tmp_path / "run", ["data.micro_tokens=nowhere.pt"])


def test_a_run_does_not_replace_its_own_by_themselves(tmp_path):
    folder = RunFolder(tmp_path / "run")
    micro_tokens().save(folder.model("micro"))
    with pytest.raises(ValueError, match=r"model\.pt: expected a file outside .*checkpoints/micro, which the run replaces"):
        run(folder, folder.model("micro"))
    MicroTokens.load(folder.model("micro"))


def test_a_file_that_changes_meanwhile_is_refused(tmp_path, given):
    config = load_config(None, [f"data.micro_tokens={given}"])
    folder = RunFolder(tmp_path / "run")
    stages = build_stages(config, folder)
    micro_tokens(seed=1).save(given)
    with pytest.raises(ValueError, match="expected the file to stay as it was"):
        execute(folder, config, stages, Console(rich.console.Console(file=io.StringIO())), only={"train_micro"})
    assert not folder.model("micro").exists()


def test_new_pores_are_forecast_and_scored(tmp_path, given, recipe, monkeypatch):
    pores = make_campaign(tmp_path / "pores", n_train=0)  # training simulations are not needed
    monkeypatch.chdir(given.parent)
    folder = RunFolder(tmp_path / "run")
    settings = ["rollout={scale: micro, members: 4, models: [micro_tokens, persistence]}", f"data.micro={pores}"]
    run_all(recipe, folder.root, [*settings, f"data.micro_tokens={given.name}"])
    found = json.loads(folder.scores.read_text(encoding="utf-8"))
    digest = hashlib.sha256(given.read_bytes()).hexdigest()
    assert found["provenance"]["data"] == {"micro": "given", "micro_tokens": f"given, sha256 {digest}"}
    assert "supplied micro tokens" in folder.report.read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    screen = io.StringIO()
    describe(folder.root, rich.console.Console(file=screen, width=500))
    assert f"micro tokens: {given}" in screen.getvalue()
    with pytest.raises(ValueError, match="expected a run with simulations of both scales for its coverage, got one without meso ones"):
        describe_coverage(folder.root, rich.console.Console(file=screen))


def test_meso_tokens_are_built_on_them(tmp_path, given, recipe):
    folder, blocks = RunFolder(tmp_path / "run"), make_campaign(tmp_path / "blocks", n_train=2)
    for command in ("simulate", "train micro", "train meso"):
        run_stages(command, recipe, folder.root, [f"data.micro_tokens={given}", f"data.meso={blocks}"])
    assert not (folder.root / "data").exists()
    meso, micro = MesoTokens.load(folder.model("meso")), MicroTokens.load(given)
    assert meso.tokens == micro.tokens
    assert torch.equal(meso.normalizer.field_mean, micro.normalizer.field_mean)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("simulate.meso.ny=20", r"simulate\.meso: grid: expected ny and nx as multiples of 8 \(the patch of .*tokens\.pt\), got 20 and 32"),
        (
            "simulate.meso.spacing=0.05",
            r"simulate\.meso: cell size: expected 0\.04 µm as in .*tokens\.pt, got 0\.05 µm",
        ),
    ],
)
def test_simulations_that_would_not_fit_are_refused_before_they_run(tmp_path, given, recipe, override, message):
    with pytest.raises(ValueError, match=message):
        run_all(recipe, tmp_path / "run", [f"data.micro_tokens={given}", override])
    assert not (tmp_path / "run").exists()


def test_tokens_of_other_fields_are_refused(tmp_path, given):
    with pytest.raises(ValueError, match=r"tokens\.pt: expected micro tokens of data\.fields \['temperature', 'pressure'\], got \['temp"):
        run(RunFolder(tmp_path / "run"), given, "data.fields=[temperature, pressure]")


def test_tokens_of_another_context_are_refused(tmp_path, given):
    with pytest.raises(ValueError, match=r"tokens\.pt: expected micro tokens of data\.context \[\], got \['shock_pressure'\]"):
        run(RunFolder(tmp_path / "run"), given, "data.context=[]")
