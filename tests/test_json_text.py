"""JSON files of runs, read without trust."""

from __future__ import annotations

from pathlib import Path

import pytest

from probtokens import json_text
from probtokens.json_text import read_json


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    path.write_text('{"name": "µ", "values": [1, 2.5, null]}', encoding="utf-8")
    assert read_json(path, "scores") == {"name": "µ", "values": [1, 2.5, None]}


@pytest.mark.parametrize("content", [b"", b'{"a": 1', b"\xff\xfe{}", b"[" * 100_000])
def test_what_is_no_json_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"scores\.json: expected scores, got ") as caught:
        read_json(path, "scores")
    assert len(str(caught.value)) - len(str(path)) <= 200


def test_missing_files_folders_and_files_that_are_too_large_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="expected scores, found none"):
        read_json(tmp_path / "none.json", "scores")
    with pytest.raises(ValueError, match="expected scores, found something else"):
        read_json(tmp_path, "scores")
    path = tmp_path / "scores.json"
    path.write_text("[1, 2, 3]", encoding="utf-8")
    monkeypatch.setattr(json_text, "MAX_JSON_BYTES", 8)
    with pytest.raises(ValueError, match="expected scores of at most 8 bytes, got 9"):
        read_json(path, "scores")
