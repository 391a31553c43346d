"""How a line looks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Literal

import orjson

__all__ = ["FORMATS", "Format", "cut_text", "make_line"]

Format = Literal["json", "text"]
FORMATS: tuple[Format, ...] = ("json", "text")

_EMPTY: tuple[Any, ...] = (None, "", {})


def make_line(form: Format, at: dt.datetime, level: str, message: str, fields: Mapping[str, Any]) -> str:
    """One line without its end. As text it leaves out empty fields; `at` is in UTC."""
    time = at.isoformat(timespec="milliseconds")
    if form == "json":
        line = {"time": time, "level": level, "message": message}
        return orjson.dumps({**line, **fields, **line}, default=_kind).decode()  # a field hides none of the line's own
    shown = " ".join(f"{name}={value}" for name, value in fields.items() if value is not False and value not in _EMPTY)
    return f"{time} {level} {message} {shown}".replace("\n", " ").rstrip()


def cut_text(value: str, longest: int) -> str:
    """Cut, and without lone surrogates, which JSON cannot hold."""
    return value[:longest].encode("utf-8", "replace").decode()


def _kind(value: object) -> str:
    """What stands for an object: its kind, since its text may quote anything."""
    return f"<{type(value).__name__}>"
