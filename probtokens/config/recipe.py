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
    key = ".".join(loc) or "config"
    if error["type"] != "extra_forbidden":
        return f"{key}: {error['msg']} (got {error['input']!r})"
    section: Any = Config
    for part in loc[:-1]:
        field = section.model_fields.get(part) if isinstance(section, type) and issubclass(section, BaseModel) else None
        section = _without_none(field.annotation) if field is not None else None
    known = sorted(section.model_fields) if isinstance(section, type) and issubclass(section, BaseModel) else []
    close = difflib.get_close_matches(loc[-1], known, n=1, cutoff=0.75)
    hint = f"; did you mean {close[0]!r}?" if close else f", expected one of {known}" if known else ""
    return f"{key}: no such key (got {error['input']!r}){hint}"


def _without_none(annotation: Any) -> Any:
    """Type of an optional section."""
    kinds = [kind for kind in get_args(annotation) if kind is not type(None)]
    return kinds[0] if len(kinds) == 1 else annotation


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
