"""Files that a stage made: listing, checking and removing them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path


def sizes(root: Path, outputs: Iterable[Path]) -> dict[str, int]:
    """Size in bytes of every file in ``outputs`` that is not hidden, by path relative to ``root``.

    Raises
    ------
    FileNotFoundError
        If an output is missing.
    """
    found: dict[str, int] = {}
    for output in outputs:
        if not output.exists():
            raise FileNotFoundError(f"{output}: expected from its stage, found nothing")
        files = sorted(output.rglob("*")) if output.is_dir() else [output]
        visible = (path for path in files if path.is_file() and not path.name.startswith("."))
        found.update({path.relative_to(root).as_posix(): path.stat().st_size for path in visible})
    return found


def damaged(root: Path, recorded: Mapping[str, int]) -> list[Path]:
    """Recorded files that are gone or have another size."""
    paths = {root / name: size for name, size in recorded.items()}
    return [path for path, size in paths.items() if not path.is_file() or path.stat().st_size != size]


def remove(paths: Iterable[Path]) -> None:
    """Remove files and folders, those that exist."""
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def enclosing_array(path: Path) -> Path:
    """The Zarr array that ``path`` is part of, else ``path``: an array is only whole or useless."""
    return next((parent for parent in path.parents if parent.suffix == ".zarr"), path)
