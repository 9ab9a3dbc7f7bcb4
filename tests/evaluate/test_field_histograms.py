import numpy as np
import pytest

from probtokens.evaluate.field_histograms import COARSE_BINS, FINE_BINS, FieldHistograms, compare_counts


def test_every_cell_is_counted_once_in_its_bin_and_hot_cells_again():
    rng = np.random.default_rng(0)
    frames = rng.uniform(0.0, 2.0, (3, 2, 4, 5)).astype(np.float32)
    frames[0, :, 0, :2] = [[0.0, 2.0], [0.0, 2.0]]
    histograms = FieldHistograms(np.array([[0.0, 2.0], [0.0, 2.0]]), temperature=1, threshold=1.5)
    histograms.update(frames[:1])
    histograms.update(frames[1:])
    hot = frames[:, 1] > 1.5
    for field in range(2):
        expected, edges = np.histogram(frames[:, field], COARSE_BINS, (0.0, 2.0))
        np.testing.assert_array_equal(histograms.coarse[0, field], expected)
        np.testing.assert_array_equal(histograms.coarse[1, field], np.histogram(frames[:, field][hot], edges)[0])
        np.testing.assert_allclose(histograms.edges(field), edges)


def test_a_field_that_is_constant_has_one_occupied_bin():
    histograms = FieldHistograms(np.array([[1.0, 1.0]]), temperature=0, threshold=0.5)
    histograms.update(np.ones((2, 1, 3, 3), dtype=np.float32))
    assert histograms.counts[0, 0].max() == 18


def test_shares_outside_and_overlap():
    reference, other = np.zeros((2, FINE_BINS), dtype=np.int64)
    reference[1024:2048] = 10
    other[1536:2560] = 10
    found = compare_counts(reference, other)
    assert (found.cells, found.outside_range, found.overlap) == (10240, 0.5, pytest.approx(0.5))
    same = compare_counts(reference, reference)
    assert (same.outside_range, same.overlap) == (0.0, 1.0)
    assert same.outside_central == pytest.approx(0.002, abs=2 / 1024)


def test_nothing_to_compare():
    some, none = np.ones(FINE_BINS, dtype=np.int64), np.zeros(FINE_BINS, dtype=np.int64)
    lonely = compare_counts(none, some)
    assert (lonely.outside_range, lonely.outside_central, lonely.overlap) == (1.0, 1.0, 0.0)
    assert np.isnan(compare_counts(some, none).overlap)
