"""Microstructures: seeded outlines or pieces of a micrograph as gas volume fractions of cells."""

from probtokens.simulate.microstructure.draw import pore_fraction
from probtokens.simulate.microstructure.image import image_digest
from probtokens.simulate.microstructure.rasterize import GAS_FLOOR, SOLID_FLOOR

__all__ = ["GAS_FLOOR", "SOLID_FLOOR", "image_digest", "pore_fraction"]
