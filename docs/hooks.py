"""Pages that are generated while the documentation is built."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from probtokens.config import Config, MicroConfig

_LONGEST = 60
_HEAD = """# Settings

Every key of a recipe, with its default. A key is written with its sections, `micro.tokens.patch`, and may be overridden by
`--set micro.tokens.patch=8`. This page is generated from `probtokens/config`.
"""
_STAGES = """## Training stages

`micro.stages`, `meso.stages` and `parc.stages` are lists of stages. The key `objective` of a stage decides which of these keys it has.
[Running](running.md#training-stages) says how they go together.
"""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page of settings."""
    files.append(File.generated(config, "settings.md", content=settings_page()))
    return files


def settings_page() -> str:
    """Every key of a recipe with its default and description, in Markdown."""
    return "\n".join([_HEAD, *_section("", Config, Config()), _STAGES, *_stages()])


def _section(path: str, kind: type[BaseModel], defaults: BaseModel | None) -> Iterator[str]:
    """Table of the keys of one section, then those of the sections in it."""
    fields = kind.model_fields
    nested = {
        name: models
        for name, field in fields.items()
        if (models := list(_models(field.annotation))) and "objective" not in models[0].model_fields
    }
    own = {name: field for name, field in fields.items() if name not in nested or field.annotation is not nested[name][0]}
    if path:
        yield f"## `{path}`\n\n{_summary(kind)}\n"
    if own:
        yield "| key | default | what it is |\n| --- | --- | --- |"
        yield from (f"| `{name}` | {_default(field, defaults, name)} | {_what(field)} |" for name, field in own.items())
        yield ""
    for name, (model, *_) in nested.items():
        found = None if defaults is None else getattr(defaults, name)
        inner = ".NAME" if get_origin(fields[name].annotation) is dict else ".N" if get_origin(fields[name].annotation) is tuple else ""
        yield from _section(f"{path}.{name}{inner}".lstrip("."), model, found if isinstance(found, model) else None)


def _stages() -> Iterator[str]:
    for kind in _models(MicroConfig.model_fields["stages"].annotation):
        fields = {name: field for name, field in kind.model_fields.items() if not fixed(field.annotation)}
        always = {name: field.default for name, field in kind.model_fields.items() if fixed(field.annotation) and name != "objective"}
        said = "".join(f" `{name}` is `{json.dumps(value)}`." for name, value in always.items())
        yield f"### `objective: {kind.model_fields['objective'].default}`\n\n{_summary(kind.__bases__[0])}{said}\n"
        yield "| key | default | what it is |\n| --- | --- | --- |"
        yield from (f"| `{name}` | {_default(field, None, name)} | {_what(field)} |" for name, field in fields.items())
        yield ""


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Sections that a value of this type may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)


def fixed(annotation: Any) -> bool:
    """Whether a type has a single value, which nobody has to be told of."""
    parts = get_args(annotation)
    if get_origin(annotation) is Literal:
        return len(parts) == 1
    return get_origin(annotation) is tuple and all(fixed(part) for part in parts)


def _default(field: FieldInfo, defaults: BaseModel | None, name: str) -> str:
    value = field.get_default(call_default_factory=True) if defaults is None else getattr(defaults, name)
    if value is PydanticUndefined:
        return "required"
    stages = isinstance(value, tuple) and value and isinstance(value[0], BaseModel) and hasattr(value[0], "name")
    text = ", ".join(stage.name for stage in value) if stages else json.dumps(_plain(value), ensure_ascii=False)
    return f"`{text}`" if len(text) <= _LONGEST or stages else "see the package"


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
    return (field.description or "").replace("|", "\\|") + one_of


def _summary(kind: type[BaseModel]) -> str:
    return (kind.__doc__ or "").split("\n\n")[0].replace("\n", " ").replace("``", "`").strip()
