"""Is the ensemble calibrated at every lead? The verdict as a map, and coverage and spread/skill against time, with targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from probtokens.fields import FieldSpec
from probtokens.report.grids import WIDTH, arrange, panel_grid
from probtokens.report.style import new_figure, with_unit, wrap
from probtokens.report.verdict import COVERAGE_TOLERANCE, SPREAD_TARGET, State, Verdict
from probtokens.report.wording import Wording

_LEVEL_COLORS = ("#0072b2", "#009e73", "#d55e00", "#cc79a7", "#e69f00")
_DASHES = (0, (3, 1.5))
_DOTS = (0, (1, 1.5))
_MOST_COLUMNS = 6
_STATE_COLORS = {
    State.RIGHT: "#009e73",
    State.NARROW: "#d55e00",
    State.WIDE: "#56b4e9",
    State.USELESS: "#444444",
    State.UNKNOWN: "#e4e6ea",
}
_NAME_WIDTH, _KEY, _AXIS = 2.3, 0.42, 0.48
_SPREAD_TICKS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)


def lead_calibration_figure(entry: Mapping[str, Any], specs: Sequence[FieldSpec], wording: Wording) -> Figure:
    """Top: share of truths inside the central intervals. Bottom: spread/skill. Both by time.

    One column for each field and hot-spot curve; dashed before recalibration, where there was one. Between dotted lines are
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
    columns = wording.quantities(specs)
    figure, grid = panel_grid(2, len(columns))
    levels = _levels(entry["fields"][specs[0].name]["by_lead"])
    for (*_, part, name), (upper, lower) in zip(columns, grid.T, strict=True):
        for scores, style in ((entry, "-"), (raw, _DASHES)):
            if scores is not None:
                _draw_lines(upper, lower, scores[part][name]["by_lead"], levels, style)
        _draw_chance(upper, lower, entry[part][name].get("by_chance"), levels)
    _finish_coverage(grid[0], levels)
    _finish_spread(grid[1])
    handles = _key(levels, chance=tells_chance(entry), recalibrated=raw is not None)
    titles, labels = [label for label, *_ in columns], ["observed coverage", "spread / skill"]
    arrange(figure, grid, titles, handles, x_label=wording.time_label, y_labels=labels, tall=1.7, most=_MOST_COLUMNS)
    return figure


def verdict_figure(verdict: Verdict) -> Figure:
    """State of every quantity (row) at every lead, with its CRPS beside that of persistence."""
    names = [wrap(quantity.label, _NAME_WIDTH) for quantity in verdict.states]
    tall = 0.2 + 0.14 * max(1 + name.count("\n") for name in names)
    height = _KEY + tall * len(names) + _AXIS
    figure = new_figure(WIDTH, height)
    left, right = _NAME_WIDTH + 0.25, 1.5
    axes = figure.add_axes((left / WIDTH, _AXIS / height, 1 - (left + right) / WIDTH, tall * len(names) / height))
    order, times = list(_STATE_COLORS), np.asarray(verdict.times)
    codes = [[order.index(state) for state in row] for row in verdict.states.values()]
    half = 0.5 * (times[1] - times[0] if len(times) > 1 else 1.0)
    box = (times[0] - half, times[-1] + half, len(names) - 0.5, -0.5)
    colors = ListedColormap(list(_STATE_COLORS.values()))
    axes.imshow(codes, cmap=colors, vmin=-0.5, vmax=len(order) - 0.5, extent=box, aspect="auto", interpolation="nearest")
    for row in range(1, len(names)):
        axes.axhline(row - 0.5, color="white", linewidth=2)
    axes.set(xlabel=with_unit("time", verdict.time_unit), yticks=range(len(names)), yticklabels=names)
    axes.tick_params(left=False)
    axes.spines[:].set_visible(False)
    beside = axes.secondary_yaxis("right")
    beside.set_yticks(range(len(names)), labels=["–" if skill is None else f"{100 * skill:.0f} %" for skill in verdict.skills.values()])
    beside.tick_params(right=False)
    beside.spines[:].set_visible(False)
    figure.text(1 - (right - 0.05) / WIDTH, 1 - 0.1 / height, "CRPS below\npersistence", ha="left", va="top", fontsize=8, color="#444444")
    found = {state for row in verdict.states.values() for state in row}
    handles = [Patch(color=color, label=state) for state, color in _STATE_COLORS.items() if state in found]
    figure.legend(handles=handles, loc="upper left", ncols=len(handles), bbox_to_anchor=(left / WIDTH, 1.0), borderaxespad=0.6)
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
        axes.set_ylim(0, 1)
        axes.yaxis.set_major_locator(MaxNLocator(5))


def _finish_spread(row: NDArray[Any]) -> None:
    """Logarithmic, so that half and double the right spread lie as far from 1."""
    found = np.concatenate([np.asarray(line.get_ydata(), dtype=np.float64) for axes in row for line in axes.lines])
    found = found[np.isfinite(found) & (found > 0)]
    low, high = (found.min(), found.max()) if len(found) else (1.0, 1.0)
    for axes in row:
        axes.axhspan(*SPREAD_TARGET, color="#222222", alpha=0.12, linewidth=0, zorder=0)
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
        axes.set_yscale("log")
        axes.set_yticks(_SPREAD_TICKS, labels=[f"{tick:g}" for tick in _SPREAD_TICKS])
        axes.minorticks_off()
        axes.set_ylim(max(0.1, min(0.45, 0.9 * low)), min(6.0, max(2.2, 1.1 * high)))


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
