"""YAML as recipes have it: the numbers and words of YAML 1.2, and every key once."""

from __future__ import annotations

import re
from collections.abc import Hashable
from itertools import accumulate
from typing import Any

import yaml

from probtokens.limits import MAX_YAML_KEYS, MAX_YAML_LEVELS

_PREFIX = "tag:yaml.org,2002:"
#: Kind of a plain scalar, how it is written in the core schema of YAML 1.2 (section 10.3.2), and its first letters.
_PLAIN: tuple[tuple[str, str, str], ...] = (
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+.0123456789"),
)


class NotYaml(ValueError):
    """A text is no YAML.

    Parameters
    ----------
    problem
        What came instead.
    line
        Where, from 1; ``None`` if that is not known.
    """

    def __init__(self, problem: str, line: int | None = None) -> None:
        super().__init__(f"expected YAML, got {problem:.120}")
        self.line = line


class _Loader(yaml.SafeLoader):
    """PyYAML's own rules are those of YAML 1.1, where 010 is eight and 12:30 is 750; it takes the last of several equal keys."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - what the base class has

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Mapping of a node; keys that stand twice, or cannot be keys, are refused."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == f"{_PREFIX}merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r}", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} twice in one mapping", key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        super().flatten_mapping(node)
        if len(node.value) > MAX_YAML_KEYS:  # merges of merges multiply
            raise yaml.constructor.ConstructorError(None, None, f"more than {MAX_YAML_KEYS} keys in one mapping", node.start_mark)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        text = str(self.construct_scalar(node))
        return int(text, 0 if text.startswith(("0o", "0x")) else 10)


class _Dumper(yaml.SafeDumper):
    """Quotes what is no text for readers of YAML 1.1 or 1.2."""


for _kind, _form, _first in _PLAIN:
    _resolver = f"{_PREFIX}{_kind}", re.compile(rf"^(?:{_form})$"), [*_first, *([""] if _kind == "null" else [])]
    _Loader.add_implicit_resolver(*_resolver)
    _Dumper.add_implicit_resolver(*_resolver)
_Loader.add_implicit_resolver(f"{_PREFIX}merge", re.compile("^<<$"), ["<"])
_Loader.add_constructor(f"{_PREFIX}int", _Loader.construct_yaml_int)


def read_yaml(text: str) -> Any:
    """Content of a YAML text.

    Raises
    ------
    NotYaml
        If it is none, or has a key twice.
    """
    if max(accumulate((letter in "[{") - (letter in "]}") for letter in text), default=0) > MAX_YAML_LEVELS:
        raise NotYaml("too many levels")
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise NotYaml(getattr(error, "problem", None) or str(error).splitlines()[0], mark.line + 1 if mark is not None else None) from None
    except RecursionError:
        raise NotYaml("too many levels") from None
    except (ValueError, KeyError) as error:  # of a value that does not fit its explicit tag
        raise NotYaml(str(error)) from None


def read_yaml_value(text: str) -> Any:
    """Content of a YAML text of one line, all of which counts: what would be a comment is refused.

    >>> read_yaml_value("[010, 1e-3, yes]")
    [10, 0.001, 'yes']

    Raises
    ------
    NotYaml
        As :func:`read_yaml`, and if a part of the text is a comment.
    """
    value = read_yaml(text)
    node = yaml.compose(text, Loader=_Loader)
    if rest := (text if node is None else text[node.end_mark.index :]).strip():
        raise NotYaml(f"the comment {rest!r}")
    return value


def write_yaml(value: Any) -> str:
    """YAML text of mappings, lists, texts and numbers, in the order that they have."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False)
