"""Names, units and folders from files are shown as they are, whatever rich would make of them."""

from __future__ import annotations

import io
import logging
import os
from pathlib import Path

import numpy as np
import pytest
import rich.console

from probtokens.config import Config, dump_config
from probtokens.console import Console
from probtokens.data import write_shard
from probtokens.fields import FieldSpec, Grid
from probtokens.pipeline.inspect import describe
from probtokens.predict.store import create_store
from tests.helpers import BOUNDARY, make_frames
from tests.test_screen import TEXTS


def _is_name(text: str) -> bool:
    """Whether the system's encoding has such files."""
    try:
        return b"/" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


NAMES = [text for text in TEXTS if _is_name(text)]
GRID = Grid(ny=16, nx=24, spacing=0.04, time_step=0.125, n_times=6)


def described(path: Path) -> str:
    stream = io.StringIO()
    describe(path, rich.console.Console(file=stream, width=60))
    return stream.getvalue()


@pytest.mark.parametrize("text", TEXTS)
def test_units_of_simulations(text: str, tmp_path: Path) -> None:
    fields, _ = make_frames(1)
    units = {"activator": text, "load": f"{text}²"}
    write_shard(
        tmp_path / "a.hdf5", {"activator": fields["pressure"]}, grid=GRID, scalars={"load": np.ones(1, "f4")},
        units=units, dataset_name="d", boundary=BOUNDARY,
    )  # fmt: skip
    shown = described(tmp_path)
    assert all(unit in shown for unit in units.values())


@pytest.mark.parametrize("text", NAMES)
def test_names_and_folders_of_simulations(text: str, tmp_path: Path) -> None:
    fields, _ = make_frames(1)
    for folder in (f"first {text}", f"second {text}"):
        write_shard(
            tmp_path / text / folder / "a.hdf5", {text: fields["pressure"]}, grid=GRID, scalars={f"{text}_0": np.ones(1, "f4")},
            units={text: "K", f"{text}_0": "1"}, dataset_name="d", boundary=BOUNDARY,
        )  # fmt: skip
    shown = described(tmp_path / text)
    assert all(name in shown for name in (str(tmp_path / text / f"first {text}"), str(tmp_path / text / f"second {text}"), f"{text}_0"))


@pytest.mark.parametrize("text", NAMES)
def test_rollouts(text: str, tmp_path: Path) -> None:
    path = tmp_path / f"{text}.zarr"
    attributes = {"model": text, "spacing": GRID.spacing, "time_step": GRID.time_step}
    create_store(
        path, draws=1, simulations=["a"], fields=[FieldSpec(f"field {text}", text, "a field")], grid=GRID, context={}, attributes=attributes
    )
    shown = described(path)
    assert all(part in shown for part in (f"{path}: rollout of {text}", f"fields: field {text} ({text})"))


@pytest.mark.parametrize("text", [text for text in TEXTS if "/" in text or text in NAMES])
def test_run_folders(text: str, tmp_path: Path) -> None:
    folder = tmp_path / text
    (folder / "stages").mkdir(parents=True)
    (folder / "config.yaml").write_text(dump_config(Config(name=text)), encoding="utf-8")
    shown = described(folder)
    assert f"{folder}: run {text!r}, seed 0" in shown
    assert f"continue with: probtokens run {folder}/config.yaml --out {folder}" in shown


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("text", TEXTS)
def test_progress_and_warnings(text: str, terminal: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probtokens.console._PLAIN_INTERVAL", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    stream = io.StringIO()
    console = Console(rich.console.Console(file=stream, force_terminal=terminal, width=120, color_system=None))
    with console.logging_to(tmp_path / "log"), console.stage(f"title {text}") as progress:
        progress(1, 3, f"shard {text}")
        logging.getLogger("probtokens.x").warning("%s", f"warned of {text}")
    console.skipped(f"again {text}")
    assert all(part in stream.getvalue() for part in (f"title {text}", f"shard {text}", f"warned of {text}", f"again {text}"))
