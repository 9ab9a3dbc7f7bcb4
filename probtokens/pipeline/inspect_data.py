"""Describes files of simulations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import rich.console

from probtokens.data import ShardInfo, read_info
from probtokens.data.agreement import differences, require_none
from probtokens.data.the_well.faults import fault, without_units
from probtokens.fields import Grid
from probtokens.pipeline.inspect_values import Summary, field_summaries, hot_from, scalar_summaries
from probtokens.screen import TextTable, next_step, print_table, say
from probtokens.simulate.quality import load_failed
from probtokens.units import in_unit

_FAILED_SHOWN = 20


def describe_files(root: Path, paths: Sequence[Path], screen: rich.console.Console) -> None:
    """Print grid, number of simulations, ranges of scalars and fields, and hot spots, for each folder of files.

    Raises
    ------
    ValueError
        If a file is damaged, none of its fields can be used, or the files of a folder differ in grid or edges.
    """
    by_folder: dict[Path, list[ShardInfo]] = defaultdict(list)
    for path in paths:
        by_folder[path.parent].append(read_info(path))
    for folder, infos in by_folder.items():
        _describe_folder(root if len(by_folder) == 1 else folder, infos, screen)
    if taken := list(dict.fromkeys(unit for infos in by_folder.values() for info in infos for unit in info.taken_units(info.fields))):
        say(screen, (without_units(taken), "bold yellow"))
    next_step(screen, f"probtokens run RECIPE --out DIR --set data.meso={root} (or data.micro), a folder with train/, valid/ and test/")


def _describe_folder(title: Path, infos: Sequence[ShardInfo], screen: rich.console.Console) -> None:
    for info in infos:
        require_none(differences(infos[0], info, (), extent=True), infos[0], info)
    n_simulations = sum(info.n_simulations for info in infos)
    say(screen, (str(title), "bold"), f": HDF5 files: {len(infos)}; simulations: {n_simulations}")
    say(screen, f"grid: {describe_grid(infos[0].grid, [info.grid.n_times for info in infos])}")
    scalars = scalar_summaries(infos)
    fields, hot = field_summaries(infos)
    if all(summary.problem for summary in fields.values()):
        raise _without_fields(infos[0].path, fields)
    table = TextTable()
    for header in ("kind", "name", "unit", "range"):
        table.column(header)
    constant = {name for info in infos for name, source in info.sources.items() if not source.time_varying}
    for kind, summaries in (("scalar", scalars), ("field", fields)):
        for name, summary in summaries.items():
            table.row("constant field" if kind == "field" and name in constant else kind, name, summary.unit, str(summary))
    print_table(screen, table)
    for summary in (*scalars.values(), *fields.values()):
        if summary.problem:
            say(screen, (f"cannot be used: {summary.problem}", "yellow"))
    _describe_failed(infos, screen)
    if "ignited" in scalars:
        say(screen, f"ignition: {scalars['ignited'].nonzero} of {n_simulations}")
    if hot is not None and hot.any():
        unit = infos[0].units["temperature"]
        area = in_unit(f"{hot[hot > 0].mean():.3g}", infos[0].grid.units.area)
        limit = in_unit(f"{hot_from(unit):.6g}", unit)
        say(screen, f"hot spots: {np.count_nonzero(hot)} of {len(hot)} end with cells above {limit}, on average {area} of them")


def _without_fields(path: Path, fields: Mapping[str, Summary]) -> ValueError:
    """Build the error about files of which nothing can be forecast."""
    problems = [summary.problem for summary in fields.values()]
    return ValueError(problems[0]) if problems else fault(path, "at least one field", "none")


def _describe_failed(infos: Sequence[ShardInfo], screen: rich.console.Console) -> None:
    """List the simulations that a campaign planned and left out."""
    failed = [(info, run) for info in infos for run in load_failed(info.attributes, info.path)]
    if not failed:
        return
    say(screen, (f"failed and left out: {len(failed)}", "yellow"))
    for info, run in failed[:_FAILED_SHOWN]:
        say(screen, f"  {info.path.parent.name}/{info.path.name} {run}")
    if len(failed) > _FAILED_SHOWN:
        say(screen, f"  and {len(failed) - _FAILED_SHOWN} more")


def describe_grid(grid: Grid, lengths: Sequence[int] = ()) -> str:
    """Grid in one line, with units; ``lengths`` are numbers of frames where they may differ."""
    edge, width = (in_unit(f"{length:.4g}", grid.length_unit) for length in (grid.spacing, grid.nx * grid.spacing))
    step = in_unit(f"{grid.time_step:.4g}", grid.time_unit)
    least, most = min(lengths, default=grid.n_times), max(lengths, default=grid.n_times)
    frames = f"{most} frames" if least == most else f"{least} to {most} frames"
    return f"{grid.ny} × {grid.nx} cells of {edge} ({grid.ny * grid.spacing:.4g} × {width}), {frames} every {step}"
