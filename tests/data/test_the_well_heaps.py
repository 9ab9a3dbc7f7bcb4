"""Damages of heaps of texts over which the HDF5 library loops for ever, or fills gigabytes, are found before it opens the file."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from probtokens.data import read_info
from probtokens.data.the_well import heaps
from probtokens.data.the_well.heaps import require_sound_heaps

OBJECTS = 16


def overwrite(path: Path, offset: int, piece: bytes) -> int:
    """Put bytes into the first heap of a file; return where the heap begins."""
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL")
    content[heap + offset : heap + offset + len(piece)] = piece
    path.write_bytes(content)
    return heap


def test_sound_files_pass(shard: Path, tmp_path: Path) -> None:
    require_sound_heaps(shard)
    for libver in ("earliest", "latest"):
        with h5py.File(tmp_path / "b.hdf5", "w", libver=libver) as file:
            file["words"] = np.array(["x" * length for length in range(3000)], dtype=object)
        assert (tmp_path / "b.hdf5").read_bytes().count(b"GCOL") > 10
        require_sound_heaps(tmp_path / "b.hdf5")


@pytest.mark.parametrize("offset", [OBJECTS, OBJECTS + 32, OBJECTS + 64])
def test_a_hole_of_zeros(shard: Path, offset: int) -> None:
    heap = overwrite(shard, offset, bytes(32))
    with pytest.raises(ValueError, match=f"shard_0000.hdf5: global heap at byte {heap}: expected a complete HDF5 file, got an object of 0"):
        read_info(shard)


@pytest.mark.parametrize("size", [1 << 20, (1 << 64) - 16, (1 << 64) - 1])
def test_an_object_beyond_its_heap(shard: Path, size: int) -> None:
    overwrite(shard, OBJECTS + 8, size.to_bytes(8, "little"))
    with pytest.raises(ValueError, match=f"expected a complete HDF5 file, got an object of {size} bytes"):
        read_info(shard)


def test_a_text_that_is_said_to_be_longer_than_the_file(shard: Path) -> None:
    """The library would ask for that much memory, fill it with zeros, and then find that the heap has less."""
    sound = shard.read_bytes()
    address = sound.index(b"GCOL").to_bytes(8, "little")
    places = [place for place in range(4, len(sound)) if sound.startswith(address, place)]
    assert len(places) > 4
    for place in places:
        for length, refused in ((1 << 31, True), (1 << 20, False)):  # other things than texts may precede an address
            shard.write_bytes(sound[: place - 4] + length.to_bytes(4, "little") + sound[place:])
            if refused:
                with pytest.raises(ValueError, match=f"expected a complete HDF5 file, got a text of {length} bytes in"):
                    require_sound_heaps(shard)
            else:
                require_sound_heaps(shard)


def test_only_the_ends_of_large_files_are_searched(shard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    overwrite(shard, OBJECTS, bytes(32))
    content = shard.read_bytes()
    monkeypatch.setattr(heaps, "_SEARCHED", 3000)
    for before, after, found in ((0, 9000, True), (9000, 0, False), (9000, 9000, False)):
        shard.write_bytes(bytes(before) + content[: 3000 if found else None] + bytes(after))
        if found:
            with pytest.raises(ValueError, match="global heap"):
                require_sound_heaps(shard)
        elif before and after:
            require_sound_heaps(shard)


def test_tiny_files_pass_on_to_the_library(tmp_path: Path) -> None:
    for content in (b"", b"GCOL", b"GCOL\x01\0\0\0", b"GCOL\x01\0\0\0\xff", b"x" * 20):
        (tmp_path / "a.h5").write_bytes(content)
        require_sound_heaps(tmp_path / "a.h5")
