"""Reads YAML in small steps, with the line of each value: the words of YAML 1.2 (`no` is a text), bounded anchors.

`yaml.load` reads a whole document at once, expands what refers to itself, and takes `no` for false.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from claude_operator.api.faults import yaml_fault

__all__ = ["Document", "iter_entries", "read_document"]

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MOST = 20_000  # values in one entry
_MOST_IN_ALL = 1_000_000  # values in a document that is read as a whole
_DEEPEST = 60
_INT = re.compile(r"[-+]?(0|[1-9]\d{0,17})")  # 007 and the long number of an order stay as they are written
_FLOAT = re.compile(r"[-+]?(0|[1-9]\d{0,17})?\.\d+|[-+]?[1-9]\d{0,17}(\.\d+)?[eE][-+]?\d{1,3}")
_WORDS: dict[str, Any] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_TEXT = "tag:yaml.org,2002:str"

Path = tuple[str | int, ...]


@dataclass(slots=True)
class Document:
    """A document, and the line of each value by its path in it."""

    value: Any
    lines: dict[Path, int] = field(default_factory=dict)

    def line(self, path: Path) -> int:
        """The line of a value, or of what it is in."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


def read_document(text: str) -> Document:
    """The only document of a text. Raises ValueError that names line and remedy."""
    reader = _Reader(text, lines={}, most=_MOST_IN_ALL)
    if not reader.begin():
        return Document(None)
    value = reader.value(reader.next(), ())
    reader.finish()
    return Document(value, reader.lines or {})


def iter_entries(text: str) -> Iterator[tuple[int, Any]]:
    """The entries of a list with their lines, one at a time. Raises ValueError that names line and remedy."""
    reader = _Reader(text)
    if not reader.begin():
        return
    first = reader.next()
    if not isinstance(first, yaml.SequenceStartEvent):
        raise ValueError(f"line {first.start_mark.line + 1} is not a list: write the items as - id: ...")  # noqa: TRY004
    while not isinstance(event := reader.next(), yaml.SequenceEndEvent):
        reader.values = 0
        yield event.start_mark.line + 1, reader.value(event, ())
    reader.finish()


class _Reader:
    def __init__(self, text: str, lines: dict[Path, int] | None = None, most: int = _MOST) -> None:
        self.lines, self.values, self._most = lines, 0, most
        self._anchors: dict[str, tuple[Any, int]] = {}
        try:
            self._loader = _Loader(text)
        except (yaml.YAMLError, UnicodeEncodeError) as error:
            raise self._not_yaml(error) from None

    def begin(self) -> bool:
        """Go to the first value; whether there is one."""
        self.next()
        return not isinstance(self.next(), yaml.StreamEndEvent)

    def finish(self) -> None:
        self.next()
        event = self.next()
        if not isinstance(event, yaml.StreamEndEvent):
            raise ValueError(f"line {event.start_mark.line + 1}: a second document: keep one of them")  # noqa: TRY004

    def next(self) -> Any:
        try:
            return self._loader.get_event()
        except (yaml.YAMLError, UnicodeError) as error:
            raise self._not_yaml(error) from None

    @staticmethod
    def _not_yaml(error: Exception) -> ValueError:
        if isinstance(error, yaml.YAMLError):
            return ValueError(yaml_fault(error))
        return ValueError("is not YAML; look for control characters")

    def value(self, event: Any, path: Path) -> Any:
        line = event.start_mark.line + 1
        if self.lines is not None:
            self.lines[path] = line
        self._count(line, 1)
        if len(path) > _DEEPEST:
            raise ValueError(f"line {line} is nested too deeply: write fewer levels")
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchors:
                raise ValueError(f"line {line}: *{event.anchor} refers to itself or to nothing: write the value out")
            value, size = self._anchors[event.anchor]
            self._count(line, size)
            return value
        before = self.values
        if isinstance(event, yaml.ScalarEvent):
            value = _scalar(event, line)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = []
            while not isinstance(inner := self.next(), yaml.SequenceEndEvent):
                value.append(self.value(inner, (*path, len(value))))
        else:
            value = self._mapping(path)
        if event.anchor:
            self._anchors[event.anchor] = (value, self.values - before + 1)
        return value

    def _mapping(self, path: Path) -> dict[str, Any]:
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        while not isinstance(event := self.next(), yaml.MappingEndEvent):
            line = event.start_mark.line + 1
            if not isinstance(event, yaml.ScalarEvent):
                raise ValueError(f"line {line}: a key is not a text: write a word before the colon")  # noqa: TRY004
            key = event.value
            if key in own:
                raise ValueError(f"line {line}: {key[:80]} is written twice: keep one of them")
            value = self.value(self.next(), (*path, key))
            if key == "<<" and event.implicit[0]:
                for one in value if isinstance(value, list) else [value]:
                    if not isinstance(one, dict):
                        raise ValueError(f"line {line}: << needs an object with fields")  # noqa: TRY004
                    merged = one | merged
            else:
                own[key] = value
        return merged | own

    def _count(self, line: int, size: int) -> None:
        self.values += size
        if self.values > self._most:
            raise ValueError(f"line {line}: more than {self._most:,} values in one entry: split it")


def _scalar(event: Any, line: int) -> Any:
    text = str(event.value)
    if event.tag not in (None, "!", _TEXT):
        raise ValueError(f"line {line}: the tag {event.tag[:80]} is not taken: write a text, a number or a list")
    if event.tag is not None or not event.implicit[0]:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if len(text) < 40 and _FLOAT.fullmatch(text) else text
