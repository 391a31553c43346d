"""What was used and what it costs, by minute, key, model and tier: what the admin endpoints report from."""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from claude_operator.api.base import seconds
from claude_operator.core.catalogue.cost import PRIORITY
from claude_operator.core.catalogue.table import Model, Prices
from claude_operator.simulator.request import Request
from claude_operator.simulator.scenario import Organization
from claude_operator.simulator.stream import Message

__all__ = ["ApiKey", "Book", "Entry", "Group", "key_hint", "key_id", "tier_of"]

_MINUTE = 60
_MOST = 400_000  # entries; the oldest minutes go first
_MOST_KEYS = 10_000
_LONG_CONTEXT = 200_000
_TIER_TOKENS = 100_000


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that was used."""

    id: str
    hint: str
    workspace: str | None
    first_used: float


@dataclass(frozen=True, slots=True)
class Group:
    """What the reports can group by."""

    api_key_id: str
    workspace_id: str | None
    model: str
    service_tier: str
    context_window: str
    inference_geo: str
    speed: str


@dataclass(slots=True)
class Entry:
    """Sums of a minute and group that the reports know from `lands` on."""

    minute: int
    group: Group
    lands: float
    requests: int = 0
    tokens: dict[str, int] = field(default_factory=dict)
    """By the kinds of the cost report's `token_type`."""
    cents: dict[str, Decimal] = field(default_factory=dict)
    """Likewise; empty where nothing is billed, as for Priority Tier."""


class Book:
    """Entries by minute."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._minutes: dict[int, dict[tuple[Group, float], Entry]] = {}
        self._size = 0
        self._count = 0
        self.keys: dict[str, ApiKey] = {}

    def add(self, at: float, key: str, message: Message, scenario: Organization) -> None:
        """Enter an answer."""
        workspace = _workspace(key, scenario)
        self._note(key, workspace, at)
        usage = message.usage
        group = Group(
            key_id(key),
            workspace,
            message.model.id,
            str(usage["service_tier"]),
            "0-200k" if _prompt(usage) <= _LONG_CONTEXT else "200k-1M",
            str(usage["inference_geo"]),
            str(usage.get("speed", "standard")),
        )
        self._count += 1
        late = _chance(self._count) < scenario.late_rate
        lands = at + (seconds(scenario.late_by) if late else seconds(scenario.lag))
        minute = int(at // _MINUTE) * _MINUTE
        lands = -(-lands // _MINUTE) * _MINUTE
        entry = self._entry(minute, group, lands)
        entry.requests += 1
        for kind, tokens in _tokens(usage).items():
            entry.tokens[kind] = entry.tokens.get(kind, 0) + tokens
        for kind, cents in _cents(message.model, usage).items():
            entry.cents[kind] = entry.cents.get(kind, Decimal(0)) + cents

    def entries(self, start: float, end: float, now: float | None = None) -> Iterator[Entry]:
        """Entries of the minutes from `start` up to `end`: all, or those that are known at `now`."""
        for minute in range(-int(-start // _MINUTE) * _MINUTE, int(end), _MINUTE):
            for entry in self._minutes.get(minute, {}).values():
                if now is None or entry.lands <= now:
                    yield entry

    def document(self) -> list[dict[str, Any]]:
        """All entries as JSON data, whatever the reports know of them by now."""
        return [
            {
                "minute": entry.minute,
                "apiKeyID": entry.group.api_key_id,
                "workspaceID": entry.group.workspace_id,
                "model": entry.group.model,
                "serviceTier": entry.group.service_tier,
                "requests": entry.requests,
                "tokens": entry.tokens,
                "cents": {kind: f"{cents:f}" for kind, cents in entry.cents.items()},
            }
            for minute in self._minutes.values()
            for entry in minute.values()
        ]

    def _entry(self, minute: int, group: Group, lands: float) -> Entry:
        entries = self._minutes.setdefault(minute, {})
        entry = entries.get((group, lands))
        if entry is None:
            entry = entries[group, lands] = Entry(minute, group, lands)
            self._size += 1
            while self._size > self._most:
                oldest = min(self._minutes)
                self._size -= len(self._minutes.pop(oldest))
        return entry

    def _note(self, key: str, workspace: str | None, at: float) -> None:
        found = key_id(key)
        if found not in self.keys and len(self.keys) < _MOST_KEYS:
            self.keys[found] = ApiKey(found, key_hint(key), workspace, at)


def key_id(key: str) -> str:
    """The id of a key."""
    return f"apikey_01{hashlib.sha256(key.encode('utf-8', 'replace')).hexdigest()[:22]}"


def key_hint(key: str) -> str:
    """A key as the API shows it: its first 16 and last 4 characters."""
    return f"{key[:16]}...{key[-4:]}" if len(key) > 20 else f"{key[:4]}..."


def tier_of(key: str, request: Request, scenario: Organization) -> str:
    """The service tier that answers: a commitment covers the keys that the scenario names, if a request lets it."""
    if request.body.get("service_tier") == "standard_only":
        return "standard"
    return PRIORITY if _matches(key, scenario.priority_keys) else "standard"


def _workspace(key: str, scenario: Organization) -> str | None:
    return next((one.id for one in scenario.workspaces if _matches(key, one.keys)), None)


def _matches(key: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(key, pattern) for pattern in patterns)


def _chance(number: int) -> float:
    return int.from_bytes(hashlib.blake2b(str(number).encode(), digest_size=4).digest()) / 2**32


def _prompt(usage: dict[str, Any]) -> int:
    names = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
    return sum(int(usage[name]) for name in names)


def _tokens(usage: dict[str, Any]) -> dict[str, int]:
    """Tokens by the names of the cost report."""
    written = usage["cache_creation"]
    return {
        "uncached_input_tokens": int(usage["input_tokens"]),
        "cache_read_input_tokens": int(usage["cache_read_input_tokens"]),
        "cache_creation.ephemeral_5m_input_tokens": int(written["ephemeral_5m_input_tokens"]),
        "cache_creation.ephemeral_1h_input_tokens": int(written["ephemeral_1h_input_tokens"]),
        "output_tokens": int(usage["output_tokens"]),
    }


def _cents(model: Model, usage: dict[str, Any]) -> dict[str, Decimal]:
    """What an answer costs, exactly; nothing where it is paid by a commitment or has no price."""
    prices = model.prices
    if prices is None or usage["service_tier"] == PRIORITY:
        return {}
    if prices.above_100k and _prompt(usage) > _TIER_TOKENS:
        prices = prices.above_100k
    factor = Decimal("0.5") if usage["service_tier"] == "batch" else Decimal(1)
    factor *= Decimal("1.1") if usage["inference_geo"] == "us" else 1
    factor *= 2 if usage.get("speed") == "fast" else 1
    by_kind = _prices(prices)
    return {
        kind: tokens * Decimal(str(by_kind[kind] or 0)) * factor / 10_000  # dollars a million are cents a 10,000
        for kind, tokens in _tokens(usage).items()
        if tokens
    }


def _prices(prices: Prices) -> dict[str, float | None]:
    return {
        "uncached_input_tokens": prices.input,
        "cache_read_input_tokens": prices.cache_read,
        "cache_creation.ephemeral_5m_input_tokens": prices.cache_write_5m,
        "cache_creation.ephemeral_1h_input_tokens": prices.cache_write_1h,
        "output_tokens": prices.output,
    }
