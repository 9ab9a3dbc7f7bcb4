"""Zarr stores: what they declare is checked before memory is asked for, and whatever is wrong with them names them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from probtokens import limits
from probtokens.data.zarr_store import open_store
from probtokens.predict import open_rollout, rollout_grid
from probtokens.predict.store import map_slabs
from tests.predict.synthetic import make_rollout


@pytest.fixture
def rollout(tmp_path: Path) -> Path:
    """A rollout of two draws of one simulation over three frames."""
    make_rollout(tmp_path / "r.zarr", np.ones((2, 1, 3, 2, 4, 6)), np.zeros((1, 3, 2, 4, 6))).close()
    return tmp_path / "r.zarr"


def test_arrays_have_the_same_order_every_time(tmp_path: Path) -> None:
    names = list("hgfedcba")
    xr.Dataset({name: ("time", np.arange(3.0)) for name in names}).to_zarr(tmp_path / "s.zarr", consolidated=False)
    assert {tuple(open_store(tmp_path / "s.zarr").data_vars) for _ in range(5)} == {tuple(sorted(names))}


def read(path: Path) -> dict[str, list[float]]:
    opened = open_rollout(path)
    rollout_grid(opened)
    return map_slabs(lambda slab: float(slab.prediction.mean()), opened)


def says(path: Path, **changes: Any) -> None:
    """Change the description of an array."""
    path /= "zarr.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    if "chunks" in changes:
        content["chunk_grid"]["configuration"]["chunk_shape"] = changes.pop("chunks")
    path.write_text(json.dumps(content | changes), encoding="utf-8")


def lose(path: Path) -> None:
    sorted(file for file in path.rglob("*") if file.is_file())[-2].unlink()


def put_fifo(path: Path) -> None:
    chunk = next(file for file in (path / "c").rglob("*") if file.is_file())
    chunk.unlink()
    os.mkfifo(chunk)


HARMS: dict[str, tuple[Callable[[Path], None], str]] = {
    "a chunk of terabytes": (
        lambda path: says(path / "prediction", shape=[10**5, 1, 3, 2, 4, 6], chunks=[10**5, 1, 10**4, 1, 10**3, 6]),
        "r.zarr: prediction: expected a chunk of at most 268 MB in a file of .* kB, got 24 TB",
    ),
    "a long axis": (lambda path: says(path / "draw", shape=[10**11], chunks=[10**11]), "r.zarr: draw: expected axes of at most 1000000"),
    "a chunk that waits for ever": (lambda path: put_fifo(path / "truth"), "simulation 0, frame .: expected values .* no regular file"),
    "a coordinate that waits for ever": (lambda path: put_fifo(path / "time"), "r.zarr: .*no regular file"),
    "a lost chunk": (
        lambda path: lose(path / "prediction"),
        "r.zarr: simulation 0, frame 2: expected a forecast of finite values, got NaN",
    ),
    "numbers of another type": (
        lambda path: says(path / "truth", data_type="int32", fill_value=0),
        "r.zarr: truth: .* type float32, got int32",
    ),
    "no description": (lambda path: (path / "truth" / "zarr.json").write_text("[]"), "r.zarr: expected values that can be read"),
}


def test_a_sound_rollout_is_read(rollout: Path) -> None:
    assert read(rollout) == {"temperature": [1.0, 1.0], "solid_fraction": [1.0, 1.0]}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("harm", HARMS)
def test_a_store_that_lies_is_refused_by_name(harm: str, rollout: Path) -> None:
    change, message = HARMS[harm]
    change(rollout)
    with pytest.raises(ValueError, match=message) as caught:
        read(rollout)
    assert len(str(caught.value)) <= 300


def test_large_chunks_that_are_stored_are_read(rollout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("probtokens.data.zarr_store.ALWAYS_ALLOWED", 100)
    monkeypatch.setattr(limits, "ALWAYS_ALLOWED", 100)
    read(rollout)
    monkeypatch.setattr(limits, "MAX_EXPANSION", 0)
    with pytest.raises(ValueError, match="expected a chunk of at most 100 B in a file of"):
        read(rollout)


def test_an_attribute_that_is_no_number_is_refused(rollout: Path) -> None:
    with pytest.raises(ValueError, match="expected a number as attribute 'spacing', got 'wide'"):
        rollout_grid(open_rollout(rollout).assign_attrs(spacing="wide"))


def test_the_format_is_the_same_whatever_zarr_is_set_to(tmp_path: Path) -> None:
    import zarr

    with zarr.config.set({"default_zarr_format": 2}):  # as ZARR_DEFAULT_ZARR_FORMAT does
        make_rollout(tmp_path / "r.zarr", np.ones((2, 1, 3, 2, 4, 6)), np.zeros((1, 3, 2, 4, 6))).close()
    assert read(tmp_path / "r.zarr")["temperature"] == [1.0, 1.0]
