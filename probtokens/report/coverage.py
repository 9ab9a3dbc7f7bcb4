"""Picture of how far micro simulations cover the states of meso simulations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from probtokens.evaluate.coverage import MAX_BEYOND, Coverage, CoverageMap
from probtokens.fields import FieldSpec, field_index
from probtokens.report.panels import Scale, scale_bar
from probtokens.report.style import field_map, field_norm, label_powers, new_figure, with_unit, wrap
from probtokens.report.wording import decimals
from probtokens.units import in_unit

_MICRO_COLOR, _HOT_MICRO_COLOR, _MESO_COLOR, _OUTLINE = "#7d8794", "#333333", "#0072b2", "#19d3c5"
_FILL, _DASHES, _DOTS = 0.4, (0, (2.5, 1.2)), (0, (1, 1.2))
#: One for each kind of patch, cold to hot.
_STRATUM_COLORS = ("#4a6fa5", "#44aa99", "#e69f00", "#d55e00", "#99133c")
_WIDTH, _HISTOGRAM_HEIGHT, _LOWER_HEIGHT = 13.0, 1.9, 3.1
_LEFT, _RIGHT, _TOP, _BOTTOM, _GAP = 0.65, 0.25, 0.55, 0.5, 0.95
_MAP_WIDTH, _COLUMN_GAP = 4.9, 0.48


def coverage_figure(coverage: Coverage, fields: Sequence[FieldSpec]) -> Figure:
    """Histograms of every field, distances of tokens to micro by kind of patch, and a meso frame with the tokens beyond.

    Parameters
    ----------
    coverage
        What was measured.
    fields
        Fields of the frames, in their order.
    """
    height = _TOP + _HISTOGRAM_HEIGHT + _GAP + _LOWER_HEIGHT + _BOTTOM
    figure = new_figure(_WIDTH, height)

    def axes_at(left: float, bottom: float, width: float, tall: float) -> Axes:
        return figure.add_axes((left / _WIDTH, bottom / height, width / _WIDTH, tall / height))

    step = (_WIDTH - _LEFT - _RIGHT + _COLUMN_GAP) / len(fields)
    for k, spec in enumerate(fields):
        axes = axes_at(_LEFT + k * step, height - _TOP - _HISTOGRAM_HEIGHT, step - _COLUMN_GAP, _HISTOGRAM_HEIGHT)
        _histogram(axes, coverage, k, spec, first=k == 0)
    figure.text(_LEFT / _WIDTH, 1 - 0.17 / height, _header(coverage), va="center", fontweight="bold")
    _histogram_key(figure)
    _distances(axes_at(_LEFT, _BOTTOM, 3.9, _LOWER_HEIGHT - 0.25), coverage)
    shape = coverage.map.temperature.shape
    tall = min(_LOWER_HEIGHT - 0.25, _MAP_WIDTH * shape[0] / shape[1])
    width = tall * shape[1] / shape[0]
    left = _WIDTH - _RIGHT - 0.75 - width
    _picture(axes_at(left, _BOTTOM, width, tall), coverage.map)
    bar = axes_at(left + width + 0.1, _BOTTOM, 0.13, tall)
    unit = fields[field_index(fields, "temperature")].unit
    scale = Scale(field_map("temperature"), field_norm("temperature", coverage.map.temperature), with_unit("temperature", unit))
    scale_bar(figure, bar, scale, inches=tall)
    return figure


def _header(coverage: Coverage) -> str:
    if failed := coverage.with_verdict("not covered"):
        return f"Meso states that micro does not cover: {'; '.join(failed)}"
    if undecided := coverage.with_verdict("undecided"):
        return f"Undecided whether micro covers all meso states: {'; '.join(undecided)}"
    return "Micro covers the meso states"


def _histogram_key(figure: Figure) -> None:
    handles = [
        Patch(color=_MICRO_COLOR, alpha=_FILL, linewidth=0, label="micro training cells"),
        Line2D([], [], color=_MESO_COLOR, linewidth=1.3, label="meso cells"),
        Line2D([], [], color=_HOT_MICRO_COLOR, linewidth=1.0, linestyle=_DASHES, label="of them in micro hot spots"),
        Line2D([], [], color=_MESO_COLOR, linewidth=1.0, linestyle=_DASHES, label="of them in meso hot spots"),
    ]
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(_LEFT / _WIDTH, 1 - 0.22 / figure.get_figheight()),
        ncols=4,
        borderpad=0,
        borderaxespad=0.2,
    )


def _histogram(axes: Axes, coverage: Coverage, k: int, spec: FieldSpec, *, first: bool) -> None:
    """Density of one field's values over all cells of micro training and of meso; that of hot cells is part of it."""
    for name, color in (("micro", _MICRO_COLOR), ("meso", _MESO_COLOR)):
        histograms = coverage.histograms[name]
        edges = histograms.edges(k)
        scale = histograms.counts[0, k].sum() * (edges[1] - edges[0])
        density = histograms.coarse[:, k] / scale if scale else np.zeros((2, len(edges) - 1))
        filled = name == "micro"
        axes.stairs(density[0], edges, color=color, fill=filled, alpha=_FILL if filled else 1.0, linewidth=1.3)
        if spec.name != "temperature":
            axes.stairs(density[1], edges, color=_HOT_MICRO_COLOR if filled else color, linestyle=_DASHES, linewidth=1.0)
    axes.set_yscale("log")
    label_powers(axes.yaxis)
    axes.set_xlabel(wrap(with_unit(spec.label, spec.unit), axes.get_position().width * _WIDTH))
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    if first:
        axes.set_ylabel("share of cells per unit")


def _distances(axes: Axes, coverage: Coverage) -> None:
    """Share of tokens farther from micro than a multiple of the threshold; what is covered passes below the cross at 1."""
    for k, stratum in enumerate(coverage.strata):
        color = _STRATUM_COLORS[(len(_STRATUM_COLORS) - len(coverage.strata) + k) % len(_STRATUM_COLORS)]
        label = f"{stratum.name}: {100 * stratum.meso_beyond:.1f} %, {stratum.verdict}"
        for name, style in (("control", _DOTS), ("meso", "-")):
            x = np.sort(coverage.distances[name][k])
            y = 100.0 * (1.0 - np.arange(len(x)) / max(len(x), 1))
            axes.plot(x, y, color=color, linestyle=style, linewidth=1.6, label=label if name == "meso" else None)
    axes.axvline(1.0, color="#444444", linewidth=0.8)
    axes.plot([1.0, 1e3], [100 * MAX_BEYOND] * 2, color="#444444", linewidth=0.8, linestyle=(0, (4, 2)))
    finite = np.concatenate([part[np.isfinite(part)] for parts in coverage.distances.values() for part in parts] + [np.ones(1)])
    axes.set(xscale="log", yscale="log", xlim=(0.08, max(3.0, 1.1 * float(finite.max()))), ylim=(0.1, 130.0))
    axes.text(
        0.98,
        100 * MAX_BEYOND * 1.15,
        f"covered: below {100 * MAX_BEYOND:g} % at 1",
        transform=axes.get_yaxis_transform(),
        ha="right",
        fontsize=8,
    )
    axes.plot([], [], color="#444444", linestyle=_DOTS, label="dotted: held-out micro")
    axes.set_xlabel("distance to the nearest micro token / threshold")
    axes.set_ylabel("tokens farther than that [%]")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(1.01, 1.02),
        title="meso patches, by hottest cell,\nand share beyond the threshold",
        alignment="left",
    )


def _picture(axes: Axes, found: CoverageMap) -> None:
    ny, nx = found.temperature.shape
    edge = ny // found.beyond.shape[0] * found.spacing
    extent = (0.0, nx * found.spacing, 0.0, ny * found.spacing)
    axes.imshow(
        found.temperature, cmap=field_map("temperature"), norm=field_norm("temperature", found.temperature), extent=extent, origin="lower"
    )
    for row, column in np.argwhere(found.beyond):
        axes.add_patch(Rectangle((column * edge, row * edge), edge, edge, fill=False, edgecolor=_OUTLINE, linewidth=0.9))
    axes.set_title(f"{found.name}, {in_unit(decimals(found.time), found.units.time)}: {_counted(found.beyond)}", pad=4)
    axes.set(xlabel=with_unit("x", found.units.length), ylabel=with_unit("y", found.units.length))


def _counted(beyond: NDArray[np.bool_]) -> str:
    return f"{int(beyond.sum())} of {beyond.size} tokens beyond (outlined)"
