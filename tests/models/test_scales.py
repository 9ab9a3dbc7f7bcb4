"""Tokens on data of other cells and frame steps than those that they learned from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pyro import poutine

import probtokens as pt
from probtokens.config import LatentErrorStage, RolloutScoreStage
from probtokens.evaluate.global_sites import log_weight
from probtokens.fields import Grid
from probtokens.models.state_space import Guide
from probtokens.models.tokens import TokenForecaster
from probtokens.nn.lattice import resampled
from probtokens.verify.guide_training import no_context
from probtokens.verify.linear_chain import Chain, ExactPosterior, LinearChain, simulate
from probtokens.verify.token_pairs import FIELDS, GRID, MESO, meso_tokens, micro_tokens, window

BOTH = pytest.mark.parametrize("build", [micro_tokens, meso_tokens])


def frames_of(model: TokenForecaster, n_steps: int, **options: Any) -> list[torch.Tensor]:
    frames, context = window()
    return list(model.forecast(frames[:, 0], context, grid=model.grid, n_steps=n_steps, n_draws=3, seed=0, **options))


def coarsened(frames: torch.Tensor, n: int) -> torch.Tensor:
    return torch.nn.functional.avg_pool2d(frames.flatten(0, -4), n).unflatten(0, frames.shape[:-3])


def blocky(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames that are constant in blocks of ``n`` × ``n`` cells, and the same with a cell for every block."""
    wide = coarsened(window()[0], n)
    return torch.kron(wide, torch.ones(n, n)), wide


def thinned(model: TokenForecaster, n_times: int = 5) -> pt.Trajectories:
    """Trajectories on the model's grid."""
    frames, context = window(n_times=n_times)
    frames = resampled(frames, model.tokens.patch, model.patch).numpy()
    grid = {"spacing": model.grid.spacing, "time_step": model.grid.time_step}
    return pt.Trajectories.from_arrays(frames, FIELDS, **grid, context={"shock_pressure": context[:, 0]})


@BOTH
@pytest.mark.parametrize("k", [2, 3])
def test_a_frame_of_several_steps_is_the_last_of_them(build: Callable[[], TokenForecaster], k: int) -> None:
    model = build()
    every, some = frames_of(model, 2 * k), frames_of(model.on(GRID.scaled(steps_per_frame=k)), 2)
    assert torch.equal(torch.stack(some), torch.stack(every[k - 1 :: k]))
    assert not torch.allclose(torch.stack(some), torch.stack(every[:2]))


@BOTH
@pytest.mark.parametrize("n", [2, 4])
def test_a_field_constant_in_blocks_has_the_same_tokens_in_cells_of_a_block(build: Callable[[], TokenForecaster], n: int) -> None:
    model, (frames, wide) = build(), blocky(n)
    expected = model.encode(frames)
    found = model.on(GRID.scaled(cell_width=n)).encode(wide)
    assert torch.equal(found.mean, expected.mean)
    assert torch.equal(found.stddev, expected.stddev)
    assert not torch.allclose(model.encode(window()[0]).mean, expected.mean)  # blocks do matter
    finer = model.on(GRID.scaled(cell_width=1 / n)).encode(torch.kron(frames, torch.ones(n, n)))
    torch.testing.assert_close(finer.mean, expected.mean)


def test_cells_of_another_width_have_other_tokens() -> None:
    """What the test of blocks would find of a wrong ratio."""
    model, (frames, wide) = micro_tokens(), blocky(2)
    wrong = model.on(GRID.scaled(cell_width=4)).encode(wide)
    assert wrong.mean.shape[-2:] != model.encode(frames).mean.shape[-2:]


def test_a_wide_cell_is_the_mean_of_decoded_ones() -> None:
    model = micro_tokens()
    tokens = model.encode(window()[0][0, 0]).mean
    cells = model.pixels(tokens)
    draws = torch.stack([coarsened(cells.sample()[None], 2)[0] for _ in range(4000)])
    found = model.on(GRID.scaled(cell_width=2)).pixels(tokens)
    torch.testing.assert_close(found.mean, draws.mean(0), atol=0.05, rtol=0.0)
    torch.testing.assert_close(found.stddev, draws.std(0), atol=0.0, rtol=0.08)
    finer = model.on(GRID.scaled(cell_width=0.5)).pixels(tokens)
    assert torch.equal(finer.mean, torch.kron(cells.mean, torch.ones(2, 2)))
    assert torch.equal(finer.stddev, torch.kron(cells.stddev, torch.ones(2, 2)))


@pytest.mark.parametrize("views", ["one", "mirrored", "shifted"])
@pytest.mark.parametrize("width", [8, 2, 0.5])
def test_forecasts_have_the_cells_of_their_data(views: str, width: float) -> None:
    model = micro_tokens(views=views)
    on = model.on(GRID.scaled(cell_width=width, steps_per_frame=2))
    first = resampled(window()[0][:, 0], model.tokens.patch, on.patch)
    found = torch.stack(list(on.forecast(first, window()[1], grid=on.grid, n_steps=2, n_draws=2, seed=0)))
    assert found.shape == (2, 2, 2, 5, *on.grid.shape)


REFUSED = [
    replace(GRID, spacing=1.5 * GRID.spacing),
    replace(GRID, spacing=3 * GRID.spacing),  # no divisor of the patch
    replace(GRID, spacing=16 * GRID.spacing),  # wider than a token
    replace(GRID, time_step=1.5 * GRID.time_step),
    replace(GRID, time_step=0.5 * GRID.time_step),
    replace(GRID, periodic="y"),
]


@pytest.mark.parametrize("grid", REFUSED, ids=str)
def test_other_ratios_are_refused(grid: Grid) -> None:
    with pytest.raises(
        ValueError, match=r"grid: expected cells of 0\.04 µm .*, cells times a divisor of 8 or over a whole number"
    ) as caught:
        micro_tokens().on(grid)
    assert len(str(caught.value)) <= 300


@BOTH
def test_what_is_not_declared_is_refused(build: Callable[[], TokenForecaster]) -> None:
    model = build()
    other = thinned(model.on(GRID.scaled(steps_per_frame=2)))
    with pytest.raises(ValueError, match="grid: expected cells of 0.04 µm"):
        pt.rollout(model, other, draws=2)
    with pytest.raises(
        ValueError,
        match=r"trajectories: expected cells of 0\.04 µm and frames every 0\.125 ns .*, got cells of 0\.04 µm and frames every 0\.25 ns",
    ):
        pt.fit(model, other, pt.Elbo(), steps=1, horizon=2, batch_size=2)
    with pytest.raises(ValueError, match=r"trajectories: expected .*; tokens\.on\(grid\) declares"):
        pt.MesoTokens.untrained(micro_tokens(), other, MESO)


@BOTH
def test_other_scales_share_all_weights_and_are_saved(build: Callable[[], TokenForecaster], tmp_path: Path) -> None:
    model = build()
    on = model.on(GRID.scaled(cell_width=2, steps_per_frame=2))
    assert (model.patch, model.steps_per_frame) == (8, 1)
    assert {id(one) for one in model.parameters()} == {id(one) for one in on.parameters()}
    on.save(tmp_path / "tokens.pt")
    loaded = pt.load(tmp_path / "tokens.pt")
    assert (loaded.patch, loaded.steps_per_frame, loaded.grid, loaded.learned_on) == (4, 2, on.grid, GRID)
    first, context = coarsened(window()[0], 2)[:, 0], window()[1]
    request: dict[str, Any] = {"grid": on.grid, "n_steps": 2, "n_draws": 2, "seed": 0}
    for ours, theirs in zip(on.forecast(first, context, **request), loaded.forecast(first, context, **request), strict=True):
        assert torch.equal(ours, theirs)


def test_few_simulations_of_another_scale_adapt_tokens_beside_micro_ones() -> None:
    micro = micro_tokens()
    few = thinned(micro.on(GRID.scaled(cell_width=2, steps_per_frame=2)))
    meso = pt.MesoTokens.untrained(micro.on(few.grid), few, MESO)
    stages = [
        LatentErrorStage(name="means", steps=2, horizon=2, batch_size=2),
        RolloutScoreStage(name="spread", steps=2, horizon=2, batch_size=2, learn=("noise", "weights")),
    ]
    history = pt.fit(meso, few, stages, replay=thinned(micro), validation=few)
    assert np.isfinite(history.losses).all()
    assert meso.grid.compatible_with(few.grid)
    ensemble = pt.rollout(meso, few, draws=2).compute()
    np.testing.assert_allclose(ensemble["time"], few.grid.time_step * np.arange(1, 5))


def test_replayed_windows_have_steps_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A micro frame stays a step where a meso frame is two."""
    from probtokens.train.module import StageModule

    micro, seen = micro_tokens(), []
    few = thinned(micro.on(GRID.scaled(steps_per_frame=2)))
    parts = StageModule._parts

    def watched(module: StageModule, batch: Any, model: TokenForecaster) -> Any:
        seen.append(model.steps_per_frame)
        return parts(module, batch, model)

    monkeypatch.setattr(StageModule, "_parts", watched)
    meso = pt.MesoTokens.untrained(micro.on(few.grid), few, MESO)
    pt.fit(meso, few, LatentErrorStage(name="means", steps=1, horizon=2, batch_size=2), replay=thinned(micro))
    assert seen == [2, 1]


@torch.no_grad()
def test_a_guide_of_several_steps_a_frame_leads_to_the_exact_evidence() -> None:
    """Two steps of a chain are one of a chain with other numbers, whose evidence is known."""
    a, b, s = 0.9, 0.3, 0.4
    shape: dict[str, Any] = {"n_pixels": 2, "lattice": (1, 1), "n_times": 3}
    one = Chain(carry=(a,), drive=(b,), noise=(s,), **shape)
    two = Chain(carry=(a**2,), drive=(b * (1 + a),), noise=(s * (1 + a**2) ** 0.5,), **shape)
    frames = simulate(two, 1, torch.Generator().manual_seed(3))
    exact, wrong = (float(ExactPosterior(chain).log_evidence(frames.numpy())[0]) for chain in (two, one))
    program, many = LinearChain(one), frames.expand(40_000, *frames.shape[1:])
    program.steps_per_frame = 2
    torch.manual_seed(0)
    guide = poutine.trace(Guide(program)).get_trace(many, no_context(many))
    weights = log_weight(program, guide, many, no_context(many))
    found = float(weights.logsumexp(0)) - np.log(len(many))
    assert found == pytest.approx(exact, abs=0.05)
    assert abs(wrong - exact) > 0.1
