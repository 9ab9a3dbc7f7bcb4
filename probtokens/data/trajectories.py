"""A folder of simulation files as one lazy set of trajectories."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from probtokens.data.agreement import differences, require_none, symmetry_differences
from probtokens.data.arrays import ArrayInfo, Fields, describe_arrays
from probtokens.data.splits import SPLITS
from probtokens.data.the_well import SHARD_SUFFIXES, ShardInfo, is_shard, read_frames, read_info, read_scalar
from probtokens.data.the_well.faults import fault, listed, without_units
from probtokens.fields import KNOWN_SCALARS, FieldSpec, Grid

_CACHE_BYTES = 512 * 1024**2


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
    """Trajectories of one grid, in memory or read from disk when they are asked for.

    Make one with :meth:`from_arrays` or :meth:`open`.

    Attributes
    ----------
    fields
        The fields of every frame, in order.
    context_names
        Names of the scalars in ``context``, in order.
    grid
        Grid that all trajectories share; its ``n_times`` is the length of the shortest.
    names
        Stable identifiers, file stem and number in the file, e.g. ``"shard_0000/3"``; with the ending where stems repeat. In memory
        ``"arrays/3"``.
    context
        Known scalars in physical units, shape (simulation, context), float32.
    boundary
        What the edges ``left``, ``right``, ``bottom`` and ``top`` are: ``WALL``, ``OPEN`` or ``PERIODIC``.
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
    def open(
        cls,
        folder: str | Path,
        fields: Sequence[str],
        context: Sequence[str],
        *,
        odd: Mapping[str, str] | None = None,
        cache_bytes: int = _CACHE_BYTES,
    ) -> TrajectorySet:
        """Open all ``*.hdf5`` and ``*.h5`` files of a folder in sorted order, reading no frame.

        Parameters
        ----------
        folder
            Folder of files in The Well's layout; hidden (temporary) names are left out.
        fields, context
            Names of the fields and scalars wanted, in order.
        odd
            Axes along which a mirror image changes a field's sign, by field, in place of what the files tell by their tensor order.
        cache_bytes
            Memory for trajectories already read; 0 reads from disk every time.

        Raises
        ------
        ValueError
            If there is no file, a file is not complete, lacks a field or a scalar or its values, or differs
            from the first in cells, frame step, unit, symmetry or edges; the message names the file. Numbers of frames may differ.
        """
        infos = [read_info(path) for path in shard_paths(Path(folder))]
        for info in infos:
            require_names(info, fields, context)
            found = differences(infos[0], info, (*fields, *context), extent=True)
            found += symmetry_differences(_specs(infos[0], fields, odd), _specs(info, fields, odd))
            require_none(found, infos[0], info)
        _tell_unsaid(Path(folder), infos[0], fields)
        labels = _labels([info.path for info in infos])
        places = tuple((info, simulation) for info in infos for simulation in range(info.n_simulations))
        columns = [np.concatenate([read_scalar(info, name) for info in infos]) for name in context]
        return cls(
            fields=_specs(infos[0], fields, odd),
            context_names=tuple(context),
            grid=_common_grid(infos),
            names=tuple(f"{labels[info.path]}/{simulation}" for info, simulation in places),
            context=np.stack(columns, axis=1) if columns else np.zeros((len(places), 0), dtype=np.float32),
            boundary=infos[0].boundary,
            _places=places,
            _keys=tuple(range(len(places))),
            _cache=_FrameCache(cache_bytes),
        )

    @classmethod
    def from_arrays(
        cls,
        frames: Any,
        fields: Fields | None = None,
        *,
        spacing: float | str | None = None,
        time_step: float | str | None = None,
        context: Mapping[str, Any] | None = None,
        boundary: Mapping[str, str] | None = None,
    ) -> TrajectorySet:
        """Simulations from arrays of numpy, torch or xarray; no file is needed.

        Parameters
        ----------
        frames
            Physical units, shape (simulation, time, field, y, x); copied to single precision.
        fields
            Names in the order of the frames, or name to unit, or :class:`~probtokens.fields.FieldSpec` where a field has bounds or changes
            its sign in mirror images. Those of an xarray are its coordinate ``field`` unless given.
        spacing, time_step
            Cell edge [µm] and time between frames [ns]; or as text with any unit, which is kept: ``"0.5 mm"``, ``"0.01 1"`` of numbers
            without dimension. Those of an xarray are steps of its coordinates ``x`` and ``time``, in their ``units``, unless given.
        context
            Known scalars by name, each of shape (simulation,), or with its unit: ``(values, "mm²/ms")``.
        boundary
            Edges ``left``, ``right``, ``bottom``, ``top`` that are not ``OPEN``: ``WALL`` or ``PERIODIC``.

        Raises
        ------
        ValueError
            If shapes, names or edges do not fit, or a value is not finite or not physical; the message names field and simulation.

        Examples
        --------
        >>> frames = np.full((4, 6, 1, 16, 16), 300.0)
        >>> TrajectorySet.from_arrays(frames, {"temperature": "K"}, spacing=0.04, time_step=0.02).grid.n_times
        6
        """
        scalars = context or {}
        info = describe_arrays(frames, fields, spacing, time_step, scalars, boundary or {})
        columns = [info.columns[name] for name in scalars]
        return cls(
            fields=info.specs,
            context_names=info.scalars,
            grid=info.grid,
            names=tuple(f"{info.path}/{number}" for number in range(info.n_simulations)),
            context=np.stack(columns, axis=1) if columns else np.zeros((info.n_simulations, 0), dtype=np.float32),
            boundary=info.boundary,
            _places=tuple((info, number) for number in range(info.n_simulations)),
            _keys=tuple(range(info.n_simulations)),
            _cache=_FrameCache(0),
        )

    @property
    def files(self) -> tuple[ShardInfo, ...]:
        """Descriptions of the files that hold the trajectories, each once; of arrays one that has them."""
        return tuple({info.path: info for info, _ in self._places}.values())

    @property
    def context_units(self) -> tuple[str, ...]:
        """Unit of every scalar in ``context``, ``""`` where none is known."""
        known = KNOWN_SCALARS | dict(self.files[0].units if len(self) else {})
        return tuple(known.get(name, "") for name in self.context_names)

    def __len__(self) -> int:
        """Number of trajectories."""
        return len(self._places)

    def length(self, i: int) -> int:
        """Number of frames of trajectory ``i``."""
        return self._places[i][0].grid.n_times

    def whole(self, i: int) -> np.ndarray:
        """All frames of trajectory ``i``, however long it is; see :meth:`frames`."""
        return self.frames(i, 0, self.length(i))

    def frames(self, i: int, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Frames ``start`` to ``stop`` - 1 of trajectory ``i``; without ``stop`` as many as all trajectories have.

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
        n_times = max(self.length(i), self.grid.n_times)  # of a first frame alone, the grid has those of its forecast
        stop = self.grid.n_times if stop is None else stop
        if not 0 <= start < stop <= n_times:
            raise ValueError(f"{info.path}: expected frames within 0..{n_times}, got {start}..{stop}")
        if isinstance(info, ArrayInfo):
            return info.frames[simulation, start:stop]
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
        """Any scalar that the files hold, shape (simulation,), float32, in the files' unit; of arrays one of the context.

        Raises
        ------
        ValueError
            If a file has no such scalar or it is not finite.
        """
        columns = {info.path: _column(info, name) for info, _ in self._places}
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
            raise ValueError(f"subset: expected indices in 0..{len(self) - 1}, got {listed(wrong)}")
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


def require_trajectories(given: Any, name: str) -> None:
    """Refuse what is no set of trajectories, such as the frames alone.

    Raises
    ------
    ValueError
        Naming the argument and what makes one.
    """
    if not isinstance(given, TrajectorySet):
        raise ValueError(
            f"{name}: expected pt.Trajectories, as pt.Trajectories.from_arrays(frames, fields, spacing=…, time_step=…) makes them, "
            f"got {type(given).__name__}"
        )


def shard_paths(folder: Path) -> list[Path]:
    """HDF5 files of a folder, sorted by name, without hidden (temporary) ones.

    Raises
    ------
    ValueError
        If the folder is missing or has none.
    """
    if not folder.is_dir():
        raise fault(folder, "a folder of HDF5 files", "none")
    paths = sorted(path for path in folder.iterdir() if is_shard(path))
    if wrong := next((path for path in paths if not path.name.isprintable()), None):  # simulations are called after them
        raise fault(wrong, "a file name of printable letters in UTF-8", repr(os.fsencode(wrong.name)))
    if not paths:
        raise fault(folder, f"files ending in {' or '.join(SHARD_SUFFIXES)}", listed(sorted(path.name for path in folder.iterdir())))
    return paths


def require_names(info: ShardInfo, fields: Sequence[str], context: Sequence[str]) -> None:
    """Refuse a file that lacks fields or scalars, or whose fields cannot be used.

    Raises
    ------
    ValueError
        Naming the file and what it lacks.
    """
    for kind, wanted, present in (("fields", fields, info.fields), ("scalars", context, info.scalars)):
        missing = [name for name in wanted if name not in present]
        if missing:
            raise fault(info.path, f"{kind} {listed(missing)}", f"a file with {listed(present)}")
    for name in fields:
        if info.sources[name].fault:
            raise ValueError(info.sources[name].fault)


def _tell_unsaid(folder: Path, info: ShardInfo, fields: Sequence[str]) -> None:
    """Warn of axes and fields without unit, once for all splits of a data set."""
    where = folder.parent if folder.name in SPLITS else folder
    if taken := info.taken_units(fields):
        warnings.warn(f"{where}: {without_units(taken)}", UserWarning, stacklevel=3)


def _specs(info: ShardInfo, fields: Sequence[str], odd: Mapping[str, str] | None) -> tuple[FieldSpec, ...]:
    return tuple(info.spec(name, (odd or {}).get(name)) for name in fields)


def _column(info: ShardInfo, name: str) -> np.ndarray:
    if not isinstance(info, ArrayInfo):
        return read_scalar(info, name)
    if name not in info.columns:
        raise fault(info.path, f"one of {listed(info.columns)}", "none of them", where=f"scalar {name!r}")
    return info.columns[name]


def _common_grid(infos: Sequence[ShardInfo]) -> Grid:
    """Grid of files that agree: cell size and frame step of the file whose axes tell them most precisely, frames that all have."""
    steps = {key: getattr(min(infos, key=lambda info: info.rounding[key]).grid, key) for key in ("spacing", "time_step")}
    return replace(infos[0].grid, n_times=min(info.grid.n_times for info in infos), **steps)


def _labels(paths: Sequence[Path]) -> dict[Path, str]:
    """Name of each file of a folder without its ending, and with it where two would be the same.

    >>> list(_labels([Path("a.h5"), Path("a.hdf5"), Path("b.h5")]).values())
    ['a.h5', 'a.hdf5', 'b']
    """
    stems = Counter(path.stem for path in paths)
    whole = {path.name for path in paths}
    return {path: path.stem if stems[path.stem] == 1 and path.stem not in whole else path.name for path in paths}
