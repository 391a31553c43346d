"""A Messages stream seen from its side: bytes go through as they are, four kinds of event are read.

Only whole events are handed on, so that a stream which breaks off inside one can still end with a well-formed
`event: error`. A client cannot use a part of an event, so nothing reaches it later than it could act on it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from claude_operator.core.request.outcomes import Outcome, Told, of_error, told

__all__ = ["Facts", "Message", "SseRelay"]

HOLD_LIMIT = 1 << 20  # bytes of one event that are held back at most


class Message(msgspec.Struct):
    """What is read of a Message: in JSON the whole answer, in a stream that of message_start."""

    model: str | None = None
    stop_reason: str | None = None
    usage: dict[str, Any] | None = None


class _Event(msgspec.Struct):
    type: str = ""
    message: Message | None = None
    delta: Message | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


_event = msgspec.json.Decoder(_Event)


class Facts:
    """What a response has told of itself so far."""

    __slots__ = ("error", "failure", "model", "stop_reason", "stopped", "usage")

    def __init__(self) -> None:
        self.model = ""
        self.usage: dict[str, Any] = {}
        self.stop_reason = ""
        self.error = ""
        self.failure: Outcome | None = None
        """What `error` makes of the call."""
        self.stopped = False

    @property
    def ended(self) -> bool:
        """Whether an answer has told its end, good or bad."""
        return self.stopped or self.failure is not None

    def fail(self, status: int, error: Told, kind: str = "") -> None:
        """Take in an error; `kind` stands in for a type that it does not tell. Its message is not kept."""
        self.error = error.type or kind
        self.failure = of_error(status, error)

    def add(self, model: str | None, stop_reason: str | None, usage: dict[str, Any] | None) -> None:
        """Take in a message or a delta: usage is cumulative, so for each field the last value that is not null."""
        self.model = model or self.model
        self.stop_reason = stop_reason or self.stop_reason
        if usage:
            self.usage.update((name, value) for name, value in usage.items() if value is not None)


class SseRelay:
    """Feed it what the upstream sends; it returns what to send on, the same bytes in the same order."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.has_content = False
        """Whether the first content_block_delta has come."""
        self._tail = b""
        self._inside = False

    def feed(self, chunk: bytes) -> bytes:
        """The bytes that may go on now: all up to the end of the last whole event."""
        data = self._tail + chunk if self._tail else chunk
        end = _end_of_events(data)
        if end == 0 and len(data) > HOLD_LIMIT:
            self._tail, self._inside = b"", True
            return data
        if end:
            self._inside = False
        ready, self._tail = (data, b"") if end == len(data) else (data[:end], data[end:])
        if ready:
            self._read(ready)
        return ready

    def finish(self) -> bytes:
        """What is left at a clean end: bytes without a blank line after them. Half an event tells nothing."""
        rest, self._tail = self._tail, b""
        if rest:
            self._read(rest, whole=False)
        return rest

    def break_off(self) -> bytes:
        """What has to stand before an event of our own; the part of an event that was held back is dropped."""
        self._tail = b""
        return b"\n\n" if self._inside else b""

    def _read(self, events: bytes, *, whole: bool = True) -> None:
        if not self.has_content:
            self.has_content = b"content_block_delta" in events
        if b"message_" not in events and b"error" not in events:
            return
        if b"\r" in events:
            events = events.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        for event in events.split(b"\n\n"):
            if b"message_" in event or b"error" in event:
                self._read_event(event, whole=whole)

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
            self._take(_event.decode(b"\n".join(data)), name.decode())
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            if whole:  # the data cannot be read, but the name says enough
                self._take(_Event(), name.decode("ascii", "replace"))

    def _take(self, event: _Event, name: str) -> None:
        match name or event.type:
            case "message_start" if event.message:
                self.facts.add(event.message.model, event.message.stop_reason, event.message.usage)
            case "message_delta":
                self.facts.add(None, event.delta.stop_reason if event.delta else None, event.usage)
            case "message_stop":
                self.facts.stopped = True
            case "error":
                self.facts.fail(200, told(event.error), "api_error")


def _end_of_events(data: bytes) -> int:
    """The place after the last blank line, 0 where there is none."""
    if data.endswith(b"\n\n"):
        return len(data)
    end = data.rfind(b"\n\n") + 2
    if b"\r" in data:
        end = max(end, data.rfind(b"\r\n\r\n") + 4 if b"\r\n\r\n" in data else 0, data.rfind(b"\r\r") + 2)
    return end if end > 1 else 0
