"""The runner: verdicts, numbers on file, cases that break."""

import io
import json

import pytest
import rich.console
from typer.testing import CliRunner

from probtokens.cli import app
from probtokens.verify import simulator
from probtokens.verify.check import Case, Check
from probtokens.verify.run import choose, run_cases

GOOD = Case("good", "Good", "arithmetic", lambda: (Check("p", "GPa", 1.0, 1.001, 0.01),))
BAD = Case("bad", "Bad", "arithmetic", lambda: (Check("p", "GPa", 1.0, 1.0, 0.01), Check("T", "K", 300.0, 400.0, 0.01)))
EMPTY = Case("empty", "Empty", "arithmetic", lambda: ())


def broken() -> tuple[Check, ...]:
    raise RuntimeError("no stable step")


BROKEN = Case("broken", "Broken", "arithmetic", broken)


def run(cases, out=None) -> tuple[bool, str]:
    stream = io.StringIO()
    return run_cases(cases, out, rich.console.Console(file=stream, width=200)), stream.getvalue()


def test_all_good_passes_and_says_so():
    passed, text = run([GOOD])
    assert passed
    assert "cases: 1, checks: 1, all passed" in text
    assert "+0.100 %" in text


@pytest.mark.parametrize("case", [BAD, BROKEN, EMPTY])
def test_failure_fails_the_whole_and_the_rest_goes_on(case):
    passed, text = run([case, GOOD])
    assert not passed
    assert f"failed: {case.name}" in text
    assert "good: Good" in text


def test_numbers_are_written(tmp_path):
    run([GOOD, BAD, BROKEN], tmp_path / "deep" / "verify.json")
    found = json.loads((tmp_path / "deep" / "verify.json").read_text(encoding="utf-8"))
    assert found["passed"] is False
    assert [case["passed"] for case in found["cases"]] == [True, False, False]
    assert found["cases"][1]["checks"][1] | {"error": None} == {
        "quantity": "T",
        "unit": "K",
        "expected": 300.0,
        "measured": 400.0,
        "tolerance": 0.01,
        "relation": "relative",
        "error": None,
        "passed": False,
    }
    assert "no stable step" in found["cases"][2]["problem"]
    assert {"version", "hardware"} <= set(found)


def test_unknown_case_is_an_error():
    assert [case.name for case in choose([GOOD, BAD], ["bad"])] == ["bad"]
    with pytest.raises(ValueError, match="expected one of"):
        choose([GOOD, BAD], ["worse"])


def test_command_exits_with_the_verdict(monkeypatch, tmp_path):
    monkeypatch.setattr(simulator, "CASES", (GOOD, BAD))
    good = CliRunner().invoke(app, ["verify", "simulator", "--case", "good", "--json", str(tmp_path / "v.json")])
    assert good.exit_code == 0
    assert json.loads((tmp_path / "v.json").read_text(encoding="utf-8"))["passed"] is True
    assert CliRunner().invoke(app, ["verify", "simulator"]).exit_code == 1
    assert CliRunner().invoke(app, ["verify", "simulator", "--case", "worse"]).exit_code == 2
