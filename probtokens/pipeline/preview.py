"""Pictures and numbers of what ``simulate`` is going to run, before it does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import rich.console

from probtokens.config import Config
from probtokens.data.atomic import replacing
from probtokens.pipeline.folder import SCALES, SPLITS, RunFolder
from probtokens.pipeline.work.simulations import campaign_seed
from probtokens.screen import TextTable, print_table, say

if TYPE_CHECKING:
    from probtokens.simulate.preview import Preview

_DPI = 150.0


def write_preview(config: Config, folder: RunFolder, screen: rich.console.Console) -> None:
    """Draw the microstructures of the run's own campaigns to ``folder.preview`` and print what they are like.

    Nothing is simulated and no record of the run is touched.

    Raises
    ------
    ValueError
        If a microstructure cannot be drawn.
    """
    from probtokens.report.microstructures import preview_figure
    from probtokens.report.style import figure_style, png_bytes
    from probtokens.simulate.preview import preview_campaign, preview_warnings

    previews: dict[str, Preview] = {}
    for name, campaign in config.simulate.campaigns.items():
        if name in SCALES and getattr(config.data, name) is not None:
            say(screen, f"{name}: nothing to preview, the recipe gives its data")
            continue
        if campaign.n_train + campaign.n_valid + campaign.n_test == 0:
            say(screen, f"{name}: nothing to preview, the recipe has no simulations")
            continue
        previews[name] = preview_campaign(campaign, campaign_seed(config, name))
    if previews:
        print_table(screen, preview_table(previews))
    for name, preview in previews.items():
        for warning in preview_warnings(preview):
            say(screen, (f"warning: {name}: {warning}", "yellow"))
    for name, preview in previews.items():
        path = folder.preview / f"{name}.png"
        with figure_style(), replacing(path) as temporary:
            temporary.write_bytes(png_bytes(preview_figure(preview, name), _DPI))
        say(screen, f"{name}: {path}")


def preview_table(previews: Mapping[str, Preview]) -> TextTable:
    """One column for each campaign: simulations, pores, porosity and sizes, smallest to largest."""
    table = TextTable(gap=2)
    table.column("")
    for name in previews:
        table.column(name, numbers=True)
    columns = [_numbers(preview) for preview in previews.values()]
    for name in columns[0]:
        table.row(name, *(column[name] for column in columns))
    return table


def _numbers(preview: Preview) -> dict[str, str]:
    campaign, pores = preview.campaign, preview.pores
    return {
        f"simulations ({' + '.join(SPLITS)})": " + ".join(str(preview.n_simulations.get(split, 0)) for split in SPLITS),
        "domain [cells]": f"{campaign.ny} × {campaign.nx}",
        "domain [µm]": f"{campaign.ny * campaign.spacing:.4g} × {campaign.nx * campaign.spacing:.4g}",
        "shock pressure [GPa]": _range(preview.shock_pressure),
        "separate pores in a simulation": _range(preview.pores_per_simulation),
        "porosity [%]": _range(100.0 * preview.porosity),
        "equivalent diameter [µm]": _range(pores.diameter),
        "width [µm]": _range(pores.width),
        "equivalent diameter [cells]": _range(pores.diameter / campaign.spacing),
        "width [cells]": _range(pores.width / campaign.spacing),
    }


def _range(values: np.ndarray) -> str:
    return f"{values.min():.3g} … {values.max():.3g}" if len(values) else "none"
