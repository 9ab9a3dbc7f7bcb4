"""Our files in the loader of the ``the-well`` package itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from probtokens.data.normalize import Normalizer
from probtokens.data.stats import write_stats
from probtokens.data.trajectories import TrajectorySet
from tests.helpers import make_campaign

the_well = pytest.importorskip("the_well.data")


@pytest.fixture
def well(tmp_path: Path) -> Path:
    make_campaign(tmp_path / "data", n_train=3, ny=6, nx=8, n_times=5)
    write_stats(tmp_path)
    return tmp_path


def test_loader_sees_what_we_wrote(well: Path) -> None:
    loaded = the_well.WellDataset(path=str(well), well_split_name="train", n_steps_input=1, n_steps_output=2)
    ours = TrajectorySet.open(well / "data" / "train", ["temperature", "pressure", "solid_fraction", "velocity_x", "velocity_y"], [])
    assert len(loaded) == 3 * 3
    assert loaded.metadata.field_names == {0: ["temperature", "pressure", "solid_fraction"], 1: ["velocity_x", "velocity_y"], 2: []}
    assert loaded.metadata.spatial_resolution == (8, 6)
    for k in range(len(loaded)):
        item = loaded[k]
        simulation, start = divmod(k, 3)
        expected = ours.frames(simulation, start, start + 3).transpose(0, 3, 2, 1)
        np.testing.assert_array_equal(np.concatenate([item["input_fields"], item["output_fields"]]), expected)
        assert item["boundary_conditions"].tolist() == [[1.0, 1.0], [0.0, 0.0]]
        np.testing.assert_allclose(item["constant_scalars"][0], ours.scalar("shock_pressure")[simulation])


def test_loader_normalises_with_our_stats(well: Path) -> None:
    norm = the_well.normalization.ZScoreNormalization
    loaded = the_well.WellDataset(path=str(well), well_split_name="train", use_normalization=True, normalization_type=norm)
    ours = TrajectorySet.open(well / "data" / "train", ["temperature", "pressure", "solid_fraction", "velocity_x", "velocity_y"], [])
    normalizer = Normalizer.fit(ours)
    mean, std = (values[:, None, None] for values in (normalizer.field_mean, normalizer.field_std))
    expected = ((torch.tensor(ours.frames(0, 0, 1)) - mean) / std).permute(0, 3, 2, 1)
    torch.testing.assert_close(loaded[0]["input_fields"], expected, rtol=1e-4, atol=1e-4)
