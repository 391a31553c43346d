"""The operator's process: wait for the Lease, then work until it is lost or the process is told to end."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
import random
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from claude_operator.core import render
from claude_operator.kube.client import Kube, KubeError
from claude_operator.kube.resources import (
    CLAUDE_DEPLOYMENTS,
    CLAUDE_EVAL_RUNS,
    CLAUDE_EVAL_SETS,
    CLAUDE_MODELS,
    CLAUDE_REVISIONS,
)
from claude_operator.shell.act import Actor
from claude_operator.shell.children import Children
from claude_operator.shell.events import Recorder
from claude_operator.shell.gather import Gatherer
from claude_operator.shell.handlers import Changes, Watches, WatchesEnded, make_registry
from claude_operator.shell.keyring import Keyring
from claude_operator.shell.keys import DEPLOYMENT, RUN, Key, key_of
from claude_operator.shell.lease import Lease
from claude_operator.shell.ledgers import Ledgers
from claude_operator.shell.log import fields
from claude_operator.shell.metrics import Metrics
from claude_operator.shell.models import ModelBook
from claude_operator.shell.prometheus import PrometheusReader
from claude_operator.shell.queue import WorkQueue
from claude_operator.shell.reconcile import DeploymentLoop, Reconciler, RunLoop
from claude_operator.shell.references import ReferenceReader
from claude_operator.shell.scrape import Scraper
from claude_operator.shell.server import HealthServer

__all__ = ["App", "Settings"]

_log = logging.getLogger(__name__)

_KINDS = (CLAUDE_DEPLOYMENTS, CLAUDE_REVISIONS, CLAUDE_EVAL_SETS, CLAUDE_EVAL_RUNS, CLAUDE_MODELS)
_NONE = "claudeops.dev/deployment,!claudeops.dev/deployment"  # a selector that no object meets
_RELIST = 300.0  # seconds between two passes over everything, whatever the watches say
_RETRY = 2.0  # seconds until a list that failed is tried again
_STUCK = 90.0  # seconds without a move of the queue after which the probe fails; longer than the longest pass
_MODELS = 3600.0  # seconds between two looks at the calendar
_MODELS_WAIT = 3.0  # seconds that the first pass waits for them


@dataclass(frozen=True, slots=True)
class Settings:
    """Where and as whom it runs."""

    site: render.Site
    namespace: str
    identity: str
    lease_name: str = "claude-operator"
    health_port: int = 8081
    workers: int = 16
    prometheus_address: str | None = None
    """Where the queries of metrics go that name no address."""


class App:
    """Wires the parts. `run` returns when `stop` was called, and raises when the Lease is lost or a part fails."""

    def __init__(self, settings: Settings, now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)) -> None:
        self._settings, self._now = settings, now
        self._metrics = Metrics()
        self._stopping = asyncio.Event()
        self._queue: WorkQueue[Key] | None = None
        self._watches: Watches | None = None
        self._started = False
        self._models_changed = asyncio.Event()
        self._models_read = asyncio.Event()
        self._known: set[Key] = set()

    def stop(self) -> None:
        """End now; passes are cut wherever they are, which their order of writes allows."""
        self._stopping.set()

    async def run(self) -> None:
        """Serve probes, wait for the Lease, work."""
        server = HealthServer(
            check=self._stuck, ready=lambda: self._started, page=self._metrics.page, port=self._settings.health_port
        )
        async with server, await Kube.from_environment() as kube:
            lease = Lease(
                kube,
                name=self._settings.lease_name,
                namespace=self._settings.namespace,
                identity=self._settings.identity,
            )
            await self._until_served(kube)
            self._started = True
            try:
                if await self._unless_stopped(lease.acquire()):
                    self._metrics.leader.set(1)
                    await self._lead(kube, lease)
            finally:
                self._metrics.leader.set(0)
                await lease.release()  # even where we never led: a write that was cut short may have taken it

    async def _until_served(self, kube: Kube) -> None:
        """Wait until the API server serves all our kinds: kopf would go without one for ever, and not say a word."""
        told = ""
        for resource in _KINDS:
            while not self._stopping.is_set():
                try:
                    await kube.list(resource, label_selector=_NONE)
                    break
                except KubeError as error:
                    said = f"{resource.kind}: {error}"
                    if said != told:
                        _log.warning("the kinds of claudeops.dev cannot be listed yet", extra=fields(error=said))
                    told = said
                    await self._unless_stopped(asyncio.sleep(_RETRY))

    async def _unless_stopped(self, work: Coroutine[Any, Any, object]) -> bool:
        """Await `work`; False where the process was told to end first."""
        task = asyncio.create_task(work)
        stop = asyncio.create_task(self._stopping.wait())
        try:
            done, _ = await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            task.cancel()
            stop.cancel()
            await asyncio.gather(task, stop, return_exceptions=True)
        if task in done:
            task.result()
        return task in done

    async def _lead(self, kube: Kube, lease: Lease) -> None:
        models = ModelBook(kube, self._now)
        children = Children(kube, Keyring(kube, self._settings.namespace, f"{self._settings.lease_name}-client-keys"))
        reader = PrometheusReader(self._settings.prometheus_address)
        async with Scraper(self._metrics) as scraper, reader as prometheus:
            references, ledgers = ReferenceReader(kube), Ledgers(kube)
            gatherer = Gatherer(kube, scraper, children, references, prometheus, ledgers, models.models, self._now)
            recorder = Recorder(
                kube,
                instance=self._settings.identity,
                on_emit=lambda reason: self._metrics.events.labels(reason).inc(),
            )
            actor = Actor(kube, children, recorder, ledgers, self._metrics)
            reconciler = Reconciler(
                DeploymentLoop(gatherer, actor, self._settings.site),
                RunLoop(kube, self._settings.site, self._now),
                self._metrics,
            )
            queue = WorkQueue(reconciler, workers=self._settings.workers, on_depth=self._metrics.queue_depth.set)
            self._queue = queue
            watches = self._watches = Watches(make_registry(self._changes(queue, children)))
            watches.start()
            try:
                await self._work(
                    lease.hold(),
                    self._reconcile(queue),
                    self._relist(kube, queue, gatherer, children),
                    self._keep_models(models, queue),
                    self._watch_the_watches(watches),
                )
            finally:
                watches.stop()
                self._queue = None

    async def _reconcile(self, queue: WorkQueue[Key]) -> None:
        """Work once the models are known, since what is on its way out may not be let in; but do not wait for ever."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_MODELS_WAIT):
                await self._models_read.wait()
        await queue.run()

    async def _work(self, *parts: Coroutine[Any, Any, object]) -> None:
        """Run all parts until one fails or the process is told to end; then end the others."""
        tasks = [asyncio.create_task(part) for part in parts]
        stop = asyncio.create_task(self._stopping.wait())
        try:
            done, _ = await asyncio.wait({*tasks, stop}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*tasks, stop):
                task.cancel()
            await asyncio.gather(*tasks, stop, return_exceptions=True)
        for task in done - {stop}:
            task.result()

    def _changes(self, queue: WorkQueue[Key], children: Children) -> Changes:
        """What kopf's thread may call: everything goes over to this loop."""
        loop = asyncio.get_running_loop()

        def safely(function: Callable[..., object], *arguments: object) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends
                loop.call_soon_threadsafe(function, *arguments)

        def child_changed(key: Key, type_: str, body: Mapping[str, Any]) -> None:
            if children.changed(key.namespace, key.name, type_, body):
                queue.add(key)

        def set_changed(namespace: str) -> None:
            for key in self._known:
                if key.kind == DEPLOYMENT and key.namespace == namespace:
                    queue.add(key)

        return Changes(
            lambda key: safely(self._add, queue, key),
            child_changed=lambda key, type_, body: safely(child_changed, key, type_, body),
            is_own=children.writes.is_own,
            set_changed=lambda namespace: safely(set_changed, namespace),
            models_changed=lambda: safely(self._models_changed.set),
        )

    def _add(self, queue: WorkQueue[Key], key: Key) -> None:
        self._known.add(key)
        queue.add(key)

    async def _relist(self, kube: Kube, queue: WorkQueue[Key], gatherer: Gatherer, children: Children) -> None:
        """Put every object into the queue, at once and then every few minutes, spread over a while."""
        spread = 0.0
        while True:
            try:
                deployments = await kube.list(CLAUDE_DEPLOYMENTS)
                runs = await kube.list(CLAUDE_EVAL_RUNS)
            except KubeError as error:
                _log.warning("objects could not be listed", extra=fields(error=str(error)))
                await asyncio.sleep(_RETRY)
                continue
            keys = [key_of(DEPLOYMENT, one) for one in deployments] + [key_of(RUN, one) for one in runs]
            self._known = set(keys)
            for key in keys:
                queue.add(key, random.uniform(0.0, spread))
            live = {one["metadata"]["uid"] for one in deployments}
            gatherer.forget(live)
            children.forget(live)
            spread = _RELIST / 10
            await asyncio.sleep(_RELIST)

    async def _keep_models(self, models: ModelBook, queue: WorkQueue[Key]) -> None:
        """Keep the ClaudeModels as of today; a change of them concerns every ClaudeDeployment."""
        while True:
            self._models_changed.clear()
            pause, before = _MODELS, models.models()
            try:
                await models.refresh()
            except KubeError as error:
                _log.warning("ClaudeModels could not be written", extra=fields(error=str(error)))
                pause = _RETRY
            self._models_read.set()
            if models.models() != before:
                for key in self._known:
                    queue.add(key)
            try:
                async with asyncio.timeout(pause):
                    await self._models_changed.wait()
                await asyncio.sleep(1.0)  # changes come in bunches
            except TimeoutError:
                pass

    async def _watch_the_watches(self, watches: Watches) -> None:
        while watches.alive:  # noqa: ASYNC110  # a thread has no event to wait for
            await asyncio.sleep(1.0)
        raise WatchesEnded(f"kopf has ended: {watches.error!r}")

    def _stuck(self) -> str | None:
        """What the liveness probe says where nothing moves."""
        if self._queue is not None and self._queue.heartbeat() > _STUCK:
            return f"the queue has not moved for {self._queue.heartbeat():.0f} s"
        return None
