"""How many simulations another method needs: exact power laws, and what was never reached."""

from __future__ import annotations

import numpy as np
import pytest

from probtokens.evaluate.equivalence import data_equivalence


def test_of_power_laws_it_is_exact() -> None:
    difficulty = np.random.default_rng(0).lognormal(size=20)
    curve = {n: difficulty * n**-0.5 for n in (1, 2, 4, 8, 16)}
    for needed in (1.5, 4.0, 11.0):
        found = data_equivalence(difficulty * needed**-0.5, curve)
        assert found.n == pytest.approx(needed)
        assert (found.low, found.high) == pytest.approx((needed, needed))  # simulations are the same for both


def test_what_was_never_reached_or_is_reached_at_once_is_said() -> None:
    curve = {4: np.array([4.0, 5.0]), 16: np.array([2.0, 3.0])}
    assert str(data_equivalence([1.0, 1.0], curve)) == "> 16 (> 16 to > 16)"
    assert str(data_equivalence([9.0, 9.0], curve)) == "≤ 4 (≤ 4 to ≤ 4)"
    assert data_equivalence([2.5, 2.5], curve).n == pytest.approx(16)
    assert str(data_equivalence([2.5, 2.5], curve)).endswith("to > 16)")  # with the second simulation alone it is worse


def test_of_a_curve_that_rises_again_the_least_number_counts() -> None:
    curve = {1: np.array([4.0, 4.0]), 2: np.array([2.0, 2.0]), 4: np.array([3.0, 3.0]), 8: np.array([1.0, 1.0])}
    assert data_equivalence([2.0, 2.0], curve).n == pytest.approx(2)


def test_an_interval_holds_what_it_should() -> None:
    generator, held = np.random.default_rng(1), 0
    for seed in range(100):
        noise = generator.lognormal(sigma=0.3, size=(3, 30))
        curve = {n: n**-0.5 * row for n, row in zip((1, 16), noise[1:], strict=True)}
        found = data_equivalence(0.5 * noise[0], curve, n_resamples=400, seed=seed)
        held += found.low <= 4 <= found.high
    assert 88 <= held <= 100


@pytest.mark.parametrize(
    ("model", "reference", "message"),
    [
        ([1.0], {}, "expected numbers >= 1"),
        ([1.0], {0: [1.0]}, "expected numbers >= 1"),
        ([1.0, 2.0], {4: [1.0]}, "shape"),
        ([1.0], {4: [-1.0]}, "0 or more"),
        ([np.nan], {4: [1.0]}, "finite"),
    ],
)
def test_what_is_no_learning_curve_is_refused(model, reference, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data_equivalence(model, reference)
