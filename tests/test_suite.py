"""The benchmark suite: cells have files of their own, and what is there is not computed again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import suite
from probtokens.models.micro import MicroTokens
from probtokens.verify.token_pairs import micro_tokens
from tests.helpers import make_campaign


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder with both scales, and small tokens in place of those that ship."""
    monkeypatch.setattr(suite, "LEADS", (1, 3))
    monkeypatch.setattr(MicroTokens, "load", lambda path: micro_tokens())
    for scale in ("micro", "meso"):
        make_campaign(tmp_path / "data" / scale, n_train=3, n_valid=2, n_test=2)
    return tmp_path / "data"


def test_cells_are_scored_once_and_summed_up(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cells = [suite.Cell.of(name) for name in ("persistence-0-0", "micro_tokens-0-0", "tokens-0-1")]
    request = {"split": "valid", "draws": 4, "simulations": None, "folder": tmp_path / "runs", "out": tmp_path / "out"}
    suite.run(data, cells, **request)
    first = {path.name: path.read_bytes() for path in (tmp_path / "out" / "valid").glob("*.json")}
    assert set(first) == {f"{cell}.json" for cell in cells}
    capsys.readouterr()
    suite.run(data, cells, **request)
    assert capsys.readouterr().out.count("done before") == 3
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "out" / "valid").glob("*.json")}
    rows = {row["model"]: row for row in suite.summary(tmp_path / "out", "valid")}
    assert rows["persistence"]["rmse_over_persistence"] == 1.0
    assert "spread_skill" not in rows["persistence"]
    document = json.loads(first["micro_tokens-0-0.json"])
    assert np.shape(document["scores"]["cells"]["crps"]) == (2, 2)
    assert rows["micro_tokens"]["crps"] == pytest.approx(np.mean(document["scores"]["cells"]["crps"]))


def test_subsets_of_a_seed_are_nested(data: Path, tmp_path: Path) -> None:
    from probtokens.data import TrajectorySet, split_folder

    fields = tuple(spec.name for spec in micro_tokens().fields)
    every = TrajectorySet.open(split_folder(data / "meso", "train"), fields, ("shock_pressure",))
    chosen = [suite.Task(suite.Cell("tokens", n, 4), every, every, tmp_path).chosen().names for n in (1, 2, 3)]
    assert set(chosen[0]) < set(chosen[1]) < set(chosen[2])


def test_unknown_models_are_named() -> None:
    with pytest.raises(ValueError, match=r"unet-4-0: expected one of the models \['tokens', .*\], got 'unet'"):
        suite.Cell.of("unet-4-0")
