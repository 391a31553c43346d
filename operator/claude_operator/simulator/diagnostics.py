"""Cache diagnostics: a request is compared with the one whose answer it names, and told where the two part."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Any, NamedTuple

from claude_operator.core.catalogue.table import Model
from claude_operator.simulator.request import Request, blocks_of, canonical
from claude_operator.simulator.tokens import block_tokens

__all__ = ["Diagnostics"]

_MOST = 10_000  # requests that are kept


class _Fingerprint(NamedTuple):
    """Hashes of what the cache has in this order, and the tokens from each part on."""

    model: str
    tools: bytes
    system: bytes
    messages: tuple[bytes, ...]
    tokens: tuple[int, int, int]
    """Of tools, of system, of messages."""


class Diagnostics:
    """The requests that asked for diagnostics, by the id of their answer."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, _Fingerprint] = OrderedDict()

    def compare(self, request: Request, model: Model, message_id: str) -> dict[str, Any] | None:
        """The answer's `diagnostics`: None where the request did not ask, or where nothing differs."""
        asked = request.body.get("diagnostics")
        if asked is None:
            return None
        now = self._kept[message_id] = _fingerprint(request, model)
        if len(self._kept) > _MOST:
            self._kept.popitem(last=False)
        name = asked.get("previous_message_id")
        if name is None:
            return None
        before = self._kept.get(name)
        if before is None:
            return {"cache_miss_reason": {"type": "previous_message_not_found"}}
        kind, missed = _difference(before, now)
        return {"cache_miss_reason": {"type": kind, "cache_missed_input_tokens": missed}} if kind else None


def _difference(before: _Fingerprint, now: _Fingerprint) -> tuple[str, int]:
    """What differs first, empty for nothing, and the tokens from there on."""
    tools, system, messages = now.tokens
    if before.model != now.model:
        return "model_changed", tools + system + messages
    if before.tools != now.tools:
        return "tools_changed", tools + system + messages
    if before.system != now.system:
        return "system_changed", system + messages
    if before.messages != now.messages[: len(before.messages)]:
        return "messages_changed", messages
    return "", 0


def _fingerprint(request: Request, model: Model) -> _Fingerprint:
    body = request.body
    tools, system = body.get("tools", []), blocks_of(body.get("system"))
    messages = [(message["role"], block) for message in body["messages"] for block in blocks_of(message["content"])]
    tokens = [sum(block_tokens(block, model) for block in blocks) for blocks in (tools, system)]
    return _Fingerprint(
        model.id,
        _digest(list(map(_plain, tools))),
        _digest(list(map(_plain, system))),
        tuple(_digest([role, _plain(block)]) for role, block in messages),
        (tokens[0], tokens[1], sum(block_tokens(block, model) for _, block in messages)),
    )


def _plain(block: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in block.items() if name != "cache_control"}


def _digest(value: Any) -> bytes:
    return hashlib.blake2b(canonical(value), digest_size=8).digest()
