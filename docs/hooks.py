"""Pages that are generated while the documentation is built."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from probtokens.config.reference import Section, sections, training_stages

#: Letters of a default value that the page has room for.
_LONGEST = 60
#: A docstring's reference to another name, as Markdown renders it.
_ROLE = re.compile(r":(?:class|func|meth|mod):<code>~?([\w.]+)</code>")
#: Code in a line of text, and a word of it, or part of a path, that browsers would break after a hyphen.
_CODE, _HYPHENATED = re.compile(r"<code>([^<]*-[^<]*)</code>"), re.compile(r"[^\s/]*-[^\s/]*")
#: A share, whose number and sign stay in one line.
_SHARE = re.compile(r"(\d) %(?![\w(])")
#: A name of the package for users, as the page of them asks for it.
_NAME = re.compile(r"^::: pt\.(\w+)$", re.MULTILINE)
_HEAD = """# Settings

Every key of a recipe, with its default. A key is written with its sections, `micro.tokens.patch`, and may be overridden by
`--set micro.tokens.patch=8`. `probtokens settings micro.tokens` prints the same. This page is generated from `probtokens/config`.
"""
_STAGES = """## Training stages

`micro.stages`, `meso.stages` and `parc.stages` are lists of stages. The key `objective` of a stage decides which of these keys it has.
[Running](running.md#training-stages) says how they go together.
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page of settings."""
    files.append(File.generated(config, "settings.md", content=settings_page()))
    return files


def on_page_markdown(markdown: str, **_: object) -> str:
    """``::: pt.NAME`` becomes the documentation of the name under the heading that users write."""
    return _NAME.sub(r"::: probtokens.\1\n    options: { heading: pt.\1, toc_label: \1 }", markdown)


def on_page_content(html: str, **_: object) -> str:
    """Docstrings' references, ``:func:`NAME```, become names with a link where their page exists; options and shares stay in one line."""
    html = _ROLE.sub(lambda role: f'<autoref identifier="{role[1]}" optional><code>{role[1].rpartition(".")[2]}</code></autoref>', html)
    html = _SHARE.sub(r"\1&nbsp;%", html)
    return _CODE.sub(lambda code: f"<code>{_HYPHENATED.sub(_whole, code[1])}</code>", html)


def _whole(word: re.Match[str]) -> str:
    return f'<span class="whole">{word[0]}</span>'


def settings_page() -> str:
    """Every key of a recipe with its default and description, in Markdown."""
    of_recipe = [line for section in sections() for line in _markdown(section, f"## `{section.path}`" if section.path else "")]
    of_stages = [line for section in training_stages() for line in _markdown(section, f"### `objective: {section.path}`")]
    return "\n".join([_HEAD, *of_recipe, _STAGES, *of_stages])


def _markdown(section: Section, heading: str) -> Iterator[str]:
    if heading:
        yield f"{heading}\n\n{section.summary}\n"
    if section.keys:
        yield "| key | default | what it is |\n| --- | --- | --- |"
        yield from (f"| `{key.name}` | {_default(key.default)} | {key.what.replace('|', chr(92) + '|')} |" for key in section.keys)
        yield ""


def _default(text: str) -> str:
    if text[:1] in ("[", "{") and len(text) > _LONGEST:
        return "see the package"
    return f"`{text}`" if text else "required"
