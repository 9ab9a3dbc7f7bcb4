"""Files that a stage made: listing, checking, replacing and removing them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from probtokens.data.atomic import writing
from probtokens.pipeline.fingerprint import file_digest
from probtokens.pipeline.folder import RunFolder, new_of, old_of


def digests(folder: RunFolder, outputs: Iterable[Path]) -> dict[str, str]:
    """Digest of every file in ``outputs`` that is not hidden, by path relative to the folder.

    Those that were made anew are found where they were made.

    Raises
    ------
    FileNotFoundError
        If an output is missing.
    """
    found: dict[str, str] = {}
    for output in outputs:
        made = folder.inside(*output.relative_to(folder.root).parts)
        if not made.exists():
            raise FileNotFoundError(f"{made}: expected from its stage, found nothing")
        visible = (path for path in files_in(made) if path == made or not path.name.startswith("."))
        names = {(output / path.relative_to(made)).relative_to(folder.root).as_posix(): path for path in visible}
        found.update({name: digest for name, path in names.items() if (digest := file_digest(path)) is not None})
    return found


def files_in(output: Path) -> list[Path]:
    """The file, or all files in the folder and its sub-folders, sorted; none if there is nothing."""
    return sorted(path for path in (output, *output.rglob("*")) if path.is_file())


def damaged(folder: RunFolder, recorded: Mapping[str, str | int]) -> list[Path]:
    """Recorded files that are gone or have another content; of files that an older version recorded, another size."""

    def sound(path: Path, known: str | int) -> bool:
        if isinstance(known, int):
            return path.is_file() and path.stat().st_size == known
        return file_digest(path) == known

    paths = {folder.inside(name): known for name, known in recorded.items()}
    return [path for path, known in paths.items() if not sound(path, known)]


def remove(paths: Iterable[Path]) -> None:
    """Remove files and folders, those that exist; of a link the link alone."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def install(outputs: Iterable[Path]) -> None:
    """Put what was made anew in the place of the old; called again after a kill, it goes on.

    Raises
    ------
    WriteError
        If a file cannot be renamed.
    """
    for output in outputs:
        new, old = new_of(output), old_of(output)
        if not new.exists():  # a kill came after it was put in its place
            continue
        with writing(output):
            if output.exists():
                remove([old])
                output.rename(old)
            new.rename(output)


def reuse(file: Path, folder: RunFolder, anew: RunFolder) -> None:
    """Give what is made anew a file of the old, by a link where the disk has them."""
    target = anew.inside(*file.relative_to(folder.root).parts)
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file, target)
        except OSError:
            shutil.copy2(file, target)


def enclosing_array(path: Path) -> Path:
    """The Zarr array that ``path`` is part of, else ``path``: an array is only whole or useless."""
    return next((parent for parent in path.parents if parent.suffix == ".zarr"), path)
