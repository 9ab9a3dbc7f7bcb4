"""Colour bars on a logarithmic scale have ticks in any unit."""

from __future__ import annotations

import pytest
from matplotlib.colors import LogNorm

from probtokens.report.panels import Scale, scale_bar
from probtokens.report.style import new_figure


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (300, 4000, ["300", "400", "600", "1000", "1500", "2000", "3000", "4000"]),
        (20, 127, ["20", "30", "40", "60", "100"]),
        (0.02, 0.08, None),
    ],
)
def test_a_logarithmic_bar_has_ticks_within_its_range(low: float, high: float, expected: list[str] | None) -> None:
    figure = new_figure(4.0, 6.0)
    axes = figure.add_axes((0.1, 0.1, 0.1, 0.8))
    bar = scale_bar(figure, axes, Scale("viridis", LogNorm(low, high), "temperature"), inches=5.0)
    labels = [tick.get_text() for tick in bar.ax.get_yticklabels()]
    assert len(labels) >= 2
    assert expected is None or labels == expected
