"""What other programs put into HDF5 files: links, types of attributes, encodings, things that are no files."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from probtokens.data import TrajectorySet, read_info
from probtokens.data.the_well.hdf5 import naming
from probtokens.data.the_well.plain import as_text, plain, single

Edit = Callable[[h5py.File], None]

LATIN = "µm".encode("latin-1")


def set_to(name: str, attribute: str, value: object) -> Edit:
    def edit(file: h5py.File) -> None:
        file[name].attrs[attribute] = value

    return edit


def link_to(name: str, link: object) -> Edit:
    def edit(file: h5py.File) -> None:
        del file[name]
        file[name] = link

    return edit


def move_and_link(name: str, *links: str) -> Edit:
    """Move an object to /kept and reach it by links, each to the next."""

    def edit(file: h5py.File) -> None:
        file.move(name, "/kept")
        for link, target in zip((name, *links), (*links, "/kept"), strict=True):
            file[link] = h5py.SoftLink(target)

    return edit


def text_of_any_length(name: str, attribute: str, value: bytes) -> Edit:
    def edit(file: h5py.File) -> None:
        file[name].attrs.create(attribute, value, dtype=h5py.string_dtype())

    return edit


def many_links(file: h5py.File) -> None:
    """Links to paths of links, which take ages where each is followed on its own."""
    for level in range(12):
        file[f"l{level}"] = h5py.SoftLink("/" + f"l{level + 1}/" * 12)
    file["l12"] = h5py.SoftLink("/")
    link_to("t0_fields/pressure", h5py.SoftLink("/l0"))(file)


def harmed(shard: Path, edit: Edit) -> Path:
    with h5py.File(shard, "r+") as file:
        edit(file)
    return shard


@pytest.mark.parametrize(
    "edit",
    [
        set_to("/", "n_trajectories", np.array([2])),
        set_to("/", "n_trajectories", np.array([[2.0]])),
        set_to("/", "simulation_parameters", h5py.Empty("f4")),
        set_to("/", "simulation_parameters", h5py.Empty(h5py.string_dtype())),
        set_to("/", "simulation_parameters", np.array([])),
        set_to("t2_fields", "field_names", h5py.Empty("f8")),
        set_to("t2_fields", "field_names", np.zeros(0, "S1")),
        set_to("t1_fields", "field_names", "velocity"),
        set_to("t1_fields", "field_names", np.array([b"velocity   "])),
        set_to("dimensions/x", "units", np.bytes_(LATIN)),
        set_to("dimensions/x", "units", [np.bytes_(LATIN)]),
        set_to("dimensions/x", "units", h5py.Empty("S1")),
        text_of_any_length("dimensions/x", "units", LATIN),
        set_to("t0_fields/pressure", "sample_varying", np.array([1], "i1")),
        set_to("t0_fields/pressure", "time_varying", 1.0),
        set_to("t0_fields/pressure", "dim_varying", np.array([1, 1], "u1")),
        set_to("boundary_conditions/left", "bc_type", np.array([b"open "])),
        move_and_link("t0_fields/pressure"),
        move_and_link("t0_fields", "/one", "/two"),
        move_and_link("dimensions/x", "/scalars/x"),
        move_and_link("dimensions/x", "/./scalars/.//x"),
    ],
)
def test_the_same_said_otherwise_is_read_alike(shard: Path, edit: Edit) -> None:
    before = read_info(shard)
    frames = TrajectorySet.open(shard.parent, ["pressure", "velocity_y"], ["porosity"]).frames(1)
    after = read_info(harmed(shard, edit))
    assert (after.grid, after.fields, after.units, after.boundary, after.scalars) == (
        before.grid,
        before.fields,
        before.units,
        before.boundary,
        before.scalars,
    )
    np.testing.assert_array_equal(TrajectorySet.open(shard.parent, ["pressure", "velocity_y"], ["porosity"]).frames(1), frames)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (set_to("/", "n_trajectories", np.array([1, 1])), r"attribute 'n_trajectories' to be a whole number, got \[1, 1\]"),
        (set_to("/", "n_trajectories", 1.5), "a whole number, got 1.5"),
        (set_to("/", "n_trajectories", np.nan), "a whole number, got nan"),
        (set_to("/", "n_trajectories", True), "a whole number, got True"),
        (set_to("/", "n_trajectories", "two"), "a whole number, got 'two'"),
        (set_to("/", "n_trajectories", h5py.Empty("i4")), "a whole number, got None"),
        (set_to("/", "n_trajectories", 0), "in 1..1000000, got 0"),
        (set_to("/", "n_trajectories", 10**9), "in 1..1000000, got 1000000000"),
        (set_to("/", "simulation_parameters", 5), r"attribute 'simulation_parameters' to be a list of names, got \[5\]"),
        (set_to("t0_fields", "field_names", [1.0, 2.0]), r"attribute 'field_names' to be a list of names, got \[1.0, 2.0\]"),
        (set_to("t0_fields", "field_names", ["/dimensions/x"]), "a name of a member, got '/dimensions/x'"),
        (set_to("t0_fields", "field_names", [".."]), "a name of a member, got '..'"),
        (set_to("t0_fields", "field_names", [""]), "a name of a member, got ''"),
        (set_to("t0_fields/pressure", "sample_varying", "no"), r"'sample_varying' to be true or false, got \['no'\]"),
        (set_to("t0_fields/pressure", "time_varying", [True, True]), r"'time_varying' to be true or false, got \[True, True\]"),
        (set_to("t0_fields/pressure", "dim_varying", [1, 2]), r"'dim_varying' to be true or false, got \[1, 2\]"),
        (set_to("t0_fields/pressure", "units", 3.0), "'units' to be text, got 3.0"),
        (set_to("dimensions/x", "units", np.bytes_(b"\xb5s")), "expected a unit of the dimension of 'µm', got 'µs'"),
        (set_to("boundary_conditions/left", "bc_type", h5py.Empty("S1")), "'bc_type' one of .*got ''"),
        (link_to("t0_fields/pressure", h5py.SoftLink("/nope")), "'pressure' to lead to an object, got a link, but no 'nope' in '/'"),
        (link_to("t0_fields/pressure", h5py.SoftLink("pressure")), "'pressure' to lead to an object, got more than 16 links"),
        (link_to("t0_fields/pressure", h5py.ExternalLink("gone.h5", "/p")), "in the file itself, got a link to '/p' in 'gone.h5'"),
        (link_to("t0_fields", h5py.ExternalLink("gone.h5", "/t")), "'t0_fields' in the file itself, got a link to '/t' in 'gone.h5'"),
        (link_to("t0_fields/pressure", np.dtype("f4")), "/t0_fields/pressure: expected a data set, got a named type"),
        (link_to("t0_fields/pressure", h5py.SoftLink("temperature/x")), "expected a group with 'x', got a data set"),
        (link_to("t0_fields/pressure", h5py.SoftLink("/")), "/: expected a data set, got a group"),
        (many_links, "'pressure' to lead to an object, got more than 16 links"),
        (link_to("t0_fields", 1.0), "/t0_fields: expected a group, got a data set"),
        (link_to("dimensions/x", h5py.Empty("f4")), "/dimensions/x: expected a data set with values, got an empty one"),
    ],
)
def test_what_cannot_be_understood_is_named(shard: Path, edit: Edit, message: str) -> None:
    harmed(shard, edit)
    with pytest.raises(ValueError, match=message) as caught:
        read_info(shard)
    assert str(shard) in str(caught.value)
    assert len(str(caught.value)) <= 300


def test_an_external_link_is_refused_also_where_its_file_is_there(shard: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = shard.rename(tmp_path / "other" / "b.hdf5")
    for place in ("t0_fields", "elsewhere"):
        with h5py.File(other) as source, h5py.File(shard, "w") as file:
            for name in source:
                source.copy(name, file)
            file.attrs.update(source.attrs)
            del file["t0_fields"]
            file[place] = h5py.ExternalLink("other/b.hdf5", "/t0_fields")
            if place != "t0_fields":
                file["t0_fields"] = h5py.SoftLink("/elsewhere")
        with pytest.raises(ValueError, match=rf"shard_0000.hdf5: /: expected '{place}' in the file itself"):
            read_info(shard)


def test_a_file_of_another_layout_gets_a_short_message(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        for number in range(1000):
            file.create_group(f"{number:04d}/grid")
    with pytest.raises(ValueError, match=r"other.h5: expected 'dimensions' in '/', got \['0000', .*… 1000 in all\]") as caught:
        read_info(tmp_path / "other.h5")
    assert len(str(caught.value)) <= 300


def test_a_field_whose_stored_name_is_latin_1(shard: Path) -> None:
    with h5py.File(shard, "r+") as file:
        file.move("t0_fields/pressure", b"t0_fields/\xb5")
        file["t0_fields"].attrs["field_names"] = np.array([b"\xb5", b"temperature"])
    info = read_info(shard)
    assert "µ" in info.fields
    assert TrajectorySet.open(shard.parent, ["µ"], []).frames(0).max() > 1.0


def test_what_is_no_regular_file_is_not_opened(tmp_path: Path) -> None:
    kinds = {"fifo": "a FIFO", "folder": "a folder", "socket": "a socket", "zero": "a device", "loop": ""}
    os.mkfifo(tmp_path / "fifo.hdf5")
    (tmp_path / "folder.hdf5").mkdir()
    (tmp_path / "zero.hdf5").symlink_to("/dev/zero")
    (tmp_path / "loop.hdf5").symlink_to("loop.hdf5")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(".", os.O_RDONLY)
        os.chdir(tmp_path)  # names of sockets are limited to some hundred characters
        try:
            listener.bind("socket.hdf5")
        finally:
            os.fchdir(here)
            os.close(here)
        for name, kind in kinds.items():
            with pytest.raises(ValueError, match=rf"{name}.hdf5: expected a complete HDF5 file, got {kind}"):
                read_info(tmp_path / f"{name}.hdf5")


def test_names_of_paths_may_be_text(shard: Path) -> None:
    assert read_info(str(shard)).path == shard  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [OSError, KeyError, TypeError, RuntimeError, MemoryError, AttributeError, OverflowError])
def test_any_error_of_the_library_names_file_and_object(kind: type[Exception]) -> None:
    with (
        pytest.raises(ValueError, match=rf"^a.h5: /x: expected an object that can be read, got {kind.__name__}: '?why") as caught,
        naming(Path("a.h5"), "/x"),
    ):
        raise kind("why")
    assert isinstance(caught.value.__cause__, kind)


def test_interrupts_are_no_errors_of_the_library() -> None:
    with pytest.raises(KeyboardInterrupt), naming(Path("a.h5"), "/x"):
        raise KeyboardInterrupt


def test_text_in_any_encoding() -> None:
    assert as_text(b"K\0\0") == "K"
    assert as_text("µm") == as_text("µm".encode()) == as_text(LATIN) == as_text("\udcb5m") == "µm"


def test_values_become_plain() -> None:
    assert plain(h5py.Empty("f4")) is None
    assert plain(np.array([[b"a"], [b"b "]])) == [["a"], ["b"]]
    assert type(plain(np.float32(0.5))) is float
    assert plain(np.array(3)) == 3
    assert single([[[2]]]) == 2
    assert single([1, 2]) == [1, 2]
