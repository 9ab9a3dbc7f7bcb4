"""Files damaged at random are read, or refused by name: nothing else happens, soon and within a gigabyte."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from probtokens.data import TrajectorySet
from tests.helpers import make_shard
from tests.tally import Tally

FIELDS = ("temperature", "velocity_x")


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file of 3 frames, with a compressed, chunked field beside contiguous ones."""
    path = make_shard(tmp_path_factory.mktemp("sound") / "a.hdf5", n_simulations=2, ny=6, nx=8, n_times=3)
    with h5py.File(path, "r+") as file:
        values, attributes = file["t0_fields/temperature"][()], dict(file["t0_fields/temperature"].attrs)
        del file["t0_fields/temperature"]
        packed = file["t0_fields"].create_dataset("temperature", data=values, chunks=(1, 1, 8, 6), compression="gzip", shuffle=True)
        packed.attrs.update(attributes)
    return path.read_bytes()


def flip(content: bytes, rng: np.random.Generator) -> bytes:
    """Change one to four bits or bytes."""
    changed = bytearray(content)
    for place in rng.integers(len(content), size=rng.integers(1, 5)):
        changed[place] = rng.integers(256) if rng.random() < 0.5 else changed[place] ^ (1 << rng.integers(8))
    return bytes(changed)


def truncate(content: bytes, rng: np.random.Generator) -> bytes:
    """Keep the beginning, or lose a piece in the middle."""
    start, stop = np.sort(rng.integers(len(content), size=2))
    return content[:start] if rng.random() < 0.5 else content[:start] + content[stop:]


def overwrite(content: bytes, rng: np.random.Generator) -> bytes:
    """Put zeros, ones or another part of the file in place of up to 64 bytes."""
    start, other = rng.integers(len(content) - 64, size=2)
    length = int(rng.integers(1, 65))
    piece = (b"\0" * length, b"\xff" * length, content[other : other + length])[rng.integers(3)]
    return content[:start] + piece + content[start + length :]


def read_all(path: Path) -> None:
    """Read all that a run would read."""
    trajectories = TrajectorySet.open(path.parent, FIELDS, ["porosity"])
    for number in range(len(trajectories)):
        frames = trajectories.frames(number)
        assert frames.shape == (trajectories.grid.n_times, len(FIELDS), *trajectories.grid.shape)
        assert np.isfinite(frames).all()
    assert np.isfinite(trajectories.scalar("shock_pressure")).all()


def damage_bytes(sound: bytes, path: Path, seed: int) -> None:
    """Damage a file in one of three ways."""
    rng = np.random.default_rng(seed)
    path.write_bytes((flip, truncate, overwrite)[seed % 3](sound, rng))


VALUES: tuple[object, ...] = (
    h5py.Empty("f4"),
    "text",
    "",
    "µm".encode("latin-1"),
    np.bytes_("µm".encode("latin-1")),
    np.array([b"x ", b"y"]),
    -1,
    0,
    2,
    2.0,
    2.5,
    2**40,
    np.nan,
    np.inf,
    True,
    1j,
    np.array([1, 0]),
    np.array([[True]]),
    np.array([True, False]),
    np.array([]),
    np.void(b"abc"),
    np.zeros(2, dtype=[("a", "f4")]),
)


def change_attribute(file: h5py.File, rng: np.random.Generator) -> None:
    """Set, replace or delete an attribute of a random object."""
    nodes = ["/"]
    file.visit(nodes.append)
    node = file[nodes[rng.integers(len(nodes))]]
    known = [*node.attrs, "_FillValue", "scale_factor", "units", "field_names", "sample_varying"]
    name = known[rng.integers(len(known))]
    if name in node.attrs and rng.random() < 0.2:
        del node.attrs[name]
    else:
        node.attrs[name] = VALUES[rng.integers(len(VALUES))]


def change_object(file: h5py.File, rng: np.random.Generator) -> None:
    """Put a data set of another type or shape, a link or a group in place of a random object."""
    nodes: list[str] = []
    file.visit(nodes.append)
    name = nodes[rng.integers(len(nodes))]
    node = file[name]
    attributes = dict(node.attrs)
    shape = node.shape if isinstance(node, h5py.Dataset) else (2,)
    makers: tuple[Callable[[], object], ...] = (
        lambda: file.__setitem__(name, h5py.SoftLink("/dimensions/x")),
        lambda: file.__setitem__(name, h5py.SoftLink(f"/{name}")),
        lambda: file.__setitem__(name, h5py.ExternalLink("other.h5", "/x")),
        lambda: file.create_group(name),
        lambda: file.create_dataset(name, data=h5py.Empty("f4")),
        lambda: file.create_dataset(name, shape, "f8", chunks=True if shape else None),
        lambda: file.create_dataset(name, shape, "S3"),
        lambda: file.create_dataset(name, shape, bool),
        lambda: file.create_dataset(name, data=np.ones(shape, np.uint8)),
        lambda: file.create_dataset(name, data=np.ones((*shape, 1))),
        lambda: file.create_dataset(name, data=np.full(shape, 1e300)),
        lambda: file.create_dataset(name, shape, h5py.vlen_dtype("f4")),
        lambda: file.create_dataset(name, shape, h5py.ref_dtype),
    )
    del file[name]
    makers[rng.integers(len(makers))]()
    if name in file and file.get(name, getlink=True).__class__ is h5py.HardLink:
        file[name].attrs.update(attributes)


def change_objects(sound: bytes, path: Path, seed: int) -> None:
    """Change an attribute or an object of a file."""
    rng = np.random.default_rng(seed)
    path.write_bytes(sound)
    with h5py.File(path, "r+") as file:
        (change_attribute, change_object)[seed % 2](file, rng)


def test_the_sound_file_is_read(sound: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.hdf5").write_bytes(sound)
    read_all(tmp_path / "a.hdf5")


@pytest.mark.parametrize(
    "seeds", [pytest.param(range(150), id="few"), pytest.param(range(12500, 12900), id="many", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("harm", [damage_bytes, change_objects])
def test_damaged_files_are_read_or_refused_by_name(
    sound: bytes, tmp_path: Path, harm: Callable[[bytes, Path, int], None], seeds: range, tally: Tally
) -> None:
    path = tmp_path / "a.hdf5"
    for seed in seeds:
        harm(sound, path, seed)
        tally.look(lambda: read_all(path), path.name)
    assert min(tally.counts.values()) > len(seeds) / 15, tally.counts
