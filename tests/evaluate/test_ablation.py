"""Scores and variances of the ablation against whole arrays and against the exact variances of a linear Gaussian chain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Normal

from probtokens.config import FieldGroupConfig, TokenConfig
from probtokens.data.normalize import Normalizer
from probtokens.evaluate.ablation import gain, score_leads, source_rows, with_variance_shares
from probtokens.evaluate.scores import coverage, crps, rmse, spread_skill
from probtokens.fields import FieldSpec, Grid
from probtokens.models.state_space import NO_SOURCES, Source, Sources, Weights
from probtokens.models.tokens import TokenForecaster
from probtokens.predict.rollout import simulation_seed
from probtokens.verify.linear_chain import Chain, LinearChain
from probtokens.verify.token_pairs import FIELDS, GRID, meso_tokens, micro_tokens
from tests.predict.synthetic import Trajectories

LEADS = (1, 3, 10)
CHAIN = Chain()
SCALE = 50.0
#: The effect is one number for every channel, draw and simulation: of 6 × 500 of them a variance is known to 2.6 %.
SIMULATIONS, MEMBERS, TOLERANCE = 6, 500, 0.12


class LinearCodec(nn.Module):
    """Encoder and decoder of a chain: the encoder says no more than a standard normal."""

    def __init__(self, chain: LinearChain) -> None:
        super().__init__()
        self.chain = chain

    def encode(self, frames: torch.Tensor) -> Normal:
        return self.chain.encoded(frames)

    def decode(self, z: torch.Tensor) -> Normal:
        pixels = self.chain.observation(z, None)
        return Normal(pixels.loc, pixels.scale, validate_args=False)


class LinearTokens(TokenForecaster):
    """A linear Gaussian chain as a token model: every pixel of a token is a field, and a patch is a cell."""

    def __init__(self) -> None:
        fields = tuple(FieldSpec(f"pixel_{i}", "K", "a pixel") for i in range(CHAIN.n_pixels))
        normalizer = Normalizer(fields, ("shock_pressure", "porosity"))
        normalizer.field_scale.fill_(SCALE)
        normalizer.context_scale.fill_(1.0)
        groups = (FieldGroupConfig(fields=tuple(spec.name for spec in fields), channels=CHAIN.n_channels),)
        super().__init__(TokenConfig(patch=1, groups=groups), normalizer, Grid(*CHAIN.lattice, 0.04, 0.125, CHAIN.n_times))
        self.chain = LinearChain(CHAIN)
        self.autoencoder = LinearCodec(self.chain)

    def effect_shape(self, ny: int, nx: int) -> tuple[int, int, int]:
        return self.chain.effect_shape(ny, nx)

    def step(self, z: torch.Tensor, u: torch.Tensor, context: torch.Tensor, weights: Weights) -> Normal:
        return self.chain.step(z, u, context, weights)


class RestlessTokens(LinearTokens):
    """Forgets u: draws a new effect at every step."""

    def __init__(self) -> None:
        super().__init__()
        self.generator = torch.Generator().manual_seed(0)

    def step(self, z: torch.Tensor, u: torch.Tensor, context: torch.Tensor, weights: Weights) -> Normal:
        return super().step(z, torch.randn(u.shape, generator=self.generator) * (u != 0), context, weights)


class SwappedTokens(LinearTokens):
    """Takes the initial state for the process and the process for the initial state."""

    def forecast(self, *args: Any, sources: Sources, **options: Any) -> Iterator[torch.Tensor]:
        names = {Source.INITIAL: Source.PROCESS, Source.PROCESS: Source.INITIAL}
        return super().forecast(*args, sources=frozenset(names.get(source, source) for source in sources), **options)


def exact_variances() -> dict[Source, np.ndarray]:
    """Variance of the first pixel [K²] by lead that each source gives: sums of squares of its weights in z_t; z_0 is standard normal."""
    carry, drive, noise = (np.array(part) for part in (CHAIN.carry, CHAIN.drive, CHAIN.noise))
    powers = {lead: carry[:, None] ** np.arange(lead) for lead in LEADS}
    by_channel = {
        Source.INITIAL: [carry ** (2 * lead) for lead in LEADS],
        Source.PROCESS: [noise**2 * (powers[lead] ** 2).sum(axis=1) for lead in LEADS],
        Source.EFFECT: [(drive * powers[lead].sum(axis=1)) ** 2 for lead in LEADS],
    }
    seen = CHAIN.decoder().numpy()[0] ** 2
    found = {source: SCALE**2 * np.stack(values) @ seen for source, values in by_channel.items()}
    return {**found, Source.DECODER: np.full(len(LEADS), (SCALE * CHAIN.pixel_noise) ** 2)}


def wrong_rows(model: LinearTokens) -> set[str]:
    """Rows of the ablation whose variance is not the exact one at some lead."""
    trajectories = Trajectories(SIMULATIONS, grid=model.grid, fields=model.fields)
    exact, wrong = exact_variances(), set()
    for name, sources in source_rows(model).items():
        if not sources:
            continue
        scores = score_leads(model, trajectories, LEADS, field="pixel_0", members=MEMBERS, seed=5, sources=sources)
        ratio = np.array(scores["variance"]) / sum(exact[source] for source in sources)
        if np.abs(ratio - 1).max() > TOLERANCE:
            wrong.add(name)
    return wrong


def test_variances_by_source_are_those_of_a_linear_gaussian_chain() -> None:
    assert wrong_rows(LinearTokens()) == set()


def test_an_effect_that_is_not_kept_fails_wherever_it_is_drawn() -> None:
    rows = {"all", "trajectory effect alone", *(f"without {source}" for source in exact_variances() if source is not Source.EFFECT)}
    assert wrong_rows(RestlessTokens()) == rows


def test_sources_taken_for_each_other_fail() -> None:
    pair = (Source.INITIAL, Source.PROCESS)
    assert wrong_rows(SwappedTokens()) == {f"{source} alone" for source in pair} | {f"without {source}" for source in pair}


def test_rows_name_what_a_model_draws() -> None:
    rows = source_rows(micro_tokens())
    assert list(rows) == [
        "all",
        *(f"without {source}" for source in ("initial state", "process noise", "trajectory effect", "decoder noise")),
        *(f"{source} alone" for source in ("initial state", "process noise", "trajectory effect", "decoder noise")),
        "none",
    ]
    assert rows["all"] == frozenset(Source) - {Source.WEIGHTS, Source.VIEW}
    assert source_rows(micro_tokens(views="mirrored"))["view alone"] == {Source.VIEW}
    assert rows["without process noise"] | {Source.PROCESS} == rows["all"]
    assert rows["none"] == NO_SOURCES
    assert source_rows(meso_tokens())["weights alone"] == {Source.WEIGHTS}


def test_scores_are_those_of_the_whole_arrays_and_members_those_of_a_rollout() -> None:
    model, trajectories = micro_tokens(), Trajectories(3, grid=GRID, fields=FIELDS)
    trajectories.context_names, trajectories.context = ("shock_pressure",), trajectories.context[:, :1]
    calls = []
    scores = score_leads(model, trajectories, (1, 4), field="pressure", members=6, seed=2, progress=lambda *done: calls.append(done))
    assert calls == [(1, 3), (2, 3), (3, 3)]
    frames = []
    for number in range(3):
        initial, context = torch.tensor(trajectories.frames(number)[:1]), torch.tensor(trajectories.context[number : number + 1])
        request = {"grid": GRID, "n_steps": 4, "n_draws": 8, "seed": simulation_seed(simulation_seed(2, number), 0)}
        frames.append(torch.stack(list(model.forecast(initial, context, **request)), dim=2)[:6, 0, :, 1].numpy())
    prediction = np.stack(frames, axis=1)  # (draw, simulation, lead, y, x)
    truth = np.stack([trajectories.frames(number)[1:, 1] for number in range(3)])
    for place, lead in enumerate((1, 4)):
        members, target = prediction[:, :, lead - 1], truth[:, lead - 1]
        direct = {
            "rmse": rmse(members, target),
            "crps": crps(members, target).mean(),
            "spread_skill": spread_skill(members, target),
            "coverage_90": coverage(members, target, 0.9),
            "variance": members.var(axis=0, ddof=1).mean(),
        }
        assert {name: values[place] for name, values in scores.items()} == pytest.approx(direct, rel=1e-5)


def test_without_sources_there_is_one_member_and_the_crps_is_the_absolute_error() -> None:
    model = LinearTokens()
    trajectories = Trajectories(2, grid=model.grid, fields=model.fields)
    scores = score_leads(model, trajectories, (2,), field="pixel_1", members=8, seed=0, sources=NO_SOURCES)
    context = torch.tensor(trajectories.context)
    truth = torch.tensor(np.stack([trajectories.frames(number)[2, 1] for number in range(2)]))
    z = torch.zeros(2, CHAIN.n_channels, *CHAIN.lattice)  # an encoder that knows nothing
    for _ in range(2):
        z = model.chain.step(z, torch.zeros(2, CHAIN.n_channels, 1, 1), context, {}).mean
    error = model.decode(z.detach()).mean[:, 1] - truth
    assert scores["rmse"] == pytest.approx([float(error.square().mean().sqrt())])
    assert scores["crps"] == pytest.approx([float(error.abs().mean())])
    assert scores["spread_skill"] == scores["coverage_90"] == scores["variance"] == [None]


def test_shares_are_of_the_variance_of_all() -> None:
    rows: Mapping[str, Any] = {"all": {"variance": [4.0, 0.0]}, "x alone": {"variance": [1.0, 0.0]}, "none": {"variance": [None, None]}}
    shares = {name: row["variance_share"] for name, row in with_variance_shares(rows).items()}
    assert shares == {"all": [1.0, None], "x alone": [0.25, None], "none": [None, None]}


def test_what_does_not_fit_is_refused() -> None:
    model = LinearTokens()
    trajectories = Trajectories(2, grid=model.grid, fields=model.fields)
    request = {"field": "pixel_0", "members": 2, "seed": 0}
    with pytest.raises(ValueError, match="field 'temperature': expected one of"):
        score_leads(model, trajectories, (1,), **request | {"field": "temperature"})
    with pytest.raises(ValueError, match="expected the fields of the trajectories"):
        score_leads(model, Trajectories(2, grid=model.grid, fields=model.fields[::-1]), (1,), **request)


def test_truths_and_forecasts_that_are_not_finite_are_refused() -> None:
    class Gaps(Trajectories):
        def frames(self, i: int, start: int = 0, stop: int | None = None) -> np.ndarray:
            frames = super().frames(i, start, stop).copy()
            frames[1:, 0, 0, 0] = np.nan
            return frames

    model = LinearTokens()
    trajectories = Trajectories(2, grid=model.grid, fields=model.fields)
    request = {"field": "pixel_0", "members": 2, "seed": 0}
    with pytest.raises(ValueError, match="simulation shard_0000/0, lead 1: expected finite scores of pixel_0, got others; is the truth"):
        score_leads(model, Gaps(2, grid=model.grid, fields=model.fields), (1,), **request)
    with torch.no_grad():
        model.chain.carry.fill_(float("nan"))
    with pytest.raises(ValueError, match="tokens, simulation shard_0000/0, lead 1: expected finite values of pixel_0"):
        score_leads(model, trajectories, (1,), **request)


def test_gains_are_paired_by_simulation_and_nothing_gains_over_itself() -> None:
    rng = np.random.default_rng(0)
    hard = rng.lognormal(0.0, 1.0, (40, 1))  # some simulations are harder than others, for both rows alike
    reference = {"crps": hard * np.ones((40, 3)), "coverage_90": np.full((40, 3), 0.80)}
    better = {"crps": hard * 0.97 * rng.normal(1.0, 0.01, (40, 3)), "coverage_90": rng.normal(0.92, 0.01, (40, 3))}
    found = gain(better, reference)
    value, low, high = found["crps"]
    assert low < value < high
    assert value == pytest.approx(0.03, abs=0.005)
    assert high - low < 0.01  # unpaired it would be as wide as the simulations differ
    assert found["miscoverage"][0] == pytest.approx(0.08, abs=0.005)
    assert gain(reference, reference) == {"crps": [0.0, 0.0, 0.0], "miscoverage": [0.0, 0.0, 0.0]}
    assert gain({"crps": hard[:1]}, {"crps": hard[:1]}) == {}
