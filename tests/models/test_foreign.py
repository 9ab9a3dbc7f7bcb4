"""Forecasters of others: how they are found, what is refused, and what they are recognised by."""

import sys
from pathlib import Path

import numpy as np
import pytest

import probtokens as pt
from probtokens.config import load_config
from probtokens.config.forecast import installed_models
from probtokens.models.foreign import code_of, load_class, make_forecaster
from probtokens.pipeline.folder import RunFolder
from probtokens.pipeline.graph import build_stages
from probtokens.verify.token_pairs import FIELDS, window

MODULE = """
class Still:
    name = "still"
    deterministic = True
    def __init__(self, training):
        self.fields = training.fields
    def forecast(self, initial, context, *, grid, n_steps, n_draws, seed):
        for _ in range(n_steps):
            yield initial[None]

class Mute:
    def __init__(self, training):
        self.fields = training.fields

class Nameless(Still):
    def __init__(self, training):
        self.fields = training.fields
    name = property()

class Turned(Still):
    def __init__(self, training):
        self.fields = training.fields[::-1]

class Methodical(Still):
    def support(self):
        return None

class Greedy(Still):
    def __init__(self, training, validation):
        pass

class Hungry(Still):
    def __init__(self, training):
        raise RuntimeError("nothing to learn from")

number = 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return the name of a module in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    (tmp_path / "still_life.py").write_text(MODULE, encoding="utf-8")
    yield "still_life"
    sys.modules.pop("still_life", None)


@pytest.fixture(scope="module")
def training() -> pt.Trajectories:
    frames, context = window()
    return pt.Trajectories.from_arrays(frames, FIELDS, spacing=0.04, time_step=0.125, context={"shock_pressure": context[:, 0]})


def test_a_class_in_the_working_folder_forecasts(module: str, training: pt.Trajectories) -> None:
    model = make_forecaster(f"{module}:Still", training)
    ensemble = pt.rollout(model, training, steps=2)
    np.testing.assert_array_equal(ensemble.values[0, :, -1], [training.frames(number)[0] for number in range(len(training))])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("no_such_module:Model", "no_such_module:Model: expected a module 'no_such_module' to import, got ModuleNotFoundError"),
        ("still_life:Absent", "expected a class 'Absent' in 'still_life', got none"),
        ("still_life:number", "expected a class 'number' in 'still_life', got int"),
        ("still_life:Mute", "expected a Forecaster, which has a method forecast, got 'Mute', which has none"),
        ("still_life:Nameless", r"expected a Forecaster, got one without \['name'\]"),
        ("still_life:Turned", "expected the fields of the simulations .*, in this order, got"),
        ("still_life:Hungry", "expected a class that learns from 2 training simulations, got RuntimeError: nothing to learn from"),
        ("still_life:Greedy", "expected a class to be called with the training simulations alone, got missing a required argument"),
    ],
)
def test_what_is_no_forecaster_is_refused_by_name(module: str, training: pt.Trajectories, entry: str, message: str) -> None:
    with pytest.raises(ValueError, match=rf"rollout\.models: .*{message}"):
        make_forecaster(entry, training)


def test_a_module_that_breaks_is_told(module: str, tmp_path: Path) -> None:
    (tmp_path / "broken_life.py").write_text("raise RuntimeError('no licence')", encoding="utf-8")
    with pytest.raises(ValueError, match="expected a module 'broken_life' to import, got RuntimeError: no licence"):
        load_class("broken_life:Model")


def test_recipes_name_them(module: str) -> None:
    config = load_config(None, ["rollout.models=[persistence, 'still_life:Still']"])
    assert config.rollout.names == {"persistence": "persistence", "Still": "still_life:Still"}
    for wrong in ("still", "still_life.Still", "a:b:c", "../x:Y"):
        with pytest.raises(ValueError, match=r"expected one of \['tokens'.*or module:Class of your own"):
            load_config(None, [f"rollout.models=['{wrong}']"])
    with pytest.raises(ValueError, match="every name once"):
        load_config(None, ["rollout.models=['a:Still', 'b:Still']"])


def test_a_distribution_names_its_forecaster_and_counts_by_its_version(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "still_life-1.2.dist-info"
    info.mkdir()
    (info / "entry_points.txt").write_text("[probtokens.forecasters]\nstill = still_life:Still\n", encoding="utf-8")
    (info / "RECORD").write_text("still_life.py,,\n", encoding="utf-8")
    (info / "top_level.txt").write_text("still_life\n", encoding="utf-8")

    def known(version: str) -> dict:
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: still-life\nVersion: {version}\n", encoding="utf-8")
        return code_of("still")

    monkeypatch.syspath_prepend(str(tmp_path))
    installed_models.cache_clear()
    try:
        found = known("1.2")
        assert found["target"] == "still_life:Still"
        assert found["distribution"] == "still-life 1.2"
        assert load_config(None, ["rollout.models=[still]"]).rollout.names == {"still": "still"}
        assert load_class("still").__name__ == "Still"
        assert known("1.3") != found
    finally:
        installed_models.cache_clear()


def test_a_changed_module_makes_its_forecasts_again_and_no_others(module: str, tmp_path: Path) -> None:
    def settings() -> dict:
        config = load_config(None, ["rollout.models=[persistence, 'still_life:Still']"])
        return {stage.name: stage.settings for stage in build_stages(config, RunFolder(tmp_path / "run"))}

    before = settings()
    (tmp_path / "still_life.py").write_text(MODULE + "\n# changed\n", encoding="utf-8")
    after = settings()
    assert {name for name in after if after[name] != before[name]} == {"rollout_Still"}


def test_a_run_can_be_looked_at_where_its_module_is_not(tmp_path: Path) -> None:
    assert code_of("no.such:Model") == {"target": "no.such:Model", "distribution": None, "source": None}


def test_a_support_that_is_a_method_is_refused_when_it_is_made(module: str, training: pt.Trajectories) -> None:
    with pytest.raises(ValueError, match=r"still_life:Methodical: expected an attribute support, .* got a method; @property makes"):
        make_forecaster(f"{module}:Methodical", training)
