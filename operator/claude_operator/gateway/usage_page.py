"""What a gateway process has seen used and paid, cumulative since boot: the answer to `GET /-/usage`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from claude_operator.api.evidence import OTHER
from claude_operator.api.usage import MOST_MODELS, MOST_ROWS, Usage, UsageRow
from claude_operator.gateway.budgets import BudgetStore
from claude_operator.gateway.call import Call
from claude_operator.gateway.prefixes import PrefixStore

__all__ = ["UsageStore"]

_LONGEST_MODEL = 128  # characters of a model's name

Key = tuple[str, str, str, str, str]

_REST: Key = (OTHER, OTHER, OTHER, "", OTHER)


class _Sums:
    """One row while it is being filled."""

    __slots__ = ("cache_read", "calls", "cost", "input", "output", "unpriced", "write_1h", "write_5m")

    def __init__(self) -> None:
        self.calls = self.unpriced = 0
        self.input = self.output = self.cache_read = self.write_5m = self.write_1h = 0
        self.cost = 0.0

    def row(self, key: Key) -> UsageRow:
        """As it travels."""
        tokens = self.input, self.output, self.cache_read, self.write_5m, self.write_1h
        return UsageRow(*key, self.calls, self.unpriced, *tokens, self.cost)


class UsageStore:
    """Rows by revision, role, surface, subagent and answering model; none of them is ever dropped."""

    def __init__(self) -> None:
        self.prefixes = PrefixStore()
        self.budgets = BudgetStore()
        self._rows: dict[Key, _Sums] = {}
        self._models: set[str] = set()
        self.was_read = asyncio.Event()
        self._calls = 0
        self._told: int | None = None
        """How many of them the page had that was read last; None: nobody has read one."""

    @property
    def is_told(self) -> bool:
        """Whether who reads the page has all that there is; also where nobody reads it."""
        return self._told in (None, self._calls)

    def record(self, call: Call, tokens: Mapping[str, int], cost: float | None) -> None:
        """Take in an ended `POST /v1/messages` that an arm answered."""
        self._calls += 1
        sums = self._sums(call)
        sums.calls += 1
        # An answer without a readable usage costs something too.
        if cost is None and (call.summary.usage or call.outcome == "ok"):
            sums.unpriced += 1
        sums.input += tokens["input"]
        sums.output += tokens["output"]
        sums.cache_read += tokens["cacheRead"]
        sums.write_5m += tokens["cacheWrite5m"]
        sums.write_1h += tokens["cacheWrite1h"]
        sums.cost += cost or 0.0
        self.prefixes.record(call, tokens)
        self.budgets.record(call, tokens, cost)

    def rows(self) -> list[UsageRow]:
        """What calls used and cost."""
        return [sums.row(key) for key, sums in self._rows.items()]

    def document(self, boot_id: str, config_generation: int, uptime: float) -> bytes:
        """The answer to `GET /-/usage`."""
        self._told = self._calls
        self.was_read.set()
        usage = Usage(
            boot_id,
            uptime,
            config_generation,
            rows=self.rows(),
            prefixes=self.prefixes.rows(),
            latency=self.budgets.rows(),
            batches=self.budgets.batches(),
            unbudgeted=self.budgets.unbudgeted(),
        )
        return msgspec.json.encode(usage)

    def _sums(self, call: Call) -> _Sums:
        declared = call.choice is not None and call.subagent in call.choice.arm.arm.subagents
        subagent = call.subagent if declared else ""
        key = (call.revision, call.role or OTHER, call.surface, subagent, self._named(call.answering_model))
        found = self._rows.get(key)
        if found is None:
            key = key if len(self._rows) < MOST_ROWS else _REST
            found = self._rows.setdefault(key, _Sums())
        return found

    def _named(self, model: str) -> str:
        """A model to count by; an upstream that makes up ever new ones gets one name for them."""
        if model in self._models:
            return model
        if len(self._models) >= MOST_MODELS or len(model) > _LONGEST_MODEL or not model.isprintable():
            return OTHER
        self._models.add(model)
        return model
