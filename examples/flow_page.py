"""Write the page on shear flows from the scores that were collected.

python examples/collect_results.py runs/shear_flow docs/results/shear_flow
python examples/flow_page.py docs/results/shear_flow docs/shear_flow.md
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from string import Template
from typing import Any

#: What is told of a field, to its title.
TOLD = {"spread_skill": "spread/skill", "coverage_50": "50 % covers", "coverage_90": "90 % covers"}


def table(scores: dict[str, Any]) -> str:
    """Errors beside those of persistence, and calibration before and after recalibration, as a Markdown table."""
    tokens, still = (scores["models"][name] for name in ("micro_tokens", "persistence"))
    lines = [f"| field | RMSE | RMSE / persistence | CRPS | {' | '.join(TOLD.values())} |", f"|{' --- |' * (4 + len(TOLD))}"]
    for name, found in tokens["fields"].items():
        before, ratio = tokens["uncalibrated"]["fields"][name], found["rmse"] / still["fields"][name]["rmse"]
        told = " | ".join(f"{before[key]:.2f} → {found[key]:.2f}" for key in TOLD)
        unit = scores["units"]["fields"][name]
        lines.append(f"| {name} [{unit}] | {found['rmse']:.3g} | {ratio:.3f} | {found['crps']:.4f} | {told} |")
    return "\n".join(lines)


def text(results: Path, template: Path) -> str:
    """The page."""
    scores = json.loads((results / "scores.json").read_text(encoding="utf-8"))
    tokens = scores["models"]["micro_tokens"]
    area, mean = (f"{tokens['hotspot'][name]['coverage_90']:.2f}" for name in ("area", "dye"))
    told = {"table": table(scores), "members": tokens["members"], "n_test": scores["n_test"], "area": area, "mean": mean}
    return Template(template.read_text(encoding="utf-8")).substitute(told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="folder of collected results")
    parser.add_argument("page", type=Path, help="Markdown file to write; PAGE.in beside it is the text")
    args = parser.parse_args()
    args.page.write_text(text(args.results, args.page.with_suffix(".md.in")), encoding="utf-8")


if __name__ == "__main__":
    main()
