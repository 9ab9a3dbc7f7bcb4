import numpy as np
import pytest
import scoringrules
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from probtokens.evaluate import scores
from tests.evaluate.given import ensembles

N = 20_000


def gaussian(members, n=N, width=1.0, bias=0.0, seed=0):
    """Truths that share their centre with members which are ``width`` times as wide as they should be."""
    rng = np.random.default_rng(seed)
    centre = rng.normal(size=n)
    return centre + bias + width * rng.normal(size=(members, n)), centre + rng.normal(size=n)


def looks_calibrated(prediction, truth):
    """Three checks that a calibrated ensemble of this many cells passes with probability 0.99 or more."""
    histogram = scores.rank_histogram(prediction, truth, seed=0)
    return (
        abs(scores.spread_skill(prediction, truth) - 1) < 0.03
        and all(abs(scores.coverage(prediction, truth, level) - level) < 0.015 for level in (0.5, 0.8, 0.9))
        and stats.chisquare(histogram).pvalue > 0.001
    )


@pytest.mark.parametrize("members", [2, 3, 10, 51])
def test_crps_is_that_of_scoringrules(members):
    prediction, truth = gaussian(members, n=500)
    expected = scoringrules.crps_ensemble(truth, prediction, m_axis=0, estimator="fair")
    np.testing.assert_allclose(scores.crps(prediction, truth), expected, atol=1e-12)
    ordered = np.sort(prediction, axis=0)
    before = ordered.copy()
    np.testing.assert_array_equal(scores.crps(ordered, truth, is_sorted=True), scores.crps(prediction, truth))
    np.testing.assert_array_equal(ordered, before, err_msg="input is not changed")
    single = scores.crps(prediction.astype(np.float32), truth.astype(np.float32))
    assert single.dtype == np.float64
    np.testing.assert_allclose(single, expected, atol=1e-5)


@settings(deadline=None, max_examples=50)
@given(arrays(np.float64, st.tuples(st.integers(2, 6), st.integers(1, 3), st.integers(1, 3)), elements=st.integers(-3, 3).map(float)))
def test_crps_is_the_pairwise_definition_with_ties_in_any_shape(values):
    prediction, truth = values, values[0] + 0.5
    members = len(prediction)
    pairs = np.abs(prediction[:, None] - prediction[None]).sum(axis=(0, 1)) / (2 * members * (members - 1))
    np.testing.assert_allclose(scores.crps(prediction, truth), np.abs(prediction - truth).mean(axis=0) - pairs, atol=1e-12)


def test_crps_of_one_member_is_the_absolute_error():
    prediction, truth = gaussian(1, n=50)
    np.testing.assert_array_equal(scores.crps(prediction, truth), np.abs(prediction[0] - truth))


def test_crps_of_many_quantiles_is_that_of_the_normal():
    members = 2000
    quantiles = stats.norm.ppf((np.arange(members) + 0.5) / members, loc=900, scale=50)
    truth = np.linspace(700, 1100, 41)
    prediction = np.broadcast_to(quantiles[:, None], (members, len(truth)))
    np.testing.assert_allclose(scores.crps(prediction, truth), scoringrules.crps_normal(truth, 900, 50), atol=0.05)


@pytest.mark.parametrize("members", [2, 5, 20])
def test_crps_is_fair(members):
    """Its expectation does not depend on the number of members; the closed form is E|X - y| - E|X - X'| / 2."""
    width, bias = 1.7, 0.3
    prediction, truth = gaussian(members, n=100_000, width=width, bias=bias)
    scale = np.hypot(1, width)
    first = stats.foldnorm(bias / scale, scale=scale).mean()
    expected = first - width / np.sqrt(np.pi)
    values = scores.crps(prediction, truth)
    assert abs(values.mean() - expected) < 4 * values.std() / np.sqrt(values.size)


@pytest.mark.parametrize("members", [10, 11, 25, 50])
@pytest.mark.parametrize("shape", ["normal", "lognormal", "mostly zero", "integer"])
def test_coverage_is_nominal_whatever_the_number_of_members(members, shape):
    rng = np.random.default_rng(members)
    values = rng.normal(size=(members + 1, N))
    transform = {"normal": lambda x: x, "lognormal": np.exp, "mostly zero": lambda x: np.maximum(x - 0.7, 0), "integer": np.rint}[shape]
    values = transform(values)
    for level in (0.5, 0.8, 0.9):
        error = 4 * np.sqrt(level * (1 - level) / N)
        assert abs(scores.coverage(values[1:], values[0], level) - level) < error


@given(st.integers(2, 60), st.floats(0.01, 0.99))
def test_covered_averages_to_the_level_over_equally_likely_ranks(members, level):
    ranks = np.arange(members + 1.0)
    np.testing.assert_allclose(scores.covered(ranks, ranks, members, level).mean(), level, atol=1e-12)


def test_covered_by_hand():
    """Three members, one below: the PIT is uniform on [1/4, 1/2]."""
    one = np.array(1.0)
    assert scores.covered(one, one, 3, 0.5) == 1
    assert scores.covered(one, one, 3, 0.25) == pytest.approx(0.5)
    assert scores.covered(0 * one, 0 * one, 3, 0.5) == 0
    assert scores.covered(0 * one, 3 * one, 3, 0.3) == pytest.approx(0.3), "all tied: nothing is known but the level"


@pytest.mark.parametrize("members", [3, 10])
def test_range_of_the_members_covers_less_than_everything(members):
    prediction, truth = gaussian(members)
    inside = np.mean((prediction.min(axis=0) <= truth) & (truth <= prediction.max(axis=0)))
    level = (members - 1) / (members + 1)
    assert abs(inside - level) < 0.015
    np.testing.assert_allclose(scores.coverage(prediction, truth, level), inside, atol=1e-6)


@pytest.mark.parametrize("members", [10, 25, 50])
def test_calibrated_ensemble_looks_calibrated(members):
    assert looks_calibrated(*gaussian(members))


@pytest.mark.parametrize("members", [10, 50])
@pytest.mark.parametrize("fault", [{"width": 0.5}, {"width": 2.0}, {"bias": 0.5}, {"width": 0.85}, {"width": 1.2}])
def test_wrong_ensembles_do_not_and_score_worse(members, fault):
    good, truth = gaussian(members)
    bad, same_truth = gaussian(members, **fault)
    np.testing.assert_array_equal(truth, same_truth)
    assert not looks_calibrated(bad, truth)
    assert scores.crps(bad, truth).mean() > scores.crps(good, truth).mean()
    if members == 50:
        interval = [scores.interval_score(*scores.central_interval(x, 0.8), truth, 0.8).mean() for x in (good, bad)]
        assert interval[1] > interval[0]


@pytest.mark.parametrize("fault", [{}, {"width": 0.5}, {"width": 2.0}, {"bias": 0.5}])
def test_spread_skill_has_its_exact_value(fault):
    """Members of variance w² about a centre off by b: the mean of M is wrong by 1 + b² + w² / M, the spread says w² (M + 1) / M."""
    members, width, bias = 8, fault.get("width", 1.0), fault.get("bias", 0.0)
    prediction, truth = gaussian(members, n=200_000, **fault)
    expected = np.sqrt(width**2 * (members + 1) / members / (1 + bias**2 + width**2 / members))
    assert scores.spread_skill(prediction, truth) == pytest.approx(expected, rel=0.01)


def test_rmse_and_spread_by_hand():
    prediction, truth = np.array([[1.0, 2.0], [3.0, 6.0]]), np.array([2.0, 1.0])
    assert scores.rmse(prediction, truth) == pytest.approx(np.sqrt(9 / 2))
    np.testing.assert_allclose(scores.spread_variance(prediction), [2 * 1.5, 8 * 1.5])
    assert np.isnan(scores.spread_skill(prediction, prediction.mean(axis=0)))


def test_mean_of_single_precision_is_accumulated_in_double():
    prediction = np.full((1001, 3), 1000.1, dtype=np.float32)
    np.testing.assert_array_equal(scores.ensemble_mean(prediction), prediction[0])


def test_pit_is_uniform_with_and_without_ties():
    prediction, truth = gaussian(15)
    for values in ((prediction, truth), (np.rint(prediction), np.rint(truth))):
        transformed = scores.pit(*values, seed=1)
        assert stats.kstest(transformed, "uniform").pvalue > 0.001
        np.testing.assert_array_equal(transformed, scores.pit(*values, seed=1))
        assert not np.array_equal(transformed, scores.pit(*values, seed=2))


def test_rank_histogram_counts():
    prediction = np.array([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]])
    np.testing.assert_array_equal(scores.rank_histogram(prediction, np.array([0.0, 1.5, 9.0]), seed=0), [1, 1, 1])
    tied = scores.rank_histogram(np.zeros((3, N)), np.zeros(N), seed=0)
    assert tied.sum() == N
    assert stats.chisquare(tied).pvalue > 0.001


def test_quantile_is_that_of_a_future_draw():
    prediction, truth = gaussian(19)
    for rank in (1, 5, 10, 19):
        bound = scores.quantile(prediction, rank / 20)
        np.testing.assert_allclose(bound, np.sort(prediction, axis=0)[rank - 1])
        assert abs(np.mean(truth < bound) - rank / 20) < 0.015
    np.testing.assert_allclose(scores.quantile(prediction, 0.333), np.quantile(prediction, 0.333, axis=0, method="weibull"))
    np.testing.assert_array_equal(scores.quantile(prediction, 0.001), prediction.min(axis=0))
    np.testing.assert_array_equal(scores.quantile(prediction, 0.999), prediction.max(axis=0))


@pytest.mark.parametrize("level", [0.5, 0.9])
def test_interval_score_is_that_of_scoringrules_and_of_the_normal(level):
    truth = np.random.default_rng(0).normal(size=200_000)
    z = stats.norm.ppf((1 + level) / 2)
    values = scores.interval_score(np.full_like(truth, -z), np.full_like(truth, z), truth, level)
    np.testing.assert_allclose(values[:100], scoringrules.interval_score(truth[:100], -z, z, 1 - level))
    expected = 2 * z + 4 / (1 - level) * (stats.norm.pdf(z) - z * stats.norm.sf(z))
    assert abs(values.mean() - expected) < 4 * values.std() / np.sqrt(values.size)


def test_brier_is_the_fair_crps_of_the_event():
    prediction, truth = gaussian(7, n=300)
    event, outcome = (prediction > 0.4).astype(float), (truth > 0.4).astype(float)
    expected = scoringrules.crps_ensemble(outcome, event, m_axis=0, estimator="fair")
    np.testing.assert_allclose(scores.brier(prediction, truth, 0.4), expected, atol=1e-12)
    np.testing.assert_array_equal(scores.brier(prediction[:1], truth, 0.4), scoringrules.brier_score(outcome, event[0]))


@pytest.mark.parametrize("members", [2, 10])
def test_brier_is_fair(members):
    """Members with probability q of an event of probability p: (q - p)² + p (1 - p) for any number of members."""
    rng = np.random.default_rng(0)
    prediction, truth = rng.random((members, 200_000)), rng.random(200_000)
    values = scores.brier(prediction + 0.1, truth, 0.7)
    assert abs(values.mean() - (0.1**2 + 0.3 * 0.7)) < 4 * values.std() / np.sqrt(values.size)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p, y: scores.crps(p, y[:-1]), r"expected shape \(member, \*truth\)"),
        (lambda p, y: scores.crps(p[:0], y), r"expected shape \(member, \*truth\)"),
        (lambda p, y: scores.brier(p, y[:-1], 0.0), r"expected shape \(member, \*truth\)"),
        (lambda p, y: scores.spread_skill(p[:1], y), "at least 2 members, got 1"),
        (lambda p, y: scores.coverage(p[:1], y, 0.5), "at least 2 members, got 1"),
        (lambda p, y: scores.central_interval(p[:1], 0.5), "at least 2 members, got 1"),
        (lambda p, y: scores.coverage(p, y, 1.0), "between 0 and 1, got 1.0"),
        (lambda p, y: scores.central_interval(p, -0.5), "between 0 and 1, got -0.5"),
        (lambda p, y: scores.interval_score(y, y, y, 90), "between 0 and 1, got 90"),
    ],
)
def test_errors_say_what_was_expected(call, message):
    with pytest.raises(ValueError, match=message):
        call(*gaussian(3, n=5))


def size_of(values):
    return float(np.abs(values).max()) or 1.0


@settings(deadline=None)
@given(ensembles())
def test_scores_are_those_of_scoringrules_whatever_the_type_and_size_of_numbers(ensemble):
    prediction, truth = ensemble
    exact, target = prediction.astype(np.float64), truth.astype(np.float64)
    size, threshold = size_of(exact), float(np.sort(exact.ravel())[exact.size // 2])
    close = {"rtol": 1e-9, "atol": 1e-12 * size}
    fair = {"m_axis": 0, "estimator": "fair"}
    np.testing.assert_allclose(scores.crps(prediction, truth), scoringrules.crps_ensemble(target, exact, **fair), **close)
    events, outcome = (exact > threshold).astype(float), (target > threshold).astype(float)
    np.testing.assert_allclose(scores.brier(prediction, truth, threshold), scoringrules.crps_ensemble(outcome, events, **fair), atol=1e-12)
    lower, upper = scores.central_interval(prediction, 0.5)
    for end, probability in ((lower, 0.25), (upper, 0.75)):
        np.testing.assert_allclose(end, np.quantile(exact, probability, axis=0, method="weibull"), **close)
    np.testing.assert_allclose(
        scores.interval_score(lower, upper, truth, 0.5), scoringrules.interval_score(target, lower, upper, 0.5), **close
    )
    np.testing.assert_allclose(
        scores.interval_score(prediction[0], prediction[1], truth, 0.8),
        scoringrules.interval_score(target, exact[0], exact[1], 0.2),
        **close,
    )


@settings(deadline=None)
@given(ensembles())
def test_error_spread_and_ranks_are_those_of_double_precision(ensemble):
    prediction, truth = ensemble
    exact, target, members = prediction.astype(np.float64), truth.astype(np.float64), len(prediction)
    error = np.sqrt(np.mean((exact.mean(axis=0) - target) ** 2))
    np.testing.assert_allclose(scores.rmse(prediction, truth), error, rtol=1e-9, atol=1e-14 * size_of(exact))
    spread = np.sqrt((members + 1) / members * np.var(exact, axis=0, ddof=1).mean())
    if error > 1e-6 * size_of(exact):
        np.testing.assert_allclose(scores.spread_skill(prediction, truth), spread / error, rtol=1e-9)
    below, not_above = scores.rank_range(prediction, truth)
    np.testing.assert_array_equal(below, (exact < target).sum(axis=0))
    np.testing.assert_array_equal(not_above, (exact <= target).sum(axis=0))
    np.testing.assert_allclose(scores.coverage(prediction, truth, 0.7), scores.covered(below, not_above, members, 0.7).mean())
    position = scores.pit(prediction, truth, seed=3) * (members + 1)
    assert ((below <= position) & (position <= not_above + 1)).all()
    counts = np.bincount(np.floor(position).astype(int).ravel(), minlength=members + 1)
    np.testing.assert_array_equal(scores.rank_histogram(prediction, truth, seed=3), counts)


BY_ELEMENT = {
    "crps": scores.crps,
    "brier": lambda x, y: scores.brier(x, y, 0.4),
    "pit": lambda x, y: scores.pit(x, y, seed=1),
    "below": lambda x, y: scores.rank_range(x, y)[0],
    "not above": lambda x, y: scores.rank_range(x, y)[1],
    "covered": lambda x, y: scores.covered(*scores.rank_range(x, y), len(x), 0.8),
    "interval score": lambda x, y: scores.interval_score(*scores.central_interval(x, 0.8), y, 0.8),
}


@pytest.mark.parametrize("name", BY_ELEMENT)
@settings(deadline=None, max_examples=30)
@given(
    ensemble=ensembles(dtypes=("float32", "float64")), places=st.lists(st.integers(0, 11), min_size=1, max_size=4), seed=st.integers(0, 99)
)
def test_missing_members_and_truths_have_no_score_and_leave_others_theirs(name, ensemble, places, seed):
    prediction, truth = (values.copy().reshape(-1, 12) for values in ensemble)
    truth, rng, before = truth[0], np.random.default_rng(seed), BY_ELEMENT[name](prediction, truth[0])
    for place in places:
        member = rng.integers(-1, len(prediction))
        (truth if member < 0 else prediction[member])[place] = np.nan
    found = BY_ELEMENT[name](prediction, truth)
    missing = np.isin(np.arange(12), places)
    assert np.isnan(found[missing]).all()
    np.testing.assert_array_equal(found[~missing], before[~missing])


@pytest.mark.parametrize("missing", ["member", "truth", "all members"])
def test_scores_of_a_whole_with_something_missing_are_missing(missing):
    prediction, truth = gaussian(5, n=30)
    if missing == "truth":
        truth[3] = np.nan
    else:
        prediction[(2, 3) if missing == "member" else ...] = np.nan
    for score in (scores.rmse, scores.spread_skill, lambda x, y: scores.coverage(x, y, 0.9)):
        assert np.isnan(score(prediction, truth))
    with pytest.raises(ValueError, match=r"rank histogram: expected numbers, got NaN in (1|30) of 30 elements"):
        scores.rank_histogram(prediction, truth, seed=0)


@pytest.mark.parametrize("probability", [0.01, 0.3, 0.99])
def test_a_quantile_of_members_of_which_one_is_missing_is_missing(probability):
    members = np.array([[1.0, 2.0], [np.nan, 3.0], [0.0, 1.0]])
    found = scores.quantile(members, probability)
    assert np.isnan(found[0])
    assert np.isfinite(found[1])
    np.testing.assert_array_equal(found, scores.quantile(np.sort(members, axis=0), probability, is_sorted=True))


def test_masked_truths_are_missing():
    prediction, truth = gaussian(5, n=30)
    masked = np.ma.masked_where(np.arange(30) == 3, truth)
    np.testing.assert_array_equal(np.isnan(scores.crps(prediction, masked)), np.arange(30) == 3)
    assert np.isnan(scores.coverage(prediction, masked, 0.9))


def test_tensors_with_a_gradient_are_numbers():
    x, y = np.random.default_rng(0).normal(size=(5, 9)), np.zeros(9)
    assert np.array_equal(scores.crps(torch.tensor(x, requires_grad=True), torch.tensor(y)), scores.crps(x, y))
