"""The API's answers about an organisation, read into buckets and lists.

An answer that is not in the expected form raises ValueError: nothing of it counts.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from claude_operator.api.history import KeyRow, WorkspaceRow
from claude_operator.core.organisation.buckets import COST_DIMENSIONS, USAGE_DIMENSIONS, Bucket, CostRow, UsageRow

__all__ = [
    "Organization",
    "Page",
    "analytics_costs",
    "analytics_usage",
    "api_keys",
    "cost_report",
    "merge",
    "organization",
    "usage_report",
    "workspaces",
]

_LONGEST = 256  # characters of a name
_MOST_TOKENS = 2**53
_MOST_PLACES = 30  # of a decimal: written out, an exponent may fill the memory


@dataclass(frozen=True, slots=True)
class Page:
    """One answer. `next` is the cursor of the next page, None on the last one."""

    buckets: tuple[Bucket, ...] = ()
    items: tuple[Any, ...] = ()
    next: str | None = None
    complete_to: float | None = None
    """Of analytics: what is in the buckets before this moment is known, in seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Organization:
    """The organisation that the key belongs to."""

    id: str
    name: str


class _CacheCreation(msgspec.Struct):
    ephemeral_5m_input_tokens: int = 0
    ephemeral_1h_input_tokens: int = 0


class _ServerToolUse(msgspec.Struct):
    web_search_requests: int = 0


class _Counts(msgspec.Struct):
    uncached_input_tokens: int
    output_tokens: int
    cache_read_input_tokens: int = 0
    cache_creation: _CacheCreation | None = None
    server_tool_use: _ServerToolUse | None = None


class _UsageResult(_Counts):
    api_key_id: str | None = None
    workspace_id: str | None = None
    account_id: str | None = None
    service_account_id: str | None = None
    model: str | None = None
    service_tier: str | None = None
    context_window: str | None = None
    inference_geo: str | None = None
    speed: str | None = None


class _CostResult(msgspec.Struct):
    amount: str
    currency: str = "USD"
    workspace_id: str | None = None
    description: str | None = None
    cost_type: str | None = None
    token_type: str | None = None
    model: str | None = None
    service_tier: str | None = None
    context_window: str | None = None
    inference_geo: str | None = None


class _UsageBucket(msgspec.Struct):
    starting_at: str
    results: list[_UsageResult]


class _CostBucket(msgspec.Struct):
    starting_at: str
    results: list[_CostResult]


class _Paged(msgspec.Struct):
    has_more: bool = False
    next_page: str | None = None


class _UsageReport(_Paged, kw_only=True):
    data: list[_UsageBucket]


class _CostReport(_Paged, kw_only=True):
    data: list[_CostBucket]


class _UsageAnalytics(msgspec.Struct):
    starting_at: str
    group: dict[str, str | None]
    usage: _Counts


class _Amount(msgspec.Struct):
    amount: str
    currency: str = "USD"


class _CostAnalytics(msgspec.Struct):
    starting_at: str
    group: dict[str, str | None]
    cost: _Amount


class _Analytics(_Paged, kw_only=True):
    data_refreshed_at: str | None = None


class _UsageAnalyticsPage(_Analytics, kw_only=True):
    data: list[_UsageAnalytics]


class _CostAnalyticsPage(_Analytics, kw_only=True):
    data: list[_CostAnalytics]


class _Listed(msgspec.Struct):
    id: str
    name: str | None = None
    partial_key_hint: str | None = None
    workspace_id: str | None = None
    status: str | None = None


class _List(msgspec.Struct):
    data: list[_Listed]
    has_more: bool = False
    last_id: str | None = None


class _Me(msgspec.Struct):
    id: str
    name: str = ""


def usage_report(data: bytes) -> Page:
    """An answer of `usage_report/messages`."""
    report = _read(data, _UsageReport)
    buckets = [
        Bucket(_moment(one.starting_at), _merged_usage((_dimensions(row), row) for row in one.results))
        for one in report.data
    ]
    return Page(buckets=tuple(buckets), next=_next(report))


def cost_report(data: bytes) -> Page:
    """An answer of `cost_report`."""
    report = _read(data, _CostReport)
    buckets = []
    for one in report.data:
        rows = [
            (tuple(_text(getattr(row, name, None)) for name in COST_DIMENSIONS), _cents(row)) for row in one.results
        ]
        buckets.append(Bucket(_moment(one.starting_at), _merged_costs(rows)))
    return Page(buckets=tuple(buckets), next=_next(report))


def analytics_usage(data: bytes) -> Page:
    """An answer of `analytics/usage`: rows in place of buckets, so a bucket may be split over pages."""
    page = _read(data, _UsageAnalyticsPage)
    found: dict[int, list[tuple[tuple[str, ...], _Counts]]] = {}
    for one in page.data:
        group = tuple(_text(one.group.get(name)) for name in USAGE_DIMENSIONS)
        found.setdefault(_moment(one.starting_at), []).append((group, one.usage))
    buckets = tuple(Bucket(start, _merged_usage(rows)) for start, rows in sorted(found.items()))
    return Page(buckets=buckets, next=_next(page), complete_to=_optional_moment(page.data_refreshed_at))


def analytics_costs(data: bytes) -> Page:
    """An answer of `analytics/cost`."""
    page = _read(data, _CostAnalyticsPage)
    found: dict[int, list[tuple[tuple[str, ...], Decimal]]] = {}
    for one in page.data:
        group = tuple(_text(one.group.get(name)) for name in COST_DIMENSIONS)
        found.setdefault(_moment(one.starting_at), []).append((group, _cents(one.cost)))
    buckets = tuple(Bucket(start, _merged_costs(rows)) for start, rows in sorted(found.items()))
    return Page(buckets=buckets, next=_next(page), complete_to=_optional_moment(page.data_refreshed_at))


def api_keys(data: bytes) -> Page:
    """An answer of `api_keys`."""
    page = _read(data, _List)
    rows = [
        KeyRow(
            id=_text(one.id),
            name=_text(one.name),
            hint=_text(one.partial_key_hint),
            workspace=_text(one.workspace_id),
            status=_text(one.status),
        )
        for one in page.data
    ]
    return Page(items=tuple(rows), next=page.last_id if page.has_more else None)


def workspaces(data: bytes) -> Page:
    """An answer of `workspaces`."""
    page = _read(data, _List)
    rows = [WorkspaceRow(id=_text(one.id), name=_text(one.name)) for one in page.data]
    return Page(items=tuple(rows), next=page.last_id if page.has_more else None)


def organization(data: bytes) -> Page:
    """An answer of `me`."""
    me = _read(data, _Me)
    return Page(items=(Organization(_text(me.id), _text(me.name)),))


def merge(buckets: Iterable[Bucket]) -> tuple[Bucket, ...]:
    """Parts of buckets from several pages as whole buckets."""
    found: dict[int, dict[tuple[str, ...], Any]] = {}
    for bucket in buckets:
        found.setdefault(bucket.start, {}).update((row.group, row) for row in bucket.rows)
    return tuple(Bucket(start, tuple(rows.values())) for start, rows in sorted(found.items()))


def _read(data: bytes, kind: Callable[..., Any]) -> Any:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"the API's answer is not in the expected form: {str(error)[:_LONGEST]}") from error


def _next(page: _Paged) -> str | None:
    if page.has_more and not page.next_page:
        raise ValueError("the API's answer says that there is more, and not where")
    return page.next_page if page.has_more else None


def _dimensions(row: _UsageResult) -> tuple[str, ...]:
    return tuple(_text(getattr(row, name)) for name in USAGE_DIMENSIONS)


def _merged_usage(rows: Iterable[tuple[tuple[str, ...], _Counts]]) -> tuple[UsageRow, ...]:
    """One row a group: texts that were cut may have become the same."""
    found: dict[tuple[str, ...], tuple[int, ...]] = {}
    for group, row in rows:
        counts = _counts(row)
        found[group] = tuple(a + b for a, b in zip(found.get(group, (0,) * 6), counts, strict=True))
    return tuple(UsageRow(group, (c[0], c[1], c[2], c[3], c[4], c[5])) for group, c in found.items())


def _merged_costs(rows: Iterable[tuple[tuple[str, ...], Decimal]]) -> tuple[CostRow, ...]:
    found: dict[tuple[str, ...], Decimal] = {}
    for group, cents in rows:
        found[group] = found.get(group, Decimal(0)) + cents
    return tuple(CostRow(group, cents) for group, cents in found.items())


def _counts(row: _Counts) -> tuple[int, ...]:
    written = row.cache_creation or _CacheCreation()
    tools = row.server_tool_use or _ServerToolUse()
    counts = (
        row.uncached_input_tokens,
        row.cache_read_input_tokens,
        written.ephemeral_5m_input_tokens,
        written.ephemeral_1h_input_tokens,
        row.output_tokens,
        tools.web_search_requests,
    )
    if not all(0 <= count <= _MOST_TOKENS for count in counts):
        raise ValueError("the API's answer has a number of tokens that cannot be")
    return counts


def _cents(row: _CostResult | _Amount) -> Decimal:
    if row.currency != "USD":
        raise ValueError(f"the API's answer has costs in {_text(row.currency)!r}, not in USD")
    try:
        cents = Decimal(row.amount)
    except InvalidOperation as error:
        raise ValueError("the API's answer has an amount that is not a decimal number") from error
    if not cents.is_finite() or abs(cents) > 10**15 or not -_MOST_PLACES <= int(cents.as_tuple().exponent) <= 15:
        raise ValueError("the API's answer has an amount that cannot be")
    return cents


def _text(value: str | None) -> str:
    """A name as it is stored: PostgreSQL takes no NUL."""
    return (value or "")[:_LONGEST].replace("\0", "")


def _moment(text: str) -> int:
    found = _optional_moment(text)
    if found is None:
        raise ValueError("the API's answer has a bucket without a start")
    return int(found)


def _optional_moment(text: str | None) -> float | None:
    if not text:
        return None
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError("the API's answer has a time that is not RFC 3339") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()
