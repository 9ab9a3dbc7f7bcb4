"""JSON files that a run wrote, read without trust and compared with what was expected."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from probtokens.limits import MAX_JSON_BYTES


def read_json(path: Path, what: str) -> Any:
    """Content of a JSON file.

    Parameters
    ----------
    path
        The file.
    what
        What it is expected to be, for messages.

    Raises
    ------
    ValueError
        If it is missing, no regular file, too large or no JSON.
    """
    if not path.is_file():
        raise ValueError(f"{path}: expected {what}, found {'something else' if path.exists() else 'none'}")
    if (size := path.stat().st_size) > MAX_JSON_BYTES:
        raise ValueError(f"{path}: expected {what} of at most {MAX_JSON_BYTES} bytes, got {size}")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: expected {what}, got {type(error).__name__}: {error!s:.120}") from None


class Difference(NamedTuple):
    """Where two JSON documents differ: names and places joined by points, and what either has there."""

    where: str
    expected: Any
    found: Any


def first_difference(expected: Any, found: Any, where: str = "") -> Difference | None:
    """The first place at which a document is not as expected; it may have further keys, but not within what is expected.

    Examples
    --------
    >>> first_difference({"seed": 0, "stages": [{"steps": 4}]}, {"seed": 0, "stages": [{"steps": 8}]})
    Difference(where='stages.0.steps', expected=4, found=8)
    """
    if isinstance(expected, dict) and isinstance(found, dict):
        pairs = [(key, expected.get(key), found.get(key)) for key in (expected | found if where else expected)]
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = list(zip(map(str, range(len(expected))), expected, found, strict=True))
    else:
        return None if expected == found else Difference(where, expected, found)
    inner = (first_difference(one, other, f"{where}.{key}".lstrip(".")) for key, one, other in pairs)
    return next((difference for difference in inner if difference is not None), None)
