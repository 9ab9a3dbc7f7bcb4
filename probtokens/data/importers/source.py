"""What an importer says about simulations in someone's layout, and how it hands them over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Protocol

import numpy as np

from probtokens.data.splits import SPLITS
from probtokens.data.the_well.axes import Axis

#: Axes that arrays of simulations may have.
AXES = ("simulation", "time", "field", "y", "x")

#: Stands for the package's unit of every dimension.
OURS = "ours"

#: Names of split folders.
_SPLIT_NAMES = {**{split: split for split in SPLITS}, "val": "valid", "validation": "valid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the user says about simulations, where their files do not.

    Attributes
    ----------
    layout
        Name of the layout; recognised from the files if left out.
    spacing, time_step
        Cell edge and time between frames: a number in the units of ``length`` and ``time``, else in µm and ns; or with a unit, ``"50 nm"``.
    units
        Unit of ``length``, of ``time``, of fields and of scalars; ``*`` stands for all fields and scalars that have none.
    wanted
        Unit that ``length``, ``time``, fields and scalars are turned into, or ``*`` -> :data:`OURS` for the package's unit of every
        dimension; all others stay as they are.
    names
        Name in the files, or number of the channel -> name to give to it.
    ranges
        Field -> values that 0 and 1 in the file stand for, in the field's unit.
    dims
        Names of the axes of a NumPy array, in order.
    boundary
        Sides ``left``, ``right``, ``bottom``, ``top`` -> ``WALL``, ``OPEN`` or ``PERIODIC``.
    splits
        Numbers of simulations to train, to validate and to test on, in the order of the files.
    obstacle
        Whether cells that are NaN in every frame of every field that changes are an obstacle, which becomes a constant field.
    """

    layout: str | None = None
    spacing: str | None = None
    time_step: str | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    wanted: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    dims: tuple[str, ...] = ()
    boundary: Mapping[str, str] = field(default_factory=dict)
    splits: tuple[int, int, int] | None = None
    obstacle: bool = False


@dataclass(frozen=True, slots=True)
class Variable:
    """A scalar field of a source.

    Attributes
    ----------
    unit
        Its unit; ``None`` if the source does not tell. ``{length}``, ``{time}`` and ``{FIELD}`` in it stand for the units of these.
    constant
        Whether it is the same at all times.
    scaled
        Values that 0 and 1 stand for, in ``unit``, if the source holds it scaled.
    """

    unit: str | None = None
    constant: bool = False
    scaled: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """What a source holds, told without reading its frames.

    Attributes
    ----------
    path, files
        The source, and the files that belong to it.
    names
        Name of every simulation.
    shape
        Frames, cells along y and cells along x, the same for all simulations.
    fields
        Scalar fields by name; components of a vector ``NAME`` are ``NAME_x`` and ``NAME_y``.
    scalars
        Name of every scalar -> its unit, ``None`` if the source does not tell.
    x, y, time
        Axes in the source's units, ``None`` where it has none.
    length_unit, time_unit
        Units of the axes, ``None`` where the source does not tell.
    boundary
        Edges by side, ``None`` if the source does not tell.
    splits
        Split -> numbers of its simulations, ``None`` if the source has none.
    vectors, tensors
        Names of the fields of order one and two.
    notes
        What else was understood, one sentence each.
    attributes
        What is stored with every simulation.
    """

    path: Path
    files: tuple[Path, ...]
    names: tuple[str, ...]
    shape: tuple[int, int, int]
    fields: Mapping[str, Variable]
    scalars: Mapping[str, str | None] = field(default_factory=dict)
    x: Axis | None = None
    y: Axis | None = None
    time: Axis | None = None
    length_unit: str | None = None
    time_unit: str | None = None
    boundary: Mapping[str, str] | None = None
    splits: Mapping[str, tuple[int, ...]] | None = None
    vectors: tuple[str, ...] = ("velocity",)
    tensors: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Simulation:
    """One simulation as its source holds it.

    Attributes
    ----------
    path
        Its file or folder, for messages.
    frames
        Scalar field -> values (time, y, x), rows from the bottom up; of a constant field one frame.
    scalars
        Scalar -> value.
    """

    path: Path
    frames: Mapping[str, np.ndarray]
    scalars: Mapping[str, float] = field(default_factory=dict)


class Source(Protocol):
    """Simulations in one layout: what is there, and one simulation at a time.

    Attributes
    ----------
    layout
        Name of the layout.
    expects
        What its files look like, for messages.
    contents
        What is there.
    """

    layout: ClassVar[str]
    expects: ClassVar[str]
    contents: Contents

    def __init__(self, path: Path, given: Given) -> None: ...

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the files at ``path`` look like this layout."""
        ...

    def read(self, number: int) -> Simulation:
        """Read a simulation by its place in ``contents.names``."""
        ...


def files_below(path: Path, suffixes: tuple[str, ...]) -> tuple[Path, ...]:
    """The file itself, or all files below a folder with one of these endings, sorted, without hidden ones."""
    if path.is_file():
        return (path,) if path.suffix.lower() in suffixes else ()
    found = (file for file in path.rglob("*") if file.suffix.lower() in suffixes)
    return tuple(sorted(file for file in found if not any(part.startswith(".") for part in file.relative_to(path).parts)))


def simulation_names(root: Path, places: Sequence[tuple[Path, str]]) -> tuple[str, ...]:
    """Name of every simulation: its file's without ending, and its key in it if it has one; with folders where two would be the same.

    Examples
    --------
    >>> simulation_names(Path("a"), [(Path("a/b.h5"), "0"), (Path("a/c.npy"), "")])
    ('b_0', 'c')
    """
    short, whole = ([], []) if not places else zip(*(_names_of(root, *place) for place in places), strict=True)
    return tuple(short if len(set(short)) == len(short) else whole)


def _names_of(root: Path, path: Path, key: str) -> tuple[str, str]:
    parts = path.relative_to(root).with_suffix("").parts
    return "_".join(filter(None, (parts[-1], key))), "_".join(filter(None, (*parts, key)))


def splits_by_folder(root: Path, paths: tuple[Path, ...]) -> dict[str, tuple[int, ...]] | None:
    """Split -> numbers of the paths that lie in a folder of its name; ``None`` unless all lie in one."""
    parts = [next((_SPLIT_NAMES[part] for part in path.relative_to(root).parts if part in _SPLIT_NAMES), None) for path in paths]
    if not parts or None in parts:
        return None
    return {split: tuple(number for number, part in enumerate(parts) if part == split) for split in SPLITS}
