"""Pores: reproducible, of the asked size, where they belong."""

import hashlib

import numpy as np
import pytest

from probtokens.config import Interval, MicrostructureConfig
from probtokens.simulate.microstructure import GAS_FLOOR, SOLID_FLOOR, pore_fraction

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
