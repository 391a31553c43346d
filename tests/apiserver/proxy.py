"""A way to the API server with faults: answers of 500, connections that are cut or go silent."""

from __future__ import annotations

import asyncio
import json
import random
import ssl
import threading
from pathlib import Path

import aiohttp
from aiohttp import web
from tests.apiserver.server import ApiServer
from tests.ending import end

_HOP = {"host", "content-length", "transfer-encoding", "connection", "accept-encoding"}


class Proxy:
    """While entered, passes requests on; `kubeconfig` leads through it as the administrator.

    `fail`: the share of requests that get 500 (half of them after the API server did them). `hole`: what is sent and
    answered from then on is lost, on connections that are open and on new ones.
    """

    def __init__(self, server: ApiServer, folder: Path, *, seed: int = 1) -> None:
        self.fail, self.failed, self.passed = 0.0, 0, 0
        self._server, self._random = server, random.Random(seed)
        self.kubeconfig = folder / "proxy.kubeconfig"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._open: asyncio.Event | None = None

    def __enter__(self) -> Proxy:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._begin(), self._loop).result(30)
        return self

    def __exit__(self, *_: object) -> None:
        self.fill()
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    def dig(self) -> None:
        """The hole opens."""
        assert self._open is not None
        self._loop.call_soon_threadsafe(self._open.clear)

    def fill(self) -> None:
        """What was lost stays lost: connections of that time are cut. New ones pass."""
        assert self._open is not None
        self._loop.call_soon_threadsafe(self._open.set)

    async def _begin(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        authority = ssl.create_default_context(cafile=str(self._server.folder / "ca.crt"))
        connector = aiohttp.TCPConnector(ssl=authority, limit=0)
        self._session = aiohttp.ClientSession(connector=connector, auto_decompress=False, trust_env=False)
        self._runner = web.ServerRunner(web.Server(self._pass, access_log=None), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        config = self._server.config(self._server.admin_token)
        address = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        config["clusters"][0]["cluster"] = {"server": address}
        self.kubeconfig.write_text(json.dumps(config))

    async def _end(self) -> None:
        await end(self._runner)
        passing = asyncio.all_tasks() - {asyncio.current_task()}
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)
        await self._session.close()
        await asyncio.sleep(0.2)  # connections of TLS end

    async def _pass(self, request: web.BaseRequest) -> web.StreamResponse:
        assert self._open is not None
        body = await request.read()
        await self._through(request)
        fault = "watch=true" not in request.raw_path and self._random.random() < self.fail
        if fault and self._random.random() < 0.5:
            return self._fault()
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _HOP}
        url = self._server.address + request.raw_path
        timeout = aiohttp.ClientTimeout(total=None)
        try:
            async with self._session.request(
                request.method, url, data=body or None, headers=headers, timeout=timeout
            ) as answer:
                kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
                if fault:
                    await answer.read()
                    return self._fault()
                self.passed += 1
                response = web.StreamResponse(status=answer.status, headers=kept)
                await response.prepare(request)
                async for part in answer.content.iter_any():
                    await self._through(request)
                    await response.write(part)
                await response.write_eof()
                return response
        except aiohttp.ClientError:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()

    async def _through(self, request: web.BaseRequest) -> None:
        assert self._open is not None
        if not self._open.is_set():
            await self._open.wait()
            if request.transport is not None:
                request.transport.abort()
            raise asyncio.CancelledError

    def _fault(self) -> web.Response:
        self.failed += 1
        body = {"kind": "Status", "status": "Failure", "reason": "InternalError", "message": "injected", "code": 500}
        return web.json_response(body, status=500)
