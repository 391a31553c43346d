"""What the process tells: `GET /v1/history` and `GET /v1/usage`, and its probes."""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from decimal import Decimal
from typing import Any

import msgspec
from aiohttp import web

from claude_operator.api.history import OTHER_KEY, CostRow, History, Tokens, UsagePage, UsageRow
from claude_operator.core.organisation.buckets import Series, Span
from claude_operator.core.organisation.polling import COSTS, DAYS, FEEDS, HOURS, KEY_COSTS, MINUTES
from claude_operator.organisation.keeper import Keeper
from claude_operator.organisation.poller import Poller
from claude_operator.organisation.store import Store, StoreError

__all__ = ["make_app", "read_history", "read_usage"]

_DAY = 86_400
_MOST_DAYS = 366
_MOST_KEYS = 200
_COST_LATE = 6 * 3600
"""Seconds after the end of a day until its costs are taken for whole: shortly after midnight they are not."""
_WIDTHS = {"1m": (MINUTES, 1440), "1h": (HOURS, 168), "1d": (DAYS, _MOST_DAYS)}


def read_history(store: Store, now: float, days: int) -> History:
    """The history of today and `days - 1` days before it, as the store has it."""
    settings, marks = store.settings(), _ended(store.marks(), now)
    end = (int(now) // _DAY + 1) * _DAY
    start = end - days * _DAY
    hours = HOURS.complete(marks.get(HOURS.name, {}))
    usage_to = _usage_to(hours, marks)
    last = settings.get("last_poll")
    usage = _by_day(store, hours, usage_to, start, end)
    keys = _largest_keys(usage)
    return History(
        organization=settings.get("organization", ""),
        name=settings.get("name", ""),
        now=now,
        last_poll=float(last) if last else None,
        complete_from=hours.start if hours else None,
        complete_to=hours.end if hours else None,
        final_to=HOURS.final_to(marks.get(HOURS.name, {})),
        usage_to=usage_to,
        cost_to=_cost_to(marks.get(COSTS.name, {})),
        usage=_usage_rows(_fold(usage, keys)),
        costs=_cost_rows(store.costs(COSTS.name, start, end)),
        key_costs=_key_costs(store, start, end, keys) if marks.get(KEY_COSTS.name) else None,
        keys=store.keys(),
        workspaces=store.workspaces(),
    )


def read_usage(store: Store, series: Series, span: Span) -> UsagePage:
    """Usage by bucket."""
    rows = store.usage(series.name, span.start, span.end, series.width)
    return UsagePage(rows=_usage_rows(_fold(rows, _largest_keys(rows))))


def make_app(
    poller: Poller, keeper: Keeper, clock: Callable[[], float], read_reader_key: Callable[[], str | None] | None
) -> web.Application:
    """The application. Without `read_reader_key` everybody who reaches it may read."""
    handlers = _Handlers(poller, keeper, clock, read_reader_key)
    app = web.Application()
    app.router.add_get("/v1/history", handlers.history)
    app.router.add_get("/v1/usage", handlers.usage)
    app.router.add_get("/metrics", handlers.metrics)
    app.router.add_get("/-/ready", handlers.ready)
    app.router.add_get("/-/live", handlers.live)
    return app


class _Handlers:
    def __init__(
        self,
        poller: Poller,
        keeper: Keeper,
        clock: Callable[[], float],
        read_reader_key: Callable[[], str | None] | None,
    ) -> None:
        self._poller, self._keeper, self._clock, self._read_key = poller, keeper, clock, read_reader_key

    async def history(self, request: web.Request) -> web.Response:
        """GET /v1/history."""
        self._authenticate(request)
        days = _number(request, "days", 40, 1, _MOST_DAYS)
        now = self._clock()
        found = await self._read(lambda store: read_history(store, now, days))
        key = "refused" if self._poller.refusal else "accepted" if self._poller.accepted else "unknown"
        told = msgspec.structs.replace(
            found,
            key=key,
            refusal=self._poller.refusal,
            error=self._poller.error,
            last_poll=self._poller.last_poll or found.last_poll,
        )
        return _json(told)

    async def usage(self, request: web.Request) -> web.Response:
        """GET /v1/usage."""
        self._authenticate(request)
        width = request.query.get("width", "1h")
        if width not in _WIDTHS:
            raise _bad("width is not 1m, 1h or 1d; use e.g. width=1h")
        series, most = _WIDTHS[width]
        end = _number(request, "to", int(self._clock()), 0, 2**40)
        start = _number(request, "from", max(0, end - most * series.width), 0, 2**40)
        if not 0 <= end - start <= most * series.width:
            raise _bad(f"from and to are not a span of up to {most} times {width}; ask for a shorter one")
        return _json(await self._read(lambda store: read_usage(store, series, Span(start, end))))

    async def metrics(self, request: web.Request) -> web.Response:
        """GET /metrics."""
        return web.Response(
            body=self._poller.metrics.page(), headers={"content-type": "text/plain; version=0.0.4; charset=utf-8"}
        )

    async def ready(self, request: web.Request) -> web.Response:
        """GET /-/ready: a key that is refused is told in the history, and makes nothing unready."""
        return web.Response(status=503 if self._keeper.problem else 200, text=f"{self._keeper.problem or 'ok'}\n")

    async def live(self, request: web.Request) -> web.Response:
        """GET /-/live."""
        return web.Response(text="alive\n")

    async def _read(self, work: Callable[[Store], Any]) -> Any:
        try:
            return await self._keeper.use(work)
        except StoreError as error:
            raise web.HTTPServiceUnavailable(text=f"{error}\n") from error

    def _authenticate(self, request: web.Request) -> None:
        if self._read_key is None:
            return
        given = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
        wanted = self._read_key()
        if not wanted or not hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode()):
            raise web.HTTPUnauthorized(text="the reader's key is missing or wrong: send it as Authorization: Bearer\n")


def _by_day(store: Store, hours: Span | None, usage_to: int | None, start: int, end: int) -> list[tuple[Any, ...]]:
    """Each moment from one series: days that are older than the hours, hours, and minutes of what has not ended."""
    today = end - _DAY  # is in no series of days yet
    border = end if hours is None else min(max(-(-hours.start // _DAY) * _DAY, start), today)
    rows = [*store.usage(DAYS.name, start, border), *store.usage(HOURS.name, border, end)]
    if hours is not None and usage_to is not None:
        rows += store.usage(MINUTES.name, max(hours.end, border), usage_to)
    return rows


def _usage_to(hours: Span | None, marks: Mapping[str, Mapping[int, int]]) -> int | None:
    """Up to where usage is known: minutes lead on from the last hour, if none of them is missing."""
    minutes = MINUTES.complete(marks.get(MINUTES.name, {}))
    if hours is None or minutes is None or minutes.start > hours.end:
        return hours.end if hours else None
    return max(hours.end, minutes.end)


def _ended(marks: Mapping[str, Mapping[int, int]], now: float) -> dict[str, dict[int, int]]:
    """Without buckets that have not ended: a clock that was ahead for a while has left them."""
    widths = {feed.series.name: feed.series.width for feed in FEEDS if feed.series}
    return {
        name: {start: read for start, read in known.items() if start + widths.get(name, 0) <= now}
        for name, known in marks.items()
    }


def _cost_to(marks: Mapping[int, int]) -> int | None:
    """Up to where costs are known: days that were read again when their costs were whole."""
    span = COSTS.complete({start: read for start, read in marks.items() if read >= start + COSTS.width + _COST_LATE})
    return span.end if span else None


def _largest_keys(rows: Sequence[tuple[Any, ...]]) -> set[str]:
    """Those that are told one by one."""
    sizes: Counter[str] = Counter()
    for row in rows:
        sizes[row[1]] += sum(row[5:10])
    return {key for key, _ in sizes.most_common(_MOST_KEYS)}


def _key_costs(store: Store, start: int, end: int, largest: Set[str]) -> list[CostRow]:
    """By API key, of the largest by themselves: there may be thousands, and readers take so much and no more."""
    folded: dict[tuple[int, str, str, str], Decimal] = {}
    for (begun, workspace, model, key), cents in store.costs(KEY_COSTS.name, start, end).items():
        group = (begun, workspace, model, key if key in largest else OTHER_KEY)
        folded[group] = folded.get(group, Decimal(0)) + cents
    return _cost_rows(folded)


def _fold(rows: Sequence[tuple[Any, ...]], largest: Set[str]) -> list[tuple[Any, ...]]:
    """One row a group, of the largest keys by themselves, and of the others together."""
    folded: dict[tuple[Any, ...], list[int]] = {}
    for row in rows:
        group = (row[0], row[1] if row[1] in largest else OTHER_KEY, *row[2:5])
        counts = folded.setdefault(group, [0] * 6)
        for place, count in enumerate(row[5:]):
            counts[place] += count
    return [(*group, *counts) for group, counts in folded.items()]


def _usage_rows(rows: Sequence[tuple[Any, ...]]) -> list[UsageRow]:
    return [
        UsageRow(start=row[0], api_key=row[1], workspace=row[2], model=row[3], tier=row[4], tokens=Tokens(*row[5:]))
        for row in rows
    ]


def _cost_rows(costs: Mapping[tuple[int, str, str, str], Decimal]) -> list[CostRow]:
    return [
        CostRow(start=group[0], workspace=group[1], model=group[2], api_key=group[3], cents=f"{cents:f}")
        for group, cents in costs.items()
    ]


def _number(request: web.Request, name: str, default: int, least: int, most: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdecimal() or len(text) > 18 or not least <= int(text) <= most:
        raise _bad(f"{name} is not a whole number from {least} to {most}; use e.g. {default}")
    return int(text)


def _bad(text: str) -> web.HTTPBadRequest:
    return web.HTTPBadRequest(text=f"{text}\n")


def _json(document: msgspec.Struct) -> web.Response:
    return web.Response(body=msgspec.json.encode(document), content_type="application/json")
