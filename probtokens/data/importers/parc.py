"""The first data set of PARC: one PGM image and two folders of text files for each simulation.

https://github.com/baeklab/parc, folder ``data/raw``; Nguyen et al., Science Advances 9, eadd6868 (2023).
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import ClassVar

import numpy as np
from PIL import Image

from probtokens.data.importers.source import Contents, Given, Simulation, Variable
from probtokens.data.the_well.axes import Axis
from probtokens.data.the_well.faults import fault, listed

#: Time between frames, the first of which is one step after the beginning [ns].
_TIME_STEP = 0.79

#: What the crystal is before the shock: temperature [K], pressure [Pa].
_REST = {"temperature": 300.0, "pressure": 0.0}

#: Field -> folder and beginning of the names of its files.
_FILES = {"temperature": ("temperatures", "Temp_"), "pressure": ("pressures", "pres_")}

#: Simulations that the authors train, validate and test on, in the order of the files.
_AUTHORS = {"train": 25, "valid": 8, "test": 9}


class ParcSource:
    """Frames of temperature and pressure, and the microstructure before the shock as a field that keeps its value.

    The state at time zero, which has no file, comes first.
    """

    layout: ClassVar[str] = "parc"
    expects: ClassVar[str] = "microstructures/NAME.pgm, temperatures/NAME/Temp_01.txt …, pressures/NAME/pres_01.txt …"

    def __init__(self, path: Path, given: Given) -> None:
        self._root, self._obstacle = _root(path) or path, given.obstacle
        images = tuple(sorted((self._root / "microstructures").glob("*.pgm")))
        if not images:
            raise fault(self._root / "microstructures", "images *.pgm", "none")
        names = tuple(image.stem for image in images)
        self._n_files, files = self._require_frames(names)
        ny, nx = _size(images[0])
        in_order = np.split(np.arange(sum(_AUTHORS.values())), np.cumsum(list(_AUTHORS.values()))[:-1])
        authors = {split: tuple(map(int, part)) for split, part in zip(_AUTHORS, in_order, strict=True)}
        self.contents = Contents(
            path=self._root,
            files=(*images, *files),
            names=names,
            shape=(self._n_files + 1, ny, nx),
            fields={"temperature": Variable("K"), "pressure": Variable("Pa"), "solid_fraction": Variable("1", constant=True)},
            time=Axis(self._n_files + 1, _TIME_STEP, 0.0),
            time_unit="ns",
            splits=authors if len(names) == sum(_AUTHORS.values()) else None,
            notes=(
                "the first frame, which has no file, is the state before the shock: 300 K and 0 Pa",
                "solid_fraction is the microstructure before the shock; the files do not tell how it changes",
            ),
        )

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether there are the folders ``microstructures`` and ``temperatures``."""
        return _root(path) is not None

    def read(self, number: int) -> Simulation:
        """Read all frames of one simulation."""
        name, (_, ny, nx) = self.contents.names[number], self.contents.shape
        image = self._root / "microstructures" / f"{name}.pgm"
        frames = {"solid_fraction": _read_image(image)[None]}
        for field, rest in _REST.items():
            values = np.full((self._n_files + 1, ny, nx), rest)
            for k, file in enumerate(self._frame_files(name, field), start=1):
                values[k] = read_numbers(file, ny * nx, nan=self._obstacle).reshape(ny, nx)[::-1]
            values[0, np.isnan(values[1:]).all(axis=0)] = np.nan
            frames[field] = values
        return Simulation(image, frames)

    def _frame_files(self, name: str, field: str) -> list[Path]:
        folder, stem = _FILES[field]
        return [self._root / folder / name / f"{stem}{k:02d}.txt" for k in range(1, self._n_files + 1)]

    def _require_frames(self, names: tuple[str, ...]) -> tuple[int, list[Path]]:
        """Number of frames of all simulations, and their files; all must have them all."""
        found = {self._root / folder / name: stem for name in names for folder, stem in _FILES.values()}
        there = {folder: {file.name for file in folder.glob(f"{stem}*.txt")} for folder, stem in found.items()}
        most = max(map(len, there.values()))
        if most == 0:
            raise fault(self._root, "files temperatures/NAME/Temp_01.txt and so on", "none")
        for folder, stem in found.items():
            missing = {f"{stem}{k:02d}.txt" for k in range(1, most + 1)} - there[folder]
            if missing:
                raise fault(folder, f"{most} frames, {listed(sorted(missing))} among them", f"{len(there[folder])} without it")
        return most, [folder / file for folder, files in there.items() for file in sorted(files)]


def read_numbers(path: Path, count: int, *, nan: bool = False) -> np.ndarray:
    """Numbers of a text file with one a line.

    Raises
    ------
    ValueError
        As :func:`read_table`, and if there are not ``count`` numbers, one a line.
    """
    values = read_table(path, nan=nan)
    if values.shape[1:] != (1,) and values.size:
        raise fault(path, "one number a line", f"{values.shape[1]}")
    if values.size != count:
        raise fault(path, f"{count} numbers, one for each cell", values.size)
    return values[:, 0]


def read_table(path: Path, skip: int = 0, *, nan: bool = False) -> np.ndarray:
    """Numbers of a text file, shape (line, column), without its first ``skip`` lines.

    Raises
    ------
    ValueError
        If it cannot be read, something is no finite number or, with ``nan``, NaN, or lines differ in length.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about files without values
            table = np.loadtxt(path, dtype=np.float64, ndmin=2, skiprows=skip)
    except (OSError, ValueError) as error:
        raise fault(path, "lines of numbers", str(error).partition(";")[0]) from error
    wrong = ~(np.isfinite(table) | (np.isnan(table) if nan else False))
    if wrong.any():
        line, column = (int(k) for k in np.argwhere(wrong)[0])
        remedy = " (--obstacle keeps cells that are NaN in every frame)" if np.isnan(table[line, column]) else ""
        raise fault(path, "finite numbers", f"{table[line, column]}{remedy}", where=f"line {skip + line + 1}, column {column + 1}")
    return table


def _root(path: Path) -> Path | None:
    candidates = (path, path / "raw", path / "data" / "raw")
    return next((root for root in candidates if all((root / part).is_dir() for part in ("microstructures", "temperatures"))), None)


def _size(path: Path) -> tuple[int, int]:
    """Rows and columns of an image."""
    return _read_image(path).shape


def _read_image(path: Path) -> np.ndarray:
    """Solid fraction (y, x), rows from the bottom up: 1 where the image is white, 0 where it is black."""
    try:
        with Image.open(path, formats=("PPM",)) as image:
            values = np.asarray(image.convert("L"), dtype=np.float32)
    except (OSError, ValueError) as error:
        raise fault(path, "a complete PGM image", error) from error
    return values[::-1] / np.float32(255)
