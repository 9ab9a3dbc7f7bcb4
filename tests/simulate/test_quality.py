import re
from pathlib import Path

import numpy as np
import pytest

from probtokens.simulate.quality import DRIFT_TOLERANCE, FailedRun, dump_failed, fault, ignition, load_failed

FILE = Path("shard.hdf5")
UNITS = {"temperature": "K", "solid_fraction": "1"}


def test_ignition_is_the_first_hot_frame_and_censored_at_the_last():
    temperature = np.full((3, 5, 2, 2), 300.0, dtype=np.float32)
    temperature[0, 2, 1, 0], temperature[0, 3, 0, 0] = 2500.0, 3000.0
    temperature[1, 4, 0, 1] = 2001.0
    found = ignition(temperature, 0.5)
    assert found["ignited"].tolist() == [1.0, 1.0, 0.0]
    assert found["ignition_time"].tolist() == [1.0, 2.0, 2.0]
    assert found["max_temperature"].tolist() == [3000.0, 2001.0, 300.0]


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("temperature", np.nan, "temperature, frame 1: expected finite values"),
        ("temperature", -3.0, "temperature, frame 1: .* got -3.0"),
        ("solid_fraction", 1.1, "solid_fraction, frame 1: .* got 1.1"),
    ],
)
def test_fields_that_are_not_physical_are_a_fault(field, value, reason):
    frames = {name: np.full((3, 4, 4), 0.5, dtype=np.float32) for name in UNITS}
    assert fault(frames, UNITS, 1e-7, "float32") is None
    frames[field][1, 2, 2] = value
    assert re.match(reason, fault(frames, UNITS, 1e-7, "float32"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_drift_beyond_round_off_is_a_fault(dtype):
    frames = {name: np.full((3, 4, 4), 0.5, dtype=np.float32) for name in UNITS}
    assert fault(frames, UNITS, DRIFT_TOLERANCE[dtype], dtype) is None
    assert "drifts by" in fault(frames, UNITS, 1.01 * DRIFT_TOLERANCE[dtype], dtype)
    assert "drifts by nan" in fault(frames, UNITS, np.nan, dtype)


def test_failed_runs_are_read_back_and_fit_into_an_attribute():
    runs = tuple(FailedRun(index, 9.5, "no stable step " * 100) for index in range(200))
    text = dump_failed(runs)
    assert len(text) < 2**16
    assert [(run.index, run.shock_pressure) for run in load_failed({"failed_runs": text}, FILE)] == [(i, 9.5) for i in range(200)]
    assert load_failed({}, FILE) == load_failed({"failed_runs": None}, FILE) == ()


@pytest.mark.parametrize("text", ["{", "[1]", "[{}]", '[{"index": 1}]', "[" * 100_000, 3, ["[]"], b"\xff"])
def test_a_damaged_list_of_failed_runs_names_its_file(text):
    with pytest.raises(ValueError, match=r"shard.hdf5: attribute 'failed_runs': expected a list of failed runs, got "):
        load_failed({"failed_runs": text}, FILE)
