"""Pieces of CEL that rules are made of.

In a rule, `r` is a request as it is served: spec.request, or with a subagent's fields over it. What a field is without
a type in the definition has to be asked of each value: an expression that fails lets the request in.
"""

from __future__ import annotations

from collections.abc import Iterable

from claude_operator.api.cel import quote

__all__ = [
    "all_of",
    "any_of",
    "binding",
    "either",
    "entries",
    "has_beta",
    "is_a",
    "part",
    "quote",
    "shown",
    "strings",
    "value",
    "when",
]


def when(condition: str, message: str) -> str:
    """A list of one message where the condition holds; `message` is an expression."""
    return f"({condition} ? [{message}] : [])"


def all_of(*conditions: str) -> str:
    """Every condition, from left to right: a later one may rely on those before it."""
    return "(" + " && ".join(conditions) + ")"


def any_of(*conditions: str) -> str:
    """One of the conditions, from left to right."""
    return "(" + " || ".join(conditions) + ")"


def is_a(kind: str, *path: str) -> str:
    """Whether the field below `r` is there and is a map, list, string, int or bool."""
    steps = [f"has({_dotted(path[: n + 1])}) && type({_dotted(path[: n + 1])}) == map" for n in range(len(path) - 1)]
    return all_of(*steps, f"has({_dotted(path)})", f"type({_dotted(path)}) == {kind}")


def value(*path: str) -> str:
    """The field below `r`, null where it or what it is in is not there."""
    guards = [f"has({_dotted(path[: n + 1])}) && type({_dotted(path[: n + 1])}) == map" for n in range(len(path) - 1)]
    condition = " && ".join([*guards, f"has({_dotted(path)})"])
    return f"({condition} ? dyn({_dotted(path)}) : dyn(null))"


def part(name: str) -> str:
    """A field that is an object; empty where it is none."""
    return f"({is_a('map', name)} ? r.{name} : {{}})"


def entries(name: str) -> str:
    """The objects of a field that is a list."""
    return f"({is_a('list', name)} ? r.{name}.filter(e, type(e) == map) : [])"


def has_beta(beginning: str) -> str:
    """Whether `betas` names one that begins so."""
    return f"({is_a('list', 'betas')} && r.betas.exists(b, type(b) == string && b.startsWith({quote(beginning)})))"


def binding(name: str, bound: str, expression: str) -> str:
    """`expression` with a name for what is worked out once."""
    return f"[{bound}].map({name}, {expression})[0]"


def shown(expression: str) -> str:
    """A value as text, whatever it is."""
    return (
        f"(type({expression}) == string ? '\\'' + {expression} + '\\''"
        f" : type({expression}) == int || type({expression}) == double || type({expression}) == bool"
        f" ? string({expression}) : 'this value')"
    )


def strings(values: Iterable[str]) -> str:
    """A list of string literals."""
    return "[" + ", ".join(map(quote, values)) + "]"


def either(expression: str) -> str:
    """The texts of a list as a choice."""
    return f"{expression}.join(' or ')"


def _dotted(path: tuple[str, ...]) -> str:
    return ".".join(("r", *path))
