"""What the API is asked next, and what its answer means.

The API asks for one poll a minute, faster only for short bursts of paging. The burst is not used: whatever is read, and
however often the process restarts, there is never more than one request in 60 seconds.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import msgspec

from claude_operator.api.history import Refusal
from claude_operator.core.organisation import pages
from claude_operator.core.organisation.buckets import USAGE_DIMENSIONS, Marks, Series, Span
from claude_operator.core.text import cut

__all__ = [
    "ABSENT_WAIT",
    "COSTS",
    "DAYS",
    "FEEDS",
    "HOURS",
    "KEY_COSTS",
    "LONGEST_WAIT",
    "MINUTES",
    "ORGANIZATION",
    "PERIOD",
    "REFUSED_WAIT",
    "TOO_LARGE",
    "Answer",
    "Feed",
    "Meaning",
    "Turn",
    "choose",
    "meaning",
    "on_aws",
    "pause_after",
    "query",
    "refused",
    "smaller",
]

PERIOD = 61.0
"""Seconds from one request to the next: a second more than a minute, since one may travel faster than another."""

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
LONGEST_WAIT = 3600.0
REFUSED_WAIT = 300.0  # a person has to act
ABSENT_WAIT = 6 * 3600.0
TOO_LARGE = 413
"""Status of an answer that was given up because of its size."""
_FAST_MODE = "fast-mode-2026-02-01"  # without it the API does not group by speed
_ANALYTICS = "analytics-usage-cost-2026-08-24"
_AWS_HOSTS = (".api.aws", ".amazonaws.com", ".amazonaws.com.cn")


@dataclass(frozen=True, slots=True)
class Feed:
    """Something that the API is asked for again and again."""

    name: str
    path: str
    read: Callable[[bytes], pages.Page]
    refresh: float
    """Seconds between two readings."""
    parameters: tuple[tuple[str, str], ...] = ()
    beta: str = ""
    series: Series | None = None
    """None for lists."""
    costs: bool = False
    optional: bool = False
    """Whether an organisation may lack it: its buckets are split over pages, and replaced when all are read."""
    plain: Feed | None = None
    """The same without what a beta brings: betas end, and then the API refuses questions that name them."""


def _groups(*names: str) -> tuple[tuple[str, str], ...]:
    return tuple(("group_by[]", name) for name in names)


def _usage(width: str, series: Series, buckets: int) -> Feed:
    plain = Feed(
        series.name,
        "/v1/organizations/usage_report/messages",
        pages.usage_report,
        series.refresh,
        (
            ("bucket_width", width),
            ("limit", str(buckets)),
            *_groups(*(name for name in USAGE_DIMENSIONS if name != "speed")),
        ),
        series=series,
    )
    return replace(plain, parameters=(*plain.parameters, *_groups("speed")), beta=_FAST_MODE, plain=plain)


def _analytics(kind: str, series: Series, read: Callable[[bytes], pages.Page], *groups: str) -> Feed:
    return Feed(
        series.name,
        f"/v1/organizations/analytics/{kind}",
        read,
        _HOUR,
        (("time_bucket_width", "1d"), ("limit", "1000"), ("order_by", "time"), ("order", "asc"), *_groups(*groups)),
        beta=_ANALYTICS,
        series=series,
        costs=kind == "cost",
        optional=True,
    )


ORGANIZATION = Feed("organization", "/v1/organizations/me", pages.organization, _HOUR)
_KEYS = Feed("keys", "/v1/organizations/api_keys", pages.api_keys, _HOUR, (("limit", "1000"),))
_WORKSPACES = Feed("workspaces", "/v1/organizations/workspaces", pages.workspaces, _HOUR, (("limit", "1000"),))
_FOREVER = 1830 * _DAY  # five years

#                       name, width, settle, filled, kept, refresh, longest
HOURS = Series("usage/1h", _HOUR, 7 * _DAY, 31 * _DAY, 400 * _DAY, 300, 31 * _DAY)
DAYS = Series("usage/1d", _DAY, 31 * _DAY, 90 * _DAY, _FOREVER, 3600, 93 * _DAY)
MINUTES = Series("usage/1m", _MINUTE, 3 * _HOUR, 3 * _HOUR, 2 * _DAY, 180, _DAY)
COSTS = Series("cost/1d", _DAY, 31 * _DAY, 90 * _DAY, _FOREVER, 1800, 93 * _DAY)
KEY_COSTS = Series("analytics/cost", _DAY, 3 * _DAY, 31 * _DAY, _FOREVER, 3600, 7 * _DAY)
_ANALYTICS_USAGE = Series("analytics/usage", _DAY, 3 * _DAY, 31 * _DAY, _FOREVER, 3600, 7 * _DAY)

FEEDS = (
    ORGANIZATION,
    _KEYS,
    _usage("1h", HOURS, 168),
    Feed(
        "cost/1d",
        "/v1/organizations/cost_report",
        pages.cost_report,
        COSTS.refresh,
        (("bucket_width", "1d"), ("limit", "31"), *_groups("workspace_id", "description")),
        series=COSTS,
        costs=True,
    ),
    _usage("1d", DAYS, 31),
    _usage("1m", MINUTES, 1440),
    _WORKSPACES,
    _analytics(
        "cost", KEY_COSTS, pages.analytics_costs, "api_key_id", "workspace_id", "model", "cost_type", "token_type"
    ),
    _analytics("usage", _ANALYTICS_USAGE, pages.analytics_usage, "api_key_id", "workspace_id", "model", "service_tier"),
)
"""In the order in which they are read first."""


@dataclass(frozen=True, slots=True)
class Turn:
    """How it went with a feed."""

    asked: float | None = None
    not_before: float = 0.0
    error: str = ""


def choose(
    marks: Mapping[str, Marks], turns: Mapping[str, Turn], now: float, feeds: Sequence[Feed] = FEEDS
) -> tuple[Feed, Span | None] | None:
    """The feed whose reading is the most overdue, and the span to read; None where nothing is due."""
    found: list[tuple[float, int, Feed, Span | None]] = []
    for number, feed in enumerate(feeds):
        turn = turns.get(feed.name, Turn())
        overdue = float("inf") if turn.asked is None else (now - turn.asked) / feed.refresh
        if overdue < 0:  # the clock was set back
            overdue = 1.0
        if overdue < 1 or now < turn.not_before:
            continue
        span = feed.series.due(marks.get(feed.series.name, {}), now) if feed.series else None
        if feed.series is None or span is not None:
            found.append((-overdue, number, feed, span))
    if not found:
        return None
    _, _, feed, span = min(found, key=lambda one: one[:2])
    return feed, span


def query(feed: Feed, span: Span | None, cursor: str | None) -> list[tuple[str, str]]:
    """The parameters of a request."""
    found = list(feed.parameters)
    if span is not None:
        found += [("starting_at", _rfc3339(span.start)), ("ending_at", _rfc3339(span.end))]
    if cursor is not None:
        found.append(("page" if span is not None else "after_id", cursor))
    return found


def smaller(feed: Feed, halvings: int) -> Feed:
    """The same with pages of fewer buckets or rows: half of them for each halving, one at least."""
    parameters = [
        (name, str(max(1, int(value) >> halvings)) if name == "limit" else value) for name, value in feed.parameters
    ]
    return replace(feed, parameters=tuple(parameters))


def pause_after(failures: int, period: float = PERIOD) -> float:
    """How long to wait after so many failures, one after the other: twice as long each time, an hour at most."""
    return min(LONGEST_WAIT, period * 2.0 ** min(failures, 20))


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; status 0 where nothing did, and `problem` then says why."""

    status: int
    body: bytes = b""
    retry_after: float | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What an answer means: `ok`, `expired` (begin the pages again), `large` (the same, with smaller ones), `absent` or
    `broken` (this feed alone), `again` (the API is busy) or `refused` (the key).
    """

    kind: Literal["ok", "expired", "large", "absent", "broken", "again", "refused"]
    delay: float = 0.0
    """Seconds before the next request, of this feed for `absent` and `broken`, of any for the rest."""
    error: str = ""
    refusal: Refusal | None = None


class _Error(msgspec.Struct):
    message: str = ""


class _Envelope(msgspec.Struct):
    error: _Error = msgspec.field(default_factory=_Error)


def meaning(answer: Answer, feed: Feed, *, paging: bool, pause: float, key: str) -> Meaning:
    """Judge an answer; `pause` is how long to wait where the API has failed and does not say."""
    said = _said(answer.body)
    quoted = f"HTTP {answer.status}" + (f": {said}" if said else "")
    if answer.status == 200:
        return Meaning("ok")
    if answer.status == 410 or (answer.status == 400 and paging):
        return Meaning("expired")
    if answer.status == TOO_LARGE:
        return Meaning("large", ABSENT_WAIT, f"{feed.path}: {answer.problem or quoted}")
    if answer.status in (401, 403) and not feed.optional:
        refusal = _refusal(said, key)
        return Meaning("refused", REFUSED_WAIT, refused(refusal, quoted), refusal)
    if answer.status in (401, 403, 404):
        return Meaning("absent", ABSENT_WAIT, f"the API does not give {feed.path} to this organisation ({quoted})")
    if 400 <= answer.status < 500 and answer.status not in (408, 409, 425, 429):
        return Meaning("broken", ABSENT_WAIT, f"the API does not accept the question for {feed.path} ({quoted})")
    delay = max(pause, answer.retry_after or 0.0)
    why = answer.problem or quoted
    return Meaning("again", min(LONGEST_WAIT, delay), f"the API did not answer {feed.path} ({why}); it is asked again")


def on_aws(host: str) -> bool:
    """Whether a host is that of Claude Platform on AWS."""
    return host.lower().rstrip(".").endswith(_AWS_HOSTS)


def refused(refusal: Refusal, quoted: str = "") -> str:
    """Why a key cannot be used, and what to do."""
    because = f" ({quoted})" if quoted else ""
    return _REFUSALS[refusal].format(because=because)


_REFUSALS: dict[Refusal, str] = {
    "NoKey": "there is no admin key: put one (sk-ant-admin…) into the Secret",
    "InvalidKey": "the API refused the key{because}: put a valid admin key (sk-ant-admin…) into the Secret",
    "WorkspaceKey": "the key is that of a workspace, which the API refused{because}: create an admin key"
    " (sk-ant-admin…) in the Console as an admin of the organisation, and put it into the Secret",
    "IndividualAccount": "the key belongs to an individual account, for which the API reports no usage{because}:"
    " set up an organisation in the Console (Settings, Organization), and use an admin key of it",
    "ClaudePlatformOnAWS": "Claude Platform on AWS has no usage and cost endpoints{because}: look at usage and cost in"
    " AWS Cost Explorer, and delete this ClaudeOrganization",
    "OtherOrganization": "the key belongs to another organisation than the stored history{because}: use a key of the"
    " organisation that was stored, or another store for the other one",
}


def _refusal(said: str, key: str) -> Refusal:
    words = said.lower()
    if "individual account" in words:
        return "IndividualAccount"
    if "on aws" in words:
        return "ClaudePlatformOnAWS"
    return "WorkspaceKey" if key.startswith("sk-ant-api") else "InvalidKey"


def _said(body: bytes) -> str:
    try:
        return cut(msgspec.json.decode(body, type=_Envelope).error.message)[:200]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""


def _rfc3339(moment: int) -> str:
    return dt.datetime.fromtimestamp(moment, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
