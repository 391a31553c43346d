"""Probes and metrics over HTTP: /healthz, /readyz, /metrics."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from aiohttp import web, web_response

from claude_operator.shell.metrics import CONTENT_TYPE

__all__ = ["HEALTH_PORT", "HealthServer"]

HEALTH_PORT = 8081

# The header Server, where versions would stand.
web_response.SERVER_SOFTWARE = "claude-operator"  # type: ignore[attr-defined]


class HealthServer:
    """Serves while entered, beside the loop that works: a busy process answers its probes, `check` says if it hangs.

    `check` and `unready` say in words what is stuck, and what keeps it from doing its work; None where nothing does. A
    standby that waits for the Lease is ready. `page` gives the metrics. Port 0 takes a free one, see `port`. A port
    that is taken raises `OSError`.
    """

    def __init__(
        self,
        *,
        check: Callable[[], str | None],
        unready: Callable[[], str | None],
        page: Callable[[], bytes],
        host: str = "0.0.0.0",  # noqa: S104
        port: int = HEALTH_PORT,
    ) -> None:
        self._check, self._unready, self._page = check, unready, page
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
        stuck = _result(self._check)
        return web.Response(status=500 if stuck else 200, text=f"{stuck or 'ok'}\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        why = _result(self._unready)
        return web.Response(status=503 if why else 200, text=f"{why or 'ok'}\n")

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=self._page(), headers={"Content-Type": CONTENT_TYPE})


def _result(check: Callable[[], str | None]) -> str | None:
    try:
        return check()
    except Exception as error:
        return f"the check itself failed: {type(error).__name__}"
