"""Pictures of simulations themselves: frames, hot-spot curves of a campaign, Hugoniots, burnt states."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from probtokens.fields import field_spec
from probtokens.report.panels import Extent, Layout, Row, Scale, draw_grid, time_titles
from probtokens.report.style import OTHER_COLORS, TRUTH_COLOR, field_map, field_norm, new_figure, with_unit
from probtokens.units import OUR_UNITS

Array = NDArray[np.floating]

_COLORS = ("#0072b2", "#d55e00", *OTHER_COLORS)


def frames_figure(frames: Mapping[str, Array], times: Array, extent: Extent) -> Figure:
    """Fields of one simulation as rows, times [ns] as columns.

    Parameters
    ----------
    frames
        Field name -> (time, y, x).
    extent
        Left, right, bottom and top of the domain [µm].
    """
    rows = []
    for name, values in frames.items():
        spec = field_spec(name)
        rows.append(Row(spec.label, values, Scale(field_map(name), field_norm(name, values), with_unit(spec.label, spec.unit))))
    layout = Layout()
    figure = new_figure(*layout.size(rows, len(times), extent))
    units = OUR_UNITS
    draw_grid(figure, rows, time_titles(times, units.time), extent, layout, units.length)
    return figure


def campaign_curves_figure(curves: Mapping[str, tuple[Array, Array, Array]], reference: tuple[Array, Array, Array] | None = None) -> Figure:
    """Hot-spot area and temperature against time, a thin line for each simulation and a thick one for their mean.

    Parameters
    ----------
    curves
        Label -> times [ns] (time,), area in per cent of the domain and temperature [K], both (simulation, time).
    reference
        Times [ns], areas [%] and temperatures [K] to mark, each (point,).
    """
    figure = new_figure(8.6, 3.1)
    axes = figure.subplots(1, 2)
    for color, (label, (times, *quantities)) in zip(_COLORS, curves.items(), strict=False):
        for panel, values in zip(axes, quantities, strict=True):
            panel.plot(times, values.T, color=color, linewidth=0.5, alpha=0.35)
            panel.plot(times, values.mean(axis=0), color=color, linewidth=2.2, label=label)
    if reference is not None:
        for panel, values in zip(axes, reference[1:], strict=True):
            panel.plot(reference[0], values, "o", color=TRUTH_COLOR, markersize=4, label="arXiv 2506.12996")
    for panel, label in zip(axes, ("hot-spot area [% of the domain]", "hot-spot temperature [K]"), strict=True):
        panel.set(xlabel="time [ns]", ylabel=label)
        panel.grid(alpha=0.25, linewidth=0.5)
    axes[0].legend(loc="upper left")
    figure.subplots_adjust(left=0.08, right=0.98, bottom=0.16, top=0.96, wspace=0.25)
    return figure


def hugoniot_figure(lines: Mapping[str, tuple[Array, Array]], points: Mapping[str, tuple[Array, Array]]) -> Figure:
    """Shock velocity against particle velocity [km/s]: references as lines, simulated shocks as points.

    Points take the colour of the line of the same label.
    """
    figure = new_figure(5.2, 3.4)
    axes = figure.subplots()
    colors = dict(zip(lines, _COLORS, strict=False))
    for label, (particle, shock) in lines.items():
        axes.plot(particle, shock, color=colors[label], label=label)
    for label, (particle, shock) in points.items():
        axes.plot(particle, shock, "o", color=colors[label], markersize=5, markerfacecolor="white", label=f"{label}, simulated")
    axes.set(xlabel="particle velocity u_p [km/s]", ylabel="shock velocity U_s [km/s]")
    axes.legend(loc="upper left")
    axes.grid(alpha=0.25, linewidth=0.5)
    figure.subplots_adjust(left=0.12, right=0.98, bottom=0.15, top=0.97)
    return figure


def volume_figure(pressures: Array, volumes: Mapping[str, Array]) -> Figure:
    """Specific volume [cm³/g] against pressure [GPa], one line for each label."""
    figure = new_figure(5.2, 3.0)
    axes = figure.subplots()
    for color, (label, volume) in zip(_COLORS, volumes.items(), strict=False):
        axes.plot(pressures, volume, color=color, label=label)
    axes.set(xlabel="pressure [GPa]", ylabel="specific volume [cm³/g]")
    axes.legend(loc="upper right")
    axes.grid(alpha=0.25, linewidth=0.5)
    figure.subplots_adjust(left=0.12, right=0.98, bottom=0.17, top=0.97)
    return figure
