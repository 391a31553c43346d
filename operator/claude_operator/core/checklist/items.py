"""The fourteen items as data: what each asks for, and who decides it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from claude_operator.api.checklist import BUILT_IN

__all__ = ["BY_ID", "ITEMS", "Item"]

Decider = Literal["system", "evals", "signature"]


@dataclass(frozen=True, slots=True)
class Item:
    """One item. `system`: read from what runs; `evals`: from eval runs; `signature`: a person says so."""

    number: int
    id: str
    title: str
    decided_by: Decider


_TITLES: tuple[tuple[str, Decider], ...] = (
    ("The simplest primitive that solves it is in use, and it is solid", "signature"),
    ("Streaming, batches, stop_reason handling and request ids are in place", "system"),
    ("Model and effort were chosen by eval", "evals"),
    ("Tools are few, described and schema-checked; MCP servers are named and scoped", "system"),
    ("Caching, compaction and context clearing are live where they pay", "system"),
    ("The agent loop has limits and handles every stop_reason", "signature"),
    ("The workflow pattern was chosen for a reason", "signature"),
    ("Skills and harness were chosen", "signature"),
    ("Each workload has the right primitive and model, subagents among them", "evals"),
    ("Cost telemetry with the cache-hit ratio, and usage polling", "system"),
    ("A latency budget for each surface, tracked", "system"),
    ("An eval set has gated this very revision", "system"),
    ("Flags, a canary and a rehearsed rollback", "system"),
    ("Models are pinned and not Deprecated, and the next retirement date is known", "system"),
)

ITEMS = tuple(
    Item(number, id_, title, decided_by)
    for number, (id_, (title, decided_by)) in enumerate(zip(BUILT_IN, _TITLES, strict=True), 1)
)
BY_ID: Mapping[str, Item] = MappingProxyType({item.id: item for item in ITEMS})
