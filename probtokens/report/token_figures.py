"""What tokens hold: frames through them and back, and maps of their posterior."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.figure import Figure

from probtokens.report.panels import Layout, Row, Scale, draw_grid, time_titles
from probtokens.report.reduce_tokens import GroupMaps, Reconstruction, TokenMaps
from probtokens.report.style import SIGNED_MAP, SPREAD_MAP, field_map, field_norm, new_figure, signed_norm, spread_norm, with_unit

_MAP_LAYOUT = Layout(panel_width=1.12, left=2.15, right=0.95, top=0.55)
_BLOCK_GAP = 0.6


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
    draw_grid(figure, rows, time_titles(reconstruction.times), reconstruction.extent, layout)
    return figure


def token_maps_figure(maps: TokenMaps) -> Figure:
    """Posterior mean (left) and standard deviation (right) of token channels, a row each, at several times [ns]."""
    spec, titles, left = maps.spec, time_titles(maps.times), _MAP_LAYOUT
    truth = Row(f"true {spec.label}", maps.truth, Scale(field_map(spec.name), field_norm(spec.name, maps.truth), label=""))
    means = [truth] + [row for group in maps.groups for row in _mean_rows(group)]
    spreads = [replace(truth, title="")] + [row for group in maps.groups for row in _spread_rows(group)]
    block = len(titles) * (left.panel_width + left.gap) - left.gap
    right = replace(left, left=left.left + block + left.right + _BLOCK_GAP)
    width, height = right.size(spreads, len(titles), maps.extent)
    figure = new_figure(width, height)
    for layout, rows, title in ((left, means, "posterior mean"), (right, spreads, "posterior standard deviation")):
        draw_grid(figure, rows, titles, maps.extent, layout)
        figure.text((layout.left + block / 2) / width, 1 - 0.08 / height, title, ha="center", va="top", fontweight="bold")
    return figure


def _mean_rows(group: GroupMaps) -> list[Row]:
    scale = Scale(SIGNED_MAP, signed_norm(group.mean), "mean")
    label = group.label.replace(", ", ",\n")
    return [Row(f"{label}\nchannel {number}", images, scale) for number, images in zip(group.channels, group.mean, strict=True)]


def _spread_rows(group: GroupMaps) -> list[Row]:
    scale = Scale(SPREAD_MAP, spread_norm(group.spread), "s.d.")
    return [Row("", images, scale) for images in group.spread]
