"""Dumps of SCIMITAR3D: one text file a frame, one line a cell, columns X Y U V P T Ls in SI units."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

import numpy as np

from probtokens.data.importers.parc import read_table
from probtokens.data.importers.source import Contents, Given, Simulation, Variable, files_below, splits_by_folder
from probtokens.data.the_well.axes import uniform_axis
from probtokens.data.the_well.faults import Place, fault, listed

_SUFFIXES = (".dat", ".txt", ".plt", ".tec", ".asc")
_COLUMNS = ("x", "y", "u", "v", "p", "t", "ls")

#: Column -> field and unit.
_FIELDS = {
    "u": ("velocity_x", "m/s"),
    "v": ("velocity_y", "m/s"),
    "p": ("pressure", "Pa"),
    "t": ("temperature", "K"),
    "ls": ("level_set", "m"),
}

_MOST_HEADER_LINES = 50


class ScimitarSource:
    """Folders of frames, one a simulation; cells in any order, after any header."""

    layout: ClassVar[str] = "scimitar3d"
    expects: ClassVar[str] = "folders of text files, one a frame, with the columns X Y U V P T Ls"

    def __init__(self, path: Path, given: Given) -> None:
        by_folder: dict[Path, list[Path]] = {}
        for file in files_below(path, _SUFFIXES):
            by_folder.setdefault(file.parent, []).append(file)
        if path.is_file() or not by_folder:
            raise fault(path, self.expects, "one file" if path.is_file() else "none")
        self._obstacle = given.obstacle
        self._runs = tuple(tuple(_in_order(folder, files)) for folder, files in by_folder.items())
        folders = tuple(by_folder)
        self._coordinates = _read_frame(self._runs[0][0], nan=self._obstacle)[1]
        (x, y), first = self._coordinates, self._runs[0]
        for run in self._runs:
            if len(run) != len(first):
                raise fault(run[0].parent, f"{len(first)} frames as in {first[0].parent.name}", len(run))
        self.contents = Contents(
            path=path,
            files=tuple(file for run in self._runs for file in run),
            names=tuple("_".join(folder.relative_to(path).parts) or path.resolve().name for folder in folders),
            shape=(len(first), len(y), len(x)),
            fields={name: Variable(unit) for name, unit in _FIELDS.values()},
            x=uniform_axis(Place(first[0], "column X"), x),
            y=uniform_axis(Place(first[0], "column Y"), y),
            length_unit="m",
            splits=splits_by_folder(path, folders),
            notes=("level_set is the column Ls, a signed distance from the interface; it is not turned into a solid fraction",),
        )

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the first text file has seven columns."""
        files = files_below(path, _SUFFIXES) if path.is_dir() else ()
        try:
            return bool(files) and len(_header(files[0])[1]) == len(_COLUMNS)
        except ValueError:
            return False

    def read(self, number: int) -> Simulation:
        """Read all frames of one simulation."""
        files, (n_times, ny, nx) = self._runs[number], self.contents.shape
        frames = {name: np.empty((n_times, ny, nx)) for name, _ in _FIELDS.values()}
        for k, file in enumerate(files):
            columns, coordinates = _read_frame(file, nan=self._obstacle)
            if any(
                a.shape != b.shape or not np.allclose(a, b, rtol=1e-6, atol=0) for a, b in zip(coordinates, self._coordinates, strict=True)
            ):
                sizes = " × ".join(str(len(axis)) for axis in coordinates[::-1])
                raise fault(file, f"the {ny} × {nx} cells of {self._runs[0][0].name}", f"{sizes} cells, or at other places")
            for column, (name, _) in _FIELDS.items():
                frames[name][k] = columns[column]
        return Simulation(files[0].parent, frames)


def _read_frame(path: Path, *, nan: bool) -> tuple[dict[str, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Columns (y, x) of a frame, and its coordinates along x and y."""
    names, _, n_header = _header(path)
    table = read_table(path, n_header, nan=nan)
    if table.shape[1] != len(names):
        raise fault(path, f"the columns {' '.join(names).upper()}", f"{table.shape[1]} columns")
    column = dict(zip(names, table.T, strict=True))
    (x, ix), (y, iy) = (np.unique(column[axis], return_inverse=True) for axis in "xy")
    cells = iy * len(x) + ix
    if len(table) != len(x) * len(y) or not (np.bincount(cells, minlength=len(table)) == 1).all():
        raise fault(path, f"one line for each of {len(y)} × {len(x)} cells", f"{len(table)} lines")
    order = np.argsort(cells)
    return {name: column[name][order].reshape(len(y), len(x)) for name in _FIELDS}, (x, y)


def _header(path: Path) -> tuple[tuple[str, ...], list[float], int]:
    """Names of the columns, the first line of numbers, and how many lines come before it."""
    names, last = _COLUMNS, 0
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in zip(range(_MOST_HEADER_LINES), file, strict=False):
                values = _numbers(line)
                if values:
                    return names, values, number
                words = tuple(re.findall(r"[a-z]\w*", line.lower()))
                found = tuple(word for word in words if word in _COLUMNS)
                names = found if sorted(found) == sorted(_COLUMNS) else names
                last = number + 1
    except (OSError, UnicodeDecodeError) as error:
        raise fault(path, "a text file", error) from error
    raise fault(path, f"lines of numbers in the columns {' '.join(_COLUMNS).upper()}", f"none in {last} lines")


def _numbers(line: str) -> list[float]:
    try:
        return [float(word) for word in line.split()]
    except ValueError:
        return []


def _in_order(folder: Path, files: list[Path]) -> list[Path]:
    """Frames by the last number in their names, whose steps must be equal."""
    numbers = {file: int(found[-1]) for file in files if (found := re.findall(r"\d+", file.stem))}
    if len(numbers) < len(files):
        raise fault(folder, "the number of the frame in every file's name", listed(file.name for file in files if file not in numbers))
    ordered = sorted(files, key=numbers.__getitem__)
    steps = np.diff([numbers[file] for file in ordered])
    if len(steps) and (steps != steps.min()).any():
        k = int(np.argmax(steps != steps.min()))
        raise fault(folder, f"frames in steps of {steps.min()}, none missing", f"{ordered[k + 1].name} after {ordered[k].name}")
    return ordered
