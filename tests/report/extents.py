"""Where texts of a figure are: for tests that none leaves the figure or lies over another."""

from __future__ import annotations

from itertools import combinations

from matplotlib.figure import Figure
from matplotlib.text import Text

#: Two texts may touch by so many pixels.
_TOUCH = 1.5


def faults(figure: Figure) -> list[str]:
    """Texts that lie over others or leave the figure, in words."""
    figure.set_dpi(100)
    figure.canvas.draw()
    boxes = [(text.get_text(), text.get_window_extent()) for text in _texts(figure)]
    whole = figure.bbox
    found = [
        f"{name!r} leaves the figure"
        for name, box in boxes
        if box.x0 < whole.x0 - _TOUCH or box.y0 < whole.y0 - _TOUCH or box.x1 > whole.x1 + _TOUCH or box.y1 > whole.y1 + _TOUCH
    ]
    for (first, one), (second, other) in combinations(boxes, 2):
        wide, tall = min(one.x1, other.x1) - max(one.x0, other.x0), min(one.y1, other.y1) - max(one.y0, other.y0)
        if wide > _TOUCH and tall > _TOUCH:
            found.append(f"{first!r} over {second!r}")
    return found


def _texts(figure: Figure) -> list[Text]:
    texts = [*figure.texts]
    legends = [*figure.legends]
    for axes in figure.axes:
        children = [axes, *axes.child_axes]
        for part in children:
            texts += [part.title, part._left_title, part._right_title, *part.texts]
            legends += [part.legend_] if part.legend_ is not None else []
            for axis in (part.xaxis, part.yaxis):
                texts.append(axis.label)
                for tick in axis._update_ticks():
                    texts += [tick.label1, tick.label2]
    texts += [text for legend in legends for text in legend.get_texts()]
    return [text for text in texts if text.get_visible() and text.get_text().strip()]
