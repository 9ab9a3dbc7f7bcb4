"""Every example script runs, one on the results of the other, with tiny arguments."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.helpers import make_campaign

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(script: str, *arguments: object) -> str:
    command = [sys.executable, str(EXAMPLES / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_three_scripts_follow_one_another(tmp_path: Path) -> None:
    campaign = make_campaign(tmp_path / "campaign", n_train=2, n_valid=2, n_test=2)
    micro, meso = tmp_path / "micro.pt", tmp_path / "meso.pt"
    assert "wrote" in run("train_micro_svi.py", campaign, "--steps", 3, "--horizon", 2, "--batch-size", 2, "--out", micro)
    small = ("--simulations", 2, "--steps", 3, "--horizon", 2, "--batch-size", 2)
    assert "median |s|" in run("train_meso_svi.py", micro, campaign, *small, "--out", meso)
    out = run("posterior_predictive.py", meso, campaign, "--steps", 3, "--draws", 8)
    assert len(out.splitlines()) == 5
