from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from probtokens.data.splits import split_folder, split_simulations, subset_order


@given(n=st.integers(0, 60), weights=st.lists(st.integers(0, 9), min_size=1, max_size=4).filter(any), seed=st.integers(0, 99))
def test_split_is_a_partition_of_the_right_sizes(n: int, weights: list[int], seed: int) -> None:
    fractions = [weight / sum(weights) for weight in weights]
    parts = split_simulations(n, fractions, seed)
    assert sorted(np.concatenate(parts).tolist()) == list(range(n))
    for part, fraction in zip(parts, fractions, strict=True):
        assert abs(len(part) - fraction * n) <= 1.0 + 1e-9
        assert part.tolist() == sorted(part.tolist())


def test_split_depends_on_the_seed_alone() -> None:
    first, same, other = (np.concatenate(split_simulations(30, (0.5, 0.5), seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("fractions", [(), (0.5, 0.4), (1.5, -0.5)])
def test_bad_fractions(fractions: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="add up to 1"):
        split_simulations(10, fractions, 0)


def test_negative_counts() -> None:
    with pytest.raises(ValueError, match="got -1"):
        split_simulations(-1, (1.0,), 0)
    with pytest.raises(ValueError, match="got -1"):
        subset_order(-1, 0)


def test_subset_order_is_a_fixed_permutation_per_seed() -> None:
    orders = [subset_order(16, seed).tolist() for seed in (0, 0, 1)]
    assert sorted(orders[0]) == list(range(16))
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]


def test_split_folder_knows_both_layouts(tmp_path: Path) -> None:
    (tmp_path / "ours" / "train").mkdir(parents=True)
    (tmp_path / "well" / "data" / "train").mkdir(parents=True)
    assert split_folder(tmp_path / "ours", "train") == tmp_path / "ours" / "train"
    assert split_folder(tmp_path / "well", "train") == tmp_path / "well" / "data" / "train"
    with pytest.raises(ValueError, match="found neither"):
        split_folder(tmp_path / "ours", "test")
    with pytest.raises(ValueError, match="expected one of"):
        split_folder(tmp_path / "ours", "dev")
