"""Runs that use trained micro tokens instead of training their own."""

import io

import pytest
import rich.console

from probtokens.config import load_config
from probtokens.models.card import write_card
from probtokens.models.micro import MicroTokens
from probtokens.pipeline.console import Console
from probtokens.pipeline.engine import execute, states
from probtokens.pipeline.folder import RunFolder
from probtokens.pipeline.graph import build_stages
from probtokens.verify.token_pairs import micro_tokens


@pytest.fixture
def given(tmp_path):
    path = tmp_path / "given" / "tokens.pt"
    micro_tokens().save(path)
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
    assert "| micro simulations | 3 |" in folder.model("micro").with_name("model_card.md").read_text()
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
    stages = build_stages(load_config(None, [f"data.micro_tokens={given}"]), RunFolder(tmp_path / "run"))
    assert {stage.name for stage in stages} >= {"simulate_meso", "train_micro", "train_meso"}
    assert "simulate_micro" not in {stage.name for stage in stages}


def test_no_file_is_a_clear_error(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere\.pt: expected a file, found none"):
        run(RunFolder(tmp_path / "run"), tmp_path / "nowhere.pt")


def test_tokens_of_other_fields_are_refused(tmp_path, given):
    with pytest.raises(ValueError, match=r"tokens\.pt: expected micro tokens of data\.fields \['temperature', 'pressure'\], got \['temp"):
        run(RunFolder(tmp_path / "run"), given, "data.fields=[temperature, pressure]")


def test_tokens_of_another_context_are_refused(tmp_path, given):
    with pytest.raises(ValueError, match=r"tokens\.pt: expected micro tokens of data\.context \[\], got \['shock_pressure'\]"):
        run(RunFolder(tmp_path / "run"), given, "data.context=[]")
