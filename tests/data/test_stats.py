from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from probtokens.data.stats import write_stats
from probtokens.data.the_well import read_frames, read_info
from tests.helpers import make_campaign


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return make_campaign(tmp_path, n_train=3, ny=6, nx=8, n_times=4)


def test_values_and_layout(own: Path) -> None:
    path = write_stats(own)
    assert path == own / "stats.yaml"
    stats = yaml.safe_load(path.read_text())
    assert set(stats) == {"mean", "std", "rms", "mean_delta", "std_delta", "rms_delta"}
    assert all(set(part) == {"temperature", "pressure", "solid_fraction", "velocity"} for part in stats.values())
    infos = [read_info(shard) for shard in sorted((own / "train").iterdir())]
    names = ("temperature", "velocity_x", "velocity_y")
    frames = np.stack([read_frames(info, i, names) for info in infos for i in range(info.n_simulations)]).astype(np.float64)
    changes = np.diff(frames, axis=1)
    for key, values in (("", frames), ("_delta", changes)):
        mean, std = values.mean(axis=(0, 1, 3, 4)), values.std(axis=(0, 1, 3, 4))
        for part, expected in (("mean", mean), ("std", std), ("rms", np.hypot(mean, std))):
            np.testing.assert_allclose(stats[part + key]["temperature"], expected[0], rtol=1e-5)
            np.testing.assert_allclose(stats[part + key]["velocity"], expected[1:], rtol=1e-5, atol=1e-7)


def test_constant_fields_have_no_change(own: Path) -> None:
    for shard in (own / "train").iterdir():
        with h5py.File(shard, "r+") as file:
            attributes, first = dict(file["t0_fields/pressure"].attrs), file["t0_fields/pressure"][:, 0]
            del file["t0_fields/pressure"]
            file["t0_fields/pressure"] = first
            file["t0_fields/pressure"].attrs.update(attributes | {"time_varying": False})
    stats = yaml.safe_load(write_stats(own).read_text())
    assert "pressure" in stats["std"]
    assert "pressure" not in stats["std_delta"]


def test_training_split_is_all_it_reads(own: Path) -> None:
    before = write_stats(own).read_bytes()
    for split in ("valid", "test"):
        for shard in (own / split).iterdir():
            shard.write_bytes(b"not a file that could be read")
    assert write_stats(own).read_bytes() == before


def test_crash_before_the_rename_leaves_the_old_file(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (own / "stats.yaml").write_text("old")

    def crash(*_: object) -> None:
        raise OSError("power cut")

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(OSError, match="power cut"):
        write_stats(own)
    assert (own / "stats.yaml").read_text() == "old"
    assert sorted(path.name for path in own.iterdir()) == ["stats.yaml", "test", "train", "valid"]
