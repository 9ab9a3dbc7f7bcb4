"""Constant fields: seen at every step, never changed, never scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from probtokens import Trajectories, fit, rollout, score, to_arviz
from probtokens.baselines import Parc
from probtokens.config import MesoConfig, ParcConfig, TokenConfig
from probtokens.data.importers import Given, convert
from probtokens.data.normalize import Normalizer
from probtokens.fields import HotSpot
from probtokens.models.base import Forecaster
from probtokens.models.meso import MesoTokens
from probtokens.models.micro import MicroTokens
from probtokens.models.state_space import Draws
from probtokens.models.tokens import TokenForecaster
from probtokens.predict.lazy import with_truth
from probtokens.predict.recalibrate import fit_recalibration
from probtokens.train.objectives import Elbo, Reconstruction, RolloutError, RolloutScore
from probtokens.verify.token_pairs import FIELDS, GRID, MESO, TOKENS, normalizer, randomise, window

SOLID = 2
GROUPS = [
    {"fields": ["temperature"], "channels": 2},
    {"fields": ["solid_fraction"], "channels": 3},
    {"fields": ["pressure", "velocity_x", "velocity_y"], "channels": 3},
]


def known(constant: bool = True) -> Normalizer:
    """The five fields, of which the solid fraction is constant."""
    made = normalizer()
    made.fields = tuple(replace(spec, constant=constant and spec.name == "solid_fraction") for spec in FIELDS)
    return made


def micro(constant: bool = True, **changes: object) -> MicroTokens:
    torch.manual_seed(0)
    model = MicroTokens(TokenConfig.model_validate(TOKENS.model_dump() | {"groups": GROUPS} | changes), known(constant), GRID)
    randomise(model)
    return model


def meso() -> MesoTokens:
    model = MesoTokens(micro(), MesoConfig.model_validate(MESO.model_dump()), n_simulations=3, n_times=GRID.n_times)
    randomise(model.posterior)
    return model


def shifted() -> MicroTokens:
    return micro(views="shifted", rest={"temperature": 300.0})


def parc() -> Parc:
    torch.manual_seed(0)
    model = Parc(ParcConfig(width=8, levels=1), known(), GRID)
    randomise(model)
    return model


def given() -> tuple[torch.Tensor, torch.Tensor]:
    """Frames whose solid fraction is that of the first, and context."""
    frames, context = window()
    frames[:, 1:, SOLID] = frames[:, :1, SOLID]
    return frames, context


def forecast(model: Forecaster, first: torch.Tensor) -> torch.Tensor:
    """All draws of three frames (time, draw, simulation, field, y, x)."""
    return torch.stack(list(model.forecast(first, given()[1], grid=GRID, n_steps=3, n_draws=4, seed=0)))


@pytest.mark.parametrize("build", [micro, meso, shifted, parc])
def test_constant_fields_stay_equal_in_all_draws_and_change_what_becomes_of_the_others(build: Callable[[], Forecaster]) -> None:
    model, first = build(), given()[0][:, 0]
    frames = forecast(model, first)
    assert torch.equal(frames[..., SOLID, :, :], first[:, SOLID].expand_as(frames[..., SOLID, :, :]))
    other = first.clone()
    other[:, SOLID] = 1.0 - first[:, SOLID]
    apart = (forecast(model, other) - frames) / model.normalizer.field_scale[:, None, None]
    for lead in range(3):
        assert float(apart[lead, :, :, [0, 1, 3, 4]].abs().max()) > 1e-3


def test_the_same_field_moves_if_it_is_not_constant() -> None:
    first = given()[0][:, 0]
    frames = forecast(micro(constant=False), first)
    assert float((frames[..., SOLID, :, :] - first[:, SOLID]).abs().max()) > 0.01


@pytest.mark.parametrize("build", [micro, meso, shifted])
def test_tokens_of_constant_fields_do_not_drift(build: Callable[[], TokenForecaster]) -> None:
    model, (frames, context) = build(), given()
    with torch.no_grad():
        _, tokens = model.forecast_tokens(frames[:, 0], context, Draws(2))
        z = torch.stack([next(tokens) for _ in range(4)])
    moved = (z[1:] - z[0]).abs().amax((0, 1, 2, 4, 5))
    assert float(moved[2:5].max()) < 0.02  # the least noise, of three steps
    assert float(moved[[0, 1, 5, 6, 7]].min()) > 0.02


@pytest.mark.parametrize("build", [micro, meso, parc])
def test_no_loss_depends_on_what_a_decoder_makes_of_constant_fields(build: Callable[[], TokenForecaster]) -> None:
    frames, context = given()
    model = build()
    for mean, lead in zip(model.mean_frames(frames[:, 0], context, (0, 3)), (0, 3), strict=True):
        assert torch.equal(mean[:, SOLID], model.normalizer.normalize(frames[:, lead])[:, SOLID])
    if isinstance(model, Parc):
        return
    decoder = model.autoencoder.decoders[1]

    def losses() -> list[torch.Tensor]:
        found = []
        for loss in (Elbo(), RolloutError(), RolloutScore(members=2)):
            torch.manual_seed(0)
            found.append(loss.parts(model, frames, context)["loss"].detach())
        return found

    before = losses()
    randomise(decoder)
    assert before == losses()
    randomise(model.autoencoder.decoders[0])
    assert all(one != other for one, other in zip(before, losses(), strict=True))


def test_constant_fields_have_groups_of_their_own_and_models_remember_them(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected constant fields in groups of their own, got .*solid_fraction"):
        MicroTokens(TOKENS, known(), GRID)
    model, first = micro(), given()[0][:, 0]
    model.save(tmp_path / "model.pt")
    loaded = MicroTokens.load(tmp_path / "model.pt")
    assert [spec.constant for spec in loaded.fields] == [False, False, True, False, False]
    assert torch.equal(forecast(loaded, first), forecast(model, first))


def test_arrays_whose_constant_field_changes_are_refused() -> None:
    frames, context = given()
    settings = {"spacing": 0.04, "time_step": 0.125, "context": {"shock_pressure": context[:, 0]}}
    assert Trajectories.from_arrays(frames, known().fields, **settings).fields[SOLID].constant
    frames[1, 2, SOLID, 0, 0] += 0.01
    with pytest.raises(ValueError, match="'solid_fraction', simulation 1: expected the same at all times"):
        Trajectories.from_arrays(frames, known().fields, **settings)


def test_what_is_converted_is_trained_forecast_and_scored_without_its_constant_field(tmp_path: Path) -> None:
    """Arrays with an obstacle that has no time axis, from conversion to scores."""
    rng = np.random.default_rng(0)
    for number in range(4):
        (tmp_path / "runs").mkdir(exist_ok=True)
        heat = 300.0 + rng.uniform(0, 100, (5, 16, 16))
        np.savez(tmp_path / "runs" / f"run_{number}.npz", heat=heat, obstacle=rng.uniform(0, 1, (16, 16)))
    said = Given(dims=("time", "y", "x"), units={"heat": "K", "obstacle": "1"}, spacing="50 nm", time_step="0.1 ns", splits=(2, 1, 1))
    convert(tmp_path / "runs", tmp_path / "converted", said)
    train, test = (Trajectories.open(tmp_path / "converted" / "data" / split, ["heat", "obstacle"], []) for split in ("train", "test"))
    assert [spec.constant for spec in train.fields] == [False, True]
    model = MicroTokens.untrained(train, TokenConfig.model_validate(TOKENS.model_dump() | {"groups": [
        {"fields": ["heat"], "channels": 2}, {"fields": ["obstacle"], "channels": 2}]}))  # fmt: skip
    fit(model, train, [Reconstruction(), RolloutError()], steps=2, horizon=2, batch_size=2, validation=test)
    ensemble = rollout(model, test, draws=6)
    assert (ensemble.sel(field="obstacle").values == test.frames(0)[0, 1]).all()
    scores = score(ensemble, test, hotspot=HotSpot("heat", 350.0))
    assert list(scores["fields"]) == list(scores["units"]["fields"]) == ["heat"]
    assert list(fit_recalibration(with_truth(ensemble, test)).factors) == ["heat"]
    assert list(to_arviz(ensemble, test)["posterior_predictive"].data_vars) == ["heat"]
    with pytest.raises(ValueError, match="expected a field 'obstacle', got fields"):
        score(ensemble, test, hotspot=HotSpot("obstacle", 0.5))
