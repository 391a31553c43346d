"""Expressions that read one member of an answer's JSON, such as `output.kind` or `JSON.parse(output).items[0].name`.

They are all of promptfoo's JavaScript that says something and does nothing. A check of such a member is one with a JSON
Schema.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

__all__ = ["OfTools", "Path", "compared", "leaf_of", "member", "schema_of"]

_STEP = r"""\.[A-Za-z_$][\w$]*|\[(?:\d{1,3}|'[^'\\]*'|"[^"\\]*")\]"""
_WHOLE = r"(?:JSON\.parse\(\s*output\s*\)|output)"
_MEMBER = rf"{_WHOLE}((?:{_STEP})+)"
_LITERAL = r"""'[^'\\]*'|"[^"\\]*"|-?\d+(?:\.\d+)?|true|false|null"""
_RETURN = re.compile(r"^\s*(?:return\s+)?(.*?)\s*;?\s*$", re.DOTALL)
_COMPARED = re.compile(rf"{_MEMBER}\s*===?\s*({_LITERAL})")
_MOST = 20  # steps
_METHODS = frozenset(("includes", "length", "toLowerCase", "trim", "toUpperCase"))  # of a text, no members

Path = tuple[str | int, ...]


class OfTools(ValueError):  # noqa: N818  (what it is)
    """The expression reads a call of a tool; says what to write instead."""

    def __init__(self) -> None:
        super().__init__("it reads a call of a tool: write tool-call with {name: ..., input: {...}}")


def member(code: Any) -> Path | None:
    """The path of the member that an expression reads, empty for the whole; None for any other. Raises OfTools."""
    if re.fullmatch(_WHOLE, _plain(code)):
        return ()
    found = re.fullmatch(_MEMBER, _plain(code))
    return _path(found[1]) if found else None


def compared(code: Any) -> tuple[Path, Any] | None:
    """The path and the value of an expression that compares a member with it, None for any other; raises OfTools."""
    found = _COMPARED.fullmatch(_plain(code))
    path = _path(found[1]) if found else None
    if found is None or path is None:
        return None
    literal = found[2]
    return path, literal[1:-1] if literal[0] in "'\"" else json.loads(literal)


def schema_of(path: Path, leaf: dict[str, Any]) -> dict[str, Any]:
    """A JSON Schema by which the member is there, and is as `leaf` says."""
    schema = leaf
    for step in reversed(path):
        if isinstance(step, int):
            schema = {"type": "array", "minItems": step + 1, "prefixItems": [*[True] * step, schema]}
        else:
            schema = {"type": "object", "required": [step], "properties": {step: schema}}
    return schema


def leaf_of(kind: str, value: Any) -> dict[str, Any] | None:
    """What a check of this kind asks of a member, as a JSON Schema; None where a schema cannot say it."""
    if kind == "equals":
        same: list[Any] = [value]
        if isinstance(value, str):
            with suppress(ValueError):
                same += [found for found in [json.loads(value)] if not isinstance(found, str)]
        return {"enum": same}
    patterns = {"contains": "{}", "starts-with": "^{}"}
    if kind in patterns and isinstance(value, str) and "{{" not in value:  # what is filled in later is not escaped
        return {"type": "string", "pattern": patterns[kind].format(re.escape(value))}
    if kind == "regex" and isinstance(value, str):
        return {"type": "string", "pattern": value}
    return None


def _plain(code: Any) -> str:
    found = _RETURN.match(str(code))
    return found[1] if found else ""


def _path(text: str) -> Path | None:
    steps: Sequence[str] = re.findall(_STEP, text)
    path = tuple(_step(one) for one in steps)
    if isinstance(path[0], int):
        raise OfTools
    return None if len(path) > _MOST or _METHODS & set(map(str, path)) else path


def _step(text: str) -> str | int:
    if text.startswith("."):
        return text[1:]
    inner = text[1:-1]
    return int(inner) if inner.isdigit() else inner[1:-1]
