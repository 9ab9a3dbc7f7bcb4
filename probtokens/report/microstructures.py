"""Picture of the microstructures that a campaign is going to simulate."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from probtokens.report.style import field_map, field_norm, new_figure
from probtokens.simulate.initial import SHOCK_START
from probtokens.simulate.preview import Preview

#: Most pictures in one figure, and in one row.
MAX_PANELS, _MAX_COLUMNS = 24, 6
_PANEL_WIDTH, _TITLE, _GAP = 1.95, 0.22, 0.12
_LEFT, _RIGHT, _TOP, _BOTTOM = 0.6, 0.15, 0.32, 0.5
_HISTOGRAM_HEIGHT, _HISTOGRAM_GAP, _MIN_WIDTH = 1.5, 0.75, 8.6
_BAR_COLOR, _SHOCK_COLOR = "#5b7f9b", "#d55e00"


def preview_figure(preview: Preview, name: str) -> Figure:
    """Solid fraction of up to ``MAX_PANELS`` simulations from all splits, axes in µm, and histograms of porosity and pore size of all.

    Pictures are titled with split, shock pressure [GPa] and porosity [%].
    """
    shown = np.unique(np.linspace(0, len(preview.splits) - 1, min(MAX_PANELS, len(preview.splits))).round().astype(int))
    columns = min(_MAX_COLUMNS, len(shown))
    rows = math.ceil(len(shown) / columns)
    panel = _PANEL_WIDTH * preview.campaign.ny / preview.campaign.nx
    width = max(_MIN_WIDTH, _LEFT + columns * (_PANEL_WIDTH + _GAP) - _GAP + _RIGHT)
    pictures = rows * (panel + _TITLE)
    height = _TOP + pictures + _HISTOGRAM_GAP + _HISTOGRAM_HEIGHT + _BOTTOM
    figure = new_figure(width, height)
    for place, number in enumerate(shown):
        row, column = divmod(place, columns)
        left, bottom = _LEFT + column * (_PANEL_WIDTH + _GAP), height - _TOP - (row + 1) * (panel + _TITLE)
        axes = figure.add_axes((left / width, bottom / height, _PANEL_WIDTH / width, panel / height))
        _picture(axes, preview, int(number), first_column=column == 0, last_row=place + columns >= len(shown))
    figure.text(_LEFT / width, 1 - 0.18 / height, _header(preview, name, len(shown)), va="center")
    half = (width - _LEFT - _RIGHT - _HISTOGRAM_GAP) / 2
    for k, draw in enumerate((_porosities, _diameters)):
        left = _LEFT + k * (half + _HISTOGRAM_GAP)
        draw(figure.add_axes((left / width, _BOTTOM / height, half / width, _HISTOGRAM_HEIGHT / height)), preview)
    return figure


def _header(preview: Preview, name: str, n_shown: int) -> str:
    campaign, n_all = preview.campaign, len(preview.splits)
    count = f"{n_all}" if n_shown == n_all else f"{n_shown} of {n_all}"
    cells = f"{campaign.ny} × {campaign.nx} cells of {campaign.spacing:g} µm"
    return f"{name}: {count} simulations, {cells}. Titles: split, shock pressure, porosity. Black: pores; dashed: shock at the start."


def _picture(axes: Axes, preview: Preview, number: int, *, first_column: bool, last_row: bool) -> None:
    campaign, solid = preview.campaign, 1.0 - preview.gas[number]
    extent = (0.0, campaign.nx * campaign.spacing, 0.0, campaign.ny * campaign.spacing)
    axes.imshow(
        solid, cmap=field_map("solid_fraction"), norm=field_norm("solid_fraction", solid), origin="lower", extent=extent, aspect="auto"
    )
    axes.axvline(SHOCK_START, color=_SHOCK_COLOR, linewidth=0.8, linestyle=(0, (4, 2)))
    title = f"{preview.splits[number]} · {preview.shock_pressure[number]:.1f} GPa · {100 * preview.porosity[number]:.1f} %"
    axes.set_title(title, fontsize=8.0, pad=3.0)
    axes.spines[["top", "right"]].set_visible(True)
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    axes.tick_params(labelleft=first_column, labelbottom=last_row)
    if first_column:
        axes.set_ylabel("y [µm]")
    if last_row:
        axes.set_xlabel("x [µm]")


def _porosities(axes: Axes, preview: Preview) -> None:
    _histogram(axes, 100 * preview.porosity)
    axes.set(xlabel="porosity [%]", ylabel="simulations")


def _diameters(axes: Axes, preview: Preview) -> None:
    _histogram(axes, preview.pores.diameter)
    axes.set(xlabel="equivalent pore diameter [µm]", ylabel="pores")


def _histogram(axes: Axes, values: np.ndarray) -> None:
    axes.hist(values, bins=min(20, 4 + len(values) // 4), color=_BAR_COLOR)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.grid(alpha=0.25, linewidth=0.5)
    axes.set_axisbelow(True)
