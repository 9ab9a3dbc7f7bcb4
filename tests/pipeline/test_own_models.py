"""The class of the page "Add your model" in a run: forecast, scored and reported beside the package's."""

import re
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from probtokens import cli
from probtokens.evaluate import load_scores
from tests.helpers import make_campaign

PAGE = Path("docs/own_models.md")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return a working folder with the page's module, simulations and a recipe."""
    code = re.search(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert code is not None
    assert len(code.group(1).splitlines()) <= 21
    (tmp_path / "damped.py").write_text(code.group(1), encoding="utf-8")
    data = make_campaign(tmp_path / "data")
    (tmp_path / "recipe.yaml").write_text(
        f"data: {{micro: {data}, meso: {data}}}\nreport: {{animation: false}}\nmeso: {{n_simulations: 1}}\n"
        "rollout: {models: [persistence, 'damped:Damped'], members: 6}\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    sys.modules.pop("damped", None)


def test_it_is_scored_and_reported_beside_the_others(folder: Path) -> None:
    result = CliRunner().invoke(cli.app, ["run", "recipe.yaml", "--out", "run"])
    assert result.exit_code == 0, result.output
    scores = load_scores(folder / "run" / "scores.json")
    assert set(scores["models"]) == {"persistence", "Damped"}
    own = scores["models"]["Damped"]
    assert (own["members"], own["n_meso"]) == (6, 1)
    assert not any("evidence_bound" in entry for entry in scores["models"].values()), "neither has a guide"
    assert own["fields"]["temperature"]["spread_skill"] > 0.0
    assert scores["provenance"]["own models"]["Damped"]["target"] == "damped:Damped"
    assert (folder / "run" / "rollouts" / "Damped_test.zarr").is_dir()
    report = (folder / "run" / "report.html").read_text(encoding="utf-8")
    assert "Against persistence the temperature CRPS of Damped is" in report
    again = CliRunner().invoke(cli.app, ["run", "recipe.yaml", "--out", "run"])
    assert "rollout Damped: up to date" in again.stderr


def test_a_missing_module_is_refused_before_anything_is_made(folder: Path) -> None:
    (folder / "damped.py").unlink()
    result = CliRunner().invoke(cli.app, ["run", "recipe.yaml", "--out", "run"])
    assert result.exit_code == 2
    assert "rollout.models: damped:Damped: expected a module 'damped' to import" in result.stderr
    assert not (folder / "run").exists()


HEAD, FRAME = "    def forecast(self, ", "            noise = "


@pytest.mark.parametrize(("error", "code"), [("RuntimeError", 1), ("ValueError", 2)])
@pytest.mark.parametrize("at_once", [True, False])
def test_an_error_of_it_tells_whose_it_is(folder: Path, error: str, code: int, at_once: bool) -> None:
    source, raising = (folder / "damped.py").read_text(encoding="utf-8"), f"raise {error}('shapes differ')\n"
    early = source.replace(HEAD, f"    def forecast(self, *given, **more):\n        {raising}\n    def other(self, ")
    late = source.replace(FRAME, f"            {raising}{FRAME}")
    (folder / "damped.py").write_text(early if at_once else late, encoding="utf-8")
    result = CliRunner().invoke(cli.app, ["run", "recipe.yaml", "--out", "run"])
    assert result.exit_code == code
    assert "shapes differ, in the forecast of damped" in result.stderr
