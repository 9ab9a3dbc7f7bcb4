"""Battery that every Forecaster must pass. To enrol one, add a builder to ``BUILDERS``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from probtokens.baselines import Mld, Parc, Persistence
from probtokens.baselines.parc_literal import LiteralParc
from probtokens.config import ParcConfig
from probtokens.data.support import ExtrapolationWarning
from probtokens.fields import FieldSpec, Grid
from probtokens.models.base import Forecaster, told
from probtokens.verify.token_pairs import FIELDS, GRID, MEAN, SCALE, meso_tokens, micro_tokens, normalizer

N_SIMULATIONS = 2


@dataclass(frozen=True)
class Case:
    """A forecaster and whether it always gives the same single member."""

    forecaster: Forecaster
    deterministic: bool


def build_persistence() -> Case:
    return Case(Persistence(FIELDS, GRID), deterministic=True)


def build_parc() -> Case:
    torch.manual_seed(0)
    return Case(Parc(ParcConfig(width=8, levels=2), normalizer(), GRID), deterministic=True)


def build_literal_parc() -> Case:
    torch.manual_seed(0)
    return Case(LiteralParc(ParcConfig(width=8, levels=2), normalizer(), GRID), deterministic=True)


def build_mld() -> Case:
    torch.manual_seed(0)
    return Case(Mld(normalizer(), GRID, width=4), deterministic=False)


def build_micro_tokens() -> Case:
    return Case(micro_tokens(), deterministic=False)


def build_micro_tokens_of_all_views() -> Case:
    return Case(micro_tokens(views="shifted"), deterministic=False)


def build_meso_tokens() -> Case:
    return Case(meso_tokens(), deterministic=False)


BUILDERS: dict[str, Callable[[], Case]] = {
    "persistence": build_persistence,
    "parc": build_parc,
    "parc, as published": build_literal_parc,
    "mld": build_mld,
    "micro_tokens": build_micro_tokens,
    "micro_tokens, shifted views": build_micro_tokens_of_all_views,
    "meso_tokens": build_meso_tokens,
}


@pytest.fixture(params=BUILDERS)
def case(request: pytest.FixtureRequest) -> Case:
    return BUILDERS[request.param]()


def first_frames(grid: Grid = GRID, n_simulations: int = N_SIMULATIONS) -> tuple[Tensor, Tensor]:
    """Smooth first frames (simulation, field, y, x) within the bounds, and context; physical units."""
    y = torch.linspace(0.0, 3.0, grid.ny)[:, None]
    x = torch.linspace(0.0, 5.0, grid.nx)[None, :]
    phase = torch.arange(n_simulations)[:, None, None, None] + torch.arange(len(FIELDS))[:, None, None]
    waves = torch.sin(y + phase) * torch.cos(x - phase)
    initial = MEAN[:, None, None] + 0.5 * SCALE[:, None, None] * waves
    return initial, torch.linspace(13.0, 18.0, n_simulations)[:, None]


def forecast(forecaster: Forecaster, *, grid: Grid = GRID, n_steps: int = 3, n_draws: int = 4, seed: int = 7, **given: Any) -> list[Tensor]:
    """All frames of a forecast from :func:`first_frames`, or from what is given."""
    initial, context = first_frames(grid)
    request = {"initial": initial, "context": context} | given
    frames = forecaster.forecast(request["initial"], request["context"], grid=grid, n_steps=n_steps, n_draws=n_draws, seed=seed)
    return list(frames)


def test_meets_the_protocol(case: Case) -> None:
    assert isinstance(case.forecaster, Forecaster)
    assert case.forecaster.name
    assert getattr(case.forecaster, "deterministic", False) is case.deterministic
    assert all(isinstance(spec, FieldSpec) for spec in case.forecaster.fields)


@pytest.mark.parametrize("n_steps", [1, 3])
@pytest.mark.parametrize("n_draws", [1, 4])
def test_yields_one_frame_a_lead_with_all_dimensions(case: Case, n_steps: int, n_draws: int) -> None:
    frames = forecast(case.forecaster, n_steps=n_steps, n_draws=n_draws)
    members = 1 if case.deterministic else n_draws
    assert [tuple(frame.shape) for frame in frames] == [(members, N_SIMULATIONS, len(FIELDS), *GRID.shape)] * n_steps


def test_same_seed_same_ensemble(case: Case) -> None:
    for one, other in zip(forecast(case.forecaster), forecast(case.forecaster), strict=True):
        torch.testing.assert_close(one, other, rtol=0.0, atol=0.0)


def test_seed_is_all_the_randomness(case: Case) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = forecast(case.forecaster)
    assert torch.equal(torch.get_rng_state(), before), "the global random state was used"
    other = forecast(case.forecaster, seed=8)
    assert torch.equal(one[-1], other[-1]) is case.deterministic


def test_members_differ(case: Case) -> None:
    last = forecast(case.forecaster)[-1]
    assert len(last) == 1 if case.deterministic else (last[0] - last[1]).abs().max() > 0


def test_frames_are_in_physical_units_and_within_bounds(case: Case) -> None:
    initial, _ = first_frames()
    for frame in forecast(case.forecaster):
        assert torch.isfinite(frame).all()
        assert frame.dtype == torch.float32 == initial.dtype
        assert not frame.requires_grad
        for channel, spec in enumerate(FIELDS):
            values = frame[:, :, channel]
            assert spec.lower is None or values.min() >= spec.lower
            assert spec.upper is None or values.max() <= spec.upper
    drift = (forecast(case.forecaster, n_steps=1)[0] - initial).abs().mean(dim=(0, 1, 3, 4))
    assert (drift < 3.0 * SCALE).all(), f"first lead is {drift / SCALE} scales away from the first frame"


def test_first_frames_are_not_modified(case: Case) -> None:
    initial, context = first_frames()
    kept = initial.clone(), context.clone()
    forecast(case.forecaster, initial=initial, context=context)
    assert torch.equal(initial, kept[0])
    assert torch.equal(context, kept[1])


def test_simulations_do_not_influence_each_other(case: Case) -> None:
    if not case.deterministic:
        pytest.skip("draws of a smaller batch are other draws")
    initial, context = first_frames()
    together = forecast(case.forecaster)[-1][:, :1]
    alone = forecast(case.forecaster, initial=initial[:1], context=context[:1])[-1]
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-3)


def test_other_extents_are_welcome(case: Case) -> None:
    grid = replace(GRID, ny=24, nx=40)
    assert forecast(case.forecaster, grid=grid)[-1].shape[-2:] == grid.shape


def _missing_field(initial: Tensor, context: Tensor) -> dict[str, Any]:
    return {"initial": initial[:, 1:], "context": context}


def _missing_axis(initial: Tensor, context: Tensor) -> dict[str, Any]:
    return {"initial": initial[0], "context": context}


def _other_extent(initial: Tensor, context: Tensor) -> dict[str, Any]:
    return {"initial": initial[..., :-8], "context": context}


def _context_of_other_simulations(initial: Tensor, context: Tensor) -> dict[str, Any]:
    return {"initial": initial, "context": context[:1]}


def _context_without_axis(initial: Tensor, context: Tensor) -> dict[str, Any]:
    return {"initial": initial, "context": context[:, 0]}


@pytest.mark.parametrize("spoil", [_missing_field, _missing_axis, _other_extent, _context_of_other_simulations, _context_without_axis])
def test_wrong_shapes_are_refused(case: Case, spoil: Callable[[Tensor, Tensor], dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match=r"expected .* got"):
        forecast(case.forecaster, **spoil(*first_frames()))


@pytest.mark.parametrize("changed", [{"spacing": 0.05}, {"time_step": 0.25}])
def test_other_cell_size_and_frame_step_are_refused(case: Case, changed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"expected .* got"):
        forecast(case.forecaster, grid=replace(GRID, **changed))


@pytest.mark.parametrize("asked", [{"n_steps": 0}, {"n_draws": 0}])
def test_empty_requests_are_refused(case: Case, asked: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"expected .* got"):
        forecast(case.forecaster, **asked)


def _cell(field: int, value: float) -> Callable[[Tensor, Tensor], dict[str, Any]]:
    def spoil(initial: Tensor, context: Tensor) -> dict[str, Any]:
        initial[1, field, 3, 2] = value
        return {"initial": initial}

    return spoil


IMPOSSIBLE: list[tuple[Callable[[Tensor, Tensor], dict[str, Any]], str]] = [
    (_cell(0, float("nan")), r"initial: field 'temperature', simulation 1: .* got nan at \(y, x\) = \(3, 2\)"),
    (_cell(1, float("-inf")), "initial: field 'pressure', simulation 1: .* got -inf"),
    (_cell(0, -500.0), r"initial: field 'temperature', simulation 1: expected finite values in \[0, inf\] K, got -500 at"),
    (_cell(2, 7.0), "initial: field 'solid_fraction', simulation 1: .* got 7 at"),
    (lambda initial, context: {"initial": initial.double() + 1e39}, "initial: field 'temperature', simulation 0: .* got inf"),
    (
        lambda initial, context: {"context": context * float("nan")},
        "context: scalar '?(shock_pressure|0)'?, simulation 0: expected .* got nan",
    ),
    (lambda initial, context: {"context": context.double() * 1e300}, "context: scalar .* got inf"),
    (lambda initial, context: {"initial": initial[:0], "context": context[:0]}, "initial: expected shape .* got .0, 5, 16, 24"),
    (lambda initial, context: {"initial": initial + 1j}, "initial: expected real numbers, got torch.complex64"),
    (lambda initial, context: {"initial": initial.numpy().astype(str)}, "initial: expected real numbers, got <U"),
    (lambda initial, context: {"context": context > 0}, "context: expected real numbers, got torch.bool"),
    (lambda initial, context: {"n_steps": 1.5}, "n_steps: expected a whole number >= 1, got 1.5"),
    (lambda initial, context: {"seed": -1}, "seed: expected a whole number >= 0, got -1"),
]


@pytest.mark.parametrize(("spoil", "message"), IMPOSSIBLE)
def test_impossible_values_are_refused_by_name_before_the_first_frame(
    case: Case, spoil: Callable[[Tensor, Tensor], dict[str, Any]], message: str
) -> None:
    initial, context = first_frames()
    asked = {"initial": initial, "context": context, "grid": GRID, "n_steps": 1, "n_draws": 1, "seed": 0} | spoil(initial, context)
    with pytest.raises(ValueError, match=message) as caught:
        case.forecaster.forecast(**asked)
    assert len(str(caught.value)) <= 300


def remembers(case: Case) -> Forecaster:
    """The forecaster, which has seen no temperature below 290 K; those that know no training data have nothing to say here."""
    if not hasattr(case.forecaster, "support"):
        assert isinstance(case.forecaster, Persistence)
        pytest.skip("knows no training data")
    case.forecaster.normalizer.field_range[0, 0] = 290.0
    return case.forecaster


def at_rest() -> Tensor:
    """Cold crystal that nothing has reached: every field is the same everywhere."""
    values = torch.tensor([300.0, 0.0, 1.0, 0.0, 0.0])
    return values[:, None, None].expand(N_SIMULATIONS, len(FIELDS), *GRID.shape).clone()


@pytest.mark.filterwarnings("error::probtokens.ExtrapolationWarning")
@pytest.mark.parametrize("cold", [300.0, 298.15, 250.0, 77.0])
def test_frames_at_rest_and_cold_starts_are_forecast_without_a_warning(case: Case, cold: float) -> None:
    initial = at_rest()
    initial[:, 0] = cold
    assert len(forecast(case.forecaster, initial=initial)) == 3
    if hasattr(case.forecaster, "support"):
        assert len(forecast(remembers(case), initial=initial)) == 3


IN_ANOTHER_UNIT: list[tuple[str, Callable[[Tensor, Tensor], Any], str]] = [
    ("initial", lambda initial, context: _converted(initial, 1, factor=1e9), "field 'pressure', simulation 0: .* are they in Pa[?]"),
    ("initial", lambda initial, context: _converted(initial, 1, factor=1e3), "field 'pressure', simulation 0: .* are they in MPa[?]"),
    ("initial", lambda initial, context: _converted(initial, 3, factor=1e3), "field 'velocity_x', simulation 0: .* are they in m/s[?]"),
    ("initial", lambda initial, context: _converted(initial, 2, factor=1e2), "field 'solid_fraction', simulation 0: .* are they in %[?]"),
    ("initial", lambda initial, context: _converted(at_rest(), 0, offset=-273.15), "field 'temperature', .* are they in °C[?]"),
    ("context", lambda initial, context: context * 1e9, "scalar 'shock_pressure', simulation 0: .* are they in Pa[?]"),
    ("context", lambda initial, context: context * 1e3, "scalar 'shock_pressure', simulation 0: .* are they in MPa[?]"),
    ("grid", lambda initial, context: replace(GRID, spacing=GRID.spacing * 1e-6), "grid: .* is the cell edge in m[?]"),
    ("grid", lambda initial, context: replace(GRID, time_step=GRID.time_step * 1e-9), "grid: .* is the frame step in s[?]"),
    ("grid", lambda initial, context: replace(GRID, spacing=GRID.spacing * 1e-3), "grid: .* is the cell edge in mm[?]"),
]


def _converted(initial: Tensor, field: int, *, factor: float = 1.0, offset: float = 0.0) -> Tensor:
    initial[:, field] = initial[:, field] * factor + offset
    return initial


@pytest.mark.parametrize(("what", "change", "message"), IN_ANOTHER_UNIT)
def test_another_unit_is_refused_by_its_name(case: Case, what: str, change: Callable[[Tensor, Tensor], Any], message: str) -> None:
    forecaster = remembers(case)
    with pytest.raises(ValueError, match=message) as caught:
        forecast(forecaster, **{what: change(*first_frames())})
    assert len(str(caught.value)) <= 300


def test_absurd_values_are_refused(case: Case) -> None:
    forecaster, (initial, context) = remembers(case), first_frames()
    initial[1, 0, 3, 2] = 1e6
    with pytest.raises(
        ValueError, match=r"initial: field 'temperature', simulation 1: expected values near .* 290 to 2700 K, got .* to 1e[+]06$"
    ):
        forecast(forecaster, initial=initial)
    with pytest.raises(ValueError, match="context: scalar 'shock_pressure', simulation 0: expected values near .* got 1000$"):
        forecast(forecaster, context=torch.full_like(context, 1000.0))


def test_extrapolation_warns_once_where_the_forecast_is_asked_for(case: Case) -> None:
    forecaster, (_, context) = remembers(case), first_frames()
    context[1] = 40.0
    with pytest.warns(
        ExtrapolationWarning, match="1 of 2 simulations begins outside .* 1: shock_pressure 40 .12 to 18 GPa in training"
    ) as caught:
        forecast(forecaster, context=context)
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.filterwarnings("error::probtokens.ExtrapolationWarning")
def test_within_told_nothing_is_said(case: Case) -> None:
    with told():
        forecast(remembers(case), context=torch.full((N_SIMULATIONS, 1), 40.0))


@pytest.mark.parametrize("kind", ["float64", "float16", "int32", "numpy", "big-endian numpy", "list", "requires_grad"])
def test_numbers_of_any_type_give_the_forecast_of_single_precision(case: Case, kind: str) -> None:
    initial, context = (values.round() for values in first_frames())
    initial[:, 2:] = initial[:, 2:].clamp(0.0, 1.0)
    convert: dict[str, Callable[[Tensor], Any]] = {
        "numpy": lambda values: values.double().numpy(),
        "big-endian numpy": lambda values: values.numpy().astype(">f8")[...],
        "list": lambda values: values.tolist(),
        "requires_grad": lambda values: values.clone().requires_grad_(),
    }
    other = convert.get(kind, lambda values: values.to(getattr(torch, kind)))
    expected = forecast(case.forecaster, initial=initial, context=context)
    found = forecast(case.forecaster, initial=other(initial), context=other(context))
    for one, same in zip(found, expected, strict=True):
        assert one.dtype == torch.float32
        assert not one.requires_grad
        assert torch.equal(one, same)


def test_changing_a_frame_in_place_changes_neither_the_next_nor_what_was_given(case: Case) -> None:
    initial, context = first_frames()
    expected = forecast(case.forecaster)
    frames = case.forecaster.forecast(initial, context, grid=GRID, n_steps=3, n_draws=4, seed=7)
    for frame, untouched in zip(frames, expected, strict=True):
        assert torch.equal(frame, untouched)
        frame += 1.0
    assert torch.equal(initial, first_frames()[0])


def test_frames_can_feed_a_network_that_is_trained(case: Case) -> None:
    layer = torch.nn.Conv2d(len(FIELDS), 1, 1)
    layer(forecast(case.forecaster)[-1].flatten(0, 1)).sum().backward()
    assert layer.weight.grad is not None


def test_requests_are_checked_before_the_first_frame_is_asked_for(case: Case) -> None:
    initial, context = first_frames()
    with pytest.raises(ValueError, match=r"expected .* got"):
        case.forecaster.forecast(initial[:, 1:], context, grid=GRID, n_steps=1, n_draws=1, seed=0)
