"""The animation: truth, mean, spread and probability side by side, one picture a time, and all of them as a GIF."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from PIL import Image

from probtokens.data.atomic import replacing
from probtokens.report.filmstrip import main_rows
from probtokens.report.panels import Extent, Row, draw_outline, scale_bar, show_image
from probtokens.report.reduce import Strip
from probtokens.report.style import new_figure, render, with_unit, wrap
from probtokens.report.wording import decimals
from probtokens.units import in_unit

_PANEL_WIDTH = 3.6
_BAR_WIDTH = 0.12
_MARGINS = {"left": 0.55, "between": 1.15, "right": 0.9, "top": 0.62, "rows": 0.42, "bottom": 0.48}
_DPI = 90
#: How long a frame and the last one stay [ms].
_FRAME, _LAST = 160, 1200


def animation_frames(strip: Strip) -> Iterator[Image.Image]:
    """One picture for each time of ``strip``."""
    rows = main_rows(strip)
    figure, images = _figure(rows, strip.extent, strip.units.length)
    title = figure.text(0.5, 0.975, "", ha="center", va="top", fontsize=11, fontweight="bold")
    for frame, time in enumerate(strip.times):
        title.set_text(f"t = {in_unit(decimals(time), strip.units.time)}")
        for row, image in zip(rows, images, strict=True):
            _update(row, image, frame, strip.extent)
        yield render(figure, _DPI)


def write_gif(strip: Strip, path: Path) -> None:
    """Write the animation as a GIF that begins again after a pause."""
    first, *others = (frame.quantize(method=Image.Quantize.MEDIANCUT) for frame in animation_frames(strip))
    with replacing(path) as temporary:
        durations = [_FRAME] * len(others) + [_LAST]
        first.save(temporary, "gif", save_all=True, append_images=others, duration=durations, loop=0, optimize=False)


def _update(row: Row, image: AxesImage, frame: int, extent: Extent) -> None:
    image.set_data(row.images[frame])
    for outline in list(image.axes.collections):
        outline.remove()
    if row.contour is not None:
        draw_outline(image.axes, row.contour[frame], row.level, extent)


def _figure(rows: Sequence[Row], extent: Extent, unit: str) -> tuple[Figure, list[AxesImage]]:
    """Two columns of panels, each with its colour bar."""
    tall = _PANEL_WIDTH * (extent[3] - extent[2]) / (extent[1] - extent[0])
    n_lines = -(-len(rows) // 2)
    width = _MARGINS["left"] + 2 * _PANEL_WIDTH + _MARGINS["between"] + _MARGINS["right"]
    height = _MARGINS["top"] + n_lines * tall + (n_lines - 1) * _MARGINS["rows"] + _MARGINS["bottom"]
    figure = new_figure(width, height)
    images = []
    for number, row in enumerate(rows):
        line, column = divmod(number, 2)
        left = _MARGINS["left"] + column * (_PANEL_WIDTH + _MARGINS["between"])
        bottom = height - _MARGINS["top"] - tall - line * (tall + _MARGINS["rows"])
        axes = figure.add_axes((left / width, bottom / height, _PANEL_WIDTH / width, tall / height))
        axes.set_title(wrap(row.title.replace("\n", " "), _PANEL_WIDTH, bold=True), loc="left", fontweight="bold")
        axes.tick_params(labelleft=column == 0, labelbottom=line == n_lines - 1)
        axes.set(xlabel=with_unit("x", unit) if line == n_lines - 1 else "", ylabel=with_unit("y", unit) if column == 0 else "")
        images.append(show_image(axes, row, 0, extent))
        bar_box = ((left + _PANEL_WIDTH + 0.1) / width, bottom / height, _BAR_WIDTH / width, tall / height)
        scale_bar(figure, figure.add_axes(bar_box), row.scale, inches=tall)
    return figure, images
