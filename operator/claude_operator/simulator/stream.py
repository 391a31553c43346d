"""An answer as the API's JSON message, and as its server-sent events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from claude_operator.core.catalogue.table import Model
from claude_operator.simulator.answers import Reply
from claude_operator.simulator.errors import new_id
from claude_operator.simulator.thinking import signature
from claude_operator.simulator.tokens import split, text_tokens

__all__ = ["Message", "event"]


def event(name: str, **fields: Any) -> bytes:
    """One server-sent event, whose data carry its name as `type`."""
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps({"type": name, **fields}) + b"\n\n"


@dataclass(frozen=True, slots=True)
class Message:
    """An answer of a model, with the usage of its prompt; `usage` gives the whole."""

    id: str
    model: Model
    reply: Reply
    prompt_usage: dict[str, Any]
    thinking: str = ""
    """What it thought before it answered: a block of its own, signed."""
    diagnostics: dict[str, Any] | None = None
    """What the request is told of the cache, where it asks."""

    @property
    def output_tokens(self) -> int:
        """Of the answer and of what was thought."""
        return self.reply.output_tokens + text_tokens(self.thinking, self.model)

    @property
    def usage(self) -> dict[str, Any]:
        """The API's `usage` at the end of the answer."""
        usage = self.prompt_usage | {"output_tokens": self.output_tokens}
        if self.thinking:
            usage["output_tokens_details"] = {"thinking_tokens": text_tokens(self.thinking, self.model)}
        return usage

    @property
    def end(self) -> dict[str, Any]:
        """Why the answer ends; a refusal says so in `stop_details` too."""
        end: dict[str, Any] = {"stop_reason": self.reply.stop_reason, "stop_sequence": self.reply.stop_sequence}
        if self.reply.stop_reason == "refusal":
            end["stop_details"] = {"type": "refusal", "category": None, "explanation": None}
        return end

    @property
    def content(self) -> list[dict[str, Any]]:
        """Its blocks."""
        return [*self._thought(), *self._content()]

    def json(self) -> bytes:
        """The whole message."""
        return orjson.dumps(self._message(self.content, self.usage, self.end))

    def head(self) -> bytes:
        """The events that come with the first token; all of the thinking is among them."""
        usage = self.prompt_usage | {"output_tokens": min(1, self.output_tokens)}
        start = event("message_start", message=self._message([], usage, {"stop_reason": None, "stop_sequence": None}))
        for thought in self._thought():
            parts = ({"type": f"{name}_delta", name: thought[name]} for name in ("thinking", "signature"))
            empty = thought | {"thinking": "", "signature": ""}
            start += event("content_block_start", index=0, content_block=empty)
            start += b"".join(event("content_block_delta", index=0, delta=part) for part in parts)
            start += event("content_block_stop", index=0)
        for block in self._content(empty=True):
            start += event("content_block_start", index=self._index, content_block=block)
        return start + event("ping")

    def deltas(self, tokens: int) -> Iterator[bytes]:
        """The answer's text, this many tokens in each event."""
        for piece in split(self.reply.text, self.model, tokens):
            delta = {"type": "text_delta", "text": piece}
            if self.reply.tool:
                delta = {"type": "input_json_delta", "partial_json": piece}
            yield event("content_block_delta", index=self._index, delta=delta)

    def tail(self) -> bytes:
        """The events after the last token."""
        stop = event("content_block_stop", index=self._index) if self._content() else b""
        return stop + event("message_delta", delta=self.end, usage=self.usage) + event("message_stop")

    @property
    def _index(self) -> int:
        """Of the block that answers."""
        return 1 if self.thinking else 0

    def _thought(self) -> list[dict[str, Any]]:
        if not self.thinking:
            return []
        return [{"type": "thinking", "thinking": self.thinking, "signature": signature(self.thinking, self.model)}]

    def _message(self, content: list[dict[str, Any]], usage: dict[str, Any], end: dict[str, Any]) -> dict[str, Any]:
        who = {"id": self.id, "type": "message", "role": "assistant", "model": self.model.id}
        told = {"diagnostics": self.diagnostics} if self.diagnostics else {}
        return who | {"content": content, **end, "usage": usage, **told}

    def _content(self, *, empty: bool = False) -> list[dict[str, Any]]:
        """The one block that answers, or none where the answer is empty."""
        text = self.reply.text
        if not text:
            return []
        if not self.reply.tool:
            return [{"type": "text", "text": "" if empty else text}]
        # A truncated input is not JSON; the API then gives what it has, which is nothing here.
        whole = orjson.loads(text) if not empty and self.reply.stop_reason == "tool_use" else {}
        return [{"type": "tool_use", "id": new_id("toolu"), "name": self.reply.tool, "input": whole}]
