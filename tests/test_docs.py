"""Python blocks in the documentation run, and commands in it exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from probtokens.cli import app
from probtokens.config import load_config
from probtokens.models.files import CARD_NAME
from probtokens.pipeline.work.training import given_micro

#: All but model cards, whose code is about the reader's own frames.
PAGES = [Path("README.md"), Path("CONTRIBUTING.md"), *sorted(page for page in Path("docs").glob("**/*.md") if page.name != CARD_NAME)]
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


@pytest.mark.parametrize("run", ["micro", "trained", "seed_2027", "two_pores"])
@pytest.mark.parametrize("table", ["table", "fields"])
def test_tables_of_micro_tokens_are_those_that_were_collected(run, table):
    assert Path(f"docs/results/{run}/{table}.md").read_text(encoding="utf-8") in Path("docs/micro_tokens.md").read_text(encoding="utf-8")


def test_the_trained_tokens_that_a_recipe_names_are_there():
    config = load_config(Path("examples/trained.yaml"))
    assert [spec.name for spec in given_micro(config).fields] == list(config.data.fields)
