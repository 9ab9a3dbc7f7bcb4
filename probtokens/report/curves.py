"""Hot spots against time for every test simulation, and the physics of one of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from probtokens.report.grids import arrange, few_ticks, panel_grid
from probtokens.report.style import TRUTH_COLOR, model_color, model_label, with_unit
from probtokens.report.wording import Wording

_MOST_COLUMNS = 6


def curves_figure(document: Mapping[str, Any], primary: str, rival: str | None, titles: Sequence[str]) -> Figure:
    """Small multiples: one column a simulation, one row a quantity, wrapped into blocks.

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
    figure, grid = panel_grid(len(quantities), len(titles))
    for row, name in zip(grid, quantities, strict=True):
        for simulation, axes in enumerate(row):
            draw_curve(axes, models, name, simulation, primary, rival)
            few_ticks(axes)
        low, high = np.array([axes.get_ylim() for axes in row]).T
        for axes in row:
            axes.set_ylim(max(float(low.min()), 0.0 if name == "area" else -np.inf), float(high.max()))
    handles, _ = grid[0, 0].get_legend_handles_labels()
    arrange(
        figure,
        grid,
        titles,
        handles,
        x_label=Wording.of(document).time_label,
        y_labels=list(quantities.values()),
        tall=1.75,
        most=_MOST_COLUMNS,
    )
    return figure


def physics_figure(document: Mapping[str, Any], primary: str, simulation: int, labels: Mapping[str, str]) -> Figure:
    """Physics of one simulation: truth, bands and median of the model pictured, median of every other that was scored.

    Parameters
    ----------
    document
        Content of ``scores.json``.
    simulation
        Its position among the test simulations.
    labels
        Curves with their labels, units included.
    """
    models = document["models"]
    figure, grid = panel_grid(1, len(labels))
    for axes, name in zip(grid[0], labels, strict=True):
        draw_curve(axes, models, name, simulation, primary, *(other for other in models if other != primary))
        few_ticks(axes)
    handles, _ = grid[0, 0].get_legend_handles_labels()
    arrange(figure, grid, list(labels.values()), handles, x_label=Wording.of(document).time_label, y_labels=[[""] * len(labels)], most=3)
    return figure


def curve_labels(document: Mapping[str, Any]) -> dict[str, str]:
    """Curves that are shown, with their axis labels."""
    wording = Wording.of(document)
    return {name: with_unit(label, wording.units[name]) for name, label in wording.curves.items()}


def draw_curve(axes: Axes, models: Mapping[str, Any], name: str, simulation: int, primary: str, *others: str | None) -> None:
    """Bands, median and truth of one curve of one simulation against time, and the medians of other models."""
    curves = _numbers(models[primary]["hotspot"][name]["curves"])
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
    for side in ("lower", "upper"):
        if f"conformal_{side}_90" in curves:
            label = "90 % conformal band" if side == "lower" else None
            axes.plot(time, curves[f"conformal_{side}_90"][simulation], color=color, linewidth=0.7, linestyle=":", label=label)
    for other in filter(None, others):
        median = _numbers(models[other]["hotspot"][name]["curves"])["median"][simulation]
        axes.plot(time, median, color=model_color(other), linestyle=(0, (4, 1.6)), label=model_label(other), zorder=2)
    axes.set_xlim(time[0], time[-1])


def _numbers(curves: Mapping[str, Any]) -> dict[str, NDArray[np.float64]]:
    """Curves as arrays; what is not defined, such as the speed of a front that has left, is NaN."""
    return {key: np.array(values, dtype=np.float64) for key, values in curves.items() if key != "simulation"}
