"""The admin endpoints under /v1/organizations/, with the faults that a scenario gives them."""

from __future__ import annotations

import datetime as dt
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from aiohttp import web

from claude_operator.core.catalogue.checks.beside import key_kind
from claude_operator.simulator.admin_reports import analytics, cost_report, usage_report
from claude_operator.simulator.draws import uniform
from claude_operator.simulator.errors import of_status
from claude_operator.simulator.service import Simulator
from claude_operator.simulator.wire import PLAIN_HEADERS, Exchange, Handler, betas, close_connection, json_response

__all__ = ["Admin"]

_MOST_POLLS = 100_000
_BETA = "analytics-usage-cost-2026-08-24"
_REFUSALS = {
    "individual": "The Admin API is unavailable for individual accounts.",
    "aws": "The Usage and Cost API endpoints are not available for Claude Platform on AWS.",
}

_Report = Callable[[web.Request], dict[str, Any]]


class Admin:
    """Handlers; each request is noted with its time."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self._polls: deque[tuple[float, str, int]] = deque(maxlen=_MOST_POLLS)
        self._number = 0

    def routes(self) -> list[tuple[str, str, Handler]]:
        """Method, path and handler of each."""
        start = "/v1/organizations"
        reports: dict[str, _Report] = {
            "/usage_report/messages": lambda http: usage_report(self.simulator, http.query, betas(http)),
            "/cost_report": lambda http: cost_report(self.simulator, http.query),
            "/analytics/usage": lambda http: self._analytics(http, "usage"),
            "/analytics/cost": lambda http: self._analytics(http, "cost"),
            "/api_keys": self._api_keys,
            "/workspaces": self._workspaces,
            "/me": self._me,
        }
        return [
            *(("GET", start + path, self._report(report)) for path, report in reports.items()),
            ("GET", "/-/polls", self._show_polls),
            ("GET", "/-/book", self._show_book),
        ]

    def _report(self, report: _Report) -> Callable[[web.Request, Exchange], Awaitable[web.StreamResponse]]:
        async def handle(http: web.Request, exchange: Exchange) -> web.StreamResponse:
            now = self.simulator.clock()
            try:
                self._admit(exchange, now)
                document = report(http)
            except BaseException as error:
                self._polls.append((now, http.path, getattr(error, "status", 500)))
                raise
            if self._drawn("break") < self.simulator.scenario.source.organization.break_rate:
                self._polls.append((now, http.path, 0))
                return await self._cut(http, exchange, document)
            self._polls.append((now, http.path, 200))
            return json_response(exchange, document)

        return handle

    def _admit(self, exchange: Exchange, now: float) -> None:
        """Refuse who may not ask, and who asks too often; raises ApiError."""
        scenario = self.simulator.scenario.source.organization
        self._number += 1
        if key_kind(exchange.key) != "admin":
            raise of_status(401)
        if scenario.account in _REFUSALS:
            raise of_status(403, _REFUSALS[scenario.account])
        recent = sum(now - at < 60 for at, _, _ in self._polls)
        chance = self._drawn("fail")
        if recent >= scenario.requests_per_minute or chance < scenario.rate_limit_rate:
            error = of_status(429, "Number of requests has exceeded your rate limit. Please try again later.")
            error.headers["retry-after"] = "90"
            raise error
        if chance < scenario.rate_limit_rate + scenario.error_rate:
            raise of_status(500)

    def _drawn(self, what: str) -> float:
        return uniform(what, self.simulator.scenario.seed, str(self._number))

    async def _cut(self, http: web.Request, exchange: Exchange, document: dict[str, Any]) -> web.StreamResponse:
        """Half of the answer, and then no more."""
        body = orjson.dumps(document)
        response = web.StreamResponse(headers={**PLAIN_HEADERS, "content-length": str(len(body))})
        await response.prepare(http)
        await response.write(body[: len(body) // 2])
        exchange.fields["broken"] = True
        await close_connection(http)
        return response

    def _analytics(self, http: web.Request, kind: str) -> dict[str, Any]:
        if not self.simulator.scenario.source.organization.analytics or _BETA not in ",".join(betas(http)):
            raise of_status(404)
        return analytics(self.simulator, http.query, kind)

    def _api_keys(self, http: web.Request) -> dict[str, Any]:
        rows = [
            {
                "type": "api_key",
                "id": key.id,
                "name": f"Key {key.id[-4:]}",
                "partial_key_hint": key.hint,
                "workspace_id": key.workspace,
                "status": "active",
                "created_at": _rfc3339(key.first_used),
                "created_by": {"id": "user_01simulated", "type": "user"},
            }
            for key in sorted(self.simulator.book.keys.values(), key=lambda key: key.id)
        ]
        return _listed(http, rows)

    def _workspaces(self, http: web.Request) -> dict[str, Any]:
        rows = [
            {"type": "workspace", "id": one.id, "name": one.name, "archived_at": None}
            for one in sorted(self.simulator.scenario.source.organization.workspaces, key=lambda one: one.id)
        ]
        return _listed(http, rows)

    def _me(self, http: web.Request) -> dict[str, Any]:
        return {
            "type": "organization",
            "id": self.simulator.scenario.source.organization.id,
            "name": "Simulated organisation",
        }

    async def _show_polls(self, http: web.Request, exchange: Exchange) -> web.StreamResponse:
        """GET /-/polls: when the admin endpoints were asked, for what, and the status (0: cut off)."""
        polls = [{"at": at, "path": path, "status": status} for at, path, status in self._polls]
        return json_response(exchange, {"polls": polls})

    async def _show_book(self, http: web.Request, exchange: Exchange) -> web.StreamResponse:
        """GET /-/book: what was used and what it costs, whatever the reports know of it by now."""
        return json_response(exchange, {"entries": self.simulator.book.document()})


def _listed(http: web.Request, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """A page of a list, from `after_id` on."""
    limit = http.query.get("limit", "20")
    if not limit.isdecimal() or not 1 <= int(limit[:6]) <= 1000:
        raise of_status(400, "limit: Input should be from 1 to 1000")
    after = http.query.get("after_id")
    left = [row for row in rows if after is None or row["id"] > after]
    page = left[: int(limit)]
    ids = [row["id"] for row in page]
    return {
        "data": page,
        "has_more": len(left) > len(page),
        "first_id": ids[0] if ids else None,
        "last_id": ids[-1] if ids else None,
    }


def _rfc3339(moment: float) -> str:
    return dt.datetime.fromtimestamp(moment, dt.UTC).isoformat().replace("+00:00", "Z")
