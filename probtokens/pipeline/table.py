"""The scores of a run as a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

_FIELD = "temperature"


def score_table(scores: Mapping[str, Any]) -> Table:
    """One row for each model: errors and calibration of temperature T, errors of hot-spot area A_hs and temperature T_hs.

    Parameters
    ----------
    scores
        Content of ``scores.json``.
    """
    units = scores["units"]
    kelvin, area, hot = units["fields"][_FIELD], units["hotspot"]["area"], units["hotspot"]["temperature"]
    title = f"Test scores: {scores['n_test']} simulations, {scores['members']} members"
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column(Text("\n\nmodel"), no_wrap=True)
    for header in (
        ("", "meso", "runs"),
        ("T", "RMSE", f"[{kelvin}]"),
        ("T", "CRPS", f"[{kelvin}]"),
        ("T", "spread", "/skill"),
        ("T", "cover", "90 %"),
        ("A_hs", "CRPS", f"[{area}]"),
        ("T_hs", "CRPS", f"[{hot}]"),
    ):
        table.add_column(Text("\n".join(header)), justify="right", no_wrap=True, min_width=max(map(len, header)))
    for name, entry in scores["models"].items():
        field, curves = entry["fields"][_FIELD], entry["hotspot"]
        table.add_row(
            name,
            _number(entry["n_meso"], "d"),
            _number(field["rmse"], ".4g"),
            _number(field["crps"], ".4g"),
            _number(field["spread_skill"], ".2f"),
            _number(field.get("coverage_90"), ".2f"),
            _number(curves["area"]["crps"], ".3g"),
            _number(curves["temperature"]["crps"], ".3g"),
        )
    return table


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
