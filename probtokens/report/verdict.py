"""Can the forecast be trusted, where not, and what next? Answers by rules that are stated, from the scores alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby
from typing import Any

from probtokens.evaluate import compare_models
from probtokens.fields import FieldSpec
from probtokens.report.style import model_label
from probtokens.report.wording import Quantity, Wording, listing
from probtokens.units import OUR_UNITS, in_unit

#: Spread/skill, and distance from a nominal coverage, of an ensemble that is right.
SPREAD_TARGET = (0.8, 1.2)
COVERAGE_TOLERANCE = 0.05
#: Fewest test simulations that a verdict, and validation simulations that a recalibration, may rest on.
FEWEST_TEST, FEWEST_VALIDATION = 6, 6
#: Shares of leads and quantities from which the answer is yes, mostly or in part, and faults that call for an answer.
_ANSWERS = ((0.9, "Yes"), (0.6, "Mostly"), (0.3, "In part"), (0.0, "No"))
_MANY = 0.1
_NAMED = 3


class State(StrEnum):
    """What a forecast of one quantity is at one lead."""

    RIGHT = "right"
    NARROW = "too sure"
    WIDE = "too unsure"
    USELESS = "no better than persistence"
    UNKNOWN = "not defined"


@dataclass(frozen=True)
class Verdict:
    """The answers, and what they rest on.

    Attributes
    ----------
    sentences
        Whether the forecast can be trusted, where it cannot, and what to do next.
    times, time_unit
        Times of all leads, and their unit.
    states
        States of every quantity, lead by lead.
    skills
        Skill of every quantity: 1 − CRPS / CRPS of persistence over all leads; ``None`` where persistence was not scored or makes no error.
    """

    sentences: tuple[str, str, str]
    times: list[float]
    states: dict[Quantity, list[State]]
    skills: dict[Quantity, float | None]
    time_unit: str = OUR_UNITS.time


def judge(document: Mapping[str, Any], primary: str, specs: Sequence[FieldSpec], n_validation: int | None = None) -> Verdict:
    """Verdict on a model.

    At a lead, a quantity is right if spread/skill is in 0.8 … 1.2 and coverage within 5 points of nominal, or both within what chance
    leaves nine of ten forecasters that are right, and its CRPS is no higher than that of persistence.

    Parameters
    ----------
    document
        Content of ``scores.json``.
    specs
        The fields.
    n_validation
        Simulations that the spread was recalibrated on; ``None`` if it was not.
    """
    models, wording = document["models"], Wording.of(document)
    entry, reference = models[primary], models.get("persistence") if primary != "persistence" else None
    states: dict[Quantity, list[State]] = {}
    skills: dict[Quantity, float | None] = {}
    for quantity in wording.quantities(specs):
        scores = entry[quantity.part][quantity.name]
        other = None if reference is None else reference[quantity.part][quantity.name]
        states[quantity] = _states(scores, other)
        known = other is not None and other["crps"] and scores["crps"] is not None
        skills[quantity] = 1 - scores["crps"] / other["crps"] if known and other is not None else None
    times = next(iter(entry["fields"].values()))["by_lead"]["time"]
    sentences = (
        _trust(document, primary, states, wording),
        _faults(states, times, wording.time_unit),
        _next(document, primary, states, n_validation),
    )
    return Verdict(sentences, times, states, skills, wording.time_unit)


def _states(scores: Mapping[str, Any], reference: Mapping[str, Any] | None) -> list[State]:
    """State at every lead."""
    by_lead, chance = scores["by_lead"], scores.get("by_chance")
    level = _judged_level(by_lead)
    ranges = {"spread_skill": SPREAD_TARGET}
    if level is not None:
        ranges[f"coverage_{level:g}"] = (level / 100 - COVERAGE_TOLERANCE, level / 100 + COVERAGE_TOLERANCE)
    states = []
    for lead, crps in enumerate(by_lead["crps"]):
        beaten = reference is not None and _exceeds(crps, reference["by_lead"]["crps"][lead])
        signs = [_side(by_lead[key][lead], limits, None if chance is None else chance[key], lead) for key, limits in ranges.items()]
        if beaten:
            states.append(State.USELESS)
        elif signs[0] is None:
            states.append(State.UNKNOWN)
        else:
            # A narrow spread and a high coverage go together where few cells hold all the error: being too sure is worse.
            told = [sign for sign in signs if sign is not None]
            states.append(State.NARROW if min(told) < 0 else State.WIDE if max(told) > 0 else State.RIGHT)
    return states


def _judged_level(by_lead: Mapping[str, Any]) -> float | None:
    """Widest central interval whose coverage was told, in per cent."""
    return max((float(key.removeprefix("coverage_")) for key in by_lead if key.startswith("coverage_")), default=None)


def _side(value: float | None, limits: tuple[float, float], chance: Mapping[str, Any] | None, lead: int) -> int | None:
    """-1 below, 1 above, 0 within the limits and what chance adds to them; ``None`` without a value."""
    if value is None:
        return None
    low, high = limits
    if chance is not None and chance["lower"][lead] is not None:
        low, high = min(low, chance["lower"][lead]), max(high, chance["upper"][lead])
    return -1 if value < low else 1 if value > high else 0


def _exceeds(crps: float | None, other: float | None) -> bool:
    return crps is not None and other is not None and crps > other


def _share(states: Mapping[Quantity, Sequence[State]], *wanted: State) -> float:
    known = [state for row in states.values() for state in row if state is not State.UNKNOWN]
    return sum(state in wanted for state in known) / len(known) if known else 0.0


def _trust(document: Mapping[str, Any], primary: str, states: Mapping[Quantity, Sequence[State]], wording: Wording) -> str:
    text = f"{model_label(primary)} states no uncertainty, so nobody can tell from it how far it is off"
    if document["models"][primary]["members"] > 1:
        shares = {state: _share(states, state) for state in State if state is not State.UNKNOWN}
        answer = next(word for least, word in _ANSWERS if shares[State.RIGHT] >= least)
        parts = [f"{100 * share:.0f} % {state}" for state, share in shares.items() if share or state is State.RIGHT]
        text = f"{answer}: of all quantities and leads, {listing(parts)}"
    return f"{text}{_skill(document, primary, wording)}."


def _skill(document: Mapping[str, Any], primary: str, wording: Wording) -> str:
    """CRPS of the hot spots' field beside that of persistence, with its interval over simulations."""
    if primary == "persistence" or "persistence" not in document["models"] or document["n_test"] < 2:
        return ""
    result = compare_models(document, primary, "persistence", "fields", wording.spec.name)
    low, high = (f"{100 * value:.0f}" for value in (result.skill_low, result.skill_high))
    side = "below" if result.skill >= 0 else "above"
    number = f"{abs(100 * result.skill):.0f} % {side} that of persistence"
    return f"; the {wording.spec.label} CRPS is {number} (skill, 95 % interval: {low} to {high} %)"


def _faults(states: Mapping[Quantity, Sequence[State]], times: Sequence[float], time_unit: str) -> str:
    """Quantities with most leads at fault, and where."""
    faulty = []
    for quantity, row in states.items():
        runs: list[tuple[int, State, int, int]] = []
        start = 0
        for state, group in groupby(row):
            end = start + len(list(group))
            if state not in (State.RIGHT, State.UNKNOWN):
                runs.append((end - start, state, start, end - 1))
            start = end
        if runs:
            length, state, first, last = max(runs, key=lambda run: run[0])
            span = f"{times[first]:.3g}" if first == last else f"{times[first]:.3g} to {times[last]:.3g}"
            faulty.append((sum(run[0] for run in runs), length, f"{quantity.label} ({state}, {in_unit(span, time_unit)})"))
    if not faulty:
        return "No quantity is wrong at any lead by more than tolerance and chance."
    named = [text for *_, text in sorted(faulty, key=lambda found: -found[0])[:_NAMED]]
    more = len(faulty) - len(named)
    rest = {0: "", 1: "; one more quantity fails at some leads"}.get(more, f"; {more} more quantities fail at some leads")
    return f"Beware of {listing(named)}{rest}."


def _next(document: Mapping[str, Any], primary: str, states: Mapping[Quantity, Sequence[State]], n_validation: int | None) -> str:
    """At most two things to do, by rules in order of weight."""
    wrong, useless = _share(states, State.NARROW, State.WIDE), _share(states, State.USELESS)
    learned = document["models"][primary]["n_meso"]
    more = "train on more simulations" + ("" if learned is None else f" than {learned}")
    rules = [
        (document["models"][primary]["members"] < 2, "forecast with a model that has an ensemble"),
        (
            document["n_test"] < FEWEST_TEST,
            f"score at least {FEWEST_TEST} test simulations (with {document['n_test']}, chance hides all but gross faults)",
        ),
        (
            n_validation is not None and n_validation < FEWEST_VALIDATION,
            f"recalibrate on at least {FEWEST_VALIDATION} validation simulations, not {n_validation}",
        ),
        (
            n_validation is None and wrong > _MANY,
            f"recalibrate on at least {FEWEST_VALIDATION} validation simulations (evaluate.recalibrate)",
        ),
        (useless > _MANY or (n_validation is not None and wrong > _MANY), more),
    ]
    todo = [text for holds, text in rules if holds][:2]
    return f"Next: {listing(todo)}." if todo else "Next: forecast first frames of your own, within the ranges that are shown below."
