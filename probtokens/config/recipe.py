"""Recipes: YAML files and overrides to a validated configuration and back."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from probtokens.config.run import Config


def load_config(path: Path | None = None, overrides: Sequence[str] = ()) -> Config:
    """Read a recipe, apply ``a.b=c`` overrides (values parsed as YAML) and validate.

    Raises
    ------
    ValueError
        If the file is missing or not a mapping, an override has no ``=``, a key is unknown or a
        value does not fit; the message names the file, the key, what was expected and what came.
    """
    source = str(path) if path is not None else "overrides"
    raw = _read_yaml(path) if path is not None else {}
    for override in overrides:
        _apply_override(raw, override)
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        if path is not None and overrides:
            source = f"{source} with {' '.join(f'--set {override}' for override in overrides)}"
        raise ValueError(f"{source}: " + "; ".join(map(_describe, error.errors()))) from None


def dump_config(config: Config) -> str:
    """Resolved configuration as YAML that ``load_config`` reads back unchanged."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)


def _describe(error: ErrorDetails) -> str:
    """One validation error: the key, what was expected and what came; for an unknown key the known ones nearby."""
    loc = [str(part) for part in error["loc"]]
    sections: list[type[BaseModel]] = [Config]
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
    key = ".".join(keys) or "config"
    if error["type"] != "extra_forbidden":
        return f"{key}: {error['msg']} (got {error['input']!r})"
    known = sorted({name for section in last for name in section.model_fields})
    close = difflib.get_close_matches(loc[-1], known, n=1, cutoff=0.75)
    hint = f"; did you mean {close[0]!r}?" if close else f", expected one of {known}" if known else ""
    return f"{key}: no such key (got {error['input']!r}){hint}"


def _sections(annotation: Any) -> list[type[BaseModel]]:
    """Sections that a type is made of, at any depth."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [section for part in get_args(annotation) for section in _sections(part)]


def _tag(section: type[BaseModel]) -> str | None:
    """Objective that tells one kind of stage from the others."""
    field = section.model_fields.get("objective")
    return None if field is None else field.default


class _OnceLoader(yaml.SafeLoader):
    """YAML whose mappings have every key once; the parser would take the last of several."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True) if key_node.tag != "tag:yaml.org,2002:merge" else None
            if key is not None and key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} twice in one mapping", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def _read_yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"{path}: expected a recipe file, found none")
    try:
        raw = yaml.load(path.read_text(encoding="utf-8"), Loader=_OnceLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark is not None else str(path)
        raise ValueError(f"{where}: expected YAML, got {getattr(error, 'problem', None) or str(error).splitlines()[0]}") from None
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        raise ValueError(f"{path}: expected a mapping at top level, got {type(raw).__name__}")
    return raw


def _apply_override(raw: dict[str, Any], override: str) -> None:
    key, separator, value = override.partition("=")
    if not separator or not key:
        raise ValueError(f"override {override!r}: expected KEY.SUBKEY=VALUE")
    *parents, leaf = key.split(".")
    node = raw
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            raise ValueError(f"override {override!r}: {parent!r} is not a section")
    node[leaf] = yaml.safe_load(value)
