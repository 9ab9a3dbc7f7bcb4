"""Pictures of a closure: rates against shock pressure, and burnt fractions against time."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, ScalarFormatter

from probtokens.ensembles import Floats
from probtokens.evaluate.scores import central_interval, quantile
from probtokens.predict.closure import LABELS, RATES
from probtokens.predict.closure_rates import Closure
from probtokens.report.panels import Scale, scale_bar
from probtokens.report.style import TRUTH_COLOR, legend_rows, model_color, new_figure, with_unit

_LEVEL = 0.9
_MOST_PANELS = 12
_COLUMNS = 4
_LEGEND_LINE = 0.19  # inch
_BAND = "#777777"


def rates_figure(closure: xr.Dataset, law: Closure | None) -> Figure:
    """Each rate against shock pressure, with 90 % bars, truths, and the band of the power laws at the mean porosity and pore size.

    Parameters
    ----------
    closure
        As :func:`probtokens.predict.closure.closure` returns it; with truths, a second row has forecasts against them.
    law
        Power laws of the draws, if there are any.
    """
    known = "ignition_time_truth" in closure
    rows = 1 + known
    width, height = 12.0, 0.75 + 3.0 * rows + 0.55 * (rows - 1)
    figure = new_figure(width, height)
    cells = figure.add_gridspec(
        rows, 3, left=0.065, right=0.9, top=1 - 0.45 / height, bottom=0.5 / height, wspace=0.3, hspace=0.55 * rows / (height - 0.95)
    )
    porosity = closure["porosity"].values
    norm = Normalize(porosity.min(), porosity.max() if np.ptp(porosity) > 0 else 1.1 * porosity.max())
    for number, name in enumerate(RATES):
        axes = figure.add_subplot(cells[0, number], sharex=figure.axes[0] if number else None)
        _against_pressure(axes, closure, name, law, norm)
        if known:
            _against_truth(figure.add_subplot(cells[1, number]), closure, name, norm)
    bar = figure.add_axes((0.925, 0.5 / height, 0.012, 1 - 0.95 / height))
    scale_bar(figure, bar, Scale("viridis", norm, "porosity"), inches=height - 0.95)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper left", ncols=len(labels), bbox_to_anchor=(0.055, 1.0))
    return figure


def _points(closure: xr.Dataset, name: str) -> tuple[Floats, Floats, Floats]:
    """Median, lower and upper end (simulation,) of the draws that have the quantity; NaN where fewer than half do."""
    ends = np.full((3, closure.sizes["simulation"]), np.nan)
    for number, draws in enumerate(closure[name].values.T):
        own = draws[np.isfinite(draws)]
        if len(own) >= max(2, 0.5 * len(draws)):
            ends[:, number] = quantile(own, 0.5), *central_interval(own, _LEVEL)
    return ends[0], ends[1], ends[2]


def _bars(axes: Axes, x: Floats, closure: xr.Dataset, name: str, norm: Normalize) -> None:
    middle, low, high = _points(closure, name)
    axes.errorbar(
        x, middle, yerr=(middle - low, high - middle), fmt="none", ecolor="#555555", elinewidth=1.1, zorder=2, label="90 % of draws"
    )
    axes.scatter(
        x,
        middle,
        c=closure["porosity"].values,
        cmap="viridis",
        norm=norm,
        s=26,
        zorder=3,
        edgecolor="white",
        linewidth=0.5,
        label="median draw",
    )


def _against_pressure(axes: Axes, closure: xr.Dataset, name: str, law: Closure | None, norm: Normalize) -> None:
    pressure = closure["shock_pressure"].values
    if law is not None and "shock_pressure" in law.varied:
        grid = np.geomspace(law.low["shock_pressure"], law.high["shock_pressure"], 81)
        others = law.centre["porosity"], law.centre["pore_size"]
        inside = grid[law.covers(grid, *others)]
        if len(inside):
            values = getattr(law.rates(inside, *others), name)
            low, high = central_interval(values, _LEVEL)
            label = "power laws at mean porosity and pore size, 90 % band"
            axes.fill_between(inside, low, high, color=_BAND, alpha=0.3, linewidth=0, label=label, zorder=1)
            axes.plot(inside, quantile(values, 0.5), color=_BAND, linewidth=1.0, zorder=1, label="their median")
    _bars(axes, pressure, closure, name, norm)
    if f"{name}_truth" in closure:
        axes.plot(pressure, closure[f"{name}_truth"].values, "x", color=TRUTH_COLOR, markersize=5, zorder=4, label="simulator")
    if np.isfinite(pressure).any():
        axes.set_xlim(0.9 * np.nanmin(pressure), 1.1 * np.nanmax(pressure))
    axes.set_xlabel("shock pressure [GPa]")
    axes.set_ylabel(with_unit(LABELS[name], RATES[name]))
    _log_axes(axes)


def _against_truth(axes: Axes, closure: xr.Dataset, name: str, norm: Normalize) -> None:
    truth = closure[f"{name}_truth"].values
    _bars(axes, truth, closure, name, norm)
    values = np.concatenate([truth, *_points(closure, name)])
    values = values[np.isfinite(values)]
    if len(values):
        ends = 0.85 * float(values.min()), 1.18 * float(values.max())
        axes.plot(ends, ends, color=TRUTH_COLOR, linewidth=0.8, zorder=1)
        axes.set_xlim(ends)
        axes.set_ylim(ends)
    axes.set_xlabel(with_unit(f"simulator's {LABELS[name]}", RATES[name]))
    axes.set_ylabel(with_unit("forecast", RATES[name]))
    _log_axes(axes)


def _log_axes(axes: Axes) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
        axis.set_major_formatter(ScalarFormatter())
        axis.set_minor_locator(LogLocator(subs=tuple(np.arange(1.0, 10.0)), numticks=12))
        axis.set_minor_formatter(NullFormatter())
    low, high = axes.get_xlim()
    if high < 2.6 * low:  # few of 1, 2 and 5 would be there
        axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.grid(alpha=0.25, linewidth=0.5)


def burnt_figure(closure: xr.Dataset, model: str) -> Figure:
    """Burnt fraction against time of up to twelve simulations in order of pressure: median, 50 % and 90 % bands, and truth."""
    order = np.argsort(closure["shock_pressure"].values, kind="stable")
    if len(order) > _MOST_PANELS:
        order = order[np.linspace(0, len(order) - 1, _MOST_PANELS).round().astype(int)]
    columns = min(_COLUMNS, len(order))
    rows = -(-len(order) // columns)
    width = 0.9 + 2.75 * columns
    figure = new_figure(width, 1.0 + 1.95 * rows)
    cells = figure.add_gridspec(rows, columns)
    time, color = closure["time"].values, model_color(model)
    for number, simulation in enumerate(order):
        axes, one = figure.add_subplot(cells[divmod(number, columns)]), closure.isel(simulation=simulation)
        draws = one["lambda"].values
        if len(draws) > 1:
            for level, shade in ((0.9, 0.2), (0.5, 0.38)):
                axes.fill_between(
                    time, *central_interval(draws, level), color=color, alpha=shade, linewidth=0, label=f"{100 * level:g} % of draws"
                )
        axes.plot(time, quantile(draws, 0.5), color=color, label="median draw")
        if "lambda_truth" in closure:
            axes.plot(time, one["lambda_truth"].values, color=TRUTH_COLOR, linewidth=1.1, label="simulator")
        axes.axvline(float(one["crossing_time"]), color="#999999", linewidth=0.8, linestyle=(0, (3, 2)), label="shock has crossed")
        axes.set_title(f"{float(one['shock_pressure']):.1f} GPa, φ {float(one['porosity']):.3f}, d {float(one['pore_size']):.2f} µm")
        axes.set_xlim(time[0], time[-1])
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.grid(alpha=0.25, linewidth=0.5)
        if number // columns == rows - 1 or number + columns >= len(order):
            axes.set_xlabel("time [ns]")
        if number % columns == 0:
            axes.set_ylabel("burnt fraction λ")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    lines = legend_rows(labels, width - 0.65)
    top = 0.62 + _LEGEND_LINE * (lines - 1)
    height = top + 1.95 * rows + 0.38
    figure.set_size_inches(width, height)
    sides = {"left": 0.7 / width, "right": 1 - 0.15 / width, "top": 1 - top / height, "bottom": 0.45 / height}
    figure.subplots_adjust(**sides, wspace=0.24, hspace=0.42)
    figure.legend(handles, labels, loc="upper left", ncols=-(-len(labels) // lines), bbox_to_anchor=(0.5 / width, 1.0))
    return figure
