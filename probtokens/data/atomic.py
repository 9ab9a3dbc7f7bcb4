"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SUFFIX = ".tmp"


class WriteError(OSError):
    """A file or folder cannot be written; the message is ``PATH: cannot write: REASON``."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the operating system says against writing into a :class:`WriteError` that names ``path``."""
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        where = f" ({error.filename})" if error.filename is not None else ""
        raise WriteError(f"{path}: cannot write: {error.strerror or error}{where}") from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; on success it is synced to disk and renamed to ``path``.

    The temporary name is hidden and ends in ``.tmp``, so that no listing of data files takes it. If
    the block raises, the temporary file is removed and ``path`` is left as it was.

    Raises
    ------
    WriteError
        If the folder cannot be made or the file cannot be written, e.g. because the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}{_SUFFIX}")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            _sync(temporary)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync(path.parent)


def remove_leftovers(path: Path) -> None:
    """Remove temporary files of ``path`` that killed processes left; none may be writing it."""
    for temporary in path.parent.glob(f".{path.name}.*{_SUFFIX}"):
        temporary.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
