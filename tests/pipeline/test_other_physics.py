"""Whole runs on other fields and scalars than those of the simulator, with only a recipe changed."""

from __future__ import annotations

import json

import pytest

from probtokens.pipeline.commands import run_all
from probtokens.pipeline.folder import RunFolder
from tests.helpers import make_campaign
from tests.pipeline.recipes import TINY


@pytest.fixture(scope="module")
def temperature_alone(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Return a run on one field, without any scalar that tells simulations apart."""
    root = tmp_path_factory.mktemp("temperature")
    data = make_campaign(root / "data", n_train=2, n_valid=1, n_test=2)
    recipe = root / "tiny.yaml"
    recipe.write_text(TINY, encoding="utf-8")
    folder = RunFolder(root / "run")
    settings = ["fields=[temperature]", "context=[]", f"micro={data}", f"meso={data}"]
    overrides = [f"data.{setting}" for setting in settings]
    run_all(recipe, folder.root, [*overrides, "micro.tokens.groups=[{fields: [temperature], channels: 4}]"])
    return folder


def test_temperature_alone_and_no_context_run_from_training_to_report(temperature_alone: RunFolder) -> None:
    document = json.loads(temperature_alone.scores.read_text(encoding="utf-8"))
    assert document["hotspot"] == {"field": "temperature", "threshold": 875.0}
    assert set(document["models"]) == {"tokens", "tokens_zero_coupling", "parc", "persistence"}
    for entry in document["models"].values():
        assert list(entry["fields"]) == ["temperature"]
        assert list(entry["hotspot"]) == ["area", "temperature", "area_rate", "temperature_rate"]
    assert "Test simulation shard_0000/0." in temperature_alone.report.read_text(encoding="utf-8")
