"""Time the simulator and the forecasters side by side and write the ratios with the hardware beside them."""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from probtokens import __version__
from probtokens.baselines import Parc
from probtokens.config import MesoConfig, ParcConfig, PhysicsConfig, SimulateConfig, TokenConfig
from probtokens.data import Normalizer
from probtokens.data.atomic import replacing
from probtokens.fields import Grid, field_spec
from probtokens.models.base import Forecaster
from probtokens.models.meso import MesoTokens
from probtokens.models.micro import MicroTokens
from probtokens.simulate.microstructure import pore_fraction
from probtokens.simulate.run import build_solver, run_batch

FIELDS = tuple(map(field_spec, ("temperature", "pressure", "solid_fraction", "velocity_x", "velocity_y")))


def best_of(repeats: int, work: Callable[[], object]) -> float:
    """Shortest wall time [s] of ``work`` after one warm-up call."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def simulator(repeats: int) -> dict[str, float]:
    """Wall time [s] of the same four single-pore simulations, compiled and eager."""
    campaign = SimulateConfig().micro
    grid = Grid(campaign.ny, campaign.nx, campaign.spacing, campaign.time_step, n_times=2)
    rng = np.random.default_rng(0)
    pores = np.stack([pore_fraction(grid.ny, grid.nx, grid.spacing, campaign.microstructure, rng) for _ in range(4)])
    seconds = {}
    for name, compiled in (("compiled", True), ("eager", False)):
        physics = PhysicsConfig(compile=compiled)
        solver = build_solver(physics, grid.spacing)
        seconds[f"simulator_{name}_s"] = best_of(repeats, lambda s=solver, p=physics: run_batch(s, pores, np.full(4, 11.0), grid, p))
    return seconds | {"eager_per_compiled": seconds["simulator_eager_s"] / seconds["simulator_compiled_s"]}


def forecasters(repeats: int) -> dict[str, float]:
    """Wall time [s] of one forecast frame of 96 × 144 cells, a single member, for untrained models of default size."""
    grid = Grid(96, 144, 0.04, 0.125, n_times=25)
    normalizer = Normalizer(FIELDS, ("shock_pressure",))
    micro = MicroTokens(TokenConfig(), normalizer, grid)
    models: dict[str, Forecaster] = {
        "tokens": MesoTokens(micro, MesoConfig(), 1, grid.n_times),
        "tokens_zero_coupling": micro,
        "parc": Parc(ParcConfig(), normalizer, grid),
    }
    initial, context = torch.zeros(1, len(FIELDS), *grid.shape), torch.zeros(1, 1)
    request = {"grid": grid, "n_steps": 4, "n_draws": 1, "seed": 0}
    with torch.no_grad():
        seconds = {
            f"{name}_frame_s": best_of(repeats, lambda m=model: list(m.forecast(initial, context, **request))) / 4
            for name, model in models.items()
        }
    return seconds | {"parc_per_tokens": seconds["parc_frame_s"] / seconds["tokens_frame_s"]}


def main() -> None:
    """Run all benchmarks, print them and write ``benchmarks/results/speed.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="two repeats instead of ten")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/speed.json"))
    args = parser.parse_args()
    repeats = 2 if args.quick else 10
    hardware = {"machine": platform.machine(), "threads": torch.get_num_threads(), "torch": torch.__version__, "version": __version__}
    result = {"hardware": hardware, "repeats": repeats, **simulator(repeats), **forecasters(repeats)}
    for name, value in result.items():
        print(f"{name:28s} {value if isinstance(value, dict | int) else f'{value:.4g}'}")
    with replacing(args.out) as temporary:
        temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
