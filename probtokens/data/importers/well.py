"""Two-dimensional sets of The Well: fields of any tensor order, constant fields, walls, open and periodic edges."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from probtokens.data.agreement import differences, require_none
from probtokens.data.importers.source import Contents, Given, Simulation, Variable, files_below, simulation_names, splits_by_folder
from probtokens.data.the_well import SHARD_SUFFIXES, read_info, read_scalar
from probtokens.data.the_well.axes import Axis
from probtokens.data.the_well.faults import fault
from probtokens.data.the_well.hdf5 import opened
from probtokens.data.the_well.layout import FIELD_GROUPS
from probtokens.data.the_well.reader import read_values


class WellSource:
    """Files in the layout of The Well, in any units or none, with grids of square cells."""

    layout: ClassVar[str] = "the_well"
    expects: ClassVar[str] = "data/{train,valid,test}/*.hdf5 with the groups dimensions, t0_fields, t1_fields and t2_fields"

    def __init__(self, path: Path, given: Given) -> None:
        files = files_below(path, SHARD_SUFFIXES)
        if not files:
            raise fault(path, "HDF5 files", "none")
        self._infos = [read_info(file, any_field=True) for file in files]
        first = self._infos[0]
        for info in self._infos:
            names = (*first.fields, *first.scalars)
            require_none(differences(first, info, names, extent=True), first, info)
            if info.grid.n_times != first.grid.n_times:
                raise fault(info.path, f"{first.grid.n_times} frames as in {first.path.name}", info.grid.n_times, where="time")
            if (info.fields, info.scalars) != (first.fields, first.scalars):
                raise fault(info.path, f"the fields and scalars of {first.path.name}", "others")
        usable = [name for name in first.fields if not any(info.sources[name].fault for info in self._infos)]
        self._scalars = {info.path: {name: read_scalar(info, name) for name in first.scalars} for info in self._infos}
        self._places = [(info, k) for info in self._infos for k in range(info.n_simulations)]
        grid, rounding = first.grid, first.rounding
        orders = {source.dataset: FIELD_GROUPS[source.group] for name, source in first.sources.items() if name in usable}
        left_out = [name for name in first.fields if name not in usable]
        self.contents = Contents(
            path=path,
            files=files,
            names=simulation_names(path if path.is_dir() else path.parent, [(info.path, str(k)) for info, k in self._places]),
            shape=(grid.n_times, grid.ny, grid.nx),
            fields={name: Variable(first.units.get(name), constant=not first.sources[name].time_varying) for name in usable},
            scalars={name: first.units.get(name) for name in first.scalars},
            x=Axis(grid.nx, grid.spacing, rounding["spacing"]),
            y=Axis(grid.ny, grid.spacing, rounding["spacing"]),
            time=Axis(grid.n_times, grid.time_step, rounding["time_step"]),
            length_unit=None if "x" in first.unsaid else grid.length_unit,
            time_unit=None if "time" in first.unsaid else grid.time_unit,
            boundary=first.boundary,
            splits=None if path.is_file() else splits_by_folder(path, tuple(info.path for info, _ in self._places)),
            vectors=tuple(name for name, order in orders.items() if order == 1),
            tensors=tuple(name for name, order in orders.items() if order == 2),
            notes=tuple(f"left out: {first.sources[name].fault}" for name in left_out),
        )

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Whether the first HDF5 file has the groups of the layout."""
        files = files_below(path, SHARD_SUFFIXES)
        try:
            if not files:
                return False
            with opened(files[0]) as file:
                return {"dimensions", *FIELD_GROUPS} <= set(file.members())
        except ValueError:
            return False

    def read(self, number: int) -> Simulation:
        """Read one simulation; of constant fields one frame."""
        info, k = self._places[number]
        frames: dict[str, np.ndarray] = {}
        for name, field in self.contents.fields.items():
            frames[name] = read_values(info, k, [name], 0, 1 if field.constant else None)[:, 0]
        return Simulation(info.path, frames, {name: float(values[k]) for name, values in self._scalars[info.path].items()})
