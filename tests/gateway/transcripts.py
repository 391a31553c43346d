"""Clients that hold a conversation, and an upstream whose every answer is another one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.gateway.harness import Gateway
from tests.gateway.upstream import MESSAGE, Playback, Recorded, json_answer, sse_answer

Blocks = list[dict[str, Any]]


@dataclass
class Talkative:
    """Answers with thinking, text or a tool use, numbered, in one piece or as a stream as it is asked."""

    number: int = 0
    failing: set[str] = field(default_factory=set)
    """Models that answer with an error."""
    words: str = "answer {number}"
    status: str = "500 X"

    async def __call__(self, request: Recorded, play: Playback) -> None:
        self.number += 1
        asked = request.json()
        if asked.get("model") in self.failing:
            kind = "invalid_request_error" if self.status.startswith("400") else "api_error"
            body = {"type": "error", "error": {"type": kind, "message": "it failed"}}
            await json_answer(body, self.status)(request, play)
            return
        if any(block["signature"] != asked["model"] for block in _thoughts(asked["messages"])):
            text = "messages.1.content.0: Invalid `signature` in `thinking` block"
            body = {"type": "error", "error": {"type": "invalid_request_error", "message": text}}
            await json_answer(body, "400 X")(request, play)
            return
        content: Blocks = [{"type": "text", "text": self.words.format(number=self.number)}]
        if asked.get("tools"):
            content.append({"type": "tool_use", "id": f"toolu_{self.number}", "name": "look", "input": {}})
        if asked.get("thinking"):
            content.insert(0, {"type": "thinking", "thinking": "hm", "signature": asked["model"]})
        if asked.get("stream"):
            await sse_answer(*events(content))(request, play)
        else:
            await json_answer({**MESSAGE, "id": f"msg_{self.number}", "content": content})(request, play)


def events(content: Blocks) -> Iterable[bytes]:
    """An answer as the events of a stream, texts in two pieces."""

    def event(kind: str, **fields: Any) -> bytes:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()

    yield event("message_start", message={**MESSAGE, "content": [], "stop_reason": None})
    for index, block in enumerate(content):
        empty = {**block, **{name: "" for name in ("text", "thinking") if name in block}}
        yield event("content_block_start", index=index, content_block=empty)
        for name in {"text", "thinking"} & set(block):
            for piece in (block[name][:3], block[name][3:]):
                yield event("content_block_delta", index=index, delta={"type": f"{name}_delta", name: piece})
        yield event("content_block_stop", index=index)
    yield event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 7})
    yield event("message_stop")


@dataclass
class Client:
    """One conversation: `say` sends it with one more message, and keeps what came back."""

    gateway: Gateway
    headers: dict[str, str] = field(default_factory=dict)
    fields: dict[str, Any] = field(default_factory=dict)
    messages: list[dict[str, Any]] = field(default_factory=list)
    keeps_thinking: bool = False
    arms: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)

    async def say(self, text: str = "Hi") -> str:
        """The arm that answered; an answer that failed is asked for again by the next call."""
        tools = [block for block in _last_blocks(self.messages) if block["type"] == "tool_use"]
        results = [{"type": "tool_result", "tool_use_id": block["id"], "content": text} for block in tools]
        asked = [*self.messages, {"role": "user", "content": results or text}]
        response, body = await self.gateway.post({"messages": asked, **self.fields}, self.headers)
        self.arms.append(response.headers.get("x-claude-arm", ""))
        self.statuses.append(response.status)
        if response.status == 200:
            content = _of_stream(body) if self.fields.get("stream") else json.loads(body)["content"]
            kept = [block for block in content if self.keeps_thinking or block["type"] != "thinking"]
            self.messages = [*asked, {"role": "assistant", "content": kept}]
        return self.arms[-1]

    async def talk(self, turns: int) -> list[str]:
        """The arms of several turns."""
        return [await self.say() for _ in range(turns)]


async def talk(clients: Iterable[Client], turns: int = 1) -> list[list[str]]:
    """What arms the clients see, all at once."""
    return list(await asyncio.gather(*(client.talk(turns) for client in clients)))


def _thoughts(messages: list[dict[str, Any]]) -> Blocks:
    """The thinking blocks that a client sends back."""
    contents = [message["content"] for message in messages if isinstance(message["content"], list)]
    return [block for content in contents for block in content if block["type"] == "thinking"]


def _last_blocks(messages: list[dict[str, Any]]) -> Blocks:
    content = messages[-1]["content"] if messages else []
    return content if isinstance(content, list) else []


def _of_stream(body: bytes) -> Blocks:
    content: Blocks = []
    for line in body.decode().splitlines():
        data = json.loads(line[5:]) if line.startswith("data:") else {}
        if data.get("type") == "content_block_start":
            content.append(data["content_block"])
        elif data.get("type") == "content_block_delta":
            for name in ("text", "thinking"):
                if name in data["delta"]:
                    content[-1][name] += data["delta"][name]
    return content
