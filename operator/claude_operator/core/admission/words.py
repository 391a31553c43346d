"""Pieces of CEL that rules are made of.

In a rule, `r` is a request as it is served. What a field has no type for in the definition has to be asked of each
value: a rule that fails lets the request in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from claude_operator.api.cel import quote

__all__ = [
    "all_of",
    "any_of",
    "bind",
    "each",
    "entries",
    "given",
    "has_beta",
    "is_a",
    "mapping",
    "missing_beta",
    "named_twice",
    "quote",
    "quoted",
    "shown",
    "strings",
    "text_of",
    "texts",
    "value",
    "when",
]


def when(condition: str, message: str) -> str:
    """A list of one message where the condition holds; `message` is an expression."""
    return f"({condition} ? [{message}] : [])"


def each(listed: str, name: str, condition: str, message: str) -> str:
    """A message for each element that meets the condition."""
    return f"{listed}.filter({name}, {condition}).map({name}, {message})"


def all_of(*conditions: str) -> str:
    """Every condition, from left to right: a later one may rely on those before it."""
    return "(" + " && ".join(conditions) + ")"


def any_of(*conditions: str) -> str:
    """One of the conditions, from left to right."""
    return "(" + " || ".join(conditions) + ")"


def bind(name: str, bound: str, expression: str) -> str:
    """`expression` with a name for what is worked out once."""
    return f"[{bound}].map({name}, {expression})[0]"


def strings(values: Iterable[str]) -> str:
    """A list of string literals."""
    return "[" + ", ".join(map(quote, values)) + "]"


def mapping(values: Mapping[str, str]) -> str:
    """A map of string literals."""
    return "{" + ", ".join(f"{quote(key)}: {quote(text)}" for key, text in values.items()) + "}"


def is_a(kind: str, *path: str) -> str:
    """Whether the field below `r` is there and is a map, list, string, int or bool."""
    return all_of(*_inside(path), f"has({_dotted(path)})", f"type({_dotted(path)}) == {kind}")


def value(*path: str) -> str:
    """The field below `r`, null where it is not there."""
    return f"({' && '.join([*_inside(path), f'has({_dotted(path)})'])} ? dyn({_dotted(path)}) : dyn(null))"


def given(*path: str) -> str:
    """Whether the field below `r` is there, and not null, empty, false or 0."""
    return bind("g", value(*path), "!(g == null || g == false || g == 0 || g == '' || g == {} || g == [])")


def entries(name: str) -> str:
    """The objects of a field that is a list."""
    return f"({is_a('list', name)} ? r.{name}.filter(e, type(e) == map) : [])"


def texts(listed: str, field: str) -> str:
    """The texts of a field over a list of objects."""
    return f"{listed}.filter(e, has(e.{field}) && type(e.{field}) == string).map(e, string(e.{field}))"


def text_of(field: str, beginning: str, holder: str = "t") -> str:
    """Whether a field of an object is a text that begins so."""
    return (
        f"has({holder}.{field}) && type({holder}.{field}) == string && {holder}.{field}.startsWith({quote(beginning)})"
    )


def has_beta(beginning: str) -> str:
    """Whether `betas` names one that begins so."""
    return f"({is_a('list', 'betas')} && r.betas.exists(b, type(b) == string && b.startsWith({quote(beginning)})))"


def missing_beta(condition: str, beginning: str, message: str) -> str:
    """A message where something is used without its beta."""
    return when(all_of(condition, f"!{has_beta(beginning)}"), quote(message))


def quoted(expression: str) -> str:
    """A text in quotation marks, its line breaks and tabs as Python and YAML write them: an answer has one line."""
    return f"('\\'' + {expression}{_ON_ONE_LINE} + '\\'')"


_ON_ONE_LINE = "".join(rf".replace('{sign}', '\{sign}')" for sign in (r"\n", r"\t", r"\r"))


def shown(expression: str) -> str:
    """A value as text, whatever it is."""
    said = (
        f"type(z) == string ? {quoted('string(z)')} : type(z) == int || type(z) == double ? string(z)"
        " : z == null ? 'None' : z == true ? 'True' : z == false ? 'False' : 'this value'"
    )
    return bind("z", f"dyn({expression})", f"({said})")


def named_twice(field: str, of: str, names: str) -> str:
    """A message for the first name that is there more than once."""
    twice = "n.filter(x, n.indexOf(x) != n.lastIndexOf(x))"
    said = (
        f"'{field}: ' + string(n.filter(y, y == x).size()) + ' {of} are named ' + {quoted('x')}"
        " + ': rename or remove all but one'"
    )
    return bind("n", names, bind("d", twice, f"d.size() == 0 ? [] : [d[0]].map(x, {said})"))


def _inside(path: tuple[str, ...]) -> list[str]:
    above = [_dotted(path[: number + 1]) for number in range(len(path) - 1)]
    return [f"has({one}) && type({one}) == map" for one in above]


def _dotted(path: tuple[str, ...]) -> str:
    return ".".join(("r", *path))
