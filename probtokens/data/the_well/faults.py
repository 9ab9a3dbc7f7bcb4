"""Errors about files: they name the file, the object in it, what was expected and what was found, and stay short."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

#: Longest message about a file, in characters.
MAX_MESSAGE = 300

_MAX_PATH = 150
_MAX_WHERE = 60
_MAX_BESIDE = 45
_MAX_LIST = 90


def fault(path: Path, expected: str, got: object, *, where: str = "") -> ValueError:
    """Build the error about a file; the caller raises it.

    Parameters
    ----------
    path
        The file or folder. A very long path keeps its end.
    expected, got
        What should be there and what is there; the longer of both is cut first.
    where
        The HDF5 object, field or scalar, with its name.

    Examples
    --------
    >>> str(fault(Path("a.hdf5"), "2 points", 1, where="dimensions/x"))
    'a.hdf5: dimensions/x: expected 2 points, got 1'
    """
    prefix = f"{shown(path)}: "
    if where:
        prefix += f"{_end(printable(where), _MAX_WHERE)}: "
    wanted, found = printable(expected), printable(got)
    room = MAX_MESSAGE - len(f"{prefix}expected , got ")
    if len(wanted) + len(found) > room:
        found = _start(found, max(room - len(wanted), room // 2))
        wanted = _start(wanted, room - len(found))
    return ValueError(f"{prefix}expected {wanted}, got {found}")


class Faulty(Protocol):
    """Something in a file that knows where it is."""

    def fault(self, expected: str, got: object) -> ValueError:
        """Build an error about it; the caller raises it."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """A part of a file of any format, for messages.

    Attributes
    ----------
    path
        The file.
    where
        What it is called in it.
    """

    path: Path
    where: str = ""

    def fault(self, expected: str, got: object) -> ValueError:
        """Build an error about this part; the caller raises it."""
        return fault(self.path, expected, got, where=self.where)


def prefixed(error: ValueError, path: Path, where: str) -> ValueError:
    """Put file and object in front of an error that does not know them, if they are not yet there; the caller raises it."""
    message = printable(error)
    if str(path) in message:
        return error
    return ValueError(_start(f"{shown(path)}: {_end(printable(where), _MAX_WHERE)}: {message}", MAX_MESSAGE))


def shown(path: Path, *, beside: bool = False) -> str:
    """Write a path in one line; a very long one keeps its end, and less of it ``beside`` the path that a message is about."""
    return _end(printable(path), _MAX_BESIDE if beside else _MAX_PATH)


def listed(names: Iterable[object]) -> str:
    """Write names as a list; of a long one the first few and the number of all.

    Examples
    --------
    >>> listed(["x", "y"])
    "['x', 'y']"
    >>> listed(f"{i:04d}" for i in range(1000))[-30:]
    "'0009', '0010', … 1000 in all]"
    """
    all_names = [repr(name) for name in names]
    shown: list[str] = []
    for name in all_names:
        if sum(map(len, shown)) + 2 * len(shown) + len(name) > _MAX_LIST:
            return f"[{', '.join([*(shown or [_start(name, _MAX_LIST)]), f'… {len(all_names)} in all'])}]"
        shown.append(name)
    return f"[{', '.join(shown)}]"


def without_units(taken: Iterable[str]) -> str:
    """Say that files have no units, and what is taken for them: ``NAME in UNIT``."""
    return f"expected units, found none; taken are {', '.join(taken)} (probtokens convert --unit NAME=UNIT says others)"


def printable(value: object) -> str:
    """Write a value in one line that any UTF-8 terminal takes; undecodable bytes are escaped."""
    text = " ".join(str(value).encode("utf-8", "backslashreplace").decode("utf-8").split())
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _start(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: max(length - 1, 0)]}…"


def _end(text: str, length: int) -> str:
    return text if len(text) <= length else f"…{text[1 - length :]}"
