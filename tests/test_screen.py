"""Texts are shown as they are: never taken for markup, never broken, never cut."""

import io
import subprocess
import sys

import pytest
import rich.console
from rich.table import Table

from probtokens.screen import TextTable, print_table, say

#: What rich would take for styles, links, emoji, and ends of what has not begun.
TEXTS = [
    "[/]",
    "[m/s]",
    "rho [kg/m3]",
    "d[/b]",
    "[bold]x",
    "[link=http://x]y[/link]",
    "a\\[b]",
    ":warning:",
    "µ",
    "{x}",
    "a  b",
    "%s",
    "[[1]]",
]


def screens(stream):
    return rich.console.Console(file=stream, width=40), rich.console.Console(file=stream, width=40, markup=True, emoji=True, soft_wrap=True)


@pytest.mark.parametrize("kind", [0, 1], ids=["plain", "with markup"])
@pytest.mark.parametrize("text", TEXTS)
def test_texts_stand_for_themselves(text, kind):
    stream = io.StringIO()
    screen = screens(stream)[kind]
    say(screen, (text, "bold"), f" and {text}")
    assert stream.getvalue() == f"{text} and {text}\n"
    table = TextTable(title=text, caption=text)
    table.column(text)
    table.column("", text, numbers=True)
    table.row(text, text)
    print_table(screen, table)
    assert stream.getvalue().count(text) == 2 + 6


def test_no_line_is_broken():
    stream = io.StringIO()
    path = "/a/long path/with blanks" * 20
    say(rich.console.Console(file=stream, width=40), f"expected a file at {path}, found none")
    assert stream.getvalue() == f"expected a file at {path}, found none\n"


@pytest.mark.parametrize("make", [Table, TextTable])
def test_a_table_wider_than_the_screen_keeps_its_text(make):
    table = make()
    for number in range(12):
        table.add_column(f"a heading of column {number}", no_wrap=True)
    table.add_row(*("some text that takes room" for _ in range(12)))
    stream = io.StringIO()
    screen = rich.console.Console(file=stream, width=40)
    print_table(screen, table)
    assert stream.getvalue().count("some text that takes room") == 12
    assert "…" not in stream.getvalue()
    assert screen.width == 40


@pytest.mark.parametrize(("encoding", "shown"), [("ascii", b"\\xb5m \\u2265 \\U0001d6fc\n"), ("latin-1", b"\xb5m \\u2265 \\U0001d6fc\n")])
@pytest.mark.parametrize("stderr", [False, True])
def test_what_an_encoding_lacks_is_shown_by_its_number(encoding, shown, stderr):
    program = f"from probtokens.screen import open_screen, say; say(open_screen(stderr={stderr}), '\\xb5m \\u2265 \\U0001d6fc')"
    environment = {"PYTHONIOENCODING": encoding, "PYTHONPATH": ":".join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, env=environment, check=True)
    assert (done.stderr if stderr else done.stdout) == shown
