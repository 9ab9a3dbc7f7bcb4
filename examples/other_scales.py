"""Score micro tokens, as they are, on meso data thinned in time and averaged to wider cells: all in the same cells and at the same times.

python examples/other_scales.py hmx-standard runs/standard/data/meso --simulations 3 --draws 8 --out docs/results/other_scales
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import probtokens as pt
from probtokens.data import split_folder
from probtokens.evaluate import scores
from probtokens.fields import field_index
from probtokens.models.tokens import TokenForecaster
from probtokens.nn.lattice import resampled
from probtokens.pipeline.record import hardware, versions
from probtokens.predict.rollout import simulation_seed
from probtokens.weights import resolved

#: Rows of the table: widths of cells and steps of a frame, in those of the data.
SCALES = {"as learned": (1, 1), "every second frame": (1, 2), "cells of twice the width": (2, 1), "both": (2, 2)}
UNDECLARED = "every second frame, taken for every one"


def on_scales(data: pt.Trajectories, width: int, steps: int) -> pt.Trajectories:
    """Means over ``width`` × ``width`` cells of every so many frames."""
    frames = resampled(torch.tensor(np.stack([data.frames(number)[::steps] for number in range(len(data))])), width, 1)
    grid = {"spacing": width * data.grid.spacing, "time_step": steps * data.grid.time_step}
    context = dict(zip(data.context_names, data.context.T, strict=True))
    return pt.Trajectories.from_arrays(frames, data.fields, **grid, context=context, boundary=data.boundary)


def score(model: TokenForecaster, data: pt.Trajectories, truth: pt.Trajectories, field: str, draws: int) -> dict[str, float]:
    """Scores of forecasts from the first frames of ``data``, in the cells and at the times of ``truth``."""
    number, n_times = field_index(model.fields, field), truth.grid.n_times
    every, width = (data.grid.n_times - 1) // (n_times - 1), data.grid.ny // truth.grid.ny
    members, true = [], []
    for simulation in range(len(data)):
        forecast = model.forecast(
            data.frames(simulation)[:1],
            data.context[simulation : simulation + 1],
            grid=replace(model.grid, ny=data.grid.ny, nx=data.grid.nx),
            n_steps=data.grid.n_times - 1,
            n_draws=draws,
            seed=simulation_seed(0, simulation),
            leads=range(every, data.grid.n_times, every),
        )
        members.append(torch.stack([resampled(frame[:, 0, number], width, 1) for frame in forecast], dim=1).numpy())
        true.append(truth.frames(simulation)[1:, number])
    return scored(np.stack(members, axis=1), np.stack(true))


def scored(members: np.ndarray, true: np.ndarray) -> dict[str, float]:
    """Scores of members (draw, simulation, time, y, x), all cells, times and simulations together."""
    spread = {} if len(members) < 2 else {"spread_skill": scores.spread_skill(members, true)}
    return {"rmse": scores.rmse(members, true), "crps": float(scores.crps(members, true).mean())} | spread


def table(document: dict) -> str:
    """The scores as a Markdown table."""
    lines = ["| data | cell [µm] | frame step [ns] | RMSE [K] | CRPS [K] | spread/skill |", "| --- | ---: | ---: | ---: | ---: | ---: |"]
    for name, row in document["rows"].items():
        skill = f"{row['spread_skill']:.3f}" if "spread_skill" in row else ""
        lines.append(f"| {name} | {row['cell']:.3g} | {row['frame_step']:.3g} | {row['rmse']:.2f} | {row['crps']:.2f} | {skill} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path, help="file of micro tokens, or the name of those in the package")
    parser.add_argument("campaign", type=Path, help="folder with valid/*.hdf5 in The Well's layout")
    parser.add_argument("--simulations", type=int, default=3, help="the first so many")
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--field", default="temperature")
    parser.add_argument("--out", type=Path, required=True, help="folder that receives numbers.json and table.md")
    args = parser.parse_args()

    model = pt.load(resolved(args.model))
    names = [spec.name for spec in model.fields]
    data = pt.Trajectories.open(split_folder(args.campaign, "valid"), names, model.normalizer.context_names).subset(range(args.simulations))
    truth = on_scales(data, 2, 2)
    rows = {}
    for name, (width, steps) in (SCALES | {UNDECLARED: (1, 2)}).items():
        seen = on_scales(data, width, steps)
        found = score(model if name == UNDECLARED else model.on(seen.grid), seen, truth, args.field, args.draws)
        rows[name] = {"cell": seen.grid.spacing, "frame_step": seen.grid.time_step, **found}
        print(f"{name}: " + ", ".join(f"{key} {value:.4g}" for key, value in found.items()), flush=True)
    number = field_index(model.fields, args.field)
    true = np.stack([truth.frames(simulation)[:, number] for simulation in range(len(truth))])
    still = scored(np.broadcast_to(true[None, :, :1], (1, *true[:, 1:].shape)), true[:, 1:])
    rows["persistence"] = {"cell": truth.grid.spacing, "frame_step": truth.grid.time_step, **still}
    document = {
        "versions": versions(),
        "hardware": hardware(),
        "field": args.field,
        "simulations": len(data),
        "draws": args.draws,
        "scored": {"cell": truth.grid.spacing, "frame_step": truth.grid.time_step, "times": truth.grid.n_times - 1},
        "rows": rows,
    }
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "numbers.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (args.out / "table.md").write_text(table(document), encoding="utf-8")
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
