"""Standard logging as lines of the log: for the operator, whose framework logs so."""

from __future__ import annotations

import datetime as dt
import logging
import sys
import traceback
from pathlib import PurePath
from typing import Any, TextIO

from claude_operator.log.line import Format, cut_text, make_line

__all__ = ["configure", "fields"]

_LIBRARIES = ("kopf", "kubernetes", "aiohttp", "asyncio", "client")  # client: the Kubernetes client's own logger
# What kopf says of requests that failed, of its end, and of not being in the main thread: we tell it ourselves, once.
_TOLD = ("kopf._cogs.clients", "kopf._core.reactor.orchestration", "kopf._core.reactor.running")
_MESSAGE, _VALUE, _FRAMES = 2048, 256, 8  # characters, characters, calls


def fields(**values: str | float | bool | None) -> dict[str, Any]:
    """For `extra=` of a logging call: any names, even those that a LogRecord has itself, such as `name`."""
    return {"fields": values}


def configure(form: Format, *, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send everything to `stream` (default: standard error), libraries from WARNING on."""
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise ValueError(f"no log level {level!r}: write DEBUG, INFO, WARNING or ERROR")
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(_Formatter(form))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(number)
    for library in _LIBRARIES:
        logging.getLogger(library).setLevel(max(number, logging.WARNING))
    for told in _TOLD:
        logging.getLogger(told).setLevel(logging.CRITICAL)


class _Formatter(logging.Formatter):
    def __init__(self, form: Format) -> None:
        super().__init__()
        self._form = form

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        at = dt.datetime.fromtimestamp(record.created, dt.UTC)
        more = {"logger": record.name} | _more(record) | {"logger": record.name}
        return make_line(self._form, at, record.levelname.lower(), cut_text(record.getMessage(), _MESSAGE), more)


def _more(record: logging.LogRecord) -> dict[str, Any]:
    """The fields beside the message: ours, the object that kopf speaks of, and the kind and place of an exception."""
    reference = record.__dict__.get("k8s_ref") or {}
    found = {name: reference.get(name) for name in ("kind", "namespace", "name") if reference.get(name)}
    found |= record.__dict__.get("fields") or {}
    if record.exc_info and record.exc_info[0]:
        # Not its text, which may quote a request.
        frames = traceback.extract_tb(record.exc_info[2])[-_FRAMES:]
        places = [f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
        found |= {"exception": record.exc_info[0].__name__, "trace": " > ".join(places)}
    return {name: _scalar(value, _MESSAGE if name == "trace" else _VALUE) for name, value in found.items()}


def _scalar(value: Any, longest: int) -> str | float | bool | None:
    if isinstance(value, str):
        return cut_text(value, longest)
    return value if value is None or isinstance(value, (int, float)) else f"<{type(value).__name__}>"
