import numpy as np
import pytest
import xarray as xr

from probtokens.fields import FieldSpec, Grid, field_spec
from probtokens.predict import open_rollout, rollout_fields, rollout_grid
from probtokens.predict.store import all_axes, map_slabs, rollout_leads
from tests.predict.synthetic import FIELDS, make_rollout


@pytest.fixture
def rollout(tmp_path):
    """Two draws of three simulations over five frames of 6 x 8 cells of 0.1 µm, 0.5 ns apart."""
    values = np.random.default_rng(0).random((3, 3, 5, 2, 6, 8))
    made = make_rollout(tmp_path / "r", values[1:], values[0])
    return made.assign_coords(porosity=("simulation", [0.1, 0.2, 0.3], {"unit": "1"}))


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, Grid(6, 8, 0.1, 0.5, 5)),
        ({"y": slice(2, 5)}, Grid(3, 8, 0.1, 0.5, 5)),
        ({"x": [4]}, Grid(6, 1, 0.1, 0.5, 5)),
        ({"y": [1], "x": [4], "time": [0]}, Grid(1, 1, 0.1, 0.5, 1)),
        ({"simulation": 1, "field": 0}, Grid(6, 8, 0.1, 0.5, 5)),
    ],
)
def test_grid_of_a_part_is_exact(rollout, chosen, expected):
    assert rollout_grid(rollout.isel(chosen)) == expected


@pytest.mark.parametrize("attributes", [{}, {"spacing": 0.1, "time_step": 0.5}, {"spacing": 7.0, "time_step": 9.0}])
def test_grid_of_a_thinned_rollout_is_that_of_its_coordinates(rollout, attributes):
    thinned = rollout.isel(y=slice(None, None, 3), x=slice(1, None, 3), time=slice(None, None, 2)).assign_attrs(attributes)
    thinned.attrs = attributes
    grid = rollout_grid(thinned)
    assert (grid.shape, grid.n_times) == ((2, 3), 3)
    np.testing.assert_allclose([grid.spacing, grid.time_step], [0.3, 1.0])


def test_grid_of_means_over_blocks_and_of_coordinates_in_single_precision(rollout):
    blocks = rollout.coarsen(y=2, x=2).mean()
    np.testing.assert_allclose(rollout_grid(blocks).spacing, 0.2)
    single = rollout.assign_coords({axis: rollout[axis].astype(np.float32) for axis in ("time", "y", "x")})
    assert rollout_grid(single) == rollout_grid(rollout)


def test_an_axis_without_a_step_is_refused(rollout):
    for lost in (rollout.drop_vars("x"), rollout.isel(x=[0]).drop_attrs()):
        with pytest.raises(ValueError, match="expected a coordinate 'x' or, of one point, an attribute 'spacing', got neither"):
            rollout_grid(lost)
    with pytest.raises(ValueError, match="expected 'time' to ascend in equal steps, got steps from nan to nan"):
        rollout_grid(rollout.assign_coords(time=np.full(5, np.nan)))


@pytest.mark.parametrize("axis", ["draw", "simulation", "field"])
def test_single_ones_are_axes_of_one(rollout, axis):
    chosen, expected = all_axes(rollout.isel({axis: 1})), rollout.isel({axis: [1]})
    for name in ("prediction", "truth"):
        assert chosen[name].dims == rollout[name].dims
        np.testing.assert_array_equal(chosen[name], expected[name])
    assert chosen.drop_vars(axis).identical(expected.drop_vars(axis))
    assert rollout_fields(rollout.isel({axis: 1})) == (FIELDS[1:] if axis == "field" else FIELDS)
    assert all_axes(chosen).identical(chosen)
    assert all_axes(rollout).identical(rollout)


def test_axes_of_something_else_are_refused(rollout):
    for broken in (rollout.drop_vars("truth"), rollout.isel(time=2), rollout.rename(draw="member"), xr.Dataset()):
        with pytest.raises(ValueError, match="rollout: expected '(prediction|truth)' of dimensions"):
            all_axes(broken)


def test_fields_of_a_rollout_from_before_there_was_a_symmetry_have_the_known_one(tmp_path):
    fields = (FieldSpec("concentration_y", "1", "species Y"), field_spec("velocity_y"))
    values = np.zeros((1, 2, 2, 4, 4))
    rollout = make_rollout(tmp_path / "r", values[None], values, fields)
    assert rollout_fields(rollout.drop_vars(["field_odd", "field_vector"])) == rollout_fields(rollout) == fields


def test_slabs_know_their_place_and_their_lead(rollout):
    found = map_slabs(lambda slab: (slab.simulation, slab.frame, slab.lead), rollout.isel(time=[0, 1, 4], simulation=[2, 0]))
    assert found["temperature"] == [(0, 1, 1), (0, 2, 4), (1, 1, 1), (1, 2, 4)]
    truths = map_slabs(lambda slab: slab.truth, rollout.isel(time=[0, 3], simulation=2))["solid_fraction"]
    np.testing.assert_array_equal(truths, [rollout["truth"].values[2, 3, 1]])


def test_progress_counts_the_frames_of_all_simulations(rollout):
    seen = []
    map_slabs(lambda slab: None, rollout, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 12) for done in range(1, 13)]


@pytest.mark.parametrize("frames", [[1, 2], [0, 2, 1], [0, 0], []])
def test_rollouts_begin_with_what_is_given_and_go_on_in_time(rollout, frames):
    with pytest.raises(ValueError, match="expected ascending leads from 0"):
        rollout_leads(rollout.isel(time=frames))
    with pytest.raises(ValueError, match="expected ascending leads from 0"):
        map_slabs(lambda slab: None, rollout.isel(time=frames))


@pytest.mark.parametrize("name", ["prediction", "truth"])
@pytest.mark.parametrize("where", [0, -1])
def test_a_flipped_bit_of_a_stored_frame_is_told(rollout, tmp_path, name, where):
    chunk = next(path for path in sorted((tmp_path / "r" / name / "c").rglob("*")) if path.is_file() and path.parts[-4] == "2")
    content = bytearray(chunk.read_bytes())
    content[where] ^= 0x10
    chunk.write_bytes(content)
    with pytest.raises(ValueError, match=rf"{tmp_path}/r: simulation 0, frame 2: expected values that can be read, got"):
        map_slabs(lambda slab: None, open_rollout(tmp_path / "r"))
