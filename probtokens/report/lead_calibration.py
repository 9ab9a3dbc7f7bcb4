"""Is the ensemble calibrated at every lead? Coverage and spread/skill of one model against time, with targets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from probtokens.fields import FieldSpec
from probtokens.report.style import new_figure
from probtokens.report.wording import Wording

#: Half width of the band around a nominal coverage, and the range of spread/skill, that a calibrated ensemble should keep to.
COVERAGE_TOLERANCE = 0.03
SPREAD_TARGET = (0.85, 1.15)
_LEVEL_COLORS = ("#0072b2", "#009e73", "#d55e00", "#cc79a7", "#e69f00")
_DASHES = (0, (3, 1.5))
_DOTS = (0, (1, 1.5))
_SPREAD_TICKS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
_MIN_WIDTH, _PANEL_WIDTH, _PANEL_HEIGHT = 7.6, 1.5, 1.7
_LEFT, _RIGHT, _TOP, _BOTTOM, _GAP = 0.75, 0.15, 0.8, 0.5, 0.12


def lead_calibration_figure(entry: Mapping[str, Any], specs: Sequence[FieldSpec], wording: Wording) -> Figure:
    """Top: share of truths inside the central intervals. Bottom: spread/skill. Both by time [ns].

    One column for each field, then the hot-spot curves; dashed before recalibration, where there was one. Between dotted lines are
    nine of ten forecasters that are right, with as few simulations; bands are what is wanted of many.

    Parameters
    ----------
    entry
        Entry of an ensemble in ``scores.json``.
    specs
        The fields.
    wording
        Names of the hot-spot curves.
    """
    raw = entry.get("uncalibrated")
    columns = [(spec.label, "fields", spec.name) for spec in specs]
    columns += [(label, "hotspot", name) for name, label in wording.curves.items()]
    width = max(_MIN_WIDTH, _LEFT + len(columns) * (_PANEL_WIDTH + _GAP) - _GAP + _RIGHT)
    height = _TOP + 2 * _PANEL_HEIGHT + _GAP + _BOTTOM
    figure = new_figure(width, height)
    edges = {"left": _LEFT / width, "right": 1 - _RIGHT / width, "top": 1 - _TOP / height, "bottom": _BOTTOM / height}
    space = {"wspace": _GAP / _PANEL_WIDTH, "hspace": _GAP / _PANEL_HEIGHT}
    grid = figure.subplots(2, len(columns), squeeze=False, sharex=True, sharey="row", gridspec_kw={**edges, **space})
    levels = _levels(entry["fields"][specs[0].name]["by_lead"])
    for (label, part, name), (upper, lower) in zip(columns, grid.T, strict=True):
        upper.set_title(label)
        for scores, style in ((entry, "-"), (raw, _DASHES)):
            if scores is not None:
                _draw_lines(upper, lower, scores[part][name]["by_lead"], levels, style)
        _draw_chance(upper, lower, entry[part][name].get("by_chance"), levels)
        lower.set_xlabel("time [ns]")
    _finish_coverage(grid[0], levels)
    _finish_spread(grid[1])
    handles = _key(levels, chance=tells_chance(entry), recalibrated=raw is not None)
    figure.legend(handles=handles, loc="upper left", ncols=math.ceil(len(handles) / 2), bbox_to_anchor=(0.5 * _LEFT / width, 1.0))
    return figure


def tells_chance(entry: Mapping[str, Any]) -> bool:
    """Whether an entry of ``scores.json`` says what chance makes of it: not of two members, nor in files of earlier versions."""
    return any(field.get("by_chance") is not None for field in entry["fields"].values())


def _levels(by_lead: Mapping[str, Any]) -> list[float]:
    """Nominal coverages in percent, ascending."""
    return sorted(float(key.removeprefix("coverage_")) for key in by_lead if key.startswith("coverage_"))


def _draw_lines(upper: Axes, lower: Axes, by_lead: Mapping[str, Any], levels: Sequence[float], style: Any) -> None:
    width = 1.5 if style == "-" else 1.0
    for level, color in zip(levels, _LEVEL_COLORS, strict=False):
        upper.plot(by_lead["time"], _numbers(by_lead[f"coverage_{level:g}"]), color=color, linestyle=style, linewidth=width)
    lower.plot(by_lead["time"], _numbers(by_lead["spread_skill"]), color="#222222", linestyle=style, linewidth=width)


def _draw_chance(upper: Axes, lower: Axes, by_chance: Mapping[str, Any] | None, levels: Sequence[float]) -> None:
    """What chance makes of the scores of a forecaster that is right."""
    if by_chance is None:
        return
    keys = [(lower, "spread_skill", "#222222")]
    keys += [(upper, f"coverage_{level:g}", color) for level, color in zip(levels, _LEVEL_COLORS, strict=False)]
    for axes, key, color in keys:
        for limit in by_chance[key].values():
            axes.plot(by_chance["time"], _numbers(limit), color=color, linestyle=_DOTS, linewidth=0.8)


def _finish_coverage(row: NDArray[Any], levels: Sequence[float]) -> None:
    for axes in row:
        for level, color in zip(levels, _LEVEL_COLORS, strict=False):
            share = level / 100
            axes.axhspan(share - COVERAGE_TOLERANCE, share + COVERAGE_TOLERANCE, color=color, alpha=0.16, linewidth=0, zorder=0)
        axes.grid(alpha=0.25, linewidth=0.5)
    row[0].set(ylim=(0, 1), ylabel="observed coverage")
    row[0].yaxis.set_major_locator(MaxNLocator(5))


def _finish_spread(row: NDArray[Any]) -> None:
    """Logarithmic, so that half and double the right spread lie as far from 1."""
    found = np.concatenate([np.asarray(line.get_ydata(), dtype=np.float64) for axes in row for line in axes.lines])
    found = found[np.isfinite(found) & (found > 0)]
    for axes in row:
        axes.axhspan(*SPREAD_TARGET, color="#222222", alpha=0.12, linewidth=0, zorder=0)
        axes.grid(alpha=0.25, linewidth=0.5)
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
    low, high = (found.min(), found.max()) if len(found) else (1.0, 1.0)
    row[0].set_yscale("log")
    row[0].set_yticks(_SPREAD_TICKS, labels=[f"{tick:g}" for tick in _SPREAD_TICKS])
    row[0].minorticks_off()
    row[0].set(ylim=(max(0.1, min(0.45, 0.9 * low)), min(6.0, max(2.2, 1.1 * high))), ylabel="spread / skill")


def _key(levels: Sequence[float], *, chance: bool, recalibrated: bool) -> list[Line2D]:
    handles = [Line2D([], [], color=color, label=f"{level:g} % interval") for level, color in zip(levels, _LEVEL_COLORS, strict=False)]
    handles.append(Line2D([], [], color="#222222", label="spread / skill"))
    if chance:
        handles.append(Line2D([], [], color="#777777", linewidth=0.8, linestyle=_DOTS, label="9 of 10 that are right"))
    if recalibrated:
        handles.append(Line2D([], [], color="#777777", linewidth=1.0, linestyle=_DASHES, label="before recalibration"))
    return handles


def _numbers(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
