"""kopf in a thread and loop of its own: it lists and watches, and keeps nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import aiohttp
import kopf
import orjson

from claude_operator.core import names
from claude_operator.kube.resources import Resource
from claude_operator.log import fields
from claude_operator.shell.sight import LONGEST, Sight

__all__ = ["Watches"]

_log = logging.getLogger(__name__)

_CHUNK = 100  # objects a page of a list: parsing one holds up the other threads
_CONNECT, _ANSWER = 5.0, 20.0  # seconds
_ENDING = 5.0  # seconds for kopf's tasks to end
_PARTIAL = "application/json;as={};g=meta.k8s.io;v=v1,application/json"
_WATCHED, _LISTED = _PARTIAL.format("PartialObjectMetadata"), _PARTIAL.format("PartialObjectMetadataList")


class _NoDiffs(kopf.DiffBaseStorage):
    """kopf compares each object with what it was. Nobody here asks for that, so there is nothing to copy."""

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> Any:
        return None

    def store(self, **_: Any) -> None:
        """Nothing is stored."""


class _NoProgress(kopf.ProgressStorage):
    """Handlers of events alone have no progress to keep."""

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        """Nothing is stored."""

    def purge(self, **_: Any) -> None:
        """Nothing is stored."""

    def touch(self, **_: Any) -> None:
        """Nothing is stored."""

    def clear(self, *, essence: Any) -> Any:
        return essence


class _Response(aiohttp.ClientResponse):
    """An answer of the API server, which writes an empty list of metadata as null: kopf expects a list."""

    async def json(self, **_: Any) -> Any:
        found = orjson.loads(await self.read())
        return {**found, "items": []} if isinstance(found, dict) and found.get("items", ()) is None else found


class Watches:
    """Watches for the handlers of `registry`, from `start` on.

    `labels`: by kind, those that an object must have. `bodiless` kinds come without spec and status. `namespaces`:
    those to watch, none for all. `on_end` is called, in that thread, as soon as it watches no longer. One that was
    stopped is not started again.
    """

    def __init__(
        self,
        registry: kopf.OperatorRegistry,
        sight: Sight,
        *,
        labels: Mapping[Resource, Mapping[str, str]],
        bodiless: Iterable[Resource],
        namespaces: Sequence[str] = (),
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._registry, self._sight, self._labels, self._on_end = registry, sight, labels, on_end
        self._namespaces = tuple(namespaces)
        self._bodiless = {resource.path(one) for resource in bodiless for one in self._namespaces or (None,)}
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="kopf", daemon=True)
        self._sessions: list[aiohttp.ClientSession] = []
        self._roots: Collection[asyncio.Task[Any]] = ()
        self._watching = True
        self.error: BaseException | None = None
        kopf.on.login(registry=registry)(self._login)

    @property
    def alive(self) -> bool:
        """Whether it watches, or is about to."""
        return self._watching

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end, without waiting."""
        with contextlib.suppress(RuntimeError):  # it has ended
            self._loop.call_soon_threadsafe(self._stop.set)

    def join(self, seconds: float) -> bool:
        """Wait for the thread; False where it still runs."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._watch())
        except BaseException as error:
            self.error = error
        finally:
            self._watching = False
            self._on_end()  # before anything that may take long: what is left of kopf may not want to end
            try:
                self._loop.run_until_complete(self._close())
            finally:
                self._loop.close()

    async def _watch(self) -> None:
        """Return when it was stopped, raise what ended kopf. kopf's own `operator` ends only when all of it has."""
        tasks = self._roots = await kopf.spawn_tasks(
            registry=self._registry,
            settings=self._settings(),
            standalone=True,
            clusterwide=not self._namespaces,
            namespaces=self._namespaces,
        )
        stop = asyncio.ensure_future(self._stop.wait())
        done, _ = await asyncio.wait({*tasks, stop}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()

    async def _close(self) -> None:
        """End kopf's root tasks, which end the others; then cancel what is left, and leave what does not end."""
        for whole, seconds in ((False, _ENDING), (True, _ENDING / 5)):
            tasks = asyncio.all_tasks() if whole else self._roots
            left = {task for task in tasks if not task.done()} - {asyncio.current_task()}
            for task in left:
                task.cancel()
            if left:
                await asyncio.wait(left, timeout=seconds)
        stuck = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        if stuck:
            _log.warning("tasks of kopf did not end", extra=fields(tasks=len(stuck)))
        for session in self._sessions:
            await session.close()
        await asyncio.sleep(0)

    def _settings(self) -> kopf.OperatorSettings:
        settings = kopf.OperatorSettings()
        settings.posting.enabled = False
        settings.peering.standalone = True
        settings.scanning.disabled = True
        settings.watching.chunk_size = _CHUNK
        settings.watching.server_timeout = LONGEST
        settings.watching.inactivity_timeout = LONGEST + _CONNECT
        settings.watching.connect_timeout = settings.networking.connect_timeout = _CONNECT
        settings.networking.request_timeout = _ANSWER
        settings.networking.error_backoffs = (0.5, 1, 2)
        settings.networking.enforce_retry_after = True
        settings.queueing.error_delays = (1, 2, 5, 10, 30)
        settings.queueing.idle_timeout = 1.0  # a task an object is kept for as long
        settings.process.ultimate_exiting_timeout = None  # it would kill the process
        settings.persistence.finalizer = f"{names.LABEL_DEPLOYMENT}-kopf"  # never set; kopf's own would be shared
        settings.persistence.diffbase_storage = _NoDiffs()
        settings.persistence.progress_storage = _NoProgress()
        for resource, labels in self._labels.items():  # not everybody's
            selector = ",".join(f"{label}={value}" for label, value in labels.items())
            settings.watching.label_selectors[resource.group, resource.version, resource.plural] = selector
        return settings

    async def _login(self, **kwargs: Any) -> kopf.AiohttpSession | None:
        """A session that asks for metadata alone, and tells what became of each request."""
        info = kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)
        if info is None:
            return None
        tracing = aiohttp.TraceConfig()
        tracing.on_request_start.append(self._ask)
        tracing.on_request_end.append(self._answered)
        tracing.on_request_exception.append(self._failed)
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=info.as_ssl_context()),
            headers=info.as_http_headers(),
            proxy=info.proxy_url,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            trace_configs=[tracing],
            response_class=_Response,
        )
        self._sessions.append(session)
        return kopf.AiohttpSession(
            server=info.server,
            aiohttp_session=session,
            default_namespace=info.default_namespace,
            priority=info.priority,
            expiration=info.expiration,
        )

    async def _ask(self, _: aiohttp.ClientSession, __: SimpleNamespace, start: aiohttp.TraceRequestStartParams) -> None:
        if start.url.path in self._bodiless:
            start.headers["Accept"] = _WATCHED if "watch" in start.url.query else _LISTED

    async def _answered(
        self, _: aiohttp.ClientSession, __: SimpleNamespace, end: aiohttp.TraceRequestEndParams
    ) -> None:
        if "watch" in end.url.query or end.response.status >= 400:  # a list shows what was, a watch what will be
            self._sight.answered(end.url.path, end.response.status)

    async def _failed(
        self, _: aiohttp.ClientSession, __: SimpleNamespace, end: aiohttp.TraceRequestExceptionParams
    ) -> None:
        if not isinstance(end.exception, asyncio.CancelledError):  # a watch that is ended
            self._sight.failed(end.url.path, f"no answer ({type(end.exception).__name__})")
