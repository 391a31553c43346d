"""Fills `{{name}}` in texts of an item: names, a few filters, nothing that runs.

The spelling is that of promptfoo's Nunjucks. Everything else of Nunjucks (loops, conditions, calls, arithmetic) is
refused by name: a set comes from whoever can write one, and is read beside a key.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

__all__ = ["FILTERS", "Templates"]

_LONGEST = 1_000_000  # characters of a text that is filled in
_LONGEST_EXPRESSION = 1000  # characters
_WORK = 200_000_000  # characters that are written or looked at
_EXPRESSION = 1000  # characters' worth of work
_MOST_EXPRESSIONS = 5000  # in one item: others have to wait for so long
_SHOWN = 60
_DEEPEST = 100  # levels of a message
_OPEN = re.compile(r"\{\{|\{%|\{#")
_STRING = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
_TOKEN = re.compile(rf"\s*(?:({_STRING})|(-?\d+(?:\.\d+)?)|([A-Za-z_]\w*)|(\S))")
_QUOTED_OR_END = re.compile(rf"{_STRING}|\}}\}}")
_NONE: Any = object()


def _text(value: Any) -> str:
    """A value as it stands in a text: words as they are, lists and objects as JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:.15g}" if isinstance(value, float) else str(value)
    return _json(value)


def _json(value: Any, indent: Any = None) -> str:
    try:
        encoded = msgspec.json.encode(value)
        return (msgspec.json.format(encoded, indent=min(int(indent), 8)) if indent else encoded).decode()
    except (UnicodeEncodeError, OverflowError, RecursionError, TypeError, ValueError):
        raise ValueError("a value cannot be written as JSON: remove what is not text, numbers or lists") from None


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str | list | dict) else 0


def _join(value: Any, between: Any = "") -> str:
    return _text(between).join(map(_text, value)) if isinstance(value, list) else _text(value)


def _replace(value: Any, old: Any, new: Any) -> str:
    text, old, new = _text(value), _text(old), _text(new)
    if not old:
        raise ValueError("replace needs a text to look for")
    if len(text) + text.count(old) * len(new) > _LONGEST:
        raise ValueError(f"more than {_LONGEST:,} characters when it is filled in: shorten it")
    return text.replace(old, new)


FILTERS: Mapping[str, tuple[Callable[..., Any], int, int]] = {
    "capitalize": (lambda value: _text(value).capitalize(), 0, 0),
    "default": (lambda value, other="": other if value is _NONE or value is None else value, 0, 1),
    "dump": (_json, 0, 1),
    "first": (lambda value: value[0] if isinstance(value, str | list) and value else "", 0, 0),
    "join": (_join, 0, 1),
    "last": (lambda value: value[-1] if isinstance(value, str | list) and value else "", 0, 0),
    "length": (_length, 0, 0),
    "lower": (lambda value: _text(value).lower(), 0, 0),
    "replace": (_replace, 2, 2),
    "safe": (lambda value: value, 0, 0),  # nothing is escaped here
    "trim": (lambda value: _text(value).strip(), 0, 0),
    "upper": (lambda value: _text(value).upper(), 0, 0),
}
"""By name: the function, and the least and most arguments after the value."""

_INSTEAD = {
    "for": "write the list out, or use {{list | join(', ')}}",
    "if": "write one item for each case",
    "set": "add it to vars",
    "include": "use a var with file://",
    "raw": 'write {{ "{{" }} for two braces',
}


class Templates:
    """Fills in templates: with a bound on all of its work, for who writes a set takes the time of who reads it."""

    def __init__(self, work: int = _WORK) -> None:
        self._left, self._expressions = work, 0

    def begin(self) -> None:
        """Begin another item."""
        self._expressions = 0

    def fill(self, text: str, variables: Mapping[str, Any]) -> str:
        """The text with its `{{...}}` filled in; raises ValueError that quotes what cannot be and what to write."""
        if "{" not in text:
            return text
        parts: list[str] = []
        size = 0
        for part in _parts(text):
            filled = part if isinstance(part, str) else _text(self._value(part[0], variables))
            size += len(filled)
            self._spend(len(filled))
            if size > _LONGEST:
                raise ValueError(f"a text has more than {_LONGEST:,} characters when it is filled in: shorten it")
            parts.append(filled)
        return "".join(parts)

    def fill_deep(self, value: Any, variables: Mapping[str, Any], depth: int = 0) -> Any:
        """As `fill`, in all texts of a JSON value. A text that is nothing but `{{name}}` becomes a list where it is."""
        if depth > _DEEPEST:
            raise ValueError(f"more than {_DEEPEST} levels: write fewer")
        if isinstance(value, str):
            if value.lstrip().startswith("{{") and isinstance(alone := self._alone(value, variables), list):
                return alone
            return self.fill(value, variables)
        if isinstance(value, list):
            return [self.fill_deep(one, variables, depth + 1) for one in value]
        if isinstance(value, dict):
            return {key: self.fill_deep(one, variables, depth + 1) for key, one in value.items()}
        return value

    def _alone(self, text: str, variables: Mapping[str, Any]) -> Any:
        parts = [part for part in itertools.islice(_parts(text.strip()), 4) if part]
        return self._value(parts[0][0], variables) if len(parts) == 1 and isinstance(parts[0], tuple) else None

    def _value(self, expression: _Expression, variables: Mapping[str, Any]) -> Any:
        self._spend(_EXPRESSION)
        self._expressions += 1
        if self._expressions > _MOST_EXPRESSIONS:
            raise ValueError(f"an item has more than {_MOST_EXPRESSIONS:,} of {{{{...}}}}: write the text out")
        return expression.value(variables, self._spend)

    def _spend(self, work: int) -> None:
        self._left -= work
        if self._left < 0:
            raise ValueError("filling in the set's templates takes too long: use fewer items, or shorter texts")


def _parts(text: str) -> Iterator[str | tuple[_Expression]]:
    """Plain text, and expressions."""
    start, strip = 0, False
    while True:
        found = _OPEN.search(text, start)
        plain = text[start : found.start() if found else len(text)]
        plain = plain.lstrip() if strip else plain
        if found is None:
            yield plain
            return
        kind, begin = found[0], found.end()
        if kind == "{%":
            word = re.match(r"-?\s*(\w+)", text[begin : begin + _SHOWN])
            name = word[1] if word else ""
            raise ValueError(f"{{% {name} %}} is not taken: {_INSTEAD.get(name, 'write the text out')}")
        end = _end(text, begin, kind)
        dash = text.startswith("-", begin)
        yield plain.rstrip() if dash else plain
        inner = text[begin + dash : end]
        strip = inner.endswith("-")
        if kind == "{{":
            yield (_Expression(inner.removesuffix("-")),)
        start = end + 2


def _end(text: str, begin: int, kind: str) -> int:
    """Where an opened `{{` or `{#` ends; braces in quotes do not count."""
    if kind == "{#":
        end = text.find("#}", begin)
    else:
        found = _QUOTED_OR_END.finditer(text, begin, begin + _LONGEST_EXPRESSION)
        end = next((one.start() for one in found if one[0] == "}}"), -1)
    if end < 0:
        shown = text[begin : begin + _SHOWN]
        raise ValueError(f"{kind}{shown} is not closed: write the end, or {{{{ '{kind}' }}}} for the signs themselves")
    return end


class _Expression:
    """`name.part[0] | filter('x')`."""

    def __init__(self, source: str) -> None:
        self._source = source.strip()
        self._tokens = [found.groups() for found in _TOKEN.finditer(source)]
        self._at = 0

    def value(self, variables: Mapping[str, Any], spend: Callable[[int], None]) -> Any:
        """What it stands for; `spend` is told how much is looked at."""
        self._at = 0
        value = self._operand(variables, spend)
        while self._take("|"):
            spend(_length(value))
            value = self._filter(value)
        if self._at != len(self._tokens):
            raise self._fault()
        if value is _NONE:
            name = self._source.partition("|")[0].strip()[:_SHOWN]
            known = ", ".join(sorted(variables)[:10]) or "none"
            raise ValueError(
                f"{{{{{name}}}}}: the item has no such var (it has {known[:300]}): add it to vars, correct the name,"
                f" or write {{{{{name} | default('')}}}}"
            )
        return value

    def _operand(self, variables: Mapping[str, Any], spend: Callable[[int], None]) -> Any:
        string, number, name, _ = self._next()
        if string is not None:
            return _unquote(string)
        if number is not None:
            return float(number) if "." in number else int(number[:_SHOWN])
        if name is None:
            raise self._fault()
        if name == "env":
            raise ValueError("{{env...}} is not taken: a set does not read the environment; write the value into vars")
        value = variables.get(name, _NONE)
        while True:
            if self._take("."):
                part = self._next()[2]
                if part is None:
                    raise self._fault()
                spend(_length(value))
                value = _member(value, part)
            elif self._take("["):
                string, number, _, _ = self._next()
                if (string is None and number is None) or not self._take("]"):
                    raise self._fault()
                spend(_length(value))
                value = _member(value, _unquote(string) if string is not None else _whole(number))
            else:
                return value

    def _filter(self, value: Any) -> Any:
        name = self._next()[2]
        if name is None:
            raise self._fault()
        if name not in FILTERS:
            raise ValueError(f"the filter {name[:_SHOWN]!r} is not taken: use one of {', '.join(FILTERS)}")
        function, least, most = FILTERS[name]
        arguments: list[str | int] = []
        if self._take("("):
            while not self._take(")"):
                if arguments and not self._take(","):
                    raise self._fault()
                string, number, _, _ = self._next()
                if string is None and number is None:
                    raise self._fault()
                arguments.append(_unquote(string) if string is not None else _whole(number))
        if not least <= len(arguments) <= most:
            raise self._fault()
        return value if value is _NONE and name != "default" else function(value, *arguments)

    def _next(self) -> tuple[str | None, ...]:
        if self._at >= len(self._tokens):
            raise self._fault()
        self._at += 1
        return self._tokens[self._at - 1]

    def _take(self, sign: str) -> bool:
        found = self._at < len(self._tokens) and self._tokens[self._at][3] == sign
        self._at += found
        return found

    def _fault(self) -> ValueError:
        return ValueError(
            f"{{{{{self._source[:_SHOWN]}}}}} is not taken: write {{{{name}}}}, {{{{name.part}}}}, {{{{name[0]}}}} or"
            f" {{{{name | filter}}}}, and put the rest into vars"
        )


def _member(value: Any, part: str | int) -> Any:
    """A part of an object or list; a text that is JSON, such as a cell of a table, is one too."""
    if isinstance(value, str) and value[:1] in "{[":
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return _NONE
    if isinstance(value, Mapping):
        return value.get(str(part), _NONE)
    if isinstance(value, list) and isinstance(part, int) and -len(value) <= part < len(value):
        return value[part]
    return _NONE


def _whole(number: str | None) -> int:
    """Its whole part; of more digits than anything has, the first ones."""
    return int((number or "0").partition(".")[0][:_SHOWN])


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "t": "\t"}.get(found[1], found[1]), text[1:-1], flags=re.DOTALL)
