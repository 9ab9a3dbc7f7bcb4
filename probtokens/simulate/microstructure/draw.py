"""One random microstructure, however its pores are given."""

from __future__ import annotations

import numpy as np

from probtokens.config import MicrostructureConfig
from probtokens.simulate.microstructure.micrograph import crop
from probtokens.simulate.microstructure.placement import pack, place
from probtokens.simulate.microstructure.rasterize import cell_average, gas_fraction


def pore_fraction(
    ny: int, nx: int, spacing: float, config: MicrostructureConfig, generator: np.random.Generator, *, split: str | None = None
) -> np.ndarray:
    """Draw a microstructure and return its gas volume fraction (y, x).

    Drawn pores keep ``config.margin`` from the edges and ``config.gap`` between each other. Those of an
    image lie as they do there, without what is within ``config.margin`` of the left and right edges.

    Parameters
    ----------
    ny, nx
        Cells of the domain.
    spacing
        Cell edge [µm].
    split
        What the simulation is for, ``train``, ``valid`` or ``test``: each has a part of an image of its own. By default
        the whole image is used.

    Raises
    ------
    ValueError
        If the pores find no room, or the image cannot be read, is too small or has no voids.
    """
    if config.image is not None:
        return gas_fraction(crop(ny, nx, spacing, config, generator, split))
    drawn = place if config.porosity is None else pack
    return gas_fraction(cell_average(drawn(ny, nx, spacing, config, generator)))
