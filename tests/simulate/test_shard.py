"""Shards: what fails is left out, listed and the only thing that changes."""

import logging

import h5py
import numpy as np
import pytest

from probtokens.data import read_info, read_scalar
from probtokens.simulate import shard as module
from probtokens.simulate.execute import run_campaign
from probtokens.simulate.run import BatchResult
from probtokens.simulate.shard import failed_runs, finished, run_shard
from probtokens.simulate.solver import UnstableError
from tests.simulate.campaigns import CAMPAIGN, PHYSICS, tasks_of

FOUR = CAMPAIGN.model_copy(update={"n_train": 4, "shard_size": 4, "n_valid": 0, "n_test": 0})


@pytest.fixture
def task(tmp_path):
    return tasks_of(FOUR, tmp_path)[0]


@pytest.fixture
def spoil(monkeypatch):
    """Make simulations of a shard impossible: the solver meets a pore that is no number."""
    draw = module.draw

    def spoil(*indices):
        def broken(shard, campaign):
            pressure, porosity = draw(shard, campaign)
            porosity[list(indices), 3, 3] = np.nan
            return pressure, porosity

        monkeypatch.setattr(module, "draw", broken)

    return spoil


def fields(path, index):
    with h5py.File(path) as file:
        return {name: file[f"t0_fields/{name}"][index] for name in ("temperature", "pressure", "solid_fraction")}


def test_a_failed_run_is_left_out_and_listed(task, spoil):
    assert run_shard(task) == ()
    info = read_info(task.shard.path)
    pressure, whole = read_scalar(info, "shock_pressure"), [fields(task.shard.path, index) for index in range(4)]
    spoil(1)
    (failed,) = run_shard(task)
    assert (failed.index, failed.shock_pressure) == (1, pytest.approx(float(pressure[1])))
    assert failed.reason.startswith("frame 1: flow solver: expected a finite state")
    assert failed_runs(task.shard.path) == (failed,)
    assert finished(task.shard, task.digest)
    info = read_info(task.shard.path)
    assert info.n_simulations == 3
    np.testing.assert_array_equal(read_scalar(info, "shock_pressure"), pressure[[0, 2, 3]])
    for row, index in enumerate((0, 2, 3)):
        for name, values in fields(task.shard.path, row).items():
            np.testing.assert_allclose(values, whole[index][name], rtol=0.02, atol=0.02)


def test_a_shard_with_a_failed_run_has_the_same_bits_again(task, spoil):
    spoil(2)
    run_shard(task)
    first = task.shard.path.read_bytes()
    task.shard.path.unlink()
    run_shard(task)
    assert task.shard.path.read_bytes() == first


def test_a_failed_batch_does_not_touch_the_others(task, spoil, monkeypatch):
    monkeypatch.setattr(module, "batch_size", lambda sizes, cells: 2)
    run_shard(task)
    whole = fields(task.shard.path, 3)
    spoil(0)
    run_shard(task)
    for name, values in fields(task.shard.path, 2).items():
        np.testing.assert_array_equal(values, whole[name])


def test_runs_of_a_failed_batch_are_repeated_in_batches_of_the_same_shape(task, spoil, monkeypatch):
    calls = []
    run_batch = module.run_batch

    def counted(solver, porosity, pressure, *rest):
        calls.append(pressure)
        return run_batch(solver, porosity, pressure, *rest)

    monkeypatch.setattr(module, "run_batch", counted)
    spoil(0, 3)
    assert [run.index for run in run_shard(task)] == [0, 3]
    size = len(calls[0])
    assert {len(call) for call in calls} == {size}
    assert sum(len(set(call)) == 1 for call in calls) >= 4


def test_a_shard_without_a_good_run_is_an_error(task, spoil):
    spoil(0, 1, 2, 3)
    with pytest.raises(ValueError, match=r"shard_0000.hdf5: expected at least one of 4 runs to succeed, got none: run 0 \("):
        run_shard(task)
    assert not task.shard.path.exists()


def test_a_run_whose_energy_drifts_is_left_out(task, monkeypatch):
    run_batch = module.run_batch

    def drifting(*arguments):
        result = run_batch(*arguments)
        drift = result.scalars["conservation_drift"].copy()
        drift[-1] = 3e-3
        return BatchResult(result.frames, result.scalars | {"conservation_drift": drift})

    monkeypatch.setattr(module, "run_batch", drifting)
    monkeypatch.setattr(module, "batch_size", lambda sizes, cells: 4)
    (failed,) = run_shard(task)
    assert failed.index == 3
    assert "drifts by 0.003" in failed.reason


def test_errors_that_are_not_the_solvers_stop_the_campaign(task, monkeypatch):
    def out_of_memory(*arguments):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(module, "run_batch", out_of_memory)
    with pytest.raises(RuntimeError, match="out of memory") as caught:
        run_shard(task)
    assert not isinstance(caught.value, UnstableError)


def test_failed_runs_are_told_at_once_and_survive_a_resume(tmp_path, spoil, caplog):
    spoil(1)
    with caplog.at_level(logging.WARNING, "probtokens"):
        paths = run_campaign("micro", FOUR, PHYSICS, tmp_path, seed=7)
    (record,) = caplog.records
    assert "micro train/shard_0000: left out run 1 (" in record.getMessage()
    before = paths[0].read_bytes()
    assert run_campaign("micro", FOUR, PHYSICS, tmp_path, seed=7) == paths
    assert paths[0].read_bytes() == before
