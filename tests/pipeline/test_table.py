import io

import rich.console

from probtokens.pipeline.table import score_table

FIELD = {"rmse": 52.31, "crps": 21.0, "spread_skill": 0.953, "coverage_90": 0.884}
DETERMINISTIC = {"rmse": 61.0, "crps": 44.0, "spread_skill": None}
SCORES = {
    "n_test": 6,
    "members": 50,
    "provenance": {},
    "hotspot": {"field": "temperature", "threshold": 875.0},
    "units": {"fields": {"temperature": "K"}, "hotspot": {"area": "µm²", "temperature": "K"}},
    "models": {
        "micro_tokens": {
            "n_meso": 0,
            "fields": {"temperature": FIELD},
            "hotspot": {"area": {"crps": 0.0312}, "temperature": {"crps": 118.4}},
        },
        "persistence": {
            "n_meso": None,
            "fields": {"temperature": DETERMINISTIC},
            "hotspot": {"area": {"crps": 0.2}, "temperature": {"crps": None}},
        },
    },
}


def test_the_table_fits_a_narrow_terminal_and_says_the_units():
    stream = io.StringIO()
    rich.console.Console(file=stream, width=80).print(score_table(SCORES))
    lines = [line.split() for line in stream.getvalue().splitlines()]
    assert "Test scores: 6 simulations, 50 members" in stream.getvalue()
    assert "T: temperature; hs: where T > 875 K" in stream.getvalue()
    assert ["model", "runs", "[K]", "[K]", "/skill", "90", "%", "[µm²]", "[K]"] in lines
    assert ["micro_tokens", "0", "52.31", "21", "0.95", "0.88", "0.0312", "118"] in lines
    assert ["persistence", "–", "61", "44", "–", "–", "0.2", "–"] in lines


def test_a_line_below_the_table_has_the_evidence_bounds_of_models_with_a_guide():
    bound = {"window_frames": 8, "samples": 4, "simulations": 6, "mean": -3.2, "standard_error": 0.25, "unit": "nats per value"}
    models = SCORES["models"] | {"micro_tokens": SCORES["models"]["micro_tokens"] | {"evidence_bound": bound}}
    with_bound, without = io.StringIO(), io.StringIO()
    for stream, scores in ((with_bound, SCORES | {"models": models}), (without, SCORES)):
        rich.console.Console(file=stream, width=80).print(score_table(scores))
    text = " ".join(with_bound.getvalue().split())
    assert "Log-evidence bound in nats per value, higher is better: micro_tokens -3.20 ± 0.25 (first 8 frames of 6" in text
    assert "persistence -" not in text
    assert "vidence" not in without.getvalue()


def test_the_table_says_that_simulations_have_been_seen_before():
    stream = io.StringIO()
    again = {"duplicates": ["micro/train a/0 = meso/test a/0"]}
    rich.console.Console(file=stream, width=200).print(score_table(SCORES | {"provenance": again}))
    text = " ".join(stream.getvalue().split())
    assert "One simulation is in several splits, so these scores are not of unseen simulations: ['micro/train a/0 = meso" in text


def test_the_table_says_that_spread_was_recalibrated():
    models = {
        name: entry | {"uncalibrated": {"fields": {"temperature": {"spread_skill": before}}}}
        for (name, entry), before in zip(SCORES["models"].items(), (0.62, None), strict=True)
    }
    stream = io.StringIO()
    rich.console.Console(file=stream, width=200).print(score_table(SCORES | {"models": models}))
    text = " ".join(stream.getvalue().split())
    assert "Spread recalibrated on validation simulations; spread/skill was micro_tokens 0.62 before." in text
    stream = io.StringIO()
    rich.console.Console(file=stream, width=200).print(score_table(SCORES))
    assert "ecalibrated" not in stream.getvalue()
