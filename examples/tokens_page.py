"""Write the results page of micro tokens from what examples/collect_micro.py collected, tokens of the version before beside these.

python examples/tokens_page.py docs/results docs/micro_tokens.md
python examples/tokens_page.py docs/results docs/micro_tokens.md --keep  # first makes what is collected the version before
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from string import Template

SETS = {"micro": "standard set", "trained": "pores of seed 2028", "trained_2027": "pores of seed 2027"}
COLUMNS = {
    "ratio": ("error over 20 steps / persistence", 3),
    "crps": ("CRPS [K]", 2),
    "spread_skill": ("spread/skill", 2),
    "coverage": ("cells covered", 3),
    "area": ("hot-spot area covered", 2),
    "temperature": ("hot-spot temperature covered", 2),
    "mean_pressure": ("mean pressure covered", 2),
    "mean_reacted_fraction": ("mean reacted fraction covered", 2),
}

#: What is wanted of every set; of its error and its CRPS see :func:`judged`.
BARS = {
    "spread_skill": (0.85, 1.15),
    "coverage": (0.87, 0.93),
    "area": (0.83, 0.97),
    "temperature": (0.83, 0.97),
    "mean_pressure": (0.83, 0.97),
    "mean_reacted_fraction": (0.83, 0.97),
}


def summary(folder: Path) -> dict:
    """What the first table tells of a set, before recalibration."""
    numbers, scores = (json.loads((folder / f"{name}.json").read_text(encoding="utf-8")) for name in ("numbers", "scores"))
    tokens = scores["models"]["micro_tokens"]
    tokens = tokens.get("uncalibrated", tokens)
    field = tokens["fields"]["temperature"]
    return {
        "ratio": numbers["rollout"]["ratio"],
        "crps": field["crps"],
        "spread_skill": field["spread_skill"],
        "coverage": field["coverage_90"],
        **numbers["rollout"]["hotspot_coverage_90"],
        "weights": numbers["provenance"]["data"]["micro_tokens"],
        "hardware": numbers["provenance"]["hardware"],
    }


def row(name: str, which: str, found: dict) -> str:
    return f"| {name} | {which} | " + " | ".join(f"{found[key]:.{digits}f}" for key, (_, digits) in COLUMNS.items()) + " |"


def beside(before: dict, now: dict) -> str:
    """The sets' summaries side by side, as a Markdown table."""
    head = ["test pores", "tokens", *(title for title, _ in COLUMNS.values())]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for name, title in SETS.items():
        lines += [row(title, which, found[name]) for which, found in (("before", before), ("now", now)) if name in found]
    return "\n".join(lines)


def judged(before: dict, now: dict) -> tuple[str, str]:
    """What is as wanted and what is not, each as a Markdown list."""
    reached, missed = [], []
    for name, found in now.items():
        bars = dict(BARS)
        if name in before:
            bars["crps"] = (0.0, 1.03 * before[name]["crps"])
        if name == "micro":
            bars["ratio"] = (0.0, 0.1)
        for key, (low, high) in bars.items():
            title, digits = COLUMNS[key]
            wanted = f"at most {high:.{digits}f}" if low == 0 else f"{low:g} to {high:g}"
            text = f"- {SETS[name]}: {title}, {found[key]:.{digits + 1}f} ({wanted})"
            (reached if low <= found[key] <= high else missed).append(text)
    return "\n".join(reached), "\n".join(missed)


def failed(path: Path) -> str:
    """Which checks of the guide fail, and how many of guides that are wrong on purpose, as a sentence each."""
    found = json.loads(path.read_text(encoding="utf-8"))
    names = [check["quantity"] for check in found["checks"] if not check["passed"]]
    wrong = " and ".join(f"{number} with scales {scale} times as large" for scale, number in found["failed_with_scales_times"].items())
    return f"Not as wanted: {'; '.join(names) or 'none'}. Of guides that are wrong on purpose fail: {wrong}."


def checks(path: Path) -> str:
    """Simulation-based calibration of the guide, as a Markdown table."""
    found = json.loads(path.read_text(encoding="utf-8"))
    lines = ["| what | wanted | found |", "| --- | --- | --- |"]
    for check in found["checks"]:
        least = check["relation"] == "at_least"
        wanted = f"at least {check['expected']:g}" if least else f"{check['expected']:g} ± {check['tolerance']:g}"
        lines.append(f"| {check['quantity']} | {wanted} | {check['measured']:.3f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, help="folder with a folder of collected results for each set")
    parser.add_argument("page", type=Path, help="Markdown file to write; PAGE.in beside it is the text")
    parser.add_argument("--keep", action="store_true", help="make what is collected the version before")
    args = parser.parse_args()

    now = {name: summary(args.results / name) for name in SETS}
    kept = args.results / "before.json"
    if args.keep:
        kept.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")
    reached, missed = judged(json.loads(kept.read_text(encoding="utf-8")), now)
    tables = {
        "beside": beside(json.loads(kept.read_text(encoding="utf-8")), now),
        "reached": reached,
        "missed": missed,
        "failed": failed(args.results / "guide" / "calibration.json"),
        "guide": checks(args.results / "guide" / "calibration.json"),
        "meso": (args.results / "one_program" / "meso.md").read_text(encoding="utf-8").rstrip(),
        **{part: (args.results / "micro" / f"{part}.md").read_text(encoding="utf-8").rstrip() for part in ("mechanisms", "stages")},
        "weights": now["micro"]["weights"].removeprefix("given, "),
        "processor": now["micro"]["hardware"]["instructions"],
    }
    for name in SETS:
        for part in ("table", "fields"):
            tables[f"{name}_{part}"] = (args.results / name / f"{part}.md").read_text(encoding="utf-8").rstrip()
    text = Template(args.page.with_suffix(".md.in").read_text(encoding="utf-8")).substitute(tables)
    args.page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
