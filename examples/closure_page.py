"""Write docs/closure.md with a table of how closures agree with the simulator, from the summaries of ``probtokens closure``.

python examples/closure_page.py docs/closure.md "four runs=docs/results/closure/adapted.json" "none=docs/results/closure/shipped.json"
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from string import Template
from typing import Any

#: Quantities of the table, their names and units.
QUANTITIES = {
    "ignition_time": ("t<sub>ign</sub>", "ns"),
    "ignition_rate": ("Ḟ<sub>ign</sub>", "1/ns"),
    "growth_rate": ("Ḟ<sub>growth</sub>", "1/ns"),
    "lambda_end": ("λ at 5 ns", "1"),
}
HEADER = ("meso runs learned from", "quantity", "samples", "90 % intervals cover", "bias", "half width", "RMSE", "unit")


def rows(label: str, summary: dict[str, Any]) -> list[tuple[str, ...]]:
    """Cells of the table, of one summary; samples of which only forecast or truth has a quantity are told."""
    found = []
    for name, (symbol, unit) in QUANTITIES.items():
        one = summary["agreement"][name]
        samples = f"{one['n']}" + (f", {one['undecided']} undecided" if one["undecided"] else "")
        covered = f"{one['coverage']:.2f} ({one['coverage_low']:.2f} to {one['coverage_high']:.2f})"
        numbers = (f"{one[key]:.2g}" for key in ("bias", "half_width", "rmse"))
        found.append((label, symbol, samples, covered, *numbers, unit))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path, help="Markdown file to write; PAGE.in beside it is the text")
    parser.add_argument("summaries", nargs="+", metavar="LABEL=FILE", help="summary.json of a closure, and what its tokens learned from")
    args = parser.parse_args()
    named = [
        (label, json.loads(Path(path).read_text(encoding="utf-8"))) for label, _, path in (one.partition("=") for one in args.summaries)
    ]
    table = [HEADER, ("---",) * len(HEADER), *(row for label, summary in named for row in rows(label, summary))]
    first = named[0][1]
    text = Template(args.page.with_suffix(".md.in").read_text(encoding="utf-8"))
    filled = text.substitute(
        table="\n".join(f"| {' | '.join(row)} |" for row in table),
        draws=first["draws"],
        seed=first["seed"],
        version=first["version"],
        instructions=first["hardware"]["instructions"],
    )
    args.page.write_text(filled, encoding="utf-8")


if __name__ == "__main__":
    main()
