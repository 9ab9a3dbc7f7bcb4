"""A training takes nothing from a cluster's variables or the working folder, and no other machine can reach its processes."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest
import torch

from probtokens.config import ReconstructionStage
from probtokens.data import Normalizer, TrajectorySet
from probtokens.train import train_stages
from tests.helpers import make_shard
from tests.train.test_loop import FIELDS, micro

#: What SLURM, torchrun and Lightning's own launcher say to one of four processes.
CLUSTER = {
    "SLURM_JOB_ID": "7",
    "SLURM_JOB_NAME": "train",
    "SLURM_NTASKS": "4",
    "SLURM_NTASKS_PER_NODE": "2",
    "SLURM_PROCID": "1",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "1",
    "SLURM_NODELIST": "node[1-2]",
    "RANK": "1",
    "LOCAL_RANK": "1",
    "NODE_RANK": "1",
    "WORLD_SIZE": "4",
    "MASTER_ADDR": "10.0.0.1",
    "MASTER_PORT": "1",
}
STAGE = ReconstructionStage(name="reconstruction", steps=2, batch_size=2)
#: Of sockets in /proc/net/tcp: state, and addresses of 127.0.0.0/8 and ::1 as they are written there.
LISTENS, LOOPBACK = "0A", ("7F", "00000000000000000000000001000000")


@pytest.fixture
def data(tmp_path: Path) -> tuple[TrajectorySet, Normalizer]:
    make_shard(tmp_path / "data" / "shard.hdf5", n_simulations=2)
    trajectories = TrajectorySet.open(tmp_path / "data", FIELDS, ("shock_pressure",))
    return trajectories, Normalizer.fit(trajectories)


@pytest.mark.parametrize("devices", [1, 2])
def test_variables_of_a_cluster_and_the_working_folder_change_nothing(
    devices: int, data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = []
    for name in ("outside", "inside"):
        if name == "inside":
            (tmp_path / "here").mkdir()
            (tmp_path / "here" / "hpc_ckpt_1.ckpt").write_bytes(b"what Lightning would go on from")
            monkeypatch.chdir(tmp_path / "here")
            for variable, value in CLUSTER.items():
                monkeypatch.setenv(variable, value)
        model = micro(data)
        train_stages(model, data[0], (STAGE,), weight_decay=0.0, seed=0, devices=devices, out_dir=tmp_path / name)
        weights.append(model.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert [path.name for path in Path().iterdir()] == ["hpc_ckpt_1.ckpt"]
    assert not list(tmp_path.glob("*/.meeting"))


def test_processes_listen_on_the_loopback_interface_alone(data, tmp_path: Path) -> None:
    seen: list[str] = []

    def look(*_: object) -> None:
        own = {link for child in multiprocessing.active_children() for link in _links(Path(f"/proc/{child.pid}/fd"))}
        for table in ("tcp", "tcp6"):
            rows = [line.split() for line in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]]
            addresses = [row[1].partition(":")[0] for row in rows if row[3] == LISTENS and f"socket:[{row[9]}]" in own]
            seen.extend(f"{table} {address}" for address in addresses)

    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".meeting").write_bytes(b"left by a kill")
    train_stages(micro(data), data[0], (STAGE,), weight_decay=0.0, seed=0, devices=2, out_dir=tmp_path / "run", progress=look)
    assert seen, "processes that share batches listen to each other"
    assert not [address for address in seen if not address.split()[1].endswith(LOOPBACK)], seen


def _links(folder: Path) -> set[str]:
    """What a process has open; nothing of one that has just ended."""
    try:
        return {os.readlink(path) for path in folder.iterdir() if path.is_symlink()}
    except FileNotFoundError:
        return set()
