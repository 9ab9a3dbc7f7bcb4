"""Python blocks in the documentation run, and commands in it exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from probtokens.cli import app

PAGES = [Path("README.md"), Path("CONTRIBUTING.md"), *sorted(Path("docs").glob("**/*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> str:
    return "\n".join(body for found, body in FENCE.findall(page.read_text(encoding="utf-8")) if found == language)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=str)
def test_python_blocks_run_in_order(page):
    exec(compile(blocks(page, "python"), str(page), "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("page", [page for page in PAGES if "probtokens " in blocks(page, "sh")], ids=str)
def test_commands_exist(page):
    for command in set(re.findall(r"probtokens (\w+)", blocks(page, "sh"))):
        assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0, command


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_make_targets_exist(page):
    targets = set(re.findall(r"^([a-z-]+):", Path("Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", blocks(page, "sh"))) <= targets


def test_the_table_of_micro_tokens_is_the_one_that_was_collected():
    assert Path("docs/results/micro/table.md").read_text(encoding="utf-8") in Path("docs/inference.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["temperature", "hotspots"])
def test_the_tables_in_the_readme_are_those_that_were_collected(name):
    table = Path(f"docs/results/quick/{name}.md").read_text(encoding="utf-8")
    assert table in Path("README.md").read_text(encoding="utf-8")
