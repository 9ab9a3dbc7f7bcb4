"""Write the page that says how the package bears damaged files, odd settings and kills, from what its slow tests counted.

pytest -m slow tests/test_fuzz.py tests/data/test_the_well_fuzz.py tests/pipeline/test_end_to_end.py --junitxml build/reliability.xml
python examples/reliability_page.py docs/reliability.md build/reliability.xml
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from string import Template
from xml.etree import ElementTree

#: Tests that count, to what they read.
READERS = {
    "test_damaged_files_are_read_or_refused_by_name": "{case}",
    "test_damaged_sets_of_others_are_read_or_refused_by_name": "`probtokens convert`: {case}",
    "test_recipes_of_any_values_are_planned_or_refused_by_name": "recipes with values that fit, and of any kind",
    "test_overrides_of_any_text_are_read_or_refused": "`--set` with any text",
}
CASES = {"damage_bytes": "HDF5 in The Well's layout", "change_objects": "the same, attributes and objects changed"}
KILLS = "test_killed_a_hundred_times_at_any_moment"


def counted(reports: Sequence[Path]) -> dict[tuple[str, str], dict[str, str]]:
    """What every passed test that counts has noted, by its name and case."""
    found = {}
    for test in (test for report in reports for test in ElementTree.parse(report).iter("testcase")):
        name, _, case = test.get("name", "").partition("[")
        notes = {one.get("name", ""): one.get("value", "") for one in test.iter("property")}
        if notes:
            if test.find("failure") is not None or test.find("error") is not None:
                raise ValueError(f"expected tests that pass, found a failure of {test.get('name')}")
            found[name, re.sub(r"-?(few|many)-?", "", case.rstrip("]"))] = notes
    return found


def table(found: dict[tuple[str, str], dict[str, str]]) -> tuple[str, int]:
    """Rows of a Markdown table, and how many inputs there were."""
    lines, total = ["| input | inputs | read | refused by name | slowest [s] | memory [MiB] |", "| --- | --- | --- | --- | --- | --- |"], 0
    for (name, case), notes in found.items():
        if name in READERS:
            inputs = int(notes["read"]) + int(notes["refused"])
            total += inputs
            title = READERS[name].format(case=CASES.get(case, case))
            lines.append(f"| {title} | {inputs} | {notes['read']} | {notes['refused']} | {notes['slowest_s']} | {notes['grown_mib']} |")
    return "\n".join(lines), total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path, help="Markdown file to write; PAGE.in beside it is the text")
    parser.add_argument("reports", type=Path, nargs="+", help="JUnit XML of the slow tests")
    args = parser.parse_args()
    found = counted(args.reports)
    rows, total = table(found)
    text = Template(args.page.with_suffix(".md.in").read_text(encoding="utf-8"))
    args.page.write_text(text.substitute(table=rows, total=total, kills=found[KILLS, ""]["kills"]), encoding="utf-8")


if __name__ == "__main__":
    main()
