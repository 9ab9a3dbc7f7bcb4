"""Campaigns: files, resuming, reproducibility."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from probtokens.config import ImageConfig, MicrostructureConfig
from probtokens.simulate import shard
from probtokens.simulate.campaign import batch_size, config_digest, plan
from probtokens.simulate.execute import reusable_shards, run_campaign
from probtokens.simulate.shard import kernels_of
from tests.simulate.campaigns import CAMPAIGN, PHYSICS, files, hidden


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("campaign")
    run_campaign("micro", CAMPAIGN, PHYSICS, folder, seed=7)
    return folder


def test_files_hold_fields_scalars_and_units(finished):
    assert list(files(finished)) == [
        "test/shard_0000.hdf5",
        "train/shard_0000.hdf5",
        "train/shard_0001.hdf5",
        "valid/shard_0000.hdf5",
    ]
    with h5py.File(finished / "train" / "shard_0000.hdf5") as file:
        temperature = file["t0_fields/temperature"]
        assert temperature.shape == (2, 3, 20, 16)  # simulation, time, x, y
        assert temperature.attrs["units"] == "K"
        assert file["t1_fields/velocity"].shape == (2, 3, 20, 16, 2)
        pressure = file["scalars/shock_pressure"][:]
        assert ((pressure >= 9.0) & (pressure <= 12.0)).all()
        assert np.abs(file["scalars/conservation_drift"][:]).max() < 1e-4
        # Shocked on the left, ambient on the right, a pore between.
        np.testing.assert_allclose(file["t0_fields/pressure"][:, 0, 0], pressure[:, None] * np.ones(16), rtol=0.02)
        np.testing.assert_allclose(temperature[:, 0, -1], 300.0, rtol=0.01)
        assert file["t0_fields/solid_fraction"][:].min() < 0.01
        assert ((file["scalars/max_courant"][:] > 0.3) & (file["scalars/max_courant"][:] <= 1.15 * PHYSICS.cfl)).all()
        np.testing.assert_allclose(file["scalars/ignition_time"][:], 0.04)  # none ignites: the last frame's
        assert file["scalars/ignition_time"].attrs["units"] == "ns"
        assert file.attrs["failed_runs"] == "[]"


def test_interrupted_and_resumed_gives_the_same_bits(finished, tmp_path):
    def stop(done: int, total: int, line: str) -> None:
        if "train/shard_0001" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_campaign("micro", CAMPAIGN, PHYSICS, tmp_path, seed=7, progress=stop)
    assert list(files(tmp_path)) == ["train/shard_0000.hdf5"]
    (tmp_path / "train" / ".shard_0001.hdf5.123.tmp").write_bytes(b"half a file")
    again: list[tuple[int, int, str]] = []
    paths = run_campaign("micro", CAMPAIGN, PHYSICS, tmp_path, seed=7, progress=lambda *report: again.append(report))
    assert not any("train/shard_0000" in line for *_, line in again)
    assert again[0] == (4, 10, "")  # frames of what is finished count from the start
    assert again[-1][:2] == (10, 10)
    assert [done for done, *_ in again] == sorted(done for done, *_ in again)
    assert files(tmp_path) == files(finished)
    assert hidden(tmp_path) == []
    assert sorted(paths) == sorted(tmp_path.rglob("*.hdf5"))


def test_shards_of_other_kernels_are_told_and_kept(tmp_path, monkeypatch, caplog):
    paths = run_campaign("micro", CAMPAIGN, PHYSICS, tmp_path, seed=7)
    kind = kernels_of(paths[0])
    assert kind == f"eager, {torch.backends.cpu.get_cpu_capability()}"
    run_campaign("micro", CAMPAIGN, PHYSICS, tmp_path, seed=7)
    assert not caplog.records
    before = paths[0].read_bytes()
    paths[-1].unlink()
    monkeypatch.setattr(shard, "_kernels", lambda task: "compiled, AVX2")
    run_campaign("micro", CAMPAIGN, PHYSICS, tmp_path, seed=7)
    (record,) = caplog.records
    assert f"1 compiled, AVX2, 3 {kind}" in record.getMessage()
    assert paths[0].read_bytes() == before


def test_seed_changes_the_simulations():
    one, two = (plan(CAMPAIGN, Path(), seed) for seed in (0, 1))
    draws = [np.random.default_rng(shard.seed).random() for shard in (*one, *two)]
    assert len(set(draws)) == len(draws)


def test_files_of_another_campaign_are_refused(finished):
    with pytest.raises(ValueError, match="choose another folder"):
        run_campaign("micro", CAMPAIGN, PHYSICS, finished, seed=8)


def test_a_campaign_may_grow_and_keeps_its_full_files(tmp_path):
    small, large = (CAMPAIGN.model_copy(update={"n_train": n}) for n in (2, 6))
    (before, *_) = run_campaign("micro", small, PHYSICS, tmp_path / "grown", seed=7)
    written = before.stat().st_mtime_ns
    run_campaign("micro", large, PHYSICS, tmp_path / "grown", seed=7)
    run_campaign("micro", large, PHYSICS, tmp_path / "at_once", seed=7)
    assert before.stat().st_mtime_ns == written
    assert files(tmp_path / "grown") == files(tmp_path / "at_once")


def test_a_file_that_would_be_longer_is_refused(tmp_path):
    run_campaign("micro", CAMPAIGN, PHYSICS, tmp_path, seed=7)
    with pytest.raises(ValueError, match=r"shard_0001\.hdf5: expected a shard of 2 simulations .* got 1"):
        run_campaign("micro", CAMPAIGN.model_copy(update={"n_train": 4}), PHYSICS, tmp_path, seed=7)


def test_only_files_of_the_campaign_can_be_used_again(tmp_path):
    run_campaign("micro", CAMPAIGN, PHYSICS, tmp_path, seed=7)
    (tmp_path / "valid" / "shard_0000.hdf5").write_bytes(b"damaged")
    (tmp_path / "train" / "shard_0009.hdf5").write_bytes(b"nobody planned this")
    grown = CAMPAIGN.model_copy(update={"n_train": 4})
    expected = [tmp_path / "train" / "shard_0000.hdf5", tmp_path / "test" / "shard_0000.hdf5"]
    assert reusable_shards("micro", grown, PHYSICS, tmp_path, seed=7) == expected
    assert reusable_shards("micro", grown, PHYSICS, tmp_path, seed=8) == []


def test_other_batches_make_another_campaign():
    ones, twos, more = (CAMPAIGN.model_copy(update={"n_train": n}) for n in (1, 2, 4))
    one, two, four = (config_digest("micro", campaign, PHYSICS, seed=7) for campaign in (ones, twos, more))
    assert (one == two, two == four) == (False, True)


def test_files_that_nobody_planned_are_refused(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "data")
    stray = tmp_path / "data" / "train" / "mine.h5"
    shutil.copy(next(finished.rglob("*.hdf5")), stray)
    with pytest.raises(ValueError, match=r"mine\.h5: expected only the \d+ files of this campaign"):
        run_campaign("micro", CAMPAIGN, PHYSICS, tmp_path / "data", seed=7)
    assert stray.is_file()


def test_an_image_counts_by_its_content(tmp_path):
    def digest(name: str) -> str:
        image = ImageConfig(path=tmp_path / name, pixel_size=0.02)
        campaign = CAMPAIGN.model_copy(update={"microstructure": MicrostructureConfig(image=image)})
        return config_digest("micro", campaign, PHYSICS, seed=7)

    (tmp_path / "a.png").write_bytes(b"one")
    (tmp_path / "b.png").write_bytes(b"one")
    before = digest("a.png")
    assert digest("b.png") == before
    (tmp_path / "a.png").write_bytes(b"two")
    assert digest("a.png") != before


def test_damaged_file_is_a_clear_error(tmp_path):
    path = tmp_path / "train" / "shard_0000.hdf5"
    path.parent.mkdir()
    path.write_bytes(b"not HDF5")
    with pytest.raises(ValueError, match="shard_0000.hdf5: expected a complete HDF5 file"):
        run_campaign("micro", CAMPAIGN, PHYSICS, tmp_path, seed=7)


def test_batch_size_divides_shards_without_waste():
    assert batch_size([16, 16, 16, 4, 4], 48 * 72) == 4
    assert batch_size([3, 3, 3], 96 * 144) == 3
    assert batch_size([1], 100) == 1


def test_pores_without_room_are_told_with_the_file_that_they_were_for(tmp_path):
    crowded = CAMPAIGN.model_copy(update={"microstructure": CAMPAIGN.microstructure.model_copy(update={"n_pores": (40, 40)})})
    with pytest.raises(ValueError, match=r"train/shard_0000\.hdf5: microstructure: expected room for 40 pores") as refused:
        run_campaign("micro", crowded, PHYSICS, tmp_path, seed=7)
    assert str(refused.value).startswith(str(tmp_path))
