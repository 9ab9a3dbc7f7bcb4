"""JSON files that a run wrote, read without trust."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

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
