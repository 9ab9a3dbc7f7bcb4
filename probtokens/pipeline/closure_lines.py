"""What a closure says on the terminal: its agreement with the simulator, and the physicist's checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from probtokens.screen import TextTable

if TYPE_CHECKING:
    from probtokens.evaluate.closure import Agreement
    from probtokens.predict.ignition_growth import IgnitionGrowth

#: Scatter of a logarithm from which on the terms of cards are said to miss.
_MISSES = 0.3


def agreement_table(agreement: dict[str, Agreement], model: str) -> TextTable:
    """One row for each quantity: how forecasts agree with the simulator."""
    from probtokens.evaluate.closure import LEVEL
    from probtokens.predict.closure import RATES

    percent = f"{100 * LEVEL:g} %"
    table = TextTable(title=f"Closure of {model} against the simulator", caption="bias: of the median draw; (…): 90 % bootstrap interval")
    table.column("", "quantity")
    for header in (
        ("", "simulations"),
        (percent, "covers"),
        ("bias", ""),
        ("bias", "[%]"),
        ("half", "width"),
        ("", "RMSE"),
        ("", "CRPS"),
        ("", "unit"),
    ):
        table.column(*header, numbers=True)
    for name, row in agreement.items():
        unit = RATES.get(name, "1" if name == "lambda_end" else "1/ns")
        numbers = (
            [f"{value:.3g}" for value in (row.bias, 100 * row.relative_bias, row.half_width, row.rmse, row.crps)] if row.n else ["–"] * 5
        )
        covers = f"{row.coverage:.2f} ({row.coverage_low:.2f}–{row.coverage_high:.2f})" if row.n else "–"
        table.row(name, str(row.n), covers, *numbers, unit)
    return table


def scatter_lines(cards: Sequence[IgnitionGrowth]) -> list[str]:
    """Terms of the cards that do not fit, a sentence each."""
    lines = []
    for term in ("ignition", "growth"):
        middle = float(np.median([getattr(card, f"{term}_scatter") for card in cards])) if cards else 0.0
        if middle > _MISSES:
            lines.append(f"cards: the {term} term misses single simulations by {100 * middle:.0f} %; do not use it (closure.json has laws)")
    return lines


def check_lines(checks: dict[str, Any]) -> list[str]:
    """What the physicist's checks say, one sentence each."""
    lines = []
    for name, entry in checks["monotone"].items():
        if "exponent" in entry:
            low, middle, high = entry["exponent"]
            verb = "rises" if entry["expected_sign"] > 0 else "falls"
            lines.append(
                f"{name} ~ P_s^{middle:.2f} ({low:.2f} to {high:.2f}), {verb} with P_s in {100 * entry['share']:.0f} % of draws; "
                f"rank correlation {entry['kendall']:.2f}"
            )
    threshold, pulse = checks["threshold"], checks["p2_tau"]
    if threshold["lowest_ignited"] is None:
        lines.append("threshold: no simulation ignites")
    elif threshold["highest_not_ignited"] is None:
        lines.append(f"threshold: below {threshold['lowest_ignited']:.3g} GPa, the lowest pressure; every simulation ignites")
    else:
        lines.append(
            f"threshold: ignites from {threshold['lowest_ignited']:.3g} GPa; does not up to {threshold['highest_not_ignited']:.3g} GPa; "
            f"{threshold['not_ignited_above']} simulations above the former do not"
        )
    if pulse["n"] is not None:
        low, middle, high = pulse["n"]
        lines.append(
            f"P_s^n t_ign constant for n {middle:.2f} ({low:.2f} to {high:.2f}); "
            f"P_s² t_ign varies by {100 * pulse['variation']:.0f} % over simulations"
        )
    return lines
