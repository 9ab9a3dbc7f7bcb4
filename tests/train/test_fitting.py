"""Training from Python: the same as by stages of a recipe, with a history."""

from __future__ import annotations

import doctest
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch

import probtokens as pt
from probtokens.config import ElboStage, ReconstructionStage
from probtokens.train import fitting, loop, stages, train_stages
from probtokens.train.objectives import InferenceCompilation, LatentError, Objective, Reconstruction, RolloutError
from probtokens.train.validation import forecast_score
from probtokens.verify.token_pairs import FIELDS, GRID, micro_tokens, window


def data(seed: int = 1, n: int = 3) -> pt.Trajectories:
    frames, context = window(n, seed=seed)
    given = {"spacing": GRID.spacing, "time_step": GRID.time_step, "context": {"shock_pressure": context[:, 0]}}
    return pt.Trajectories.from_arrays(frames, FIELDS, **given)


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_it_is_the_loop_of_recipes(tmp_path: Path) -> None:
    ours, theirs = micro_tokens(), micro_tokens()
    objectives = [Reconstruction(), InferenceCompilation(), pt.Elbo(learn=("guide",))]
    history = pt.fit(ours, data(), objectives, steps=3, horizon=2, batch_size=2, seed=4)
    expected = [stages.stage_of(one, stages.kind_of(one), steps=3, horizon=2, batch_size=2, learning_rate=1e-3) for one in objectives]
    assert [type(stage).__name__ for stage in expected] == ["ReconstructionStage", "InferenceCompilationStage", "ElboStage"]
    assert [stage.horizon for stage in expected] == [0, 2, 2]
    told = train_stages(theirs, data(), expected, weight_decay=0.0, seed=4, out_dir=tmp_path)
    assert same(ours, theirs)
    assert history.stages == told
    assert list(told) == ["reconstruction", "inference_compilation", "elbo"]
    assert history.losses.shape == (9,)
    assert np.isfinite(history.losses).all()


def test_stages_of_recipes_are_taken_as_they_are() -> None:
    schedule = (ReconstructionStage(name="a", steps=2, batch_size=2), ElboStage(name="b", steps=1, horizon=2, batch_size=2))
    history = pt.fit(micro_tokens(), data(), schedule)
    assert {name: len(stage.losses) for name, stage in history.stages.items()} == {"a": 2, "b": 1}


def test_it_shows_how_far_it_is_unless_it_should_not(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probtokens.console._PLAIN_INTERVAL", 0.0)
    schedule = [ReconstructionStage(name="a", steps=2, batch_size=2), ReconstructionStage(name="b", steps=1, batch_size=2)]
    pt.fit(micro_tokens(), data(), schedule)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "fit: 2/3 a, loss" in shown.err
    assert "fit: 3/3 b, loss" in shown.err
    assert "fit: done in" in shown.err
    pt.fit(micro_tokens(), data(), schedule, progress=False)
    assert capsys.readouterr().err == ""


def test_objectives_that_come_again_have_numbers() -> None:
    history = pt.fit(micro_tokens(), data(), [RolloutError(), RolloutError()], steps=1, horizon=2, batch_size=2)
    assert list(history.stages) == ["rollout_error", "rollout_error_2"]


class Warmer(Objective):
    """An own objective: forecasts that err on the cold side cost twice as much."""

    learn: tuple[str, ...] = ("dynamics",)
    weight: float = 2.0

    def parts(self, model, frames, context):
        (mean,) = model.mean_frames(frames[:, 0], context, [1])
        error = mean[:, 0] - model.normalizer.normalize(frames[:, 1])[:, 0]
        return {"loss": (torch.where(error < 0, self.weight, 1.0) * error.square()).mean()}


def test_an_own_objective_trains_what_it_names(tmp_path: Path) -> None:
    before, after = micro_tokens(), micro_tokens()
    history = pt.fit(after, data(), Warmer(), steps=2, horizon=1, batch_size=2, resume=tmp_path)
    assert list(history.stages) == ["Warmer"]
    moved = {name for name, value in before.state_dict().items() if not torch.equal(value, after.state_dict()[name])}
    assert moved
    assert all(name.startswith("transition") for name in moved)
    with pytest.raises(ValueError, match="expected a folder of this training, found one of other stages.0.own.weight, 2.0 in place of 3.0"):
        pt.fit(after, data(), Warmer(weight=3.0), steps=2, horizon=1, batch_size=2, resume=tmp_path)


def test_an_interrupted_training_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CHUNK", 2)

    class Stop(lightning.Callback):
        def on_train_batch_end(self, trainer, *_) -> None:
            if trainer.global_step == 3:
                raise InterruptedError

    request = {"steps": 4, "horizon": 2, "batch_size": 2, "validation": data(2)}
    straight, stopped, resumed = micro_tokens(), micro_tokens(), micro_tokens()
    expected = pt.fit(straight, data(), pt.Elbo(), **request)
    with pytest.raises(InterruptedError):
        pt.fit(stopped, data(), pt.Elbo(), resume=tmp_path, callbacks=[Stop()], **request)
    assert all(parameter.requires_grad for parameter in stopped.parameters())
    found = pt.fit(resumed, data(), pt.Elbo(), resume=tmp_path, **request)
    again = pt.fit(micro_tokens(), data(), pt.Elbo(), resume=tmp_path, **request)
    assert same(straight, resumed)
    assert found == expected == again
    assert len(found.losses) == 4


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"steps": 2}, "stages.0.steps, 1 in place of 2"),
        ({"seed": 1}, "seed, 0 in place of 1"),
        ({"reflect": False}, "reflect, True in place of False"),
        ({"trajectories": data(n=2)}, "simulations, .* in place of .*"),
    ],
)
def test_a_folder_of_another_training_is_refused(changes: dict[str, object], what: str, tmp_path: Path) -> None:
    request = {"trajectories": data(), "objectives": pt.Elbo(), "steps": 1, "horizon": 2, "batch_size": 2, "resume": tmp_path}
    pt.fit(micro_tokens(), **request)
    with pytest.raises(ValueError, match=f"expected a folder of this training, found one of other {what}; name another, or remove it"):
        pt.fit(micro_tokens(), **request | changes)


def test_a_folder_whose_training_is_unknown_is_refused(tmp_path: Path) -> None:
    (tmp_path / "00_elbo.pt").touch()
    with pytest.raises(ValueError, match=r"00_elbo.pt: expected the settings of its training in settings.json beside it, found none"):
        pt.fit(micro_tokens(), data(), pt.Elbo(), steps=1, horizon=2, batch_size=2, resume=tmp_path)


def test_forecasts_of_validation_simulations_are_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CHUNK", 1)
    model = micro_tokens()
    objectives = [RolloutError(), pt.Elbo(learn=("guide",))]
    history = pt.fit(model, data(), objectives, steps=5, horizon=2, batch_size=2, validation=data(2))
    assert list(history.validation) == [4, 5, 9, 10]
    assert history.validation[10] == history.validation[5]  # what the guide alone has says nothing of the future
    assert history.validation[10] == forecast_score(model, data(2), 2)


def test_the_score_is_the_crps_in_standard_units() -> None:
    """Of a deterministic forecast it is the absolute error."""
    parc_like = pt.Persistence(FIELDS)
    parc_like.normalizer = micro_tokens().normalizer
    trajectories = data()
    scale = parc_like.normalizer.field_scale.numpy()[:, None, None]
    frames = np.stack([trajectories.frames(number) for number in range(3)])
    expected = np.mean(np.abs(frames[:, 1:3] - frames[:, :1]) / scale)
    assert forecast_score(parc_like, trajectories, 2) == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": None}, "steps: expected a number, and at least one objective, got None and"),
        ({"objectives": []}, "steps: expected a number, and at least one objective, got 1 and"),
        ({"device": "tpu"}, r"device: expected one of \['auto', 'cpu'.*\], got 'tpu'"),
        ({"device": "cuda:99"}, r"device: expected one of \['auto', 'cpu'.*\], got 'cuda:99'"),
        ({"device": "cpu:1"}, r"device: expected one of \['auto', 'cpu'.*\], got 'cpu:1'"),
        (
            {"trajectories": window()[0]},
            r"trajectories: expected pt.Trajectories, as pt.Trajectories.from_arrays\(.* makes them, got Tensor",
        ),
        ({"validation": window()[0]}, "validation: expected pt.Trajectories, as"),
        ({"replay": window()[0]}, "replay: expected pt.Trajectories, as"),
        ({"objectives": pt.Elbo}, "objectives: expected objectives such as .*, got <class '.*Elbo'>"),
        ({"objectives": ["elbo"]}, "objectives: expected objectives such as .*, got 'elbo'"),
        ({"model": pt.Persistence(FIELDS)}, "model: expected MicroTokens, .*, got Persistence"),
        ({"objectives": pt.Elbo(learn=("weights",))}, "learn: expected some of the parameter groups"),
    ],
)
def test_what_does_not_fit_is_refused_before_training(changes: dict[str, object], message: str) -> None:
    before, model = micro_tokens(), micro_tokens()
    request = {"model": model, "trajectories": data(), "objectives": pt.Elbo(), "steps": 1, "horizon": 2, "batch_size": 2} | changes
    with pytest.raises(ValueError, match=message) as refused:
        pt.fit(**request)
    assert len(str(refused.value)) <= 300
    assert same(before, model)


@pytest.mark.parametrize(
    ("objective", "missing"),
    [(pt.Elbo(), "model and guide"), (pt.RolloutScore(members=2), "model and guide"), (LatentError(), "encode")],
)
def test_an_objective_that_asks_for_tokens_refuses_other_models_before_any_stage(objective: Objective, missing: str) -> None:
    before, model = pt.Parc.untrained(data()), pt.Parc.untrained(data())
    model.load_state_dict(before.state_dict())
    with pytest.raises(ValueError, match=f": expected a model with {missing}, .*RolloutError.*, got Parc without {missing}"):
        pt.fit(model, data(), [RolloutError(), objective], steps=1, horizon=2, batch_size=2)
    assert same(before, model)
    pt.fit(model, data(), RolloutError(), steps=1, horizon=2, batch_size=2)
    assert not same(before, model)


def test_a_horizon_that_simulations_do_not_have_is_theirs() -> None:
    """A schedule for long simulations trains on short ones as one for these does."""
    long, short = micro_tokens(), micro_tokens()
    schedule = [ElboStage(name="b", steps=2, horizon=horizon, batch_size=2) for horizon in (8, 3)]
    with pytest.warns(UserWarning, match=r"simulations have 4 frames: stages \['b'\] have a horizon of 3 instead of theirs"):
        found = pt.fit(long, data(), schedule[:1])
    assert found == pt.fit(short, data(), schedule[1:])
    assert same(long, short)
    with pytest.warns(UserWarning, match="simulations have 3 frames"):
        pt.fit(long, data(), pt.Elbo(), steps=1, horizon=3, batch_size=2, replay=shortened(data(), 3))


def shortened(trajectories: pt.Trajectories, n_times: int) -> pt.Trajectories:
    frames = np.stack([trajectories.frames(number, 0, n_times) for number in range(len(trajectories))])
    given = {"spacing": GRID.spacing, "time_step": GRID.time_step, "context": {"shock_pressure": trajectories.context[:, 0]}}
    return pt.Trajectories.from_arrays(frames, trajectories.fields, **given)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_is_used_if_there_is_one() -> None:
    kinds = []

    class Where(lightning.Callback):
        def on_train_start(self, trainer, pl_module) -> None:
            kinds.append(pl_module.device.type)

    for device in ("auto", "cuda:0", "cpu"):
        pt.fit(micro_tokens(), data(), pt.Elbo(), steps=1, horizon=2, batch_size=2, device=device, validation=data(), callbacks=[Where()])
    assert kinds == ["cuda", "cuda", "cpu"]


@pytest.mark.parametrize("module", [fitting, stages])
def test_examples_of_docstrings_run(module) -> None:
    result = doctest.testmod(module)
    assert result.attempted > 0
    assert result.failed == 0
