"""What tokens hold: frames through them and back, and maps of their posterior."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from probtokens.report.grids import arrange, few_ticks, panel_grid
from probtokens.report.panels import Layout, Row, Scale, draw_grid, time_titles
from probtokens.report.reduce_tokens import GroupMaps, Parts, Reconstruction, TokenMaps
from probtokens.report.style import SIGNED_MAP, SPREAD_MAP, field_map, field_norm, new_figure, signed_norm, spread_norm, with_unit

Array = NDArray[np.floating]

_MAP_LAYOUT = Layout(panel_width=1.12, left=2.45, right=1.1, top=0.55)
_BLOCK_GAP = 0.6
_PART_COLORS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#b4b8c0")
_EFFECT_WIDTH, _EFFECT_HEIGHT = 11.0, 2.8


def reconstruction_figure(reconstruction: Reconstruction) -> Figure:
    """Truth and decoded mean on the scale of the truth; their difference and the decoder's spread to one limit."""
    spec, truth, spread = reconstruction.spec, reconstruction.truth, reconstruction.spread
    difference = reconstruction.mean - truth
    field = Scale(field_map(spec.name), field_norm(spec.name, truth), with_unit(spec.label, spec.unit))
    signed = Scale(SIGNED_MAP, signed_norm(difference, spread), with_unit("difference", spec.unit))
    positive = Scale(SPREAD_MAP, spread_norm(np.abs(difference), spread), with_unit("s.d.", spec.unit))
    rows = [
        Row("truth", truth, field),
        Row("decoded\nmean", reconstruction.mean, field),
        Row("decoded\n− truth", difference, signed),
        Row("decoder's\ns.d.", spread, positive),
    ]
    layout = Layout()
    figure = new_figure(*layout.size(rows, len(reconstruction.times), reconstruction.extent))
    titles = time_titles(reconstruction.times, reconstruction.units.time)
    draw_grid(figure, rows, titles, reconstruction.extent, layout, reconstruction.units.length)
    return figure


def parts_figure(parts: Parts) -> Figure:
    """Left: variance of members that differ by one source alone, stacked, over that of all. Right: their standard deviations."""
    figure, grid = panel_grid(1, 2)
    shares, spreads = grid[0]
    colors = dict(zip(parts.alone, _PART_COLORS, strict=False))
    whole = np.where(parts.whole > 0, parts.whole, np.nan)
    below = np.zeros_like(whole)
    for source, variance in parts.alone.items():
        above = below + 100 * variance / whole
        shares.fill_between(parts.times, below, above, color=colors[source], linewidth=0, label=source)
        spreads.plot(parts.times, np.sqrt(variance), color=colors[source])
        below = above
    shares.axhline(100.0, color="#111111", linewidth=1.0, linestyle=(0, (3, 1.5)))
    shares.set_ylim(0, 1.05 * max(100.0, float(np.nanmax(below, initial=0.0))))
    spreads.plot(parts.times, np.sqrt(parts.whole), color="#111111", linewidth=1.8, label="all sources")
    spreads.set_ylim(bottom=0)
    for axes in grid[0]:
        few_ticks(axes)
        axes.set_xlim(parts.times[0], parts.times[-1])
    handles = [*shares.get_legend_handles_labels()[0], *spreads.get_legend_handles_labels()[0]]
    titles = ["share of the variance", f"standard deviation of {parts.spec.label}"]
    labels = ["variance alone / of all [%]", with_unit("s.d.", parts.spec.unit)]
    arrange(figure, grid, titles, handles, x_label=with_unit("time", parts.time_unit), y_labels=[labels], tall=2.3)
    return figure


def adaptation_figure(names: Sequence[str], posterior: Array, prior: Array) -> Figure:
    """Relative change of every kernel and bias: draws (draw, block) of the posterior over the prior's 90 % intervals."""
    height = 0.16 * len(names) + 1.1
    figure = new_figure(_EFFECT_WIDTH, height)
    axes = figure.add_axes((0.28, 0.6 / height, 0.7, 1 - 0.85 / height))
    rows = np.arange(len(names))
    for draws, color, width, label in ((prior, "#c8c8c8", 6.0, "prior"), (posterior, "#0072b2", 2.0, "posterior")):
        low, high = np.quantile(draws, [0.05, 0.95], axis=0)
        axes.hlines(rows, 100 * low, 100 * high, color=color, lw=width, label=f"{label}, 90 %")
    axes.plot(100 * np.median(posterior, axis=0), rows, "o", color="#0072b2", ms=3)
    axes.set(xscale="log", yticks=rows, yticklabels=names, ylim=(len(names) - 0.5, -0.5), xlabel="root mean square of relative changes [%]")
    axes.xaxis.set_major_formatter("{x:g}")  # the report's text is plain: no mathematics in labels
    axes.xaxis.set_minor_formatter("")
    axes.tick_params(axis="y", labelsize=6)
    axes.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, borderaxespad=0.2)
    return figure


def token_maps_figure(maps: TokenMaps) -> Figure:
    """Posterior mean (left) and standard deviation (right) of token channels, a row each, at several times."""
    spec, titles, left = maps.spec, time_titles(maps.times, maps.units.time), _MAP_LAYOUT
    truth = Row(f"true {spec.label}", maps.truth, Scale(field_map(spec.name), field_norm(spec.name, maps.truth), label=""))
    means = [truth] + [row for group in maps.groups for row in _mean_rows(group)]
    spreads = [replace(truth, title="")] + [row for group in maps.groups for row in _spread_rows(group)]
    block = len(titles) * (left.panel_width + left.gap) - left.gap
    right = replace(left, left=left.left + block + left.right + _BLOCK_GAP)
    width, height = right.size(spreads, len(titles), maps.extent)
    figure = new_figure(width, height)
    for layout, rows, title in ((left, means, "posterior mean"), (right, spreads, "posterior standard deviation")):
        draw_grid(figure, rows, titles, maps.extent, layout, maps.units.length)
        figure.text((layout.left + block / 2) / width, 1 - 0.08 / height, title, ha="center", va="top", fontweight="bold")
    return figure


def _mean_rows(group: GroupMaps) -> list[Row]:
    scale = Scale(SIGNED_MAP, signed_norm(group.mean), "mean")
    label = group.label.replace(", ", ",\n")
    return [Row(f"{label}\nchannel {number}", images, scale) for number, images in zip(group.channels, group.mean, strict=True)]


def _spread_rows(group: GroupMaps) -> list[Row]:
    scale = Scale(SPREAD_MAP, spread_norm(group.spread), "s.d.")
    return [Row("", images, scale) for images in group.spread]


def effect_posterior_figure(maps: TokenMaps) -> Figure:
    """Posterior mean and one standard deviation of every direction of the trajectory effect, region beside region, over its prior."""
    draws = maps.effect.reshape(*maps.effect.shape[:2], -1)
    mean, spread = draws.mean(axis=0), draws.std(axis=0, ddof=1)
    figure = new_figure(_EFFECT_WIDTH, _EFFECT_HEIGHT)
    axes = figure.subplots(gridspec_kw={"left": 0.08, "right": 0.98, "top": 0.95, "bottom": 0.18})
    axes.axhspan(-1.0, 1.0, color="#b4b8c0", alpha=0.35, linewidth=0)
    axes.axhline(0.0, color="#333333", linewidth=0.8)
    numbers, regions = np.arange(1, len(mean) + 1), mean.shape[1]
    for region in range(regions):
        shift = 0.6 * ((region + 0.5) / regions - 0.5)
        axes.errorbar(numbers + shift, mean[:, region], spread[:, region], fmt="o", markersize=3, linewidth=1.2, color="#0072b2")
    axes.set(xlabel="direction of u", ylabel="u [s.d. of its prior]", xticks=numbers)
    axes.set_ylim(-1.1 * (limit := max(2.0, float(np.abs(mean).max() + spread.max()))), 1.1 * limit)
    return figure
