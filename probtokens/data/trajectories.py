"""A folder of simulation files as one lazy set of trajectories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from probtokens.data.the_well import SHARD_SUFFIXES, ShardInfo, is_shard, read_frames, read_info, read_scalar
from probtokens.fields import FieldSpec, Grid

_CACHE_BYTES = 2 * 1024**3


@dataclass
class _FrameCache:
    """Whole trajectories in memory while they fit; nothing is ever thrown out.

    Windows are drawn at random, so keeping the newest would not be hit more often than keeping the
    first. Files are opened per read and nothing is locked: workers may be forked or spawned, and each
    has its own budget.
    """

    budget: int
    used: int = 0
    held: dict[int, np.ndarray] = field(default_factory=dict)

    def __getstate__(self) -> dict[str, Any]:
        return {"budget": self.budget, "used": 0, "held": {}}

    def offer(self, key: int, frames: np.ndarray) -> None:
        if key not in self.held and self.used + frames.nbytes <= self.budget:
            self.held[key] = frames
            self.used += frames.nbytes

    def has_room(self, n_bytes: int) -> bool:
        return self.used + n_bytes <= self.budget


@dataclass(frozen=True, eq=False)
class TrajectorySet:
    """Trajectories of one grid, read from disk when they are asked for.

    Make one with :meth:`open`.

    Attributes
    ----------
    fields
        The fields of every frame, in order.
    context_names
        Names of the scalars in ``context``, in order.
    grid
        Grid that all trajectories share.
    names
        Stable identifiers, file stem and number in the file, e.g. ``"shard_0000/3"``.
    context
        Known scalars in physical units, shape (simulation, context), float32.
    boundary
        What the edges ``left``, ``right``, ``bottom`` and ``top`` are: ``WALL``, ``OPEN`` or ``PERIODIC``; those of the first file.
    """

    fields: tuple[FieldSpec, ...]
    context_names: tuple[str, ...]
    grid: Grid
    names: tuple[str, ...]
    context: np.ndarray = field(repr=False)
    boundary: Mapping[str, str] = field(repr=False)
    _places: tuple[tuple[ShardInfo, int], ...] = field(repr=False)
    _keys: tuple[int, ...] = field(repr=False)
    _cache: _FrameCache = field(repr=False)

    @classmethod
    def open(cls, folder: str | Path, fields: Sequence[str], context: Sequence[str], *, cache_bytes: int = _CACHE_BYTES) -> TrajectorySet:
        """Open all ``*.hdf5`` and ``*.h5`` files of a folder in sorted order, reading no frame.

        Parameters
        ----------
        folder
            Folder of files in The Well's layout; hidden (temporary) names are left out.
        fields, context
            Names of the fields and scalars wanted, in order.
        cache_bytes
            Memory for trajectories already read; 0 reads from disk every time.

        Raises
        ------
        ValueError
            If there is no file, a file is not complete, lacks a field or a scalar, or differs from the
            first in grid or unit; the message names the file.
        """
        infos = [read_info(path) for path in shard_paths(Path(folder))]
        for info in infos:
            _check_shard(info, infos[0], fields, context)
        places = tuple((info, simulation) for info in infos for simulation in range(info.n_simulations))
        columns = [np.concatenate([read_scalar(info, name) for info in infos]) for name in context]
        return cls(
            fields=tuple(infos[0].spec(name) for name in fields),
            context_names=tuple(context),
            grid=infos[0].grid,
            names=tuple(f"{info.path.stem}/{simulation}" for info, simulation in places),
            context=np.stack(columns, axis=1) if columns else np.zeros((len(places), 0), dtype=np.float32),
            boundary=infos[0].boundary,
            _places=places,
            _keys=tuple(range(len(places))),
            _cache=_FrameCache(cache_bytes),
        )

    def __len__(self) -> int:
        """Number of trajectories."""
        return len(self._places)

    def frames(self, i: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Frames ``start`` to ``stop`` - 1 of trajectory ``i``.

        Returns
        -------
        ndarray
            Shape (time, field, y, x), float32, physical units; read-only, copy it to change it.

        Raises
        ------
        ValueError
            If there is no such trajectory or frame, or a value is not finite or not physical.
        """
        if not 0 <= i < len(self):
            raise ValueError(f"trajectory: expected 0..{len(self) - 1}, got {i}")
        info, simulation = self._places[i]
        n_times = self.grid.n_times
        stop = n_times if stop is None else stop
        if not 0 <= start < stop <= n_times:
            raise ValueError(f"{info.path}: expected frames within 0..{n_times}, got {start}..{stop}")
        held = self._cache.held.get(self._keys[i])
        if held is not None:
            return held[start:stop]
        names = [spec.name for spec in self.fields]
        whole = self._cache.has_room(4 * n_times * len(names) * self.grid.ny * self.grid.nx)
        frames = read_frames(info, simulation, names) if whole else read_frames(info, simulation, names, start, stop)
        frames.setflags(write=False)
        if not whole:
            return frames
        self._cache.offer(self._keys[i], frames)
        return frames[start:stop]

    def scalar(self, name: str) -> np.ndarray:
        """Any scalar that the files hold, shape (simulation,), float32, in the files' unit.

        Raises
        ------
        ValueError
            If a file has no such scalar or it is not finite.
        """
        columns = {info.path: read_scalar(info, name) for info, _ in self._places}
        return np.array([columns[info.path][simulation] for info, simulation in self._places], dtype=np.float32)

    def subset(self, indices: Sequence[int] | np.ndarray) -> TrajectorySet:
        """The trajectories with these numbers, in this order; the frames in memory are shared.

        Raises
        ------
        ValueError
            If an index is not in ``0..len(self) - 1``.
        """
        chosen = [int(i) for i in indices]
        wrong = [i for i in chosen if not 0 <= i < len(self)]
        if wrong:
            raise ValueError(f"subset: expected indices in 0..{len(self) - 1}, got {wrong}")
        return TrajectorySet(
            fields=self.fields,
            context_names=self.context_names,
            grid=self.grid,
            names=tuple(self.names[i] for i in chosen),
            context=self.context[chosen],
            boundary=self.boundary,
            _places=tuple(self._places[i] for i in chosen),
            _keys=tuple(self._keys[i] for i in chosen),
            _cache=self._cache,
        )


def shard_paths(folder: Path) -> list[Path]:
    """HDF5 files of a folder, sorted by name, without hidden (temporary) ones.

    Raises
    ------
    ValueError
        If the folder is missing or has none.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: expected a folder of HDF5 files, found none")
    paths = sorted(path for path in folder.iterdir() if is_shard(path))
    if not paths:
        found = sorted(path.name for path in folder.iterdir())
        raise ValueError(f"{folder}: expected files ending in {' or '.join(SHARD_SUFFIXES)}, got {found}")
    return paths


def _check_shard(info: ShardInfo, first: ShardInfo, fields: Sequence[str], context: Sequence[str]) -> None:
    for kind, wanted, present in (("fields", fields, info.fields), ("scalars", context, info.scalars)):
        missing = [name for name in wanted if name not in present]
        if missing:
            raise ValueError(f"{info.path}: expected {kind} {missing}, got a file with {list(present)}")
    same_extent = (info.grid.shape, info.grid.n_times) == (first.grid.shape, first.grid.n_times)
    if not (same_extent and info.grid.compatible_with(first.grid)):
        raise ValueError(f"{info.path}: expected the grid of {first.path.name}, {first.grid}, got {info.grid}")
    for name in fields:
        if info.units[name] != first.units[name]:
            raise ValueError(
                f"{info.path}: field {name!r}: expected unit {first.units[name]!r} as in {first.path.name}, got {info.units[name]!r}"
            )
