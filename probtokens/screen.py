"""What people read on a terminal or in a file: text as it is, lines and tables as long and wide as they need to be."""

from __future__ import annotations

import io
import sys

import rich.console
from rich.box import SIMPLE_HEAD
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text


def open_screen(*, stderr: bool = False) -> rich.console.Console:
    """Standard output, or standard error, for :func:`say` and :func:`print_table`; what its encoding lacks is shown by its number."""
    stream = sys.stderr if stderr else sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    return rich.console.Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)


def say(screen: rich.console.Console, *parts: str | tuple[str, str]) -> None:
    """Print one message, whose parts are texts or pairs of text and style.

    Brackets and colons in a part stand for themselves: names, units and paths are not markup. No line is broken, so that a
    path can be copied and a message found; a terminal that is narrower folds it.
    """
    screen.print(Text.assemble(*parts), soft_wrap=True)


class TextTable(Table):
    """A table in the house style, whose texts stand for themselves.

    Parameters
    ----------
    title, caption
        What stands above and below, on the left.
    gap
        Blanks between two columns.
    """

    def __init__(self, *, title: str = "", caption: str = "", gap: int = 1) -> None:
        super().__init__(
            title=Text(title, style="table.title") if title else None,
            title_justify="left",
            caption=Text(caption, style="table.caption") if caption else None,
            caption_justify="left",
            box=SIMPLE_HEAD,
            padding=(0, gap, 0, 0),
            pad_edge=False,
        )

    def column(self, *header: str, numbers: bool = False, fold: bool = False) -> None:
        """Add a column whose header has the given lines; one of numbers is aligned on the right."""
        self.add_column(
            Text("\n".join(header)),
            justify="right" if numbers else "left",
            no_wrap=not fold,
            min_width=max(map(len, header)) if numbers else None,
        )

    def row(self, *cells: str | Text) -> None:
        """Add a row."""
        self.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells))


def print_table(screen: rich.console.Console, table: Table) -> None:
    """Print ``table`` at its natural width; a terminal that is narrower folds its lines."""
    available = screen.width
    needed = Measurement.get(screen, screen.options.update(width=10_000), table).maximum
    screen.width = max(available, needed)
    try:
        screen.print(table)
    finally:
        screen.width = available


def next_step(screen: rich.console.Console, text: str) -> None:
    """Say what to do next: the last line of every command."""
    say(screen, ("next: ", "bold"), text)
