"""Pores: reproducible, of the asked size, where they belong."""

import hashlib
from collections import Counter

import numpy as np
import pytest
from scipy.stats import kstest, truncnorm

from probtokens.config import Interval, MicrostructureConfig
from probtokens.simulate.microstructure import GAS_FLOOR, SOLID_FLOOR, placement, pore_fraction
from probtokens.simulate.microstructure.population import draw_diameter, draw_pore
from probtokens.simulate.microstructure.rasterize import void_fraction

KINDS = ("ellipse", "v", "crack", "cluster")


def draw(seed: int, ny: int = 60, nx: int = 60, spacing: float = 0.04, **settings) -> np.ndarray:
    return pore_fraction(ny, nx, spacing, MicrostructureConfig(**settings), np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("shape", "settings", "digest", "next_random"),
    [
        ((48, 72), {}, "391428c7950dac8a", 0.8591743528498723),
        ((96, 144), {"n_pores": (8, 12)}, "c1d084f785c5e0ae", 0.8810367532067789),
        (
            (120, 160),
            {"n_pores": (8, 8), "kinds": ("ellipse", "v"), "diameter": Interval(low=0.3, high=0.6)},
            "122217c2c729031f",
            0.28279060067599304,
        ),
    ],
    ids=["micro", "meso", "two kinds"],
)
def test_campaigns_keep_their_pores(shape, settings, digest, next_random):
    """Data made by earlier versions can be made again: the same bits, from as many random numbers."""
    generator = np.random.default_rng(2024)
    config = MicrostructureConfig(**settings)
    pores = np.stack([pore_fraction(*shape, 0.04, config, generator) for _ in range(6)])
    assert hashlib.sha256(pores.tobytes()).hexdigest()[:16] == digest
    assert generator.random() == next_random


def test_same_seed_same_pores():
    np.testing.assert_array_equal(draw(3), draw(3))
    assert np.abs(draw(3) - draw(4)).max() > 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_pores_have_floors_margin_and_a_sensible_area(kind):
    size = Interval(low=0.6, high=0.6)
    areas = []
    for seed in range(20):
        pore = draw(seed, kinds=(kind,), diameter=size, margin=0.2)
        assert pore.min() == GAS_FLOOR
        assert pore.max() == pytest.approx(1.0 - SOLID_FLOOR)
        edge = pore.copy()
        edge[5:-5, 5:-5] = 0.0
        assert edge.max() <= GAS_FLOOR  # 0.2 µm = 5 cells
        areas.append((pore - GAS_FLOOR).sum() * 0.04**2)
    disc = np.pi * 0.3**2
    assert 0.3 * disc < np.mean(areas) < 1.5 * disc


def test_ellipse_area_is_that_of_its_disc_on_average():
    settings = {"kinds": ("ellipse",), "diameter": Interval(low=0.5, high=0.5)}
    areas = [(draw(seed, **settings) - GAS_FLOOR).sum() * 0.04**2 for seed in range(40)]
    assert np.mean(areas) == pytest.approx(np.pi * 0.25**2, rel=0.05)


def test_many_pores_keep_apart():
    from scipy.ndimage import label

    for seed in range(5):
        pores = draw(seed, ny=120, nx=160, n_pores=(8, 8), kinds=("ellipse", "v"), diameter=Interval(low=0.3, high=0.6))
        assert label(pores > 0.01, structure=np.ones((3, 3)))[1] == 8


def test_no_room_is_a_clear_error():
    with pytest.raises(ValueError, match="expected room for 1 pores"):
        draw(0, ny=10, nx=10)
    with pytest.raises(ValueError, match="expected room for 40 pores"):
        draw(0, n_pores=(40, 40))


def test_crowded_domains_find_room():
    """Twelve pores fit the default meso domain rarely; no campaign may stop for that."""
    for seed in range(30):
        draw(seed, ny=96, nx=144, n_pores=(12, 12))


@pytest.mark.parametrize("target", [0.05, 0.15, 0.25])
def test_porosity_comes_near_its_target(target):
    settings = {"porosity": Interval(low=target, high=target), "gap": 0.1}
    found = [void_fraction(draw(seed, ny=96, nx=144, **settings)).mean() for seed in range(8)]
    # 1 % of the target, or half of the smallest pore where a domain holds few.
    np.testing.assert_allclose(found, target, rtol=0.03)
    assert np.mean(found) == pytest.approx(target, rel=0.01)


def test_porosity_is_drawn_from_its_range():
    settings = {"porosity": Interval(low=0.02, high=0.12), "diameter": Interval(low=0.2, high=0.4)}
    found = [void_fraction(draw(seed, ny=72, nx=96, **settings)).mean() for seed in range(40)]
    assert 0.018 < min(found) < 0.04
    assert 0.10 < max(found) < 0.122


def test_packed_pores_keep_margin_and_gap():
    from scipy.ndimage import distance_transform_edt, label

    settings = {"porosity": Interval(low=0.12, high=0.12), "kinds": ("ellipse", "v"), "margin": 0.2, "gap": 0.12}
    for seed in range(3):
        pores = draw(seed, ny=80, nx=120, **settings) > 1.5 * GAS_FLOOR
        assert not pores[:5].any()
        assert not pores[-5:].any()
        assert not pores[:, :5].any()
        assert not pores[:, -5:].any()
        regions, count = label(pores, structure=np.ones((3, 3)))
        assert count > 3
        for region in range(1, count + 1):
            others = pores & (regions != region)
            between = distance_transform_edt(~others)[regions == region].min() - 1.0
            assert between * 0.04 >= 0.12 - 2 * 0.04  # cells touched by a pore reach up to one cell beyond it


def test_a_porosity_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"expected room for pores of porosity 0\.8 "):
        draw(0, porosity=Interval(low=0.8, high=0.8))
    with pytest.raises(ValueError, match="larger than a sub-cell"):
        draw(0, porosity=Interval(low=0.1, high=0.1), diameter=Interval(low=1e-4, high=2e-4))


@pytest.mark.parametrize(
    "settings",
    [
        {"diameter": Interval(low=1e12, high=2e12)},
        {"diameter": Interval(low=0.3, high=1e300)},
        {"diameter": Interval(low=0.3, high=0.3), "gap": 1e300},
        {"margin": 1e12},
    ],
    ids=str,
)
def test_lengths_beyond_the_domain_take_no_memory(settings, monkeypatch):
    """A pore, a margin or a gap of such a width would have asked for petabytes of sub-cells."""
    monkeypatch.setattr(placement, "PACKING_RESTARTS", 1)
    several = {"porosity": Interval(low=0.2, high=0.2), "kinds": ("ellipse",), "margin": 0.1} | settings
    with pytest.raises(ValueError, match=r"expected room for pores of porosity 0\.2 "):
        draw(0, ny=24, nx=24, **several)


def diameters(count: int = 4000, **settings) -> np.ndarray:
    config, generator = MicrostructureConfig(diameter_distribution="log_normal", **settings), np.random.default_rng(5)
    return np.array([draw_diameter(config, generator) for _ in range(count)])


def test_log_normal_diameters_have_median_and_spread():
    found = np.log(diameters(diameter=Interval(low=0.01, high=10.0), diameter_median=0.4, diameter_log_sd=0.3))
    assert np.median(found) == pytest.approx(np.log(0.4), abs=4 * 1.25 * 0.3 / np.sqrt(4000))
    assert np.std(found) == pytest.approx(0.3, abs=4 * 0.3 / np.sqrt(8000))


def test_log_normal_diameters_are_truncated_about_the_geometric_centre():
    found = diameters(diameter=Interval(low=0.2, high=0.8), diameter_log_sd=0.6)
    assert 0.2 <= found.min() < 0.21
    assert 0.78 < found.max() <= 0.8
    assert np.median(found) == pytest.approx(0.4, rel=0.04)
    exact = truncnorm(np.log(0.5) / 0.6, np.log(2.0) / 0.6, loc=np.log(0.4), scale=0.6)
    assert kstest(np.log(found), exact.cdf).pvalue > 1e-3


def test_kinds_are_drawn_by_weight(monkeypatch):
    seen = Counter()
    monkeypatch.setattr("probtokens.simulate.microstructure.population.draw_outline", lambda kind, diameter, generator: seen.update([kind]))
    config, generator = (
        MicrostructureConfig(kinds=("ellipse", "crack", "v"), kind_weights={"crack": 6.0, "v": 3.0}),
        np.random.default_rng(0),
    )
    for _ in range(2000):
        draw_pore(config, generator)
    assert [seen[kind] / 2000 for kind in ("ellipse", "crack", "v")] == pytest.approx([0.1, 0.6, 0.3], abs=0.05)
