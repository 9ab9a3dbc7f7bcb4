"""What is said about files of simulations."""

import io
import json

import h5py
import rich.console

from probtokens.pipeline.inspect import describe
from tests.helpers import make_campaign


def described(folder):
    stream = io.StringIO()
    describe(folder, rich.console.Console(file=stream, width=200, soft_wrap=True))
    return stream.getvalue()


def test_failed_runs_are_listed(tmp_path):
    folder = make_campaign(tmp_path / "data")
    assert "left out" not in described(folder)
    with h5py.File(folder / "train" / "shard_0001.hdf5", "r+") as file:
        runs = [{"index": index, "shock_pressure": 13.5, "reason": "frame 3: [no] step"} for index in range(25)]
        file.attrs["failed_runs"] = json.dumps(runs)
    text = described(folder)
    assert "failed and left out: 25" in text
    assert "train/shard_0001.hdf5 run 0 (13.50 GPa): frame 3: [no] step" in text
    assert "run 19 " in text
    assert "run 20 " not in text
    assert "and 5 more" in text
