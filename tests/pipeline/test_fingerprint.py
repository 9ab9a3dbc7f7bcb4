import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from probtokens.pipeline.fingerprint import file_digest, file_manifest, fingerprint

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3), max_leaves=4
)


@given(st.dictionaries(st.text(max_size=5), VALUES, max_size=4))
def test_order_of_keys_does_not_matter(settings):
    backwards = dict(reversed(settings.items()))
    assert fingerprint("stage", settings, {}) == fingerprint("stage", backwards, {})


@pytest.mark.parametrize(
    "other",
    [
        ("other", {"a": 1}, {"data": "x"}),
        ("stage", {"a": 2}, {"data": "x"}),
        ("stage", {"a": 1, "b": None}, {"data": "x"}),
        ("stage", {"a": 1}, {"data": "y"}),
        ("stage", {"a": 1}, {}),
    ],
)
def test_everything_counts(other):
    assert fingerprint(*other) != fingerprint("stage", {"a": 1}, {"data": "x"})


def test_the_format_version_counts(monkeypatch):
    before = fingerprint("stage", {}, {})
    monkeypatch.setattr("probtokens.pipeline.fingerprint.FORMAT_VERSION", -1)
    assert fingerprint("stage", {}, {}) != before


def test_the_manifest_changes_with_names_and_content_alone(tmp_path):
    (tmp_path / "train").mkdir()
    path = tmp_path / "train" / "a.hdf5"
    path.write_bytes(b"123")
    (tmp_path / "train" / "readme.txt").write_text("not data", encoding="utf-8")
    first = file_manifest(tmp_path, ["*/*.hdf5"])
    assert [name for name, _ in first] == ["train/a.hdf5"]
    os.utime(path, ns=(0, 1))
    assert file_manifest(tmp_path, ["*/*.hdf5"]) == first
    path.write_bytes(b"124")
    os.utime(path, ns=(0, 1))
    damaged = file_manifest(tmp_path, ["*/*.hdf5"])
    path.rename(path.with_name("b.hdf5"))
    assert len({str(found) for found in (first, damaged, file_manifest(tmp_path, ["*/*.hdf5"]))}) == 3


def test_a_file_is_read_once_until_it_changes(tmp_path, monkeypatch):
    path, read = tmp_path / "a", []
    digest = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda file, kind: read.append(1) or digest(file, kind))
    path.write_bytes(b"123")
    assert file_digest(path) == file_digest(path) == hashlib.sha256(b"123").hexdigest()
    assert len(read) == 1
    path.write_bytes(b"124")
    assert file_digest(path) == hashlib.sha256(b"124").hexdigest()
    assert file_digest(tmp_path / "none") is None
