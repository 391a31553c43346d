"""How a line looks."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from typing import Any, Literal

import orjson

__all__ = ["FORMATS", "Format", "cut_text", "make_line"]

Format = Literal["json", "text"]
FORMATS: tuple[Format, ...] = ("json", "text")

_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]")
"""What ends a line, steers a terminal or turns the direction of text: shown as \\u and four digits."""
_EMPTY: tuple[Any, ...] = (None, "", {})


def make_line(form: Format, at: dt.datetime, level: str, message: str, fields: Mapping[str, Any]) -> str:
    """One line without its end. As text it leaves out empty fields; `at` is in UTC."""
    time = at.isoformat(timespec="milliseconds")
    if form == "json":
        line = {"time": time, "level": level, "message": message}
        # A field hides none of the line's own.
        return _escaped(orjson.dumps({**line, **fields, **line}, default=_kind).decode())
    shown = " ".join(
        f"{name}={_quoted(value)}" for name, value in fields.items() if value is not False and value not in _EMPTY
    )
    return _escaped(f"{time} {level} {message} {shown}".replace("\n", " ").rstrip())


def cut_text(value: str, longest: int) -> str:
    """Cut, and without lone surrogates, which JSON cannot hold."""
    return value[:longest].encode("utf-8", "replace").decode()


def _escaped(line: str) -> str:
    """A line without characters that steer; most lines have none."""
    if line.isascii() and line.isprintable():
        return line
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", line)


def _quoted(value: Any) -> Any:
    """Text that could be taken for several fields in quotes, anything else as it is."""
    if isinstance(value, str) and ("=" in value or '"' in value):
        return orjson.dumps(value).decode()
    return value


def _kind(value: object) -> str:
    """What stands for an object: its kind, since its text may quote anything."""
    return f"<{type(value).__name__}>"
