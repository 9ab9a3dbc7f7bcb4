from __future__ import annotations

import os
from pathlib import Path

import pytest

from probtokens.data.atomic import WriteError, remove_leftovers, replacing


def test_content_appears_under_the_final_name_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.txt"
    with replacing(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.parent == path.parent
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_failure_keeps_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def interrupted() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_synced_before_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    sync, rename = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (calls.append("fsync"), sync(descriptor))[1])
    monkeypatch.setattr(os, "replace", lambda *names: (calls.append("replace"), rename(*names))[1])
    with replacing(tmp_path / "a.txt") as temporary:
        temporary.write_text("x")
    assert calls == ["fsync", "replace", "fsync"]


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    path = tmp_path / "file" / "a.txt"
    with pytest.raises(WriteError, match=rf"^{path}: cannot write: (Not a directory|File exists)"), replacing(path):
        raise AssertionError("not reached")


def test_an_error_of_the_system_while_writing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"

    def full() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            Path("/dev/full").write_text("x")

    with pytest.raises(WriteError, match=rf"^{path}: cannot write: No space left on device$"):
        full()
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_one_file_are_removed(tmp_path: Path) -> None:
    for name in (".a.txt.17.tmp", ".a.txt.4711.tmp", ".b.txt.17.tmp", "a.txt"):
        (tmp_path / name).write_text("")
    remove_leftovers(tmp_path / "a.txt")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".b.txt.17.tmp", "a.txt"]
