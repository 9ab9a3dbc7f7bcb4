"""Panels in rows and columns that survive many columns and long titles: wrapped into blocks, sized in inches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from probtokens.report.style import legend_rows, new_figure, wrap

#: Width of figures, as wide as the page [inch].
WIDTH = 11.6
_RIGHT, _MARGIN, _LINE, _X_LABEL = 0.2, 0.08, 0.165, 0.48
_Y_LABEL, _TICKS = 0.17, 0.62


def panel_grid(n_rows: int, n_columns: int) -> tuple[Figure, NDArray[Any]]:
    """Figure with axes (row, column) that :func:`arrange` is yet to place."""
    figure = new_figure(WIDTH, 1.0)
    return figure, np.array([[figure.add_axes((0, 0, 1, 1)) for _ in range(n_columns)] for _ in range(n_rows)], dtype=object)


def arrange(
    figure: Figure,
    grid: NDArray[Any],
    titles: Sequence[str],
    handles: Sequence[Any],
    *,
    x_label: str | Sequence[str],
    y_labels: Sequence[str] | Sequence[Sequence[str]],
    tall: float = 1.6,
    most: int = 4,
) -> None:
    """Place axes (row, column) under the titles of their columns and a legend, as wide as the page.

    Parameters
    ----------
    handles
        Lines of the legend, in its order.
    x_label
        What all panels have along x, told by the lowest of a block; or what those of each row have.
    y_labels
        What panels of each row have along y, told by the leftmost of a block, whose limits the others share; or each panel's own.
    tall
        Height of a panel [inch].
    most
        Columns of a block; further ones stand in blocks below.
    """
    n_rows, n_columns = grid.shape
    side = min(most, n_columns)
    own, shared_x = not isinstance(y_labels[0], str), isinstance(x_label, str)
    labels = [[wrap(text, tall) for text in ([row] * n_columns if isinstance(row, str) else row)] for row in y_labels]
    room = _TICKS + _Y_LABEL * max(text.count("\n") for row in labels for text in row)
    gap = room + 0.08 if own else 0.32
    key_labels = [str(handle.get_label()) for handle in handles]
    rows = legend_rows(key_labels, WIDTH - 2 * _MARGIN) if handles else 0
    least = WIDTH if rows > 1 else 7.6
    beside = room + (side - 1) * gap + _RIGHT
    wide = min((WIDTH - beside) / side, max(2.6 * tall, (least - beside) / side))
    between = 0.12 if shared_x else _X_LABEL + 0.05
    names = [wrap(title, wide) for title in titles]
    blocks = [range(first, min(first + side, n_columns)) for first in range(0, n_columns, side)]
    heads = [_MARGIN + _LINE * max(1 + names[c].count("\n") for c in block) for block in blocks]
    key = 0.19 * rows + _MARGIN if handles else 0.0
    height = key + sum(heads) + len(blocks) * (n_rows * tall + (n_rows - 1) * between + _X_LABEL)
    width = beside + side * wide
    figure.set_size_inches(width, height)
    top = height - key
    for block, head in zip(blocks, heads, strict=True):
        for r in range(n_rows):
            bottom = top - head - (r + 1) * tall - r * between
            for place, c in enumerate(block):
                axes: Axes = grid[r, c]
                axes.set_position(((room + place * (wide + gap)) / width, bottom / height, wide / width, tall / height))
                axes.set_title(names[c] if r == 0 else "")
                lowest, leftmost = r == n_rows - 1 or not shared_x, own or place == 0
                axes.set_xlabel((x_label if isinstance(x_label, str) else x_label[r]) if lowest else "")
                axes.set_ylabel(labels[r][c] if leftmost else "")
                axes.tick_params(labelbottom=lowest, labelleft=leftmost)
                axes.grid(alpha=0.25, linewidth=0.5)
        top -= head + n_rows * tall + (n_rows - 1) * between + _X_LABEL
    if handles:
        columns = -(-len(handles) // rows)
        figure.legend(handles, key_labels, loc="upper left", ncols=columns, bbox_to_anchor=(_MARGIN / width, 1.0), borderaxespad=0.2)


def few_ticks(axes: Axes, *, x: int = 4, y: int | None = 4) -> None:
    """At most so many round ticks."""
    for axis, count in ((axes.xaxis, x), (axes.yaxis, y)):
        if count is not None:
            axis.set_major_locator(MaxNLocator(count, steps=[1, 2, 2.5, 5, 10]))
