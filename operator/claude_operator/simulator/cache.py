"""The prompt cache: exact prefixes over tools, system and messages, kept for five minutes or an hour after use."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from claude_operator.core.catalogue.table import Model
from claude_operator.core.request.breakpoints import breakpoint_ttl
from claude_operator.simulator.request import Request, blocks_of, canonical
from claude_operator.simulator.tokens import block_tokens

__all__ = ["CacheLookup", "PromptCache"]

_SECONDS = {"5m": 300.0, "1h": 3600.0}
_LOOKBACK = 20  # blocks before a breakpoint at which an entry is looked for
_MAX_ENTRIES = 10_000  # entries; the ones unused for longest go first
_UNCACHED = frozenset(("thinking", "redacted_thinking"))


class _Prefix(NamedTuple):
    """The prompt up to and including one block: its hash, its tokens, and the ttl of a breakpoint there."""

    key: bytes
    tokens: int
    ttl: str | None


class _Entry(NamedTuple):
    expires: float
    seconds: float


@dataclass(slots=True)
class CacheLookup:
    """A prompt's tokens by cache state, and the entries to write once the answer begins."""

    fresh: int = 0
    read: int = 0
    written: dict[str, int] = field(default_factory=lambda: {"5m": 0, "1h": 0})
    entries: list[tuple[bytes, str]] = field(default_factory=list)

    @property
    def usage(self) -> dict[str, Any]:
        """The input fields of the API's `usage`."""
        return {
            "input_tokens": self.fresh,
            "cache_creation_input_tokens": sum(self.written.values()),
            "cache_read_input_tokens": self.read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": self.written["5m"],
                "ephemeral_1h_input_tokens": self.written["1h"],
            },
        }


class PromptCache:
    """Entries by prefix hash, all keys in one workspace. `now` is in seconds of any clock that does not go back."""

    def __init__(self, max_entries: int = _MAX_ENTRIES) -> None:
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._most = max_entries

    def __len__(self) -> int:
        return len(self._entries)

    def look_up(self, request: Request, model: Model, now: float) -> CacheLookup:
        """What the cache has of the prompt, and what to write; a used entry's ttl starts again now."""
        prefixes = list(_prefixes(request, model))
        total = prefixes[-1].tokens if prefixes else 0
        least = model.cache_min_tokens or 0
        breakpoints = [number for number, prefix in enumerate(prefixes) if prefix.ttl and prefix.tokens >= least]
        if not breakpoints:
            return CacheLookup(fresh=total)
        hit = self._find_hit(prefixes, breakpoints, now)
        read = prefixes[hit].tokens if hit >= 0 else 0
        lookup = CacheLookup(fresh=total - max(prefixes[breakpoints[-1]].tokens, read), read=read)
        done = read
        for number in breakpoints:
            prefix = prefixes[number]
            if prefix.ttl and number > hit:
                lookup.written[prefix.ttl] += prefix.tokens - done
                lookup.entries.append((prefix.key, prefix.ttl))
                done = prefix.tokens
        return lookup

    def write(self, lookup: CacheLookup, began: float) -> None:
        """Store the entries of a request; their ttl starts at the request's start."""
        for key, ttl in lookup.entries:
            self._entries[key] = _Entry(began + _SECONDS[ttl], _SECONDS[ttl])
            self._entries.move_to_end(key)
        while len(self._entries) > self._most:
            self._entries.popitem(last=False)

    def _find_hit(self, prefixes: list[_Prefix], breakpoints: list[int], now: float) -> int:
        """The last prefix that a breakpoint finds an entry for, -1 without one."""
        for number in reversed(breakpoints):
            for index in range(number, max(number - _LOOKBACK, -1), -1):
                if self._touch(prefixes[index].key, now):
                    for earlier in breakpoints:
                        if earlier < index:
                            self._touch(prefixes[earlier].key, now)
                    return index
        return -1

    def _touch(self, key: bytes, now: float) -> bool:
        entry = self._entries.get(key)
        if entry is None:
            return False
        if entry.expires <= now:
            del self._entries[key]
            return False
        self._entries[key] = _Entry(now + entry.seconds, entry.seconds)
        self._entries.move_to_end(key)
        return True


def _prefixes(request: Request, model: Model) -> Iterator[_Prefix]:
    """The prefix that ends with each block, in cache order; fields that invalidate a part are hashed before it."""
    body = request.body
    automatic = breakpoint_ttl(body.get("cache_control"))
    messages = [(message["role"], block) for message in body["messages"] for block in blocks_of(message["content"])]
    parts: list[tuple[object, list[tuple[str, dict[str, Any]]]]] = [
        (model.id, [("tool", tool) for tool in body.get("tools", [])]),
        (body.get("speed"), [("system", block) for block in blocks_of(body.get("system"))]),
        ([body.get(name) for name in ("speed", "tool_choice", "thinking", "output_config")], messages),
    ]
    blocks = [(salt if not number else None, *pair) for salt, pairs in parts for number, pair in enumerate(pairs)]
    hashed = hashlib.blake2b(model.id.encode(), digest_size=16)
    tokens = 0
    for number, (salt, role, block) in enumerate(blocks):
        if salt is not None:
            hashed.update(canonical(salt))
        plain = {key: value for key, value in block.items() if key != "cache_control"}
        hashed.update(canonical([role, plain]))
        tokens += block_tokens(block, model)
        ttl = breakpoint_ttl(block.get("cache_control"))
        if automatic and not ttl and number == len(blocks) - 1:
            ttl = automatic
        yield _Prefix(hashed.digest(), tokens, None if block.get("type") in _UNCACHED else ttl)
