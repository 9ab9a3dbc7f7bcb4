"""Damages of heaps of texts over which the HDF5 library loops for ever, or fills gigabytes, are found before it opens the file."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr

from probtokens.data import read_info
from probtokens.data.the_well import heaps
from probtokens.data.the_well.hdf5 import opened
from probtokens.data.the_well.heaps import require_sound_heaps

OBJECTS = 16
TEXT = np.dtype([("length", "<u4"), ("address", "<u8"), ("number", "<u4")])


def overwrite(path: Path, offset: int, piece: bytes) -> int:
    """Put bytes into the first heap of a file; return where the heap begins."""
    content = bytearray(path.read_bytes())
    heap = content.index(b"GCOL")
    content[heap + offset : heap + offset + len(piece)] = piece
    path.write_bytes(content)
    return heap


def rewrite(path: Path, name: str, texts: np.ndarray) -> None:
    """Give the first chunk of a packed data set other lengths and places."""
    with h5py.File(path, "r+") as file:
        file[name].id.write_direct_chunk((0,), zlib.compress(texts.tobytes()))


def references(path: Path, name: str) -> np.ndarray:
    """Lengths and places of the texts of a data set that lies in a file as it is."""
    with h5py.File(path) as file:
        offset, size = file[name].id.get_offset(), file[name].id.get_storage_size()
    return np.frombuffer(path.read_bytes()[offset : offset + size], TEXT).copy()


def words(seed: int, count: int, longest: int) -> np.ndarray:
    return np.array(["ä" * length for length in np.random.default_rng(seed).integers(0, longest, count)], dtype=object)


def texts(file: h5py.File) -> None:
    file["words"] = words(0, 1000, 60)
    file.attrs.update({"one": "hello", "many": ["a", "bb"], "none": "", "table": np.array([["K"] * 2] * 3, dtype=object)})


def many_attributes(file: h5py.File) -> None:
    for number in range(200):
        file.attrs[f"name {number}"] = "t" * number
    file.attrs["texts"] = ["x" * 300] * 150


def groups(file: h5py.File) -> None:
    for number in range(60):
        file.create_group("/".join(f"g{level}" for level in range(number % 12)) + f"/h{number}").attrs["units"] = "K" * (number + 1)


def grown(file: h5py.File) -> None:
    kept = file.create_dataset("words", (0,), maxshape=(None,), dtype=h5py.string_dtype(), chunks=(64,))
    for number in range(10):
        kept.resize((len(kept) + 37,))
        kept[-37:] = words(number, 37, 100)
    kept.resize((100,))


def rewritten(file: h5py.File) -> None:
    """Heaps whose texts have gone are used again for other things."""
    for number in range(20):
        file[f"words {number}"] = words(number, 100, 120)
        file.attrs["unit"] = "s" * (37 * number % 501)
    for number in range(0, 20, 2):
        del file[f"words {number}"]
    file["words 1"][...] = words(9, 100, 2000)


def regions(file: h5py.File) -> None:
    kept = file.create_dataset("kept", data=np.arange(1000.0))
    kept.attrs["region"] = kept.regionref[2:500:3]
    file["axis"] = np.arange(1000.0)
    kept.dims[0].attach_scale(file["axis"])
    lists = file.create_dataset("lists", (50,), dtype=h5py.vlen_dtype("f8"))
    for number in range(50):
        lists[number] = np.arange(7.0 * number)


def packed(file: h5py.File) -> None:
    file.create_dataset("words", data=words(0, 500, 60), chunks=(100,), compression="gzip", shuffle=True)
    file.create_dataset("numbers", data=np.arange(500.0), chunks=(100,), compression="lzf", fletcher32=True)
    file.create_dataset("filled", (100,), dtype=h5py.string_dtype(), fillvalue="none")


def what_looks_like_a_heap(file: h5py.File) -> None:
    for number, rest in enumerate((b"\0", b"\xff")):
        file[f"bytes {number}"] = np.frombuffer(b"GCOL\x01\0\0\0" + 120 * rest, np.uint8)
    file.attrs["word"] = "GCOL\x01"


WRITERS = (texts, many_attributes, groups, grown, rewritten, regions, packed, what_looks_like_a_heap)
OPTIONS: tuple[dict[str, Any], ...] = (
    {"libver": "earliest"},
    {"libver": "latest"},
    {"libver": ("v110", "v110"), "track_order": True},
    {"userblock_size": 1024},
    {"fs_strategy": "page", "fs_persist": True},
    {"fs_strategy": "page"},
)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("write", WRITERS)
def test_sound_files_pass(tmp_path: Path, write: Callable[[h5py.File], None], options: dict[str, Any]) -> None:
    path = tmp_path / "b.hdf5"
    with h5py.File(path, "w", **options) as file:
        write(file)
    for number in range(3):
        with h5py.File(path, "a") as file:
            file.create_group(f"more {number}").attrs["units"] = "kg" * (number + 1)
            file[f"more {number}/words"] = words(number, 30, 90)
            if number == 1:
                del file[f"more {number - 1}"]
        require_sound_heaps(path)
        with opened(path) as file:
            assert len(file.find(f"more {number}/words").read()) == 30
            assert file.find(f"more {number}").text("units") == "kg" * (number + 1)


def test_sound_netcdf_passes(tmp_path: Path) -> None:
    data = xr.Dataset({"t": (("x", "y"), np.ones((20, 30))), "name": ("x", words(0, 20, 40))}, {"x": np.arange(20)}, {"title": "µ" * 500})
    for number, unlimited in enumerate(((), ("x",), ("x",))):
        data.rename(t=f"t{number}").to_netcdf(tmp_path / "a.nc", engine="h5netcdf", unlimited_dims=unlimited, mode="a" if number else "w")
        require_sound_heaps(tmp_path / "a.nc")


def test_damage_is_found_in_files_of_every_kind(tmp_path: Path) -> None:
    path = tmp_path / "b.hdf5"
    for options in OPTIONS:
        for number in (1, 30):  # attributes of newer files lie elsewhere where there are many
            with h5py.File(path, "w", **options) as file:
                file.attrs.update({f"name {i}": "some text" for i in range(number)})
            overwrite(path, OBJECTS, bytes(32))
            with pytest.raises(ValueError, match="b.hdf5: global heap at byte .*: expected a complete HDF5 file, got an object of 0 bytes"):
                require_sound_heaps(path)


@pytest.mark.parametrize("chunks", [None, (2,)])
def test_texts_of_a_data_set_are_looked_at_before_they_are_read(tmp_path: Path, chunks: tuple[int] | None) -> None:
    path = tmp_path / "b.hdf5"
    with h5py.File(path, "w") as file:
        file.create_dataset("material", data=np.array(["HMX", "RDX", "TNT"], dtype=object), chunks=chunks)
    sound = path.read_bytes()
    heap = sound.index(b"GCOL")
    with opened(path) as file:
        assert file.dataset("material").read().tolist() == [b"HMX", b"RDX", b"TNT"]
    length = sound.index(heap.to_bytes(8, "little")) - 4
    for damaged in (
        sound[: heap + OBJECTS] + bytes(32) + sound[heap + OBJECTS + 32 :],
        sound[:length] + (1 << 31).to_bytes(4, "little") + sound[length + 4 :],
    ):
        path.write_bytes(damaged)
        with (
            opened(path) as file,
            pytest.raises(ValueError, match="global heap at byte .*: expected a complete HDF5 file, got (a text|an object) of"),
        ):
            file.dataset("material").read()


FILTERS: tuple[dict[str, Any], ...] = (
    {"compression": "gzip"},
    {"compression": "gzip", "shuffle": True},
    {"compression": "gzip", "maxshape": (None,)},
)


@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_packed_texts_are_looked_at_before_they_are_read(tmp_path: Path, filters: dict[str, Any]) -> None:
    """Their places are packed too; a length that lies would take its memory, a hole of zeros would take for ever."""
    path, written = tmp_path / "b.hdf5", words(3, 50, 90)
    with h5py.File(path, "w") as file:
        file.create_dataset("words", data=written, chunks=(16,), **filters)
        file["plain"] = written
    with opened(path) as file:
        assert [text.decode() for text in file.dataset("words").read()] == list(written)
    sound = path.read_bytes()
    overwrite(path, OBJECTS, bytes(32))
    with opened(path) as file, pytest.raises(ValueError, match="b.hdf5: global heap at byte .*: expected a complete HDF5 file, got an obj"):
        file.dataset("words").read()
    path.write_bytes(sound)
    lie = references(path, "plain")[:16]
    lie["length"][3] = 1 << 30
    rewrite(path, "words", lie)
    with (
        opened(path) as file,
        pytest.raises(ValueError, match="expected a complete HDF5 file, got a text of 1073741824 bytes in a file of"),
    ):
        file.dataset("words").read()


def test_a_text_that_is_there_once_and_read_a_million_times(tmp_path: Path) -> None:
    path = tmp_path / "b.hdf5"
    with h5py.File(path, "w") as file:
        file["once"] = np.array(["x" * 60000], dtype=object)
        file.create_dataset("often", (100_000,), h5py.string_dtype(), chunks=(100_000,), compression="gzip")
        file.create_dataset("never", (200_000_000,), h5py.string_dtype(), chunks=(1_000_000,), compression="gzip")
    rewrite(path, "often", np.repeat(references(path, "once"), 100_000))
    with opened(path) as file:
        with pytest.raises(ValueError, match="got texts of 6000000000 bytes in all in a file of"):
            file.dataset("often").read()
        with pytest.raises(ValueError, match="b.hdf5: /never: expected texts of at most 268 MB in a file of .* kB, got 12.8 GB"):
            file.dataset("never").read()


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


def test_only_the_ends_of_large_files_are_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "b.hdf5"
    with h5py.File(path, "w") as file:
        file["first"] = np.zeros(9000, np.uint8)
        file.create_group("named").attrs["units"] = "some text"
        file["last"] = np.zeros(9000, np.uint8)
    overwrite(path, OBJECTS, bytes(32))
    content = path.read_bytes()
    attribute = content.index(b"units")
    before, after = attribute, len(content) - attribute
    for searched in (before + 200, after + 200):
        monkeypatch.setattr(heaps, "_SEARCHED", searched)
        with pytest.raises(ValueError, match="global heap"):
            require_sound_heaps(path)
    monkeypatch.setattr(heaps, "_SEARCHED", min(before, after))
    require_sound_heaps(path)


def test_tiny_files_pass_on_to_the_library(tmp_path: Path) -> None:
    for content in (b"", b"GCOL", b"GCOL\x01\0\0\0", b"GCOL\x01\0\0\0\xff", b"x" * 20):
        (tmp_path / "a.h5").write_bytes(content)
        require_sound_heaps(tmp_path / "a.h5")
