from pathlib import Path

import numpy as np
import pytest

from probtokens.report.reduce import LEVELS, N_BINS, reduce_reliability, reduce_strip, strip_frames
from probtokens.report.run import Run, open_run


@pytest.fixture(scope="module")
def run(run_folder: Path) -> Run:
    return open_run(run_folder)


@pytest.mark.parametrize(("n_times", "count", "frames"), [(25, 6, [4, 8, 12, 16, 20, 24]), (3, 6, [1, 2]), (7, 3, [2, 4, 6])])
def test_strip_frames(n_times: int, count: int, frames: list[int]) -> None:
    assert strip_frames(n_times, count) == frames


def test_strip_matches_the_rollout(run: Run) -> None:
    strip = reduce_strip(run, run.field("temperature"), [2, 6])
    members = run.rollouts["tokens"]["prediction"].isel(simulation=0, time=[2, 6]).sel(field="temperature").values
    factors = np.array([run.recalibrations["tokens"].factor("temperature", lead) for lead in (2, 6)])[:, None, None]
    np.testing.assert_allclose(strip.mean, members.mean(0), rtol=1e-3)
    np.testing.assert_allclose(strip.spread, factors * members.std(0, ddof=1), rtol=0.05, atol=1.0)
    np.testing.assert_array_equal(strip.draws, members[:2])
    assert strip.rival is not None
    assert strip.rival.shape == strip.truth.shape == (2, 16, 24)
    np.testing.assert_allclose(strip.extent, (0, 5.76, 0, 3.84), atol=1e-9)
    np.testing.assert_allclose(strip.times, [1.0, 3.0])


def test_probability_is_that_of_temperature_alone(run: Run) -> None:
    probability = reduce_strip(run, run.field("temperature"), [6]).probability
    assert probability is not None
    assert 0 <= probability.min() < probability.max() <= 1
    assert reduce_strip(run, run.field("pressure"), [6]).probability is None


def test_reliability_before_and_after(run: Run) -> None:
    results = reduce_reliability(run)
    assert [result.spec.name for result in results] == [spec.name for spec in run.fields]
    for result in results:
        assert set(result.observed) == {"raw", "recalibrated"}
        for version in result.observed:
            assert result.observed[version].shape == LEVELS.shape
            assert np.all(np.diff(result.observed[version]) >= -1e-9)
            assert result.pit[version].sum() / N_BINS == pytest.approx(1.0)
    wider = results[0].observed["recalibrated"] - results[0].observed["raw"]
    assert wider.mean() > 0
