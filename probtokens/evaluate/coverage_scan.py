"""One pass over simulations for everything that coverage asks of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from probtokens.data import TrajectorySet
from probtokens.evaluate.field_histograms import FieldHistograms
from probtokens.evaluate.token_support import LinearTokens, Reference, Strata, TokenSample, as_rows, patches_of
from probtokens.units import OUR_UNITS, Units

Array = NDArray[np.floating]

#: Frames of the second half of a simulation that are searched for the picture.
_LATE_FRAMES = 4


@dataclass(frozen=True)
class Population:
    """What one pass over simulations leaves.

    Attributes
    ----------
    histograms
        Histograms of all fields.
    samples
        Tokens of each stratum.
    squared_error
        Squared error of the temperature that linear tokens reconstruct, summed over the cells of each stratum [K²].
    cells_per_token
        Cells in a patch.
    """

    histograms: FieldHistograms
    samples: tuple[TokenSample, ...]
    squared_error: Array
    cells_per_token: int

    @property
    def seen(self) -> NDArray[np.int64]:
        """Tokens of each stratum."""
        return np.array([sample.seen for sample in self.samples])

    def rmse(self, strata: slice) -> float:
        """Temperature error of reconstruction over some strata [K]."""
        cells = self.seen[strata].sum() * self.cells_per_token
        return float(np.sqrt(self.squared_error[strata].sum() / cells)) if cells else float("nan")


class Scan:
    """What to collect, the same for every set.

    Parameters
    ----------
    code
        Tokens.
    ranges
        Range of every field over all sets, shape (field, 2), in the fields' units.
    temperature
        Position of the temperature along the field axis.
    threshold
        Temperature above which a cell is hot [K].
    seed
        Seed of the samples.

    Attributes
    ----------
    strata
        Kinds of patches.
    """

    def __init__(self, code: LinearTokens, ranges: Array, temperature: int, threshold: float, seed: int) -> None:
        self._code, self._ranges, self._temperature, self._threshold, self._seed = code, ranges, temperature, threshold, seed
        self.strata = Strata(code.normalizer.fields, threshold)

    def __call__(self, population: int, sets: Sequence[TrajectorySet], capacity: int) -> Population:
        """Pass over sets; ``population`` tells their random numbers from those of others, ``capacity`` is that of a stratum's sample."""
        rngs = [np.random.default_rng((self._seed, population, number)) for number in range(len(self.strata.names))]
        samples = tuple(TokenSample(capacity, self._code.channels, rng) for rng in rngs)
        histograms = FieldHistograms(self._ranges, self._temperature, self._threshold)
        errors = np.zeros(len(samples))
        simulations = (trajectories.whole(i) for trajectories in sets for i in range(len(trajectories)))
        for simulation, frames in enumerate(simulations):
            histograms.update(frames)
            tokens = self._code.encode(frames)
            strata = self.strata(frames, self._code.patch).ravel()
            error = self._code.decode(tokens)[:, self._temperature] - frames[:, self._temperature]
            squared = np.square(patches_of(error, self._code.patch), dtype=np.float64).sum(-1)
            errors += np.bincount(strata, squared.ravel(), minlength=len(samples))
            for number, sample in enumerate(samples):
                sample.update(as_rows(tokens)[strata == number], simulation)
        return Population(histograms, samples, errors, self._code.patch**2)

    def beyond(self, frame: Array, reference: Reference, limits: Array) -> NDArray[np.bool_]:
        """Whether tokens are beyond their threshold, (token_y, token_x), of a frame (field, y, x); where there is none all are."""
        strata = self.strata(frame[None], self._code.patch)[0]
        distances = reference.distances(as_rows(self._code.encode(frame[None]))).reshape(strata.shape)
        return ~(distances <= limits[strata])

    def temperature(self, frame: Array) -> Array:
        """Temperature (y, x) of a frame (field, y, x)."""
        return frame[self._temperature]


@dataclass(frozen=True)
class CoverageMap:
    """A meso frame with the tokens that are beyond their threshold.

    Attributes
    ----------
    name, time
        Split and simulation, and time of the frame, in ``units``.
    temperature
        Shape (y, x).
    beyond
        Shape (token_y, token_x).
    spacing
        Cell edge, in ``units``.
    units
        Units of lengths and times.
    """

    name: str
    time: float
    temperature: Array
    beyond: NDArray[np.bool_]
    spacing: float
    units: Units = OUR_UNITS


def worst_late_frame(scan: Scan, reference: Reference, limits: Array, meso: Mapping[str, TrajectorySet]) -> CoverageMap:
    """The frame with most tokens beyond, among a few from the second half of every simulation; the latest of equals."""
    best: CoverageMap | None = None
    for split, trajectories in meso.items():
        grid = trajectories.grid
        times = np.unique(np.linspace(grid.n_times // 2, grid.n_times - 1, _LATE_FRAMES).astype(int))[::-1]
        for i, name in enumerate(trajectories.names):
            for time in times.tolist():
                frame = trajectories.frames(i, time, time + 1)[0]
                beyond = scan.beyond(frame, reference, limits)
                if best is None or beyond.sum() > best.beyond.sum():
                    shown = scan.temperature(frame).copy()
                    best = CoverageMap(f"{split} {name}", time * grid.time_step, shown, beyond, grid.spacing, grid.units)
    assert best is not None
    return best
