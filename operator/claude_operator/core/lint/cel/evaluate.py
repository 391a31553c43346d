"""Evaluates the rules of our own CustomResourceDefinitions on an object: `self`, and `oldSelf` where there is one.

Only the project's own rules are evaluated here: nothing bounds the work of an expression that somebody else wrote.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from claude_operator.api.base import seconds
from claude_operator.core.lint.cel.parse import CelSyntaxError, Node, parse

__all__ = ["CelError", "CelSyntaxError", "holds"]

Names = Mapping[str, Any]

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "%": operator.mod,
    "in": lambda one, many: one in many,
}
_MACROS = ("all", "exists", "exists_one", "filter", "map")


class CelError(Exception):
    """A rule cannot be decided on this value; the API server refuses the object then."""


def holds(rule: str, names: Names) -> bool:
    """Whether a rule holds; raises `CelError` where it cannot be evaluated, `CelSyntaxError` where it is no CEL."""
    found = _value(parse(rule), names)
    if not isinstance(found, bool):
        raise CelError(f"is not true or false: {found!r}")
    return found


def _value(node: Node, names: Names) -> Any:
    kind, *parts = node
    match kind:
        case "value":
            return parts[0]
        case "name":
            if parts[0] not in names:
                raise CelError(f"{parts[0]} is not known")
            return names[parts[0]]
        case "field":
            return _field(_value(parts[0], names), parts[1])
        case "index":
            return _index(_value(parts[0], names), _value(parts[1], names))
        case "list":
            return [_value(one, names) for one in parts[0]]
        case "map":
            return {_value(key, names): _value(one, names) for key, one in parts[0]}
        case "if":
            return _value(parts[1] if _truth(parts[0], names) else parts[2], names)
        case "not":
            return not _truth(parts[0], names)
        case "minus":
            return _operate("-", 0, _value(parts[0], names))
        case "and" | "or":
            return _both(kind == "or", parts[0], parts[1], names)
        case "call":
            return _call(parts[0], parts[1], parts[2], names)
    return _operate(kind, _value(parts[0], names), _value(parts[1], names))


def _truth(node: Node, names: Names) -> bool:
    found = _value(node, names)
    if not isinstance(found, bool):
        raise CelError(f"is not true or false: {found!r}")
    return found


def _both(decisive: bool, left: Node, right: Node, names: Names) -> bool:
    """`&&` and `||`: an error on one side does not count where the other side decides."""
    try:
        if _truth(left, names) is decisive:
            return decisive
    except CelError:
        if _truth(right, names) is decisive:
            return decisive
        raise
    return _truth(right, names)


def _operate(sign: str, left: Any, right: Any) -> Any:
    try:
        if sign == "/":
            return left // right if isinstance(left, int) and isinstance(right, int) else left / right
        return _OPERATORS[sign](left, right)
    except (TypeError, ZeroDivisionError, OverflowError) as error:
        raise CelError(str(error)) from None


def _field(value: Any, name: str) -> Any:
    if not isinstance(value, Mapping) or name not in value:
        raise CelError(f"there is no {name}")
    return value[name]


def _index(value: Any, key: Any) -> Any:
    try:
        return value[key]
    except (TypeError, LookupError):
        raise CelError(f"there is no {key!r}") from None


def _call(name: str, target: Node | None, arguments: tuple[Node, ...], names: Names) -> Any:
    if target is None and name == "has":
        return _has(arguments[0], names)
    if target is not None and name in _MACROS and arguments and arguments[0][0] == "name":
        return _macro(name, _value(target, names), arguments[0][1], arguments[1:], names)
    function = (_FUNCTIONS if target is None else _METHODS).get(name)
    if function is None:
        raise CelSyntaxError(f"{name}() is not known")
    given = [] if target is None else [_value(target, names)]
    try:
        return function(*given, *(_value(one, names) for one in arguments))
    except (TypeError, ValueError, AttributeError, LookupError, OverflowError) as error:
        raise CelError(f"{name}(): {error}") from None


def _has(node: Node, names: Names) -> bool:
    kind, *parts = node
    if kind != "field":
        raise CelSyntaxError("has() takes a field")
    holder = _value(parts[0], names)
    if not isinstance(holder, Mapping):
        raise CelError(f"has no fields: {holder!r}")
    return holder.get(parts[1]) is not None


def _macro(name: str, many: Any, variable: str, bodies: tuple[Node, ...], names: Names) -> Any:
    """Over the entries of a list, or the keys of a map."""
    if not isinstance(many, list | Mapping):
        raise CelError(f"{name}() takes a list or a map")
    body = bodies[-1]
    scopes = [{**names, variable: one} for one in many]
    if name == "map":
        kept = [scope for scope in scopes if len(bodies) < 2 or _truth(bodies[0], scope)]
        return [_value(body, scope) for scope in kept]
    if name == "filter":
        return [scope[variable] for scope in scopes if _truth(body, scope)]
    if name == "exists_one":
        return sum(_truth(body, scope) for scope in scopes) == 1
    return _quantified(name == "exists", body, scopes)


def _quantified(decisive: bool, body: Node, scopes: list[dict[str, Any]]) -> bool:
    last: CelError | None = None
    for scope in scopes:
        try:
            if _truth(body, scope) is decisive:
                return decisive
        except CelError as error:
            last = error
    if last is not None:
        raise last
    return not decisive


def _matches(text: str, pattern: str) -> bool:
    return re.search(pattern, text) is not None


def _last_index(many: Any, one: Any) -> int:
    if isinstance(many, str):
        return many.rfind(one)
    return max((number for number, other in enumerate(many) if other == one), default=-1)


def _first_index(many: Any, one: Any) -> int:
    if isinstance(many, str):
        return many.find(one)
    return next((number for number, other in enumerate(many) if other == one), -1)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "bool": lambda value: value if isinstance(value, bool) else {"true": True, "false": False}[value],
    "double": float,
    "duration": seconds,
    "int": int,
    "size": len,
    "string": _text,
    "type": type,
}
_METHODS: dict[str, Callable[..., Any]] = {
    "contains": lambda text, part: part in text,
    "endsWith": lambda text, part: text.endswith(part),
    "indexOf": _first_index,
    "isSorted": lambda many: all(one <= other for one, other in pairwise(many)),
    "lastIndexOf": _last_index,
    "lowerAscii": lambda text: text.lower(),
    "matches": _matches,
    "max": max,
    "min": min,
    "size": len,
    "split": lambda text, by: text.split(by) if by else list(text),
    "startsWith": lambda text, part: text.startswith(part),
    "sum": sum,
    "trim": lambda text: text.strip(),
}
