"""Draws that are means of several runs, against forecasts of single runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pydantic import ValidationError

from probtokens.config import StageConfig, TokenConfig
from probtokens.data.dataset import Batch
from probtokens.models.forecast import NO_SOURCES, Source, Sources
from probtokens.models.runs import Runs
from probtokens.models.tokens import TokenForecaster
from probtokens.models.training import decoded_leads
from probtokens.models.views import Views
from probtokens.verify.token_pairs import GRID, meso_tokens, micro_tokens, normalizer, window

BUILDERS = pytest.mark.parametrize("build", [micro_tokens, meso_tokens])


def with_runs(build: Callable[[], TokenForecaster], runs_per_draw: int, views: str = "shifted") -> TokenForecaster:
    model = build()
    model.tokens = model.tokens.model_copy(update={"views": views, "runs_per_draw": runs_per_draw})
    return model


def forecast(model: TokenForecaster, sources: Sources, n_draws: int = 3) -> torch.Tensor:
    """Draws of (lead, simulation, field, y, x)."""
    (frames, context), made = window(), normalizer()
    initial = made.denormalize(frames[:, 0])
    physical = context * made.context_scale + made.context_mean
    return torch.stack(list(model.forecast(initial, physical, grid=GRID, n_steps=2, n_draws=n_draws, seed=5, sources=sources)), dim=1)


@BUILDERS
def test_a_draw_is_the_mean_of_views_that_single_runs_have(build: Callable[[], TokenForecaster]) -> None:
    views = frozenset({Source.VIEW})
    single, pairs = forecast(with_runs(build, 1), views, 6), forecast(with_runs(build, 2), views, 3)
    torch.testing.assert_close(pairs, single.unflatten(0, (3, 2)).mean(1), rtol=1e-5, atol=1e-3)
    assert not torch.allclose(pairs, single[::2])


@BUILDERS
@pytest.mark.parametrize("source", [Source.EFFECT, Source.WEIGHTS])
def test_runs_of_a_draw_share_what_holds_for_a_trajectory(build: Callable[[], TokenForecaster], source: Source) -> None:
    single, pairs = (forecast(with_runs(build, runs, "one"), frozenset({source})) for runs in (1, 2))
    torch.testing.assert_close(pairs, single, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("source", [Source.VIEW, Source.PROCESS, Source.DECODER])
def test_what_runs_do_not_share_has_half_the_variance(source: Source) -> None:
    single, pairs = (forecast(with_runs(micro_tokens, runs), frozenset({source}), 128).var(0).mean((0, 1, 3, 4)) for runs in (1, 2))
    torch.testing.assert_close(pairs / single, torch.full_like(single, 0.5), rtol=0.0, atol=0.1)


def test_without_sources_a_draw_is_one_run() -> None:
    assert torch.equal(*(forecast(with_runs(micro_tokens, runs), NO_SOURCES) for runs in (1, 2)))


def test_a_mirror_image_has_its_effect_turned_over() -> None:
    effects = torch.randn(2, 1, 3, 4, 5)
    views = Views(torch.tensor([[False], [True], [True], [False]]), torch.zeros(4, 1, 2, dtype=torch.int64), 0)
    runs = Runs.of_draws(2, views, effects)
    expected = torch.stack([effects[0], effects[0].flip(-2), effects[1].flip(-2), effects[1]])
    assert torch.equal(runs.effects, expected)


def test_weights_that_all_draws_share_stay_single() -> None:
    runs = Runs.of_draws(2, None, torch.zeros(3, 1, 1, 1, 1))
    found = runs.weights({"own": torch.arange(3.0)[:, None], "shared": torch.ones(1, 1)})
    assert found["own"].flatten().tolist() == [0, 0, 1, 1, 2, 2]
    assert found["shared"].shape == (1, 1)


def test_training_decodes_means_of_runs_and_what_noise_they_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    frames, context = window()
    drawn = Views.drawn(4, len(frames), 8, torch.Generator().manual_seed(5), torch.device("cpu"))
    monkeypatch.setattr(Views, "drawn", lambda *_: drawn)

    def leads(runs: int, members: int) -> list[torch.distributions.Normal]:
        torch.manual_seed(0)
        model = with_runs(micro_tokens, runs)
        found = decoded_leads(model, frames, model.context_vector(context), members, frozenset({Source.VIEW}))
        return [pixels for pixels, _ in found]

    for single, pairs in zip(leads(1, 4), leads(2, 2), strict=True):
        torch.testing.assert_close(pairs.mean, single.mean.unflatten(0, (2, 2)).mean(1), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(pairs.variance, single.variance.unflatten(0, (2, 2)).mean(1) / 2, rtol=1e-4, atol=1e-6)


def test_stages_of_single_runs_learn_from_one_run_of_each_draw() -> None:
    frames, context = window()
    found = []
    for runs, single in ((1, False), (2, True), (2, False)):
        model = with_runs(micro_tokens, runs)
        stage = StageConfig(name="score", objective="score", steps=1, horizon=3, members=2, single_runs=single)
        torch.manual_seed(0)
        found.append(float(model.loss(Batch(frames, context, torch.arange(2)), stage)["loss"].detach()))
    assert found[0] == found[1] != found[2]


def test_runs_that_see_the_same_are_refused() -> None:
    with pytest.raises(ValidationError, match="runs_per_draw: expected 1 where views is one, got 2"):
        TokenConfig(runs_per_draw=2)
    assert TokenConfig(views="mirrored", runs_per_draw=2).runs_per_draw == 2
