"""The one picture of the README: a forecast, its uncertainty and what follows for the hot spots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from probtokens.data.atomic import replacing
from probtokens.report.curves import curve_labels, draw_curve
from probtokens.report.filmstrip import main_rows
from probtokens.report.panels import Layout, draw_grid, time_titles
from probtokens.report.reduce import Strip, reduce_strip, strip_frames
from probtokens.report.run import Run, open_run
from probtokens.report.style import figure_style, new_figure, png_bytes, wrap
from probtokens.report.wording import Wording

_DPI = 160
_LAYOUT = Layout(panel_width=1.5, left=1.55, right=0.0, top=0.32, bottom=0.48)
#: Sizes beside the colour bars: ticks of a curve's axis, a line of its label, the curves and the edge [inch].
_TICKS, _LINE, _CURVES_WIDTH, _EDGE = 0.5, 0.15, 2.75, 0.15
_KEY, _GAP = 0.42, 0.3


def hero_figure(run_dir: Path, path: Path) -> Path:
    """Write the picture of a run as PNG: truth, mean, spread and probability at four times, hot-spot curves beside.

    Raises
    ------
    ValueError
        If the run has no scores, no rollout or not the field of its hot spots.
    """
    run = open_run(run_dir)
    frames = strip_frames(run.rollouts[run.primary].sizes["time"], 4)
    with figure_style():
        picture = png_bytes(_draw(run, reduce_strip(run, run.field(run.hotspot.field), frames)), _DPI)
    with replacing(path) as temporary:
        temporary.write_bytes(picture)
    return path


def _draw(run: Run, strip: Strip) -> Figure:
    rows, titles = main_rows(strip), time_titles(strip.times, strip.units.time)
    width, height = _LAYOUT.size(rows, len(titles), strip.extent)
    alone = new_figure(width, height)
    draw_grid(alone, rows, titles, strip.extent, _LAYOUT, strip.units.length)
    labels = curve_labels(run.scores)
    tall = (height - _LAYOUT.top - _LAYOUT.bottom - _KEY - _GAP) / len(labels)
    labels = {name: wrap(label, tall) for name, label in labels.items()}
    left = alone.get_tightbbox().x1 + _TICKS + _LINE * max(1 + label.count("\n") for label in labels.values())
    layout = replace(_LAYOUT, right=left + _CURVES_WIDTH + _EDGE - width)
    figure = new_figure(left + _CURVES_WIDTH + _EDGE, height)
    draw_grid(figure, rows, titles, strip.extent, layout, strip.units.length)
    _draw_curves(figure, run, labels, left, tall)
    return figure


def _draw_curves(figure: Figure, run: Run, labels: Mapping[str, str], left: float, tall: float) -> None:
    """Curves above each other, ``left`` from the figure's edge and ``tall`` [inch]."""
    width, height = figure.get_size_inches()
    for q, (name, label) in enumerate(labels.items()):
        bottom = _LAYOUT.bottom + (len(labels) - 1 - q) * (tall + _GAP)
        axes = figure.add_axes((left / width, bottom / height, _CURVES_WIDTH / width, tall / height))
        draw_curve(axes, run.scores["models"], name, run.simulation, run.primary, run.rival)
        axes.set_ylabel(label)
        axes.set_ylim(bottom=0 if name == "area" else None)
        axes.grid(alpha=0.25, linewidth=0.5)
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
        axes.tick_params(labelbottom=q == len(labels) - 1)
        if q == 0:
            axes.legend(loc="lower left", bbox_to_anchor=(-0.03, 1.0), ncols=2, borderaxespad=0.2, handlelength=1.6, columnspacing=1.2)
    axes.set_xlabel(Wording.of(run.scores).time_label)
