from typing import Any

import pytest

from probtokens.fields import HotSpot, field_spec
from probtokens.report.verdict import State, Verdict, judge
from tests.report.made_up import TIMES, document

HOT = HotSpot("temperature", 875.0)
FIELDS = {"temperature": "K", "pressure": "GPa"}
SPECS = [field_spec(name) for name in FIELDS]


def verdict(n_validation: int | None = None, change: Any = None, **scores: Any) -> Verdict:
    found = document(FIELDS, HOT, **scores)
    if change is not None:
        change(found["models"]["tokens"])
    return judge(found, "tokens", SPECS, n_validation)


def states(found: Verdict) -> set[State]:
    return {state for row in found.states.values() for state in row}


@pytest.mark.parametrize(
    ("scores", "state"),
    [
        ({}, State.RIGHT),
        ({"ratio": 0.6}, State.NARROW),
        ({"ratio": 1.5}, State.WIDE),
        ({"coverage": 0.75}, State.NARROW),
        ({"coverage": 0.99}, State.WIDE),
        ({"ratio": 0.6, "coverage": 0.99}, State.NARROW),
        ({"ratio": 0.75, "coverage": 0.83}, State.RIGHT),  # what chance explains
        ({"crps": 101.0}, State.USELESS),
        ({"crps": 100.0}, State.RIGHT),
    ],
)
def test_a_lead_is_judged_by_spread_coverage_and_persistence(scores: dict[str, float], state: State) -> None:
    found = verdict(**scores)
    assert states(found) == {state}
    assert found.times == TIMES
    assert [quantity.label for quantity in found.states] == ["temperature", "hot-spot area", "hot-spot temperature", "pressure"]


def test_without_chance_the_tolerance_holds_alone() -> None:
    def forget(entry: dict[str, Any]) -> None:
        for part in ("fields", "hotspot"):
            for scores in entry[part].values():
                scores["by_chance"] = None

    assert states(verdict(ratio=0.75, change=forget)) == {State.NARROW}
    assert states(verdict(ratio=0.85, coverage=0.86, change=forget)) == {State.RIGHT}


@pytest.mark.parametrize(("ratio", "answer"), [(1.0, "Yes: of all quantities and leads, 100 % right;"), (0.5, "No: of all quantities")])
def test_the_first_sentence_answers_with_shares_and_skill(ratio: float, answer: str) -> None:
    first = verdict(ratio=ratio).sentences[0]
    assert first.startswith(answer)
    assert "the temperature CRPS is 90 % below that of persistence (skill, 95 % interval: 90 to 90 %)." in first


def test_the_second_sentence_names_quantity_state_and_time() -> None:
    def narrow_early(entry: dict[str, Any]) -> None:
        entry["fields"]["pressure"]["by_lead"]["spread_skill"] = [0.5, 0.5, 1.0, 1.0]

    found = verdict(change=narrow_early)
    assert found.sentences[0].startswith("Mostly" if 14 / 16 < 0.9 else "Yes")
    assert found.sentences[1] == "Beware of pressure (too sure, 0.5 to 1 ns)."
    assert "No quantity is wrong" in verdict().sentences[1]
    assert "one more quantity fails" in verdict(ratio=0.5).sentences[1]


@pytest.mark.parametrize(
    ("scores", "n_validation", "words"),
    [
        ({}, None, "first frames of your own"),
        ({"n_simulations": 3}, None, "at least 6 test simulations (with 3,"),
        ({"ratio": 0.5}, None, "(evaluate.recalibrate)"),
        ({"ratio": 0.5}, 8, "train on more simulations than 4"),
        ({}, 2, "at least 6 validation simulations, not 2"),
        ({"crps": 200.0}, None, "train on more simulations than 4"),
    ],
)
def test_the_third_sentence_says_what_to_do(scores: dict[str, Any], n_validation: int | None, words: str) -> None:
    assert words in verdict(n_validation, **scores).sentences[2]


def test_a_deterministic_model_is_said_to_state_no_uncertainty() -> None:
    found = judge(document(FIELDS, HOT, models=("parc", "persistence")), "parc", SPECS)
    assert states(found) == {State.UNKNOWN}
    assert found.sentences[0].startswith("PARC states no uncertainty")
    assert "ensemble" in found.sentences[2]


def test_persistence_alone_is_not_beaten_by_itself() -> None:
    found = judge(document(FIELDS, HOT, models=("persistence",)), "persistence", SPECS)
    assert states(found) == {State.UNKNOWN}
    assert set(found.skills.values()) == {None}
