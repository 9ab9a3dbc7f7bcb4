import numpy as np
import pytest
import scoringrules
import xarray as xr
from hypothesis import given, settings
from scipy.ndimage import gaussian_filter

from probtokens.evaluate.multivariate import energy_score, lattice_pairs, pool, variogram_score
from probtokens.evaluate.scores import crps
from tests.evaluate.given import ensembles


def ensemble(members, ny=4, nx=5, n=None, seed=0):
    rng = np.random.default_rng(seed)
    shape = (ny, nx) if n is None else (n, ny, nx)
    return rng.normal(size=(members, *shape)), rng.normal(size=shape)


@pytest.mark.parametrize("shape", [(8, 12), (9, 14)])
def test_pool_averages_blocks_and_drops_the_rest(shape):
    field = np.random.default_rng(0).random((3, *shape), dtype=np.float32)
    expected = xr.DataArray(field, dims=("draw", "y", "x")).coarsen(y=4, x=4, boundary="trim").mean().values
    pooled = pool(field, 4)
    np.testing.assert_allclose(pooled, expected, rtol=1e-6)
    assert pooled.dtype == np.float64
    np.testing.assert_array_equal(pool(field, 1), field)


def test_pool_needs_one_block():
    with pytest.raises(ValueError, match="at least 8 x 8 cells, got 9 x 7"):
        pool(np.zeros((2, 9, 7)), 8)


@pytest.mark.parametrize("members", [2, 7, 30])
def test_energy_score_is_that_of_scoringrules(members):
    prediction, truth = ensemble(members)
    expected = scoringrules.es_ensemble(truth.ravel(), prediction.reshape(members, -1), estimator="fair")
    assert energy_score(prediction, truth) == pytest.approx(expected / np.sqrt(truth.size), rel=1e-12)


def test_energy_score_of_one_cell_is_the_crps_and_of_one_member_the_rms_distance():
    prediction, truth = ensemble(6, ny=1, nx=1)
    assert energy_score(prediction, truth) == pytest.approx(float(crps(prediction, truth)[0, 0]))
    prediction, truth = ensemble(1)
    assert energy_score(prediction, truth) == pytest.approx(np.sqrt(np.mean((prediction[0] - truth) ** 2)))


def test_energy_score_does_not_depend_on_the_size_of_a_repeated_field():
    prediction, truth = ensemble(6)
    assert energy_score(np.tile(prediction, (1, 3, 2)), np.tile(truth, (3, 2))) == pytest.approx(energy_score(prediction, truth))


def test_energy_score_of_members_that_agree_far_from_the_truth():
    """Distances between members come from a difference of large numbers; the loss must stay far below the score."""
    rng = np.random.default_rng(0)
    truth = np.zeros((8, 8))
    prediction = 1000 + 1e-3 * rng.normal(size=(50, 8, 8))
    expected = scoringrules.es_ensemble(truth.ravel(), prediction.reshape(50, -1), estimator="fair") / 8
    assert energy_score(prediction, truth) == pytest.approx(expected, rel=1e-12)
    assert energy_score(np.full((50, 8, 8), 1000.1), truth) == pytest.approx(1000.1, rel=1e-12)


@pytest.mark.parametrize("members", [2, 12])
@pytest.mark.parametrize("score", ["energy", "variogram"])
def test_scores_are_fair(score, members):
    """The mean over many truths is, for few members, that of an ensemble of 100."""
    pairs = lattice_pairs(2, 3)

    def mean(size, n, seed):
        prediction, truth = ensemble(size, ny=2, nx=3, n=n, seed=seed)
        one = energy_score if score == "energy" else lambda x, y: variogram_score(x, y, pairs)
        values = np.array([one(1.5 * prediction[:, i], truth[i]) for i in range(n)])
        return values.mean(), values.std() / np.sqrt(n)

    (few, few_error), (many, many_error) = mean(members, 4000, 1), mean(100, 2000, 2)
    assert abs(few - many) < 4 * np.hypot(few_error, many_error)


def test_pairs_are_all_neighbours_once_weighted_by_inverse_distance():
    ny, nx = 3, 4
    expected = {}
    for i in range(ny * nx):
        for j in range(i + 1, ny * nx):
            dy, dx = abs(i // nx - j // nx), abs(i % nx - j % nx)
            if max(dy, dx) <= 2:
                expected[i, j] = 1 / np.hypot(dy, dx)
    pairs = lattice_pairs(ny, nx)
    found = {(min(i, j), max(i, j)): w for i, j, w in zip(pairs.first.tolist(), pairs.second.tolist(), pairs.weight.tolist(), strict=True)}
    assert len(pairs.first) == len(found), "no pair twice"
    total = sum(expected.values())
    assert found == pytest.approx({pair: weight / total for pair, weight in expected.items()})


@pytest.mark.parametrize("members", [2, 9])
@pytest.mark.parametrize("order", [0.5, 1.0])
def test_variogram_score_is_that_of_scoringrules(members, order):
    prediction, truth = ensemble(members)
    pairs = lattice_pairs(4, 5)
    weights = np.zeros((20, 20))
    weights[pairs.first, pairs.second] = pairs.weight
    expected = scoringrules.vs_ensemble(truth.ravel(), prediction.reshape(members, -1), weights, p=order, estimator="fair")
    assert variogram_score(prediction, truth, pairs, order) == pytest.approx(expected, rel=1e-10)


def test_variogram_score_without_pairs_or_with_one_member():
    prediction, truth = ensemble(3, ny=1, nx=1)
    assert variogram_score(prediction, truth, lattice_pairs(1, 1)) == 0
    prediction, truth = ensemble(1, ny=1, nx=2)
    expected = (np.sqrt(np.ptp(prediction)) - np.sqrt(np.ptp(truth))) ** 2
    assert variogram_score(prediction, truth, lattice_pairs(1, 2)) == pytest.approx(expected)


def test_wrong_spatial_dependence_is_seen_where_the_crps_is_blind():
    """Cells drawn independently of each other have the right margins, not the right fields."""
    rng = np.random.default_rng(0)
    smooth = gaussian_filter(rng.normal(size=(31 * 60, 8, 8)), (0, 2, 2), mode="wrap").reshape(31, 60, 8, 8)
    smooth /= smooth.std()
    truth, right = smooth[0], smooth[1:]
    wrong = rng.permuted(right, axis=0)
    pairs = lattice_pairs(8, 8)

    def mean(score, members):
        return np.mean([score(members[:, i], truth[i]) for i in range(60)])

    assert crps(wrong, truth).mean() == pytest.approx(crps(right, truth).mean(), abs=1e-9)
    assert mean(energy_score, wrong) > mean(energy_score, right)
    assert mean(lambda x, y: variogram_score(x, y, pairs), wrong) > 1.5 * mean(lambda x, y: variogram_score(x, y, pairs), right)


@settings(deadline=None)
@given(ensembles())
def test_scores_of_fields_are_those_of_scoringrules_whatever_the_type_and_size_of_numbers(ensemble):
    prediction, truth = ensemble
    members, cells = len(prediction), truth.size
    exact, target = prediction.astype(np.float64).reshape(members, -1), truth.astype(np.float64).ravel()
    size = float(np.abs(exact).max()) or 1.0
    expected = scoringrules.es_ensemble(target, exact, estimator="fair") / np.sqrt(cells)
    assert energy_score(prediction, truth) == pytest.approx(expected, rel=1e-9, abs=1e-9 * size)
    pairs = lattice_pairs(*truth.shape)
    weights = np.zeros((cells, cells))
    weights[pairs.first, pairs.second] = pairs.weight
    expected = scoringrules.vs_ensemble(target, exact, weights, p=0.5, estimator="fair")
    assert variogram_score(prediction, truth, pairs) == pytest.approx(expected, rel=1e-9, abs=1e-12 * size)
    np.testing.assert_allclose(pool(prediction, 2), pool(prediction.astype(np.float64), 2))


@pytest.mark.parametrize("missing", ["member", "truth"])
def test_scores_of_fields_with_something_missing_are_missing(missing):
    prediction, truth = ensemble(5)
    (truth if missing == "truth" else prediction[2])[1, 1] = np.nan
    assert np.isnan(energy_score(prediction, truth))
    assert np.isnan(variogram_score(prediction, truth, lattice_pairs(4, 5)))
    assert np.isnan(pool(truth if missing == "truth" else prediction[2], 2)[0, 0])


@pytest.mark.parametrize("score", [energy_score, lambda x, y: variogram_score(x, y, lattice_pairs(4, 5))])
def test_shapes_that_do_not_fit_are_refused(score):
    prediction, truth = ensemble(3)
    with pytest.raises(ValueError, match=r"expected shape \(member, \*truth\)"):
        score(prediction, truth[0])
