"""Folders whose simulations are not equally long: trained on to their ends, and scored over the frames that all have."""

from __future__ import annotations

from pathlib import Path

from probtokens.data import TrajectorySet
from probtokens.evaluate import load_scores
from probtokens.pipeline.commands import run_stages
from probtokens.pipeline.folder import RunFolder
from tests.helpers import make_campaign, make_shard
from tests.pipeline.recipes import TINY


def test_a_run_trains_on_and_scores_simulations_of_unequal_lengths(tmp_path: Path) -> None:
    campaign = make_campaign(tmp_path / "campaign", n_train=2, n_valid=2, n_test=2, n_times=5)
    for split, n_times in (("train", 9), ("valid", 7), ("test", 8)):
        make_shard(campaign / split / "longer.hdf5", n_simulations=2, n_times=n_times, seed=7)
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(TINY, encoding="utf-8")
    given = [f"data.micro={campaign}", "rollout.scale=micro", "rollout.models=[micro_tokens,persistence]", "micro.tokens.patch=8"]
    for command in ("simulate", "train micro", "rollout", "evaluate"):
        run_stages(command, recipe, tmp_path / "run", given)
    scores = load_scores(RunFolder(tmp_path / "run").scores)
    errors = scores["models"]["persistence"]["fields"]["temperature"]["by_simulation"]
    assert len(errors["simulation"]) == 4
    assert len(scores["models"]["micro_tokens"]["fields"]["temperature"]["by_lead"]["crps"]) == 4
    train = TrajectorySet.open(campaign / "train", ["temperature"], ["shock_pressure"])
    assert [train.length(i) for i in range(4)] == [9, 9, 5, 5]
