"""Errors in the words of who is told: in one line, and with the names that they know arguments by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


@contextmanager
def renamed(names: Mapping[str, str]) -> Iterator[None]:
    """Errors within that begin with the name of an argument begin with another one: name -> what the caller calls it.

    Examples
    --------
    >>> with renamed({"pixel_size": "--scale"}):
    ...     raise ValueError("pixel_size: expected a length, got 'wide'")
    Traceback (most recent call last):
    ValueError: --scale: expected a length, got 'wide'
    """
    try:
        yield
    except ValueError as error:
        name, colon, told = str(error).partition(": ")
        if name not in names:
            raise
        raise ValueError(f"{names[name]}{colon}{told}") from error


def in_one_line(error: ValidationError) -> ValueError:
    """The first of a model's errors, as functions tell theirs: the argument, what was expected, and what came."""
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else error.title
    if first["type"] == "extra_forbidden":
        return ValueError(f"{name}: expected no argument of this name, got {first['input']!r:.80}")
    if first["type"] == "value_error":  # our own, which says what it got
        return ValueError(f"{name}: {first['ctx']['error']}")
    return ValueError(f"{name}: {first['msg']}, got {first['input']!r:.80}")
