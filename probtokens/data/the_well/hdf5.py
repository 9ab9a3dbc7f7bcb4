"""The one place that opens HDF5 files for reading: every error of the library becomes one that names file and object."""

from __future__ import annotations

import math
import os
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from probtokens.data.the_well.faults import fault, listed
from probtokens.data.the_well.heaps import TEXT, require_sound_heaps, require_sound_texts
from probtokens.data.the_well.plain import as_text, plain, raw_name, single
from probtokens.limits import MAX_ATTRIBUTE_BYTES, MAX_LINKS, require_fits

#: What a text takes in memory beside its letters [bytes].
_TEXT_BYTES = 64

_KINDS = {
    stat.S_ISDIR: "a folder",
    stat.S_ISFIFO: "a FIFO",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}


@contextmanager
def opened(path: Path, *, known: bool = False) -> Iterator[Node]:
    """Open a file for reading.

    Parameters
    ----------
    path
        The file.
    known
        Whether the structure of the file has been looked through before.

    Raises
    ------
    ValueError
        If it is missing, truncated, no regular file or not HDF5.
    """
    _require_regular(path)
    if not known:
        require_sound_heaps(path)
    try:
        # Shards never change once they have their name, and file locks fail on some shared file systems.
        file = h5py.File(path, "r", locking=False)
    except Exception as error:
        raise fault(path, "a complete HDF5 file", error) from error
    try:
        yield Node(path, file)
    except BaseException:
        with suppress(Exception):
            file.close()
        raise
    with naming(path, "/"):
        file.close()


@contextmanager
def naming(path: Path, where: str) -> Iterator[None]:
    """Turn any error of the library into a ``ValueError`` with the file and the object.

    Only calls of the library belong inside: an error of our own would lose its type.
    """
    try:
        yield
    except Exception as error:
        raise fault(path, "an object that can be read", f"{type(error).__name__}: {error}", where=where) from error


@dataclass(frozen=True, slots=True)
class Node:
    """A group or data set of an open file.

    Attributes
    ----------
    path
        The file, for messages.
    item
        The library's object.
    """

    path: Path
    item: Any

    @property
    def name(self) -> str:
        """Full name in the file, e.g. ``"/t0_fields/pressure"``."""
        with naming(self.path, "name of an object"):
            return as_text(self.item.name or "?")

    def fault(self, expected: str, got: object) -> ValueError:
        """Build an error about this object; the caller raises it."""
        return fault(self.path, expected, got, where=self.name)

    def members(self) -> list[str]:
        """Names of what a group holds, sorted."""
        with naming(self.path, self.name):
            return sorted(as_text(name) for name in self.item)

    def group(self, name: str) -> Node:
        """Group in this group."""
        node = self._child(name)
        if not isinstance(node.item, h5py.Group):
            raise node.fault("a group", _kind(node.item))
        return node

    def dataset(self, name: str) -> Node:
        """Data set in this group."""
        node = self._child(name)
        if not isinstance(node.item, h5py.Dataset):
            raise node.fault("a data set", _kind(node.item))
        if node.item.shape is None:
            raise node.fault("a data set with values", "an empty one without a shape")
        return node

    def find(self, name: str) -> Node:
        """Object at a path of several names, from the root if it begins with ``/``."""
        return Node(self.path, self._resolve(name))

    def read(self, index: Any = ()) -> np.ndarray:
        """Values of a data set."""
        if self.is_text():
            with naming(self.path, self.name):
                count, file_bytes = max(self.item.size, math.prod(self.item.chunks or ())), os.stat(self.path).st_size
            require_fits(self, count * _TEXT_BYTES, file_bytes, "texts")
            with naming(self.path, self.name):
                content = _unread(self.item)
            require_sound_texts(self.path, content)
        with naming(self.path, self.name):
            return np.asarray(self.item[index])

    def is_text(self) -> bool:
        """Whether a data set holds text."""
        with naming(self.path, self.name):
            return h5py.check_string_dtype(self.item.dtype) is not None

    def get(self, name: str) -> Any:
        """Attribute as a plain value; ``None`` if there is none or it is empty."""
        return self.attribute(name) if self.has(name) else None

    def has(self, name: str) -> bool:
        """Whether there is such an attribute."""
        with naming(self.path, self.name):
            return name in self.item.attrs

    def attributes(self) -> dict[str, Any]:
        """All attributes that are text or numbers, as plain values."""
        with naming(self.path, self.name):
            names = [name for name in self.item.attrs if _is_simple(self.item.attrs.get_id(name))]
        return {as_text(name): self.attribute(name) for name in names}

    def attribute(self, name: str) -> Any:
        """Attribute as a plain value; ``None`` if it is empty.

        Raises
        ------
        ValueError
            If there is none, or it is neither text nor numbers.
        """
        with naming(self.path, self.name):
            found = name in self.item.attrs
            others = [] if found else sorted(map(as_text, self.item.attrs))
        if not found:
            raise fault(self.path, f"attribute {name!r} on {self.name!r}", listed(others))
        with naming(self.path, f"{self.name}, attribute {name!r}"):
            stored = self.item.attrs.get_id(name)
            size = math.prod(stored.shape or (0,)) * stored.dtype.itemsize
            simple = _is_simple(stored)
        if not simple:
            raise self.fault(f"attribute {name!r} to be text or numbers", "values of another type")
        if size > MAX_ATTRIBUTE_BYTES:
            raise self.fault(f"attribute {name!r} of at most {MAX_ATTRIBUTE_BYTES} bytes", size)
        with naming(self.path, f"{self.name}, attribute {name!r}"):
            return plain(self.item.attrs[name])

    def text(self, name: str, *, required: bool = False) -> str | None:
        """Attribute that is text; ``None`` if it is empty or, unless required, if there is none."""
        value = single(self.attribute(name) if required else self.get(name))
        if value is not None and not isinstance(value, str):
            raise self.fault(f"attribute {name!r} to be text", repr(value))
        return value

    def names(self, name: str) -> list[str]:
        """Attribute that is a list of names; one name counts as a list of one."""
        value = self.attribute(name)
        values = [] if value is None else value if isinstance(value, list) else [value]
        for entry in values:
            if not isinstance(entry, str):
                raise self.fault(f"attribute {name!r} to be a list of names", listed(values))
        return values

    def flags(self, name: str) -> list[bool]:
        """Attribute that is a list of true or false, also stored as 1 and 0."""
        value = self.attribute(name)
        values = [] if value is None else value if isinstance(value, list) else [value]
        for entry in values:
            if not isinstance(entry, bool | int | float) or entry not in (0, 1):
                raise self.fault(f"attribute {name!r} to be true or false", listed(values))
        return [bool(entry) for entry in values]

    def flag(self, name: str) -> bool:
        """Attribute that is true or false."""
        values = self.flags(name)
        if len(values) != 1:
            raise self.fault(f"attribute {name!r} to be true or false", listed(values))
        return values[0]

    def count(self, name: str, largest: int) -> int:
        """Attribute that is a whole number of 1 to ``largest``; an array of one is a number."""
        value = single(self.attribute(name))
        if isinstance(value, bool) or not isinstance(value, int | float) or value != value or value != np.rint(value):
            raise self.fault(f"attribute {name!r} to be a whole number", repr(value))
        if not 1 <= value <= largest:
            raise self.fault(f"attribute {name!r} to be in 1..{largest}", value)
        return int(value)

    def _child(self, name: str) -> Node:
        if {"", ".", ".."}.intersection(name.split("/")):
            raise self.fault("a name of a member", repr(name))
        return self.find(name)

    def _resolve(self, name: str) -> Any:
        """Follow links here, not by the library, so that none leads out of the file or in circles."""
        item, parts, n_links = self.item, deque([name]), 0
        while parts:
            rest = parts.popleft()
            item = item.file if rest.startswith("/") else item
            part, _, rest = rest.lstrip("/").partition("/")
            if rest:
                parts.appendleft(rest)
            if part in ("", "."):
                continue
            group = Node(self.path, item)
            raw, target = group._link(part)
            if raw is None and n_links:
                raise self.fault(f"{name!r} to lead to an object", f"a link, but no {part!r} in {group.name!r}")
            if raw is None:
                raise fault(self.path, f"{part!r} in {group.name!r}", listed(group.members()))
            if target is None:
                with naming(self.path, f"{group.name}, {part!r}"):
                    item = item[raw]
                continue
            n_links += 1
            if n_links > MAX_LINKS:
                raise self.fault(f"{name!r} to lead to an object", f"more than {MAX_LINKS} links")
            parts.appendleft(target)
        return item

    def _link(self, name: str) -> tuple[bytes | None, str | None]:
        """Stored name of a member, ``None`` if there is none, and where it leads if it is a link to another name."""
        if not isinstance(self.item, h5py.Group):
            raise self.fault(f"a group with {name!r}", _kind(self.item))
        with naming(self.path, f"{self.name}, {name!r}"):
            links = self.item.id.links
            candidates = chain([raw_name(name)], map(raw_name, self.item))
            raw = next((raw for raw in candidates if as_text(raw) == name and links.exists(raw)), None)
            kind = None if raw is None else links.get_info(raw).type
            target = links.get_val(raw) if kind in (h5py.h5l.TYPE_SOFT, h5py.h5l.TYPE_EXTERNAL) else None
        if target is not None and kind == h5py.h5l.TYPE_EXTERNAL:
            file, place = map(as_text, target)
            raise self.fault(f"{name!r} in the file itself", f"a link to {place!r} in {file!r}")
        return raw, None if target is None else as_text(target)


def _unread(dataset: h5py.Dataset) -> bytes:
    """Lengths and places of the texts of a data set, unpacked, which the library turns into texts when it reads them."""
    identity = dataset.id
    if dataset.chunks is None:
        offset = identity.get_offset()
        if offset is None:
            return b""
        with open(dataset.file.filename, "rb") as stream:
            stream.seek(offset)
            return stream.read(identity.get_storage_size())
    plan, packed = identity.get_create_plist(), h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    filters = [plan.get_filter(number)[:3] for number in range(plan.get_nfilters())]
    # Shuffling without a size, as the library does it to texts, changes nothing, nor does shuffling of single bytes.
    piece = next((values[0] for code, _, values in filters if code == h5py.h5z.FILTER_SHUFFLE and values), 1)
    shape = (math.prod(dataset.chunks) * TEXT.itemsize // piece,)
    packed.set_chunk(shape)
    for given in filters:
        packed.set_filter(*given)
    content, kind, space = [], h5py.h5t.py_create(np.dtype(("V", piece))), h5py.h5s.create_simple(shape)
    with h5py.File("unpacked", "w", driver="core", backing_store=False) as memory:
        for number in range(identity.get_num_chunks()):
            mask, chunk = identity.read_direct_chunk(identity.get_chunk_info(number).chunk_offset)
            copy = h5py.Dataset(h5py.h5d.create(memory.id, str(number).encode(), kind, space, packed))
            copy.id.write_direct_chunk((0,), chunk, mask)
            content.append(copy[()].tobytes())
            del memory[str(number)]
    return b"".join(content)


def _is_simple(attribute: h5py.h5a.AttrID) -> bool:
    """Whether an attribute is text or numbers; what is made of other types, the library may crash over if it is damaged."""
    return h5py.check_string_dtype(attribute.dtype) is not None or attribute.dtype.kind in "biufc"


def _kind(item: Any) -> str:
    kinds = {h5py.Group: "a group", h5py.Dataset: "a data set", h5py.Datatype: "a named type"}
    return next((text for kind, text in kinds.items() if isinstance(item, kind)), type(item).__name__)


def _require_regular(path: Path) -> None:
    """Refuse what is no regular file: opening a FIFO waits for ever."""
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:
        raise fault(path, "a complete HDF5 file", getattr(error, "strerror", None) or error) from error
    if not stat.S_ISREG(mode):
        raise fault(path, "a complete HDF5 file", next((text for is_kind, text in _KINDS.items() if is_kind(mode)), "no regular file"))
