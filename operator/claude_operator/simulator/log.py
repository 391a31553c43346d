"""One line a request and a few for what the process does. Never a prompt, an answer or a key."""

from __future__ import annotations

import datetime
import logging
from typing import Any, Literal, TextIO

import orjson

__all__ = ["Format", "Log"]

Format = Literal["json", "text"]


class Log:
    """Lines to a stream, each written at once."""

    def __init__(self, stream: TextIO, form: Format) -> None:
        self._stream = stream
        self._form = form

    def event(self, message: str, level: str = "info", **fields: Any) -> None:
        """Something the process did or met."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        if self._form == "json":
            line = orjson.dumps({"time": now, "level": level, "message": message, **fields}, default=str).decode()
        else:
            shown = " ".join(f"{name}={value}" for name, value in fields.items() if value not in (None, "", {}))
            line = f"{now} {level} {message} {shown}".replace("\n", " ")
        self._stream.write(line + "\n")
        self._stream.flush()

    def adopt(self, logger: logging.Logger) -> None:
        """Write a library's warnings in the same form."""
        logger.addHandler(_Handler(self))
        logger.setLevel(logging.WARNING)


class _Handler(logging.Handler):
    """Standard logging as lines of a Log: the kind of an exception, not its text, which may quote the request."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else ""
        said = str(record.msg).partition("\n")[0][:256]
        self._log.event(said, record.levelname.lower(), logger=record.name, exception=kind)
