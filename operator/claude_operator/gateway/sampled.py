"""What a sample is made of: the tail of the client's messages, and the answer as it comes. Both are bounded."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from claude_operator.api.samples import LONGEST_PART, SampledCall

__all__ = ["AnswerTap", "Pending", "tail"]

_MOST_MESSAGES = 100
_DECODED = 8 * 1024 * 1024  # bytes of a message that is looked at: images are large, and are left out
_MEDIA = ("image", "document", "thinking", "redacted_thinking", "container_upload")
_SHORTEST = 64  # characters
_MATERIAL = 2048  # characters of what a tool was told or said: no grader sees it, and the question has to stay
_CUT = "\n[cut]\n"

_messages = msgspec.json.Decoder(list[msgspec.Raw])


class _Block(msgspec.Struct):
    type: str = ""
    name: str | None = None
    text: str | None = None
    partial_json: str | None = None
    input: msgspec.Raw = msgspec.Raw(b"")


class _BlockEvent(msgspec.Struct):
    content_block: _Block | None = None
    delta: _Block | None = None


class _Content(msgspec.Struct):
    content: list[_Block] = []


_event = msgspec.json.Decoder(_BlockEvent)
_content = msgspec.json.Decoder(_Content)
_UNREADABLE = (msgspec.MsgspecError, UnicodeError, RecursionError)


class AnswerTap:
    """Takes in an answer, from a stream's events or in one piece, up to `LONGEST_PART` bytes."""

    __slots__ = ("_calls", "_left", "_open", "_texts", "cut")

    def __init__(self) -> None:
        self.cut = False
        self._texts: list[str] = []
        self._calls: list[tuple[str, list[str]]] = []
        self._open = False  # whether the present block is a call of a tool
        self._left = LONGEST_PART

    def read_events(self, events: bytes) -> None:
        """Take in whole events of a stream."""
        for line in events.splitlines():
            if not line.startswith(b"data:") or b"content_block_" not in line:
                continue
            try:
                event = _event.decode(line[5:])
            except _UNREADABLE:
                self.cut = True
                continue
            if event.content_block is not None:
                self._begin(event.content_block)
            elif event.delta is not None:
                self._go_on(event.delta)

    def read_body(self, body: bytes | bytearray) -> None:
        """Take in an answer in one piece."""
        try:
            blocks = _content.decode(body).content
        except _UNREADABLE:
            self.cut = True
            return
        for block in blocks:
            self._begin(block)
            if self._open and block.input:
                self._add(self._calls[-1][1], bytes(block.input).decode("utf-8", "replace"))

    @property
    def text(self) -> str:
        """The text of the answer."""
        return "".join(self._texts)

    @property
    def calls(self) -> list[SampledCall]:
        """Its calls of tools."""
        return [SampledCall(name, "".join(parts)) for name, parts in self._calls]

    @property
    def size(self) -> int:
        """Bytes, about."""
        return LONGEST_PART - self._left

    def _begin(self, block: _Block) -> None:
        self._open = block.type == "tool_use"
        if self._open:
            name = (block.name or "")[:128]
            if self._takes(len(name) + 16):
                self._calls.append((name, []))
            else:
                self._open = False
        elif block.type == "text" and block.text:
            self._add(self._texts, block.text)

    def _go_on(self, delta: _Block) -> None:
        if delta.type == "text_delta" and delta.text:
            self._add(self._texts, delta.text)
        elif delta.type == "input_json_delta" and delta.partial_json and self._open:
            self._add(self._calls[-1][1], delta.partial_json)

    def _add(self, parts: list[str], text: str) -> None:
        encoded = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
        if self._takes(encoded):
            parts.append(text)
        elif self._left > 0:
            parts.append(text[: self._left // 4])
            self._left = 0

    def _takes(self, size: int) -> bool:
        if self.cut or size > self._left:
            self.cut = True
            return False
        self._left -= size
        return True


class Pending(NamedTuple):
    """A sample whose answer is still to come."""

    conversation: str
    messages: list[Any]
    size: int
    cut: bool
    tap: AnswerTap


def tail(messages: msgspec.Raw) -> tuple[list[Any], int, bool]:
    """The last messages that `LONGEST_PART` bytes hold, their size, and whether that is not all.

    What is not text loses its data, which a grader of text could not read.
    """
    raw = _messages.decode(messages)
    found: list[Any] = []
    cuts: list[bool] = []
    left = LONGEST_PART
    for message in reversed(raw[-_MOST_MESSAGES:]):
        if len(message) > _DECODED:
            if not found:
                raise ValueError("the question is larger than what is looked at")
            break
        plain = _plain(msgspec.json.decode(message), cuts)
        size = len(msgspec.json.encode(plain))
        if size > left and found:
            break
        if size > left:  # the question itself: its beginning and its end
            plain = _shortened(plain, left)
            found.append(plain)
            left -= len(msgspec.json.encode(plain))
            return found, LONGEST_PART - left, True
        found.append(plain)
        left -= size
    found.reverse()
    return found, LONGEST_PART - left, len(found) < len(raw) or bool(cuts)


def _plain(value: Any, cuts: list[bool]) -> Any:
    """A message, or a part of one, without what is no text, and without marks of the cache."""
    if isinstance(value, list):
        return [_plain(one, cuts) for one in value]
    if not isinstance(value, dict):
        return value
    if value.get("type") in _MEDIA:
        return {"type": value["type"]}
    if value.get("type") == "tool_result" and len(said := _text(value.get("content"))) > _MATERIAL:
        cuts.append(True)
        value = {**value, "content": f"{said[:_MATERIAL]}{_CUT}"}
    elif value.get("type") == "tool_use" and len(msgspec.json.encode(value.get("input"))) > _MATERIAL:
        cuts.append(True)
        value = {**value, "input": {}}
    return {key: _plain(one, cuts) for key, one in value.items() if key not in ("cache_control", "citations", "source")}


def _shortened(message: Any, most: int) -> Any:
    """A message as one text of at most `most` bytes of JSON."""
    role = message.get("role") if isinstance(message, dict) else None
    text = _text(message.get("content") if isinstance(message, dict) else None)
    half = most // 2
    while True:  # a character may be twelve bytes of JSON
        half = half // 2 + half // 4
        found = {"role": role if role == "assistant" else "user", "content": f"{text[:half]}{_CUT}{text[-half:]}"}
        if half < _SHORTEST or len(msgspec.json.encode(found)) <= most:
            return found


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(_text(one) for one in content)
    if isinstance(content, dict):
        inner = content.get("text", content.get("content"))
        return _text(inner) if inner is not None else f"[{str(content.get('type'))[:64]}]"
    return ""
