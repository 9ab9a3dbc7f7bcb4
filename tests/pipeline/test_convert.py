"""The command that converts: what it prints, what it draws, and how it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from probtokens import cli
from tests.data.layouts import PARC, WELL, write_predecessor


def call(*arguments: object) -> Result:
    return CliRunner().invoke(cli.app, ["convert", *map(str, arguments)])


@pytest.mark.parametrize(
    ("options", "cells", "pressure"),
    [
        ((), "6 × 8 cells of 55 nm (330 × 440 nm)", "Pa (as it is)"),
        (("--in", "ours"), "6 × 8 cells of 0.055 µm (0.33 × 0.44 µm)", "Pa → GPa: × 1e-09"),
        (("--in", "length=mm", "--in", "pressure=bar"), "6 × 8 cells of 5.5e-05 mm", "Pa → bar: × 1e-05"),
    ],
)
def test_a_dry_run_says_and_draws_what_was_understood_and_writes_nothing_else(
    options: tuple[str, ...], cells: str, pressure: str, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = call(PARC.write(tmp_path), "--to", out, "--dry-run", "--spacing", "55 nm", "--splits", "1/1/1", *options)
    assert result.exit_code == 0, result.output
    for part in (
        "layout parc",
        "simulations: 3 (train 1, valid 1, test 1)",
        cells,
        "4 frames every 0.79 ns",
        "edges: left OPEN",
        pressure,
        "constant field",
        "range in data_01",
        "note: the first frame",
        "nothing was converted",
    ):
        assert part in result.output
    assert f"300 … {PARC.frames['temperature'][0].max():.4g}" in result.output
    assert [path.name for path in out.iterdir()] == ["preview.png"]
    picture = np.asarray(Image.open(out / "preview.png"))
    assert picture.ndim == 3
    assert picture.std() > 10


def test_a_conversion_says_what_was_done_and_what_comes_next(tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--unit", "length=µm", "--unit", "time=ns", "--unit", "velocity={length}/{time}", "--unit", "*=1")
    result = call(WELL.write(tmp_path), "--to", out, *options)
    assert result.exit_code == 0, result.output
    assert "left PERIODIC, right PERIODIC, bottom WALL, top WALL" in result.output
    assert result.output.rstrip().endswith(f"next: probtokens inspect {out}")
    assert (
        f"meso: {out}, fields: [concentration, mask, velocity_x, velocity_y, D_xx, D_xy, D_yx, D_yy], context: [zeta, alpha]"
        in result.output
    )
    inspected = CliRunner().invoke(cli.app, ["inspect", str(out)])
    assert inspected.exit_code == 0, inspected.output
    assert "D_yx" in inspected.output


@pytest.mark.parametrize("there", [False, True])
def test_a_conversion_refused_at_its_first_simulation_leaves_nothing(tmp_path: Path, there: bool) -> None:
    frames = np.full((2, 3, 1, 4, 6), 300.0)
    frames[0, 1, 0, 2, 2] = np.nan
    np.save(tmp_path / "frames.npy", frames)
    out, options = tmp_path / "out", ("--dims", "simulation,time,field,y,x", "--name", "0=temperature", "--unit", "temperature=K")
    if there:
        out.mkdir()
    given = (*options, "--spacing", "0.04 µm", "--time-step", "0.1 ns", "--splits", "2/0/0")
    result = call(tmp_path / "frames.npy", "--to", out, *given)
    assert result.exit_code == 2, result.output
    assert "finite" in result.stderr
    assert out.exists() == there
    assert not there or not any(out.iterdir())
    np.save(tmp_path / "frames.npy", frames[::-1])  # the first one is sound: it stays, and the conversion can go on
    assert call(tmp_path / "frames.npy", "--to", out, *given).exit_code == 2
    assert {path.name for path in out.iterdir()} == {"convert.json", "data"}


def test_a_dry_run_counts_the_cells_of_obstacles(tmp_path: Path) -> None:
    for number in range(3):
        temperature = np.full((3, 4, 6), 300.0 + number)
        temperature[:, :1, :number] = np.nan
        np.savez(tmp_path / f"{number}.npz", temperature=temperature)
    options = ("--dims", "time,y,x", "--unit", "temperature=K", "--spacing", "1", "--time-step", "1", "--splits", "1/1/1", "--dry-run")
    out = tmp_path.with_name("out")
    result = call(tmp_path, "--to", out, *options, "--obstacle")
    assert result.exit_code == 0, result.output
    assert "obstacle: 0 … 2 of 24 cells are NaN in every frame; adds the constant field 'obstacle'" in result.output
    assert "where NaN" in result.output
    assert [path.name for path in out.iterdir()] == ["preview.png"]
    assert "obstacle" not in call(tmp_path, "--to", out, *options).output


def test_scaled_arrays_by_options(tmp_path: Path) -> None:
    options = ["--dims", "simulation,y,x,field,time", "--name", "0=temperature", "--name", "1=pressure"]
    options += ["--unit", "temperature=K", "--unit", "pressure=GPa", "--range", "temperature=300:5000", "--range", "pressure=-2:50"]
    options += ["--spacing", "0.1 um", "--time-step", "0.17", "--splits", "2/0/1", "--boundary", "WALL", "--boundary", "left=OPEN"]
    result = call(write_predecessor(tmp_path), "--to", tmp_path / "out", *options)
    assert result.exit_code == 0, result.output
    assert "0 … 1 stand for -2 … 50 GPa" in result.output
    assert "left OPEN, right WALL, bottom WALL, top WALL" in result.output


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ((), "expected what the files do not tell: --spacing of cells ('0.05 µm'), got none"),
        (("--splits", "1-1-1"), "--splits: expected TRAIN/VALID/TEST such as 25/8/9, got '1-1-1'"),
        (("--unit", "pressure"), "--unit: expected NAME=VALUE, got 'pressure'"),
        (("--in", "SI"), "--in: expected NAME=VALUE, got 'SI'"),
        (("--range", "pressure=5:1"), "--range: expected NAME=LOW:HIGH"),
        (("--boundary", "SHUT"), "--boundary: expected some of"),
    ],
)
def test_errors_are_one_line_and_leave_nothing(options: tuple[str, ...], text: str, tmp_path: Path) -> None:
    spacing = ("--spacing", "55 nm", "--splits", "1/1/1") if options else ("--splits", "1/1/1")
    result = call(PARC.write(tmp_path), "--to", tmp_path / "out", *spacing, *options)
    assert result.exit_code == 2, result.output
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("probtokens: error: ")]
    assert text in line
    assert not (tmp_path / "out").exists()
