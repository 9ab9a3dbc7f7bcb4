"""The page on data files says every limit as the code has it."""

from pathlib import Path

import pytest

from probtokens import limits

LIMITS = {name: value for name, value in vars(limits).items() if name.isupper() and name != "TYPE_CHECKING"}


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_is_documented(name: str) -> None:
    rows = [line for line in Path("docs/data_files.md").read_text(encoding="utf-8").splitlines() if f"`{name}`" in line]
    assert len(rows) == 1
    value, size = LIMITS[name], LIMITS[name] / 1024**2
    told = f"{size:g} MiB" if name.endswith("BYTES") or name == "ALWAYS_ALLOWED" else f"{value:,}".replace(",", " ")
    assert f"| {told} |" in rows[0]
