"""Every key of a recipe with its default and what it is, as its section declares it: what the command line and the documentation tell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from probtokens.config.run import Config
from probtokens.config.training import MicroConfig


class Key(NamedTuple):
    """One key: its name in its section, its default as YAML, empty if it has to be given, and what it is."""

    name: str
    default: str
    what: str


class Section(NamedTuple):
    """One section: its dotted path, what it is, and its keys."""

    path: str
    summary: str
    keys: list[Key]


def sections() -> Iterator[Section]:
    """Sections of a recipe, each after the one that it is in; those of lists and mappings are called ``.N`` and ``.NAME``."""
    return _sections("", Config, Config())


def training_stages() -> Iterator[Section]:
    """The kinds of stages in ``micro.stages``, ``meso.stages`` and ``parc.stages``, called by their ``objective``."""
    for kind in _models(MicroConfig.model_fields["stages"].annotation):
        fields = {name: field for name, field in kind.model_fields.items() if not fixed(field.annotation)}
        always = {name: field.default for name, field in kind.model_fields.items() if fixed(field.annotation) and name != "objective"}
        said = "".join(f" `{name}` is `{json.dumps(value)}`." for name, value in always.items())
        keys = [Key(name, _default(field, None, name), _what(field)) for name, field in fields.items()]
        yield Section(str(kind.model_fields["objective"].default), _summary(kind.__bases__[0]) + said, keys)


def fixed(annotation: Any) -> bool:
    """Whether a type has a single value, which nobody has to be told of."""
    parts = get_args(annotation)
    if get_origin(annotation) is Literal:
        return len(parts) == 1
    return get_origin(annotation) is tuple and all(fixed(part) for part in parts)


def _sections(path: str, kind: type[BaseModel], defaults: BaseModel | None) -> Iterator[Section]:
    fields = kind.model_fields
    nested = {
        name: models
        for name, field in fields.items()
        if (models := list(_models(field.annotation))) and "objective" not in models[0].model_fields
    }
    own = {name: field for name, field in fields.items() if name not in nested or field.annotation is not nested[name][0]}
    yield Section(path, _summary(kind), [Key(name, _default(field, defaults, name), _what(field)) for name, field in own.items()])
    for name, (model, *_) in nested.items():
        found = None if defaults is None else getattr(defaults, name)
        inner = ".NAME" if get_origin(fields[name].annotation) is dict else ".N" if get_origin(fields[name].annotation) is tuple else ""
        yield from _sections(f"{path}.{name}{inner}".lstrip("."), model, found if isinstance(found, model) else None)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Sections that a value of this type may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def _default(field: FieldInfo, defaults: BaseModel | None, name: str) -> str:
    value = field.get_default(call_default_factory=True) if defaults is None else getattr(defaults, name)
    if value is PydanticUndefined:
        return ""
    if isinstance(value, tuple) and value and isinstance(value[0], BaseModel) and hasattr(value[0], "name"):
        return ", ".join(stage.name for stage in value)
    return json.dumps(_plain(value), ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return value


def _what(field: FieldInfo) -> str:
    options = [
        repr(option) for part in (field.annotation, *get_args(field.annotation)) if get_origin(part) is Literal for option in get_args(part)
    ]
    one_of = f" One of {', '.join(f'`{option[1:-1]}`' for option in dict.fromkeys(options))}." if options else ""
    return (field.description or "") + one_of


def _summary(kind: type[BaseModel]) -> str:
    return (kind.__doc__ or "").split("\n\n")[0].replace("\n", " ").replace("``", "`").strip()
