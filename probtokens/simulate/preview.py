"""What a campaign is going to simulate, measured before anything runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from probtokens.config import CampaignConfig
from probtokens.simulate.campaign import draw, plan
from probtokens.simulate.initial import SHOCK_START, SHOCK_WIDTH
from probtokens.simulate.microstructure.measure import Pores, measure_pores
from probtokens.simulate.microstructure.micrograph import SPLIT_PARTS, find_voids
from probtokens.simulate.microstructure.rasterize import void_fraction
from probtokens.simulate.reconstruct import GHOSTS

#: Cells across a pore from which its hot spot hardly changes with the cell size, and across the thin parts of one: an
#: interface takes about two cells, so narrower parts have no gas between their walls.
RESOLVED = 10.0
RESOLVED_WIDTH = 4.0

#: Columns with more void than this hold a part of a pore.
_TRACE = 0.05


@dataclass(frozen=True)
class Preview:
    """The drawn simulations of a campaign, in the order of its files.

    Attributes
    ----------
    campaign
        Its settings.
    splits
        ``train``, ``valid`` or ``test`` of each simulation.
    shock_pressure
        (simulation,) [GPa].
    gas
        Gas volume fraction (simulation, y, x).
    """

    campaign: CampaignConfig
    splits: tuple[str, ...]
    shock_pressure: np.ndarray
    gas: np.ndarray

    @cached_property
    def porosity(self) -> np.ndarray:
        """Area fraction of voids, (simulation,)."""
        return void_fraction(self.gas).mean(axis=(1, 2))

    @cached_property
    def pores_per_simulation(self) -> np.ndarray:
        """Number of pores, (simulation,)."""
        return np.array([len(pores.area) for pores in self._measured])

    @cached_property
    def pores(self) -> Pores:
        """Sizes of the pores of all simulations."""
        return Pores(*(np.concatenate([getattr(p, name) for p in self._measured]) for name in ("area", "diameter", "width")))

    @cached_property
    def n_simulations(self) -> dict[str, int]:
        """Number of simulations of each split."""
        return dict(Counter(self.splits))

    @cached_property
    def _measured(self) -> list[Pores]:
        return [measure_pores(gas, self.campaign.spacing) for gas in self.gas]


def preview_campaign(campaign: CampaignConfig, seed: int) -> Preview:
    """Draw what ``run_campaign`` with the same settings and seed simulates.

    Raises
    ------
    ValueError
        If a microstructure cannot be drawn.
    """
    shards = plan(campaign, Path(), seed)
    drawn = [draw(shard, campaign) for shard in shards]
    splits = tuple(shard.split for shard in shards for _ in range(shard.size))
    return Preview(campaign, splits, np.concatenate([p for p, _ in drawn]), np.concatenate([gas for _, gas in drawn]))


def preview_warnings(preview: Preview) -> list[str]:
    """What cells, edges or pixels do not resolve or disturb, one sentence each."""
    return [*_resolution(preview), *_edges(preview), *_image(preview)]


def _resolution(preview: Preview) -> list[str]:
    spacing, found = preview.campaign.spacing, []
    for sizes, least, what, least_is, effect in (
        (preview.pores.diameter, RESOLVED, "across (equivalent diameter)", "smallest", "their hot spots depend on the cell size"),
        (preview.pores.width, RESOLVED_WIDTH, "wide", "narrowest", "these cracks and arms are smeared over the cells beside them"),
    ):
        if few := np.count_nonzero(sizes < least * spacing):
            found.append(
                f"{few} of {len(sizes)} pores are less than {least:g} cells {what}, the {least_is} {sizes.min() / spacing:.1f} "
                f"({sizes.min():.2g} µm): {effect}; take smaller cells or larger pores"
            )
    return found


def _edges(preview: Preview) -> list[str]:
    spacing, found = preview.campaign.spacing, []
    columns = np.flatnonzero((void_fraction(preview.gas) > _TRACE).any(axis=(0, 1)))
    if not len(columns):
        return []
    first, front = columns[0] * spacing, SHOCK_START + SHOCK_WIDTH * spacing
    if first < front:
        found.append(f"pores begin {first:.2g} µm from the left edge, in the shock, which reaches to {front:.2g} µm: raise margin")
    if columns[-1] >= preview.campaign.nx - GHOSTS:
        found.append("pores reach the right edge, where the boundary takes the material for solid: raise margin")
    return found


def _image(preview: Preview) -> list[str]:
    campaign, found = preview.campaign, []
    image = campaign.microstructure.image
    if image is None:
        return []
    if image.pixel_size > campaign.spacing:
        found.append(f"pixels of {image.pixel_size:g} µm are larger than cells of {campaign.spacing:g} µm: outlines are stepped")
    if not image.separate_splits and len(preview.n_simulations) > 1:
        found.append("pieces of all splits come from the whole image: test simulations share pores with training simulations")
    area = find_voids(image).size * image.pixel_size**2
    for split, number in preview.n_simulations.items():
        low, high = SPLIT_PARTS[split] if image.separate_splits else (0.0, 1.0)
        cover = number * preview.gas[0].size * campaign.spacing**2 / ((high - low) * area)
        if cover > 1.0:
            found.append(
                f"{number} {split} pieces cover their part of the image {cover:.1f} times: they share pores, and tell less than {number}"
            )
    return found
