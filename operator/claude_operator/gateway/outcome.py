"""What became of a call, and what its answer says of itself."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator

import msgspec

from claude_operator.gateway.call import Call
from claude_operator.gateway.headers import WANTED_REVISION
from claude_operator.gateway.sse import Message

__all__ = ["left_with", "marks", "outcome", "place", "read_whole"]

_OVERLOAD = (429, 529)
_NOT_FOR_HEADERS = re.compile(r"[^\x21-\x7e]")


class _Error(msgspec.Struct):
    type: str = ""


class _ErrorBody(msgspec.Struct):
    error: _Error


_message = msgspec.json.Decoder(Message)
_error_body = msgspec.json.Decoder(_ErrorBody)


def outcome(status: int) -> str:
    """The outcome of an answer in one piece."""
    if status in _OVERLOAD:
        return "overload"
    return "ok" if status < 400 else "error"


def left_with(call: Call) -> str:
    """The outcome of a call whose client is gone: what the upstream had told by then counts."""
    if call.facts.ended:
        return "error" if call.facts.error else "ok"
    return call.outcome if call.outcome in ("error", "overload") else "canceled"


def place(error: Exception) -> str:
    """Where an exception was raised; its text could quote the exchange."""
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames[-4:]))


def read_whole(call: Call, body: bytes) -> None:
    """Read a JSON answer's facts; one that cannot be read has none."""
    try:
        if call.status < 300:
            message = _message.decode(body)
            call.facts.add(message.model, message.stop_reason, message.usage)
        else:
            call.error = _error_body.decode(body).error.type
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return


def marks(call: Call) -> Iterator[tuple[str, str]]:
    """The response headers that say which revision answered."""
    if call.choice is not None:
        yield WANTED_REVISION, call.revision
        yield "x-claude-arm", call.role or ""
    if call.overridden:
        yield "x-claude-overridden", _NOT_FOR_HEADERS.sub("?", ",".join(call.overridden))[:4096]
