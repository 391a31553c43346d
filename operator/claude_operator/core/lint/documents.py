"""Reads the YAML or JSON documents of a text as kubectl does, with the line and column of each key and value.

kubectl takes `no` and `on` for booleans, and refuses a key that is written twice. Anchors are expanded within a bound.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from claude_operator.core.lint.finding import Fault, Level, Path, Place

__all__ = ["Document", "read_documents"]

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MOST = 500_000  # values in a file, with those that anchors repeat
_DEEPEST = 60
_SHOWN = 80  # characters of a key in a message
_TEXT = "tag:yaml.org,2002:str"
_INT = re.compile(r"[-+]?(0|[1-9][0-9_]*|0[0-7_]+|0b_*[01][01_]*|0o_*[0-7][0-7_]*|0x_*[0-9a-fA-F][0-9a-fA-F_]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_LONGEST_NUMBER = 400  # characters
_NULLS = ("", "~", "null", "Null", "NULL")
_TRUE = ("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON")
_FALSE = ("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF")
_WORDS: dict[str, Any] = dict.fromkeys(_NULLS) | dict.fromkeys(_TRUE, True) | dict.fromkeys(_FALSE, False)
_CHART = "; of a chart, lint what it renders: helm template CHART | kubectl claude lint -f -"
_MOST_DIGITS = 18  # of a whole number: more is no int64


@dataclass(slots=True)
class Document:
    """A document, and where each key and value of it stands."""

    value: Any
    start: Place
    places: dict[Path, Place] = field(default_factory=dict)
    """The key of a field, or the entry of a list."""
    values: dict[Path, Place] = field(default_factory=dict)
    """The value of a field."""
    faults: list[Fault] = field(default_factory=list)

    def place(self, path: Path) -> Place:
        """Where a value is named, or the nearest that it is in."""
        while path:
            if path in self.places:
                return self.places[path]
            path = path[:-1]
        return self.start


class _BrokenError(Exception):
    """Nothing after this place can be read."""

    def __init__(self, place: Place, message: str, check: str = "yaml-syntax") -> None:
        super().__init__(message)
        self.place, self.message, self.check = place, message, check


def read_documents(text: str) -> list[Document]:
    """The documents of a text, empty ones left out. What cannot be read is a fault of the last one."""
    found: list[Document] = []
    reader = _Reader()
    try:
        reader.load(text)
        while (document := reader.document()) is not None:
            if document.value is not None or document.faults:
                found.append(document)
    except _BrokenError as error:
        fault = Fault(error.check, Level.ERROR, (), error.message + (_CHART if "{{" in text else ""))
        found.append(Document(None, error.place, faults=[fault]))
    return found


class _Reader:
    def __init__(self) -> None:
        self._values = 0
        self._text = ""
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._document = Document(None, Place(1, 1))

    def load(self, text: str) -> None:
        """Begin with a text."""
        self._text = text
        try:
            self._loader = _Loader(text)
        except (yaml.YAMLError, UnicodeError) as error:
            raise self._broken(error) from None
        self._next()

    def document(self) -> Document | None:
        """The next document, None after the last."""
        begin = self._next()
        if isinstance(begin, yaml.StreamEndEvent):
            return None
        self._anchors = {}
        event = self._next()
        self._document = Document(None, _place(event))
        self._document.value = self._value(event, ())
        self._next()
        return self._document

    def _next(self) -> Any:
        try:
            return self._loader.get_event()
        except (yaml.YAMLError, UnicodeError) as error:
            raise self._broken(error) from None

    def _broken(self, error: Exception) -> _BrokenError:
        place = Place(1, 1)
        if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
            place = Place(error.problem_mark.line + 1, error.problem_mark.column + 1)
            said = f"is not YAML: {error.problem}; look at indents and quotes"
        else:
            said = "is not YAML: it has a control character or half a character; save it as UTF-8 text"
            place = _unreadable(self._text)
        return _BrokenError(place, said)

    def _value(self, event: Any, path: Path) -> Any:
        place = _place(event)
        self._document.values[path] = place
        self._count(place, 1)
        if len(path) > _DEEPEST:
            raise _BrokenError(place, f"is nested more than {_DEEPEST} levels deep: write fewer", "yaml-too-large")
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise _BrokenError(place, f"*{event.anchor} refers to itself or to nothing: write the value out")
            value, size = self._anchors[event.anchor]
            self._count(place, size)
            return value
        before = self._values
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event, path)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = []
            while not isinstance(inner := self._next(), yaml.SequenceEndEvent):
                entry: Path = (*path, len(value))
                self._document.places[entry] = _place(inner)
                value.append(self._value(inner, entry))
        else:
            value = self._mapping(path)
        if event.anchor:
            self._anchors[event.anchor] = (value, self._values - before + 1)
        return value

    def _mapping(self, path: Path) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            place = _place(event)
            if not isinstance(event, yaml.ScalarEvent):
                raise _BrokenError(place, "a key is not a text: write a word before the colon")
            key = str(event.value)
            inner: Path = (*path, key)
            if key == "<<" and event.implicit[0]:
                merged = self._merged(self._value(self._next(), inner), place) | merged
                continue
            if key in own:
                said = f"{key[:_SHOWN]} is written twice: keep one of them"
                self._document.faults.append(Fault("yaml-duplicate-key", Level.ERROR, inner, said))
            self._document.places[inner] = place
            own[key] = self._value(self._next(), inner)
        return merged | own

    def _merged(self, value: Any, place: Place) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for one in value if isinstance(value, list) else [value]:
            if not isinstance(one, dict):
                raise _BrokenError(place, "<< needs an object with fields: write *NAME of one")
            merged = one | merged
        return merged

    def _scalar(self, event: Any, path: Path) -> Any:
        text = str(event.value)
        if event.tag not in (None, "!", _TEXT):
            said = f"the tag {event.tag[:_SHOWN]} is not taken: write a text, a number, a list or an object"
            self._document.faults.append(Fault("yaml-tag", Level.ERROR, path, said))
            return text
        if event.tag is not None or not event.implicit[0]:
            return text
        if text in _WORDS:
            return _WORDS[text]
        value = _number(text)
        if isinstance(value, float) and not math.isfinite(value):
            said = f"{text[:_SHOWN]} is not a number that JSON has: write a finite one"
            self._document.faults.append(Fault("yaml-number", Level.ERROR, path, said))
        return value

    def _count(self, place: Place, size: int) -> None:
        self._values += size
        if self._values > _MOST:
            said = f"has more than {_MOST:,} values, with those that anchors repeat: split the file"
            raise _BrokenError(place, said, "yaml-too-large")


def _number(text: str) -> int | float | str:
    """A number as kubectl reads it, the text where it is none."""
    plain = text.replace("_", "")
    if _INT.fullmatch(text) and len(plain) <= _MOST_DIGITS:
        digits = plain.lstrip("+-")
        octal = len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()
        return int(plain, 8 if octal else 0)
    if len(text) > _LONGEST_NUMBER or not _FLOAT.fullmatch(text):
        return text
    return float(re.sub(r"\.(?=[a-zA-Z])", "", text))


def _place(event: Any) -> Place:
    return Place(event.start_mark.line + 1, event.start_mark.column + 1)


def _unreadable(text: str) -> Place:
    """The first character that YAML does not take."""
    for number, line in enumerate(text.split("\n"), 1):
        for column, char in enumerate(line, 1):
            if (char < " " and char not in "\t\r") or "\x7f" <= char <= "\x9f" or "\ud800" <= char <= "\udfff":
                return Place(number, column)
    return Place(1, 1)
