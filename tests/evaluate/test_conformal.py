"""Conformal bands cover as often as they say, whatever the ensemble is like."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

from probtokens.evaluate import conformal
from probtokens.evaluate.conformal import conformal_band

N, TIMES, REPEATS = 19, 2, 400


def covered(spread: float, bias: float, *, conformalised: bool = True) -> float:
    """Share of new simulations inside 90 % bands, over validation sets; truth is standard normal."""
    rng, inside = np.random.default_rng(1), []
    for _ in range(REPEATS):
        validation, forecast = (bias + spread * rng.normal(size=(40, n, TIMES)) for n in (N, 5))
        truth, new = rng.normal(size=(N, TIMES)), rng.normal(size=(5, TIMES))
        if conformalised:
            lower, upper = conformal_band(forecast, validation, truth)
        else:
            lower, upper = np.quantile(forecast, [0.05, 0.95], axis=0)
        inside.append((lower <= new) & (new <= upper))
    return float(np.mean(inside))


@pytest.mark.parametrize(("spread", "bias"), [(1.0, 0.0), (0.2, 0.0), (3.0, 0.0), (0.5, 1.0)], ids=["right", "narrow", "wide", "off"])
def test_coverage_is_between_the_level_and_one_more_rank(spread: float, bias: float) -> None:
    # 4000 pairs in 400 sets of one margin each time: three standard errors are less than 0.02.
    assert 0.9 - 0.02 < covered(spread, bias) < 0.9 + 1 / (N + 1) + 0.02


def test_without_margins_a_narrow_ensemble_does_not_cover() -> None:
    assert covered(0.2, 0.0, conformalised=False) < 0.4


def test_the_margin_is_the_order_statistic() -> None:
    truth = np.arange(9.0)[:, None]
    validation, forecast = np.zeros((20, 9, 1)), np.zeros((20, 1, 1))
    lower, upper = conformal_band(forecast, validation, truth)  # k = 9 of 9
    assert (lower.item(), upper.item()) == (-8.0, 8.0)
    lower, upper = conformal_band(forecast, validation, truth, level=0.5)
    assert (lower.item(), upper.item()) == (-4.0, 4.0)


def test_margins_inward_do_not_turn_a_band_over() -> None:
    rng = np.random.default_rng(0)
    lower, upper = conformal_band(rng.normal(size=(30, 4, 2)), 100 * rng.normal(size=(30, 9, 2)), np.zeros((9, 2)))
    assert (lower <= upper).all()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="expected at least 9 simulations for 90%, got 8"):
        conformal_band(np.zeros((5, 2, 3)), np.zeros((5, 8, 3)), np.zeros((8, 3)))
    with pytest.raises(ValueError, match="expected at least 19 simulations for 95%, got 18"):
        conformal_band(np.zeros((5, 2, 3)), np.zeros((5, 18, 3)), np.zeros((18, 3)), level=0.95)
    with pytest.raises(ValueError, match=r"forecast: expected shape \(draw, simulation, 3\), got \(5, 2, 4\)"):
        conformal_band(np.zeros((5, 2, 4)), np.zeros((5, 9, 3)), np.zeros((9, 3)))
    with pytest.raises(ValueError, match="shape"):
        conformal_band(np.zeros((5, 2, 3)), np.zeros((5, 9, 3)), np.zeros((8, 3)))


def test_examples() -> None:
    assert doctest.testmod(conformal, extraglobs={"np": np}).failed == 0
