"""Values of HDF5 attributes and names as plain Python."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np


def plain(value: Any) -> Any:
    """A value of the library as plain Python: text, numbers, lists, or ``None`` for an empty one."""
    if isinstance(value, h5py.Empty):
        return None
    if isinstance(value, bytes | str):
        return as_text(value)
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value] if value.ndim else plain(value[()])
    return value.item() if isinstance(value, np.generic) else value


def as_text(value: bytes | str) -> str:
    """Decode UTF-8, or Latin-1 where it is none; padding at the end goes.

    Examples
    --------
    >>> as_text("µm".encode("latin-1")), as_text("K   ")
    ('µm', 'K')
    """
    stored = raw_name(value)
    try:
        text = stored.decode("utf-8")
    except UnicodeDecodeError:
        text = stored.decode("latin-1")
    return text.rstrip(" \0")


def single(value: Any) -> Any:
    """What a list of one holds, however deep; anything else as it is."""
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    return value


def raw_name(name: bytes | str) -> bytes:
    """Bytes of a name as the file holds them."""
    return name.encode("utf-8", "surrogateescape") if isinstance(name, str) else name
