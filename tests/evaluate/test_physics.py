import numpy as np
import pytest

from probtokens.evaluate import hotspot_curves, score_rollout
from probtokens.evaluate.hotspots import fall
from probtokens.evaluate.physics import hotspot_regions, shock_front
from probtokens.fields import HotSpot, field_spec
from tests.predict.synthetic import make_rollout

HOT = HotSpot("temperature", 875.0)
SPACING, STEP = 0.1, 0.5


def discs(centres, radius, shape=(40, 60)):
    """Field at 300 K with discs of 2000 K."""
    y, x = np.indices(shape)
    inside = np.any([np.hypot(y - row, x - column) <= radius for row, column in centres], axis=0) if centres else np.zeros(shape, bool)
    return np.where(inside, 2000.0, 300.0)


def shocked(position, shape=(6, 50), behind=10.0):
    """Pressure behind a front at ``position`` [µm], which a cell may hold in part."""
    edges = SPACING * np.arange(shape[1])
    return np.broadcast_to(behind * np.clip((position - edges) / SPACING, 0, 1), shape)


@pytest.mark.parametrize("centres", [[], [(8, 8)], [(8, 8), (8, 30), (30, 45)]])
def test_discs_are_counted_and_the_largest_is_one_disc(centres):
    number, largest = hotspot_regions(discs(centres, 4.0), 875)
    one = np.count_nonzero(discs([(8, 8)], 4.0) > 875)
    assert number == len(centres)
    assert largest == (one if centres else 0)


def test_discs_that_overlap_are_one_and_corners_connect():
    number, largest = hotspot_regions(np.stack([discs([(20, 20), (20, 26)], 4.0), discs([(20, 20), (20, 40)], 4.0)]), 875)
    np.testing.assert_array_equal(number, [1, 2])
    assert largest[0] > largest[1]
    assert hotspot_regions(1000.0 * np.eye(4), 875)[0] == 1
    assert hotspot_regions(1000.0 * (np.indices((4, 4)).sum(0) % 2) + 0.0, 875)[0] == 1


def test_threshold_itself_is_no_hot_spot_and_nan_stays():
    assert hotspot_regions(np.full((3, 3), 875.0), 875)[0] == 0
    missing = discs([(8, 8)], 4.0)
    missing[0, 0] = np.nan
    assert np.isnan(hotspot_regions(missing, 875)).all()


@pytest.mark.parametrize("position", [0.5, 1.23, 2.0, 3.37])
@pytest.mark.parametrize("behind", [1e-3, 1.0, 12.0])
def test_front_is_where_the_pressure_falls(position, behind):
    """Linear between centres, so within half a cell whatever the cell of the front holds."""
    assert shock_front(shocked(position, behind=behind), SPACING) == pytest.approx(position, abs=0.5 * SPACING)


def test_front_of_a_ramp_is_at_half_the_plateau():
    """∑p²/∑p of a plateau of n cells and a ramp tends to the plateau."""
    x = SPACING * (np.arange(2000) + 0.5)
    ramp = np.interp(x, [150.0, 151.0], [8.0, 0.0])[None]
    assert shock_front(ramp, SPACING) == pytest.approx(150.5, abs=0.02)


def test_front_heeds_neither_stray_cells_nor_pores_nor_scale():
    rng = np.random.default_rng(0)
    pressure = shocked(2.0, shape=(21, 50)).copy()
    pressure[rng.integers(0, 21, 6), rng.integers(30, 50, 6)] = 15.0
    pressure[5:9, 8:14] = 0.0
    found = shock_front(pressure, SPACING)
    assert found == pytest.approx(2.0, abs=0.5 * SPACING)
    assert shock_front(1e9 * pressure, SPACING) == pytest.approx(found)
    assert shock_front(-pressure, SPACING) == 0, "tension is no shock"


def test_front_that_has_left_is_at_the_far_edge():
    np.testing.assert_allclose(shock_front(np.stack([np.full((4, 50), 9.0), np.zeros((4, 50))]), SPACING), [5.0, 0.0])
    missing = shocked(2.0).copy()
    missing[0, 0] = np.nan
    assert np.isnan(shock_front(missing, SPACING))


def test_a_front_that_has_left_has_no_speed_and_that_is_left_out_of_scores(tmp_path):
    """Three frames of the truth's front are within the domain of 8 µm; a member's leaves one frame earlier."""
    fields, n_times, shape = (field_spec("temperature"), field_spec("pressure")), 6, (16, 80)
    frames = np.full((4, 1, n_times, 2, *shape), 300.0)
    for run, speed in enumerate((4.0, 4.1, 3.9, 6.0)):
        for lead in range(n_times):
            frames[run, 0, lead, 1] = shocked(1.0 + speed * STEP * lead, shape)
    frames[1:, :, 0] = frames[0, :, 0]
    rollout = make_rollout(tmp_path / "r", frames[1:], frames[0], fields, context={"shock_pressure": [9.0] * frames.shape[1]})
    curves = hotspot_curves(rollout, HOT)
    np.testing.assert_allclose(curves["front_rate_truth"][0], [np.nan, 4.0, 4.0, 4.0, np.nan, np.nan], atol=0.3)
    np.testing.assert_array_equal(np.isfinite(curves["front_rate"][2, 0]), [False, True, True, False, False, False])
    assert np.isfinite(curves["front"]).all()
    found = score_rollout(rollout, hotspot=HOT, coverage_levels=(0.9,))["hotspot"]["front_rate"]
    assert [value is None for value in found["by_lead"]["crps"]] == [False, False, True, True, True]
    assert found["crps"] < 1.0


def test_fall_is_what_has_been_lost():
    np.testing.assert_allclose(fall([[0.0, 0.1, 0.3, 0.3], [0.0, 0.2, 0.15, 0.18]]), [[0, 0, 0, 0], [0, 0, 0.05, 0.02]], atol=1e-12)


def test_curves_of_moving_fronts_growing_spots_and_reactions(tmp_path):
    """The truth's shock runs at 4 km/s, the first member's as well, the second's at 2; that one loses what has reacted, too."""
    fields = tuple(field_spec(name) for name in ("temperature", "pressure", "reacted_fraction"))
    speeds, n_times, shape = (4.0, 4.0, 2.0), 4, (40, 80)
    frames = np.zeros((3, 1, n_times, 3, *shape))
    for run, speed in enumerate(speeds):
        for lead in range(n_times):
            frames[run, 0, lead, 0] = discs([(8, 8), (30, 60)][: 1 + (run == 0)] if lead else [], 2.0 + lead, shape)
            frames[run, 0, lead, 1] = shocked(1.0 + speed * STEP * lead, shape)
            frames[run, 0, lead, 2] = (0.0, 0.1, 0.2, 0.1 if run == 2 else 0.3)[lead]
    frames[1:, :, 0] = frames[0, :, 0]
    curves = hotspot_curves(
        make_rollout(tmp_path / "r", frames[1:], frames[0], fields, context={"shock_pressure": [9.0] * frames.shape[1]}), HOT
    )
    np.testing.assert_allclose(curves["front_truth"][0], [1.0, 3.0, 5.0, 7.0], atol=0.051)
    np.testing.assert_allclose(curves["front_rate_truth"][0, 1:], 4.0, atol=0.1)
    np.testing.assert_allclose(curves["front_rate"][1, 0, 1:], 2.0, atol=0.1)
    np.testing.assert_allclose(curves["hotspot_count_truth"][0], [0, 2, 2, 2])
    np.testing.assert_allclose(curves["hotspot_count"][:, 0, 1:], 1)
    np.testing.assert_allclose(curves["hotspot_size_truth"], curves["area_truth"] / np.maximum(curves["hotspot_count_truth"], 1))
    np.testing.assert_allclose(curves["largest_hotspot_truth"], curves["hotspot_size_truth"])
    np.testing.assert_allclose(curves["mean_reacted_fraction_rate_truth"][0, 1:], 0.2, rtol=1e-5)
    np.testing.assert_allclose(curves["reacted_fall_truth"], 0, atol=1e-7)
    np.testing.assert_allclose(curves["reacted_fall"][1, 0], [0, 0, 0, 0.1], rtol=1e-5)
    assert {name: curves[name].attrs["unit"] for name in ("front", "front_rate", "hotspot_size")} == {
        "front": "µm",
        "front_rate": "µm/ns",
        "hotspot_size": "µm²",
    }


@pytest.mark.parametrize(("periodic", "number"), [("", 2), ("x", 2), ("y", 1), ("xy", 1)])
def test_curves_join_hot_spots_across_periodic_edges(tmp_path, periodic, number):
    """A disc turned across the lower edge is one hot spot where the axis is periodic and two where there is a wall."""
    frame = np.roll(discs([(20, 30)], 4.0), 20, axis=0)
    truth = np.stack([np.stack([frame, frame])] * 2)[None]
    rollout = make_rollout(tmp_path / "r.zarr", truth[None], truth, (field_spec("temperature"), field_spec("density")))
    curves = hotspot_curves(rollout.assign_attrs(periodic=periodic), HOT)
    one = SPACING**2 * np.count_nonzero(frame > 875)
    assert (curves["hotspot_count"] == number).all()
    assert (curves["hotspot_count_truth"] == number).all()
    np.testing.assert_allclose(curves["area"], one)
    assert (curves["largest_hotspot"].values == pytest.approx(one)) == (number == 1)
