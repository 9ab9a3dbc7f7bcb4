"""Collect what micro tokens of the standard set reach: reconstructions at both scales and rollouts of single pores.

python examples/collect_micro.py runs/micro runs/standard/data docs/results/micro
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path

import numpy as np
import torch

from probtokens.config import Config, dump_config, load_config
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


def table(numbers: dict) -> str:
    """What was reached beside what was wanted, as a Markdown table."""
    errors, rollout = numbers["reconstruction_rmse"], numbers["rollout"]
    low, high = rollout["spread_skill_range"]
    least, most = rollout["coverage_90_range"]
    area, temperature = rollout["hotspot_coverage_90"].values()
    rows = [
        (
            f"temperature of reconstructed micro frames, RMSE, {numbers['compression']:.1f} numbers for one",
            f"{errors['micro']['temperature']:.0f} K",
            "25 K",
        ),
        ("the same of meso frames, which no training ever saw", f"{errors['meso']['temperature']:.0f} K", "40 K"),
        (f"temperature over {STEPS} steps, RMSE as a share of persistence", f"{rollout['ratio']:.2f}", "0.10"),
        ("spread/skill by lead, least and most", f"{low:.2f} to {high:.2f}", "0.85 to 1.15"),
        ("90 % intervals cover, by lead, least and most", f"{least:.2f} to {most:.2f}", "0.87 to 0.93"),
        ("90 % intervals of hot-spot area and temperature cover", f"{area:.2f} and {temperature:.2f}", "0.83 to 0.97"),
    ]
    return "\n".join(["| what | reached | wanted |", "| --- | --- | --- |", *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def portable(config: Config) -> str:
    """The configuration with data folders relative to the working folder."""
    given = {scale: path for scale in ("micro", "meso") if (path := getattr(config.data, scale)) is not None}
    relative = {scale: Path(os.path.relpath(path)) for scale, path in given.items()}
    return dump_config(config.model_copy(update={"data": config.data.model_copy(update=relative)}))


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
    shutil.copy(args.run / "scores.json", args.out / "scores.json")
    (args.out / "config.yaml").write_text(portable(load_config(args.run / "config.yaml")), encoding="utf-8")
    (args.out / "table.md").write_text(table(numbers), encoding="utf-8")
    (args.out / "numbers.json").write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(numbers, indent=2))


if __name__ == "__main__":
    main()
