"""Every example script runs, one on the results of the other, with tiny arguments."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import xarray as xr
from typer.testing import CliRunner

from probtokens.cli import app
from probtokens.verify.simulator import CASES
from probtokens.verify.token_pairs import micro_tokens
from tests.helpers import make_campaign
from tests.pipeline.recipes import TINY

FIELDS = ("temperature", "pressure", "solid_fraction", "velocity_x", "velocity_y")
EXAMPLES = Path(__file__).parent.parent / "examples"


def run(script: str, *arguments: object) -> str:
    command = [sys.executable, str(EXAMPLES / script), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_here(script: str, *arguments: object) -> str:
    """The same in this process, which has imported all that takes seconds."""
    said = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(said):
        patch.setattr(sys, "argv", [script, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / script), run_name="__main__")
    return said.getvalue()


MISSION = ("train_micro_svi.py", "train_meso_svi.py", "posterior_predictive.py")


@pytest.mark.parametrize(
    ("fields", "run"),
    [(FIELDS, run), (("solid_fraction", "temperature"), run_here)],
    ids=["fields of the package", "own fields"],
)
def test_the_three_scripts_follow_one_another(fields: tuple[str, ...], run: Callable[..., str], tmp_path: Path) -> None:
    campaign = make_campaign(tmp_path / "campaign", n_train=2, n_valid=2, n_test=2)
    micro, meso, forecast = tmp_path / "micro.pt", tmp_path / "meso.pt", tmp_path / "forecast.nc"
    named = ("--fields", *fields)
    assert "wrote" in run(MISSION[0], campaign, *named, "--steps", 3, "--horizon", 2, "--batch-size", 2, "--out", micro)
    small = ("--simulations", 2, "--steps", 3, "--horizon", 2, "--batch-size", 2)
    assert "relative change" in run(MISSION[1], micro, campaign, *named, *small, "--out", meso)
    out = run(MISSION[2], meso, campaign, *named, "--steps", 5, "--draws", 8, "--out", forecast)
    assert out.count("spread/skill") == len(fields)
    with xr.open_datatree(forecast, engine="h5netcdf") as tree:
        assert set(tree["posterior_predictive"].data_vars) == set(tree["observed_data"].data_vars) == set(fields)
        assert tree["posterior"]["scale"].sizes["draw"] == 8
        assert tree["log_likelihood"]["frames"].dims == ("chain", "draw", "simulation")


@pytest.mark.parametrize("script", MISSION)
def test_the_three_scripts_are_short(script: str) -> None:
    """At most 20 lines of code without imports and argument parser."""
    (main,) = (node for node in ast.parse((EXAMPLES / script).read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef))
    lines = {line for node in ast.walk(main) if isinstance(node, ast.stmt) and node is not main for line in (node.lineno, node.end_lineno)}
    assert len(lines) <= 20


def test_other_scales_are_scored_in_the_same_cells_and_at_the_same_times(tmp_path: Path) -> None:
    campaign = make_campaign(tmp_path / "campaign", n_train=2, n_valid=2, n_test=2, n_times=5)
    micro_tokens().save(tmp_path / "micro.pt")
    run_here("other_scales.py", tmp_path / "micro.pt", campaign, "--simulations", 2, "--draws", 3, "--out", tmp_path / "out")
    document = json.loads((tmp_path / "out" / "numbers.json").read_text(encoding="utf-8"))
    rows = {name: {key: row[key] for key in ("rmse", "crps", "spread_skill")} for name, row in document["rows"].items() if len(row) == 5}
    assert document["scored"] == {"cell": pytest.approx(0.08), "frame_step": pytest.approx(0.25), "times": 2}
    assert rows["every second frame"] == rows["as learned"]
    assert rows["both"] == rows["cells of twice the width"] != rows["as learned"]
    assert rows["every second frame, taken for every one"] != rows["as learned"]
    assert (tmp_path / "out" / "table.md").read_text(encoding="utf-8").count("\n") == 8


@pytest.mark.slow
def test_the_simulators_page_is_collected_from_a_run_and_a_verification(tmp_path: Path) -> None:
    recipe, run_folder, out = tmp_path / "tiny.yaml", tmp_path / "run", tmp_path / "out"
    recipe.write_text(TINY, encoding="utf-8")
    for command in (["simulate", recipe, "--out", run_folder], ["simulate", recipe, "--out", run_folder, "--preview"]):
        assert CliRunner().invoke(app, [*map(str, command)]).exit_code == 0
    assert CliRunner().invoke(app, ["inspect", str(run_folder), "--coverage"]).exit_code == 0
    cases = ["--case=interface", "--case=hugoniot_menikoff_sewell", "--case=hugoniot_lasl"]
    assert CliRunner().invoke(app, ["verify", "simulator", *cases, "--json", str(out / "verify.json")]).exit_code == 0
    assert "wrote" in run("collect_simulator.py", run_folder, out, "--spacing", 0.12)
    table = (out / "verify.md").read_text(encoding="utf-8")
    assert sum(case.title in table for case in CASES) == 3
    numbers = json.loads((out / "numbers.json").read_text(encoding="utf-8"))
    assert numbers["campaign_curves"]["meso"]["simulations"] == 3
    assert len(list(out.glob("*.png"))) == 8
