"""Runs cases, prints every check and writes what was found."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import rich.console
import torch
from rich.text import Text

from probtokens import __version__
from probtokens.data.atomic import replacing
from probtokens.screen import TextTable, next_step, open_screen, print_table, say
from probtokens.verify.check import Case, Check


def choose(cases: Sequence[Case], names: Sequence[str]) -> tuple[Case, ...]:
    """Cases called ``names``, all without any.

    Raises
    ------
    ValueError
        If there is no such case.
    """
    known = [case.name for case in cases]
    for name in names:
        if name not in known:
            raise ValueError(f"case: expected one of {known}, got {name!r}")
    return tuple(case for case in cases if not names or case.name in names)


def run_cases(cases: Sequence[Case], out: Path | None = None, screen: rich.console.Console | None = None) -> bool:
    """Run ``cases`` one after the other; return whether all passed.

    A case that raises counts as failed and the others go on.

    Parameters
    ----------
    out
        JSON file for all numbers, with version and hardware.
    screen
        Where to print; standard output by default.
    """
    screen = screen or open_screen()
    if out is not None:
        _write(out, [])  # a path that cannot be written is an error before the work, not after it
    results = []
    for case in cases:
        say(screen, (case.name, "bold"), f": {case.title} ({case.source})")
        start = time.perf_counter()
        checks, problem = _attempt(case)
        seconds = time.perf_counter() - start
        if problem:
            say(screen, (f"  FAILED: {problem}", "red"))
        else:
            print_table(screen, _table(checks))
        results.append(_record(case, checks, problem, seconds))
    failed = [result["name"] for result in results if not result["passed"]]
    n_checks = sum(len(result["checks"]) for result in results)
    if out is not None:
        _write(out, results)
    summary = f"failed: {', '.join(failed)}" if failed else "all passed"
    say(screen, (f"cases: {len(results)}, checks: {n_checks}, {summary}", "red" if failed else "green"))
    if failed:
        next_step(screen, f"run one alone, with --case {failed[0]}; docs/simulator.md and docs/inference.md say what a case compares")
    else:
        next_step(screen, "nothing to mend; probtokens doctor checks the installation, probtokens run RECIPE --out DIR begins a run")
    return not failed


def _attempt(case: Case) -> tuple[Sequence[Check], str]:
    """Checks of a case, or none and why it could not be done."""
    try:
        checks = case.run()
    except Exception as error:  # noqa: BLE001 - whatever stops one case is its result
        return (), f"{type(error).__name__}: {error}"
    return checks, "" if checks else "no check was made"


def _record(case: Case, checks: Sequence[Check], problem: str, seconds: float) -> dict[str, Any]:
    return {
        "name": case.name,
        "title": case.title,
        "source": case.source,
        "passed": not problem and all(check.passed for check in checks),
        "problem": problem,
        "seconds": round(seconds, 2),
        "checks": [asdict(check) | {"error": check.error, "passed": check.passed} for check in checks],
    }


def _table(checks: Sequence[Check]) -> TextTable:
    table = TextTable()
    table.column("quantity")
    for header in ("expected", "measured", "error", "tolerance"):
        table.column(header, numbers=True)
    table.column("")
    for check in checks:
        expected, error, tolerance = _texts(check)
        verdict = "pass" if check.passed else Text("FAIL", style="red")
        table.row(check.quantity, expected, f"{check.measured:.6g} {_unit(check)}", error, tolerance, verdict)
    return table


def _texts(check: Check) -> tuple[str, str, str]:
    """Expected value, error and tolerance as a person reads them."""
    expected = f"{check.expected:.6g} {_unit(check)}"
    if check.relation == "relative":
        return expected, f"{100 * check.error:+.3f} %", f"{100 * check.tolerance:g} %"
    if check.relation == "absolute":
        return expected, f"{check.error:+.2g} {_unit(check)}", f"{check.tolerance:.2g} {_unit(check)}"
    return f"{'≤' if check.relation == 'at_most' else '≥'} {expected}", "", ""


def _unit(check: Check) -> str:
    return "" if check.unit == "1" else check.unit


def _write(out: Path, results: Sequence[dict[str, Any]]) -> None:
    content = {
        "version": __version__,
        "hardware": {"machine": platform.machine(), "threads": torch.get_num_threads(), "torch": torch.__version__},
        "passed": bool(results) and all(result["passed"] for result in results),
        "cases": results,
    }
    with replacing(out) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
