"""Describes files of simulations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rich.console

from probtokens.config import EvaluateConfig
from probtokens.data import ShardInfo, read_frames, read_info, read_scalar
from probtokens.fields import Grid
from probtokens.screen import TextTable, print_table, say
from probtokens.simulate.quality import load_failed

_FAILED_SHOWN = 20


@dataclass
class _Range:
    """Smallest and largest value seen."""

    low: float = np.inf
    high: float = -np.inf

    def update(self, values: np.ndarray) -> None:
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))

    def __str__(self) -> str:
        return f"{self.low:.4g} … {self.high:.4g}"


def describe_files(root: Path, paths: Sequence[Path], screen: rich.console.Console) -> None:
    """Print grid, number of simulations, ranges of scalars and fields, and hot spots, for each folder of files.

    Raises
    ------
    ValueError
        If a file is damaged, a value is not finite, or the files of a folder differ in grid.
    """
    by_folder: dict[Path, list[ShardInfo]] = defaultdict(list)
    for path in paths:
        by_folder[path.parent].append(read_info(path))
    for folder, infos in by_folder.items():
        _describe_folder(root if len(by_folder) == 1 else folder, infos, screen)


def _describe_folder(title: Path, infos: Sequence[ShardInfo], screen: rich.console.Console) -> None:
    grid = infos[0].grid
    for info in infos:
        if info.grid != grid:
            raise ValueError(f"{info.path}: expected the grid of {infos[0].path.name}, {grid}, got {info.grid}")
    n_simulations = sum(info.n_simulations for info in infos)
    say(screen, (str(title), "bold"), f": HDF5 files: {len(infos)}; simulations: {n_simulations}")
    say(screen, f"grid: {describe_grid(grid)}")
    table = TextTable()
    for header in ("kind", "name", "unit", "range"):
        table.column(header)
    scalars = {name: np.concatenate([read_scalar(info, name) for info in infos]) for name in infos[0].scalars}
    for name, values in scalars.items():
        table.row("scalar", name, infos[0].units.get(name, ""), f"{values.min():.4g} … {values.max():.4g}")
    ranges, hot = _scan(infos)
    for name, found in ranges.items():
        table.row("field", name, infos[0].units.get(name, ""), str(found))
    print_table(screen, table)
    _describe_failed(infos, screen)
    if "ignited" in scalars:
        say(screen, f"ignition: {np.count_nonzero(scalars['ignited'])} of {n_simulations}")
    if hot is not None:
        threshold = EvaluateConfig().hotspot_threshold
        say(
            screen,
            f"hot spots: {np.count_nonzero(hot)} of {n_simulations} end with cells above {threshold:g} K, "
            f"on average {hot[hot > 0].mean() if hot.any() else 0.0:.3g} µm² of them",
        )


def _describe_failed(infos: Sequence[ShardInfo], screen: rich.console.Console) -> None:
    """List the simulations that a campaign planned and left out."""
    failed = [(info, run) for info in infos for run in load_failed(info.attributes)]
    if not failed:
        return
    say(screen, (f"failed and left out: {len(failed)}", "yellow"))
    for info, run in failed[:_FAILED_SHOWN]:
        say(screen, f"  {info.path.parent.name}/{info.path.name} {run}")
    if len(failed) > _FAILED_SHOWN:
        say(screen, f"  and {len(failed) - _FAILED_SHOWN} more")


def _scan(infos: Sequence[ShardInfo]) -> tuple[dict[str, _Range], np.ndarray | None]:
    """Range of every field, and the hot area [µm²] of every simulation's last frame if there is a temperature."""
    names = infos[0].fields
    ranges = {name: _Range() for name in names}
    hot: list[float] = []
    for info in infos:
        for simulation in range(info.n_simulations):
            frames = read_frames(info, simulation, names)
            for i, name in enumerate(names):
                ranges[name].update(frames[:, i])
            if "temperature" in names:
                last = frames[-1, names.index("temperature")]
                hot.append(np.count_nonzero(last > EvaluateConfig().hotspot_threshold) * info.grid.cell_area)
    return ranges, np.array(hot) if "temperature" in names else None


def describe_grid(grid: Grid) -> str:
    """Grid in one line, with units."""
    return (
        f"{grid.ny} × {grid.nx} cells of {grid.spacing:.4g} µm ({grid.ny * grid.spacing:.4g} × {grid.nx * grid.spacing:.4g} µm), "
        f"{grid.n_times} frames every {grid.time_step:.4g} ns"
    )
