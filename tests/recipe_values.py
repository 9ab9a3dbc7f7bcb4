"""Values that fit the keys of a recipe, from the schema of its sections: small ones, so that what is accepted can be run."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from probtokens.config import Config
from probtokens.config.forecast import OWN_MODELS

Schema = dict[str, Any]

_CONFIG: Schema = Config.model_json_schema()

#: What texts without a form of their own may say: names of fields, scalars and models.
_NAMES = st.sampled_from([*Config().data.fields, *Config().data.context, *OWN_MODELS])

#: How far numbers go beyond their least where nothing else limits them.
_ROOM = 6


def fitting(key: str, schema: Schema = _CONFIG) -> st.SearchStrategy[Any]:
    """Values that the setting or section at a dotted key may have, as far as its own schema tells."""
    for part in key.split("."):
        schema = _resolved(schema)["properties"][part]
    return _values(schema)


def _resolved(schema: Schema) -> Schema:
    return _CONFIG["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def _values(schema: Schema) -> st.SearchStrategy[Any]:
    schema = _resolved(schema)
    if options := schema.get("anyOf", schema.get("oneOf")):
        return st.one_of(*map(_values, options))
    if "const" in schema or "enum" in schema:
        return st.sampled_from(schema.get("enum", [schema.get("const")]))
    return _KINDS[schema["type"]](schema)


def _number(schema: Schema) -> st.SearchStrategy[float]:
    least, most = schema.get("ge", schema.get("gt", 0)), schema.get("le", schema.get("lt", None))
    return st.floats(least, least + _ROOM if most is None else most, exclude_min="gt" in schema, exclude_max="lt" in schema)


def _integer(schema: Schema) -> st.SearchStrategy[int]:
    least = schema.get("minimum", schema.get("ge", 0))
    return st.integers(least, min(least + _ROOM, schema.get("le", least + _ROOM)))


def _text(schema: Schema) -> st.SearchStrategy[str]:
    if schema.get("format") == "path":
        return st.nothing()
    return st.from_regex(schema["pattern"].replace("$", r"\Z"), alphabet=st.characters(codec="ascii")) if "pattern" in schema else _NAMES


def _list(schema: Schema) -> st.SearchStrategy[list[Any]]:
    if "prefixItems" in schema:
        return st.tuples(*map(_values, schema["prefixItems"])).map(list)
    return st.lists(_values(schema["items"]), min_size=schema.get("minItems", 0), max_size=3, unique_by=repr)


def _mapping(schema: Schema) -> st.SearchStrategy[dict[str, Any]]:
    if "properties" not in schema:
        ((pattern, inner),) = schema.get("patternProperties", {"": schema.get("additionalProperties")}).items()
        names = _text({"pattern": pattern}) if pattern else _values(schema.get("propertyNames", {"type": "string"}))
        return st.dictionaries(names, _values(inner), max_size=2)
    values = {name: _values(inner) for name, inner in schema["properties"].items()}
    needed = {name: values.pop(name) for name in ("objective", *schema.get("required", ())) if name in values}
    return st.fixed_dictionaries(needed, optional={name: inner for name, inner in values.items() if not inner.is_empty})


_KINDS = {
    "null": lambda schema: st.none(),
    "boolean": lambda schema: st.booleans(),
    "integer": _integer,
    "number": _number,
    "string": _text,
    "array": _list,
    "object": _mapping,
}
