"""A check of the one structure that makes the HDF5 library itself loop for ever, or fill gigabytes, when it is damaged.

Texts of any length lie in global heaps. The library walks through one by the sizes of its objects, and a hole of zeros, as an
interrupted copy leaves it, has size zero. Whoever has such a text holds its length and its place in a heap, and the library asks for
that much memory before it looks at the heap.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from probtokens.data.the_well.faults import fault
from probtokens.limits import ALWAYS_ALLOWED

#: Beginning of a heap: signature, version, reserved bytes.
_HEAP = b"GCOL\x01\0\0\0"

#: Number, references, reserved bytes and size of an object in a heap.
_OBJECT = struct.Struct("<HHIQ")
_HEADER = len(_HEAP) + 8

#: Length of a text, before the address of its heap.
_LENGTH = struct.Struct("<I")

#: Part of a file that is searched for heaps, at its beginning and at its end, where programs put them [bytes].
_SEARCHED = 1024**2


def require_sound_heaps(path: Path) -> None:
    """Refuse a file with a damaged global heap, or a text longer than the file, as far as one is found near its beginning or end.

    Raises
    ------
    ValueError
        If an object of a heap has no size or ends beyond the heap, or a text that lies in one is said to be longer than the file.
    """
    size = os.stat(path).st_size
    parts: list[bytes] = []
    heaps: dict[int, set[int]] = {}
    with open(path, "rb") as stream:
        for start in sorted({0, max(0, size - _SEARCHED)}):
            stream.seek(start)
            content = stream.read(_SEARCHED)
            if start == 0 and content[13:15] not in (b"\x08\x08", b"") and content[8:9] in (b"\0", b"\x01"):
                return  # Lengths of another width than eight bytes are as good as never written.
            parts.append(content)
            place = content.find(_HEAP)
            while place >= 0:
                heaps[start + place] = _walk(path, content[place:], start + place)
                place = content.find(_HEAP, place + 1)
    for content in parts:
        for address, numbers in heaps.items():
            _require_short_texts(path, content, address, numbers, size)


def _walk(path: Path, content: bytes, address: int) -> set[int]:
    """Go through a heap as the library does; numbers of its objects. ``content`` begins with the heap and may end before it."""
    found: set[int] = set()
    if len(content) < _HEADER:
        return found
    end = int.from_bytes(content[len(_HEAP) : _HEADER], "little")
    place = _HEADER
    while place + _OBJECT.size <= min(end, len(content)):
        number, _, _, size = _OBJECT.unpack_from(content, place)
        length = size if number == 0 else _OBJECT.size + -(-size // 8) * 8
        if length == 0 or place + length > end:
            raise fault(path, "a complete HDF5 file", f"an object of {size} bytes", where=_named(address))
        found.add(number)
        place += length
    return found


def _require_short_texts(path: Path, content: bytes, address: int, numbers: set[int], size: int) -> None:
    """Refuse what refers to an object of the heap at ``address`` (length, address, number) by a length that no such file has."""
    pattern = address.to_bytes(8, "little")
    place = content.find(pattern, _LENGTH.size)
    while place >= 0 and place + len(pattern) + _LENGTH.size <= len(content):
        (length,), (number,) = _LENGTH.unpack_from(content, place - _LENGTH.size), _LENGTH.unpack_from(content, place + len(pattern))
        if length > max(size, ALWAYS_ALLOWED) and number in numbers:
            raise fault(path, "a complete HDF5 file", f"a text of {length} bytes in a file of {size}", where=_named(address))
        place = content.find(pattern, place + 1)


def _named(address: int) -> str:
    return f"global heap at byte {address}"
