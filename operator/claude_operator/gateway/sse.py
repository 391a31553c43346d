"""Relays a Messages stream: the bytes pass unchanged, and four kinds of event are read.

Only complete events are relayed, so that a stream that breaks off inside one can still end with a well-formed
`event: error`. A client cannot use part of an event, so it loses no time. A compressed stream is relayed as it comes,
and a decoded copy is read: no event of the gateway can follow its bytes.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import msgspec

from claude_operator.core.request.error_text import redact
from claude_operator.core.request.outcomes import ApiError, Outcome, of_error, read_error
from claude_operator.core.request.quotes import Answer, Block
from claude_operator.core.request.usage import merge_usage
from claude_operator.gateway.encoding import Inflater, is_plain, make_inflater
from claude_operator.gateway.sampled import AnswerTap

__all__ = ["AnswerSummary", "Message", "SseRelay", "relay_for"]

HOLD_LIMIT = 1 << 20  # bytes of one event that are held back at most


class Message(msgspec.Struct):
    """The fields that are read of a Message: of a JSON answer, or of a stream's message_start."""

    id: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    usage: dict[str, Any] | None = None
    diagnostics: Any = None


class _Event(msgspec.Struct):
    type: str = ""
    message: Message | None = None
    delta: Message | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


class _BlockEvent(msgspec.Struct):
    """A block that begins, or more of its text."""

    content_block: Block | None = None
    delta: Block | None = None


_event = msgspec.json.Decoder(_Event)
_block_event = msgspec.json.Decoder(_BlockEvent)
_PING = re.compile(rb'event: ?ping$|data: ?\{"type": ?"ping"')


class CacheMiss(NamedTuple):
    """`diagnostics.cache_miss_reason` of an answer: what differs from the request before, and its tokens."""

    type: str = ""
    tokens: int = 0

    @classmethod
    def of(cls, diagnostics: Any) -> CacheMiss:
        """As the API sent it; empty where it makes no sense."""
        reason = diagnostics.get("cache_miss_reason") if isinstance(diagnostics, dict) else None
        found = reason if isinstance(reason, dict) else {}
        kind, tokens = found.get("type"), found.get("cache_missed_input_tokens")
        return cls(kind if isinstance(kind, str) else "", tokens if isinstance(tokens, int) and tokens > 0 else 0)


class AnswerSummary:
    """What is known of an answer so far."""

    __slots__ = (
        "cache_miss",
        "code",
        "error",
        "explanation",
        "failure",
        "message_id",
        "model",
        "stop_reason",
        "stopped",
        "usage",
    )

    def __init__(self) -> None:
        self.message_id = ""
        self.model = ""
        self.usage: dict[str, Any] = {}
        self.cache_miss = CacheMiss()
        """What the API says of the prompt cache, where the client asks."""
        self.stop_reason = ""
        self.error = ""
        self.code = ""
        """`error.details.error_code`."""
        self.explanation = ""
        """The message of an error, reduced to the API's own words."""
        self.failure: Outcome | None = None
        """What `error` makes of the call."""
        self.stopped = False

    @property
    def ended(self) -> bool:
        """Whether the answer has ended, well or with an error."""
        return self.stopped or self.failure is not None

    def fail(self, status: int, error: ApiError, kind: str = "") -> None:
        """Take in an error; `kind` stands in for a missing type. Of its message only the API's own words are kept."""
        self.error = error.type or kind
        self.code = error.code
        self.failure = of_error(status, error)
        self.explanation = redact(error.message) if self.failure == "error" else ""

    def add(self, message: Message) -> None:
        """Take in a message, or what a delta changes of it."""
        self.message_id = message.id or self.message_id
        self.model = message.model or self.model
        self.stop_reason = message.stop_reason or self.stop_reason
        merge_usage(self.usage, message.usage or {})
        if message.diagnostics is not None:
            self.cache_miss = CacheMiss.of(message.diagnostics)


class SseRelay:
    """Feed it what the upstream sends; it returns what to send on, the same bytes in the same order."""

    def __init__(self, summary: AnswerSummary, answer: Answer | None = None, tap: AnswerTap | None = None) -> None:
        self.summary = summary
        self._answer, self._tap = answer, tap
        self.has_content = False
        """Whether the first content_block_delta has come."""
        self.advanced = False
        """Whether the bytes that were fed last brought more than pings and comments."""
        self.readable = True
        """Whether its events can be read."""
        self._pending = b""
        self._mid_event = False

    def feed(self, chunk: bytes) -> bytes:
        """The bytes to relay now: all up to the end of the last complete event."""
        data = self._pending + chunk if self._pending else chunk
        end = _end_of_events(data)
        self.advanced = False
        if end == 0 and len(data) > HOLD_LIMIT:
            self._mid_event = self.advanced = True
            end = len(data.rstrip(b"\r\n"))  # the line ends may be one half of a blank line
            self._pending = data[end:]
            return data[:end]
        if end:
            self._mid_event = False
        ready, self._pending = (data, b"") if end == len(data) else (data[:end], data[end:])
        if ready:
            self._read(ready)
        return ready

    def finish(self) -> bytes:
        """What is left at a clean end: bytes without a blank line after them. An incomplete event is not read."""
        rest, self._pending = self._pending, b""
        if rest:
            self._read(rest, whole=False)
        return rest

    def interrupt(self) -> bytes | None:
        """What to send before an event of the gateway, None where none can follow; pending bytes are dropped."""
        self._pending = b""
        return b"\n\n" if self._mid_event else b""

    def _read(self, events: bytes, *, whole: bool = True) -> None:
        if not self.has_content:
            self.has_content = b"content_block_delta" in events
        self.advanced = b"content_block_" in events
        if self._answer is not None and self.advanced:
            self._read_blocks(events, self._answer)
        if self._tap is not None and self.advanced:
            self._tap.read_events(events)
        if self.advanced and b"message_" not in events and b"error" not in events:
            return
        if b"\r" in events:
            events = events.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        for event in events.split(b"\n\n"):
            self.advanced = self.advanced or _is_progress(event)
            if b"message_" in event or b"error" in event:
                self._read_event(event, whole=whole)

    def _read_blocks(self, events: bytes, answer: Answer) -> None:
        """Take in what the answer says."""
        for line in events.splitlines():
            if not line.startswith(b"data:") or (b"content_block_start" not in line and b"text_delta" not in line):
                continue
            try:
                event = _block_event.decode(line[5:])
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                continue
            if event.content_block is not None:
                answer.add(event.content_block)
            if event.delta is not None and event.delta.text and event.delta.type == "text_delta":
                answer.add_text(event.delta.text)

    def _read_event(self, event: bytes, *, whole: bool) -> None:
        name, data = b"", []
        for line in event.split(b"\n"):
            if line.startswith(b"event:"):
                name = line[6:].strip()
            elif line.startswith(b"data:"):
                data.append(line[5:])
        if name and name not in (b"message_start", b"message_delta", b"message_stop", b"error"):
            return
        try:
            self._apply(_event.decode(b"\n".join(data)), name.decode())
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            if whole:  # the data cannot be read, but the name says enough
                self._apply(_Event(), name.decode("ascii", "replace"))

    def _apply(self, event: _Event, name: str) -> None:
        match name or event.type:
            case "message_start" if event.message:
                self.summary.add(event.message)
            case "message_delta":
                stop_reason = event.delta.stop_reason if event.delta else None
                self.summary.add(Message(stop_reason=stop_reason, usage=event.usage))
            case "message_stop":
                self.summary.stopped = True
            case "error":
                self.summary.fail(200, read_error(event.error), "api_error")


class CompressedRelay(SseRelay):
    """A compressed stream. Without an `inflater` its coding is not known, and nothing is read."""

    def __init__(
        self,
        summary: AnswerSummary,
        inflater: Inflater | None,
        answer: Answer | None = None,
        tap: AnswerTap | None = None,
    ) -> None:
        super().__init__(summary, answer, tap)
        self.readable = inflater is not None
        self._inflater = inflater

    def feed(self, chunk: bytes) -> bytes:
        """The same bytes."""
        advanced = not self.readable
        for piece in self._inflater.feed(chunk) if self._inflater else ():
            super().feed(piece)
            advanced = advanced or self.advanced
        self.advanced = advanced
        return chunk

    def finish(self) -> bytes:
        """Nothing is left: all went on as it came."""
        super().finish()
        return b""

    def interrupt(self) -> None:
        """No event of our own can follow."""


def relay_for(
    encoding: str, summary: AnswerSummary, answer: Answer | None = None, tap: AnswerTap | None = None
) -> SseRelay:
    """The relay for a stream with this content-encoding; `answer` and `tap` take in what it says."""
    if is_plain(encoding):
        return SseRelay(summary, answer, tap)
    return CompressedRelay(summary, make_inflater(encoding), answer, tap)


def _is_progress(event: bytes) -> bool:
    """Whether an event is neither a ping nor a comment."""
    lines = [line for line in event.split(b"\n") if line and not line.startswith(b":")]
    return bool(lines) and not any(_PING.match(line) for line in lines)


def _end_of_events(data: bytes) -> int:
    """The place after the last blank line, 0 where there is none: two line ends, each LF, CR LF or CR."""
    if data.endswith(b"\n\n"):
        return len(data)
    end = data.rfind(b"\n\n") + 2
    if b"\r" in data:
        end = max(end, data.rfind(b"\n\r") + 2, data.rfind(b"\r\r") + 2)
        end += data[end - 1 : end + 1] == b"\r\n"
    return end if end > 1 else 0
