"""The admin port: evidence for the operator, metrics for Prometheus, probes for the kubelet."""

from __future__ import annotations

import time
from collections.abc import Callable

from aiohttp import web

from claude_operator.gateway.control import Control
from claude_operator.gateway.metrics import Metrics

__all__ = ["make_admin"]


def make_admin(control: Control, metrics: Metrics, is_draining: Callable[[], bool]) -> web.Application:
    """The application of the admin port. It is not in the Service and knows no key."""
    booted = time.monotonic()

    async def evidence(_: web.Request) -> web.Response:
        document = control.ledger.document(control.generation, time.monotonic() - booted, control.error)
        return web.Response(body=document, content_type="application/json")

    async def page(_: web.Request) -> web.Response:
        return web.Response(body=metrics.page(), headers={"content-type": "text/plain; version=0.0.4; charset=utf-8"})

    async def ready(_: web.Request) -> web.Response:
        if is_draining():
            return web.Response(status=503, text="draining\n")
        if control.plan is None:
            return web.Response(status=503, text=f"no config yet: {control.error or 'none was read'}\n")
        return web.Response(text=f"serving config generation {control.generation}\n")

    async def live(_: web.Request) -> web.Response:
        return web.Response(text="alive\n")

    app = web.Application()
    app.router.add_get("/-/evidence", evidence)
    app.router.add_get("/metrics", page)
    app.router.add_get("/-/ready", ready)
    app.router.add_get("/-/live", live)
    return app
