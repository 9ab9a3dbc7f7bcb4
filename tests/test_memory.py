"""Memory: the allocator's setting, and what rollouts of many members and trainings on much data take."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import make_shard

PROGRAM = """
import ctypes, sys
from pathlib import Path
import numpy as np
if sys.argv[1] == "keep":
    from probtokens.memory import keep_freed_memory
    assert keep_freed_memory()
def faults():
    return int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[7])
def work():
    blocks = [np.ones(1 << 18) for _ in range(8)]  # 2 MiB each
work()
before = faults()
for _ in range(20):
    work()
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc" or sys.platform != "linux", reason="a setting of glibc on Linux")
def test_memory_that_was_freed_is_used_again_without_page_faults():
    def page_faults(mode: str) -> int:
        done = subprocess.run([sys.executable, "-c", PROGRAM, mode], capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert page_faults("keep") < 0.1 * page_faults("default")


PEAK = """
import sys
from pathlib import Path
import torch
def status(key):
    return int(next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key)).split()[1]) / 1024
before = status("VmRSS")
{work}
print(status("VmHWM") - before)
"""
ROLLOUT = """
from probtokens.fields import Grid
from probtokens.predict import write_rollout
from probtokens.verify.token_pairs import FIELDS, GRID, micro_tokens
from tests.predict.synthetic import Trajectories
trajectories = Trajectories(1, Grid(96, 144, GRID.spacing, GRID.time_step, 4), FIELDS)
trajectories.context_names, trajectories.context_units = ("shock_pressure",), ("GPa",)
trajectories.context = trajectories.context[:, :1] + 15
write_rollout(micro_tokens(), trajectories, Path(sys.argv[1]), members=int(sys.argv[2]), seed=0)
"""
TRAINING = """
from probtokens.pipeline.commands import run_stages
for command in ("simulate", "train micro"):
    run_stages(command, Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
"""
RECIPE = """
data: {context: []}
rollout: {scale: micro, models: [micro_tokens]}
evaluate: {recalibrate: false}
micro:
  tokens: {patch: 4, width: 8, group_width: 8, transition_blocks: 1, trajectory_dim: 2}
  stages:
    - {name: codec, objective: reconstruction, steps: 30, batch_size: 4}
    - {name: tokens, objective: latent_error, steps: 30, horizon: 4, batch_size: 4}
    - {name: frames, objective: rollout_error, steps: 5, horizon: 4, batch_size: 2}
"""

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def peak(work: str, *arguments: object) -> float:
    """Memory [MiB] that a process takes at most, beyond what it has once torch is imported."""
    command = [sys.executable, "-c", PEAK.format(work=work), *map(str, arguments)]
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()[-1])


@on_linux
@pytest.mark.slow
def test_a_rollout_takes_no_more_memory_for_more_members(tmp_path: Path) -> None:
    few, many = (peak(ROLLOUT, tmp_path / f"{members}.zarr", members) for members in (50, 400))
    assert many < 1.3 * few


@on_linux
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_training_on_four_gibibytes_takes_one(tmp_path: Path) -> None:
    """Frames that have been read, encoded tokens and everything else that training holds, with the settings as they are."""
    assert training_peak(tmp_path, copies=64) < 1024


def training_peak(folder: Path, copies: int, *overrides: str) -> float:
    """Peak of a training on so many files of 64 MiB."""
    whole = make_shard(folder / "data" / "test" / "a.hdf5", n_simulations=16, ny=96, nx=128, n_times=17)
    (folder / "data" / "train").mkdir()
    for number in range(copies):
        shutil.copyfile(whole, folder / "data" / "train" / f"{number}.hdf5")
    (folder / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    return peak(TRAINING, folder / "recipe.yaml", folder / "run", f"data.micro={folder / 'data'}", *overrides)
