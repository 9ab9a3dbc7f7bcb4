"""A check of the one structure that makes the HDF5 library itself loop for ever, or fill gigabytes, when it is damaged.

Texts of any length lie in global heaps. The library walks through one by the sizes of its objects, and a hole of zeros, as an
interrupted copy leaves it, has size zero. Whoever has such a text holds its length and its place in a heap, and the library asks for
that much memory before it looks at the heap. Only what is so referred to is looked at: the same bytes may mean anything elsewhere.
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from probtokens.data.the_well.faults import fault
from probtokens.limits import ALWAYS_ALLOWED

#: Beginnings of a file behind a block of the user's, and of a heap: signature, version, reserved bytes.
_FILE, _HEAP = b"\x89HDF\r\n\x1a\n", b"GCOL\x01\0\0\0"
_FIRST_BLOCK = 512

#: Number, references, reserved bytes and size of an object in a heap; size of the heap after its beginning.
_OBJECT = struct.Struct("<HHIQ")
_HEADER = len(_HEAP) + 8

#: Length of a text, address of its heap and number of the object there.
TEXT = np.dtype([("length", "<u4"), ("address", "<u8"), ("number", "<u4")])

#: Type of a list of any length, after its kind: its size, that of a text. Sizes of the types of what it has, by their class.
_SIZE, _KIND = b"\0\x10\0\0\0", 3
_LIST, _ITEMS = 9, {0: 12, 3: 8, 7: 8}

#: Texts that an attribute may have where others are stored elsewhere: it then has 64 kilobytes.
_MOST = 4096

#: Part of a file that is searched for attributes, at its beginning and at its end, where programs put them [bytes].
_SEARCHED = 1024**2


class Part(NamedTuple):
    """Texts as a file holds them, and the size of an item of each [bytes]."""

    content: bytes
    item_bytes: int = 1


def require_sound_heaps(path: Path) -> None:
    """Refuse a file of which an attribute near its beginning or end refers to a damaged heap, or to texts longer than the file.

    Raises
    ------
    ValueError
        If an object of a heap has no size or ends beyond the heap, or texts of one attribute are said to be longer than the file.
    """
    size = os.stat(path).st_size
    with open(path, "rb") as stream:
        parts: list[Part] = []
        for start in sorted({0, max(0, size - _SEARCHED)}):
            stream.seek(start)
            parts.extend(_in_attributes(stream.read(_SEARCHED)))
        _require_sound(path, stream, size, parts)


def require_sound_texts(path: Path, content: bytes) -> None:
    """Refuse texts of a data set as :func:`require_sound_heaps` does those of attributes.

    Parameters
    ----------
    path
        The file.
    content
        Lengths and places of the texts, as an unpacked data set holds them.

    Raises
    ------
    ValueError
        As :func:`require_sound_heaps`.
    """
    with open(path, "rb") as stream:
        _require_sound(path, stream, os.stat(path).st_size, [Part(content)])


def _in_attributes(content: bytes) -> Iterator[Part]:
    """What attributes refer to: their type, which is that of a list, comes before their extents, and these before their values."""
    place = content.find(_SIZE)
    while place >= 0:
        begin, place = place - _KIND, place + 1
        item = content[begin + 8 : begin + 16]
        length = _ITEMS.get(item[0] & 15) if begin >= 0 and len(item) == 8 and content[begin] & 15 == _LIST else None
        if length is not None:
            for end in {begin + 8 + length, begin + 8 + -(-length // 8) * 8}:  # older attributes fill up to eight bytes
                first, count = _extents(content, end)
                if 0 < count <= _MOST:
                    place = first + count * TEXT.itemsize
                    yield Part(content[first:place], int.from_bytes(item[4:], "little"))
        place = content.find(_SIZE, place)


def _extents(content: bytes, place: int) -> tuple[int, int]:
    """Where values begin and how many there are, by the extents at ``place``; none if there are no extents."""
    if len(content) < place + 8:
        return place, 0
    version, rank, flags, kind = content[place : place + 4]
    simple = {1: content[place + 3 : place + 8] == bytes(5), 2: kind < 2}.get(version, False)
    if not simple or flags > 1:
        return place, 0
    place += 8 if version == 1 else 4
    sizes = [int.from_bytes(content[place + 8 * axis : place + 8 * axis + 8], "little") for axis in range(rank)]
    return place + 8 * rank * (1 + flags), math.prod(sizes)


def _require_sound(path: Path, stream: BinaryIO, size: int, parts: Iterable[Part]) -> None:
    base, known = _base(stream, size), dict[int, set[int]]()
    if base is None:
        return
    allowed = max(size, ALWAYS_ALLOWED)
    for content, item_bytes in parts:
        texts, total = np.frombuffer(content, TEXT, len(content) // TEXT.itemsize), 0.0
        for address in np.unique(texts["address"]).tolist():
            if address not in known:
                known[address] = _walk(path, stream, size, base + address)
            of_heap = texts[texts["address"] == address]
            lengths = item_bytes * of_heap["length"][np.isin(of_heap["number"], list(known[address]))].astype(float)
            total, longest = total + lengths.sum(), lengths.max(initial=0.0)
            if total > allowed:
                got = f"a text of {longest:.0f} bytes" if longest > allowed else f"texts of {total:.0f} bytes in all"
                raise fault(path, "a complete HDF5 file", f"{got} in a file of {size}", where=_named(base + address))


def _base(stream: BinaryIO, size: int) -> int | None:
    """Where addresses count from; ``None`` if they are not as wide as nearly all files have them."""
    base = 0
    while base + _FIRST_BLOCK <= size or base == 0:
        stream.seek(base)
        begin = stream.read(16)
        if begin.startswith(_FILE):
            widths = begin[13:15] if begin[8] < 2 else begin[9:11]
            return base if widths == b"\x08\x08" else None
        base = max(_FIRST_BLOCK, 2 * base)
    return None


def _walk(path: Path, stream: BinaryIO, size: int, address: int) -> set[int]:
    """Go through a heap as the library does; numbers of its objects, none if there is no heap, which the library tells."""
    found: set[int] = set()
    if address + _HEADER > size:
        return found
    stream.seek(address)
    header = stream.read(_HEADER)
    if not header.startswith(_HEAP):
        return found
    end = address + int.from_bytes(header[len(_HEAP) :], "little")
    place = address + _HEADER
    while place + _OBJECT.size <= min(end, size):
        stream.seek(place)
        number, _, _, of_object = _OBJECT.unpack(stream.read(_OBJECT.size))
        length = of_object if number == 0 else _OBJECT.size + -(-of_object // 8) * 8
        if length == 0 or place + length > end:
            raise fault(path, "a complete HDF5 file", f"an object of {of_object} bytes", where=_named(address))
        found.add(number)
        place += length
    return found


def _named(address: int) -> str:
    return f"global heap at byte {address}"
