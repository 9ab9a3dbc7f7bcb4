"""Histograms of fields over many simulations in one pass, and how far one set's values lie within another's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probtokens.data import TrajectorySet
from probtokens.fields import field_index

#: Bins between the smallest and the largest value of all sets: fine ones for ranges, coarse ones for overlap and pictures.
FINE_BINS, COARSE_BINS = 4096, 64
#: Share of the reference's cells in its central range.
CENTRAL = 0.998
#: Cells that are counted, in the order of the region axis.
REGIONS = ("all", "hot")

Counts = NDArray[np.int64]
Array = NDArray[np.floating]


@dataclass(frozen=True)
class FieldComparison:
    """Values of a set against those of a reference; NaN for a set without cells.

    Attributes
    ----------
    cells
        Number of the set's cells.
    outside_range, outside_central
        Share of them outside the reference's range and its central 99.8 %, to one fine bin; 1 where the
        reference has no cells.
    overlap
        Overlap coefficient ∑ min(p, q) over coarse bins: 1 for equal histograms, 0 for disjoint ones.
    """

    cells: int
    outside_range: float
    outside_central: float
    overlap: float


class FieldHistograms:
    """Counts of every field's values, in shared bins.

    Parameters
    ----------
    ranges
        Smallest and largest value, shape (field, 2), in the fields' units.
    temperature
        Position of the temperature along the field axis.
    threshold
        Temperature above which a cell is hot [K].

    Attributes
    ----------
    counts
        Cells, shape (region, field, fine bin).
    """

    def __init__(self, ranges: Array, temperature: int, threshold: float) -> None:
        self.ranges, self._temperature, self._threshold = ranges, temperature, threshold
        self.counts: Counts = np.zeros((len(REGIONS), len(ranges), FINE_BINS), dtype=np.int64)

    def update(self, frames: Array) -> None:
        """Add frames (time, field, y, x)."""
        hot = frames[:, self._temperature] > self._threshold
        for field, (low, high) in enumerate(self.ranges):
            width = max(high - low, np.finfo(np.float32).tiny) / FINE_BINS
            bins = ((frames[:, field] - low) / width).astype(np.int64).clip(0, FINE_BINS - 1)
            for region, chosen in enumerate((bins.ravel(), bins[hot])):
                self.counts[region, field] += np.bincount(chosen, minlength=FINE_BINS)

    @property
    def coarse(self) -> Counts:
        """Cells in coarse bins, shape (region, field, coarse bin)."""
        return self.counts.reshape(*self.counts.shape[:-1], COARSE_BINS, -1).sum(-1)

    def edges(self, field: int) -> Array:
        """Edges of a field's coarse bins, in its unit."""
        low, high = self.ranges[field]
        return np.linspace(low, high, COARSE_BINS + 1)


def field_ranges(sets: Iterable[TrajectorySet]) -> Array:
    """Smallest and largest value of every field over all sets, shape (field, 2)."""
    low, high = [], []
    for trajectories in sets:
        for i in range(len(trajectories)):
            frames = trajectories.whole(i)
            low.append(frames.min(axis=(0, 2, 3)))
            high.append(frames.max(axis=(0, 2, 3)))
    return np.stack([np.min(low, axis=0), np.max(high, axis=0)], axis=1).astype(np.float64)


def temperature_index(trajectories: TrajectorySet) -> int:
    """Position of the temperature.

    Raises
    ------
    ValueError
        If there is no such field.
    """
    return field_index(trajectories.fields, "temperature")


def compare_counts(reference: Counts, other: Counts) -> FieldComparison:
    """Compare histograms of one field, each of shape (fine bin,)."""
    cells, n_reference = int(other.sum()), int(reference.sum())
    if cells == 0:
        return FieldComparison(0, np.nan, np.nan, np.nan)
    if n_reference == 0:
        return FieldComparison(cells, 1.0, 1.0, 0.0)
    occupied = np.flatnonzero(reference)
    tail = (1.0 - CENTRAL) / 2
    central = np.searchsorted(np.cumsum(reference) / n_reference, (tail, 1.0 - tail))
    p, q = (counts.reshape(COARSE_BINS, -1).sum(1) / counts.sum() for counts in (reference, other))
    return FieldComparison(
        cells=cells,
        outside_range=_outside(other, occupied[0], occupied[-1]),
        outside_central=_outside(other, *central),
        overlap=float(np.minimum(p, q).sum()),
    )


def _outside(counts: Counts, first: int, last: int) -> float:
    """Share of the counts outside bins ``first`` to ``last``."""
    return float((counts[:first].sum() + counts[last + 1 :].sum()) / counts.sum())
