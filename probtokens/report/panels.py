"""Grids of field images with shared scales: the building block of filmstrip, hero picture and animation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from probtokens.report.style import with_unit, wrap
from probtokens.report.wording import decimals
from probtokens.units import in_unit

Extent = tuple[float, float, float, float]

_LOG_TICKS = tuple(factor * 10.0**decade for decade in range(-6, 10) for factor in (1, 1.5, 2, 3, 4, 6))
#: What stands left of a panel beside its row's title, and left of that title [inch].
_AXIS_ROOM, _EDGE = 0.62, 0.1
#: Height of a line of a row's title [inch].
_LINE = 0.155
#: Least height of a row, for the name of its axis and the label and ticks of its colour bar [inch].
_ROW = 0.8
#: Length of an axis or a colour bar for each of its ticks [inch].
_TICK = 0.16
#: Share of an axis at its end without a tick, whose label would meet that of the next panel.
_END = 0.1
_FRAME_COLOR = "#b4b8c0"
_CONTOUR_COLOR = "#19d3c5"


@dataclass(frozen=True)
class Scale:
    """Colour map, limits and label (with unit) that neighbouring rows share; without a label they have no colour bar."""

    cmap: str
    norm: Normalize
    label: str


@dataclass(frozen=True)
class Row:
    """Images of one quantity, shape (column, y, x), with an optional outline where ``contour`` crosses ``level``."""

    title: str
    images: NDArray[np.floating]
    scale: Scale
    contour: NDArray[np.floating] | None = None
    level: float = 0.0


@dataclass(frozen=True)
class Layout:
    """Sizes of a panel grid [inch]."""

    panel_width: float = 1.75
    gap: float = 0.07
    group_gap: float = 0.2
    left: float = 1.65
    right: float = 1.1
    top: float = 0.3
    bottom: float = 0.5
    bar_width: float = 0.13

    def panel_height(self, extent: Extent) -> float:
        """Height of a panel that keeps x and y to the same scale."""
        return self.panel_width * (extent[3] - extent[2]) / (extent[1] - extent[0])

    def row_height(self, extent: Extent) -> float:
        """Height of a row, in whose middle the panels of a flat domain stand."""
        return max(self.panel_height(extent), _ROW)

    def row_tops(self, rows: Sequence[Row], extent: Extent) -> list[float]:
        """Distance of each row from the top of the figure; rows of another scale stand a little apart."""
        tops = [self.top]
        for upper, lower in pairwise(rows):
            gap = self.gap if upper.scale == lower.scale else self.group_gap
            tops.append(tops[-1] + self.row_height(extent) + gap)
        return tops

    def size(self, rows: Sequence[Row], n_columns: int, extent: Extent) -> tuple[float, float]:
        """Width and height of the figure that holds the grid."""
        width = self.left + n_columns * (self.panel_width + self.gap) - self.gap + self.right
        height = self.row_tops(rows, extent)[-1] + self.row_height(extent) + self.bottom
        return width, height


def time_titles(times: NDArray[np.floating], unit: str) -> list[str]:
    """Column titles of times."""
    return [in_unit(decimals(time), unit) for time in times]


def draw_grid(
    figure: Figure, rows: Sequence[Row], titles: Sequence[str], extent: Extent, layout: Layout, unit: str
) -> list[list[AxesImage]]:
    """Draw ``rows`` under column ``titles`` from the top of the figure; adjacent rows of one scale share a colour bar.

    ``unit`` is that of ``extent``. Returns the images as (row, column).
    """
    tops = layout.row_tops(rows, extent)
    images = []
    for r, row in enumerate(rows):
        line = []
        for c, title in enumerate(titles):
            axes = figure.add_axes(_panel_box(figure, layout, extent, tops[r], c))
            line.append(show_image(axes, row, c, extent))
            if r == 0:
                axes.set_title(title, pad=4)
            _label_edges(axes, unit, left=c == 0, bottom=r == len(rows) - 1)
        _row_title(figure, layout, extent, tops[r], row.title)
        images.append(line)
    for scale, members in groupby(range(len(rows)), key=lambda r: rows[r].scale):
        span = list(members)
        if scale.label:
            _side_bar(figure, layout, extent, scale, tops[span[0]], tops[span[-1]], len(titles))
    return images


def show_image(axes: Axes, row: Row, frame: int, extent: Extent) -> AxesImage:
    """Draw one frame of ``row``, y upward."""
    image = axes.imshow(
        row.images[frame], cmap=row.scale.cmap, norm=row.scale.norm, extent=extent, origin="lower", interpolation="antialiased"
    )
    axes.spines[:].set(visible=True, color=_FRAME_COLOR, linewidth=0.5)
    if row.contour is not None:
        draw_outline(axes, row.contour[frame], row.level, extent)
    return image


def draw_outline(axes: Axes, values: NDArray[np.floating], level: float, extent: Extent) -> None:
    """Thin line where ``values`` cross ``level``; nothing where they never do."""
    if np.nanmin(values) < level < np.nanmax(values):
        axes.contour(values, levels=[level], colors=[_CONTOUR_COLOR], linewidths=0.9, extent=extent, origin="lower")


def scale_bar(figure: Figure, axes: Axes, scale: Scale, orientation: str = "vertical", *, inches: float) -> Colorbar:
    """Colour bar of ``scale`` in ``axes``, ``inches`` long, with plain-number ticks."""
    bar = figure.colorbar(ScalarMappable(scale.norm, scale.cmap), cax=axes, orientation=orientation)
    bar.ax.spines[:].set_visible(False)
    bar.set_label(wrap(scale.label, inches))
    most = max(2, int(inches / _TICK))
    if isinstance(scale.norm, LogNorm):
        low, high = scale.norm.vmin or 1.0, scale.norm.vmax or 1.0
        ticks = [tick for tick in _LOG_TICKS if 0.99 * low <= tick <= 1.01 * high]
        ticks = ticks[:: -(-len(ticks) // most) or 1]
        bar.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    else:
        bar.set_ticks(MaxNLocator(min(4, most), steps=[1, 2, 2.5, 5, 10]))
    bar.minorticks_off()
    return bar


def _panel_box(figure: Figure, layout: Layout, extent: Extent, top: float, column: int) -> tuple[float, float, float, float]:
    width, height = figure.get_size_inches()
    tall = layout.panel_height(extent)
    left = layout.left + column * (layout.panel_width + layout.gap)
    above = top + 0.5 * (layout.row_height(extent) - tall)
    return (left / width, (height - above - tall) / height, layout.panel_width / width, tall / height)


def _label_edges(axes: Axes, unit: str, *, left: bool, bottom: bool) -> None:
    box = axes.get_window_extent().transformed(axes.figure.dpi_scale_trans.inverted())
    for axis, inches in ((axes.xaxis, box.width), (axes.yaxis, box.height)):
        low, high = axis.get_view_interval()
        ticks = MaxNLocator(min(3, max(1, int(inches / _TICK))), steps=[1, 2, 5, 10]).tick_values(low, high)
        shown = [tick for tick in ticks if low <= tick <= high - _END * (high - low)]
        axis.set_ticks(shown, labels=[f"{tick:g}" for tick in shown])
    axes.tick_params(labelleft=left, left=left, labelbottom=bottom, bottom=bottom)
    if left:
        axes.set_ylabel(with_unit("y", unit), labelpad=2)
    if bottom:
        axes.set_xlabel(with_unit("x", unit), labelpad=2)


def _row_title(figure: Figure, layout: Layout, extent: Extent, top: float, title: str) -> None:
    inch, high = figure.get_size_inches()
    tall = layout.row_height(extent)
    lines, room = wrap(title, layout.left - _AXIS_ROOM, bold=True).split("\n"), int(tall / _LINE)
    text = "\n".join(lines if len(lines) <= room else [*lines[: room - 1], lines[room - 1][:-1] + "…"])
    figure.text(_EDGE / inch, 1 - (top + 0.5 * tall) / high, text, ha="left", va="center", fontweight="bold", linespacing=1.2)


def _side_bar(figure: Figure, layout: Layout, extent: Extent, scale: Scale, first: float, last: float, n_columns: int) -> None:
    left, _, width, _ = _panel_box(figure, layout, extent, last, n_columns - 1)
    inch, high = figure.get_size_inches()
    bottom = last + layout.row_height(extent)
    box = (left + width + 0.12 / inch, 1 - bottom / high, layout.bar_width / inch, (bottom - first) / high)
    scale_bar(figure, figure.add_axes(box), scale, inches=bottom - first)
