"""The benchmark suite: cells have files of their own, and what is there is not computed again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks import suite, suite_page
from probtokens.baselines import Persistence
from probtokens.config import RolloutErrorStage, TokenConfig
from probtokens.models.micro import MicroTokens
from probtokens.verify.token_pairs import FIELDS, GRID, micro_tokens, window
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
    with pytest.raises(ValueError, match=r"persistence-0-0.json: draws: expected 5, found 4; name another folder with --out, or remove it"):
        suite.run(data, cells, **request | {"draws": 5})
    assert first == {path.name: path.read_bytes() for path in (tmp_path / "out" / "valid").glob("*.json")}
    rows = {row["model"]: row for row in suite_page.summary(suite_page.read_cells(tmp_path / "out" / "valid"))}
    assert rows["persistence"]["rmse_over_persistence"] == 1.0
    assert "spread_skill" not in rows["persistence"]
    document = json.loads(first["micro_tokens-0-0.json"])
    assert np.shape(document["scores"]["cells"]["crps"]) == (2, 2)
    assert rows["micro_tokens"]["cells_crps"] == pytest.approx(np.mean(document["scores"]["cells"]["crps"]))


def test_other_methods_are_trained_and_share_what_they_know_of_single_pores(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = {"steps": 1, "batch_size": 2, "horizon": 1}
    stage = suite.PARC.stages[0].model_copy(update=few)
    small = suite.PARC.model_copy(update={"width": 4, "stages": (stage, stage.model_copy(update={"name": "again"}))})
    monkeypatch.setattr(suite, "PARC", small)
    monkeypatch.setattr(suite, "DEVICES", 1)
    monkeypatch.setattr(suite, "MLD", dict.fromkeys(suite.MLD, 1))
    scratch = suite.SCRATCH.model_copy(update={"tokens": TokenConfig(width=8, transition_blocks=1)})
    monkeypatch.setattr(suite, "SCRATCH", scratch.model_copy(update={"stages": (RolloutErrorStage(name="all", **few),)}))
    names = ("mld-2-0", "mld-1-0", "parc_pretrained-2-1", "scratch-2-0", "parc_ensemble-2-0", "parc-2-3")
    cells = [suite.Cell.of(name) for name in names]
    suite.run(data, cells, split="test", draws=3, simulations=1, folder=tmp_path / "runs", out=tmp_path / "out")
    folders = {path.name for path in (tmp_path / "runs").iterdir()}
    assert folders == {"mld-micro", "mld-2-0", "mld-1-0", "parc_pretrained-micro", "parc_pretrained-2-1", "scratch-2-0"} | {
        f"parc-2-{seed}" for seed in range(4)
    }
    trained = {path.stem for path in (tmp_path / "runs" / "mld-micro").glob("*.pt")}
    assert trained == {"00_codec"} | {
        f"{1 + 5 * k + h:02d}_{name}_{h + 1}" for k, name in enumerate(("decoupled", "coupled")) for h in range(5)
    }
    found = {name: json.loads((tmp_path / "out" / "test" / f"{name}.json").read_text()) for name in names}
    assert "with_errors" in found["parc_ensemble-2-0"]
    assert "with_errors" not in found["mld-2-0"]
    assert found["parc_ensemble-2-0"]["scores"]["cells"]["error_square"] != found["parc-2-3"]["scores"]["cells"]["error_square"]


def test_a_mean_of_forecasts_is_their_mean() -> None:
    frames, context = window()

    class Shifted(Persistence):
        support = None

        def __init__(self, by: float) -> None:
            super().__init__(FIELDS, GRID)
            self.by = by

        def forecast(self, *args: Any, **kwargs: Any) -> Iterator[torch.Tensor]:
            yield from (frame + self.by for frame in super().forecast(*args, **kwargs))

    (found,) = suite.MeanOf([Shifted(1.0), Shifted(3.0)]).forecast(frames[:, 0], context, grid=GRID, n_steps=1, n_draws=5, seed=0)
    torch.testing.assert_close(found, frames[None, :, 0] + 2)


def made_up(model: str, n: int, seed: int, crps: list[float], **more: object) -> dict:
    """A cell with one lead whose quantities have the same scores."""
    table = {"crps": [[value] for value in crps], "error_square": [[4.0]] * len(crps)}
    if model.endswith("tokens"):
        table |= {"spread_square": [[1.0]] * len(crps), "coverage_90": [[0.9]] * len(crps)}
    scores = dict.fromkeys(suite_page.QUANTITIES, table)
    document = {"cell": {"model": model, "n": n, "seed": seed}, "scores": scores, "training_minutes": 1.0}
    return document | {"simulations": list("abcdefgh"), "leads": [5], "draws": 4, "hardware": {"instructions": "avx2"}} | more


def test_page_compares_what_was_written_down(tmp_path: Path) -> None:
    better, worse = [1.0, 2.0, 1.5, 2.5, 1.2, 2.2, 1.1, 2.1], [2.0, 4.0, 3.0, 5.0, 2.4, 4.4, 2.2, 4.2]
    dressed = {"crps": [[2 * value] for value in worse]} | dict.fromkeys(("error_square", "spread_square"), [[4.0]] * 8)
    dressed |= {"coverage_90": [[0.5]] * 8}
    cells = [
        made_up("tokens", 4, 0, better),
        made_up("tokens", 4, 1, [3 * value for value in better]),
        made_up("micro_tokens", 0, 0, [4 * value for value in better]),
        made_up("parc", 16, 0, worse, with_errors=dict.fromkeys(suite_page.QUANTITIES, dressed)),
    ]
    found = {(ours, theirs, quantity): comparison for ours, theirs, quantity, comparison, _ in suite_page.comparisons(cells)}
    assert len(found) == 2 * len(suite_page.QUANTITIES)  # what has no cell yet is left out
    against_micro = found[("tokens", 4), ("micro_tokens", 0), "cells"]
    assert against_micro.skill == pytest.approx(0.5)  # seeds are averaged first
    assert found[("tokens", 4), ("parc", 16), "cells"].skill == pytest.approx(0.5)  # PARC with its errors: 4 times
    assert against_micro.p_value == pytest.approx(2 / 2**8)
    (tmp_path / "page.md.in").write_text(
        "$short_table\n$table\n$crps_by_lead\n$leads_tables\n$endpoints\n$simulations $draws $leads $processors\n$convergence"
    )
    valid = [made_up("parc_half", 16, 0, [3.0] * 8), made_up("parc", 16, 0, [2.9] * 8), cells[0]]
    suite_page.write_page(cells, tmp_path / "page.md", valid)
    text = (tmp_path / "page.md").read_text()
    assert "| PARC | 16 | 0 | nan |" in text
    assert "| meso tokens | 4 | 2 | nan | 3.4 | 0.50 | 0.90 | 3.4, 0.90 | 3.4, 0.90 |" in text  # two seeds: 1.7 and three times that
    assert "Hot-spot area:\n\n| model | N | lead 5 |" in text
    assert "| PARC | 16 | 6.8 |" in text
    assert "Not computed yet: meso tokens, N = 0, against PARC, N = 16; meso tokens, N = 4, against mean of four PARC, N = 16;" in text
    assert "| PARC with errors | 16 | 0 | nan | 6.8 | 6.8 | 6.8 | 1.00 | 0.50 | 0.50 | 0.50 | 1 |" in text
    assert "| meso tokens | 4 | 0.50, 0.90 |" in text
    assert "| meso tokens, N = 4 | PARC, N = 16 | temperature | 0.50 | 0.50 to 0.50 |" in text
    assert text.endswith("| PARC, half the steps | 16 | 0 | 2 | 3 | 3 | 3 |\n| PARC | 16 | 0 | 2 | 2.9 | 2.9 | 2.9 |")
    assert (tmp_path / "images" / "learning_curves.png").stat().st_size > 1000


def test_large_numbers_of_tables_have_no_exponent() -> None:
    table = suite_page._table([made_up("persistence", 0, 0, [1484.0] * 8)])
    assert "| 1480 |" in table
    assert "e+" not in table


def test_cells_of_own_models_are_named_as_they_are_and_other_simulations_are_refused() -> None:
    own, other = made_up("mine:Model", 4, 0, [1.0] * 8), made_up("tokens", 4, 0, [1.0] * 8, simulations=list("hgfedcba"))
    assert "| mine:Model | 4 | 0 |" in suite_page._table([own])
    with pytest.raises(ValueError, match="expected the simulations .'a', 'b'"):
        suite_page.by_simulation([own, other], "tokens", 4, "cells")


def test_holm_corrects_for_tests_that_are_not_made_yet() -> None:
    # Holm's own example of three tests: multiply the smallest by 3, the next by 2, never below the one before.
    assert suite_page.holm([0.02, 0.01, 0.03], of=3) == pytest.approx([0.04, 0.03, 0.04])
    assert suite_page.holm([0.02, 0.01], of=4) == pytest.approx([0.06, 0.04])
    assert suite_page.holm([], of=4) == []


def test_subsets_of_a_seed_are_nested(data: Path, tmp_path: Path) -> None:
    from probtokens.data import TrajectorySet, split_folder

    fields = tuple(spec.name for spec in micro_tokens().fields)
    every = TrajectorySet.open(split_folder(data / "meso", "train"), fields, ("shock_pressure",))
    chosen = [suite.Task(suite.Cell("tokens", n, 4), every, every, tmp_path).chosen().names for n in (1, 2, 3)]
    assert set(chosen[0]) < set(chosen[1]) < set(chosen[2])


def test_unknown_models_are_named() -> None:
    with pytest.raises(ValueError, match=r"unet-4-0: expected one of the models \['tokens', .*\], got 'unet'"):
        suite.Cell.of("unet-4-0")


def test_readme_has_the_table_of_the_cells() -> None:
    cells = suite_page.read_cells(suite.OUT / "test")
    assert suite_page.short_table(cells) in Path("README.md").read_text(encoding="utf-8")
    assert suite_page.short_table(cells) in Path("docs/meso_results.md").read_text(encoding="utf-8")
