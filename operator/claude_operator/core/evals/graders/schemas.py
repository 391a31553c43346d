"""JSON Schemas as an eval set has them: what is wrong with one, found in a single walk that compiles nothing.

The library's own check of a schema takes seconds for one of 64 KB, and compiles its patterns. That one is made in the
Job, in a process that can be killed; the operator makes this one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from claude_operator.core.evals.graders.patterns import problem_of as pattern_problem

__all__ = ["DRAFTS", "FORMATS", "problem_of"]

DRAFTS = {
    "https://json-schema.org/draft/2020-12/schema": "Draft202012Validator",
    "https://json-schema.org/draft/2019-09/schema": "Draft201909Validator",
    "http://json-schema.org/draft-07/schema": "Draft7Validator",
    "http://json-schema.org/draft-06/schema": "Draft6Validator",
}
"""The validator of the library by the `$schema` that names it, without `#` at the end."""
FORMATS = ("date", "date-time", "email", "hostname", "ipv4", "ipv6", "regex", "time", "uri", "uuid")
"""Formats that are checked. Another one would be passed over in silence."""
_DEEPEST, _MOST = 64, 5000  # levels, and schemas in a schema
_SHOWN = 60
_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")


class _Fault(ValueError):  # noqa: N818  what a schema has
    pass


def problem_of(schema: Any) -> str:
    """What is wrong with a schema and what to write, empty where nothing is."""
    try:
        walk = _Walk(schema)
        walk.visit(schema, "#", 0)
        walk.follow_references()
        _check_satisfiable(schema, "#")
    except _Fault as fault:
        return str(fault)
    return ""


class _Walk:
    """All schemas in a schema. `same` holds, by place, the places that apply to the same value."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._count = 0
        self._references: list[tuple[str, str]] = []
        self._anchors: dict[str, str] = {}
        self._same: dict[str, list[str]] = {}

    def visit(self, schema: Any, place: str, depth: int) -> None:
        self._count += 1
        if depth > _DEEPEST or self._count > _MOST:
            raise _Fault(f"the schema has over {_DEEPEST} levels or {_MOST:,} schemas in it: shorten it")
        self._same[place] = []
        if isinstance(schema, bool):
            return
        if not isinstance(schema, dict):
            raise _Fault(f"{_short(place)} is not a schema: write an object with keywords such as type and properties")
        for name, value in schema.items():
            rule = _KEYWORDS.get(name)
            if rule is None:
                raise _Fault(_unknown(name, place))
            if why := rule(value):
                raise _Fault(f"{_short(place)}/{name} {why}")
            self._note(name, value, place)
            for key, inner in _children(name, value):
                below = f"{place}/{name}{key}"
                self.visit(inner, below, depth + 1)
                if name in _SAME_VALUE:
                    self._same[place].append(below)

    def _note(self, name: str, value: Any, place: str) -> None:
        if name in ("$ref", "$dynamicRef", "$recursiveRef"):
            self._references.append((place, value))
        elif name in ("$anchor", "$dynamicAnchor"):
            self._anchors[f"#{value}"] = place
        elif name == "$id" and place != "#":
            raise _Fault(f"{_short(place)}/$id: only the whole schema may have one; remove it")

    def follow_references(self) -> None:
        """Raise where one leads outside or nowhere, or where a schema refers to itself without end."""
        for place, reference in self._references:
            self._same[place].append(self._target(place, reference))
        state: dict[str, bool] = {}  # True while on the way
        for start in self._same:
            stack = [(start, iter(self._same[start]))] if start not in state else []
            state.setdefault(start, bool(stack))
            while stack:
                place, targets = stack[-1]
                target = next(targets, None)
                if target is None:
                    state[place] = False
                    stack.pop()
                elif state.get(target):
                    raise _Fault(
                        f"{_short(target)} refers to itself without end: a $ref must lead to a part of the value"
                    )
                elif target not in state:
                    state[target] = True
                    stack.append((target, iter(self._same[target])))

    def _target(self, place: str, reference: str) -> str:
        if not reference.startswith("#"):
            raise _Fault(
                f"{_short(place)}/$ref {reference[:_SHOWN]!r} leads outside of the schema, and nothing is fetched: put"
                ' it under $defs, and write "#/$defs/NAME"'
            )
        found = self._anchors.get(reference, "#" + reference[1:].rstrip("/"))
        if found not in self._same:
            raise _Fault(f"{_short(place)}/$ref {reference[:_SHOWN]!r} leads to no schema: correct it")
        return found


def _children(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The schemas under a keyword, each with the rest of its JSON pointer."""
    if name in _ONE or (name == "items" and not isinstance(value, list)):
        yield "", value
    elif name in _LIST or name == "items":
        yield from ((f"/{index}", inner) for index, inner in enumerate(value))
    elif name in _MAP:
        for key, inner in value.items():
            if name != "dependencies" or not isinstance(inner, list):
                yield "/" + key.replace("~", "~0").replace("/", "~1"), inner


def _check_satisfiable(schema: Any, place: str) -> None:
    """Raise where plainly no value holds: here, or in a part that every value must have."""
    why = _impossible(schema)
    if why:
        raise _Fault(f"nothing can hold {_short(place)}: {why}")
    if isinstance(schema, dict):
        for index, inner in enumerate(schema.get("allOf", ())):
            _check_satisfiable(inner, f"{place}/allOf/{index}")
        for name in schema.get("required", ()) if schema.get("type") == "object" else ():
            if name in schema.get("properties", {}):
                _check_satisfiable(schema["properties"][name], f"{place}/properties/{name}")


def _impossible(schema: Any) -> str:
    if schema is False:
        return "it is false"
    if not isinstance(schema, dict):
        return ""
    if schema.get("not") in (True, {}):
        return "not excludes everything"
    for least, most in _BOUNDS:
        if schema.get(least, 0) > schema.get(most, schema.get(least, 0)):
            return f"{least} is above {most}"
    if why := _empty_interval(schema):
        return why
    if "type" in schema:
        types = {schema["type"]} if isinstance(schema["type"], str) else set(schema["type"])
        wanted = schema["enum"] if "enum" in schema else [schema["const"]] if "const" in schema else None
        if wanted is not None and not any(_is_of(value, types) for value in wanted):
            return "no value of enum or const has its type"
    if schema.get("additionalProperties") is False and schema.get("type") == "object":
        patterns = schema.get("patternProperties")
        missing = [name for name in schema.get("required", ()) if name not in schema.get("properties", {})]
        if missing and not patterns:
            return f"additionalProperties is false, and properties lacks the required {missing[0][:_SHOWN]!r}"
    return ""


def _empty_interval(schema: Mapping[str, Any]) -> str:
    """Why no number lies between the bounds."""
    least, most = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
    above, below = schema.get("exclusiveMinimum", -math.inf), schema.get("exclusiveMaximum", math.inf)
    empty = max(least, above) > min(most, below) or above >= min(most, below) or below <= max(least, above)
    if schema.get("type") == "integer" and not empty and math.inf not in (abs(max(least, above)), min(most, below)):
        first = max(math.ceil(least) if least > above else math.floor(above) + 1, -(10**300))
        empty = first > most or first >= below
    return "no number lies between its bounds" if empty else ""


def _is_of(value: Any, types: set[str]) -> bool:
    match value:
        case bool():
            return "boolean" in types
        case int():
            return bool(types & {"integer", "number"})
        case float():
            return "number" in types or ("integer" in types and value.is_integer())
        case str():
            return "string" in types
        case None:
            return "null" in types
        case list():
            return "array" in types
        case _:
            return "object" in types


def _unknown(name: str, place: str) -> str:
    if name == "nullable":
        return f'{_short(place)}/nullable is not JSON Schema: write type: ["string", "null"]'
    return (
        f"{_short(place)} has {name[:_SHOWN]!r}, which JSON Schema does not know: correct it, or put fields of the"
        " answer under properties"
    )


def _short(place: str) -> str:
    return place if len(place) <= _SHOWN else f"…{place[-_SHOWN:]}"


# ------------------------------------------------------------------------------------------------- keywords

Rule = Callable[[Any], str]


def _must(what: str, holds: Callable[[Any], bool]) -> Rule:
    return lambda value: "" if holds(value) else f"must be {what}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return _is_number(value) and value >= 0 and float(value).is_integer()


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value) and len(set(value)) == len(value)


def _is_type(value: Any) -> bool:
    names = value if isinstance(value, list) else [value]
    return (
        bool(names) and all(isinstance(one, str) and one in _TYPES for one in names) and len(set(names)) == len(names)
    )


def _is_map(value: Any) -> bool:
    return isinstance(value, dict)


def _pattern(value: Any) -> str:
    return pattern_problem(value) if isinstance(value, str) else "must be a regular expression"


def _pattern_map(value: Any) -> str:
    if not isinstance(value, dict):
        return "must be an object of schemas by regular expression"
    return next((why for why in map(_pattern, value) if why), "")


def _draft(value: Any) -> str:
    if isinstance(value, str) and value.removesuffix("#") in DRAFTS:
        return ""
    return f"is not known here: write one of {', '.join(DRAFTS)}, or leave it out for the first of them"


_ONE = [
    "additionalItems",
    "additionalProperties",
    "contains",
    "contentSchema",
    "else",
    "if",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
]
_LIST = ("allOf", "anyOf", "oneOf", "prefixItems")
_MAP = ("$defs", "definitions", "dependentSchemas", "dependencies", "patternProperties", "properties")
_SAME_VALUE = {"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies"}
_BOUNDS = (
    ("minimum", "maximum"),
    ("minLength", "maxLength"),
    ("minItems", "maxItems"),
    ("minProperties", "maxProperties"),
    ("minContains", "maxContains"),
)
_text = _must("text", lambda value: isinstance(value, str))
_flag = _must("true or false", lambda value: isinstance(value, bool))
_number = _must("a number", _is_number)
_count = _must("a whole number of 0 or more", _is_count)
_schemas = _must("a list of schemas, at least one", lambda value: isinstance(value, list) and bool(value))
_by_name = _must("an object of schemas by name", _is_map)
_anything: Rule = lambda _: ""  # noqa: E731
_KEYWORDS: Mapping[str, Rule] = {
    "$schema": _draft,
    **dict.fromkeys(("$id", "$anchor", "$dynamicAnchor", "$ref", "$dynamicRef", "$recursiveRef", "$comment"), _text),
    **dict.fromkeys(("title", "description", "contentMediaType", "contentEncoding"), _text),
    **dict.fromkeys(("default", "const", "$vocabulary", "examples"), _anything),
    **dict.fromkeys(("deprecated", "readOnly", "writeOnly", "uniqueItems", "$recursiveAnchor"), _flag),
    "type": _must(f"one of {', '.join(_TYPES)}, or a list of them", _is_type),
    "enum": _must("a list of values, at least one", lambda value: isinstance(value, list) and bool(value)),
    "format": _must(f"one of {', '.join(FORMATS)}; no other format is checked", lambda value: value in FORMATS),
    "multipleOf": _must("a number above 0", lambda value: _is_number(value) and value > 0),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum"), _number),
    **dict.fromkeys(("maxLength", "minLength", "maxItems", "minItems", "maxContains", "minContains"), _count),
    **dict.fromkeys(("maxProperties", "minProperties"), _count),
    "pattern": _pattern,
    "required": _must("a list of names, each once", _is_texts),
    "dependentRequired": _must(
        "lists of names by name", lambda value: isinstance(value, dict) and all(map(_is_texts, value.values()))
    ),
    **dict.fromkeys(_ONE, _anything),
    "items": _anything,
    **dict.fromkeys(_LIST, _schemas),
    **dict.fromkeys(_MAP, _by_name),
    "patternProperties": _pattern_map,
}
