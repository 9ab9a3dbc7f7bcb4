"""The ablation of a run of micro tokens: what is in it, what it reads, and what it refuses."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from probtokens.pipeline.ablation import ablate_micro, ablation_table
from probtokens.pipeline.commands import run_stages
from probtokens.pipeline.folder import RunFolder
from tests.helpers import make_campaign
from tests.pipeline.recipes import TINY

SCRIPT = Path(__file__).parents[2] / "examples" / "ablate_micro.py"
STAGES = ["00_reconstruction", "01_transition", "02_rollout"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """Tiny micro tokens of given simulations whose test split is then taken away."""
    root = tmp_path_factory.mktemp("ablation")
    campaign = make_campaign(root / "campaign", n_train=2, n_valid=3, n_test=1)
    recipe = root / "tiny.yaml"
    recipe.write_text(TINY, encoding="utf-8")
    given = [f"data.micro={campaign}", "rollout.scale=micro", "rollout.models=[micro_tokens]", "micro.tokens.patch=8"]
    for command in ("simulate", "train micro"):
        run_stages(command, recipe, root / "run", given)
    shutil.rmtree(campaign / "test")
    return RunFolder(root / "run")


@pytest.fixture
def copied(trained: RunFolder, tmp_path: Path) -> RunFolder:
    """The same run, to be spoiled."""
    shutil.copytree(trained.root, tmp_path / "run")
    return RunFolder(tmp_path / "run")


def silent(done: int, total: int, text: str = "") -> None:
    pass


def test_rows_are_stages_and_sources_on_validation_simulations_alone(trained: RunFolder) -> None:
    calls: list[tuple[int, int, str]] = []
    numbers = ablate_micro(trained, progress=lambda done, total, text="": calls.append((done, total, text)))
    assert {key: numbers[key] for key in ("split", "simulations", "members", "field", "leads")} == {
        "split": "valid",
        "simulations": 3,
        "members": 4,
        "field": "temperature",
        "leads": [1, 5],
    }
    assert numbers["time"] == pytest.approx([0.125, 0.625])
    assert set(numbers["provenance"]) == {"version", "name", "seed", "data", "versions", "hardware"}
    assert list(numbers["stages"]) == STAGES
    assert len({tuple(row["rmse"]) for row in numbers["stages"].values()}) == 3
    assert numbers["sources"]["all"] == {**numbers["stages"][STAGES[-1]], "variance_share": [1.0, 1.0]}
    assert len(numbers["sources"]) == 10
    assert set(numbers["gains"]) == {*STAGES[1:], *numbers["sources"]} - {"all"}
    assert set(numbers["gains"]["none"]) == {"crps"}  # a single member
    low, value, high = sorted(numbers["gains"][STAGES[1]]["crps"])
    crps = [np.mean(numbers["stages"][stage]["crps"]) for stage in STAGES[:2]]
    assert low < high
    assert numbers["gains"][STAGES[1]]["crps"][0] == pytest.approx(value) == pytest.approx(1 - crps[1] / crps[0])
    assert [done for done, _, _ in calls] == list(range(1, 3 * (3 + 9) + 1))
    assert calls[-1] == (36, 36, "none")


def test_other_fields_fewer_simulations_and_more_members_can_be_asked_for(trained: RunFolder) -> None:
    numbers = ablate_micro(trained, field="pressure", members=3, simulations=1, progress=silent)
    assert (numbers["units"]["rmse"], numbers["members"], numbers["simulations"]) == ("GPa", 3, 1)


def test_the_script_writes_numbers_and_their_table_whole(trained: RunFolder, tmp_path: Path) -> None:
    out = tmp_path / "results"
    command = [sys.executable, str(SCRIPT), str(trained.root), "--out", str(out), "--members", "2", "--simulations", "1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    assert "ablation: done in" in done.stderr
    assert {path.name for path in out.iterdir()} == {"ablation.json", "ablation.md"}
    numbers = json.loads((out / "ablation.json").read_text(encoding="utf-8"))
    table = (out / "ablation.md").read_text(encoding="utf-8")
    assert table == ablation_table(numbers)
    assert str(trained.root) not in table + json.dumps(numbers)


def test_a_cell_of_the_table_has_every_lead() -> None:
    row = {"rmse": [12.4, 250.6], "crps": [3.21, 40.0], "spread_skill": [1.234, None], "coverage_90": [0.875, 1.0]}
    document = {
        "provenance": {"seed": 7},
        "field": "temperature",
        "simulations": 3,
        "members": 4,
        "leads": [1, 5],
        "units": {"rmse": "K"},
        "stages": {"00_start": row},
        "sources": {"all": {**row, "variance_share": [1.0, 0.25]}},
        "gains": {"00_start": {"crps": [0.021, -0.01, 0.05]}},
    }
    assert ablation_table(document).splitlines() == [
        "Scores of temperature in 3 validation simulations, 4 members, seed 7; numbers of a cell are leads 1, 5. CRPS saved is over the "
        "stage before, or over all sources, and miscoverage is what |coverage - 0.9| falls by; with 95 % intervals over simulations.",
        "",
        "| after stage | RMSE [K] | CRPS [K] | spread/skill | 90 % covers | CRPS saved [%] | miscoverage saved |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| 00_start | 12 · 251 | 3.2 · 40.0 | 1.23 · – | 0.88 · 1.00 | 2.1 (-1.0 to 5.0) | – |",
        "",
        "| drawn from | RMSE [K] | CRPS [K] | spread/skill | 90 % covers | share of the variance | CRPS saved [%] | miscoverage saved |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
        "| all | 12 · 251 | 3.2 · 40.0 | 1.23 · – | 0.88 · 1.00 | 1.00 · 0.25 | – | – |",
    ]


def test_a_missing_or_damaged_checkpoint_is_named(copied: RunFolder) -> None:
    path = copied.training("micro") / "01_transition.pt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"01_transition\.pt: expected the weights of a training stage, got an unreadable file"):
        ablate_micro(copied, progress=silent)
    path.unlink()
    with pytest.raises(ValueError, match=r"micro/01_transition\.pt: expected the weights of a training stage, found no file"):
        ablate_micro(copied, progress=silent)
    copied.model("micro").unlink()
    with pytest.raises(ValueError, match=r"model\.pt: expected a micro model, found no file"):
        ablate_micro(copied, progress=silent)


def test_checkpoints_of_another_model_or_training_are_named(copied: RunFolder) -> None:
    first, last = (copied.training("micro") / f"{name}.pt" for name in (STAGES[0], STAGES[-1]))
    shutil.copy(first, last)
    with pytest.raises(ValueError, match=r"02_rollout\.pt: expected the weights of .*model\.pt, got others"):
        ablate_micro(copied, progress=silent)
    torch.save({"weight": torch.zeros(2)}, first)
    with pytest.raises(ValueError, match=r"00_reconstruction\.pt: expected weights of the same MicroTokens, got those of another model"):
        ablate_micro(copied, progress=silent)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"members": 1}, "members: expected >= 2, got 1"),
        ({"field": "density"}, "field 'density': expected one of"),
        ({"simulations": 4}, r"subset: expected indices in 0\.\.2, got \[3\]"),
        ({"simulations": 0}, "trajectories: expected at least 1"),
    ],
)
def test_requests_that_do_not_fit_are_refused(trained: RunFolder, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ablate_micro(trained, progress=silent, **options)
