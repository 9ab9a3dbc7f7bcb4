"""Messages about files: short, in one line, with all that helps."""

from __future__ import annotations

from pathlib import Path

import pytest

from probtokens.data.the_well.faults import MAX_MESSAGE, fault, listed, prefixed, printable


def test_a_short_message_is_whole() -> None:
    error = fault(Path("/data/a.hdf5"), "shape (2, 3)", (3, 2), where="/t0_fields/pressure")
    assert str(error) == "/data/a.hdf5: /t0_fields/pressure: expected shape (2, 3), got (3, 2)"


@pytest.mark.parametrize("length", [10, 200, 5000])
@pytest.mark.parametrize("part", ["path", "where", "expected", "got", "all"])
def test_a_long_message_keeps_a_bit_of_each_part(length: int, part: str) -> None:
    long = {key: "x" * length if part in (key, "all") else "" for key in ("path", "where", "expected", "got")}
    message = str(
        fault(Path(f"/{long['path']}/a.hdf5"), f"this{long['expected']}", f"that{long['got']}", where=f"{long['where']}/pressure")
    )
    assert len(message) <= MAX_MESSAGE
    assert all(piece in message for piece in ("a.hdf5: ", "/pressure: ", "expected this", "got that"))


def test_a_list_of_a_thousand_names_shows_the_first_and_the_number() -> None:
    text = listed(f"{i:04d}" for i in range(1000))
    assert text.startswith("['0000', '0001', ")
    assert text.endswith("… 1000 in all]")
    assert len(text) < 120
    assert listed([]) == "[]"
    assert len(listed(["x" * 1000, "y"])) < 120


def test_what_a_terminal_cannot_show_is_escaped() -> None:
    assert printable("a\nb\tc") == "a b c"
    assert printable("\udcb5m") == "\\udcb5m"
    assert printable("\x1b[31mred") == "\\x1b[31mred"
    str(fault(Path("/data/\udcff.hdf5"), "text", "\udcb5")).encode("utf-8")


def test_an_error_that_knows_its_file_is_kept() -> None:
    path = Path("/data/a.hdf5")
    known = ValueError(f"{path}: expected this, got that")
    assert prefixed(known, path, "x") is known
    assert str(prefixed(ValueError("expected this"), path, "units")) == "/data/a.hdf5: units: expected this"
    assert len(str(prefixed(ValueError("x" * 1000), path, "units"))) == MAX_MESSAGE
