"""Microstructures cut from a grey image: voids by threshold, random crops, averaged onto cells."""

from __future__ import annotations

import math
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError

from probtokens.config import ImageConfig, MicrostructureConfig
from probtokens.errors import in_one_line
from probtokens.limits import MAX_CELLS
from probtokens.regions import connected_regions
from probtokens.simulate.microstructure.image import read_grey
from probtokens.simulate.microstructure.rasterize import area_average
from probtokens.units import quantity

#: Crops tried for one microstructure.
ATTEMPTS = 200
#: Where along the longer edge of an image the part of each split begins and ends, as fractions of that edge. They are
#: the same for all campaigns, so that no test simulation shows what another campaign trained on.
SPLIT_PARTS = {"train": (0.0, 0.5), "valid": (0.5, 0.7), "test": (0.7, 1.0)}
#: Width [µm] of the strips at the left and right edges of a whole image that are made solid.
MARGIN = 0.25
#: Grey levels that Otsu's threshold tells apart.
_LEVELS = 256


def image_settings(
    path: str | os.PathLike[str],
    pixel_size: Any = None,
    threshold: float | str = "otsu",
    pores: str = "dark",
    least_diameter: Any = 0.0,
) -> ImageConfig:
    """Settings of a micrograph from what a user says of it; lengths are numbers of µm, or have a unit, ``"20 nm"``.

    Raises
    ------
    ValueError
        If the edge of a pixel is missing, which no image tells reliably, or a setting does not fit; the message begins with its name.
    """
    path = Path(path)
    if pixel_size is None:
        ny, nx = read_grey(path).shape
        raise ValueError(
            f"pixel_size: expected the edge of a pixel in µm, found none; {path} has {ny} × {nx} pixels (height × width), "
            f"so 0.02 would make it {0.02 * ny:g} × {0.02 * nx:g} µm"
        )
    given = {
        "path": path,
        "pixel_size": _length(pixel_size, "pixel_size"),
        "threshold": threshold,
        "pores": pores,
        "least_diameter": _length(least_diameter, "least_diameter"),
    }
    if threshold != "otsu":
        try:
            given["threshold"] = float(threshold)
        except (TypeError, ValueError):
            raise ValueError(f"threshold: expected otsu or a number between 0 (black) and 1 (white), got {threshold!r:.80}") from None
    try:
        return ImageConfig.model_validate(given)
    except ValidationError as error:
        raise in_one_line(error) from None


def _length(value: Any, name: str) -> float:
    """A length in µm; a command line has numbers as text."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return quantity(value, "µm", name)


def crop(
    ny: int, nx: int, spacing: float, config: MicrostructureConfig, generator: np.random.Generator, split: str | None = None
) -> np.ndarray:
    """Cut a random piece of the size of the domain out of the image; return its area fraction of voids (y, x).

    The piece begins at a whole pixel. Its voids are made solid within ``config.margin`` of the left
    edge, where the shock starts, and of the right edge, where the boundary knows solid only; they may
    touch bottom and top, which reflect. A piece without voids, or of a porosity outside
    ``config.porosity``, is thrown away and another one cut. With a ``split`` (a key of :data:`SPLIT_PARTS`) and
    ``config.image.separate_splits`` it lies in that split's part of the image.

    Raises
    ------
    ValueError
        If the image cannot be read, it or the split's part of it is smaller than the domain, or has no piece as asked for.
    """
    image = config.image
    assert image is not None
    voids = _part(find_voids(image), split) if split and image.separate_splits else find_voids(image)
    size = tuple(math.ceil(n * spacing / image.pixel_size - 1e-6) for n in (ny, nx))
    _check_size(voids.shape, size, (ny * spacing, nx * spacing), image, split)
    for _ in range(ATTEMPTS):
        turned = _reoriented(voids, generator) if image.random_orientation else voids
        row, column = (int(generator.integers(have - need + 1)) for have, need in zip(turned.shape, size, strict=True))
        piece = turned[row : row + size[0], column : column + size[1]]
        void = _on_cells(piece, image.pixel_size, ny, nx, spacing, config.margin)
        if _wanted(float(void.mean()), config):
            return void
    asked = f"porosity {config.porosity.low:g}–{config.porosity.high:g}" if config.porosity else "voids"
    raise ValueError(
        f"{image.path}: expected pieces of {ny * spacing:g} × {nx * spacing:g} µm with {asked} farther than margin {config.margin} µm "
        f"from left and right edge, got none in {ATTEMPTS} random ones (voids cover {voids.mean():.3g} of the image)"
    )


def whole(image: ImageConfig, spacing: float, *, multiple: int = 1, margin: float = MARGIN) -> np.ndarray:
    """Area fraction of voids (y, x) of the image itself, on as many cells as it covers; made solid at left and right as by :func:`crop`.

    Parameters
    ----------
    spacing
        Cell edge [µm].
    multiple
        Numbers of cells are multiples of it; what is left over at the top and at the right is cut off.
    margin
        Width [µm] of the strips that are made solid.

    Raises
    ------
    ValueError
        If the image cannot be read, covers less than ``multiple`` cells and both margins or more than a forecast has memory for, or has
        no voids between them.
    """
    voids = find_voids(image)
    ny, nx = (int(n * image.pixel_size / spacing + 1e-6) // multiple * multiple for n in voids.shape)
    height, width = (n * image.pixel_size for n in voids.shape)
    pixels = f"{voids.shape[0]} × {voids.shape[1]} pixels of {image.pixel_size:g} µm"
    extent = f"{height:g} × {width:g} µm ({pixels}): is the scale right? A number is in µm; others say their unit, '20 nm'"
    if ny == 0 or nx * spacing <= 2.0 * margin:
        raise ValueError(f"{image.path}: expected more than {multiple * spacing:g} × {2.0 * margin:g} µm (height × width), got {extent}")
    if ny * nx > MAX_CELLS:
        raise ValueError(f"{image.path}: expected at most {MAX_CELLS:.0e} cells of {spacing:g} µm, got {ny:g} × {nx:g}: {extent}")
    void = _on_cells(voids, image.pixel_size, ny, nx, spacing, margin)
    if not void.any():
        raise ValueError(
            f"{image.path}: expected voids farther than {margin:g} µm from left and right edge, got none with {image.pores} pores and the "
            f"threshold {threshold_of(image):.3g}; voids cover {voids.mean():.3g} of the image"
        )
    return void


def threshold_of(image: ImageConfig) -> float:
    """Grey value, from 0 to 1, between pores and solid."""
    return otsu(read_grey(image.path)) if image.threshold == "otsu" else image.threshold


def _on_cells(voids: np.ndarray, pixel_size: float, ny: int, nx: int, spacing: float, margin: float) -> np.ndarray:
    """Area fraction (ny, nx) of voids, none within ``margin`` of the left edge, where the shock starts, and of the right edge."""
    edge = math.ceil(margin / spacing - 1e-9)
    void = area_average(voids, pixel_size, ny, nx, spacing)
    void[:, :edge] = void[:, nx - edge :] = 0.0
    return void


def find_voids(image: ImageConfig) -> np.ndarray:
    """Which pixels of the image (row, column), from the bottom up, are voids; bool.

    Raises
    ------
    ValueError
        If the image cannot be read or is of one grey.
    """
    return _voids(image, image.path.stat().st_mtime_ns if image.path.is_file() else 0)


def otsu(grey: np.ndarray) -> float:
    """Threshold that separates two classes of values in 0..1 best: the largest variance between their means.

    Otsu (1979), IEEE Trans. Syst. Man Cybern. 9, 62. The middle of the range where several are equally good.
    """
    counts, edges = np.histogram(grey, bins=_LEVELS, range=(0.0, 1.0))
    values = 0.5 * (edges[1:] + edges[:-1])
    below, total = np.cumsum(counts)[:-1], counts.sum()
    sum_below, sum_all = np.cumsum(counts * values)[:-1], (counts * values).sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (sum_all * below / total - sum_below) ** 2 / (below * (total - below))
    between = np.nan_to_num(between, nan=-1.0)
    best = np.flatnonzero(between >= between.max() * (1.0 - 1e-12))
    return float(edges[1:-1][best].mean())


@lru_cache(maxsize=2)
def _voids(image: ImageConfig, modified: int) -> np.ndarray:
    """Which pixels are voids (row, column), bool; ``modified`` makes a changed file be read again."""
    grey = read_grey(image.path)
    if float(np.ptp(grey)) == 0.0:
        raise ValueError(f"{image.path}: expected pores and solid of different grey, got one grey of {grey.flat[0]:.3g} everywhere")
    threshold = otsu(grey) if image.threshold == "otsu" else image.threshold
    voids = grey < threshold if image.pores == "dark" else grey > threshold
    if image.least_diameter > 0.0:
        regions, _ = connected_regions(voids)  # a thin oblique crack is one void
        least = math.pi / 4.0 * (image.least_diameter / image.pixel_size) ** 2
        voids &= np.bincount(regions.ravel())[regions] >= least
    voids.setflags(write=False)
    return voids


def _part(voids: np.ndarray, split: str) -> np.ndarray:
    """What a split may use of the image."""
    axis = int(voids.shape[1] >= voids.shape[0])
    begin, end = (round(fraction * voids.shape[axis]) for fraction in SPLIT_PARTS[split])
    return voids[:, begin:end] if axis else voids[begin:end]


def _reoriented(voids: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """One of the eight images that quarter turns and a mirror make."""
    turned = np.rot90(voids, int(generator.integers(4)))
    return turned[:, ::-1] if generator.integers(2) else turned


def _check_size(have: tuple[int, ...], need: tuple[int, ...], extent: tuple[float, float], image: ImageConfig, split: str | None) -> None:
    room = (min(have), min(have)) if image.random_orientation else have
    if any(h < n for h, n in zip(room, need, strict=True)):
        turned = ", in either orientation" if image.random_orientation else ""
        got = " × ".join(f"{n * image.pixel_size:g}" for n in have)
        part, remedy = "an image", ""
        if split and image.separate_splits:
            low, high = SPLIT_PARTS[split]
            part = f"the {split} part of the image ({high - low:.0%} of its longer edge)"
            remedy = "; with image.separate_splits false all simulations share the whole image, and tests are no longer of unseen pores"
        raise ValueError(
            f"{image.path}: expected {part} to be at least {extent[0]:g} × {extent[1]:g} µm (height × width of the domain{turned}), "
            f"got {got} µm ({have[0]} × {have[1]} pixels of {image.pixel_size:g} µm){remedy}"
        )


def _wanted(porosity: float, config: MicrostructureConfig) -> bool:
    if config.porosity is None:
        return porosity > 0.0
    return config.porosity.low <= porosity <= config.porosity.high
