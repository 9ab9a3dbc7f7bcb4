"""What ``probtokens convert`` does: reads its options, writes simulations or says what would be written."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import rich.console

from probtokens.console import Console
from probtokens.data.atomic import replacing
from probtokens.data.importers import Given, Plan, convert, make_plan, open_source
from probtokens.data.importers.convert import PICTURE
from probtokens.data.importers.obstacle import OBSTACLE
from probtokens.data.importers.source import OURS, Source
from probtokens.data.the_well.layout import SIDES
from probtokens.fields import FieldSpec, Grid
from probtokens.pipeline.inspect_data import describe_grid
from probtokens.screen import TextTable, next_step, open_screen, print_table, say
from probtokens.units import in_unit

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_DPI = 150.0


def convert_files(path: Path, folder: Path, given: Given) -> None:
    """Write simulations of another layout to ``folder``, and print what was understood and done.

    Raises
    ------
    ValueError
        As :func:`probtokens.data.importers.convert`.
    """
    screen = open_screen()
    with Console().stage(f"convert {path}") as progress:
        plan = convert(path, folder, given, progress=progress)
    _describe(plan, given, screen)
    fields, context = ", ".join(plan.fields), ", ".join(plan.scalars)
    say(screen, f"in a recipe: data: {{ meso: {folder}, fields: [{fields}], context: [{context}] }}, or micro instead of meso")
    next_step(screen, f"probtokens inspect {folder}")


def preview_files(path: Path, folder: Path, given: Given) -> None:
    """Print what a conversion would do, with the ranges of its first simulation, and draw that one to ``folder``.

    Obstacles are counted in all simulations.

    Raises
    ------
    ValueError
        As :func:`probtokens.data.importers.convert`; without obstacles, of the first simulation alone.
    """
    from probtokens.report.style import figure_style, png_bytes

    screen = open_screen()
    source = open_source(path, given)
    plan = make_plan(source.contents, given)
    number = plan.splits["train"][0]
    frames, scalars = plan.mended(source.read(number), number)
    say(screen, (f"{path}", "bold"), f": layout {source.layout}")
    _describe(plan, given, screen, frames, scalars, plan.contents.names[number])
    if plan.obstacle:
        sizes = _obstacle_sizes(source, plan, path)
        cells = f"{min(sizes)} … {max(sizes)}" if min(sizes) < max(sizes) else f"{sizes[0]}"
        n_cells = plan.grid.ny * plan.grid.nx
        say(screen, f"obstacle: {cells} of {n_cells} cells are NaN in every frame; adds the constant field {OBSTACLE!r}")
    picture = folder / PICTURE
    with figure_style(), replacing(picture) as temporary:
        temporary.write_bytes(png_bytes(frames_figure(frames, [field.spec for field in plan.fields.values()], plan.grid), _DPI))
    say(screen, f"first, middle and last frame of {plan.contents.names[number]}: {picture}")
    say(screen, "nothing was converted; the same command without --dry-run does it")


def _obstacle_sizes(source: Source, plan: Plan, path: Path) -> list[int]:
    """Cells of the obstacle in every simulation that is used, one of which is in memory at a time."""
    numbers = [number for split in plan.splits.values() for number in split]
    sizes: list[int] = []
    with Console().stage(f"obstacles of {path}") as progress:
        for number in numbers:
            progress(len(sizes), len(numbers), plan.contents.names[number])
            sizes.append(int(plan.mended(source.read(number), number)[0][OBSTACLE].sum(dtype=int)))
    return sizes


def frames_figure(frames: Mapping[str, np.ndarray], specs: Sequence[FieldSpec], grid: Grid) -> Figure:
    """First, middle and last frame of every field (time, y, x)."""
    from probtokens.report.panels import Layout, Row, Scale, draw_grid
    from probtokens.report.style import field_map, field_norm, new_figure, with_unit

    shown = np.array([0, grid.n_times // 2, grid.n_times - 1])
    extent = (0.0, grid.nx * grid.spacing, 0.0, grid.ny * grid.spacing)
    rows = []
    for spec in specs:
        images = np.broadcast_to(frames[spec.name], (grid.n_times, *grid.shape))[shown]
        scale = Scale(field_map(spec.name), field_norm(spec.name, images), with_unit(spec.name, spec.unit))
        rows.append(Row(spec.label.replace(" ", "\n"), images, scale))
    layout = Layout()
    figure = new_figure(*layout.size(rows, len(shown), extent))
    titles = [in_unit(f"{time:.4g}", grid.time_unit) for time in shown * grid.time_step]
    draw_grid(figure, rows, titles, extent, layout, grid.length_unit)
    return figure


def _describe(
    plan: Plan,
    given: Given,
    screen: rich.console.Console,
    frames: Mapping[str, np.ndarray] | None = None,
    scalars: Mapping[str, float] | None = None,
    name: str = "",
) -> None:
    """Print what is written; with frames and scalars of one simulation also their ranges in it."""
    n_used = sum(map(len, plan.splits.values()))
    sizes = ", ".join(f"{split} {len(numbers)}" for split, numbers in plan.splits.items())
    unused = len(plan.contents.names) - n_used
    say(screen, f"simulations: {n_used} ({sizes})", f"; {unused} are left out" if unused else "")
    say(screen, f"grid: {describe_grid(plan.grid)}")
    say(screen, f"edges: {', '.join(f'{side} {kind}' for side, kind in plan.boundary.items())}")
    before = {new: old for old, new in given.names.items()}  # some sources give new names to what they read
    table = TextTable()
    for header in ("kind", "name", "in the files", "unit", *([f"range in {name}"] if frames is not None else [])):
        table.column(header)
    for new, field in plan.fields.items():
        kind = "constant field" if field.constant else "field"
        scaled = f", 0 … 1 stand for {field.scaled[0]:g} … {field.scaled[1]:g} {field.mending.given}" if field.scaled else ""
        values = [f"{frames[new].min():.4g} … {frames[new].max():.4g}"] if frames is not None else []
        table.row(kind, new, before.get(new, field.source or "where NaN"), f"{field.spec.unit} ({field.mending}{scaled})", *values)
    for new, (old, mending) in plan.scalars.items():
        table.row(
            "scalar", new, before.get(new, old), f"{mending.unit} ({mending})", *([f"{scalars[new]:.4g}"] if scalars is not None else [])
        )
    print_table(screen, table)
    for note in plan.notes:
        say(screen, f"note: {note}")


def parse_given(
    *,
    layout: str | None,
    spacing: str | None,
    time_step: str | None,
    units: Sequence[str],
    wanted: Sequence[str],
    names: Sequence[str],
    ranges: Sequence[str],
    dims: str | None,
    boundary: Sequence[str],
    splits: str | None,
    obstacle: bool,
) -> Given:
    """Options of the command as the importers take them.

    Raises
    ------
    ValueError
        If one is not of the form that it should have; the message names it.
    """
    sides = [text if "=" in text else ",".join(f"{side}={text}" for side in SIDES) for text in boundary]
    return Given(
        layout=layout,
        spacing=spacing,
        time_step=time_step,
        units=_pairs("--unit", units),
        wanted=_pairs("--in", [f"*={OURS}" if text == OURS else text for text in wanted]),
        names=_pairs("--name", names),
        ranges={name: _range(text) for name, text in _pairs("--range", ranges).items()},
        dims=tuple(dim.strip() for dim in dims.split(",")) if dims else (),
        boundary=_pairs("--boundary", ",".join(sides).split(",") if sides else ()),
        splits=_splits(splits) if splits is not None else None,
        obstacle=obstacle,
    )


def _pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    wrong = [text for text, (name, _, value) in zip(texts, pairs, strict=True) if not (name and value)]
    if wrong:
        raise ValueError(f"{option}: expected NAME=VALUE, got {wrong[0]!r}")
    return {name.strip(): value.strip() for name, _, value in pairs}


def _range(text: str) -> tuple[float, float]:
    try:
        low, high = map(float, text.split(":"))
    except ValueError:
        low = high = 0.0
    if not low < high < np.inf or low == -np.inf:
        raise ValueError(f"--range: expected NAME=LOW:HIGH, two numbers in the field's unit, got {text!r}")
    return low, high


def _splits(text: str) -> tuple[int, int, int]:
    found = re.fullmatch(r"(\d+)/(\d+)/(\d+)", text.strip())
    if found is None:
        raise ValueError(f"--splits: expected TRAIN/VALID/TEST such as 25/8/9, got {text!r}")
    return int(found[1]), int(found[2]), int(found[3])
