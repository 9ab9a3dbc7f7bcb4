"""The one place that opens Zarr stores for reading: what they declare is checked before memory is asked for, and errors name them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import xarray as xr
import zarr
from zarr.storage import LocalStore

from probtokens.data.the_well.faults import Place, fault
from probtokens.limits import ALWAYS_ALLOWED, MAX_POINTS, require_fits


class _RegularFiles(LocalStore):
    """Reads regular files alone: opening a FIFO waits for ever, and a device never ends."""

    async def get(self, key: str, *args: Any, **kwargs: Any) -> Any:
        path = self.root / key
        if path.exists() and not path.is_file() and not path.is_dir():
            raise ValueError(f"{key}: no regular file")
        return await super().get(key, *args, **kwargs)


def open_store(path: Path, **options: Any) -> xr.Dataset:
    """Arrays of a store by their names, which are read when they are used, inside of :func:`reading`.

    Parameters
    ----------
    path
        Folder of the store.
    options
        Further arguments of :func:`xarray.open_dataset`.

    Raises
    ------
    ValueError
        If it is damaged, or an array or a chunk is larger than what is stored can hold.
    """
    with reading(path):
        store = _RegularFiles(path, read_only=True)
        for name, array in zarr.open_group(store, mode="r").arrays():
            _require_fits(Place(path, name), array)
        found = xr.open_dataset(store, engine="zarr", consolidated=False, **options)  # type: ignore[arg-type]
    found = found[sorted(found.variables, key=str)]  # a store without an index lists them in another order every time
    found.encoding["source"] = str(path)
    return found


@contextmanager
def reading(path: Path | str, where: str = "") -> Iterator[None]:
    """Turn any error of the library, e.g. of a checksum, into a ``ValueError`` with the store."""
    try:
        yield
    except Exception as error:
        if isinstance(error, ValueError) and str(error).startswith(f"{path}: "):
            raise
        raise fault(Path(path), "values that can be read", f"{type(error).__name__}: {error}", where=where) from error


def _require_fits(place: Place, array: zarr.Array) -> None:
    """Axes and what is read at once, a chunk or an axis, fit what is stored."""
    if max(array.shape, default=0) > MAX_POINTS:
        raise place.fault(f"axes of at most {MAX_POINTS} points", f"shape {array.shape}")
    at_once = math.prod(array.chunks if array.ndim > 1 else array.shape) * array.dtype.itemsize
    if at_once > ALWAYS_ALLOWED:
        require_fits(place, at_once, array.nbytes_stored(), "a chunk")
