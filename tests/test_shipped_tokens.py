"""The tokens that come with the package: what the Pyro pair says of a shocked pore is what is forecast."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from pyro.infer import Predictive

import probtokens as pt
from probtokens.config import MicrostructureConfig, PhysicsConfig
from probtokens.fields import Grid, field_index
from probtokens.models.meso import MesoTokens
from probtokens.models.micro import MicroTokens
from probtokens.models.state_space import ALL_SOURCES, Source
from probtokens.models.tokens import TokenForecaster
from probtokens.simulate.microstructure import pore_fraction
from probtokens.simulate.run import build_solver, run_batch
from probtokens.verify.token_pairs import MESO
from probtokens.weights import shipped, weights_file

DRAWS, STEPS, THRESHOLD = 64, 6, 875.0


def first_frame(model: MicroTokens) -> tuple[torch.Tensor, torch.Tensor, Grid]:
    """First frame (1, field, y, x) and context of a pore that a shock of 9.5 GPa has not reached yet."""
    grid = replace(model.grid, ny=32, nx=48)
    generator = np.random.default_rng(5)
    pores = MicrostructureConfig.model_validate({"diameter": {"low": 0.5, "high": 0.5}, "kinds": ["ellipse"], "margin": 0.2})
    gas = pore_fraction(grid.ny, grid.nx, grid.spacing, pores, generator, split="test")[None]
    physics = PhysicsConfig(compile=False)
    solver = build_solver(physics, grid.spacing)
    fields = run_batch(solver, gas, np.array([9.5]), replace(grid, n_times=1), physics).frames
    frame = np.stack([fields[spec.name][:, 0] for spec in model.fields], axis=1)
    return torch.as_tensor(frame, dtype=torch.float32), torch.tensor([[9.5]]), grid


def meso_of(micro: MicroTokens) -> MesoTokens:
    torch.manual_seed(0)
    return MesoTokens(micro, MESO, 4, 41)


@pytest.mark.parametrize("name", shipped())
@pytest.mark.parametrize("scale", [lambda micro: micro, meso_of], ids=["micro", "meso"])
def test_predictive_and_forecast_are_one_distribution(name: str, scale: Callable[[MicroTokens], TokenForecaster]) -> None:
    micro = MicroTokens.load(weights_file(name))
    model = scale(micro)
    initial, context, grid = first_frame(micro)
    model.tokens = model.tokens.model_copy(update={"precision": "float32"})  # as Pyro computes
    with torch.no_grad():
        torch.manual_seed(0)
        x = Predictive(model.model, guide=model.guide, num_samples=DRAWS, parallel=True)(initial[:, None], context, STEPS)["x"][:, 0, -1]
    *_, last = model.forecast(initial, context, grid=grid, n_steps=STEPS, n_draws=DRAWS, seed=1)
    ours = last[:, 0]
    for number, spec in enumerate(model.fields):
        for draws in (ours[:, number], x[:, number]):
            assert spec.lower is None or draws.min() >= spec.lower
            assert spec.upper is None or draws.max() <= spec.upper
        one, other = ours[:, number], x[:, number]
        noise = (one.var(0) + other.var(0)).mean().sqrt() / DRAWS**0.5
        # Cells of a draw err together: the difference of means, over the domain, has about the size that one cell's has.
        assert float((one.mean(0) - other.mean(0)).square().mean().sqrt()) < 1.7 * float(noise), spec.name
        ratio = float(one.var(0).mean().sqrt() / other.var(0).mean().sqrt())
        assert ratio == pytest.approx(1.0, abs=0.3), spec.name
        halves = [float(part.var(0).mean().sqrt() / one.var(0).mean().sqrt()) for part in one.split(DRAWS // 2)]
        assert halves == pytest.approx([1.0, 1.0], abs=0.3), spec.name
        for level in (0.1, 0.9):
            apart = (one.quantile(level, dim=0) - other.quantile(level, dim=0)).square().mean().sqrt()
            assert float(apart) < 4.0 * float(noise), (spec.name, level)
    position = field_index(model.fields, "temperature")
    areas = [(draws[:, position] > THRESHOLD).double().mean((-2, -1)) for draws in (ours, x)]
    error = (sum(area.var() for area in areas) / DRAWS) ** 0.5
    assert float(areas[0].mean()) > 0.0
    assert abs(float(areas[0].mean() - areas[1].mean())) < 3.5 * float(error)
    assert float(areas[0].std() / areas[1].std()) == pytest.approx(1.0, abs=0.45)


def test_a_forecast_of_the_domain_as_it_is_alone_is_told_from_it() -> None:
    """The negative control: without views the same comparison of spread fails."""
    model = MicroTokens.load(weights_file("hmx-standard"))
    initial, context, grid = first_frame(model)
    every, without = (
        list(model.forecast(initial, context, grid=grid, n_steps=STEPS, n_draws=DRAWS, seed=1, sources=sources))[-1][:, 0, 0]
        for sources in (ALL_SOURCES, ALL_SOURCES - {Source.VIEW})
    )
    assert float(without.var(0).mean().sqrt() / every.var(0).mean().sqrt()) < 0.8


@pytest.mark.parametrize("pressure", [4.5, 14.0])
def test_crystal_that_no_wave_has_reached_does_not_drift(pressure: float) -> None:
    """At most 0.05 K a step in the mean of draws, all sources on, away from pores; with the gate open the same weights drift."""
    solid = np.ones((64, 320), dtype=bool)
    y, x = np.mgrid[:64, :320]
    solid[(y - 32) ** 2 + (x - 260) ** 2 < 81] = False
    first = pt.first_frame(solid, pressure, spacing=0.04)
    opened = pt.load("hmx-standard")
    opened.rest.tells.zero_()
    ahead, largest = solid[:, 200:], []
    for model in (pt.load("hmx-standard"), opened):
        draws = pt.rollout(model, first, steps=6, draws=8, seed=0).sel(field="temperature").isel(simulation=0)
        means = np.asarray(draws)[:, -6:, :, 200:][:, :, ahead].mean(axis=(0, 2))
        largest.append(np.abs(np.diff(means)).max())
    assert largest[0] < 0.05 < largest[1]


@pytest.mark.parametrize("name", shipped())
def test_a_step_sees_all_neighbours_that_a_wave_can_come_from(name: str) -> None:
    model = MicroTokens.load(weights_file(name))
    middle, width = 30, 61
    z = torch.randn(1, sum(group.channels for group in model.tokens.groups), 1, width, requires_grad=True)
    effects = torch.zeros(1, *model.effect_shape(1, width))
    drift, _ = model.transition(z, effects, model.context_vector(torch.tensor([[9.5]])))
    (slope,) = torch.autograd.grad(drift[..., middle].sum(), z)
    seen = slope.abs().sum((0, 1, 2)).nonzero().flatten()
    assert model.rest is not None
    assert middle - seen.min() >= model.rest.reach  # how far the fastest wave comes in a step
    assert seen.max() - middle >= model.rest.reach
