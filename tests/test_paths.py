"""Names become paths below their folder, or an error."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probtokens.paths import inside

ROOT = Path("runs/quick")


def test_names_are_joined() -> None:
    assert inside(ROOT, "rollouts", "tokens.zarr") == Path("runs/quick/rollouts/tokens.zarr")


@pytest.mark.parametrize("parts", [("..",), ("a", "../../b"), ("/etc/passwd",), ("a", "/b"), ("",), (".",), (), ("a\0b",)])
def test_what_would_lead_outside_is_refused(parts: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="runs/quick: expected the name of something inside, got "):
        inside(ROOT, *parts)


@given(st.lists(st.text(alphabet="./\0ab", max_size=6), max_size=4))
def test_what_is_allowed_stays_inside(parts: list[str]) -> None:
    try:
        found = inside(ROOT, *parts)
    except ValueError:
        return
    assert found != ROOT
    assert found.resolve().is_relative_to(ROOT.resolve())
