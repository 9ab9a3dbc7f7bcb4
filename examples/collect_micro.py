"""Collect what micro tokens reach with single pores; of a run that trained them also the tokens, and reconstructions at both scales.

python examples/collect_micro.py runs/micro docs/results/micro --data runs/standard/data
python examples/collect_micro.py runs/trained docs/results/trained
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from probtokens.config import Config, dump_config, load_config
from probtokens.data import TrajectorySet
from probtokens.evaluate import load_scores, score_rollout
from probtokens.evaluate.perfect import chance
from probtokens.models.files import copy_model
from probtokens.models.micro import MicroTokens
from probtokens.pipeline.folder import RunFolder, Split
from probtokens.predict import open_rollout

STEPS = 20
WANTED = {"spread_skill": (0.85, 1.15), "coverage": (0.87, 0.93)}


def reconstruction(model: MicroTokens, folder: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Root mean squares of what every field's decoded mean misses, and of the decoder's noise, in its unit, over all frames of a folder."""
    trajectories = TrajectorySet.open(folder, [spec.name for spec in model.fields], model.normalizer.context_names)
    squares = np.zeros((2, len(model.fields)))
    for number in range(len(trajectories)):
        frames = torch.tensor(trajectories.frames(number))
        for part in frames.split(8):
            pixels = model.decode(model.encode(part).mean)
            for row, value in zip(squares, (pixels.mean - part, pixels.stddev), strict=True):
                row += value.double().square().mean(dim=(-1, -2)).sum(0).numpy()
    count = len(trajectories) * trajectories.grid.n_times
    error, noise = (dict(zip((spec.name for spec in model.fields), np.sqrt(row / count).tolist(), strict=True)) for row in squares)
    return error, noise


def reconstructions(model: MicroTokens, data: Path) -> dict[str, object]:
    """Reconstruction of micro test frames and meso validation frames, and how many numbers become one; neither was learned from."""
    found = {scale: reconstruction(model, data / scale / split) for scale, split in (("micro", "test"), ("meso", "valid"))}
    channels = sum(group.channels for group in model.tokens.groups)
    return {
        "compression": len(model.fields) * model.tokens.patch**2 / channels,
        "reconstruction_rmse": {scale: error for scale, (error, _) in found.items()},
        "decoder_noise": {scale: noise for scale, (_, noise) in found.items()},
    }


#: What is left out of committed scores: curves of every simulation, what a perfect forecaster would score, scores of narrow intervals.
_DROPPED = ("curves", "by_chance", "interval_score_50", "interval_score_80", "rmse_median")


def reduced(scores: Any) -> Any:
    """Scores without what is long, to three digits, and nothing said twice of models that are not recalibrated."""
    if isinstance(scores, dict):
        same = {key: value for key, value in scores.items() if key not in ("uncalibrated", "n_meso")}
        twice = scores.get("uncalibrated", {}).items() <= same.items() if isinstance(scores.get("uncalibrated"), dict) else False
        return {key: reduced(value) for key, value in scores.items() if key not in _DROPPED and not (twice and key == "uncalibrated")}
    if isinstance(scores, list):
        return [reduced(value) for value in scores]
    return float(f"{scores:.3g}") if isinstance(scores, float) else scores


def rollouts(tokens: dict, persistence: dict) -> dict[str, object]:
    """Temperature scores of the tokens, before recalibration, against persistence."""
    field = tokens["fields"]["temperature"]
    by_lead = {name: np.array(values, dtype=float) for name, values in field["by_lead"].items()}
    still = np.array(persistence["fields"]["temperature"]["by_lead"]["rmse"])
    ours, theirs = (_pooled(rmse[:STEPS]) for rmse in (by_lead["rmse"], still))
    wanted = ("rmse", "crps", "spread_skill", "coverage_90")
    return {
        f"rmse_{STEPS}_steps_K": ours,
        f"persistence_rmse_{STEPS}_steps_K": theirs,
        "ratio": ours / theirs,
        "ratio_of_all_leads": _pooled(by_lead["rmse"]) / _pooled(still),
        "by_lead": {name: by_lead[name].tolist() for name in wanted},
        "spread_skill_range": [float(by_lead["spread_skill"].min()), float(by_lead["spread_skill"].max())],
        "coverage_90_range": [float(by_lead["coverage_90"].min()), float(by_lead["coverage_90"].max())],
        "leads": len(still),
        "spread_skill_leads_as_wanted": _within(by_lead["spread_skill"], "spread_skill"),
        "coverage_90_leads_as_wanted": _within(by_lead["coverage_90"], "coverage"),
        "hotspot_coverage_90": {name: quantity["coverage_90"] for name, quantity in tokens["hotspot"].items()},
    }


def _pooled(rmse: np.ndarray) -> float:
    return float(np.sqrt(np.mean(rmse**2)))


def _within(by_lead: np.ndarray, name: str) -> int:
    low, high = WANTED[name]
    return int(np.count_nonzero((by_lead >= low) & (by_lead <= high)))


def validation_scores(run: RunFolder, config: Config) -> list[dict]:
    """Scores of the tokens and of persistence on validation simulations, before recalibration."""
    found = []
    for model in ("micro_tokens", "persistence"):
        with open_rollout(run.rollout(model, "valid")) as rollout:
            found.append(score_rollout(rollout, hotspot=config.evaluate.hotspot, coverage_levels=config.evaluate.coverage))
    return found


def n_simulations(run: RunFolder, split: Split) -> int:
    """Simulations of a split that were forecast."""
    with open_rollout(run.rollout("micro_tokens", split)) as rollout:
        return int(rollout["prediction"].sizes["simulation"])


def perfect(run: RunFolder, split: Split) -> dict[str, dict]:
    """What chance makes of the temperature scores of a forecaster that is right, with simulations of a split and spread as forecast."""
    with open_rollout(run.rollout("micro_tokens", split)) as rollout:
        temperature = rollout["prediction"].sel(field="temperature").isel(time=slice(1, None))
        found = chance((temperature.isel(simulation=number).to_numpy() for number in range(temperature.sizes["simulation"])), 0.9)
    return {
        name: {
            **dict(zip(("least_5_50_95", "most_5_50_95"), found.extremes(name), strict=True)),
            "share_within_wanted": found.share_within(name, *wanted),
        }
        for name, wanted in WANTED.items()
    }


def _reconstruction_rows(numbers: dict) -> list[tuple[str, ...]]:
    errors, noise = numbers["reconstruction_rmse"], numbers["decoder_noise"]
    return [
        (
            f"temperature of reconstructed micro frames, RMSE, at {numbers['compression']:.1f}-fold compression",
            f"{errors['micro']['temperature']:.0f} K",
            "",
            "25 K",
        ),
        ("the same of meso frames (validation runs), which no training ever saw", f"{errors['meso']['temperature']:.0f} K", "", "40 K"),
        (
            "decoder noise of temperature over these errors, micro and meso",
            " and ".join(f"{noise[scale]['temperature'] / errors[scale]['temperature']:.2f}" for scale in ("micro", "meso")),
            "",
            "1",
        ),
    ]


def table(numbers: dict) -> str:
    """What was reached beside what was wanted, as a Markdown table."""
    splits = (numbers["rollout"], numbers["validation_rollout"])

    def both(text: Callable[[dict], str]) -> tuple[str, str]:
        return text(splits[0]), text(splits[1])

    def by_chance(name: str) -> tuple[str, str]:
        found = (numbers[key][name] for key in ("perfect", "validation_perfect"))
        test, validation = (f"{split['least_5_50_95'][0]:.2f} to {split['most_5_50_95'][2]:.2f}" for split in found)
        return test, validation

    rows = [
        *(_reconstruction_rows(numbers) if "reconstruction_rmse" in numbers else ()),
        ("simulations", *(f"{numbers['simulations'][split]}" for split in ("test", "validation")), ""),
        (f"temperature over {STEPS} steps, RMSE as a share of persistence", *both(lambda split: f"{split['ratio']:.3f}"), "0.10"),
        ("the same over all leads", *both(lambda split: f"{split['ratio_of_all_leads']:.3f}"), ""),
        (
            "spread/skill of temperature by lead, least and most",
            *both(lambda split: "{:.2f} to {:.2f}".format(*split["spread_skill_range"])),
            "0.85 to 1.15",
        ),
        ("the same for a forecaster that is right, in nine trials of ten", *by_chance("spread_skill"), ""),
        ("leads with a spread/skill as wanted", *both(lambda split: f"{split['spread_skill_leads_as_wanted']} of {split['leads']}"), "all"),
        (
            "90 % intervals of temperature cover, by lead, least and most",
            *both(lambda split: "{:.2f} to {:.2f}".format(*split["coverage_90_range"])),
            "0.87 to 0.93",
        ),
        ("the same for a forecaster that is right, in nine trials of ten", *by_chance("coverage"), ""),
        ("leads with a coverage as wanted", *both(lambda split: f"{split['coverage_90_leads_as_wanted']} of {split['leads']}"), "all"),
        (
            "90 % intervals of hot-spot area and temperature cover",
            *both(lambda split: "{area:.2f} and {temperature:.2f}".format(**split["hotspot_coverage_90"])),
            "0.83 to 0.97",
        ),
        (
            "90 % intervals of the domain's mean pressure and reacted fraction cover",
            *both(lambda split: "{mean_pressure:.2f} and {mean_reacted_fraction:.2f}".format(**split["hotspot_coverage_90"])),
            "0.83 to 0.97",
        ),
    ]
    return _markdown(("what", "test", "validation", "wanted"), rows)


def fields_table(tokens: dict) -> str:
    """Spread of every field over all leads, and at how many of them its intervals are as wide as wanted, as a Markdown table."""
    low, high = WANTED["coverage"]
    rows = []
    for name, field in tokens["fields"].items():
        by_lead = np.array(field["by_lead"]["coverage_90"])
        leads = f"{_within(by_lead, 'coverage')} of {len(by_lead)}"
        rows.append((name, f"{field['spread_skill']:.2f}", f"{field['coverage_90']:.2f}", leads))
    return _markdown(("field", "spread/skill", "90 % intervals cover", f"leads with {low} to {high}"), rows)


def _markdown(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = (head, ("---",) * len(head), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def portable(config: Config) -> str:
    """The configuration with data folders relative to the working folder."""
    given = {key: path for key in ("micro", "meso", "micro_tokens") if (path := getattr(config.data, key)) is not None}
    relative = {key: Path(os.path.relpath(path)) for key, path in given.items()}
    return dump_config(config.model_copy(update={"data": config.data.model_copy(update=relative)}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished run of examples/micro.yaml or examples/trained.yaml")
    parser.add_argument("out", type=Path, help="folder that receives the results")
    parser.add_argument(
        "--data", type=Path, help="folder with micro/ and meso/ simulations of the standard set, whose frames are reconstructed"
    )
    args = parser.parse_args()

    run = RunFolder(args.run)
    config, scores = load_config(run.config), load_scores(run.scores)
    tokens, persistence = (scores["models"][name] for name in ("micro_tokens", "persistence"))
    tokens = tokens.get("uncalibrated", tokens)
    made = "train_micro" if config.data.micro_tokens is None else "rollout_micro_tokens"
    record = json.loads(run.record(made).read_text(encoding="utf-8"))
    numbers = {
        "provenance": scores["provenance"] | {key: record[key] for key in ("versions", "hardware", "precision")},
        "members": scores["members"],
        "simulations": {"test": scores["n_test"], "validation": n_simulations(run, "valid")},
        **(reconstructions(MicroTokens.load(run.model("micro")), args.data) if args.data is not None else {}),
        "rollout": rollouts(tokens, persistence),
        "validation_rollout": rollouts(*validation_scores(run, config)),
        "perfect": perfect(run, "test"),
        "validation_perfect": perfect(run, "valid"),
    }
    args.out.mkdir(parents=True, exist_ok=True)
    if config.data.micro_tokens is None:
        copy_model(run.model("micro"), args.out / "model.pt")
    (args.out / "scores.json").write_text(json.dumps(reduced(scores), separators=(",", ":")) + "\n", encoding="utf-8")
    (args.out / "config.yaml").write_text(portable(config), encoding="utf-8")
    (args.out / "table.md").write_text(table(numbers), encoding="utf-8")
    (args.out / "fields.md").write_text(fields_table(tokens), encoding="utf-8")
    (args.out / "numbers.json").write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(numbers, indent=2))


if __name__ == "__main__":
    main()
