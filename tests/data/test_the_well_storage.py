"""Values that are no numbers, were never written, lie elsewhere, or stand for none."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from probtokens import limits
from probtokens.data import TrajectorySet, read_frames, read_info, read_scalar
from probtokens.data.the_well import read_scalar_as_stored
from probtokens.data.the_well.storage import undeclared_missing

FIELD = "t0_fields/pressure"
SHAPE = (2, 4, 8, 6)


def redo(path: Path, name: str, **how: Any) -> h5py.Dataset:
    """Make a data set anew with the attributes of the old one."""
    with h5py.File(path, "r+") as file:
        attributes = dict(file[name].attrs)
        del file[name]
        file.create_dataset(name, **how).attrs.update(attributes)


def refuses(path: Path, message: str) -> None:
    """Check that only who asks for the pressure is refused, and before any frame is read."""
    info = read_info(path)
    assert "pressure" in info.fields
    read_frames(info, 0, ["temperature"])
    TrajectorySet.open(path.parent, ["temperature"], ["porosity"])
    for ask in (lambda: read_frames(info, 0, ["temperature", "pressure"]), lambda: TrajectorySet.open(path.parent, ["pressure"], [])):
        with pytest.raises(ValueError, match=message) as caught:
            ask()
        assert str(path) in str(caught.value)
        assert "/t0_fields/pressure" in str(caught.value)
        assert len(str(caught.value)) <= 300


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"data": np.ones(SHAPE) + 1j}, "got complex numbers"),
        ({"data": np.ones(SHAPE, "S8")}, "got text"),
        ({"data": np.full(SHAPE, "a", object), "dtype": h5py.string_dtype()}, "got text"),
        ({"data": np.ones(SHAPE, bool)}, "got booleans"),
        ({"data": np.ones(SHAPE, "i1"), "dtype": h5py.enum_dtype({"solid": 1, "void": 2}, basetype="i1")}, "got an enumeration"),
        ({"data": np.zeros(SHAPE, [("a", "f4"), ("b", "f4")])}, "got compound values"),
        ({"data": np.zeros(SHAPE, "V4")}, "got opaque values"),
        ({"shape": SHAPE, "dtype": np.dtype(("f4", (2,)))}, "got arrays as values"),
        ({"shape": SHAPE, "dtype": h5py.vlen_dtype("f4")}, "got lists of any length"),
        ({"shape": SHAPE, "dtype": h5py.ref_dtype}, "got references"),
    ],
)
def test_what_is_no_number_is_refused(shard: Path, how: dict[str, Any], message: str) -> None:
    redo(shard, FIELD, **how)
    refuses(shard, f"expected real numbers, {message}")


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", "i2", "u1", ">i8"])
def test_numbers_of_any_type_are_read(shard: Path, dtype: str) -> None:
    values = np.arange(np.prod(SHAPE)).reshape(SHAPE) % 100
    redo(shard, FIELD, data=values.astype(dtype))
    np.testing.assert_array_equal(read_frames(read_info(shard), 1, ["pressure"])[:, 0], np.swapaxes(values[1], -1, -2))


@pytest.mark.parametrize("chunks", [(1, 1, 8, 6), (2, 1, 8, 6), (1, 4, 3, 5)])
@pytest.mark.parametrize("compression", [None, "gzip"])
def test_chunks_that_were_never_written(shard: Path, chunks: tuple[int, ...], compression: str | None) -> None:
    redo(shard, FIELD, shape=SHAPE, dtype="f4", chunks=chunks, compression=compression, fillvalue=300.0)
    refuses(shard, r"expected \d+ chunks of values, got only 0 that were ever written")
    with h5py.File(shard, "r+") as file:
        file[FIELD][:, :3] = 1.0
        stored = file[FIELD].id.get_num_chunks()
    if stored < np.prod([-(-length // chunk) for length, chunk in zip(SHAPE, chunks, strict=True)]):
        refuses(shard, rf"got only {stored} that were ever written")
    with h5py.File(shard, "r+") as file:
        file[FIELD][:] = 1.0
    assert (read_frames(read_info(shard), 0, ["pressure"]) == 1.0).all()


def test_a_whole_data_set_that_was_never_written(shard: Path) -> None:
    redo(shard, FIELD, shape=SHAPE, dtype="f4")
    refuses(shard, "expected 1536 bytes of values, got none that were ever written")


@pytest.mark.parametrize("name", ["dimensions/time", "dimensions/x", "boundary_conditions/left/mask"])
def test_axes_and_masks_that_were_never_written(shard: Path, name: str) -> None:
    with h5py.File(shard) as file:
        shape, dtype = file[name].shape, file[name].dtype
    for chunks in (None, True):
        redo(shard, name, shape=shape, dtype=dtype, chunks=chunks)
        with pytest.raises(ValueError, match=rf"{name}: expected .*ever written"):
            read_info(shard)


def test_values_in_a_file_that_is_no_hdf5(shard: Path, tmp_path: Path) -> None:
    (tmp_path / "raw.bin").write_bytes(np.full(SHAPE, 777.0, "f4").tobytes())
    redo(shard, FIELD, shape=SHAPE, dtype="f4", external=[(str(tmp_path / "raw.bin"), 0, h5py.h5s.UNLIMITED)])
    refuses(shard, "expected values in the file itself")


def virtual(shard: Path, source: h5py.VirtualSource, where: Any = ..., chosen: Any = ...) -> None:
    """Put a virtual data set in place of the pressure, mapped on ``where``."""
    with h5py.File(shard, "r+") as file:
        attributes = dict(file[FIELD].attrs)
        del file[FIELD]
        layout = h5py.VirtualLayout(SHAPE, "f4")
        layout[where] = source[chosen]
        file["t0_fields"].create_virtual_dataset("pressure", layout, fillvalue=300.0).attrs.update(attributes)


def source_file(path: Path, **how: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset("a/p", **(how or {"data": np.full(SHAPE, 7.0, "f4")}))
    return path


@pytest.mark.parametrize("absolute", [True, False])
def test_a_virtual_data_set_whose_source_is_there(shard: Path, absolute: bool) -> None:
    source = source_file(shard.parent / "parts" / "b.h5")
    virtual(shard, h5py.VirtualSource(str(source) if absolute else "parts/b.h5", "a/p", SHAPE))
    assert (read_frames(read_info(shard), 0, ["pressure"]) == 7.0).all()


def test_a_virtual_data_set_of_the_file_itself(shard: Path) -> None:
    expected = read_frames(read_info(shard), 1, ["temperature"])
    virtual(shard, h5py.VirtualSource(".", "t0_fields/temperature", SHAPE))
    np.testing.assert_array_equal(read_frames(read_info(shard), 1, ["pressure"]), expected)


def test_a_virtual_data_set_whose_source_is_not_there(shard: Path) -> None:
    virtual(shard, h5py.VirtualSource("gone.h5", "a/p", SHAPE))
    refuses(shard, "expected the source 'gone.h5' of a virtual data set, got no such file")


def test_a_virtual_data_set_of_which_a_part_has_no_source(shard: Path) -> None:
    source_file(shard.parent / "parts" / "b.h5")
    virtual(shard, h5py.VirtualSource("parts/b.h5", "a/p", SHAPE), np.s_[:, :2], np.s_[:, :2])
    refuses(shard, "expected sources of all 384 values, got sources of 192")


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"shape": SHAPE, "dtype": "f4", "chunks": (1, 1, 8, 6)}, "ever written"),
        ({"data": np.ones(SHAPE, bool)}, "got booleans"),
        ({"data": np.ones((2, 2, 8, 6), "f4")}, r"a source of 384 values, got shape \(2, 2, 8, 6\) in b.h5"),
        ({"data": np.ones(383, "f4")}, r"a source of 384 values, got shape \(383,\) in b.h5"),
    ],
)
def test_a_virtual_data_set_whose_source_is_not_sound(shard: Path, how: dict[str, Any], message: str) -> None:
    source_file(shard.parent / "parts" / "b.h5", **how)
    virtual(shard, h5py.VirtualSource("parts/b.h5", "a/p", SHAPE))
    info = read_info(shard)
    with pytest.raises(ValueError, match=message):
        read_frames(info, 0, ["pressure"])


def test_a_virtual_data_set_of_a_part_that_its_source_has_no_longer(shard: Path) -> None:
    source_file(shard.parent / "parts" / "b.h5", data=np.ones((2, 5, 8, 6), "f4"))
    virtual(shard, h5py.VirtualSource("parts/b.h5", "a/p", (2, 6, 8, 6)), ..., np.s_[:, 2:6])
    refuses(shard, r"a source of shape \(2, 6, 8, 6\) or more, got shape \(2, 5, 8, 6\) in b.h5")


def test_virtual_data_sets_in_a_circle(shard: Path) -> None:
    virtual(shard, h5py.VirtualSource(".", FIELD, SHAPE))
    refuses(shard, "at most 4 virtual data sets one behind the other")


def set_attribute(path: Path, name: str, attribute: str, value: object) -> None:
    with h5py.File(path, "r+") as file:
        file[name].attrs[attribute] = value


@pytest.mark.parametrize("attribute", ["_FillValue", "missing_value"])
@pytest.mark.parametrize("fill", [1e20, -9999, 0.1, np.array([1e20], "f4")])
def test_a_declared_value_for_none(shard: Path, attribute: str, fill: Any) -> None:
    with h5py.File(shard, "r+") as file:
        file[FIELD].attrs[attribute] = fill
        file[FIELD][1, 2, 5, 3] = fill
    info = read_info(shard)
    message = (
        r"'pressure', simulation 1, frame 2: expected a value everywhere, got the value that stands for none, .* at \(y, x\) = \(3, 5\)"
    )
    with pytest.raises(ValueError, match=message):
        read_frames(info, 1, ["pressure"], 1)
    read_frames(info, 0, ["pressure"])
    read_frames(info, 1, ["temperature"])


@pytest.mark.parametrize("fill", [np.nan, h5py.Empty("f4"), "none"])
def test_a_declared_value_that_no_number_equals(shard: Path, fill: Any) -> None:
    set_attribute(shard, FIELD, "_FillValue", fill)
    read_frames(read_info(shard), 0, ["pressure"])


@pytest.mark.parametrize(
    ("attribute", "value", "sound"), [("scale_factor", 0.1, False), ("scale_factor", 1.0, True), ("add_offset", 273.15, False)]
)
def test_packed_values_are_not_taken_for_the_values(shard: Path, attribute: str, value: float, sound: bool) -> None:
    set_attribute(shard, FIELD, attribute, value)
    if sound:
        read_frames(read_info(shard), 0, ["pressure"])
    else:
        refuses(shard, f"expected values that are not packed .'{attribute}' absent or .*, got {value}")


@pytest.mark.parametrize("value", [1e30, -1e30, 9.969209968386869e36, 1e35, 3.4028234663852886e38])
def test_an_undeclared_value_for_none(shard: Path, value: float) -> None:
    with h5py.File(shard, "r+") as file:
        file[FIELD][1, 2, 5, 3] = value
    with pytest.raises(
        ValueError, match=r"'pressure', simulation 1: expected measured values, got .* GPa beside values a million times smaller"
    ):
        read_frames(read_info(shard), 1, ["pressure"])


def test_large_numbers_are_values() -> None:
    rng = np.random.default_rng(0)
    for scale in (1e20, 1e25, 1e30, 1e36):
        assert undeclared_missing(scale * rng.random((3, 4)).astype(np.float32)) is None
        assert undeclared_missing(np.full((3, 4), scale, np.float32)) is None
    assert undeclared_missing(np.array([0.0, 1e30], np.float32)) is None
    assert undeclared_missing(np.array([300.0, 1.5e30], np.float32)) is None
    assert undeclared_missing(np.array([300.0, -1e30], np.float32)) == pytest.approx(1e30)


def test_values_too_large_for_single_precision_are_refused_without_a_warning(shard: Path) -> None:
    redo(shard, FIELD, data=np.full(SHAPE, 1e300))
    with pytest.raises(ValueError, match="expected finite values in .*, got inf"):
        read_frames(read_info(shard), 0, ["pressure"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([b"HMX", b"RDX"]), r"expected real numbers, got \['HMX', 'RDX'\]"),
        (np.array([True, False]), "expected real numbers, got booleans"),
        (np.array([1.0, np.nan]), "expected finite values, got"),
        (np.array([1.0, 1e300]), r"expected finite values, got \[1.0, inf\]"),
        (np.array([1.0, 2j]), "expected real numbers, got complex"),
    ],
)
def test_a_scalar_that_is_no_number_is_refused_where_it_is_asked_for(shard: Path, values: np.ndarray, message: str) -> None:
    redo(shard, "scalars/porosity", data=values)
    info = read_info(shard)
    assert "porosity" in info.scalars
    TrajectorySet.open(shard.parent, ["pressure"], ["shock_pressure"])
    for ask in (lambda: read_scalar(info, "porosity"), lambda: TrajectorySet.open(shard.parent, ["pressure"], ["porosity"])):
        with pytest.raises(ValueError, match=message) as caught:
            ask()
        assert str(shard) in str(caught.value)
        assert "porosity" in str(caught.value)


def test_a_scalar_that_was_never_written(shard: Path) -> None:
    redo(shard, "scalars/porosity", shape=(2,), dtype="f4", chunks=(1,))
    with pytest.raises(ValueError, match="/scalars/porosity: expected 2 chunks of values"):
        read_scalar(read_info(shard), "porosity")


def test_a_scalar_with_a_declared_value_for_none(shard: Path) -> None:
    redo(shard, "scalars/porosity", data=np.array([0.1, -1.0]))
    set_attribute(shard, "scalars/porosity", "_FillValue", -1.0)
    with pytest.raises(ValueError, match=r"scalar 'porosity': expected finite values, got \[0.1.*, nan\]"):
        read_scalar(read_info(shard), "porosity")
    assert np.isnan(read_scalar_as_stored(read_info(shard), "porosity")).tolist() == [False, True]


def test_parameters_of_a_simulation_may_be_arrays_of_one(shard: Path) -> None:
    with h5py.File(shard, "r+") as file:
        file.attrs["gamma"] = np.array([[1.5]])
        file.attrs["flag"] = True
        file.attrs["simulation_parameters"] = ["gamma", "flag", "absent"]
    info = read_info(shard)
    assert info.scalars[-1] == "gamma"
    np.testing.assert_array_equal(read_scalar(info, "gamma"), [1.5, 1.5])


def compressed(name: str, shape: tuple[int, ...], dtype: str, chunks: tuple[int, ...]) -> Callable[[Path], None]:
    return lambda path: redo(path, name, shape=shape, dtype=dtype, chunks=chunks, compression="gzip")


@pytest.mark.parametrize(
    "harm",
    [
        compressed("dimensions/x", (10**11,), "f4", (1 << 16,)),
        compressed("dimensions/time", (10**8,), "f4", (1 << 16,)),
        compressed("dimensions/time", (10**8, 4), "f4", (1 << 16, 4)),
        compressed("boundary_conditions/left/mask", (10**11,), "?", (1 << 16,)),
        compressed("scalars/porosity", (10**9,), "f4", (1 << 16,)),
        compressed(FIELD, (10**9, 4, 8, 6), "f4", (64, 4, 8, 6)),
        compressed(FIELD, (2, 10**8, 8, 6), "f4", (1, 1024, 8, 6)),
    ],
)
def test_sizes_that_do_not_fit_together_are_refused_before_anything_is_read(shard: Path, harm: Callable[[Path], None]) -> None:
    harm(shard)
    with pytest.raises(ValueError, match="shard_0000.hdf5: /[a-z_0-9/]+: expected "):
        read_info(shard)


def test_a_chunk_that_no_memory_holds(shard: Path) -> None:
    redo(shard, FIELD, shape=SHAPE, dtype="f4", chunks=(1 << 11, 1 << 10, 8, 6), maxshape=(None, None, 8, 6), compression="gzip")
    with h5py.File(shard, "r+") as file:
        file[FIELD].id.write_direct_chunk((0, 0, 0, 0), b"\0" * 10)
    refuses(shard, "expected a chunk of at most 268 MB in a file of .* kB, got 403 MB")


def test_a_packed_chunk_that_unpacks_to_more_than_it_is(shard: Path) -> None:
    """The library would take 300 MB for these 300 kB, and drop all but the first kilobytes."""
    values = np.ones(SHAPE, np.float32)
    redo(shard, FIELD, data=values, chunks=SHAPE, compression="gzip")
    packer = zlib.compressobj(9)
    packed = b"".join([packer.compress(values.tobytes()), *(packer.compress(bytes(1 << 24)) for _ in range(18)), packer.flush()])
    with h5py.File(shard, "r+") as file:
        file[FIELD].id.write_direct_chunk((0, 0, 0, 0), packed)
    refuses(shard, "expected chunks of 1536 bytes, got one that unpacks to more at")


@pytest.mark.parametrize("how", [{}, {"fletcher32": True}, {"shuffle": True}, {"shuffle": True, "fletcher32": True}])
def test_large_packed_chunks_are_read(shard: Path, how: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probtokens.data.the_well.storage.ALWAYS_ALLOWED", 1000)
    values = np.random.default_rng(0).random(SHAPE, np.float32)
    redo(shard, FIELD, data=values, chunks=(1, 2, 8, 6), compression="gzip", **how)
    np.testing.assert_array_equal(
        np.squeeze(read_frames(read_info(shard), 1, ["pressure"])), values[1].swapaxes(1, 2)
    )  # files have x before y


def test_a_packed_chunk_that_is_packed_again_is_refused(shard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probtokens.data.the_well.storage.ALWAYS_ALLOWED", 1000)
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk(SHAPE)
    plan.set_deflate(9)
    plan.set_deflate(9)
    with h5py.File(shard, "r+") as file:
        attributes, values = dict(file[FIELD].attrs), file[FIELD][()]
        del file[FIELD]
        made = h5py.h5d.create(file.id, FIELD.encode(), h5py.h5t.NATIVE_FLOAT, h5py.h5s.create_simple(SHAPE), plan)
        h5py.Dataset(made)[...] = values
        file[FIELD].attrs.update(attributes)
    refuses(shard, "expected nothing but a checksum after gzip, got HDF5's filters ")


def test_a_grid_of_constant_fields_that_no_memory_holds(shard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "ALWAYS_ALLOWED", 500)
    monkeypatch.setattr(limits, "MAX_EXPANSION", 0)
    with pytest.raises(
        ValueError, match=r"/dimensions: expected one field of one simulation of at most 500 B in a file of .* kB, got 768 B"
    ):
        read_info(shard)


def test_a_simulation_that_expands_too_much(shard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    redo(shard, FIELD, data=np.zeros(SHAPE), chunks=(1, 1, 8, 6), compression="gzip")
    monkeypatch.setattr(limits, "ALWAYS_ALLOWED", 1000)
    monkeypatch.setattr(limits, "MAX_EXPANSION", 0)
    refuses(shard, "expected one simulation of at most 1 kB in a file of .*, got 1.54 kB")


def test_an_axis_for_every_simulation_is_read_as_a_whole(shard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    redo(shard, "dimensions/time", data=np.tile(np.arange(4.0), (2, 1)), chunks=(1, 4), compression="gzip")
    set_attribute(shard, "dimensions/time", "sample_varying", True)
    read_info(shard)
    monkeypatch.setattr(limits, "ALWAYS_ALLOWED", 63)
    monkeypatch.setattr(limits, "MAX_EXPANSION", 0)
    with pytest.raises(ValueError, match="/dimensions/time: expected values of at most 63 B in a file of .*, got 64 B"):
        read_info(shard)
