"""A log that is written to directly, without the standard library's loggers: a line a call costs little."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping
from typing import Any, TextIO

from claude_operator.log.line import Format, cut_text, make_line

__all__ = ["Log"]

_LONGEST = 256  # characters of what a library says


class Log:
    """Lines to a stream, each written at once."""

    def __init__(self, stream: TextIO, form: Format) -> None:
        self._stream = stream
        self._form = form

    def event(self, message: str, level: str = "info", **fields: Any) -> None:
        """Something the process did or met."""
        self.write(message, fields, level)

    def write(self, message: str, fields: Mapping[str, Any], level: str = "info") -> None:
        """The same with fields of any name."""
        line = make_line(self._form, dt.datetime.now(dt.UTC), level, message, fields)
        self._stream.write(line + "\n")
        self._stream.flush()

    def adopt(self, logger: logging.Logger) -> None:
        """Write a library's warnings in the same form."""
        logger.addHandler(_Handler(self))
        logger.setLevel(logging.WARNING)


class _Handler(logging.Handler):
    """Standard logging as lines of a Log: the kind of an exception, not its text, which may quote the exchange."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else ""
        said = cut_text(str(record.msg).partition("\n")[0], _LONGEST)  # asyncio quotes exceptions from line two on
        self._log.event(said, record.levelname.lower(), logger=record.name, exception=kind)
