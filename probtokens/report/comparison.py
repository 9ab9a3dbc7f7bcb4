"""Two runs side by side: skill of the first over the second, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from probtokens.evaluate import Pair
from probtokens.report.style import model_color, model_label, new_figure, wrap

_NAME, _WIDTH, _ROW, _TOP, _BOTTOM, _LEFT = 2.4, 8.6, 0.36, 0.5, 0.85, 0.2


def comparison_figure(pairs: Sequence[Pair], labels: Mapping[tuple[str, str], str], runs: tuple[str, str]) -> Figure:
    """Skill 1 − first / second of every quantity (row), a dot for each model, with its interval where runs share simulations.

    Parameters
    ----------
    pairs
        What :func:`probtokens.evaluate.compare_documents` found.
    labels
        Name of each (part, name).
    runs
        Names of the first and the second run.
    """
    models, quantities = list(dict.fromkeys(pair.model for pair in pairs)), list(dict.fromkeys((pair.part, pair.name) for pair in pairs))
    names = [wrap(labels[quantity], _NAME) for quantity in quantities]
    row = max(_ROW, 0.15 * max(1 + name.count("\n") for name in names) + 0.08)
    height = _TOP + row * len(names) + _BOTTOM
    figure = new_figure(_WIDTH, height)
    left = _LEFT + _NAME
    axes = figure.add_axes((left / _WIDTH, _BOTTOM / height, 1 - (left + 0.25) / _WIDTH, row * len(names) / height))
    axes.axvline(0.0, color="#333333", linewidth=0.8)
    for k, model in enumerate(models):
        shift = 0.6 * ((k + 0.5) / len(models) - 0.5)
        own = [(quantities.index((pair.part, pair.name)) + shift, pair) for pair in pairs if pair.model == model]
        shown = [(place, *_skill(pair)) for place, pair in own]
        for place, skill, low, high in shown:
            axes.plot([low, high], [place, place], color=model_color(model), linewidth=1.4, solid_capstyle="butt")
            axes.plot(skill, place, "o", color=model_color(model), markersize=4)
        axes.plot([], [], "o-", color=model_color(model), label=model_label(model))
    axes.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.5, -0.5))
    axes.set_xlabel(wrap(f"CRPS of {runs[0]} below that of {runs[1]} [%], 95 % interval", _WIDTH - left))
    axes.grid(alpha=0.25, linewidth=0.5)
    figure.legend(loc="upper left", ncols=len(models), bbox_to_anchor=(left / _WIDTH, 1.0))
    return figure


def _skill(pair: Pair) -> tuple[float, float, float]:
    """Skill with its interval [%]; the interval is NaN where runs share no simulations."""
    if pair.paired is not None:
        return 100 * pair.paired.skill, 100 * pair.paired.skill_low, 100 * pair.paired.skill_high
    return 100 * (1 - pair.first / pair.second) if pair.second > 0 else np.nan, np.nan, np.nan
