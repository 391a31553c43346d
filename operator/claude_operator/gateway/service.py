"""A gateway process from start to end: two ports, a config source, and a drain that loses no call."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from claude_operator.api.gateway import MEMORY
from claude_operator.core.spec.networks import ANYWHERE, AddressRules
from claude_operator.core.spec.site_options import FORWARD_OPTION
from claude_operator.gateway.accounting import Accounting
from claude_operator.gateway.admin import make_admin
from claude_operator.gateway.connections import ConnectionTable
from claude_operator.gateway.control import Control
from claude_operator.gateway.credentials import CredentialFiles
from claude_operator.gateway.descriptors import ADMIN_CONNECTIONS, connections_for
from claude_operator.gateway.evidence import EvidenceStore
from claude_operator.gateway.headers import UpstreamHeaders
from claude_operator.gateway.listener import Listener, Tls
from claude_operator.gateway.memory import Memory
from claude_operator.gateway.metrics import Metrics
from claude_operator.gateway.peer_client import PeerClient
from claude_operator.gateway.peer_link import Own
from claude_operator.gateway.peers import Peers
from claude_operator.gateway.proxy import Proxy
from claude_operator.gateway.server import TrackingAppRunner, TrackingServer, make_server
from claude_operator.gateway.source import Source
from claude_operator.gateway.tls import TlsFiles
from claude_operator.gateway.upstream import AiohttpUpstream
from claude_operator.gateway.usage_metrics import UsageCollector
from claude_operator.log import Log

__all__ = ["Service", "Settings"]

_SWEEP = 1.0  # seconds between two looks for heads that do not come
_TELL_SECONDS = 8.0  # seconds at the end of the drain for the operator to read what the last calls cost
_CLOSE_SECONDS = 2.0  # seconds for calls that were cut off at the end of the drain


@dataclass(frozen=True, slots=True)
class Settings:
    """Where to listen, and how long to wait at the end. Port 0 takes any free one."""

    host: str = "0.0.0.0"  # noqa: S104  (a pod's address is not known before)
    port: int = 8080
    admin_port: int = 9090
    drain_seconds: float = 30.0
    settle_seconds: float = 3.0
    """How long connections are still accepted after readiness went false, so that Endpoints can follow."""
    memory: int = MEMORY
    """Bytes that the process may take."""
    descriptors: int = 1 << 20
    """Files and sockets that it may open."""
    addresses: AddressRules = ANYWHERE
    """Where it may connect to find the upstream."""
    forwarded_headers: tuple[str, ...] = ()
    """Headers of clients that go upstream beside those of the API."""
    tls: Path | None = None
    """The folder of the certificate for clients, None for plain HTTP."""
    signed_egress: bool = False
    """It waits for a config that says where secret values may go."""
    pod: str = ""
    """The pod's name, which answers to the operator prove."""


class Service:
    """Runs until `stop` is called."""

    def __init__(
        self,
        settings: Settings,
        source: Source,
        files: CredentialFiles,
        log: Log,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.settings = settings
        self.port = 0
        self.admin_port = 0
        self.memory = Memory(settings.memory)
        self.metrics = Metrics()
        self.metrics.body_bytes.set_function(lambda: self.memory.used)
        self.control = Control(files, EvidenceStore(), self.metrics, log, signed_egress=settings.signed_egress)
        self.metrics.registry.register(UsageCollector(self.control.store.usage))
        self.draining = False
        self.started = asyncio.Event()
        self._source = source
        self._log = log
        self._clock = clock
        self.peers = self._make_peers()
        self._tls = TlsFiles(settings.tls, log) if settings.tls else None
        self.tables: list[ConnectionTable] = []
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """Begin to drain."""
        self._stop.set()

    async def run(self) -> None:
        """Serve, then drain."""
        async with AsyncExitStack() as stack:
            upstream = await stack.enter_async_context(AiohttpUpstream(self.settings.addresses))
            self.control.deny = upstream.deny
            accounting = Accounting(self.control.store, self.metrics, self._log)
            headers = UpstreamHeaders(self.settings.forwarded_headers, self._tell_dropped)
            proxy = Proxy(self.control, upstream, accounting, self.memory, headers=headers, clock=self._clock)
            places = min(self.memory.budget.connections, connections_for(self.settings.descriptors))
            await stack.enter_async_context(self.peers)
            app = make_admin(self.control, self.metrics, self._is_draining, self.peers)
            self.tables = [self._table(size) for size in (ADMIN_CONNECTIONS, places)]
            admin = TrackingAppRunner(app, self.tables[0])
            self.admin_port = await self._listen(stack, admin, self.settings.admin_port)
            server = make_server(proxy.handle, self._is_draining, self.tables[1])
            front = web.ServerRunner(server, shutdown_timeout=_CLOSE_SECONDS)
            self.port = await self._listen(stack, front, self.settings.port, self._context)
            boot = self.control.store.boot_id
            self._log.event("listening", port=self.port, admin_port=self.admin_port, boot=boot, connections=places)
            background = [
                asyncio.create_task(self._expire_heads()),
                asyncio.create_task(self._source.run(self.control.offer)),
                asyncio.create_task(self.control.watch_credentials()),
                asyncio.create_task(self.peers.run()),
            ]
            if self._tls is not None:
                background.append(asyncio.create_task(self._tls.follow()))
            stack.callback(lambda: [task.cancel() for task in background])
            self.started.set()
            await self._until_stopped(background)
            await self._drain(front, proxy)
        self._log.event("stopped")

    def _tell_dropped(self, name: str) -> None:
        self._log.event("a header of clients does not go upstream", name=name, remedy=f"{FORWARD_OPTION}={name}")

    def _make_peers(self) -> Peers:
        control = self.control
        own = Own(
            self.settings.pod,
            control.store.boot_id,
            control.store.memory,
            is_serving=lambda: control.live is not None,
            is_draining=self._is_draining,
            log=self._log,
        )
        return Peers(own, PeerClient(lambda: control.credentials.operator_key), self.metrics)

    def _is_draining(self) -> bool:
        return self.draining

    def _context(self) -> ssl.SSLContext | None:
        return self._tls.context if self._tls is not None else None

    async def _listen(self, stack: AsyncExitStack, runner: web.BaseRunner, port: int, tls: Tls = lambda: None) -> int:
        """Open a port and return its number."""
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        server = runner.server
        if not isinstance(server, TrackingServer):
            raise TypeError("a listener needs a server that tracks its connections")
        listener = Listener(runner, self.settings.host, port, server, tls)
        await listener.start()
        return listener.port

    async def _expire_heads(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP)
            for table in self.tables:
                table.expire()

    def _table(self, size: int) -> ConnectionTable:
        return ConnectionTable(size, self.memory.budget.heads, asyncio.get_running_loop().time)

    async def _until_stopped(self, background: list[asyncio.Task[None]]) -> None:
        """Wait for `stop`; a background task that fails is a bug and ends the process."""
        stopping = asyncio.create_task(self._stop.wait())
        done, _ = await asyncio.wait([stopping, *background], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        for task in done - {stopping}:
            task.result()

    async def _drain(self, front: web.ServerRunner, proxy: Proxy) -> None:
        """Turn not ready, stop listening after `settle_seconds`, then wait for the calls in flight.

        The admin port answers to the end, and a peer has taken over what is known by then, where it matters.
        """
        self.draining = True
        self._log.event("draining", in_flight=len(proxy.tasks), seconds=self.settings.drain_seconds)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.settings.drain_seconds
        await asyncio.sleep(min(self.settings.settle_seconds, self.settings.drain_seconds))
        for site in list(front.sites):
            await site.stop()
        while proxy.tasks and loop.time() < deadline:
            await asyncio.wait(proxy.tasks, timeout=deadline - loop.time())
        if proxy.tasks:
            self._log.event("drain ended with calls in flight", "warning", in_flight=len(proxy.tasks))
            proxy.closing = True
            for task in proxy.tasks:
                task.cancel()
            await asyncio.wait(proxy.tasks, timeout=_CLOSE_SECONDS)
        if self.control.store.eras.watches:
            await self.peers.hand_over(deadline - loop.time())
        await self._until_told(min(deadline, loop.time() + _TELL_SECONDS))

    async def _until_told(self, deadline: float) -> None:
        """Wait until the operator has read what the last calls cost: it reads pods on their way out again and again."""
        usage = self.control.store.usage
        with suppress(TimeoutError):
            async with asyncio.timeout_at(deadline):
                while not usage.is_told:
                    usage.was_read.clear()
                    await usage.was_read.wait()
