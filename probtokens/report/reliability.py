"""Are the uncertainties right? Coverage, PIT histograms, and scores by lead time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator
from numpy.typing import NDArray

from probtokens.fields import FieldSpec
from probtokens.report.grids import arrange, few_ticks, panel_grid
from probtokens.report.reduce import LEVELS, N_BINS, Reliability
from probtokens.report.style import model_color, model_label, with_unit
from probtokens.report.verdict import SPREAD_TARGET
from probtokens.report.wording import Wording

_TICKS = (0.0, 0.5, 1.0)
_RAW = {"color": "#9a9a9a", "linestyle": (0, (3, 1.5))}
_SPREAD_RANGE = (0.1, 10.0)
_SPREAD_TICKS = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
_SCORES = {"rmse": "RMSE", "crps": "fair CRPS", "spread_skill": "spread / skill"}


def calibration_figure(reliability: Sequence[Reliability], color: str) -> Figure:
    """Top: observed against nominal coverage of each field. Bottom: PIT histogram, flat if calibrated."""
    figure, grid = panel_grid(2, len(reliability))
    for column, result in enumerate(reliability):
        styles = _styles(result, color)
        upper, lower = grid[:, column]
        upper.plot([0, 1], [0, 1], color="#333333", linewidth=0.8, label="perfect")
        lower.axhline(1.0, color="#333333", linewidth=0.8)
        for version, style in styles.items():
            upper.plot(LEVELS, result.observed[version], **style)
            lower.stairs(result.pit[version], np.linspace(0, 1, N_BINS + 1), linewidth=1.3, **style)
        upper.set(xlim=(0, 1), ylim=(0, 1), yticks=_TICKS, xticks=_TICKS)
        lower.set(xlim=(0, 1), ylim=(0, None), xticks=_TICKS)
    highest = max(axes.get_ylim()[1] for axes in grid[1])
    for axes in grid[1]:
        axes.set_ylim(0, highest)
        few_ticks(axes, x=3)
    arrange(
        figure,
        grid,
        [result.spec.label for result in reliability],
        grid[0, 0].get_legend_handles_labels()[0],
        x_label=["nominal coverage", "PIT of the truth"],
        y_labels=["observed coverage", "density (1: calibrated)"],
    )
    return figure


def lead_figure(models: Mapping[str, Any], specs: Sequence[FieldSpec], wording: Wording) -> Figure:
    """RMSE, fair CRPS and spread/skill of every model by lead time, before (dashed) and after recalibration."""
    figure, grid = panel_grid(len(_SCORES), len(specs))
    labels = []
    for (score, label), row in zip(_SCORES.items(), grid, strict=True):
        for spec, axes in zip(specs, row, strict=True):
            for name, entry in models.items():
                _lead_lines(axes, name, entry, spec.name, score)
            few_ticks(axes, y=None)
            if score == "spread_skill":
                _spread_axes(axes)
            else:
                _error_axes(axes)
        labels.append([with_unit(label, "1" if score == "spread_skill" else spec.unit) for spec in specs])
    handles, _ = grid[0, 0].get_legend_handles_labels()
    arrange(figure, grid, [spec.label for spec in specs], handles, x_label=wording.time_label, y_labels=labels)
    return figure


def _lead_lines(axes: Axes, name: str, entry: Mapping[str, Any], field: str, score: str) -> None:
    values = entry["fields"][field]["by_lead"]
    time, color = values["time"], model_color(name)
    axes.plot(time, _numbers(values[score]), color=color, label=model_label(name))
    raw = entry.get("uncalibrated")
    if raw is not None and entry["members"] > 1 and score != "rmse":
        axes.plot(time, _numbers(raw["fields"][field]["by_lead"][score]), color=color, linewidth=1.0, linestyle=(0, (3, 1.5)))


def _error_axes(axes: Axes) -> None:
    """Logarithmic, so that persistence is seen and does not flatten the other lines; at least a factor of five, which has two ticks."""
    values = np.concatenate([_finite(line) for line in axes.lines])
    values = values[values > 0]
    low, high = (values.min(), values.max()) if len(values) else (1.0, 1.0)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.set_ylim(min(0.9 * low, 0.22 * high), 1.1 * high)


def _spread_axes(axes: Axes) -> None:
    """Logarithmic, so that half and double the right spread lie as far from 1."""
    values = np.concatenate([_finite(line) for line in axes.lines])
    ends = np.clip((values.min(), values.max()), *_SPREAD_RANGE) if len(values) else (1.0, 1.0)
    axes.axhspan(*SPREAD_TARGET, color="#2a9d4a", alpha=0.18, linewidth=0, zorder=0)
    axes.axhline(1.0, color="#333333", linewidth=0.7, zorder=0)
    axes.set_yscale("log")
    axes.set_yticks(_SPREAD_TICKS, labels=[f"{tick:g}" for tick in _SPREAD_TICKS])
    axes.minorticks_off()
    axes.set_ylim(min(0.45, 0.9 * ends[0]), max(2.2, 1.1 * ends[1]))


def _finite(line: Line2D) -> NDArray[np.float64]:
    values = np.asarray(line.get_ydata(), dtype=np.float64)
    return values[np.isfinite(values)]


def _styles(result: Reliability, color: str) -> dict[str, dict[str, Any]]:
    if "recalibrated" not in result.observed:
        return {"raw": {"color": color, "label": "ensemble, not recalibrated"}}
    return {"raw": {**_RAW, "label": "before recalibration"}, "recalibrated": {"color": color, "label": "after recalibration"}}


def _numbers(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
