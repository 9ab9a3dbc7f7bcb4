"""What counts as outside of the training range: units given by mistake are named, and nothing that is in order is refused."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import probtokens as pt
from probtokens.config import MicrostructureConfig, PhysicsConfig
from probtokens.data.normalize import Normalizer
from probtokens.data.support import ABSURD, MARGIN, Range, Support, extrapolation
from probtokens.fields import FieldSpec, field_spec
from probtokens.simulate.microstructure import pore_fraction
from probtokens.simulate.run import build_solver, run_batch

TEMPERATURE = Range("temperature", "K", 162.7, 6617.0, 645.0)
COLD_DATA = Range("temperature", "K", 20.0, 400.0, 38.0)
PRESSURE = Range("pressure", "GPa", -0.0002, 35.0, 3.5)
MEGA = Range("pressure", "MPa", 100.0, 35_000.0, 3490.0)
SHOCK = Range("shock_pressure", "GPa", 4.87, 13.6, 0.87)
SHOCK_IN_MPA = Range("shock_pressure", "MPa", 4870.0, 13_600.0, 870.0)
VELOCITY = Range("velocity_x", "km/s", -1.3, 4.8, 0.6)
FRACTION = Range("porosity", "1", 0.02, 0.2, 0.018)
OTHER = Range("activator", "mol", 0.0, 2.0, 0.2)
UNKNOWN = Range("pressure", "GPa", math.nan, math.nan, math.nan)


@pytest.mark.parametrize(
    ("known", "least", "most", "unit"),
    [
        (TEMPERATURE, 26.85, 198.0, "°C"),
        (TEMPERATURE, -20.0, 3000.0, "°C"),
        (PRESSURE, 1e5, 9e9, "Pa"),
        (PRESSURE, 0.0, 9e6, "kPa"),
        (PRESSURE, 0.0, 9e4, "bar"),
        (PRESSURE, 0.0, 9000.0, "MPa"),
        (SHOCK, 9e9, 9e9, "Pa"),
        (SHOCK, 9000.0, 9000.0, "MPa"),
        (SHOCK_IN_MPA, 9.0, 9.0, "GPa"),
        (SHOCK_IN_MPA, 9e9, 9e9, "Pa"),
        (VELOCITY, -980.0, 0.0, "m/s"),
        (FRACTION, 12.0, 12.0, "%"),
    ],
)
def test_units_given_by_mistake_are_named(known: Range, least: float, most: float, unit: str) -> None:
    assert known.unit_meant(least, most) == unit
    assert known.absurd(least, most)
    assert known.question(least, most) == f"; are they in {unit}?"


@pytest.mark.parametrize(
    ("known", "least", "most"),
    [
        (TEMPERATURE, 77.0, 200.0),  # a start in liquid nitrogen
        (TEMPERATURE, 250.0, 250.0),
        (TEMPERATURE, 300.0, 7000.0),
        (TEMPERATURE, 300.0, 60_000.0),
        (COLD_DATA, 10.0, 30.0),  # a model that knows 20 K may be asked for 10 K
        (PRESSURE, 0.0, 0.0),
        (PRESSURE, 1e-6, 1e-6),
        (PRESSURE, 0.0, 45.0),
        (PRESSURE, -5.0, 300.0),
        (MEGA, 1.0, 9.0),  # in a range that begins near zero a small value is a small value
        (SHOCK, 40.0, 40.0),
        (SHOCK, 0.009, 0.009),
        (SHOCK, -9.0, -9.0),
        (SHOCK_IN_MPA, 3000.0, 3000.0),
        (FRACTION, 0.0, 0.0),
        (FRACTION, 1.0, 1.0),
        (OTHER, 0.0, 19.0),
        (UNKNOWN, -1e30, 1e30),
    ],
)
def test_extrapolation_is_no_unit_error(known: Range, least: float, most: float) -> None:
    assert known.unit_meant(least, most) == ""
    assert not known.absurd(least, most)


def test_what_no_unit_explains_is_absurd_from_ten_times_the_largest_on() -> None:
    assert OTHER.absurd(0.0, 2.0 + 1.01 * ABSURD * 2.0)
    assert not OTHER.absurd(0.0, 2.0 + 0.99 * ABSURD * 2.0)
    assert OTHER.absurd(-1.01 * ABSURD * 2.0, 0.0)
    assert OTHER.question(0.0, 30.0) == ""


def test_outside_begins_a_tenth_of_the_width_beyond_the_range() -> None:
    low, high = SHOCK.limits
    assert (low, high) == pytest.approx((4.0, 14.47))
    assert SHOCK.holds(low, high)
    assert not SHOCK.holds(low - 1e-9, 9.0)
    assert not SHOCK.holds(9.0, high + 1e-9)
    assert UNKNOWN.holds(-1e30, 1e30)


def fitted(values: np.ndarray, fields: tuple[FieldSpec, ...], scalars: dict[str, np.ndarray]) -> Normalizer:
    return Normalizer.fit(pt.Trajectories.from_arrays(values, fields, spacing=0.04, time_step=0.1, context=scalars))


def test_support_is_that_of_the_training_data() -> None:
    rng = np.random.default_rng(0)
    fields = (field_spec("temperature"), field_spec("velocity_y"), FieldSpec("load", "Pa", "load"))
    values = np.stack([rng.uniform(300, 900, (3, 4, 8, 8)), rng.uniform(-1, 3, (3, 4, 8, 8)), np.full((3, 4, 8, 8), 1e9)], axis=2)
    normalizer = fitted(values, fields, {"shock_pressure": np.array([5.0, 7.0, 9.0]), "porosity": np.full(3, 0.05)})
    plain, mirrored = normalizer.support(), normalizer.support(mirrored=True)
    seen = values.astype(np.float32)
    for known, column in zip(plain.fields, np.moveaxis(seen, 2, 0), strict=True):
        assert (known.least, known.most) == (column.min(), column.max())
    assert [known.unit for known in (*plain.fields, *plain.scalars)] == ["K", "km/s", "Pa", "GPa", ""]
    assert plain.fields[0].margin == pytest.approx(MARGIN * (plain.fields[0].most - plain.fields[0].least), rel=0.02)
    assert mirrored.fields[1].least == -mirrored.fields[1].most == -plain.fields[1].most
    assert mirrored.fields[0] == plain.fields[0]
    constant = plain.fields[2]
    assert constant.holds(1e9 * (1 - 1e-6), 1e9 * (1 + 1e-6)), "round-off of single precision"
    assert not constant.holds(1e9, 1.1e9)
    assert not constant.absurd(1e9, 1.1e9)
    porosity = plain.scalars[1]
    assert porosity.holds(0.0, 0.1), "one that was constant has the standard unit 1, of which a tenth is inside"
    assert not porosity.holds(0.3, 0.3)


def test_a_normaliser_that_knows_no_range_refuses_nothing() -> None:
    support = Normalizer((field_spec("pressure"),), ("shock_pressure",)).support(mirrored=True)
    assert support.outside(torch.full((2, 1, 4, 4), 1e12), torch.full((2, 1), -1e12)) == ["", ""]


def test_other_numbers_of_fields_or_scalars_are_refused() -> None:
    support = Support((PRESSURE,), (SHOCK,))
    with pytest.raises(ValueError, match=r"support: expected \(1, 1\) fields and scalars, got \(2, 1\)"):
        support.outside(torch.zeros(1, 2, 4, 4), torch.zeros(1, 1))


@pytest.fixture(scope="module")
def shipped() -> Support:
    return pt.load("hmx-standard").support


def test_what_is_outside_is_told_by_simulation(shipped: Support) -> None:
    initial = torch.tensor([300.0, 0.0, 1.0, 0.0, 0.0, 0.0])[:, None, None].expand(3, 6, 4, 4).clone()
    initial[2, 1, 0, 0] = 41.0
    found = shipped.outside(initial, torch.tensor([[9.0], [40.0], [9.0]]))
    assert found[0] == ""
    assert found[1] == "shock_pressure 40 (4.873 to 13.61 GPa in training)"
    assert found[2] == "pressure 0 to 41 (-0.00023 to 35.01 GPa in training)"
    text = extrapolation("tokens", found, ["a", "b", "c"])
    assert text.startswith("tokens: 2 of 3 simulations begin outside of the training range")
    assert "b: shock_pressure 40" in text
    assert "a: " not in text
    assert extrapolation("tokens", ["", ""]) == ""
    assert "5: x | …" not in (many := extrapolation("tokens", ["x"] * 9))
    assert many.endswith("2: x | …")


def simulated(pressures: list[float], n_times: int, seed: int) -> tuple[Tensor, Tensor]:
    """Frames (simulation, time, field, y, x) of single pores and their shock pressures, by the simulator of the package."""
    model = pt.load("hmx-standard")
    grid = replace(model.grid, ny=32, nx=48, n_times=n_times)
    pores = MicrostructureConfig.model_validate({"diameter": {"low": 0.3, "high": 0.7}, "kinds": ["ellipse"], "margin": 0.2})
    generator = np.random.default_rng(seed)
    gas = np.stack([pore_fraction(grid.ny, grid.nx, grid.spacing, pores, generator, split="test") for _ in pressures])
    physics = PhysicsConfig(compile=False)
    fields = run_batch(build_solver(physics, grid.spacing), gas, np.array(pressures), grid, physics).frames
    frames = np.stack([fields[spec.name] for spec in model.fields], axis=2)
    return torch.tensor(frames, dtype=torch.float32), torch.tensor(pressures, dtype=torch.float32)[:, None]


@pytest.fixture(scope="module")
def simulation() -> tuple[Tensor, Tensor]:
    return simulated([5.0, 9.5, 13.5], 8, seed=3)


def test_every_frame_that_the_simulator_makes_is_inside(simulation: tuple[Tensor, Tensor], shipped: Support) -> None:
    frames, pressures = simulation
    for time in range(frames.shape[1]):
        assert shipped.outside(frames[:, time], pressures) == ["", "", ""]


@pytest.mark.parametrize(
    ("field", "factor", "offset", "unit"),
    [("pressure", 1e9, 0.0, "Pa"), ("pressure", 1e3, 0.0, "MPa"), ("temperature", 1.0, -273.15, "°C"), ("velocity_x", 1e3, 0.0, "m/s")],
)
def test_every_frame_that_the_simulator_makes_is_refused_in_another_unit(
    field: str, factor: float, offset: float, unit: str, simulation: tuple[Tensor, Tensor], shipped: Support
) -> None:
    frames, pressures = simulation
    position = [known.name for known in shipped.fields].index(field)
    for time in range(4):  # later on rarefied gas is colder than any crystal at rest
        for number in range(len(frames)):
            wrong = frames[number : number + 1, time].clone()
            wrong[:, position] = wrong[:, position] * factor + offset
            with pytest.raises(ValueError, match=f"field '{field}', simulation 0: expected values near .* are they in {unit}[?]"):
                shipped.outside(wrong, pressures[number : number + 1])


@given(st.data())
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
def test_frames_within_the_range_are_inside_however_little_they_vary(data: st.DataObject) -> None:
    """Any least and most within the range, a frame at rest included: at 300 K and 0 GPa, or wherever."""
    ends = []
    for known in (TEMPERATURE, PRESSURE, MEGA, VELOCITY, SHOCK, SHOCK_IN_MPA, FRACTION, OTHER):
        values = st.floats(known.least, known.most)
        least, most = sorted((data.draw(values), data.draw(values) if data.draw(st.booleans()) else known.least))
        ends.append((known, least, most))
    for known, least, most in ends:
        assert known.holds(least, most)
        assert not known.absurd(least, most)


@given(st.sampled_from([PRESSURE, VELOCITY, SHOCK, SHOCK_IN_MPA, OTHER]), st.floats(0.0, 9.0), st.booleans())
@settings(max_examples=200, deadline=None, derandomize=True, database=None)
def test_a_little_beyond_is_extrapolation_and_never_refused(known: Range, times: float, below: bool) -> None:
    """Up to nine widths above the range; below it while values stay within two orders of magnitude of those in training."""
    width = known.most - known.least
    least = known.least - (min(times, 0.9 * known.least / width) if known.least > 0 else times) * width if below else known.least
    most = known.most if below else known.most + times * width
    assert not known.absurd(least, most)
