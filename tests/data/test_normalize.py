from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from probtokens.data.normalize import Normalizer, mirror_image
from probtokens.data.the_well import write_shard
from probtokens.data.trajectories import TrajectorySet
from probtokens.fields import FieldSpec, Grid, field_spec
from tests.helpers import BOUNDARY, UNITS

FIELDS = ("temperature", "pressure", "velocity_x")


@pytest.fixture
def trajectories(campaign: Path) -> TrajectorySet:
    return TrajectorySet.open(campaign / "train", FIELDS, ["shock_pressure"])


def test_fit_gives_zero_mean_and_unit_spread(trajectories: TrajectorySet) -> None:
    normalizer = Normalizer.fit(trajectories)
    frames = torch.stack([normalizer.normalize(torch.tensor(trajectories.frames(i))) for i in range(len(trajectories))])
    context = normalizer.normalize_context(torch.from_numpy(trajectories.context))
    torch.testing.assert_close(frames.mean(dim=(0, 1, 3, 4)), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(frames.std(dim=(0, 1, 3, 4), correction=0), torch.ones(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(context.mean(dim=0), torch.zeros(1), atol=1e-4, rtol=0)
    torch.testing.assert_close(context.std(dim=0, correction=0), torch.ones(1), atol=1e-4, rtol=0)


def test_vectors_share_a_scale_and_fractions_have_one_of_their_range(campaign: Path) -> None:
    fields = ("velocity_y", "solid_fraction", "velocity_x")
    trajectories = TrajectorySet.open(campaign / "train", fields, ["shock_pressure"])
    frames = np.concatenate([trajectories.frames(i) for i in range(len(trajectories))])
    spread = frames.std(axis=(0, 2, 3))
    assert spread[0] < spread[2]
    assert spread[1] < 0.25
    np.testing.assert_allclose(Normalizer.fit(trajectories).field_scale, [spread[2], 0.25, spread[2]], rtol=1e-4)


def test_spread_and_ranges_are_those_of_the_data_whatever_the_scales(campaign: Path) -> None:
    fields = ("velocity_y", "solid_fraction", "velocity_x")
    trajectories = TrajectorySet.open(campaign / "train", fields, ["shock_pressure", "porosity"])
    frames = np.concatenate([trajectories.frames(i) for i in range(len(trajectories))]).astype(np.float64)
    normalizer = Normalizer.fit(trajectories)
    np.testing.assert_allclose(normalizer.field_std, frames.std(axis=(0, 2, 3)), rtol=1e-5)
    assert (normalizer.field_std < normalizer.field_scale).tolist() == [True, True, False]
    np.testing.assert_array_equal(normalizer.field_range, [frames.min(axis=(0, 2, 3)), frames.max(axis=(0, 2, 3))])
    np.testing.assert_array_equal(normalizer.context_range, [trajectories.context.min(axis=0), trajectories.context.max(axis=0)])


def test_components_share_a_scale_by_their_vector_not_by_their_name(tmp_path: Path) -> None:
    spread = {"momentum_x": 4.0, "momentum_y": 1.0, "concentration_x": 3.0, "concentration_y": 1.0}
    rng = np.random.default_rng(0)
    write_shard(
        tmp_path / "a.hdf5",
        {name: scale * rng.normal(size=(2, 3, 8, 8)) for name, scale in spread.items()},
        grid=Grid(ny=8, nx=8, spacing=0.04, time_step=0.125, n_times=3),
        scalars={},
        units=dict.fromkeys(spread, "1"),
        dataset_name="species called X and Y",
        boundary=BOUNDARY,
        vectors=("momentum",),
    )
    scale = Normalizer.fit(TrajectorySet.open(tmp_path, list(spread), [])).field_scale
    np.testing.assert_allclose(scale, [4, 4, 3, 1], rtol=0.2)
    assert scale[0] == scale[1]


@settings(max_examples=40, deadline=None)
@given(
    lead=st.lists(st.integers(1, 3), max_size=3),
    mean=st.lists(st.floats(-1e4, 1e4, width=32), min_size=3, max_size=3),
    log_scale=st.lists(st.floats(-4, 4), min_size=3, max_size=3),
    seed=st.integers(0, 2**16),
)
def test_denormalize_inverts_normalize(lead: list[int], mean: list[float], log_scale: list[float], seed: int) -> None:
    normalizer = Normalizer(tuple(map(field_spec, FIELDS)), ()).double()
    normalizer.field_mean.copy_(torch.tensor(mean))
    normalizer.field_scale.copy_(torch.tensor(log_scale).exp())
    values = torch.randn(*lead, 3, 2, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(normalizer.normalize(normalizer.denormalize(values)), values, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(normalizer.denormalize(normalizer.normalize(values)), values, rtol=1e-9, atol=1e-9)


def test_single_precision_round_trip_of_real_frames(trajectories: TrajectorySet) -> None:
    normalizer = Normalizer.fit(trajectories)
    frames = torch.tensor(trajectories.frames(0))
    error = (normalizer.denormalize(normalizer.normalize(frames)) - frames).abs().amax(dim=(0, 2, 3))
    assert bool((error < 1e-6 * (normalizer.field_scale + normalizer.field_mean.abs())).all())


def test_constants_get_scale_one(tmp_path: Path) -> None:
    write_shard(
        tmp_path / "a.hdf5",
        {"temperature": np.full((2, 3, 4, 4), 300.1), "velocity_x": np.zeros((2, 3, 4, 4))},
        grid=Grid(ny=4, nx=4, spacing=0.04, time_step=0.125, n_times=3),
        scalars={"shock_pressure": np.full(2, 15.1)},
        units=UNITS,
        dataset_name="constant",
        boundary=BOUNDARY,
    )
    normalizer = Normalizer.fit(TrajectorySet.open(tmp_path, ["temperature", "velocity_x"], ["shock_pressure"]))
    assert normalizer.field_scale.tolist() == [1.0, 1.0]
    assert normalizer.context_scale.tolist() == [1.0]
    np.testing.assert_allclose(normalizer.field_std, 0.0, atol=1e-4)
    np.testing.assert_allclose(normalizer.field_range, [[300.1, 0.0]] * 2, rtol=1e-6)
    np.testing.assert_allclose(normalizer.context_range, [[15.1]] * 2, rtol=1e-6)


def test_subset_is_all_it_sees(trajectories: TrajectorySet) -> None:
    few = Normalizer.fit(trajectories.subset([0, 1]))
    assert not torch.equal(few.field_mean, Normalizer.fit(trajectories).field_mean)
    again = Normalizer.fit(trajectories.subset([1, 0]))
    torch.testing.assert_close(few.field_scale, again.field_scale, rtol=1e-6, atol=0)


def test_state_dict_round_trip(trajectories: TrajectorySet) -> None:
    fitted = Normalizer.fit(trajectories)
    blank = Normalizer(fitted.fields, fitted.context_names)
    blank.load_state_dict(copy.deepcopy(fitted.state_dict()))
    assert set(fitted.state_dict()) == {
        "field_mean",
        "field_scale",
        "field_std",
        "field_range",
        "context_mean",
        "context_scale",
        "context_range",
    }
    assert all(torch.equal(a, b) for a, b in zip(blank.buffers(), fitted.buffers(), strict=True))
    assert list(fitted.parameters()) == []


def test_mirror_images_turn_the_velocity_along_y_around() -> None:
    fields = tuple(map(field_spec, ("temperature", "velocity_y", "velocity_x")))
    frames = torch.randn(2, 4, 3, 6, 8)
    kept = frames.clone()
    image = mirror_image(frames, fields)
    torch.testing.assert_close(image[..., [0, 2], :, :], frames[..., [0, 2], :, :].flip(-2), rtol=0.0, atol=0.0)
    torch.testing.assert_close(image[..., 1, :, :], -frames[..., 1, :, :].flip(-2), rtol=0.0, atol=0.0)
    assert torch.equal(mirror_image(image, fields), frames)
    assert torch.equal(frames, kept)


def test_unfitted_is_the_identity_and_knows_no_range() -> None:
    frames, normalizer = torch.randn(2, 3, 4, 4), Normalizer(tuple(map(field_spec, FIELDS)), ("shock_pressure",))
    assert torch.equal(normalizer.normalize(frames), frames)
    for unknown in (normalizer.field_std, normalizer.field_range, normalizer.context_range):
        assert unknown.isnan().all()


DECLARED = {"Vy": "y", "v": "y", "u": "x", "vorticity": "xy", "concentration_y": "", "stress_xy": "xy", "stress_yy": "", "velocity_y": None}


def test_fields_change_their_sign_by_declaration_not_by_name() -> None:
    fields = tuple(FieldSpec(name, "1", name, odd=odd) for name, odd in DECLARED.items())
    frames = torch.randn(3, len(fields), 6, 8)
    image = mirror_image(frames, fields)
    for number, name in enumerate(DECLARED):
        sign = 1 if name in ("u", "concentration_y", "stress_yy") else -1
        assert torch.equal(image[:, number], sign * frames[:, number].flip(-2)), name
    assert torch.equal(mirror_image(image, fields), frames)
    assert mirror_image(frames.double(), fields).dtype == torch.float64


def test_wrong_axes_are_refused(trajectories: TrajectorySet) -> None:
    normalizer = Normalizer.fit(trajectories)
    for apply in (normalizer.normalize, normalizer.denormalize):
        with pytest.raises(ValueError, match=r"'velocity_x'\] along axis -3, got shape \(2, 2, 4, 4\)"):
            apply(torch.zeros(2, 2, 4, 4))
    with pytest.raises(ValueError, match=r"\['shock_pressure'\] along axis -1, got shape \(4, 2\)"):
        normalizer.normalize_context(torch.zeros(4, 2))
    with pytest.raises(ValueError, match="at least one trajectory"):
        Normalizer.fit(trajectories.subset([]))
