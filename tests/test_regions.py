"""Connected regions, against a flood fill that walks a torus cell by cell."""

import numpy as np
import pytest

from probtokens.evaluate.physics import hotspot_regions
from probtokens.regions import connected_regions

AXES = ("", "x", "y", "xy")


def flood(cells: np.ndarray, periodic: str) -> list[int]:
    """Sizes of the regions in ascending order, by a walk from cell to cell."""
    left, sizes = {(int(y), int(x)) for y, x in np.argwhere(cells)}, []
    while left:
        todo, size = [left.pop()], 0
        while todo:
            y, x = todo.pop()
            size += 1
            for dy, dx in np.ndindex(3, 3):
                row, column = y + dy - 1, x + dx - 1
                row = row % cells.shape[0] if "y" in periodic else row
                column = column % cells.shape[1] if "x" in periodic else column
                if (row, column) in left:
                    left.remove((row, column))
                    todo.append((row, column))
        sizes.append(size)
    return sorted(sizes)


@pytest.mark.parametrize("periodic", AXES)
@pytest.mark.parametrize("share", [0.05, 0.15, 0.3, 0.6, 1.0])
def test_regions_are_those_of_a_flood_fill(periodic, share):
    generator = np.random.default_rng(int(100 * share))
    for shape in ((9, 13), (1, 7), (7, 1), (2, 2)):
        for _ in range(20):
            cells = generator.random(shape) < share
            labels, number = connected_regions(cells, periodic)
            np.testing.assert_array_equal(labels > 0, cells)
            assert sorted(np.bincount(labels.ravel(), minlength=1)[1:]) == flood(cells, periodic)
            assert number == len(flood(cells, periodic))


@pytest.mark.parametrize("periodic", AXES)
def test_a_turn_along_periodic_axes_changes_nothing_and_along_others_does(periodic):
    """Walls are the control: there a region that is turned across the edge comes apart."""
    generator = np.random.default_rng(3)
    changed = dict.fromkeys("yx", 0)
    for _ in range(40):
        field = np.where(generator.random((12, 17)) < 0.2, 2000.0, 300.0)
        before = hotspot_regions(field, 875.0, periodic)
        for axis, name in enumerate("yx"):
            after = hotspot_regions(np.roll(field, int(generator.integers(1, 12)), axis), 875.0, periodic)
            changed[name] += before != after
    assert {name for name, times in changed.items() if times == 0} == set(periodic)
