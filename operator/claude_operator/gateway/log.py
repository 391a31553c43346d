"""One line a call and a few for what the process does; JSON or text. Never a prompt, an answer, a key or an e-mail."""

from __future__ import annotations

import datetime
import logging
from typing import Any, Literal, TextIO

import orjson

from claude_operator.core.request.privacy import without_emails
from claude_operator.gateway.call import Call
from claude_operator.gateway.usage import loggable

__all__ = ["Format", "Log"]

Format = Literal["json", "text"]

_LONGEST = 256  # characters of a value that a client chose


class Log:
    """Lines to a stream, each written at once."""

    def __init__(self, stream: TextIO, form: Format) -> None:
        self._stream = stream
        self._form = form

    def call(self, call: Call) -> None:
        """The line of an ended call."""
        self._write("info", "call", _call_fields(call))

    def event(self, message: str, level: str = "info", **fields: Any) -> None:
        """Something the process did or met."""
        self._write(level, message, fields)

    def adopt(self, logger: logging.Logger) -> None:
        """Write a library's warnings in the same form."""
        logger.addHandler(_Handler(self))
        logger.setLevel(logging.WARNING)

    def _write(self, level: str, message: str, fields: dict[str, Any]) -> None:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        if self._form == "json":
            line = orjson.dumps({"time": now, "level": level, "message": message, **fields}, default=str).decode()
        else:
            shown = " ".join(f"{name}={value}" for name, value in fields.items() if value not in (None, "", {}, 0))
            line = f"{now} {level} {message} {shown}".replace("\n", " ")
        self._stream.write(line + "\n")
        self._stream.flush()


class _Handler(logging.Handler):
    """Standard logging as lines of a Log: the kind of an exception, not its text, which may quote the exchange."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else ""
        said = str(record.msg).partition("\n")[0][:_LONGEST]  # asyncio quotes exceptions from the second line on
        self._log.event(said, record.levelname.lower(), logger=record.name, exception=kind)


def _call_fields(call: Call) -> dict[str, Any]:
    deployment = call.plan.config.deployment if call.plan else None
    return {
        "request_id": _short(call.request_id),
        "method": call.method,
        "path": _short(call.path),
        "status": call.status,
        "outcome": call.outcome,
        "error": _short(call.error),
        "model": _short(call.answering_model),
        "stop_reason": _short(call.facts.stop_reason),
        "stream": call.stream,
        "usage": loggable(call.facts.usage) if call.facts.usage else None,
        "latency_ms": round(call.duration * 1e3, 3),
        "ttft_ms": round(call.ttft * 1e3, 3) if call.ttft else None,
        "overhead_ms": round(call.overhead * 1e3, 3) if call.overhead else None,
        "user_id": _short(call.user_id),
        "session_id": _short(call.session_id),
        "surface": call.surface,
        "subagent": _short(call.subagent),
        "deployment": f"{deployment.namespace}/{deployment.name}" if deployment else "",
        "revision": call.revision,
        "arm": call.role or "",
        "pinned": bool(call.choice and call.choice.pinned),
        "attempt": _short(call.attempt),
        "config_generation": call.plan.config.generation if call.plan else None,
    }


def _short(value: str) -> str:
    """A client's or upstream's value, cut, without e-mail addresses and without what is not text."""
    return without_emails(value[: 2 * _LONGEST])[:_LONGEST].encode("utf-8", "replace").decode()
