"""A check of the one structure that makes the HDF5 library itself loop for ever when it is damaged.

Texts of any length lie in global heaps. The library walks through one by the sizes of its objects, and a hole of zeros, as an
interrupted copy leaves it, has size zero.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from probtokens.data.the_well.faults import fault

#: Beginning of a heap: signature, version, reserved bytes.
_HEAP = b"GCOL\x01\0\0\0"

#: Number, references, reserved bytes and size of an object in a heap.
_OBJECT = struct.Struct("<HHIQ")
_HEADER = len(_HEAP) + 8

#: Part of a file that is searched for heaps, at its beginning and at its end, where programs put them [bytes].
_SEARCHED = 1024**2


def require_sound_heaps(path: Path) -> None:
    """Refuse a file with a damaged global heap, as far as one is found near its beginning or end.

    Raises
    ------
    ValueError
        If an object of a heap has no size or ends beyond the heap.
    """
    size = os.stat(path).st_size
    with open(path, "rb") as stream:
        for start in sorted({0, max(0, size - _SEARCHED)}):
            stream.seek(start)
            content = stream.read(_SEARCHED)
            if start == 0 and content[13:15] not in (b"\x08\x08", b"") and content[8:9] in (b"\0", b"\x01"):
                return  # Lengths of another width than eight bytes are as good as never written.
            place = content.find(_HEAP)
            while place >= 0:
                _walk(path, content[place:], start + place)
                place = content.find(_HEAP, place + 1)


def _walk(path: Path, content: bytes, address: int) -> None:
    """Go through a heap as the library does. ``content`` begins with the heap and may end before it."""
    where = f"global heap at byte {address}"
    if len(content) < _HEADER:
        return
    end = int.from_bytes(content[len(_HEAP) : _HEADER], "little")
    place = _HEADER
    while place + _OBJECT.size <= min(end, len(content)):
        number, _, _, size = _OBJECT.unpack_from(content, place)
        length = size if number == 0 else _OBJECT.size + -(-size // 8) * 8
        if length == 0 or place + length > end:
            raise fault(path, "a complete HDF5 file", f"an object of {size} bytes", where=where)
        place += length
