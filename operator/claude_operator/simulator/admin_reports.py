"""The reports of the admin endpoints: what is asked, and the buckets and rows of the answer."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson
from multidict import MultiMapping

from claude_operator.api.base import seconds
from claude_operator.simulator.admin_book import Entry
from claude_operator.simulator.errors import of_status
from claude_operator.simulator.service import Simulator

__all__ = ["analytics", "cost_report", "usage_report"]

_DAY = 86_400
_WIDTHS = {"1m": (60, 60, 1440), "1h": (3600, 24, 168), "1d": (_DAY, 7, 31)}  # seconds, default and most buckets
_USAGE_GROUPS = frozenset(
    (
        "account_id",
        "api_key_id",
        "context_window",
        "inference_geo",
        "model",
        "service_account_id",
        "service_tier",
        "speed",
        "workspace_id",
    )
)
_COST_GROUPS = frozenset(("description", "workspace_id"))
_ANALYTICS_GROUPS = _USAGE_GROUPS - {"account_id", "service_account_id"}
_COST_KINDS = frozenset(("cost_type", "token_type"))
_FAST_MODE = "fast-mode-2026-02-01"
_SPAN = 31 * _DAY


@dataclass(frozen=True, slots=True)
class _Asked:
    start: int
    end: int
    width: int
    limit: int
    groups: frozenset[str]
    place: int
    """Where the page begins: the start of its first bucket, or the number of its first row."""


def usage_report(simulator: Simulator, query: MultiMapping[str], betas: Iterable[str]) -> dict[str, Any]:
    """`usage_report/messages`: whole buckets that have ended; raises ApiError."""
    asked = _asked(simulator, query, _USAGE_GROUPS, "1d")
    beta = _FAST_MODE in ",".join(betas)
    if beta and not simulator.scenario.source.organization.fast_mode:
        raise of_status(400, f"Unexpected value(s) `{_FAST_MODE}` for the `anthropic-beta` header.")
    if "speed" in asked.groups and not beta:
        raise of_status(400, f"group_by: speed needs the beta {_FAST_MODE}")
    visible = simulator.clock() - seconds(simulator.scenario.source.organization.lag)
    return _buckets(simulator, asked, visible, _usage_results)


def cost_report(simulator: Simulator, query: MultiMapping[str]) -> dict[str, Any]:
    """`cost_report`: days that have ended; raises ApiError."""
    if query.get("bucket_width", "1d") != "1d":
        raise of_status(400, "bucket_width: Input should be '1d'")
    asked = _asked(simulator, query, _COST_GROUPS, "1d")
    visible = simulator.clock() - seconds(simulator.scenario.source.organization.lag)
    return _buckets(simulator, asked, visible, _cost_results)


def analytics(simulator: Simulator, query: MultiMapping[str], kind: str) -> dict[str, Any]:
    """`analytics/usage` and `analytics/cost`: rows, in pages that may end within a bucket; raises ApiError."""
    own = _ANALYTICS_GROUPS | (_COST_KINDS if kind == "cost" else frozenset())
    if "time_bucket_width" not in query or "ending_at" not in query:
        raise of_status(400, "time_bucket_width: this simulator wants it, and ending_at")
    asked = _asked(simulator, query, own, "", most=1000)
    if len(asked.groups - _COST_KINDS) > 5:
        raise of_status(400, "group_by: List should have at most 5 items")
    if asked.end - asked.start > _SPAN:
        raise of_status(400, "ending_at: the range is longer than 31 days")
    now = simulator.clock()
    refreshed = int((now - seconds(simulator.scenario.source.organization.analytics_lag)) // 3600) * 3600
    rows: list[dict[str, Any]] = []
    for start in range(asked.start, min(asked.end, refreshed), asked.width):
        entries = [one for one in simulator.book.entries(start, start + asked.width, now) if one.minute < refreshed]
        rows += _analytics_rows(entries, start, asked, kind)
    page = rows[asked.place : asked.place + asked.limit]
    following = asked.place + len(page)
    more = following < len(rows)
    return {
        "data": page,
        "has_more": more,
        "next_page": _cursor(following, now) if more else None,
        "data_refreshed_at": _rfc3339(refreshed),
    }


def _asked(simulator: Simulator, query: MultiMapping[str], groups: frozenset[str], width: str, most: int = 0) -> _Asked:
    named = query.get("bucket_width", width) or query.get("time_bucket_width", "")
    if named not in _WIDTHS:
        raise of_status(400, "bucket_width: Input should be '1m', '1h' or '1d'")
    size, usual, highest = _WIDTHS[named]
    limit = _limit(query.get("limit"), 20 if most else usual, most or highest)
    limit = min(limit, simulator.scenario.source.organization.page_size)
    given = frozenset([*query.getall("group_by[]", []), *query.getall("group_by", [])])
    if given - groups:
        raise of_status(400, f"group_by: Input should be one of {', '.join(sorted(groups))}")
    if "starting_at" not in query:
        raise of_status(400, "starting_at: Field required")
    now = simulator.clock()
    start = int(_moment(query["starting_at"], "starting_at") // size) * size
    end = -int(-_moment(query["ending_at"], "ending_at") // size) * size if "ending_at" in query else int(now)
    if end < start:
        raise of_status(400, "ending_at: it must be after starting_at")
    place = 0 if most else start
    if "page" in query:
        place = _place(simulator, query["page"], gone=410 if most else 400)
    return _Asked(start, end, size, limit, given, place)


def _buckets(simulator: Simulator, asked: _Asked, visible: float, results: Any) -> dict[str, Any]:
    end = min(asked.end, int(visible // asked.width) * asked.width)
    starts = range(asked.place, end, asked.width)
    data = []
    now = simulator.clock()
    for start in starts[: asked.limit]:
        found = results(simulator.book.entries(start, start + asked.width, now), asked.groups)
        data.append({"starting_at": _rfc3339(start), "ending_at": _rfc3339(start + asked.width), "results": found})
    more = len(starts) > asked.limit
    following = _cursor(starts[asked.limit], now) if more else None
    return {"data": data, "has_more": more, "next_page": following}


def _usage_results(entries: Iterable[Entry], groups: frozenset[str]) -> list[dict[str, Any]]:
    return [
        {**_usage(found), **dict.fromkeys(_USAGE_GROUPS - {"speed"}), **key}
        for key, found in _grouped(entries, groups, lambda entry: _dimensions(entry))
    ]


def _cost_results(entries: Iterable[Entry], groups: frozenset[str]) -> list[dict[str, Any]]:
    """A row for each line of the bill, with `description`, or one for all of them."""
    sums: dict[tuple[tuple[str, Any], ...], Decimal] = {}
    for entry in entries:
        for kind, cents in entry.cents.items():
            line = _line(entry, kind) if "description" in groups else {}
            if "workspace_id" in groups:
                line["workspace_id"] = entry.group.workspace_id
            key = tuple(sorted(line.items()))
            sums[key] = sums.get(key, Decimal(0)) + cents
    names = ("description", "cost_type", "token_type", "model", "service_tier", "context_window", "inference_geo")
    empty = dict.fromkeys((*names, "workspace_id"))
    return [{"amount": f"{cents:f}", "currency": "USD", **empty, **dict(key)} for key, cents in sums.items()]


def _line(entry: Entry, kind: str) -> dict[str, Any]:
    group = entry.group
    return {
        "description": f"{group.model} Usage - {kind}",
        "cost_type": "tokens",
        "token_type": kind,
        "model": group.model,
        "service_tier": group.service_tier,
        "context_window": group.context_window,
        "inference_geo": group.inference_geo,
    }


def _analytics_rows(entries: list[Entry], start: int, asked: _Asked, kind: str) -> list[dict[str, Any]]:
    span = {"starting_at": _rfc3339(start), "ending_at": _rfc3339(start + asked.width)}
    groups = sorted(_ANALYTICS_GROUPS | (_COST_KINDS if kind == "cost" else frozenset()))
    if kind == "usage":
        return [
            {**span, "group": {**dict.fromkeys(groups), **key}, "usage": _usage(found) | _totals(found)}
            for key, found in _grouped(entries, asked.groups, _dimensions)
        ]
    sums: dict[tuple[tuple[str, Any], ...], Decimal] = {}
    for entry in entries:
        for token_type, cents in entry.cents.items():
            line = {**_dimensions(entry), "cost_type": "tokens", "token_type": token_type}
            key = tuple((name, line[name]) for name in sorted(asked.groups))
            sums[key] = sums.get(key, Decimal(0)) + cents
    return [
        {
            **span,
            "group": {**dict.fromkeys(groups), **dict(key)},
            "cost": {"amount": f"{cents:f}", "list_amount": f"{cents:f}", "currency": "USD"},
        }
        for key, cents in sums.items()
    ]


def _grouped(entries: Iterable[Entry], groups: frozenset[str], of: Any) -> list[tuple[dict[str, Any], list[Entry]]]:
    found: dict[tuple[Any, ...], list[Entry]] = {}
    names = sorted(groups)
    for entry in entries:
        dimensions = of(entry)
        found.setdefault(tuple(dimensions[name] for name in names), []).append(entry)
    return [(dict(zip(names, key, strict=True)), entries_of) for key, entries_of in found.items()]


def _dimensions(entry: Entry) -> Mapping[str, Any]:
    group = entry.group
    return {
        "account_id": None,
        "service_account_id": None,
        "api_key_id": group.api_key_id,
        "workspace_id": group.workspace_id,
        "model": group.model,
        "service_tier": group.service_tier,
        "context_window": group.context_window,
        "inference_geo": group.inference_geo,
        "speed": group.speed,
    }


def _usage(entries: list[Entry]) -> dict[str, Any]:
    def total(kind: str) -> int:
        return sum(entry.tokens.get(kind, 0) for entry in entries)

    return {
        "uncached_input_tokens": total("uncached_input_tokens"),
        "cache_creation": {
            "ephemeral_1h_input_tokens": total("cache_creation.ephemeral_1h_input_tokens"),
            "ephemeral_5m_input_tokens": total("cache_creation.ephemeral_5m_input_tokens"),
        },
        "cache_read_input_tokens": total("cache_read_input_tokens"),
        "output_tokens": total("output_tokens"),
        "server_tool_use": {"web_search_requests": 0},
    }


def _totals(entries: list[Entry]) -> dict[str, int]:
    tokens = sum(count for entry in entries for count in entry.tokens.values())
    return {"total_tokens": tokens, "requests": sum(entry.requests for entry in entries)}


def _limit(text: str | None, usual: int, most: int) -> int:
    if text is None:
        return usual
    if not text.isdecimal() or not 1 <= int(text[:6]) <= most:
        raise of_status(400, f"limit: Input should be from 1 to {most}")
    return int(text)


def _cursor(place: int, now: float) -> str:
    return f"page_{base64.urlsafe_b64encode(orjson.dumps([place, now])).decode()}"


def _place(simulator: Simulator, cursor: str, gone: int) -> int:
    try:
        place, made = orjson.loads(base64.urlsafe_b64decode(cursor.removeprefix("page_")))
        age = simulator.clock() - float(made)
        place = int(place)
    except (ValueError, TypeError) as error:
        raise of_status(400, "page: invalid page token") from error
    if age > seconds(simulator.scenario.source.organization.cursor_life):
        raise of_status(gone, "page: the page token has expired")
    return place


def _moment(text: str, name: str) -> float:
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise of_status(400, f"{name}: Input should be a valid datetime") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)).timestamp()


def _rfc3339(moment: float) -> str:
    return dt.datetime.fromtimestamp(moment, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
