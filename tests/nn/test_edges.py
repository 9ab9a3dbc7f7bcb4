"""Periodic axes: what is turned around by whole tokens is forecast, smoothed and scored turned around; with walls it is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from probtokens.baselines import Parc
from probtokens.baselines.parc_operators import advection, diffusion
from probtokens.config import MesoConfig, ParcConfig
from probtokens.models.base import Forecaster
from probtokens.models.meso import MesoTokens
from probtokens.models.micro import MicroTokens
from probtokens.models.state_space import NO_SOURCES, Draws, posterior_draws
from probtokens.nn.edges import raised, wrapped
from probtokens.verify.token_pairs import GRID, MESO, TOKENS, normalizer, randomise, window

PATCH = 2
CHANGES = {"patch": PATCH, "trajectory_patch": 4, "transition_blocks": 2}


def micro(periodic: str, **changes: object) -> MicroTokens:
    torch.manual_seed(0)
    model = MicroTokens(TOKENS.model_copy(update=CHANGES | changes), normalizer(), replace(GRID, periodic=periodic))
    randomise(model)
    return model


def meso(periodic: str) -> MesoTokens:
    model = MesoTokens(micro(periodic), MesoConfig.model_validate(MESO.model_dump()), n_simulations=3, n_times=GRID.n_times)
    randomise(model.posterior)
    return model


def resting(periodic: str) -> MicroTokens:
    return micro(periodic, rest={"pressure": 0.0}, wave_speed=0.5)


def shifted(periodic: str) -> MicroTokens:
    return micro(periodic, views="shifted")


def parc(periodic: str) -> Parc:
    torch.manual_seed(0)
    model = Parc(ParcConfig(width=8, levels=1), normalizer(), replace(GRID, periodic=periodic))
    randomise(model)
    return model


def forecast(model: Forecaster, first: torch.Tensor, periodic: str) -> torch.Tensor:
    """Means of the third frame after the first."""
    options = {} if isinstance(model, Parc) else {"sources": NO_SOURCES}
    grid = replace(GRID, periodic=periodic)
    *_, last = model.forecast(first, window()[1], grid=grid, n_steps=3, n_draws=1, seed=0, **options)
    return last[0]


def missed(build: Callable[[str], Forecaster], knows: str, turns: str, cells: int) -> float:
    """Largest difference, in standard units, between the forecast of a turned first frame and the turned forecast."""
    model, first = build(knows), window()[0][:, 0]
    dims = tuple({"y": -2, "x": -1}[axis] for axis in turns)
    turn = (cells,) * len(dims)
    apart = forecast(model, first.roll(turn, dims), knows) - forecast(model, first, knows).roll(turn, dims)
    return float((apart / normalizer().field_scale[:, None, None]).abs().max())


@pytest.mark.parametrize("build", [micro, meso, resting, shifted, parc])
def test_a_turned_first_frame_gives_the_turned_forecast_along_periodic_axes_and_no_others(build: Callable[[str], Forecaster]) -> None:
    cells = 8 if build is parc else PATCH
    for periodic in ("x", "y", "xy"):
        assert missed(build, periodic, periodic, cells) < 2e-5
    assert missed(build, "", "x", cells) > 1e-3
    assert missed(build, "x", "y", cells) > 1e-3
    assert missed(build, "y", "x", cells) > 1e-3


@pytest.mark.parametrize("build", [micro, meso, shifted])
def test_posteriors_of_turned_windows_are_turned_posteriors(build: Callable[[str], MicroTokens]) -> None:
    frames, context = window()

    def sites(periodic: str, cells: int) -> dict[str, torch.Tensor]:
        with torch.no_grad():
            return posterior_draws(build(periodic), frames.roll(cells, -1), context, Draws(1, sources=NO_SOURCES))

    as_they_are, turned = sites("x", 0), sites("x", 8)
    for name, tokens in (("u", 1), ("z_0", 4), ("z_2", 4)):
        torch.testing.assert_close(turned[name], as_they_are[name].roll(tokens, -1), rtol=1e-4, atol=1e-4)
    walls, turned = sites("", 0), sites("", 8)
    n = as_they_are["z_2"].shape[-1]
    assert (turned["z_2"] - walls["z_2"].roll(4, -1))[..., :n].abs().max() > 1e-3


def test_a_model_remembers_what_is_periodic_and_refuses_domains_with_other_edges(tmp_path) -> None:
    for build in (micro, meso):
        model = build("y")
        model.save(tmp_path / "model.pt")
        loaded = type(model).load(tmp_path / "model.pt")
        first = window()[0][:, 0]
        assert torch.equal(forecast(loaded, first, "y"), forecast(model, first, "y"))
        for other in ("", "x", "xy"):
            with pytest.raises(ValueError, match="periodic along y"):
                forecast(loaded, first, other)
    with pytest.raises(ValueError, match="edges that are not periodic, got .* periodic along x"):
        forecast(micro(""), first, "x")


def test_parc_refuses_periodic_axes_that_its_coarsest_level_does_not_divide() -> None:
    with pytest.raises(ValueError, match=r"multiples of 16 cells along periodic axes, got \{'x': 24\}"):
        Parc(ParcConfig(width=8, levels=2), normalizer(), replace(GRID, periodic="x"))
    Parc(ParcConfig(width=8, levels=2), normalizer(), replace(GRID, periodic="y"))


def test_operators_of_parc_are_exact_to_their_order_across_periodic_edges() -> None:
    n = 64
    x = 2 * torch.pi * (torch.arange(n, dtype=torch.float64) + 0.5) / n
    wave, spacing = x.sin().expand(1, 1, n, n), 2 * torch.pi / n
    velocity = torch.ones(1, 2, n, n, dtype=torch.float64)
    for periodic, close in (("x", True), ("", False)):
        for found, exact in ((advection(wave, velocity, spacing, periodic), -x.cos()), (diffusion(wave, spacing, periodic), -x.sin())):
            assert torch.allclose(found, exact.expand_as(found), atol=2e-3) == close


def test_what_is_raised_is_periodic_and_bilinear_between_its_points() -> None:
    lattice = torch.randn(1, 2, 3, 4, generator=torch.Generator().manual_seed(0))
    fine = raised(lattice, 4, "xy")
    torch.testing.assert_close(raised(lattice.roll((1, 2), (-2, -1)), 4, "xy"), fine.roll((4, 8), (-2, -1)))
    middle = raised(lattice.repeat(1, 1, 3, 3), 4, "")[..., 12:24, 16:32]
    torch.testing.assert_close(fine, middle)


def test_what_is_wrapped_is_the_middle_of_copies_side_by_side() -> None:
    lattice = torch.arange(12).reshape(3, 4)
    copies = lattice.repeat(3, 3)
    assert torch.equal(wrapped(lattice, (2, 3), "xy")[0], copies[1:8, 1:11])
    wide, left = wrapped(lattice, (2, 3), "y")
    assert (left, wide.shape) == ((0, 3), (7, 4))
    assert wrapped(lattice, (2, 3), "")[0] is lattice
