"""What is timed still runs: the recipe whose speed is told may change."""

from __future__ import annotations

import pytest

from benchmarks import forecasters, micro_speed
from probtokens.fields import Grid


def test_all_that_is_timed_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(micro_speed, "GRID", Grid(64, 64, 0.04, 0.125, n_times=2))
    monkeypatch.setattr(micro_speed, "N_FRAMES", 2)
    work = micro_speed.build()
    for name, call in work.items():
        if "compiled" not in name:  # compiling takes half a minute
            call()


def test_forecasts_whose_cost_is_told_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forecasters, "NY", 32)
    monkeypatch.setattr(forecasters, "NX", 48)
    monkeypatch.setattr(forecasters, "PORES", 1)
    work = forecasters.build(n_steps=1, draws=2, compiled=False)
    assert list(work) == ["simulator", "tokens", "micro_tokens", "parc"]
    for call in work.values():
        call()
