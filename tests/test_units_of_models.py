"""Fields and scalars in other units than a model's are refused wherever frames meet models in Python."""

from __future__ import annotations

from typing import Any

import pytest

import probtokens as pt
from probtokens.models.micro import MicroTokens
from probtokens.verify.token_pairs import FIELDS, micro_tokens, window


def trajectories(*, pressure: str = "GPa", shock: str = "GPa") -> pt.Trajectories:
    frames, context = window()
    units = {spec.name: spec.unit for spec in FIELDS} | {"pressure": pressure}
    return pt.Trajectories.from_arrays(
        frames, units, spacing="0.04 µm", time_step="0.125 ns", context={"shock_pressure": (context[:, 0], shock)}
    )


@pytest.fixture
def model() -> MicroTokens:
    return micro_tokens()


def test_the_own_units_are_taken_however_they_are_written(model: MicroTokens) -> None:
    given = trajectories(pressure="gigapascal", shock="GPa")
    assert pt.score(pt.rollout(model, given, steps=2, draws=2), given)["fields"]


@pytest.mark.parametrize(
    ("units", "message"),
    [
        ({"pressure": "kbar"}, "pressure: expected the unit 'GPa', as the model has it, got 'kbar'"),
        ({"shock": "kbar"}, "shock_pressure: expected the unit 'GPa', as the model has it, got 'kbar'"),
    ],
)
def test_other_units_of_trajectories_are_refused(model: MicroTokens, units: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"trajectories: {message}"):
        pt.rollout(model, trajectories(**units), steps=2, draws=2)


def test_other_units_of_a_truth_and_of_training_are_refused(model: MicroTokens) -> None:
    other = trajectories(pressure="kbar")
    ensemble = pt.rollout(model, trajectories(), steps=2, draws=2)
    with pytest.raises(ValueError, match="truth: pressure: expected the unit 'GPa', as the model has it, got 'kbar'"):
        pt.score(ensemble, other)
    with pytest.raises(ValueError, match="trajectories: pressure: expected the unit 'GPa', as the model has it, got 'kbar'"):
        pt.fit(model, other, pt.Elbo(), steps=1)


def test_first_frames_of_an_ensemble_tell_their_units(model: MicroTokens) -> None:
    ensemble = pt.rollout(model, trajectories(), steps=2, draws=2)
    last = ensemble.isel(draw=0, time=-1, drop=True)
    pt.rollout(model, last, steps=1, draws=2)
    units = ["kbar" if name == "pressure" else unit for name, unit in zip(last["field"].values, last["field_unit"].values, strict=True)]
    with pytest.raises(ValueError, match="first_frames: pressure: expected the unit 'GPa', as the model has it, got 'kbar'"):
        pt.rollout(model, last.assign_coords(field_unit=("field", units)), steps=1, draws=2)
