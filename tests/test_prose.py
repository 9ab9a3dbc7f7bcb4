"""Prose that can be read: short sentences, and docstrings that say what they describe."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

HOW_TO = ("running", "convert", "microstructures", "campaigns", "coverage", "closure", "suite", "own_models", "own_parts")
PAGES = [
    Path("README.md"),
    Path("docs/index.md"),
    *sorted(Path("docs/tutorials").glob("*.md")),
    *(Path(f"docs/{name}.md") for name in HOW_TO),
]
MOST_WORDS = 30


def sentences(page: str) -> list[str]:
    """Sentences of a page in Markdown, without code, tables, pictures and headings; items of a list end where the next begins."""
    text = re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"`[^`]*`", "Code", text)  # which may begin a sentence
    text = "\n".join("" if re.match(r"\s*(\||#|!!!|\?\?\?)", line) else line for line in text.splitlines())
    blocks = re.split(r"\n\s*\n|\n\s*(?:[-*]|\d+\.)\s", text)
    return [part for block in blocks for part in re.split(r"(?<=[.!?:;])\s+(?=[A-Z(*\[\d]|$)", " ".join(block.split())) if part]


def docstrings(path: Path) -> list[str]:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return [ast.get_docstring(node) or "" for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, kinds)]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_sentences_are_short(page: Path) -> None:
    long = {part: count for part in sentences(page.read_text(encoding="utf-8")) if (count := len(part.split())) > MOST_WORDS}
    assert not long


def test_a_long_sentence_is_found_wherever_it_is() -> None:
    long = " ".join(["word"] * 31) + "."
    for page in (long, f"# Title\n\nA short one. {long.capitalize()}", f"- item\n- {long}\n- item", f"Text with `code`: {long}"):
        assert max(len(part.split()) for part in sentences(page)) > MOST_WORDS
    for page in (f"```python\n{long}\n```", f"| {long} |", "One two. " * 40, "- one two three\n" * 40):
        assert all(len(part.split()) <= MOST_WORDS for part in sentences(page))


def test_no_line_of_a_docstring_leaves_out_its_noun() -> None:
    found = {
        f"{path}: {line.strip()}"
        for path in Path("probtokens").rglob("*.py")
        for docstring in docstrings(path)
        for line in docstring.splitlines()
        if re.match(r"\s*Of\b", line)
    }
    assert not found
