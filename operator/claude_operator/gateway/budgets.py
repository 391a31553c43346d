"""What is counted against latency budgets, exactly at each limit: a histogram's buckets end elsewhere."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence

from prometheus_client.core import CounterMetricFamily

from claude_operator.api.evidence import OTHER
from claude_operator.api.gateway import Limit, Role
from claude_operator.api.usage_latency import MOST_LATENCY_ROWS, MOST_UNBUDGETED, BatchCounts, LatencyRow
from claude_operator.gateway.batches import BatchStore
from claude_operator.gateway.call import Call
from claude_operator.gateway.headers import SURFACE
from claude_operator.gateway.live_config import LiveConfig
from claude_operator.gateway.ports import ClientRequest, UpstreamReply

__all__ = ["BudgetStore", "is_within", "kept_budgets"]

_SURFACE = re.compile(r"[a-zA-Z0-9_-]{1,63}")

_Key = tuple[str, Role, str, str, float]


class _Cell:
    """Calls of one row."""

    __slots__ = ("over", "within")

    def __init__(self) -> None:
        self.within = self.over = 0


class BudgetStore:
    """The budgets and batches of one gateway process, since boot.

    Rows of revisions that are no longer served go first where there are too many. `/metrics` is made of the rows when
    somebody asks for it, so a call costs no more than its row.
    """

    def __init__(self) -> None:
        self.passing = BatchStore()
        self._cells: dict[_Key, _Cell] = {}
        self._unbudgeted: dict[str, None] = {}

    def rows(self) -> list[LatencyRow]:
        """As `Usage.latency`."""
        return [LatencyRow(*key, cell.within, cell.over) for key, cell in self._cells.items()]

    def batches(self) -> BatchCounts | None:
        """As `Usage.batches`."""
        return self.passing.counts

    def unbudgeted(self) -> list[str]:
        """As `Usage.unbudgeted`."""
        return list(self._unbudgeted)

    def surface_of(self, live: LiveConfig, sent: str) -> str:
        """The surface that a call counts under, by what its client sends."""
        if sent in live.surfaces:
            return sent
        if live.surfaces and len(self._unbudgeted) < MOST_UNBUDGETED and _SURFACE.fullmatch(sent):
            self._unbudgeted[sent] = None
        return OTHER

    def follow(
        self, live: LiveConfig, request: ClientRequest, target: str, answer: UpstreamReply
    ) -> AsyncIterator[bytes]:
        """The chunks of an answer that passes through, unchanged; what it says of batches is noted."""
        surface = self.surface_of(live, request.headers.get(SURFACE, ""))
        return self.passing.follow(request.method, target, surface, answer)

    def record(self, call: Call, tokens: Mapping[str, int], _: float | None = None) -> None:
        """Take in an ended `POST /v1/messages` that an arm answered."""
        live, role = call.live, call.role
        if live is None or role is None:
            return
        for limit in _limits(call):
            within = is_within(call, limit, tokens)
            if within is None:
                continue
            key = (call.revision, role, call.stratum, limit.metric, limit.max)
            cell = self._cells.get(key) or self._add(key, live.arms)
            if within:
                cell.within += 1
            else:
                cell.over += 1

    def collect(self) -> Iterator[CounterMetricFamily]:
        """The counters of `/metrics`."""
        labels = ("revision", "arm", "surface", "metric", "max", "within")
        calls = CounterMetricFamily(
            "claude_gateway_budget_calls", "Calls on either side of a budget's max, in seconds.", labels=labels
        )
        for (revision, role, surface, metric, most), cell in self._cells.items():
            row = revision, role, surface, metric, f"{most:g}"
            calls.add_metric((*row, "true"), cell.within)
            calls.add_metric((*row, "false"), cell.over)
        yield calls
        yield from self.passing.collect()

    def _add(self, key: _Key, served: Iterable[str]) -> _Cell:
        if len(self._cells) >= MOST_LATENCY_ROWS:
            del self._cells[next((one for one in self._cells if one[0] not in served), next(iter(self._cells)))]
        cell = self._cells[key] = _Cell()
        return cell


def kept_budgets(call: Call, tokens: Mapping[str, int]) -> bool | None:
    """Whether a call came in time for every budget of its surface; None where that cannot be said of any."""
    found = [is_within(call, limit, tokens) for limit in _limits(call)]
    known = [one for one in found if one is not None]
    return all(known) if known else None


def _limits(call: Call) -> Sequence[Limit]:
    live = call.live
    return () if live is None or call.warms_cache else live.limits.get(call.stratum, ())


def is_within(call: Call, limit: Limit, tokens: Mapping[str, int]) -> bool | None:
    """Whether a call came in time; None where that cannot be said of it.

    One that ends before there is anything to measure, because its client leaves or it fails, is over the limit once it
    has waited longer. Who leaves early says nothing.
    """
    value: float | None
    match limit.metric:
        case "timeToFirstToken" if call.stream:
            value = call.ttft
        case "duration":
            value = call.duration if call.outcome == "ok" else None
        case "timePerOutputToken":
            pace = call.time_per_output_token(tokens["output"])
            return None if pace is None else pace <= limit.max
        case _:
            return None
    if value is None:
        return False if call.duration > limit.max else None
    return value <= limit.max
