"""Wall time of one forecast frame of every model, untrained, of default size.

python -m benchmarks.forecasters
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks.timing import RESULTS, best_of, write_result
from probtokens.baselines import Parc
from probtokens.config import MesoConfig, ParcConfig, TokenConfig
from probtokens.data import Normalizer
from probtokens.fields import Grid, field_spec
from probtokens.models.base import Forecaster
from probtokens.models.meso import MesoTokens
from probtokens.models.micro import MicroTokens

FIELDS = tuple(map(field_spec, ("temperature", "pressure", "solid_fraction", "velocity_x", "velocity_y")))
N_STEPS = 4


def main() -> None:
    """Time a frame of 96 × 144 cells, a single member, and write ``benchmarks/results/forecasters.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--out", type=Path, default=RESULTS / "forecasters.json")
    args = parser.parse_args()
    grid = Grid(96, 144, 0.04, 0.125, n_times=25)
    normalizer = Normalizer(FIELDS, ("shock_pressure",))
    micro = MicroTokens(TokenConfig(), normalizer, grid)
    models: dict[str, Forecaster] = {
        "tokens": MesoTokens(micro, MesoConfig(), 1, grid.n_times),
        "micro_tokens": micro,
        "parc": Parc(ParcConfig(), normalizer, grid),
    }
    initial, context = torch.zeros(1, len(FIELDS), *grid.shape), torch.zeros(1, 1)
    request = {"grid": grid, "n_steps": N_STEPS, "n_draws": 1, "seed": 0}
    with torch.no_grad():
        work = {name: (lambda m=model: list(m.forecast(initial, context, **request))) for name, model in models.items()}
        seconds = best_of(args.repeats, work)
    frames = {f"{name}_frame_s": round(value / N_STEPS, 4) for name, value in seconds.items()}
    write_result(args.out, {"repeats": args.repeats, **frames, "parc_per_tokens": round(seconds["parc"] / seconds["tokens"], 2)})


if __name__ == "__main__":
    main()
