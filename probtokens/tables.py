"""Tables for people, on a terminal or in a file: as wide as they need to be, never cut."""

from __future__ import annotations

import rich.console
from rich.measure import Measurement
from rich.table import Table


def print_table(screen: rich.console.Console, table: Table) -> None:
    """Print ``table`` at its natural width; a terminal that is narrower folds its lines."""
    available = screen.width
    needed = Measurement.get(screen, screen.options.update(width=10_000), table).maximum
    screen.width = max(available, needed)
    try:
        screen.print(table)
    finally:
        screen.width = available
