"""What is timed still runs: the recipe whose speed is told may change."""

from __future__ import annotations

import pytest

from benchmarks import micro_speed
from probtokens.fields import Grid


def test_all_that_is_timed_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(micro_speed, "GRID", Grid(64, 64, 0.04, 0.125, n_times=2))
    monkeypatch.setattr(micro_speed, "N_FRAMES", 2)
    work = micro_speed.build()
    for name, call in work.items():
        if "compiled" not in name:  # compiling takes half a minute
            call()
