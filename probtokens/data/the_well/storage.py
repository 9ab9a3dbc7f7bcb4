"""Whether the values of a data set are numbers and are there: what HDF5 itself fills in silently is refused."""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from probtokens.data.the_well.faults import fault
from probtokens.data.the_well.hdf5 import Node, naming, opened
from probtokens.data.the_well.plain import plain, single
from probtokens.limits import ALWAYS_ALLOWED, MAX_VIRTUAL_DEPTH, require_fits

#: Attributes with a value that stands for none, as netCDF has them.
_MISSING = ("_FillValue", "missing_value")

#: Attributes of packed values, with the value that changes nothing.
_PACKING = {"scale_factor": 1, "add_offset": 0}

#: Values that programs store for "none" without declaring it: powers of ten, the default of netCDF, the largest numbers.
_SENTINELS = (1e30, 1e31, 1e32, 1e33, 1e34, 1e35, 1e36, 1e37, 1e38, 9.969209968386869e36, float(np.finfo(np.float32).max))

#: How many times smaller gzip can make bytes at most (RFC 1951).
_GZIP_RATIO = 1032

#: How much smaller all other values must be for one of these to count as "none".
_SENTINEL_RATIO = 1e-6


def require_numbers(node: Node, *, flags: bool = False) -> None:
    """Refuse a data set whose values are no real numbers.

    Parameters
    ----------
    node
        The data set.
    flags
        Whether true and false will do.

    Raises
    ------
    ValueError
        If they are text, complex, an enumeration, compound, opaque, references or, unless asked for, booleans.
    """
    with naming(node.path, node.name):
        dtype = node.item.dtype
        enumeration = h5py.check_enum_dtype(dtype) is not None
    if dtype.kind == "b" and flags:
        return
    if enumeration or dtype.kind not in "iuf":
        raise node.fault("real numbers", _type_name(dtype, enumeration))


def require_stored(node: Node, *, by_simulation: bool = False) -> None:
    """Refuse a data set of which a part is not there, see :func:`require_there`, or whose numbers are not the values.

    Parameters
    ----------
    node
        The data set.
    by_simulation
        Whether its first axis counts simulations, which are read one by one; else it is read as a whole.

    Raises
    ------
    ValueError
        As :func:`require_there`, and if values are packed.
    """
    require_there(node, by_simulation=by_simulation)
    for name, neutral in _PACKING.items():
        value = single(node.get(name))
        if value is not None and value != neutral:
            raise node.fault(f"values that are not packed ({name!r} absent or {neutral})", value)


def missing_values(node: Node) -> tuple[float, ...]:
    """Values that the data set declares to stand for none, as they are after rounding to its type."""
    with naming(node.path, node.name):
        dtype = node.item.dtype
    declared = [value for name in _MISSING for value in _flat(node.get(name)) if isinstance(value, int | float)]
    with np.errstate(over="ignore", invalid="ignore"):
        return tuple(float(np.array(value).astype(dtype)) for value in declared)


def undeclared_missing(values: np.ndarray) -> float | None:
    """A value that is likely to stand for none, if there is one: a known one, far beyond all others.

    Parameters
    ----------
    values
        Finite values of one field and simulation, any shape.
    """
    largest = float(max(values.max(), -values.min()))
    if largest < min(_SENTINELS) * (1 - 1e-6) or not np.isclose(largest, _SENTINELS, rtol=1e-6).any():
        return None
    size = np.abs(values)
    others = size[size < largest * (1 - 1e-6)]
    return largest if others.size and 0 < float(others.max()) < _SENTINEL_RATIO * largest else None


def require_there(node: Node, depth: int = 0, *, by_simulation: bool = False) -> int:
    """Refuse a data set of which a part was never written, lies elsewhere or is larger than its file can hold.

    Parameters
    ----------
    node
        The data set.
    depth
        How many virtual data sets it is a source of, one behind the other.
    by_simulation
        Whether its first axis counts simulations, which are read one by one; else it is read as a whole.

    Returns
    -------
    int
        Size of the files that hold all its values [bytes].

    Raises
    ------
    ValueError
        If chunks are missing, a source of a virtual data set is, or values lie outside of HDF5.
    """
    with naming(node.path, node.name):
        properties = node.item.id.get_create_plist()
        layout, external = properties.get_layout(), properties.get_external_count()
        size, in_memory = node.item.size, node.item.size * node.item.dtype.itemsize
        on_disk = size * node.item.id.get_type().get_size()
        file_bytes = os.stat(node.path).st_size
    if external:
        raise node.fault("values in the file itself", "values in other files (external storage)")
    if layout == h5py.h5d.VIRTUAL:
        file_bytes += _require_sources(node, depth)
    elif layout == h5py.h5d.CHUNKED:
        _require_chunks(node, file_bytes)
    elif size:
        with naming(node.path, node.name):
            stored = node.item.id.get_storage_size()
        if stored < on_disk or stored > file_bytes:
            raise node.fault(f"{on_disk} bytes of values", "none that were ever written" if stored == 0 else stored)
    parts = max(node.item.shape[0], 1) if by_simulation else 1
    require_fits(node, in_memory // parts, file_bytes, "one simulation" if by_simulation else "values")
    return file_bytes


def _require_chunks(node: Node, file_bytes: int) -> None:
    with naming(node.path, node.name):
        shape, chunks, itemsize = node.item.shape, node.item.chunks, node.item.dtype.itemsize
        stored = node.item.id.get_num_chunks()
    expected = math.prod(-(-length // chunk) for length, chunk in zip(shape, chunks, strict=True))
    if stored < expected:
        raise node.fault(f"{expected} chunks of values", f"only {stored} that were ever written")
    require_fits(node, math.prod(chunks) * itemsize, file_bytes, "a chunk")
    _require_unpacked(node)


def _require_unpacked(node: Node) -> None:
    """Refuse gzip chunks that unpack to more than they are; the library takes memory for all of it, and drops the rest unseen."""
    with naming(node.path, node.name):
        identity, plan = node.item.id, node.item.id.get_create_plist()
        filters = [plan.get_filter(number)[0] for number in range(plan.get_nfilters())]
        size = math.prod(node.item.chunks) * node.item.id.get_type().get_size()
        places: list[tuple[int, ...]] = []
        if h5py.h5z.FILTER_DEFLATE in filters and _GZIP_RATIO * identity.get_storage_size() > ALWAYS_ALLOWED:
            identity.chunk_iter(lambda chunk: places.append(chunk.chunk_offset) if _GZIP_RATIO * chunk.size > ALWAYS_ALLOWED else None)
    behind = filters[filters.index(h5py.h5z.FILTER_DEFLATE) + 1 :] if places else []
    if set(behind) - {h5py.h5z.FILTER_FLETCHER32}:
        raise node.fault("nothing but a checksum after gzip", f"HDF5's filters {filters}")
    for place in places:
        with naming(node.path, node.name):
            skipped, packed = identity.read_direct_chunk(place)
            is_packed = not skipped >> filters.index(h5py.h5z.FILTER_DEFLATE) & 1
            unpacked = zlib.decompressobj().decompress(packed, size + 1) if is_packed else b""
        if len(unpacked) > size:
            raise node.fault(f"chunks of {size} bytes", f"one that unpacks to more at {place}")


def _require_sources(node: Node, depth: int) -> int:
    """Size of the files that a virtual data set takes its values from [bytes]."""
    if depth == MAX_VIRTUAL_DEPTH:
        raise node.fault(f"at most {MAX_VIRTUAL_DEPTH} virtual data sets one behind the other", "more")
    with naming(node.path, node.name):
        sources = [
            (source.file_name, source.dset_name, source.vspace.get_select_npoints(), source.src_space)
            for source in node.item.virtual_sources()
        ]
        size = node.item.size
    mapped = sum(points for _, _, points, _ in sources)
    if mapped < size:
        raise node.fault(f"sources of all {size} values", f"sources of {mapped}")
    file_bytes = 0
    for file_name, dataset, points, space in sources:
        if file_name == ".":
            _require_source(node, Node(node.path, node.item.file), dataset, points, space, depth)
            continue
        path = _located(node, file_name)
        with opened(path) as file:
            file_bytes += _require_source(node, file, dataset, points, space, depth)
    return file_bytes


def _require_source(node: Node, file: Node, dataset: str, points: int, space: Any, depth: int) -> int:
    source = file.find(f"/{dataset.lstrip('/')}")
    if not isinstance(source.item, h5py.Dataset) or source.item.shape is None:
        raise node.fault("data sets as sources of a virtual one", source.name)
    require_numbers(source)
    size = require_there(source, depth + 1)
    with naming(node.path, node.name):
        everything = space.get_select_type() == h5py.h5s.SEL_ALL
        last = () if everything else tuple(end + 1 for end in space.get_select_bounds()[1])
        shape = source.item.shape
    if everything and math.prod(shape) != points:
        raise node.fault(f"a source of {points} values", f"shape {shape} in {file.path.name}")
    if not everything and (len(last) != len(shape) or any(end > length for end, length in zip(last, shape, strict=True))):
        raise node.fault(f"a source of shape {last} or more", f"shape {shape} in {file.path.name}")
    return size


def _located(node: Node, name: str) -> Path:
    """Where HDF5 looks for the file of a virtual data set's source."""
    if "%" in name:
        raise node.fault("sources with fixed names", repr(name))
    given = Path(name)
    candidates = ([given] if given.is_absolute() else []) + [node.path.parent / (given.name if given.is_absolute() else given)]
    for path in candidates:
        if path.is_file():
            return path
    raise fault(node.path, f"the source {name!r} of a virtual data set", "no such file", where=node.name)


def _flat(value: Any) -> Sequence[Any]:
    return [item for part in value for item in _flat(part)] if isinstance(value, list) else [plain(value)]


def _type_name(dtype: np.dtype, enumeration: bool) -> str:
    if enumeration:
        return "an enumeration"
    if dtype.kind == "V":
        return "compound values" if dtype.names else "arrays as values" if dtype.subdtype else "opaque values"
    if h5py.check_ref_dtype(dtype) is not None:
        return "references"
    if h5py.check_vlen_dtype(dtype) not in (None, str, bytes):
        return "lists of any length"
    return {"b": "booleans", "c": "complex numbers", "S": "text", "U": "text", "O": "text"}.get(dtype.kind, f"values of type {dtype}")
