"""Lines of the Job's log, JSON or text. Never a prompt, an answer or a key."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal, TextIO

import orjson

__all__ = ["Log"]


class Log:
    """Lines to a stream, each written at once."""

    def __init__(self, stream: TextIO, form: Literal["json", "text"]) -> None:
        self._stream = stream
        self._form = form

    def event(self, message: str, level: str = "info", **fields: Any) -> None:
        """Something the process did or met."""
        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        if self._form == "json":
            line = orjson.dumps({"time": now, "level": level, "message": message, **fields}, default=str).decode()
        else:
            shown = " ".join(f"{name}={value}" for name, value in fields.items() if value not in (None, ""))
            line = f"{now} {level} {message} {shown}".rstrip().replace("\n", " ")
        self._stream.write(line + "\n")
        self._stream.flush()
