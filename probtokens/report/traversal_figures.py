"""What the trajectory effect changes: pictures along its leading directions, and hot spots against it."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from probtokens.report.panels import Layout, Row, Scale, draw_grid
from probtokens.report.reduce_traversal import VALUES, Traversal
from probtokens.report.style import SIGNED_MAP, field_map, field_norm, new_figure, signed_norm, with_unit, wrap
from probtokens.report.wording import decimals
from probtokens.units import in_unit

_COLORS = ("#0072b2", "#d55e00")
_OTHER_COLOR = "#b4b8c0"
_WIDTH, _HEIGHT, _PANEL = 11.0, 3.3, 2.2
#: Upper limit of an axis of areas that are all zero.
_SMALLEST_AREA = 0.01


def traversal_figure(traversal: Traversal) -> Figure:
    """Field for several values of the effect along each leading direction, its change from none at all, and the truth's."""
    spec, center = traversal.spec, 1 + VALUES.index(0.0)
    truth = np.broadcast_to(traversal.truth, (len(traversal.top), 1, *traversal.truth.shape))
    images = np.concatenate([truth, traversal.images], axis=1)
    changes = images - images[:, center : center + 1]
    field = Scale(field_map(spec.name), field_norm(spec.name, truth), with_unit(spec.label, spec.unit))
    signed = Scale(SIGNED_MAP, signed_norm(changes), with_unit("change", spec.unit))
    rows = []
    for direction, values, differences in zip(traversal.top, images, changes, strict=True):
        for lead, time in enumerate(traversal.times):
            rows.append(Row(f"direction {direction + 1}\n{in_unit(decimals(time), traversal.units.time)}", values[:, lead], field))
        for lead, time in enumerate(traversal.times):
            rows.append(Row(f"change from\nu = 0, {in_unit(decimals(time), traversal.units.time)}", differences[:, lead], signed))
    titles, layout = ["truth", *(f"u = {_signed(value)}" for value in VALUES)], Layout()
    figure = new_figure(*layout.size(rows, len(titles), traversal.extent))
    draw_grid(figure, rows, titles, traversal.extent, layout, traversal.units.length)
    return figure


def effect_figure(traversal: Traversal, area: str) -> Figure:
    """Left: change of the field by every direction. Right: hot spots' ``area`` in all test simulations against the leading ones."""
    figure = new_figure(_WIDTH, _HEIGHT)
    edges = {"left": 1.0 / _WIDTH, "right": 1 - 0.15 / _WIDTH, "top": 1 - 0.6 / _HEIGHT, "bottom": 0.5 / _HEIGHT}
    panels = figure.subplots(1, 1 + len(traversal.top), squeeze=False, gridspec_kw={**edges, "wspace": 0.36})[0]
    _draw_ranking(panels[0], traversal)
    for k, axes in enumerate(panels[1:]):
        _draw_area(axes, traversal, k)
        axes.sharey(panels[1])
    panels[1].set_ylabel(wrap(with_unit(area, traversal.units.area), _PANEL))
    panels[1].set_ylim(0, 1.05 * max(float(traversal.area.max()), float(traversal.true_area.mean()), _SMALLEST_AREA))
    figure.legend(*panels[1].get_legend_handles_labels(), loc="upper right", ncols=3)
    return figure


def _draw_ranking(axes: Axes, traversal: Traversal) -> None:
    numbers = np.arange(1, len(traversal.changes) + 1)
    colors = [_COLORS[traversal.top.index(n - 1)] if n - 1 in traversal.top else _OTHER_COLOR for n in numbers]
    axes.bar(numbers, traversal.changes, color=colors, width=0.7)
    axes.set_xticks(numbers)
    axes.set(xlabel="direction of u", ylabel=wrap(with_unit(f"{traversal.spec.label}: rms change", traversal.spec.unit), _PANEL))
    axes.set_title(f"u = {_signed(VALUES[0])} to {_signed(VALUES[-1])}, at {in_unit(decimals(traversal.times[-1]), traversal.units.time)}")


def _draw_area(axes: Axes, traversal: Traversal, k: int) -> None:
    color, area = _COLORS[k], traversal.area[k]
    lines = axes.plot(VALUES, area, color=color, linewidth=0.8, alpha=0.35)
    lines[0].set_label("test simulations")
    axes.plot(VALUES, area.mean(axis=1), color=color, linewidth=2.2, marker="o", markersize=4, label="their mean")
    axes.axhline(traversal.true_area.mean(), color="#333333", linewidth=1.0, linestyle=(0, (3, 1.5)), label="mean of the truth")
    axes.set_title(f"direction {traversal.top[k] + 1}, at {in_unit(decimals(traversal.times[-1]), traversal.units.time)}")
    axes.set_xlabel("u everywhere [s.d. of its prior]")
    axes.set_xticks(VALUES)
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    axes.grid(alpha=0.25, linewidth=0.5)


def _signed(value: float) -> str:
    """Number with its sign, a real minus; zero without."""
    return f"{value:+g}".replace("-", "−") if value else "0"
