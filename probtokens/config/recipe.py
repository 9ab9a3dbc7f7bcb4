"""Recipes: YAML files and overrides to a validated configuration and back."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Collection, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from probtokens.config.run import Config
from probtokens.limits import MAX_RECIPE_BYTES
from probtokens.yaml_text import NotYaml, read_yaml, read_yaml_value, write_yaml

Root = TypeVar("Root", bound=BaseModel)

#: Letters of a value or of overrides that a message shows.
_LONGEST = 60

#: Letters of a message beside the file, what it is that was found, and how many more like it there are.
_ROOM = 270

#: Values in messages: aliases in YAML make values of any size out of little text.
_SHOWN = reprlib.Repr()
_SHOWN.maxstring = _SHOWN.maxother = _SHOWN.maxlong = _LONGEST
_SHOWN.maxlevel, _SHOWN.maxlist, _SHOWN.maxdict = 3, 4, 4


def load_config(path: Path | None = None, overrides: Sequence[str] = (), uses: Collection[str] | None = None) -> Config:
    """Read the recipe of a run; see :func:`load_recipe`.

    Raises
    ------
    ValueError
        As there, and if it is the recipe of a benchmark.
    """
    try:
        return load_recipe(Config, path, overrides, uses)
    except ValueError:
        if path is not None and path.is_file() and is_benchmark(path):
            raise ValueError(f"{path}: expected the recipe of a run, got that of a benchmark; try: probtokens benchmark {path}") from None
        raise


def load_recipe(kind: type[Root], path: Path | None = None, overrides: Sequence[str] = (), uses: Collection[str] | None = None) -> Root:
    """Read a recipe of some kind, apply ``a.b=c`` overrides and validate.

    Values of overrides are YAML, except those of paths, which are taken as they are. Sections have to fit each other, or with ``uses``
    those of them that are used, such as ``("micro",)`` to train micro tokens: only these are asked whether they fit the data.

    Raises
    ------
    ValueError
        If the file is missing or not a mapping, an override has no ``=`` or no YAML, a key is unknown or a
        value does not fit; the message names the file, the key, what was expected and what came.
    """
    source = str(path) if path is not None else "overrides"
    raw = {"name": path.stem} | _read_yaml(path) if path is not None else {}
    for override in overrides:
        _apply_override(kind, raw, override)
    try:
        return kind.model_validate(raw, context=None if uses is None else {"uses": uses})
    except ValidationError as error:
        if path is not None and overrides:
            source = f"{source} with {_bare(' '.join(f'--set {override}' for override in overrides))}"
        unknown_first = sorted(error.errors(), key=lambda one: one["type"] != "extra_forbidden")
        first, *others = (_describe(kind, one) for one in unknown_first)
        raise ValueError(f"{source}: {first}" + (f"; and {len(others)} more like it" if others else "")) from None


def is_benchmark(path: Path) -> bool:
    """Whether a recipe says what cells are to be computed, as that of a run never does; see :func:`load_recipe` for errors."""
    return "cells" in _read_yaml(path)


def dump_config(config: Config) -> str:
    """Resolved configuration as YAML that ``load_config`` reads back unchanged."""
    return write_yaml(config.model_dump(mode="json"))


def _describe(root: type[BaseModel], error: ErrorDetails) -> str:
    """One validation error: the key, what was expected and what came; for an unknown key the known ones nearby."""
    loc = [str(part) for part in error["loc"]]
    sections: list[type[BaseModel]] = [root]
    last = sections
    keys = []
    for part in loc:
        tagged = [section for section in sections if _tag(section) == part]
        if tagged and len(sections) > 1:  # names one of several kinds of section, and is no key
            sections = tagged
            continue
        keys.append(part)
        if not part.isdigit():
            annotations = [section.model_fields[part].annotation for section in sections if part in section.model_fields]
            last, sections = sections, [kind for annotation in annotations for kind in _sections(annotation)]
    key = _bare(".".join(keys))
    if error["type"] == "value_error":  # our own, which says what it got
        return f"{key}: {_bare(str(error['ctx']['error']), 210)}".removeprefix(": ")
    key = key or "config"
    before, after = f"{key}: {_bare(error['msg'], 170)}", ""
    if error["type"] == "extra_forbidden":
        known = sorted({name for section in last for name in section.model_fields})
        close = difflib.get_close_matches(loc[-1], known, n=1, cutoff=0.75)
        before = f"{key}: no such key"
        after = f"; did you mean {close[0]!r}?" if close else f", expected one of {_short(repr(known), 120)}" if known else ""
    return f"{before} (got {_short(_SHOWN.repr(error['input']), _ROOM - len(before) - len(after))}){after}"


def _short(text: str, longest: int = _LONGEST) -> str:
    """Begin of a text that may be long."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _bare(text: str, longest: int = _LONGEST) -> str:
    """Begin of a text that is shown without quotes, on one line."""
    return _short("".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text), longest)


def _sections(annotation: Any) -> list[type[BaseModel]]:
    """Sections that a type is made of, at any depth."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for part in get_args(annotation) for section in _sections(part)]


def _tag(section: type[BaseModel]) -> str | None:
    """Objective that tells one kind of stage from the others."""
    field = section.model_fields.get("objective")
    return None if field is None else field.default


def _setting(root: type[BaseModel], parts: Sequence[str]) -> Any:
    """Type of the setting or section that is called so; ``None`` for one that there is not."""
    found: Any = root
    for part in parts:
        if _is_section(found):
            field = found.model_fields.get(part)
            found = _without_none(field.annotation) if field is not None else None
        else:
            found = _without_none(get_args(found)[1]) if get_origin(found) is dict else None
    return found


def _is_section(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _without_none(annotation: Any) -> Any:
    """Type of an optional setting."""
    kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
    return kinds[0] if isinstance(annotation, UnionType) and len(kinds) == 1 else annotation


def _read_yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path}: expected a recipe file, found none")
    if (size := path.stat().st_size) > MAX_RECIPE_BYTES:
        raise ValueError(f"{path}: expected a recipe of at most {MAX_RECIPE_BYTES} bytes, got {size}")
    try:
        raw = read_yaml(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected text in UTF-8, got other bytes at {error.start}") from None
    except NotYaml as error:
        raise ValueError(f"{path}: {error}" if error.line is None else f"{path}, line {error.line}: {error}") from None
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise ValueError(f"{path}: expected a mapping at top level, got {type(raw).__name__}")
    return raw


def _apply_override(root: type[BaseModel], raw: dict[str, Any], override: str) -> None:
    key, separator, value = override.partition("=")
    if not separator or not key:
        raise ValueError(f"override {_short(override)!r}: expected KEY.SUBKEY=VALUE")
    *parents, leaf = parts = key.split(".")
    node = raw
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            raise ValueError(f"override {_short(override)!r}: {_short(parent)!r} is not a section")
    try:
        node[leaf] = _path(value) if _setting(root, parts) is Path else read_yaml_value(value)
    except NotYaml as error:
        raise ValueError(f"override {_short(override)!r}: {error}; quotes make it text: {_bare(key)}='\"…\"'") from None


def _path(text: str) -> Any:
    """A path as it is, whatever YAML would make of its characters, unless it is quoted; nothing or ``null`` for none."""
    text = text.strip()
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return read_yaml_value(text) if quoted or text in ("", "~", "null") else text
