"""Disks that are full and folders that cannot be written: one line, no broken file, and on it goes once there is room."""

from __future__ import annotations

import resource
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import make_campaign

RECIPE = """
simulate:
  physics: {compile: false}
  micro:
    {ny: 16, nx: 24, time_step: 0.02, n_times: 4, n_train: 2, n_valid: 1, n_test: 1, shard_size: 1,
     microstructure: {kinds: [ellipse], diameter: {low: 0.25, high: 0.3}, margin: 0.08}}
rollout: {models: [persistence]}
"""


@pytest.fixture
def command(tmp_path):
    """The simulate command with a campaign of four files of 60 kB, apart from its run folder."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    given = make_campaign(tmp_path / "given")
    return [sys.executable, "-m", "probtokens.cli", "simulate", str(recipe), "--jobs=1", f"--set=data.meso={given}", "--out"]


def errors(stderr: str) -> list[str]:
    return [line for line in stderr.splitlines() if not line.startswith(("simulate micro", "check meso"))]


def shards(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.hdf5"))}


@pytest.fixture
def uninterrupted(command, tmp_path):
    subprocess.run([*command, str(tmp_path / "whole")], check=True, capture_output=True)
    return shards(tmp_path / "whole" / "data" / "micro")


def test_a_full_disk(command, uninterrupted, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    shell = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    if shutil.which("unshare") is None or subprocess.run([*shell, "mount -t tmpfs none disk"], cwd=tmp_path, check=False).returncode != 0:
        pytest.skip("this machine does not let us mount a small disk")
    simulate = shlex.join([*command, str(disk / "run")])
    script = f"""
        mount -t tmpfs -o size=160k none disk
        {simulate} > /dev/null 2> first; echo $?
        cp -r disk/run interrupted
        mount -o remount,size=20m disk
        {simulate} > /dev/null 2> second; echo $?
        cp -r disk/run resumed
    """
    codes = subprocess.run([*shell, script], cwd=tmp_path, check=True, capture_output=True, text=True).stdout.split()
    assert codes == ["2", "0"], (tmp_path / "first").read_text(encoding="utf-8") + (tmp_path / "second").read_text(encoding="utf-8")
    (line,) = errors((tmp_path / "first").read_text(encoding="utf-8"))
    assert line.startswith(f"probtokens: error: {disk}/run/data/micro/")
    assert line.endswith(".hdf5: cannot write: No space left on device")
    data = tmp_path / "interrupted" / "data" / "micro"
    assert 0 < len(shards(data)) < 4
    assert shards(data).items() <= uninterrupted.items()
    assert not list(data.rglob("*.tmp"))
    assert errors((tmp_path / "second").read_text(encoding="utf-8")) == []
    assert shards(tmp_path / "resumed" / "data" / "micro") == uninterrupted


def test_a_file_that_may_not_grow(command, tmp_path):
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    result = subprocess.run([*command, str(tmp_path / "run")], check=False, capture_output=True, text=True, preexec_fn=limit)
    assert result.returncode == 2
    (line,) = errors(result.stderr)
    assert line == f"probtokens: error: {tmp_path}/run/data/micro/train/shard_0000.hdf5: cannot write: File too large"
    assert not [path for path in (tmp_path / "run" / "data").rglob("*") if path.is_file()]


@pytest.mark.parametrize("out", ["recipe.yaml/run", "recipe.yaml"])
def test_a_folder_that_cannot_be(command, tmp_path, out):
    result = subprocess.run([*command, str(tmp_path / out)], check=False, capture_output=True, text=True)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"probtokens: error: {tmp_path / out}: ")
