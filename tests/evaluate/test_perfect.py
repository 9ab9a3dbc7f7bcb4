"""Chance alone: what a forecaster that is right is found to be on a few simulations."""

import numpy as np
import pytest
from hypothesis import given, settings

from probtokens.evaluate import scores
from probtokens.evaluate.perfect import chance, left_out, trials
from tests.evaluate import given as brought


def ensembles(n_simulations: int, seed: int = 0, shape: tuple[int, ...] = (12, 3, 4, 5)) -> list[np.ndarray]:
    """Members (member, lead, y, x) that differ cell by cell and, twice as much, as a whole; each simulation has a spread of its own."""
    rng = np.random.default_rng(seed)
    return [rng.lognormal(sigma=0.8) * (rng.normal(size=shape) + 2 * rng.normal(size=(*shape[:2], 1, 1))) for _ in range(n_simulations)]


def test_a_trial_is_scored_as_its_members_would_be():
    given = ensembles(2)
    found = chance(given, 0.8, n_trials=20, seed=3)
    chosen = np.random.default_rng(3).integers(12, size=(20, 2))
    for trial, picked in enumerate(chosen):
        truths = np.stack([members[k] for members, k in zip(given, picked, strict=True)], axis=1)
        others = np.stack([np.delete(members, k, axis=0) for members, k in zip(given, picked, strict=True)], axis=2)
        for lead in range(3):
            assert found.spread_skill[trial, lead] == pytest.approx(scores.spread_skill(others[:, lead], truths[lead]), rel=1e-9)
            assert found.coverage[trial, lead] == pytest.approx(scores.coverage(others[:, lead], truths[lead], 0.8), rel=1e-6)


def test_more_simulations_leave_less_to_chance():
    few, many = (chance(ensembles(n), 0.9, n_trials=400) for n in (4, 64))
    for found in (few, many):
        assert found.coverage.mean() == pytest.approx(0.9, abs=0.02)
    assert np.median(many.spread_skill) == pytest.approx(1, abs=0.05)
    for name in ("spread_skill", "coverage"):
        low, high = ((result.extremes(name)[0][0], result.extremes(name)[1][2]) for result in (few, many))
        assert low[0] < high[0] < high[1] < low[1]
        centre = 0.9 if name == "coverage" else 1.0
        assert few.share_within(name, centre - 0.1, centre + 0.1) < many.share_within(name, centre - 0.1, centre + 0.1)


def test_equal_members_share_their_ranks():
    """As fractions do that are cut off at their bounds; a truth among them is covered as often as the interval is probable."""
    rng = np.random.default_rng(2)
    members = np.clip(rng.normal(size=(9, 200)), -0.3, 0.8)
    members[:, :50] = 1
    found = left_out(members, (0.5, 0.9))
    for k in range(9):
        for row, level in enumerate((0.5, 0.9)):
            assert found.coverage[row, k] == pytest.approx(scores.coverage(np.delete(members, k, axis=0), members[k], level))
    same = left_out(np.full((4, 10), 0.7), (0.8,))
    np.testing.assert_allclose(same.coverage, 0.8)
    np.testing.assert_array_equal([same.error_square, same.spread_square], 0)
    assert np.isnan(trials([[same]], n_trials=5).spread_skill).all()


def test_a_member_that_alone_differs_leaves_the_others_no_spread():
    """As in the area of a hot spot that one member in fifty has; rounding must not make their variance negative."""
    members = np.zeros((50, 1))
    members[7] = 0.0625
    found = left_out(members, (0.9,))
    assert found.spread_square[7] == pytest.approx(0, abs=1e-18)
    assert found.spread_square.min() >= 0
    assert found.error_square[7] == pytest.approx(0.0625**2)
    assert found.coverage[0, 7] == 0
    assert np.nanmin(trials([[found]], n_trials=200).spread_skill) == pytest.approx(0, abs=1e-7)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="ensembles: expected at least 3 members, got 2"):
        chance(ensembles(2, shape=(2, 1, 3, 3)), 0.9)
    with pytest.raises(ValueError, match=r"expected some simulations .* got \(member, lead\) \[\]"):
        chance([], 0.9)
    with pytest.raises(ValueError, match=r"got \(member, lead\) \[\(4, 1\), \(5, 1\)\]"):
        chance([*ensembles(1, shape=(4, 1, 3, 3)), *ensembles(1, shape=(5, 1, 3, 3))], 0.9)
    with pytest.raises(ValueError, match="level: expected a probability"):
        chance(ensembles(1), 1.0)


@settings(deadline=None)
@given(brought.ensembles())
def test_members_of_any_type_and_size_stand_for_the_truth(ensemble):
    members = np.concatenate([ensemble[0], ensemble[1][None]])
    found, size = left_out(members, (0.6,)), float(members.max()) or 1.0
    for k, truth in enumerate(members):
        others = np.delete(members, k, axis=0)
        np.testing.assert_allclose(found.error_square[k], scores.rmse(others, truth) ** 2, rtol=1e-9, atol=1e-24 * size**2)
        np.testing.assert_allclose(found.spread_square[k], scores.spread_variance(others).mean(), rtol=1e-9, atol=1e-14 * size**2)
        np.testing.assert_allclose(found.coverage[0, k], scores.coverage(others, truth, 0.6), rtol=1e-9)


def test_members_that_are_missing_leave_nothing_to_tell():
    members = ensembles(1)[0]
    members[3, 1, 2, 2] = np.nan
    found = left_out(members[:, 1], (0.5, 0.9))
    assert np.isnan(found.error_square).all()
    assert np.isnan(found.spread_square).all()
    assert np.isnan(found.coverage).all()
    with pytest.raises(ValueError, match="expected finite members, got others in simulation 1"):
        chance([ensembles(1)[0], members], 0.9)
