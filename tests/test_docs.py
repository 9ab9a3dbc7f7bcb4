"""Python blocks in the documentation run, and commands in it exist."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

import probtokens as pt
from probtokens.cli import app
from probtokens.config import Config, load_config
from probtokens.config.reference import fixed
from probtokens.models.files import CARD_NAME
from probtokens.pipeline.work.training import given_micro

#: All but model cards, whose code is about the reader's own frames.
PAGES = [Path("README.md"), Path("CONTRIBUTING.md"), *sorted(page for page in Path("docs").glob("**/*.md") if page.name != CARD_NAME)]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(page: Path, language: str) -> str:
    return "\n".join(body for found, body in FENCE.findall(page.read_text(encoding="utf-8")) if found == language)


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=str)
def test_python_blocks_run_in_order(page, tmp_path, monkeypatch):
    code = compile(blocks(page, "python"), str(page), "exec")
    (tmp_path / "examples").symlink_to(Path("examples").absolute())
    monkeypatch.chdir(tmp_path)  # where files of tutorials go
    exec(code, {"__name__": "__main__"})


@pytest.mark.parametrize("page", [page for page in PAGES if "probtokens " in blocks(page, "sh")], ids=str)
def test_commands_exist(page):
    for command in set(re.findall(r"probtokens (\w+)", blocks(page, "sh"))):
        assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0, command


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_make_targets_exist(page):
    targets = set(re.findall(r"^([a-z-]+):", Path("Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", blocks(page, "sh"))) <= targets


@pytest.mark.parametrize("run", ["micro", "trained"])
@pytest.mark.parametrize("table", ["table", "fields"])
def test_tables_of_micro_tokens_are_those_that_were_collected(run, table):
    assert Path(f"docs/results/{run}/{table}.md").read_text(encoding="utf-8") in Path("docs/micro_tokens.md").read_text(encoding="utf-8")


def test_the_table_of_other_scales_is_the_one_that_was_made():
    folder = Path("docs/results/other_scales")
    assert (folder / "table.md").read_text(encoding="utf-8") in Path("docs/models/meso.md").read_text(encoding="utf-8")
    rows = json.loads((folder / "numbers.json").read_text(encoding="utf-8"))["rows"]
    names = ("rmse", "crps", "spread_skill")
    assert all(rows["every second frame"][name] == rows["as learned"][name] for name in names)


def test_the_trained_tokens_that_a_recipe_names_are_there():
    config = load_config(Path("examples/trained.yaml"))
    assert [spec.name for spec in given_micro(config).fields] == list(config.data.fields)


def settings() -> ModuleType:
    """The hook that generates the page of settings; of mkdocs, which tests do not need, it has stand-ins."""
    stand_ins = {name: ModuleType(name) for name in ("mkdocs.config.defaults", "mkdocs.structure.files")}
    for module in stand_ins.values():
        module.MkDocsConfig = module.File = module.Files = object
    spec = importlib.util.spec_from_file_location("hooks", "docs/hooks.py")
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        for name, stand_in in stand_ins.items():
            patch.setitem(sys.modules, name.partition(".")[0], ModuleType("mkdocs"))
            patch.setitem(sys.modules, name.rpartition(".")[0], ModuleType("mkdocs"))
            patch.setitem(sys.modules, name, stand_in)
        spec.loader.exec_module(module)
    return module


def sections(annotation: object) -> Iterator[type[BaseModel]]:
    """All sections that a recipe may have."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        for field in annotation.model_fields.values():
            yield from sections(field.annotation)
    for part in get_args(annotation):
        yield from sections(part)


def test_references_in_docstrings_become_names_with_links_and_other_code_stays():
    hook = settings().on_page_content
    link = '<autoref identifier="probtokens.predict.open_rollout" optional><code>open_rollout</code></autoref>'
    for role in ("func", "class", "meth"):
        assert hook(f"By :{role}:<code>~probtokens.predict.open_rollout</code>.", page=None) == f"By {link}."
    plain = "<code>a.b</code> :param:<code>a.b</code> :func:<code>a.b c</code>"
    assert hook(plain, page=None) == plain


def test_options_in_a_line_of_text_are_not_broken_after_a_hyphen():
    hook, whole = settings().on_page_content, '<span class="whole">{}</span>'.format
    assert hook("<td><code>--unit length=1</code></td>") == f"<td><code>{whole('--unit')} length=1</code></td>"
    assert hook("<p>a-b <code>hmx-standard</code></p>") == f"<p>a-b <code>{whole('hmx-standard')}</code></p>"
    assert hook("<code>weights/hmx-standard/card.md</code>") == f"<code>weights/{whole('hmx-standard')}/card.md</code>"
    assert hook("<code>a b</code>") == "<code>a b</code>"


def test_a_share_is_not_broken_before_its_sign():
    hook = settings().on_page_content
    assert hook("<th>90 % covers</th><p>8 %</p>") == "<th>90&nbsp;% covers</th><p>8&nbsp;%</p>"
    assert hook("<p>n = 5 %n</p>") == "<p>n = 5 %n</p>"


@pytest.mark.parametrize("page", [Path("README.md"), *sorted(Path("docs").rglob("*.md"))], ids=str)
def test_lines_of_code_fit_beside_the_navigation(page):
    code = re.findall(r"^ *```\w.*?^ *```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert [line for block in code for line in block.splitlines() if len(line) > 110] == []


def test_every_name_of_the_package_is_on_its_page_under_the_name_that_users_write():
    page = Path("docs/api.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^::: pt\.(\w+)$", page, re.MULTILINE)) == set(pt.__all__) - {"__version__"}
    assert "::: probtokens.load\n    options: { heading: pt.load, toc_label: load }\n" in settings().on_page_markdown(page)


def test_every_setting_is_described_and_on_the_page_of_settings():
    page = settings().settings_page()
    for section in set(sections(Config)):
        for name, field in section.model_fields.items():
            if fixed(field.annotation):
                continue
            assert field.description, f"{section.__name__}.{name}"
            nested = isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
            assert nested or f"| `{name}` |" in page, f"{section.__name__}.{name}"
    assert "## `simulate.meso`" in page
    assert "| `nx` | `144` |" in page
    assert "### `objective: rollout_score`" in page


@pytest.mark.parametrize("table", ["temperature", "hotspots"])
def test_the_readme_has_the_collected_tables_of_the_demo(table):
    assert Path(f"docs/results/quick/{table}.md").read_text(encoding="utf-8") in Path("README.md").read_text(encoding="utf-8")


def test_the_readme_tells_the_collected_results_of_single_pores():
    told = re.sub(r"\s+", " ", Path("README.md").read_text(encoding="utf-8"))
    found = json.loads(Path("docs/results/micro/numbers.json").read_text(encoding="utf-8"))["rollout"]
    covered = found["hotspot_coverage_90"]
    assert f"over 20 steps is {found['ratio']:.3f} of persistence" in told
    assert "intervals cover {area:.2f} of hot-spot areas and {temperature:.2f} of their temperatures".format(**covered) in told
    assert "but {:.2f} to {:.2f} of cells".format(*found["coverage_90_range"]) in told


def test_the_readme_and_the_page_tell_the_committed_closures(tmp_path):
    results = {name: Path(f"docs/results/closure/{name}.json") for name in ("four", "none")}
    found = json.loads(results["four"].read_text(encoding="utf-8"))["agreement"]
    covered = [f"{found[name]['coverage']:.2f}" for name in ("ignition_time", "ignition_rate", "growth_rate")]
    told = re.sub(r"\s+", " ", Path("README.md").read_text(encoding="utf-8"))
    assert "hold {}, {} and {} of the simulator's own".format(*covered) in told
    shutil.copy("docs/closure.md.in", tmp_path / "closure.md.in")
    named = [f"{name}={path}" for name, path in results.items()]
    done = subprocess.run(
        [sys.executable, "examples/closure_page.py", str(tmp_path / "closure.md"), *named], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "closure.md").read_text(encoding="utf-8") == Path("docs/closure.md").read_text(encoding="utf-8")
