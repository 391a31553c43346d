"""The outcome of a call, and what is read from its answer."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from typing import Any

import msgspec

from claude_operator.core.request.outcomes import NOT_A_MESSAGE, of_status, read_error
from claude_operator.core.request.quotes import Answer, Block
from claude_operator.gateway.call import Call
from claude_operator.gateway.encoding import is_plain, make_inflater
from claude_operator.gateway.headers import WANTED_REVISION
from claude_operator.gateway.sse import Message

__all__ = ["outcome_when_client_left", "raised_at", "read_answer", "revision_headers"]

_NOT_FOR_HEADERS = re.compile(r"[^\x21-\x7e]")
_MAX_DECODED = 64 * 1024 * 1024  # bytes of a compressed answer that are looked at


class _Answer(Message):
    """A Message, or what stands in its place."""

    type: Any = None
    error: Any = None


class _Content(msgspec.Struct):
    content: list[Block] = []


_answer = msgspec.json.Decoder(_Answer)
_content = msgspec.json.Decoder(_Content)


def outcome_when_client_left(call: Call) -> str:
    """The outcome of a call whose client has disconnected: what the upstream had sent by then counts."""
    if call.summary.failure is not None:
        return call.summary.failure
    if call.summary.stopped or call.summary.stop_reason:
        return "ok"  # the answer is complete, and paid for
    return call.outcome if call.outcome not in ("", "ok") else "canceled"


def raised_at(error: Exception) -> str:
    """Where an exception was raised; its text could quote the exchange."""
    frames = traceback.extract_tb(error.__traceback__)
    return " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames[-4:]))


def read_answer(call: Call, body: bytes | bytearray, encoding: str) -> str:
    """The outcome of an answer in one piece; what it says goes into the call."""
    summary = call.summary
    readable = _decoded(body, encoding)
    if readable is None:  # an unknown compression: only the status can be read
        return of_status(call.status)
    try:
        answer = _answer.decode(readable)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        answer = _Answer()
    good = call.status < 300 and answer.type != "error" and answer.error is None
    if good and not call.counted:
        return "ok"
    if good and (answer.type == "message" or (answer.type is None and answer.stop_reason)):
        summary.add(answer)
        if call.answer is not None:
            _take_in(call.answer, readable)
        if call.sample is not None:
            call.sample.tap.read_body(readable)
        return "ok"
    summary.fail(call.status, read_error(answer.error), "" if call.status >= 400 else NOT_A_MESSAGE)
    return summary.failure or "error"


def _take_in(answer: Answer, body: bytes | bytearray) -> None:
    """What an answer says."""
    try:
        for block in _content.decode(body).content:
            answer.add(block)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return


def _decoded(body: bytes | bytearray, encoding: str) -> bytes | bytearray | None:
    """A body without its content-encoding, None where that is not known. What cannot be undone is empty."""
    if is_plain(encoding):
        return body
    inflater = make_inflater(encoding)
    if inflater is None:
        return None
    decoded = bytearray()
    for piece in inflater.feed(body):
        decoded += piece
        if len(decoded) >= _MAX_DECODED:
            break
    return b"" if inflater.failed else decoded  # the client cannot read it either


def revision_headers(call: Call) -> Iterator[tuple[str, str]]:
    """The response headers that say which revision answered, where clients may know it, and what it changed."""
    if call.choice is not None and call.live is not None and call.live.exposes_revision:
        yield WANTED_REVISION, call.revision
        yield "x-claude-arm", call.role or ""
    if call.overridden:
        yield "x-claude-overridden", _NOT_FOR_HEADERS.sub("?", ",".join(call.overridden))[:4096]
