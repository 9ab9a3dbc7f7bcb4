"""Two-dimensional sets of PDEBench that change in time, in their HDF5 layouts.

Takamoto et al., PDEBench, NeurIPS 2022 Datasets and Benchmarks; https://github.com/pdebench/PDEBench, ``pdebench/data_gen``.
Their numbers have no dimension: units of length, of time and of density are the user's choice.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from probtokens.data.importers.source import Contents, Given, Simulation, Variable, files_below, simulation_names, splits_by_folder
from probtokens.data.the_well.axes import Axis, uniform_axis
from probtokens.data.the_well.faults import fault
from probtokens.data.the_well.hdf5 import Node, opened
from probtokens.data.the_well.info import SHARD_SUFFIXES
from probtokens.data.the_well.layout import SIDES
from probtokens.data.the_well.plain import single

#: Fields (time, y, x) and scalars of a simulation.
Read = tuple[dict[str, np.ndarray], dict[str, float]]

_SPEED = "{length}/{time}"

#: Channels of ``NNNN/data`` by their number, their units, and the edges of the domain.
_GROUPED = {
    1: ({"height": Variable("{length}")}, "OPEN"),  # shallow water after a dam has broken
    2: ({"activator": Variable("1"), "inhibitor": Variable("1")}, "WALL"),  # reaction and diffusion, no flux
}

#: Data set of compressible flow -> field.
_COMPRESSIBLE = {"density": "density", "pressure": "pressure", "Vx": "velocity_x", "Vy": "velocity_y"}

_COMPRESSIBLE_UNITS = {
    "density": None,
    "pressure": "{density}*({length}/{time})**2",
    "velocity_x": _SPEED,
    "velocity_y": _SPEED,
}

#: Attributes of compressible flow: viscosities and the Mach number.
_SCALARS = {"eta": "{density}*{length}**2/{time}", "zeta": "{density}*{length}**2/{time}", "M": "1"}

_INCOMPRESSIBLE = ("velocity", "particles", "force", "t")


class PdebenchSource:
    """Files of one of three kinds: groups of simulations, compressible flow, incompressible flow."""

    layout: ClassVar[str] = "pdebench"
    expects: ClassVar[str] = "HDF5 with 0000/data and 0000/grid, or Vx, Vy, density and pressure, or velocity, particles and force"

    def __init__(self, path: Path, given: Given) -> None:
        files = files_below(path, SHARD_SUFFIXES)
        if not files:
            raise fault(path, "HDF5 files", "none")
        self._describe, self._read = _KINDS[_kind_of(files[0])]
        described = [self._describe(file) for file in files]
        first = described[0]
        for other in described:
            told = [f"{one.shape} cells of {', '.join(one.fields)}" for one in (first, other)]
            if told[0] != told[1]:
                raise fault(other.path, f"(time, y, x) = {told[0]} as in {first.path.name}", told[1])
        self._places = tuple((one.path, key) for one in described for key in one.names)
        alone = len(files) == 1
        self.contents = replace(
            first,
            path=path,
            files=files,
            names=first.names if alone else simulation_names(path, self._places),
            splits=None if alone else splits_by_folder(path, tuple(file for file, _ in self._places)),
        )

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the first HDF5 file is of one of the kinds."""
        files = files_below(path, SHARD_SUFFIXES)
        try:
            return bool(files) and bool(_kind_of(files[0]))
        except ValueError:
            return False

    def read(self, number: int) -> Simulation:
        """Read one simulation."""
        path, key = self._places[number]
        with opened(path) as file:
            return Simulation(path, *self._read(file, key, self.contents))


def _kind_of(path: Path) -> str:
    with opened(path) as file:
        members = file.members()
        if "dimensions" in members:
            raise fault(path, "a set of PDEBench", "one in The Well's layout")
        if all(name in members for name in (*_COMPRESSIBLE, "t-coordinate")):
            return "compressible"
        if all(name in members for name in _INCOMPRESSIBLE):
            return "incompressible"
        if members and all(re.fullmatch(r"\d+", name) for name in members):
            return "grouped"
        raise fault(path, PdebenchSource.expects, ", ".join(members) or "nothing")


def _describe_grouped(path: Path) -> Contents:
    with opened(path) as file:
        keys = file.members()
        group = file.group(keys[0])
        time, x, y = (_axis(group.group("grid").dataset(name)) for name in "txy")
        shape = group.dataset("data").item.shape
        if len(shape) != 4 or shape[-1] not in _GROUPED:
            raise group.dataset("data").fault(f"shape (time, y, x, channel) with {' or '.join(map(str, _GROUPED))} channels", shape)
    fields, kind = _GROUPED[shape[-1]]
    return Contents(
        path=path,
        files=(path,),
        names=tuple(keys),
        shape=(time.size, y.size, x.size),
        fields=fields,
        x=x,
        y=y,
        time=time,
        boundary=dict.fromkeys(SIDES, kind),
    )


def _read_grouped(file: Node, key: str, contents: Contents) -> Read:
    node = file.group(key).dataset("data")
    n_times, ny, nx = contents.shape
    values = node.read()
    # The generator of the published files writes (time, y, x, channel), whatever the axes are called elsewhere.
    if values.shape[:-1] == (n_times, nx, ny):
        values = values if nx == ny else values.swapaxes(1, 2)
    if values.shape != (n_times, ny, nx, len(contents.fields)):
        raise node.fault(f"shape {(n_times, ny, nx, len(contents.fields))} as in the first simulation", values.shape)
    return {name: values[..., k] for k, name in enumerate(contents.fields)}, {}


def _describe_compressible(path: Path) -> Contents:
    with opened(path) as file:
        node, clock = file.dataset("density"), file.dataset("t-coordinate")
        x, y = (_axis(file.dataset(f"{name}-coordinate")) for name in "xy")
        shape = node.item.shape
        if len(shape) != 4 or shape[2:] != (x.size, y.size):
            raise node.fault(f"shape (simulation, time, {x.size}, {y.size})", shape)
        times = clock.read()
        if len(times) not in (shape[1], shape[1] + 1):  # the generator writes one more than there are frames
            raise clock.fault(f"{shape[1]} or {shape[1] + 1} times, for {shape[1]} frames", len(times))
        time = uniform_axis(clock, times[: shape[1]])
        scalars = {name: unit for name, unit in _SCALARS.items() if file.has(name)}
    told = re.search(r"periodic|trans", path.name)
    return Contents(
        path=path,
        files=(path,),
        names=_numbered(shape[0]),
        shape=(shape[1], y.size, x.size),
        fields={name: Variable(unit) for name, unit in _COMPRESSIBLE_UNITS.items()},
        scalars=scalars,
        x=x,
        y=y,
        time=time,
        boundary=dict.fromkeys(SIDES, "PERIODIC" if told[0] == "periodic" else "OPEN") if told else None,
    )


def _read_compressible(file: Node, key: str, contents: Contents) -> Read:
    frames = {field: file.dataset(name).read(int(key)).swapaxes(-1, -2) for name, field in _COMPRESSIBLE.items()}
    return frames, {name: float(single(file.attribute(name))) for name in contents.scalars}


def _describe_incompressible(path: Path) -> Contents:
    with opened(path) as file:
        shape = file.dataset("velocity").item.shape
        if len(shape) != 5 or shape[-1] != 2:
            raise file.dataset("velocity").fault("shape (simulation, time, x, y, 2)", shape)
        time = uniform_axis(file.dataset("t"), file.dataset("t").read())
    force = Variable("{length}/{time}**2", constant=True)
    return Contents(
        path=path,
        files=(path,),
        names=_numbered(shape[0]),
        shape=(shape[1], shape[3], shape[2]),
        fields={
            "velocity_x": Variable(_SPEED),
            "velocity_y": Variable(_SPEED),
            "particles": Variable("1"),
            "force_x": force,
            "force_y": force,
        },
        time=time,
        boundary=dict.fromkeys(SIDES, "WALL"),
        vectors=("velocity", "force"),
    )


def _read_incompressible(file: Node, key: str, contents: Contents) -> Read:
    velocity, particles, force = (file.dataset(name).read(int(key)) for name in _INCOMPRESSIBLE[:3])
    if particles.ndim != 4 or force.ndim != 3:
        raise file.dataset("particles").fault("shape (simulation, time, x, y, 1), and force (simulation, x, y, 2)", particles.shape)
    frames = {"velocity_x": velocity[..., 0], "velocity_y": velocity[..., 1], "particles": particles[..., 0]}
    frames |= {"force_x": force[None, ..., 0], "force_y": force[None, ..., 1]}
    return {name: values.swapaxes(-1, -2) for name, values in frames.items()}, {}


def _axis(node: Node) -> Axis:
    return uniform_axis(node, node.read())


def _numbered(n: int) -> tuple[str, ...]:
    return tuple(f"{k:0{len(str(max(n - 1, 0)))}d}" for k in range(n))


#: Kind of file -> what describes one, and what reads a simulation of it.
_KINDS: Mapping[str, tuple[Callable[[Path], Contents], Callable[[Node, str, Contents], Read]]] = {
    "grouped": (_describe_grouped, _read_grouped),
    "compressible": (_describe_compressible, _read_compressible),
    "incompressible": (_describe_incompressible, _read_incompressible),
}
