"""Score trained micro tokens, as they are, on the validation simulations of any campaign: one row for each seed of the draws.

python examples/score_tokens.py hmx-standard runs/standard/data/meso --draws 8 --out meso.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

import probtokens
from probtokens.data import TrajectorySet, split_folder
from probtokens.evaluate.ablation import score_leads
from probtokens.fields import field_index
from probtokens.models.micro import MicroTokens
from probtokens.pipeline.record import hardware, versions
from probtokens.weights import resolved

LEADS = (2, 5, 10, 15, 20, 30, 40)


def persistence_rmse(trajectories: TrajectorySet, leads: tuple[int, ...], field: str) -> np.ndarray:
    """Error of the first frame as a forecast, by lead."""
    number = field_index(trajectories.fields, field)
    squares = []
    for simulation in range(len(trajectories)):
        frames = trajectories.frames(simulation)[:, number].astype(np.float64)
        squares.append([np.mean((frames[lead] - frames[0]) ** 2) for lead in leads])
    return np.sqrt(np.mean(squares, axis=0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="file of micro tokens, or the name of those in the package")
    parser.add_argument("campaign", type=Path, help="folder with valid/*.hdf5 in The Well's layout")
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=2, help="how many seeds of the draws: their differences are Monte Carlo error")
    parser.add_argument("--simulations", type=int, help="the first so many; all by default")
    parser.add_argument("--field", default="temperature")
    parser.add_argument("--out", type=Path, required=True, help="JSON file that receives the scores")
    args = parser.parse_args()

    model = MicroTokens.load(resolved(args.model))
    names = tuple(spec.name for spec in model.fields)
    every = TrajectorySet.open(split_folder(args.campaign, "valid"), names, model.normalizer.context_names)
    trajectories = every.subset(range(args.simulations or len(every)))
    leads = tuple(lead for lead in LEADS if lead < trajectories.grid.n_times)
    still = persistence_rmse(trajectories, leads, args.field)
    rows = []
    for seed in range(args.seeds):
        scores = score_leads(model, trajectories, leads, field=args.field, members=args.draws, seed=seed)
        by_lead = {name: np.array(values, dtype=float) for name, values in scores.items()}
        rmse, spread = by_lead["rmse"], by_lead["spread_skill"] * by_lead["rmse"]
        pooled = {
            "rmse_over_persistence": float(np.sqrt(np.mean(rmse**2) / np.mean(still**2))),
            "crps": float(by_lead["crps"].mean()),
            "spread_skill": float(np.sqrt(np.mean(spread**2) / np.mean(rmse**2))),
            "coverage_90": float(by_lead["coverage_90"].mean()),
        }
        rows.append({"seed": seed, **pooled, "by_lead": scores})
        print(f"seed {seed}: " + ", ".join(f"{name} {value:.3f}" for name, value in pooled.items()), flush=True)
    document = {
        "version": probtokens.__version__,
        "versions": versions(),
        "hardware": hardware(),
        "field": args.field,
        "simulations": len(trajectories),
        "draws": args.draws,
        "leads": leads,
        "persistence_rmse": still.tolist(),
        "rows": rows,
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
