"""Wall time of forecasts of one burning run of many pores, beside that of simulating it.

python -m benchmarks.forecasters
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

import probtokens as pt
from benchmarks.simulator import PRESSURE, crystals, stepping
from benchmarks.timing import RESULTS, best_of, write_result
from probtokens.baselines import Parc
from probtokens.config import ParcConfig
from probtokens.models.base import Forecaster
from probtokens.models.meso import MesoTokens
from probtokens.predict.rollout import forecast_blocks

#: Cells along y and x, and pores, as in the standard meso set.
NY, NX, PORES = 128, 192, 10


def build(n_steps: int, draws: int, *, compiled: bool = True) -> dict[str, Callable[[], object]]:
    """What is timed: the simulator, tokens of both scales with so many draws, and PARC, untrained, which has a single member."""
    micro = pt.load("hmx-standard")
    first = pt.first_frame(1 - crystals(1, NY, NX, PORES), PRESSURE).sel(field=[spec.name for spec in micro.fields])
    initial, context = torch.as_tensor(first.values, dtype=torch.float32), torch.tensor([[PRESSURE]])
    grid = replace(micro.grid, ny=NY, nx=NX, n_times=n_steps + 1)
    models: dict[str, Forecaster] = {
        "tokens": MesoTokens.of_prior(micro),
        "micro_tokens": micro,
        "parc": Parc(ParcConfig(), micro.normalizer, micro.grid).eval(),
    }

    def forecast(model: Forecaster) -> None:
        for _, frames in forecast_blocks(model, initial, context, grid=grid, n_steps=n_steps, draws=draws, seed=0, number=0):
            for _ in frames:
                pass

    simulate, _ = stepping(1, NY, NX, PORES, compiled=compiled, duration=n_steps * grid.time_step)
    return {"simulator": simulate} | {name: (lambda m=model: forecast(m)) for name, model in models.items()}


def main() -> None:
    """Time forecasts of 40 leads and write ``benchmarks/results/forecasters.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--draws", type=int, default=64)
    parser.add_argument("--out", type=Path, default=RESULTS / "forecasters.json")
    args = parser.parse_args()
    seconds = best_of(args.repeats, build(40, args.draws))
    members = {"tokens": args.draws, "micro_tokens": args.draws, "parc": 1}
    write_result(
        args.out,
        {
            "repeats": args.repeats,
            "cells": [NY, NX],
            "leads": 40,
            "draws": args.draws,
            **{f"{name}_s": round(value, 2) for name, value in seconds.items()},
            **{f"draws_of_{name}_per_simulation": round(n * seconds["simulator"] / seconds[name], 1) for name, n in members.items()},
        },
    )


if __name__ == "__main__":
    main()
