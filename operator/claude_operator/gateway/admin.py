"""The admin port: evidence for the operator, verdicts from graders, metrics for Prometheus, probes for the kubelet."""

from __future__ import annotations

import time
from collections.abc import Callable

from aiohttp import web

from claude_operator.api.evidence import OTHER, Grade, parse_grade
from claude_operator.gateway.control import Control
from claude_operator.gateway.live_config import LiveConfig
from claude_operator.gateway.metrics import Metrics

__all__ = ["make_admin"]

_BODY_LIMIT = 4096  # bytes; a verdict takes about a hundred


def make_admin(control: Control, metrics: Metrics, is_draining: Callable[[], bool]) -> web.Application:
    """The application of the admin port. It is not in the Service and needs no key."""
    booted = time.monotonic()

    async def evidence(request: web.Request) -> web.Response:
        document = control.store.document(
            control.generation,
            time.monotonic() - booted,
            control.error,
            weights=control.weights,
            since=request.query.get("since"),
            keep=request.query.get("keep") == "1",
            callers=request.query.get("callers") == "1",
        )
        return web.Response(body=document, content_type="application/json")

    async def recent(_: web.Request) -> web.Response:
        document = control.store.serving(control.generation, control.weights)
        return web.Response(body=document, content_type="application/json")

    async def cohorts(_: web.Request) -> web.Response:
        return web.Response(body=control.store.cohorts(), content_type="application/json")

    async def grades(request: web.Request) -> web.Response:
        try:
            grade = parse_grade(await request.read())
        except ValueError as error:
            return web.Response(status=400, text=f"{error}\n")
        if control.live is None:
            return web.Response(status=503, text="no config yet: send the verdict again when /-/ready answers 200\n")
        if grade.revision not in control.live.arms:
            served = " or ".join(control.live.arms) or "none"
            return web.Response(
                status=404, text=f"revision {grade.revision!r} is not being served: send verdicts for {served}\n"
            )
        _count_grade(control.live, grade)
        return web.Response(status=204)

    async def page(_: web.Request) -> web.Response:
        return web.Response(body=metrics.page(), headers={"content-type": "text/plain; version=0.0.4; charset=utf-8"})

    async def ready(_: web.Request) -> web.Response:
        if is_draining():
            return web.Response(status=503, text="draining\n")
        if control.live is None:
            return web.Response(status=503, text=f"no config yet: {control.error or 'the gateway has not read one'}\n")
        return web.Response(text=f"serving config generation {control.generation}\n")

    async def live(_: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    app = web.Application(client_max_size=_BODY_LIMIT)
    app.router.add_get("/-/evidence", evidence)
    app.router.add_get("/-/evidence/cohorts", cohorts)
    app.router.add_get("/-/recent", recent)
    app.router.add_post("/-/grades", grades)
    app.router.add_get("/metrics", page)
    app.router.add_get("/-/ready", ready)
    app.router.add_get("/-/live", live)
    return app


def _count_grade(live: LiveConfig, grade: Grade) -> None:
    """Count a verdict in the current generation, even if an earlier one answered: the judge counts by revision."""
    surface = grade.surface if grade.surface in live.surfaces else OTHER
    role = live.arms[grade.revision].arm.role
    live.evidence.counters(grade.revision, role, surface, "none").grades["pass" if grade.passed else "fail"] += 1
