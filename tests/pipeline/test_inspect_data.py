"""What is said about files of simulations."""

import io
import json

import h5py
import pytest
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


@pytest.mark.parametrize("missing", [("t0_fields/temperature",), ("dimensions/x", "dimensions/y"), ()])
def test_missing_units_are_said_once_and_last_before_what_comes_next(tmp_path, missing):
    folder = make_campaign(tmp_path / "data")
    for path in folder.rglob("*.hdf5"):
        with h5py.File(path, "r+") as file:
            for name in missing:
                del file[name].attrs["units"]
    *_, said, following = described(folder).splitlines()
    assert following.startswith("next: ")
    taken = ", ".join(f"{name.partition('/')[2]} in {'K' if 'temperature' in name else 'µm'}" for name in missing)
    assert (said == f"expected units, found none; taken are {taken} (probtokens convert --unit NAME=UNIT says others)") == bool(missing)
    assert described(folder).count("found none") == bool(missing)
