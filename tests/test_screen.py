"""Tables are never cut."""

import io

import rich.console
from rich.table import Table

from probtokens.screen import print_table


def test_a_table_wider_than_the_screen_keeps_its_text():
    table = Table()
    for number in range(12):
        table.add_column(f"a heading of column {number}", no_wrap=True)
    table.add_row(*("some text that takes room" for _ in range(12)))
    stream = io.StringIO()
    screen = rich.console.Console(file=stream, width=40)
    print_table(screen, table)
    assert stream.getvalue().count("some text that takes room") == 12
    assert "…" not in stream.getvalue()
    assert screen.width == 40
