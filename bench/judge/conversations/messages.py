"""The messages of simulated requests, as far as gateways read them."""

from __future__ import annotations

from functools import lru_cache

import msgspec

__all__ = ["messages", "quoting"]


def quoting(answers: int, first: str, last: str) -> msgspec.Raw:
    """The messages of a request that quotes these answers."""
    said = [first, *(f"{first}_{index}" for index in range(1, answers - 1)), last][:answers]
    turns = [
        message
        for tool in said
        for message in (
            {"role": "user", "content": "and now?"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": tool, "name": "look", "input": {}}]},
        )
    ]
    return msgspec.Raw(msgspec.json.encode([*turns, {"role": "user", "content": "and now?"}]))


@lru_cache(maxsize=1024)
def messages(answers: int) -> msgspec.Raw:
    """The messages of a request with so many answers."""
    turn = [{"role": "user", "content": "and now?"}, {"role": "assistant", "content": "this"}]
    return msgspec.Raw(msgspec.json.encode([*(turn * answers), turn[0]]))
