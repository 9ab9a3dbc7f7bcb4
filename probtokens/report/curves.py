"""Area of hot spots and the mean over it against time for every test simulation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from probtokens.report.style import TRUTH_COLOR, model_color, model_label, new_figure, with_unit
from probtokens.report.wording import Wording

_MIN_WIDTH, _MAX_WIDTH = 6.8, 12.6
_MAX_COLUMNS = 6
_PANEL_HEIGHT = 1.75


def curves_figure(document: Mapping[str, Any], primary: str, rival: str | None, titles: Sequence[str]) -> Figure:
    """Small multiples: one column a simulation, one row a quantity, wrapped after six simulations.

    Parameters
    ----------
    document
        Content of ``scores.json``.
    primary, rival
        Model shown with bands, and the one shown as a line.
    titles
        Column titles, one for each simulation.
    """
    quantities, models = curve_labels(document), document["models"]
    n_columns = min(len(titles), _MAX_COLUMNS)
    n_blocks = -(-len(titles) // n_columns)
    height = 0.95 + n_blocks * (len(quantities) * _PANEL_HEIGHT) + (n_blocks - 1) * 0.6
    width = min(_MAX_WIDTH, max(_MIN_WIDTH, 1.0 + 3.9 * n_columns))
    figure = new_figure(width, height)
    edges = {"left": 0.75 / width, "right": 1 - 0.2 / width, "top": 1 - 0.52 / height, "bottom": 0.45 / height}
    blocks = figure.add_gridspec(n_blocks, 1, **edges, hspace=0.75 / (len(quantities) * _PANEL_HEIGHT))
    panels: dict[str, list[Axes]] = {name: [] for name in quantities}
    for number, title in enumerate(titles):
        block, column = divmod(number, n_columns)
        cells = blocks[block].subgridspec(len(quantities), n_columns, hspace=0.14, wspace=0.12)
        for q, (name, label) in enumerate(quantities.items()):
            axes = figure.add_subplot(cells[q, column])
            draw_curve(axes, models, name, number, primary, rival)
            axes.set_title(title if q == 0 else "")
            _label(axes, label if column == 0 else None, bottom=q == len(quantities) - 1)
            panels[name].append(axes)
    for name, row in panels.items():
        _share_limits(row, 0.0 if name == "area" else -np.inf)
    handles, labels = panels["area"][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper left", ncols=len(labels), bbox_to_anchor=(0.5 / width, 1.0))
    return figure


def curve_labels(document: Mapping[str, Any]) -> dict[str, str]:
    """Curves that are shown, with their axis labels."""
    wording = Wording.of(document)
    return {name: with_unit(label, wording.units[name]) for name, label in wording.curves.items()}


def draw_curve(axes: Axes, models: Mapping[str, Any], name: str, simulation: int, primary: str, rival: str | None) -> None:
    """Bands, median and truth of one curve of one simulation against time [ns], and the rival's line."""
    curves = models[primary]["hotspot"][name]["curves"]
    time, color = curves["time"], model_color(primary)
    if "truth" in curves:  # which forecasts of an own microstructure lack
        axes.plot(time, curves["truth"][simulation], color=TRUTH_COLOR, linewidth=1.3, label="truth", zorder=4)
    levels = sorted((float(key.removeprefix("lower_")) for key in curves if key.startswith("lower_")), reverse=True)
    shown = [level for level in levels if level in (50, 90)] or levels[:1]
    axes.plot(
        time,
        curves["median"][simulation],
        color=color,
        label=f"{model_label(primary)}, median" if shown else model_label(primary),
        zorder=3,
    )
    for level, shade in zip(shown, (0.2, 0.38), strict=False):
        lower, upper = curves[f"lower_{level:g}"][simulation], curves[f"upper_{level:g}"][simulation]
        axes.fill_between(time, lower, upper, color=color, alpha=shade, linewidth=0, label=f"{level:g} % band")
    if rival is not None:
        other = models[rival]["hotspot"][name]["curves"]
        axes.plot(time, other["median"][simulation], color=model_color(rival), linestyle=(0, (4, 1.6)), label=model_label(rival), zorder=2)
    axes.set_xlim(time[0], time[-1])


def _label(axes: Axes, label: str | None, *, bottom: bool) -> None:
    axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    axes.tick_params(labelleft=label is not None, labelbottom=bottom)
    axes.grid(alpha=0.25, linewidth=0.5)
    if label is not None:
        axes.set_ylabel(label)
    if bottom:
        axes.set_xlabel("time [ns]")


def _share_limits(panels: Sequence[Axes], least: float) -> None:
    low, high = np.array([axes.get_ylim() for axes in panels]).T
    for axes in panels:
        axes.set_ylim(max(float(low.min()), least), float(high.max()))
