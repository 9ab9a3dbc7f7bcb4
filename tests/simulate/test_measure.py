"""Sizes of pores, against shapes whose area and width are known."""

import numpy as np
import pytest

from probtokens.simulate.microstructure.measure import measure_pores
from probtokens.simulate.microstructure.rasterize import SUBCELLS, cell_average, gas_fraction, inside
from probtokens.simulate.microstructure.shapes import Outline

SPACING, N = 0.04, 60


def on_cells(*outlines: Outline) -> np.ndarray:
    return gas_fraction(cell_average(inside(outlines, N * SUBCELLS, N * SUBCELLS, SPACING / SUBCELLS)))


def disc(diameter: float, x: float, y: float) -> Outline:
    return Outline(lambda points: np.linalg.norm(points, axis=-1) - diameter / 2, diameter / 2).placed(np.array([x, y]), 0.0)


def rectangle(length: float, width: float, x: float, y: float, angle: float) -> Outline:
    half = np.array([length, width]) / 2
    return Outline(lambda points: (abs(points) - half).max(axis=-1), length / 2).placed(np.array([x, y]), angle)


@pytest.mark.parametrize("diameter", [0.2, 0.4, 0.8])
def test_a_disc(diameter):
    pores = measure_pores(on_cells(disc(diameter, 1.21, 1.19)), SPACING)
    assert pores.area == pytest.approx([np.pi * diameter**2 / 4], rel=0.01)
    assert pores.diameter == pytest.approx([diameter], rel=0.005)
    assert pores.width == pytest.approx([diameter], abs=0.75 * SPACING)


@pytest.mark.parametrize("width", [0.06, 0.1, 0.2, 0.3])
@pytest.mark.parametrize("angle", [0.0, 0.4, 0.75])
def test_a_slit_is_as_wide_as_it_is(width, angle):
    pores = measure_pores(on_cells(rectangle(1.2, width, 1.21, 1.19, angle)), SPACING)
    assert pores.area == pytest.approx([1.2 * width], rel=0.02)
    assert pores.width == pytest.approx([width], abs=0.5 * SPACING)


def test_pores_are_told_apart():
    pores = measure_pores(on_cells(disc(0.4, 0.6, 0.6), disc(0.6, 1.6, 1.7), disc(0.2, 1.8, 0.5)), SPACING)
    assert sorted(pores.diameter) == pytest.approx([0.2, 0.4, 0.6], rel=0.02)


def test_solid_has_no_pores():
    pores = measure_pores(gas_fraction(np.zeros((8, 9))), SPACING)
    assert (len(pores.area), len(pores.diameter), len(pores.width)) == (0, 0, 0)


@pytest.mark.parametrize(("periodic", "turned", "number"), [("xy", (25, -31), 1), ("y", (25, 0), 1), ("", (25, 0), 2), ("x", (25, 0), 2)])
def test_a_pore_across_a_periodic_edge_is_one_pore(periodic, turned, number):
    """Where the edge is a wall, its halves are two."""
    whole = on_cells(disc(0.8, 1.21, 1.19))
    alone, found = measure_pores(whole, SPACING), measure_pores(np.roll(whole, turned, (0, 1)), SPACING, periodic)
    assert len(found.area) == number
    assert found.area.sum() == pytest.approx(alone.area.sum())
    if number == 1:
        assert found.width == pytest.approx(alone.width)
