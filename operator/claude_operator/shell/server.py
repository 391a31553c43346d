"""Probes and metrics over HTTP: /healthz, /readyz, /metrics."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from aiohttp import web

from claude_operator.shell.metrics import CONTENT_TYPE

__all__ = ["HEALTH_PORT", "HealthServer"]

HEALTH_PORT = 8081


class HealthServer:
    """Serves while entered. It runs on the operator's own event loop, so a loop that hangs answers no probe.

    `check` says in words what is stuck, or None. `ready` is true for a standby that waits for the Lease too.
    `page` gives the metrics. Port 0 takes a free one, see `port`. A port that is taken raises `OSError`.
    """

    def __init__(
        self,
        *,
        check: Callable[[], str | None],
        ready: Callable[[], bool],
        page: Callable[[], bytes],
        host: str = "0.0.0.0",  # noqa: S104
        port: int = HEALTH_PORT,
    ) -> None:
        self._check, self._ready, self._page = check, ready, page
        self._host, self.port = host, port
        app = web.Application()
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._host, self.port).start()
        except OSError as error:
            await self._runner.cleanup()
            message = f"port {self.port} for probes and metrics cannot be opened ({error.strerror}): choose another"
            raise OSError(error.errno, message) from error
        except BaseException:
            await self._runner.cleanup()
            raise
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _healthz(self, request: web.Request) -> web.Response:
        try:
            stuck = self._check()
        except Exception as error:
            stuck = f"the check itself failed: {type(error).__name__}"
        return web.Response(status=500 if stuck else 200, text=f"{stuck or 'ok'}\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        ready = self._ready()
        return web.Response(status=200 if ready else 503, text="ok\n" if ready else "starting\n")

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=self._page(), headers={"Content-Type": CONTENT_TYPE})
