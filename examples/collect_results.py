"""Copy what the documentation shows from a finished run: scores, configuration, stage records, one picture, tables.

python examples/collect_results.py runs/quick docs/results/quick
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from probtokens.evaluate import load_scores
from probtokens.report import hero_figure
from probtokens.report.facts import without_paths

COLUMNS = ("rmse", "crps", "spread_skill", "coverage_50", "coverage_90")


def table(scores: dict) -> str:
    """Scores of all models as a Markdown table, of the field of hot spots."""
    field = scores["hotspot"]["field"]
    unit = scores["units"]["fields"][field]
    lines = [
        f"| model | meso runs | RMSE [{unit}] | CRPS [{unit}] | spread/skill | 50 % covers | 90 % covers |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, model in scores["models"].items():
        cells = [model["fields"][field][column] for column in COLUMNS]
        shown = ["–" if value is None else digits(value) if number < 2 else f"{value:.2f}" for number, value in enumerate(cells)]
        lines.append(f"| {name} | {'–' if model['n_meso'] is None else model['n_meso']} | " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"


def hotspot_table(scores: dict) -> str:
    """Hot-spot scores of all models as a Markdown table."""
    field = scores["hotspot"]["field"]
    mean_crps = f"{field} CRPS [{scores['units']['fields'][field]}]"
    lines = [
        f"| model | area CRPS [µm²] | 90 % covers | true / forecast area at the end [µm²] | {mean_crps} | 90 % covers |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, model in scores["models"].items():
        area, mean = model["hotspot"]["area"], model["hotspot"][field]
        truth, forecast = (sum(curve[-1] for curve in area["curves"][key]) / len(area["curves"][key]) for key in ("truth", "mean"))
        cover = ["–" if part["coverage_90"] is None else f"{part['coverage_90']:.2f}" for part in (area, mean)]
        lines.append(f"| {name} | {area['crps']:.2f} | {cover[0]} | {truth:.2f} / {forecast:.2f} | {digits(mean['crps'])} | {cover[1]} |")
    return "\n".join(lines) + "\n"


def digits(value: float) -> str:
    """A number of a table."""
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def reduced(scores: Any) -> Any:
    """Scores to four digits, without curves of single simulations and what a perfect forecaster would score."""
    if isinstance(scores, dict):
        return {key: reduced(value) for key, value in scores.items() if key not in ("by_chance", "curves")}
    if isinstance(scores, list):
        return [reduced(value) for value in scores]
    return float(f"{scores:.4g}") if isinstance(scores, float) else scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("out", type=Path, help="folder that receives the results")
    args = parser.parse_args()

    args.out.mkdir(parents=True, exist_ok=True)
    config = without_paths((args.run / "config.yaml").read_text(encoding="utf-8"))
    (args.out / "config.yaml").write_text(config, encoding="utf-8")
    records = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted((args.run / "stages").glob("*.json"))}
    for record in records.values():
        record.pop("outputs", None)
    (args.out / "stages.json").write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    scores = load_scores(args.run / "scores.json")
    (args.out / "scores.json").write_text(json.dumps(reduced(scores), separators=(",", ":")) + "\n", encoding="utf-8")
    (args.out / f"{scores['hotspot']['field']}.md").write_text(table(scores), encoding="utf-8")
    (args.out / "hotspots.md").write_text(hotspot_table(scores), encoding="utf-8")
    hero_figure(args.run, args.out / "rollout.png")
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
