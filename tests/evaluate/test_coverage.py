"""Coverage of made-up states with known answers: patches of uniform temperature and a pressure that follows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from probtokens.config import FieldGroupConfig, TokenConfig
from probtokens.data import TrajectorySet, write_shard
from probtokens.evaluate.coverage import Coverage, SampleSizes, measure_coverage
from probtokens.evaluate.scores_file import without_nan
from probtokens.fields import Grid
from tests.helpers import BOUNDARY, UNITS

FIELDS = ("temperature", "pressure", "solid_fraction")
GROUPS = tuple(FieldGroupConfig(fields=(name,), channels=1) for name in FIELDS)
TOKENS = TokenConfig(patch=4, groups=GROUPS)
GRID = Grid(ny=16, nx=24, spacing=0.04, time_step=0.125, n_times=10)
HOTTEST = "> 3500 K"


def states(rng: np.random.Generator, shape: tuple[int, ...], hottest: float, flipped: bool, hot_share: float) -> np.ndarray:
    """Temperature, pressure and solid fraction of patches, shape (field, …)."""
    temperature = np.where(rng.random(shape) >= hot_share, rng.uniform(300, 800, shape), rng.uniform(900, hottest, shape))
    warm = (temperature - 300) / 3700
    hot = temperature > 875
    pressure = 5 + 10 * np.where(flipped & hot, 600 / 3700 + 1 - warm, warm) + 0.3 * rng.normal(size=shape)
    solid = np.where(hot | (rng.random(shape) < 0.8), 1.0, rng.uniform(0.0, 0.8, shape))
    return np.stack([temperature, pressure, solid])


@pytest.fixture
def simulated(tmp_path: Path) -> Callable[..., TrajectorySet]:
    """Write simulations and open them."""

    def simulated(
        n: int, seed: int, hottest: float = 4000.0, *, flipped: bool = False, hot_share: float = 0.5, grid: Grid = GRID
    ) -> TrajectorySet:
        rng = np.random.default_rng(seed)
        patches = states(rng, (n, grid.n_times, -(-grid.ny // 4), -(-grid.nx // 4)), hottest, flipped, hot_share)
        cells = patches.repeat(4, axis=-2).repeat(4, axis=-1)[..., : grid.ny, : grid.nx]
        cells[0] *= 1 + 0.002 * rng.normal(size=cells[0].shape)
        folder = tmp_path / f"{seed}"
        write_shard(
            folder / "shard_0000.hdf5",
            dict(zip(FIELDS, cells.astype(np.float32), strict=True)),
            grid=grid,
            scalars={},
            units=UNITS,
            dataset_name="made up",
            boundary=BOUNDARY,
        )
        return TrajectorySet.open(folder, FIELDS, (), cache_bytes=0)

    return simulated


def measured(micro: TrajectorySet, control: TrajectorySet, meso: TrajectorySet, seed: int = 0, **sizes: int) -> Coverage:
    return measure_coverage(micro, control, {"train": meso}, TOKENS, threshold=875.0, seed=seed, sizes=SampleSizes(**sizes))


def test_states_of_one_kind_are_covered(simulated):
    found = measured(simulated(20, 1), simulated(10, 2), simulated(10, 3))
    assert {stratum.verdict for stratum in found.strata} == {"covered"}
    for stratum in found.strata:
        assert stratum.control_beyond == pytest.approx(0.01, abs=0.015)
        assert stratum.meso_beyond == pytest.approx(0.01, abs=0.015)
        assert stratum.meso_interval[0] <= stratum.meso_beyond <= stratum.meso_interval[1]
    assert found.numbers["tokens"]["meso_beyond"] == pytest.approx(0.01, abs=0.007)
    for region in ("all", "hot"):
        assert found.numbers["reconstruction"][region]["ratio"] == pytest.approx(1.0, abs=0.05)
        assert all(field[region]["meso"]["overlap"] > 0.85 for field in found.numbers["fields"].values())
    assert found.numbers["fields"]["temperature"]["all"]["meso"]["outside_central"] == pytest.approx(0.002, abs=0.002)


def test_micro_that_never_gets_hot_fails_and_the_hot_kinds_are_named(simulated):
    found = measured(simulated(12, 1, 2000.0), simulated(6, 2, 2000.0), simulated(6, 3, 4000.0))
    assert found.with_verdict("not covered") == ("2000 … 3500 K", HOTTEST)
    hottest = found.strata[-1]
    assert (hottest.micro_tokens, hottest.meso_beyond) == (0, 1.0)
    assert hottest.meso_tokens > 100
    temperature = found.numbers["fields"]["temperature"]
    expected = 0.5 * 2000 / 3100
    assert temperature["all"]["meso"]["outside_range"] == pytest.approx(expected, abs=0.03)
    assert temperature["all"]["control"]["outside_range"] < 1e-3
    assert temperature["hot"]["meso"]["outside_range"] == pytest.approx(2 * expected, abs=0.06)


def test_micro_that_stops_within_a_kind_fails_there_by_distance(simulated):
    found = measured(simulated(12, 1, 2400.0), simulated(6, 2, 2400.0), simulated(6, 3, 3400.0))
    (failed,) = found.with_verdict("not covered")
    assert failed == "2000 … 3500 K"
    stratum = next(stratum for stratum in found.strata if stratum.name == failed)
    assert stratum.micro_tokens > 100
    assert 0.3 < stratum.meso_beyond < 1.0


def test_values_seen_apart_but_not_together_show_in_tokens_alone(simulated):
    found = measured(simulated(12, 1), simulated(6, 2), simulated(6, 3, flipped=True))
    for field in found.numbers["fields"].values():
        for region in ("all", "hot"):
            assert field[region]["meso"]["outside_range"] < 0.01
            assert field[region]["meso"]["overlap"] > 0.8
    assert HOTTEST in found.with_verdict("not covered")
    assert found.strata[-1].meso_beyond > 0.95
    assert found.strata[-1].control_beyond < 0.05
    assert found.strata[0].verdict == "covered"


def test_how_frequent_a_kind_is_does_not_matter(simulated):
    sets = simulated(20, 1, hot_share=0.2), simulated(6, 2, hot_share=0.2), simulated(6, 3, hot_share=0.95)
    assert "not covered" not in {stratum.verdict for stratum in measured(*sets).strata}


def test_micro_that_visits_a_kind_too_rarely_fails_though_it_never_lacks_it(simulated):
    """Micro simulations are then as far from each other as meso is from them: only distances within meso can tell."""
    sets = simulated(8, 1, hot_share=0.03), simulated(6, 2, hot_share=0.03), simulated(12, 3)
    found = measured(*sets)
    assert min(stratum.micro_tokens for stratum in found.strata if stratum.verdict == "not covered") > 0
    assert found.numbers["fields"]["temperature"]["hot"]["meso"]["outside_range"] < 0.1
    assert {"875 … 2000 K", "2000 … 3500 K"} <= set(found.with_verdict("not covered"))


def test_samples_keep_to_their_size_and_seed(simulated):
    sets = simulated(6, 1), simulated(3, 2), simulated(3, 3)
    found = measured(*sets, reference=200, queries=120)
    assert all(len(part) <= 120 for parts in found.distances.values() for part in parts)
    assert max(len(part) for part in found.distances["meso"]) == 120
    assert sum(stratum.meso_tokens for stratum in found.strata) == 3 * 10 * 24
    again, other = measured(*sets, reference=200, queries=120), measured(*sets, seed=1, reference=200, queries=120)
    assert without_nan(again.numbers) == without_nan(found.numbers)
    np.testing.assert_array_equal(again.distances["meso"][0], found.distances["meso"][0])
    assert other.numbers["tokens"] != found.numbers["tokens"]
    assert found.numbers["samples"] == {"seed": 0, "tokens_per_stratum": {"reference": 200, "queries": 120}}


def test_the_map_shows_the_tokens_beyond(simulated):
    found = measured(simulated(6, 1, 2000.0), simulated(3, 2, 2000.0), simulated(3, 3, 4000.0)).map
    hottest = found.temperature.reshape(4, 4, 6, 4).max((1, 3))
    assert found.beyond[hottest > 2300].all()
    assert found.beyond[hottest < 800].mean() < 0.2
    assert found.time >= 0.5 * GRID.time_step * (GRID.n_times - 1)
    assert found.name.startswith("train shard_0000/")


def test_few_meso_tokens_give_no_verdict(simulated):
    found = measured(simulated(6, 1, 2000.0), simulated(3, 2, 2000.0), simulated(2, 3, 3600.0))
    assert found.strata[-1].verdict == "too few"
    assert 0 < found.strata[-1].meso_tokens < 100


def test_sets_that_do_not_fit_are_refused(simulated):
    micro, control, meso = simulated(3, 1), simulated(2, 2), simulated(2, 3)
    with pytest.raises(ValueError, match="meso train: expected cells and frame step of micro training"):
        measured(micro, control, simulated(2, 4, grid=replace(GRID, spacing=0.05)))
    with pytest.raises(ValueError, match="held-out micro: expected simulations, got none"):
        measured(micro, control.subset([]), meso)
    with pytest.raises(ValueError, match="from two simulations or more, got 1"):
        measured(micro.subset([0]), control, meso)
    with pytest.raises(ValueError, match="from two simulations or more, got 1"):
        measured(micro, control, meso.subset([0]))
    with pytest.raises(ValueError, match="multiple of the patch size 4 along x, got 22 cells"):
        measured(micro, control, simulated(2, 5, grid=replace(GRID, nx=22)))
