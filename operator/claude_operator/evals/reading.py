"""Reads the events of a streamed answer into its blocks."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

from anthropic import AsyncStream

from claude_operator.core.request.usage import merge_usage
from claude_operator.evals.failures import Broken

__all__ = ["Reply", "read"]

_JOINED = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}


@dataclass(slots=True)
class Reply:
    """One answer of the API: its blocks as they can be sent back, and its metadata. Times are in seconds."""

    blocks: list[dict[str, Any]] = field(default_factory=list)
    stop_reason: str = ""
    model: str = ""
    usage: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    first_token_seconds: float | None = None

    @property
    def text(self) -> str:
        """Its text blocks joined."""
        return "".join(block.get("text") or "" for block in self.blocks if block.get("type") == "text")


async def read(stream: AsyncStream[Any], began: float) -> Reply:
    """Join an answer's events; usage is cumulative, so the last value of each field that is not null counts.

    `began` is the reading of `time.perf_counter` when the question was sent. Raises Broken.
    """
    reply, inputs = Reply(), dict[int, list[str]]()
    try:
        async for event in stream:
            if event.get("type") == "message_stop":
                reply.seconds = time.perf_counter() - began
                return _finished(reply, inputs)
            if event.get("type") == "content_block_delta" and reply.first_token_seconds is None:
                reply.first_token_seconds = time.perf_counter() - began
            _add(reply, inputs, event)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise Broken("an event of the answer is not one of the Claude API") from error
    raise Broken("the answer ended without message_stop")


def _add(reply: Reply, inputs: dict[int, list[str]], event: dict[str, Any]) -> None:
    match event.get("type"):
        case "message_start":
            message = event["message"]
            reply.model = str(message.get("model") or "")
            merge_usage(reply.usage, message.get("usage") or {})
        case "content_block_start":
            reply.blocks.append(dict(event["content_block"]))
        case "content_block_delta":
            delta = event["delta"]
            if name := _JOINED.get(delta.get("type")):
                block = reply.blocks[-1]
                block[name] = (block.get(name) or "") + delta[name]
            elif delta.get("type") == "input_json_delta":
                inputs.setdefault(len(reply.blocks) - 1, []).append(delta["partial_json"])
            elif delta.get("type") == "citations_delta":
                block = reply.blocks[-1]
                block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
        case "message_delta":
            reply.stop_reason = event["delta"].get("stop_reason") or reply.stop_reason
            merge_usage(reply.usage, event.get("usage") or {})
        case _:
            pass


def _finished(reply: Reply, inputs: dict[int, list[str]]) -> Reply:
    """With the inputs of tools decoded; one that was cut off stays as it began."""
    for index, parts in inputs.items():
        try:
            reply.blocks[index]["input"] = json.loads("".join(parts) or "{}")
        except (ValueError, RecursionError):
            continue
    return reply
