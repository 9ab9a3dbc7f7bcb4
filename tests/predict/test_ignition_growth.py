"""Cards fitted to curves that follow from cards."""

import json
from dataclasses import replace

import numpy as np
import pytest

from probtokens.predict.ignition_growth import DEPLETION, IgnitionGrowth, fit_ignition_growth, save_cards, shock_compression
from probtokens.simulate.eos import MENIKOFF_SEWELL, ambient_density, hugoniot
from tests.predict.closures import card_closure

CARD = IgnitionGrowth(draw=0, I=1.0, a=0.03, x=4.0, G1=0.02, d=0.6, y=1.3, ignition_scatter=0.0, growth_scatter=0.0)
PRESSURE = np.array([6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 6.5, 9.5, 11.5])
POROSITY = np.array([0.04, 0.08, 0.05, 0.09, 0.06, 0.04, 0.07, 0.06, 0.05, 0.09])


@pytest.fixture(scope="module")
def made():
    cards = [replace(CARD, draw=k, I=1.0 + k, G1=0.02 * (1 + 0.5 * k)) for k in range(3)]
    return cards, card_closure(cards, PRESSURE, POROSITY)


def test_rates_of_known_cards_come_back_draw_by_draw(made):
    cards, closure = made
    found = fit_ignition_growth(closure)
    compression = shock_compression(PRESSURE, POROSITY)
    share = POROSITY / (1 - POROSITY)
    for known, card in zip(cards, found, strict=True):
        assert card.draw == known.draw
        before = [one.rate(0.05 * share, compression, PRESSURE, POROSITY) for one in (known, card)]
        np.testing.assert_allclose(before[1], before[0], rtol=0.1)
        after = [one.rate(0.3 * share, compression, PRESSURE, POROSITY) for one in (known, card)]
        np.testing.assert_allclose(after[1], after[0], rtol=0.1)
        assert card.d == pytest.approx(known.d, abs=0.1)
        assert card.y == pytest.approx(known.y, abs=0.25)
        assert max(card.ignition_scatter, card.growth_scatter) < 0.1


def test_rates_that_follow_no_term_leave_scatter(made):
    """Negative control."""
    _, closure = made
    broken = closure.copy(deep=True)
    broken["ignition_rate"][:] = closure["ignition_rate"].values * np.exp(np.random.default_rng(0).normal(size=len(PRESSURE)))
    good, bad = (np.mean([card.ignition_scatter for card in fit_ignition_growth(one)]) for one in (closure, broken))
    assert bad > 5 * good


def test_terms_are_those_of_the_page():
    share = 0.06 / 0.94
    assert float(CARD.rate(0.05 * share, 0.2, 9.0, 0.06)) == pytest.approx((1 - 0.05 * share) ** DEPLETION * 0.17**4)
    assert float(CARD.rate(0.05, 0.2, 9.0, 0.06)) == pytest.approx(0.02 * 0.95**DEPLETION * 0.05**0.6 * 9.0**1.3)
    assert float(CARD.rate(0.0, 0.02, 9.0, 0.06)) == 0.0, "no ignition below the threshold"
    assert float(CARD.rate(1.0, 0.2, 9.0, 0.06)) == 0.0, "all is burnt"


def test_compression_is_that_of_the_hugoniot_over_the_porous_density():
    found = shock_compression([9.0], [0.1])
    expected = hugoniot(MENIKOFF_SEWELL, 9.0).density / (0.9 * ambient_density(MENIKOFF_SEWELL)) - 1
    np.testing.assert_allclose(found, expected)


def test_cards_are_written_with_form_and_units(made, tmp_path):
    path = tmp_path / "cards.json"
    save_cards(made[0], path)
    document = json.loads(path.read_text())
    assert [card["draw"] for card in document["cards"]] == [0, 1, 2]
    assert document["units"]["G1"] == "1/(ns GPa^y)"
    assert IgnitionGrowth(**document["cards"][1]) == made[0][1]


def test_what_does_not_ignite_cannot_be_fitted(made):
    closure = made[1].copy(deep=True)
    closure["ignition_rate"][:, 2:] = np.nan
    with pytest.raises(ValueError, match="draw 0: expected at least 3 simulations that ignite and 1 that grows, got 2 and 10"):
        fit_ignition_growth(closure)
