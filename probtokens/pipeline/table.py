"""The scores of a run as a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from probtokens.fields import HotSpot


def score_table(scores: Mapping[str, Any]) -> Table:
    """One row for each model: errors and calibration of the field of hot spots, errors of their area A_hs and of the mean over it.

    Parameters
    ----------
    scores
        Content of ``scores.json``.
    """
    hotspot, units = HotSpot(**scores["hotspot"]), scores["units"]
    unit, (area, mean) = units["fields"][hotspot.field], (units["hotspot"][name] for name in hotspot.curves)
    symbol = "T" if hotspot.field == "temperature" else "F"
    title = f"Test scores: {scores['n_test']} simulations, {scores['members']} members"
    caption = f"{symbol}: {hotspot.field}; hs: where {symbol} > {hotspot.threshold:g}{'' if unit == '1' else f' {unit}'}"
    table = Table(
        title=title, title_justify="left", caption=caption, caption_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )
    table.add_column(Text("\n\nmodel"), no_wrap=True)
    for header in (
        ("", "meso", "runs"),
        (symbol, "RMSE", f"[{unit}]"),
        (symbol, "CRPS", f"[{unit}]"),
        (symbol, "spread", "/skill"),
        (symbol, "cover", "90 %"),
        ("A_hs", "CRPS", f"[{area}]"),
        (f"{symbol}_hs", "CRPS", f"[{mean}]"),
    ):
        table.add_column(Text("\n".join(header)), justify="right", no_wrap=True, min_width=max(map(len, header)))
    for name, entry in scores["models"].items():
        field, curves = entry["fields"][hotspot.field], entry["hotspot"]
        table.add_row(
            name,
            _number(entry["n_meso"], "d"),
            _number(field["rmse"], ".4g"),
            _number(field["crps"], ".4g"),
            _number(field["spread_skill"], ".2f"),
            _number(field.get("coverage_90"), ".2f"),
            _number(curves["area"]["crps"], ".3g"),
            _number(curves[hotspot.field]["crps"], ".3g"),
        )
    return table


def _number(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)
