import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probtokens.ensembles import above, as_ensemble, as_floats, ensemble_mean, mean_of_defined, spread_variance
from tests.evaluate.given import DTYPES, ensembles


@pytest.mark.parametrize("dtype", [*DTYPES, "bool", "int8", "uint64", ">f4"])
def test_numbers_of_any_type_become_double_precision(dtype):
    values = np.array([[0, 1], [1, 1]]).astype(dtype)
    found = as_floats(values)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, [[0, 1], [1, 1]])


def test_double_precision_is_not_copied():
    values = np.ones(3)
    assert as_floats(values) is values
    np.testing.assert_array_equal(as_floats([1, 2.5]), [1, 2.5])


def test_masked_numbers_are_missing():
    np.testing.assert_array_equal(as_floats(np.ma.masked_equal([3, -1, 5], -1)), [3, np.nan, 5])
    np.testing.assert_array_equal(above(np.ma.masked_equal([3, -1, 5], -1), 4), [0, np.nan, 1])


@pytest.mark.parametrize(
    "values", [np.ones(2, complex), np.array(["1.0"]), np.array([None, 1.0]), np.array(["2020-01-01"], "datetime64[D]")]
)
def test_what_is_no_real_number_is_refused(values):
    with pytest.raises(ValueError, match=r"truth: expected real numbers, got an array of (complex128|<U3|object|datetime64\[D\])"):
        as_ensemble(np.ones((2, *values.shape)), values)


@pytest.mark.parametrize(("members", "truth"), [((3, 4), (5,)), ((0, 4), (4,)), ((), ()), ((4,), (4,))])
def test_an_ensemble_has_a_member_axis_before_those_of_the_truth(members, truth):
    with pytest.raises(ValueError, match=r"expected shape \(member, \*truth\)"):
        as_ensemble(np.ones(members), np.ones(truth))


@given(ensembles())
def test_mean_and_spread_are_those_of_double_precision(ensemble):
    prediction, _ = ensemble
    exact, members = prediction.astype(np.float64), len(prediction)
    np.testing.assert_allclose(ensemble_mean(prediction), exact.mean(axis=0), rtol=1e-12)
    expected = (members + 1) / members * ((exact - exact.mean(axis=0)) ** 2).sum(axis=0) / (members - 1)
    np.testing.assert_allclose(spread_variance(prediction), expected, rtol=1e-9, atol=1e-24 * np.square(exact).max())


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_what_was_stored_at_the_threshold_is_not_above_it(dtype):
    values = np.array([0.3, np.nextafter(np.array(0.3, dtype), np.array(1, dtype)), np.nan], dtype)
    np.testing.assert_array_equal(above(values, 0.3), [0, 1, np.nan])
    np.testing.assert_array_equal(above(values, 1e300), [0, 0, np.nan])


@pytest.mark.parametrize(("threshold", "expected"), [(7.5, [0, 1]), (-1, [1, 1]), (300, [0, 0])])
def test_thresholds_of_whole_numbers_may_be_any(threshold, expected):
    np.testing.assert_array_equal(above(np.array([7, 8], np.uint8), threshold), expected)


@given(st.integers(0, 1000))
def test_mean_of_defined_leaves_out_what_is_not(seed):
    rng = np.random.default_rng(seed)
    values = np.where(rng.random((4, 5)) < 0.5, np.nan, rng.normal(size=(4, 5)))
    for axis in (0, 1, (0, 1)):
        masked = np.ma.masked_invalid(values).mean(axis=axis)
        np.testing.assert_allclose(mean_of_defined(values, axis), np.ma.filled(np.ma.asarray(masked, float), np.nan))
