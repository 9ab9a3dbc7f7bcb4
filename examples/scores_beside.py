"""Put score files of examples/score_tokens.py side by side, as a Markdown table.

python examples/scores_beside.py docs/results/one_program/*.json > docs/results/one_program/table.md
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

COLUMNS = {"rmse_over_persistence": 3, "crps": 2, "spread_skill": 2, "coverage_90": 3}


def rows(path: Path) -> list[str]:
    """One row for each seed of a file."""
    document = json.loads(path.read_text(encoding="utf-8"))
    where = f"{document['simulations']} | {document['draws']}"
    hardware = document["hardware"].get("instructions", "not recorded")
    return [
        f"| {path.stem} | {where} | {row['seed']} | "
        + " | ".join(f"{row[name]:.{digits}f}" for name, digits in COLUMNS.items())
        + f" | {document['version']}, {hardware} |"
        for row in document["rows"]
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+", help="JSON files of examples/score_tokens.py")
    args = parser.parse_args()
    head = [
        "file",
        "simulations",
        "draws",
        "seed",
        "RMSE over persistence",
        "CRPS [K]",
        "spread/skill",
        "90 % covers",
        "version, processor",
    ]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *(row for path in args.files for row in rows(path))]
    print("\n".join(lines))


if __name__ == "__main__":
    main()
