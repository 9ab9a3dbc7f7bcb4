"""Shrinkage of draws towards each other, against means and differences that are known."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from probtokens.config import MesoConfig, StageConfig, TokenConfig
from probtokens.data.dataset import Batch
from probtokens.models import tokens
from probtokens.models.forecast import ALL_SOURCES, Source
from probtokens.models.meso import MesoTokens
from probtokens.models.micro import MicroTokens
from probtokens.models.objectives import fair_crps
from probtokens.models.tokens import TokenForecaster
from probtokens.nn.shrinkage import PairShrinkage
from probtokens.verify.token_pairs import GRID, micro_tokens, normalizer, window

STAGE = StageConfig(name="score", objective="score", steps=1, horizon=3, members=2, learn="shrinkage")


def shrinking(weight: float = 0.4, scale: float = 0.5) -> MicroTokens:
    """Tokens of the plain test pair that see shifted views and shrink their draws."""
    plain = micro_tokens()
    model = MicroTokens(plain.tokens.model_copy(update={"views": "shifted", "shrinkage": True}), normalizer(), GRID)
    model.load_state_dict(plain.state_dict(), strict=False)
    set_shrinkage(model, weight, scale)
    return model


def set_shrinkage(model: TokenForecaster, weight: float, scale: float) -> None:
    assert model.shrinkage is not None
    with torch.no_grad():
        model.shrinkage.raw_weight.fill_(torch.logit(torch.tensor(2 * weight)))
        model.shrinkage.log_scale.fill_(torch.log(torch.tensor(scale)))


def initial() -> tuple[torch.Tensor, torch.Tensor]:
    frames, context = window()
    made = normalizer()
    return made.denormalize(frames[:, 0]), context * made.context_scale + made.context_mean


def forecast(model: TokenForecaster, n_draws: int, **options: object) -> list[torch.Tensor]:
    return list(model.forecast(*initial(), grid=GRID, n_steps=2, n_draws=n_draws, seed=5, **options))  # type: ignore[arg-type]


def test_near_draws_become_weighted_means_and_far_ones_stay() -> None:
    module = PairShrinkage(2)
    draws, others = torch.zeros(1, 2, 1, 3), torch.tensor([1e-4, 0.2, 50.0]).expand(1, 2, 1, 3)
    found = module(draws, others)[0, 0, 0].detach()
    weight = float(module.weight[0].detach())
    assert 0 < weight < 0.5
    torch.testing.assert_close(found[0], weight * others[0, 0, 0, 0])  # a mean
    torch.testing.assert_close(found[1], weight * others[0, 0, 0, 1] / 2)  # half of the share at the scale, which is 0.2 untrained
    assert float(found[2]) < 1e-3  # of a difference of 50


def test_near_draws_have_the_variance_of_their_weighted_mean() -> None:
    torch.manual_seed(0)
    runs, module = 0.01 * torch.randn(2, 20_000, 1, 1, 1), PairShrinkage(1)
    found = module(*runs).detach()
    weight = float(module.weight[0].detach())
    assert float(found.var() / runs.var()) == pytest.approx((1 - weight) ** 2 + weight**2, rel=0.03)


def test_units_of_fields_change_nothing() -> None:
    module, unit = PairShrinkage(2), torch.tensor([300.0, 5.0])
    draws, others = torch.randn(2, 4, 2, 3, 3, generator=torch.Generator().manual_seed(1))
    each = unit[:, None, None]
    torch.testing.assert_close(module(draws * each, others * each, unit), module(draws, others) * each)


@pytest.mark.parametrize("sources", [ALL_SOURCES, ALL_SOURCES - {Source.VIEW}])
def test_every_draw_of_a_forecast_moves_towards_the_next(monkeypatch: pytest.MonkeyPatch, sources: frozenset[Source]) -> None:
    # The oracle: draws of the same tokens without shrinkage, moved by hand.
    monkeypatch.setattr(tokens, "within_bounds", lambda frames, fields: frames)
    free, model = shrinking(weight=1e-6), shrinking()
    unit = normalizer().field_scale[:, None, None]
    for before, after in zip(forecast(free, 3, sources=sources), forecast(model, 3, sources=sources), strict=True):
        apart = (before[[1, 2, 0]] - before) / unit
        expected = before + 0.4 * unit * apart / (1 + (apart / 0.5) ** 2)
        torch.testing.assert_close(after, expected, rtol=1e-4, atol=2e-3)
        assert float((after - before).abs().max()) > 1.0
        assert float(after.var(0).mean()) < float(before.var(0).mean())


def test_draws_are_brought_within_bounds_after_they_were_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    model = shrinking()
    bounded = forecast(model, 3)
    monkeypatch.setattr(tokens, "within_bounds", lambda frames, fields: frames)
    for within, anywhere in zip(bounded, forecast(model, 3), strict=True):
        for number, spec in enumerate(model.fields):
            torch.testing.assert_close(
                within[:, :, number], anywhere[:, :, number].clamp(spec.lower if spec.lower is not None else -torch.inf, spec.upper)
            )
        assert not torch.equal(within, anywhere)


def test_one_draw_stays_as_it_is() -> None:
    for one, other in zip(forecast(shrinking(weight=1e-6), 1), forecast(shrinking(), 1), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("learn", ["everything", "uncertainty", "shrinkage"])
def test_shrinkage_learns_alone_and_only_where_asked(learn: str) -> None:
    (frames, context), shrinkage = window(), learn == "shrinkage"
    stage = STAGE.model_copy(update={"learn": learn})
    losses = []
    for weight in (0.1, 0.45):
        model = shrinking(weight)
        model.begin_stage(stage)
        torch.manual_seed(0)
        loss = model.loss(Batch(frames, context, torch.arange(2)), stage)["loss"]
        loss.backward()
        losses.append(float(loss.detach()))
        learned = {name for name, parameter in model.named_parameters() if parameter.grad is not None and bool(parameter.grad.any())}
        own = {"shrinkage.raw_weight", "shrinkage.log_scale"}
        assert learned == own if shrinkage else learned and not learned & own
    assert (losses[0] != losses[1]) is shrinkage


def test_scores_find_the_weight_at_which_means_err_least() -> None:
    # Runs that err independently by 1 about a truth that their mean would meet: the more of a mean, the better the score.
    torch.manual_seed(0)
    module = PairShrinkage(1)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.05)
    for _ in range(200):
        runs, truth = 0.1 * torch.randn(4, 1000, 1, 1, 1), torch.zeros(1000, 1, 1, 1)
        loss = fair_crps(module(*runs.chunk(2)), truth).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(module.weight[0].detach()) > 0.45
    assert float(module.scale[0].detach()) > 0.3


def test_shrinkage_travels_with_the_model(tmp_path: Path) -> None:
    model = shrinking()
    model.save(tmp_path / "model.pt")
    loaded = MicroTokens.load(tmp_path / "model.pt")
    for one, other in zip(forecast(model, 3), forecast(loaded, 3), strict=True):
        assert torch.equal(one, other)


def test_meso_tokens_shrink_draws_as_their_micro_tokens_do() -> None:
    micro = shrinking(weight=0.45, scale=0.9)
    meso = MesoTokens(micro, MesoConfig(stages=()), n_simulations=2, n_times=4)
    assert meso.shrinkage is not None
    assert meso.shrinkage is not micro.shrinkage
    torch.testing.assert_close(meso.shrinkage.weight, torch.full((len(meso.fields),), 0.45))
    torch.testing.assert_close(meso.shrinkage.scale, torch.full((len(meso.fields),), 0.9))
    meso.begin_stage(STAGE)
    learning = {name for name, parameter in meso.named_parameters() if parameter.requires_grad}
    assert learning == {"shrinkage.raw_weight", "shrinkage.log_scale"}


def test_shrinkage_of_one_view_or_of_tokens_without_it_is_refused() -> None:
    with pytest.raises(ValidationError, match="shrinkage: expected views mirrored or shifted with it, got one"):
        TokenConfig(shrinkage=True)
    with pytest.raises(ValueError, match="score: expected learn shrinkage with tokens that have it only"):
        micro_tokens().begin_stage(STAGE)
    with pytest.raises(ValidationError, match="expected learn shrinkage with objective score only, got elbo"):
        StageConfig(name="x", objective="elbo", steps=1, horizon=1, learn="shrinkage")
