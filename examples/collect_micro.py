"""Collect what micro tokens of the standard set reach: reconstructions at both scales and rollouts of single pores.

python examples/collect_micro.py runs/micro runs/standard/data docs/results/micro
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import torch

from probtokens.data import TrajectorySet
from probtokens.evaluate import load_scores
from probtokens.models.micro import MicroTokens

LEADS = (1, 5, 10, 20, 40)
STEPS = 20


def reconstruction(model: MicroTokens, folder: Path) -> dict[str, float]:
    """Root-mean-square error of every field's decoded mean, in its unit, over all frames of a folder's simulations."""
    trajectories = TrajectorySet.open(folder, [spec.name for spec in model.fields], model.normalizer.context_names)
    total = np.zeros(len(model.fields))
    for number in range(len(trajectories)):
        frames = torch.tensor(trajectories.frames(number))
        for part in frames.split(8):
            error = model.decode(model.encode(part).mean).mean - part
            total += error.double().square().mean(dim=(-1, -2)).sum(0).numpy()
    count = len(trajectories) * trajectories.grid.n_times
    return {spec.name: float(value) for spec, value in zip(model.fields, np.sqrt(total / count), strict=True)}


def rollouts(scores: dict) -> dict[str, object]:
    """Temperature scores of the tokens, before recalibration, against persistence."""
    tokens = scores["models"]["micro_tokens"].get("uncalibrated", scores["models"]["micro_tokens"])
    field = tokens["fields"]["temperature"]
    by_lead = {name: np.array(values, dtype=float) for name, values in field["by_lead"].items()}
    still = np.array(scores["models"]["persistence"]["fields"]["temperature"]["by_lead"]["rmse"])
    ours, theirs = (float(np.sqrt(np.mean(rmse[:STEPS] ** 2))) for rmse in (by_lead["rmse"], still))
    wanted = ("rmse", "crps", "spread_skill", "coverage_90")
    return {
        f"rmse_{STEPS}_steps_K": ours,
        f"persistence_rmse_{STEPS}_steps_K": theirs,
        "ratio": ours / theirs,
        "by_lead": {str(lead): {name: float(by_lead[name][lead - 1]) for name in wanted} for lead in LEADS if lead <= len(still)},
        "spread_skill_range": [float(by_lead["spread_skill"].min()), float(by_lead["spread_skill"].max())],
        "coverage_90_range": [float(by_lead["coverage_90"].min()), float(by_lead["coverage_90"].max())],
        "hotspot_coverage_90": {name: tokens["hotspot"][name]["coverage_90"] for name in ("area", "temperature")},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished run of examples/micro.yaml")
    parser.add_argument("data", type=Path, help="folder with micro/ and meso/ simulations of the standard set")
    parser.add_argument("out", type=Path, help="folder that receives the results")
    args = parser.parse_args()

    model = MicroTokens.load(args.run / "checkpoints" / "micro" / "model.pt")
    scores = load_scores(args.run / "scores.json")
    channels = sum(group.channels for group in model.tokens.groups)
    numbers = {
        "provenance": scores["provenance"],
        "compression": len(model.fields) * model.tokens.patch**2 / channels,
        "reconstruction_rmse": {scale: reconstruction(model, args.data / scale / "test") for scale in ("micro", "meso")},
        "rollout": rollouts(scores),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    for name in ("config.yaml", "scores.json"):
        shutil.copy(args.run / name, args.out / name)
    (args.out / "numbers.json").write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(numbers, indent=2))


if __name__ == "__main__":
    main()
