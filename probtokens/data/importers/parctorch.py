"""Cases of PARCtorch: one array (time, channel, y, x) a case, and the channels' ranges beside them.

https://github.com/baeklab/PARCtorch, ``PARCtorch/data``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from probtokens.data.importers.arrays import load_array
from probtokens.data.importers.source import Contents, Given, Simulation, Variable, files_below, simulation_names, splits_by_folder
from probtokens.data.the_well.faults import fault, listed
from probtokens.json_text import read_json

_RANGES = "min_max.json"

#: Channels of the energetic material.
_CHANNELS = {"temperature": "K", "pressure": "Pa", "microstructure": "1", "velocity_x": "m/s", "velocity_y": "m/s"}

#: A channel whose range is wider than the first is in physical units, unless its values are no larger than the second.
_SURELY_PHYSICAL, _LARGEST_SCALED = 10.0, 2.0


class ParctorchSource:
    """Cases of five channels as PARCtorch names them, or of any number that the user names."""

    layout: ClassVar[str] = "parctorch"
    expects: ClassVar[str] = f"CASE.npy of shape (time, channel, y, x), and {_RANGES} beside or above them"

    def __init__(self, path: Path, given: Given) -> None:
        self._files = files_below(path, (".npy",))
        if not self._files:
            raise fault(path, "files *.npy", "none")
        first = load_array(self._files[0])
        if first.ndim != 4:
            raise fault(self._files[0], "shape (time, channel, y, x)", first.shape)
        n_times, n_channels, ny, nx = first.shape
        self._channels = tuple(_CHANNELS) if n_channels == len(_CHANNELS) else tuple(map(str, range(n_channels)))
        root = path if path.is_dir() else path.parent
        ranges_file = _ranges_file(path)
        self._ranges = _read_ranges(ranges_file, n_channels) if ranges_file else None
        self._scaled = self._ranges is not None and _is_scaled(first, self._ranges)
        # Of channels that are named after PARCtorch the first is a temperature in kelvin.
        if (
            ranges_file is None
            and set(self._channels) <= set(_CHANNELS)
            and not given.ranges
            and not (np.abs(first[:, 0]) > _LARGEST_SCALED).any()
        ):
            found = f"none, and temperatures of {first[:, 0].min():.3g} … {first[:, 0].max():.3g}"
            raise fault(path, f"{_RANGES} beside or above arrays that are scaled, or --range NAME=LOW:HIGH", found)
        notes, attributes = _told(ranges_file, self._ranges, scaled=self._scaled)
        self.contents = Contents(
            path=path,
            files=(*self._files, *([ranges_file] if ranges_file else [])),
            names=simulation_names(root, [(file, "") for file in self._files]),
            shape=(n_times, ny, nx),
            fields={name: Variable(_CHANNELS.get(name), scaled=self._scale(k)) for k, name in enumerate(self._channels)},
            splits=splits_by_folder(root, self._files),
            notes=notes,
            attributes=attributes,
        )

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether there are arrays with ``min_max.json`` beside, below or above them."""
        return bool(files_below(path, (".npy",))) and _ranges_file(path) is not None

    def read(self, number: int) -> Simulation:
        """Read one case."""
        path = self._files[number]
        values = load_array(path)
        if values.ndim != 4 or values.shape[1] != len(self._channels):
            raise fault(path, f"shape (time, channel, y, x) with {len(self._channels)} channels", values.shape)
        if self._ranges is not None and self._scaled and not _is_scaled(values, self._ranges):
            raise fault(path, f"values between 0 and 1 as in {self._files[0].name}", "values in physical units")
        return Simulation(path, {name: np.asarray(values[:, k]) for k, name in enumerate(self._channels)})

    def _scale(self, channel: int) -> tuple[float, float] | None:
        if not self._scaled or self._ranges is None:
            return None
        return float(self._ranges[0, channel]), float(self._ranges[1, channel])


def _ranges_file(path: Path) -> Path | None:
    """The ranges that belong to a case or a folder of cases: in it, beside it, or in a folder of it."""
    near = [folder / _RANGES for folder in (path, path.parent) if (folder / _RANGES).is_file()]
    return next(iter(near or sorted(path.rglob(_RANGES))), None)


def _read_ranges(path: Path, n_channels: int) -> np.ndarray:
    """Least and most of every channel, shape (2, channel)."""
    stored = read_json(path, "ranges of the channels")
    keys = ("channel_min", "channel_max")
    if not isinstance(stored, Mapping) or not set(keys) <= set(stored):
        raise fault(path, f"keys {listed(keys)}", listed(stored) if isinstance(stored, Mapping) else type(stored).__name__)
    for key in keys:
        values = stored[key]
        if not isinstance(values, list) or not all(isinstance(value, int | float) for value in values) or len(values) != n_channels:
            raise fault(path, f"{n_channels} numbers, one for each channel", json.dumps(values), where=key)
    return np.array([stored[key] for key in keys], dtype=np.float64)


def _is_scaled(values: np.ndarray, ranges: np.ndarray) -> bool:
    """Whether values (time, channel, y, x) are about as large as 1 where their range is a physical one."""
    wide = np.flatnonzero(ranges[1] - ranges[0] > _SURELY_PHYSICAL)
    return bool(len(wide)) and not bool((np.abs(values[:, wide]) > _LARGEST_SCALED).any())


def _told(path: Path | None, ranges: np.ndarray | None, *, scaled: bool) -> tuple[tuple[str, ...], dict[str, str]]:
    """What the ranges say, and what of it is stored."""
    if path is None or ranges is None:
        return (), {}
    low, high = ranges
    # compute_min_max: until May 2025 least and most of each component, since then those of the speed for both.
    kind = "speed" if low[-2] == low[-1] >= 0.0 and high[-2] == high[-1] else "components"
    told = {"components": "least and most of each component (old)", "speed": "least and most of the speed, twice (new)"}[kind]
    notes = [f"{path.name}: entries of the last two channels, the velocity, are {told}"]
    if scaled:
        notes.append(f"values are between 0 and 1: the scaling of {path.name} is undone")
    return tuple(notes), {"min_max": json.dumps({"velocity": kind, "channel_min": low.tolist(), "channel_max": high.tolist()})}
