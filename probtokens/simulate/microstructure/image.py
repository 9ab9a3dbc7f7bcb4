"""Grey images: reading PNG, PGM and npy files, and telling their content apart."""

from __future__ import annotations

import hashlib
import math
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from probtokens.limits import MAX_PIXELS

#: Pillow's names of the formats that are read; its PPM covers PGM.
_FORMATS = ("PNG", "PPM")
#: Pillow's names of pictures with one channel of values, and of those that may be grey all the same.
_GREY_MODES = ("1", "L", "I", "I;16", "I;16B")
_OTHER_MODES = ("LA", "P", "PA", "RGB", "RGBA")
_NPY_MAGIC = b"\x93NUMPY"


def read_grey(path: Path) -> np.ndarray:
    """Read a grey image as values from 0 (black) to 1 (white, the full range of the file's type).

    A PNG or PGM of 1, 8 or 16 bits, or an npy array of bools, of unsigned integers of 8 or 16 bits, or
    of floats in 0..1. Colours are accepted where red, green and blue are equal, transparency where
    there is none.

    Returns
    -------
    Array (row, column), float32, rows from the bottom of the picture up.

    Raises
    ------
    ValueError
        If there is no file, it is of another format, damaged, has colours or is not two-dimensional.
    """
    if not path.is_file():
        raise ValueError(f"{path}: expected an image (PNG, PGM or npy), found no file")
    with path.open("rb") as file:
        is_npy = file.read(len(_NPY_MAGIC)) == _NPY_MAGIC
    grey = _from_array(path) if is_npy else _from_picture(path)
    if grey.ndim != 2 or grey.size == 0:
        raise ValueError(f"{path}: expected a grey image (row, column), got shape {grey.shape}")
    return np.ascontiguousarray(grey[::-1])


def image_digest(path: Path) -> str:
    """SHA-256 of a file's content, ``"absent"`` if there is none."""
    if not path.is_file():
        return "absent"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _from_array(path: Path) -> np.ndarray:
    try:
        values = np.array(np.load(path, mmap_mode="r", allow_pickle=False))  # a map shows before memory is taken what is not there
    except Exception as error:  # noqa: BLE001 - damaged headers raise errors of many types
        raise ValueError(f"{path}: expected a complete npy file, got {error!s:.120}") from None
    if values.dtype.kind == "f":
        low, high = (float(v) for v in (values.min(), values.max())) if values.size else (0.0, 0.0)
        if not (low >= 0.0 and high <= 1.0):
            raise ValueError(f"{path}: expected floats from 0 to 1, got {low:g} to {high:g}")
        return values.astype(np.float32)
    return _scaled(path, values)


def _from_picture(path: Path) -> np.ndarray:
    try:
        with (
            warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning),
            Image.open(path, formats=_FORMATS) as opened,
        ):
            if math.prod(opened.size) > MAX_PIXELS:
                raise Image.DecompressionBombError(f"{opened.width} × {opened.height}")
            opened.load()
            picture = opened.copy()
    except UnidentifiedImageError:
        raise ValueError(f"{path}: expected an image of format PNG, PGM or npy, got another") from None
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path}: expected a picture of at most {MAX_PIXELS} pixels (save it as npy), got {error}") from None
    except Exception as error:  # noqa: BLE001 - Pillow raises errors of any type over damaged files
        raise ValueError(f"{path}: expected a complete image, got {error!s:.120}") from None
    return _scaled(path, _one_channel(path, picture))


def _one_channel(path: Path, picture: Image.Image) -> np.ndarray:
    """Values (row, column) of a picture whose channels agree and hide nothing."""
    if picture.mode in _GREY_MODES:
        values = np.asarray(picture)
        # Pillow holds 16 bits in 32, and scales every PGM of more than 8 bits to them.
        return values.astype(np.uint16) if values.dtype.itemsize == 4 else values
    if picture.mode not in _OTHER_MODES:
        raise ValueError(f"{path}: expected a grey image of 1, 8 or 16 bits, got pixels of type {picture.mode!r}")
    red, green, blue, alpha = np.moveaxis(np.asarray(picture.convert("RGBA")), -1, 0)
    if not (np.array_equal(red, green) and np.array_equal(red, blue)):
        raise ValueError(f"{path}: expected a grey image, got colours (convert it to grey first)")
    if alpha.min() < 255:
        raise ValueError(f"{path}: expected an opaque image, got transparent pixels")
    return red


def _scaled(path: Path, values: np.ndarray) -> np.ndarray:
    if values.dtype == np.bool_:
        return values.astype(np.float32)
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2:
        return values.astype(np.float32) / np.float32(np.iinfo(values.dtype).max)
    raise ValueError(f"{path}: expected bools, 8 or 16 bit unsigned integers or floats from 0 to 1, got {values.dtype}")
