"""Colours, colour maps, shared norms and figure settings of all pictures."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import matplotlib.style
import numpy as np
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import FuncNorm, LogNorm, Normalize, PowerNorm
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FuncFormatter, NullFormatter
from numpy.typing import NDArray
from PIL import Image

TRUTH_COLOR = "#111111"
MODEL_LABELS = {
    "tokens": "meso tokens",
    "micro_tokens": "micro tokens",
    "parc": "PARC",
    "persistence": "persistence",
}
MODEL_COLORS = {
    "tokens": "#0072b2",
    "micro_tokens": "#44aa99",
    "parc": "#d55e00",
    "persistence": "#8a8a8a",
}
OTHER_COLORS = ("#cc79a7", "#e69f00", "#332288", "#661100")

FIELD_MAPS = {"temperature": "inferno", "pressure": "cividis", "solid_fraction": "gray"}
SPREAD_MAP = "viridis"
PROBABILITY_MAP = "magma"
SIGNED_MAP = "RdBu_r"

#: What hinting adds to the width of a text, and room of a legend's line beside its label [inch].
_HINTED, _HANDLE = 1.05, 0.55

_SETTINGS = {
    "text.parse_math": False,  # names and units stand for themselves
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.labelsize": 9.0,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#444444",
    "axes.formatter.useoffset": False,  # a tick says its value, also where all are nearly the same
    "axes.labelcolor": "#222222",
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.major.size": 3.0,
    "ytick.major.size": 3.0,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.5,
    "pdf.fonttype": 42,  # text that can be searched and edited
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


@contextmanager
def figure_style() -> Iterator[None]:
    """Apply the house settings inside the block, whatever the user's are, and restore those afterwards."""
    with matplotlib.style.context(["default", _SETTINGS]):
        yield


def new_figure(width: float, height: float) -> Figure:
    """Figure of ``width`` by ``height`` inches with an Agg canvas, unknown to pyplot."""
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def render(figure: Figure, dpi: float) -> Image.Image:
    """Draw a figure into an RGB image."""
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def png_bytes(figure: Figure, dpi: float) -> bytes:
    """Draw a figure into a PNG file."""
    buffer = io.BytesIO()
    render(figure, dpi).save(buffer, "png")
    return buffer.getvalue()


def model_label(name: str) -> str:
    """Name of a model as a reader should see it."""
    return MODEL_LABELS.get(name, name.replace("_", " "))


def model_color(name: str) -> str:
    """Colour of a model, the same in every figure; unknown names get a fixed spare one."""
    return MODEL_COLORS.get(name) or OTHER_COLORS[sum(map(ord, name)) % len(OTHER_COLORS)]


def with_unit(text: str, unit: str) -> str:
    """Text followed by its unit in brackets, unless it has none."""
    return text if unit == "1" else f"{text} [{unit}]"


def wrap(text: str, inches: float, *, size: float = 9.0, bold: bool = False) -> str:
    """Text in lines that fit ``inches`` at ``size`` points: broken between words, in words only where one is longer; breaks stay."""

    def fits(line: str) -> bool:
        return len(line) < 2 or _width(line, size, bold) <= inches

    lines = []
    for part in text.split("\n"):
        line = ""
        for word in part.split(" "):
            longer = f"{line} {word}" if line else word
            if fits(longer):
                line = longer
                continue
            lines += [line] if line else []
            line = word
            while not fits(line):
                end = next(k for k in range(len(line) - 1, 0, -1) if fits(line[:k]))
                lines.append(line[:end])
                line = line[end:]
        lines.append(line)
    return "\n".join(lines)


def legend_rows(labels: Sequence[str], inches: float) -> int:
    """Rows of a legend whose labels, 8.5 points, fit ``inches`` in columns of one width."""
    each = _HANDLE + max((_width(label, 8.5, bold=False) for label in labels), default=0.0)
    return -(-len(labels) // max(1, int(inches / each)))


def _width(text: str, size: float, bold: bool) -> float:
    """Width of a line in the house font [inch]; hinting at screen resolution may add a little."""
    font = FontProperties(family=str(_SETTINGS["font.family"]), weight="bold" if bold else "normal", size=size)
    return float(_HINTED * text_to_path.get_text_width_height_descent(text, font, ismath=False)[0] / 72)


def label_powers(axis: Axis) -> None:
    """Label a logarithmic axis at powers of ten, in plain characters."""
    raised = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
    axis.set_major_formatter(FuncFormatter(lambda value, _: "10" + str(round(np.log10(value))).translate(raised)))
    axis.set_minor_formatter(NullFormatter())


def field_map(name: str) -> str:
    """Perceptually uniform colour map of a field."""
    return FIELD_MAPS.get(name, "cividis")


def field_norm(name: str, truth: NDArray[np.floating]) -> Normalize:
    """Colour limits of a field, taken from the truth alone so that no forecast can move them.

    A temperature above zero that triples is shown on a logarithmic scale: 300 K, a 600 K shock and a 4000 K hot spot all stay
    visible, and what is colder than the scale begins is black. Fractions span 0 to 1 at least, others a ten-thousandth of their values.
    """
    low, high = (float(v) for v in np.nanquantile(truth, (0.001, 0.999)))
    if name.endswith("fraction"):
        return Normalize(0.0, max(high, 1.0))
    if name == "temperature" and 0 < low <= high / 3:
        return LogNorm(low, high, clip=True)
    return Normalize(low, low + (max(high - low, 1e-4 * abs(low)) or 1.0))


def spread_norm(*images: NDArray[np.floating]) -> Normalize:
    """Common colour limits of spreads and errors: zero to the 99.5 % quantile of all, square-root scale."""
    high = max(float(np.nanquantile(image, 0.995)) for image in images)
    return PowerNorm(0.5, 0.0, max(high, 1e-6))


def signed_norm(*images: NDArray[np.floating]) -> Normalize:
    """Common colour limits of differences, as far below zero as above: those of :func:`spread_norm`, square-root scale both ways."""
    high = spread_norm(*map(np.abs, images)).vmax
    assert high is not None
    return FuncNorm((lambda v: np.sign(v) * np.sqrt(np.abs(v)), lambda v: np.sign(v) * np.square(v)), -high, high)


def probability_norm() -> Normalize:
    """Colour limits of a probability."""
    return Normalize(0.0, 1.0)
