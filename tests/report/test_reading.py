import json
from pathlib import Path
from typing import Any

import pytest

from probtokens.report.reading import plain_reading


@pytest.fixture
def document(run_folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((run_folder / "scores.json").read_text(encoding="utf-8"))
    return loaded


def scale(entry: dict[str, Any], factor: float) -> None:
    """Multiply the temperature errors of one model."""
    scores = entry["fields"]["temperature"]
    for node in (scores, scores["by_simulation"]):
        for key in ("rmse", "crps"):
            node[key] = [factor * v for v in node[key]] if isinstance(node[key], list) else factor * node[key]


def test_says_when_a_baseline_wins(document: dict[str, Any]) -> None:
    scale(document["models"]["parc"], 1e-3)
    text = " ".join(plain_reading(document, "tokens"))
    assert "best temperature forecast is that of PARC" in text
    assert "A baseline wins here." in text
    assert "Against PARC the temperature CRPS of meso tokens is" in text
    assert "% higher" in text


def test_says_when_the_model_wins(document: dict[str, Any]) -> None:
    scale(document["models"]["tokens"], 1e-3)
    text = " ".join(plain_reading(document, "tokens"))
    assert "best temperature forecast is that of meso tokens" in text
    assert "baseline wins" not in text


def test_warns_of_chance_with_few_simulations(document: dict[str, Any]) -> None:
    text = " ".join(plain_reading(document, "tokens"))
    assert "may be chance" in text
    assert "With 2 test simulations" in text


@pytest.mark.parametrize(("ratio", "words"), [(0.5, "too narrow"), (1.0, "about right"), (1.6, "too wide")])
def test_judges_the_spread(document: dict[str, Any], ratio: float, words: str) -> None:
    document["models"]["tokens"]["fields"]["temperature"]["spread_skill"] = ratio
    assert any(words in sentence for sentence in plain_reading(document, "tokens"))


def test_tells_the_evidence_bounds_that_there_are(document: dict[str, Any]) -> None:
    assert "vidence" not in " ".join(plain_reading(document, "tokens"))
    bound = {"window_frames": 8, "samples": 4, "simulations": 2, "mean": -3.2, "standard_error": 0.25, "unit": "nats per value"}
    document["models"]["tokens"]["evidence_bound"] = bound
    (told,) = (sentence for sentence in plain_reading(document, "tokens") if "vidence" in sentence)
    assert "higher is better: meso tokens -3.20 ± 0.25 (first 8 frames of 2 simulations" in told
    assert "PARC" not in told


def test_undefined_scores_are_left_out(document: dict[str, Any]) -> None:
    scores = document["models"]["tokens"]
    scores["fields"]["temperature"].update(coverage_90=None, spread_skill=None)
    scores["hotspot"]["area"].update(rmse=None, coverage_90=None)
    text = " ".join(plain_reading(document, "tokens"))
    assert "nan" not in text
    assert "Hot-spot area" not in text


def test_says_first_that_simulations_have_been_seen_before(document: dict[str, Any]) -> None:
    assert "several splits" not in " ".join(plain_reading(document, "tokens"))
    document["provenance"]["duplicates"] = ["micro/train a/0 = meso/test a/0"]
    assert plain_reading(document, "tokens")[0].startswith("One simulation is in several splits")


def test_tells_of_extrapolation(document: dict[str, Any]) -> None:
    entry = document["models"]["tokens"]
    assert not any("extrapolation" in sentence for sentence in plain_reading(document, "tokens"))
    entry["fields"]["temperature"]["by_lead"]["outside"] = [0.0, 0.032]
    entry["fields"]["pressure"]["by_lead"]["outside"] = [0.2, 0.0]
    text = " ".join(plain_reading(document, "tokens"))
    assert (
        "At the last lead draws of meso tokens have left the training range, temperature in 3.2 % of the cells: this is extrapolation."
        in text
    )
    entry["extrapolation"] = {"meso_001": "shock_pressure 40"}
    text = " ".join(plain_reading(document, "tokens"))
    assert "1 of 2 test simulations begins outside of the training range of meso tokens; at the last lead " in text


def test_tells_what_conformal_bands_hold(document: dict[str, Any]) -> None:
    area = document["models"]["tokens"]["hotspot"]["area"]
    area |= {"coverage_90": 0.613, "conformal_90": 0.927}
    sentences = plain_reading(document, "tokens")
    assert any("holds the truth 61 % of the time, the conformal one 93 %." in text for text in sentences)
    del area["conformal_90"]
    assert not any("conformal" in text for text in plain_reading(document, "tokens"))
