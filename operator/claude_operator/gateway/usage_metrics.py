"""What `GET /metrics` shows of usage: made of the usage page's counts when it is asked for, so that a call costs
nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

from claude_operator.gateway.usage_page import UsageStore

__all__ = ["UsageCollector"]

_Labels = tuple[str, ...]


class UsageCollector(Collector):
    """Tokens by surface and by prefix, calls that found less in the cache than they could have, budgets and batches."""

    def __init__(self, store: UsageStore) -> None:
        self._store = store

    def collect(self) -> Iterator[Metric]:
        """The series."""
        yield _family(
            "surface_tokens",
            "Tokens by surface and kind; input excludes the cache.",
            ("revision", "arm", "surface", "kind"),
            self._surfaces(),
        )
        prefixes, cold = self._prefixes()
        yield _family(
            "prefix_tokens",
            "Prompt tokens by prefix: input excludes the cache. The first ten of a revision that are used repeatedly.",
            ("revision", "prefix", "kind"),
            prefixes,
        )
        yield _family(
            "cold_calls",
            "Calls that read less from the cache than they could have, by cause.",
            ("revision", "surface", "cause"),
            cold,
        )
        yield from self._store.budgets.collect()

    def _surfaces(self) -> Counter[_Labels]:
        found: Counter[_Labels] = Counter()
        for row in self._store.rows():
            kinds = {
                "input": row.input,
                "output": row.output,
                "cache_read": row.cache_read,
                "cache_write_5m": row.cache_write_5m,
                "cache_write_1h": row.cache_write_1h,
            }
            for kind, tokens in kinds.items():
                found[row.revision, row.role, row.surface, kind] += tokens
        return found

    def _prefixes(self) -> tuple[Counter[_Labels], Counter[_Labels]]:
        tokens: Counter[_Labels] = Counter()
        cold: Counter[_Labels] = Counter()
        for row in self._store.prefixes.rows():
            tokens[row.revision, row.prefix, "input"] += row.input - row.read - row.written
            tokens[row.revision, row.prefix, "cache_read"] += row.read
            tokens[row.revision, row.prefix, "cache_write"] += row.written
            for one in row.cold:
                cold[row.revision, row.surface, one.cause] += one.calls
        return tokens, cold


def _family(name: str, help_text: str, labels: _Labels, values: Counter[_Labels]) -> CounterMetricFamily:
    family = CounterMetricFamily(f"claude_gateway_{name}", help_text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family
