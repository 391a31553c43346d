"""What wakes the leader: watches, restarted when they end, and a relist, often while they see nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Container, Iterable
from typing import Any

from claude_operator.core.evals.runs import FINAL
from claude_operator.kube.client import Kube, KubeError, Object
from claude_operator.kube.resources import CLAUDE_DEPLOYMENTS, CLAUDE_EVAL_RUNS
from claude_operator.log import fields
from claude_operator.shell.handlers import BODILESS, LABELS, Changes, ChildChanged, make_registry
from claude_operator.shell.keys import DEPLOYMENT, RUN, Key, key_of
from claude_operator.shell.metrics import Metrics
from claude_operator.shell.queue import WorkQueue
from claude_operator.shell.scope import View, view
from claude_operator.shell.sight import Blind, Sight
from claude_operator.shell.watches import Watches

__all__ = ["CannotSee", "Lookout"]

_log = logging.getLogger(__name__)

_RELIST = 300.0  # seconds between two passes over everything, whatever the watches say
_RELIST_BLIND = 5.0  # seconds between two lists while they see nothing
_DOUBT = 5.0  # seconds without sight after which lists stand in for the watches
_GIVE_UP = 15.0  # seconds without sight after which a leader that cannot list either leads no longer
_HUNG = 60.0  # seconds without sight after which kopf is restarted, though it says that it watches
_RETRY = 2.0  # seconds until a list that failed is tried again
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 15.0  # seconds between two beginnings of kopf
_PAGE = 10  # ClaudeDeployments a page of a list: parsing one holds the loop up, and a spec may have a megabyte
_EVERYWHERE = view()
_AT_ONCE = 50  # objects between two breaths


class CannotSee(Exception):  # noqa: N818
    """We can neither watch nor list: another may, so lead no longer."""


class Lookout:
    """Of one leadership, of what is in `where`. `known` are the keys of all objects that were seen."""

    def __init__(
        self, kube: Kube, queue: WorkQueue[Key], metrics: Metrics, *, child_changed: ChildChanged,
        is_own: Callable[[str, str], bool], models_changed: Callable[[], None], forget: Callable[[set[str]], None],
        where: View = _EVERYWHERE,
    ) -> None:  # fmt: skip
        self._kube, self._queue, self._metrics, self._forget = kube, queue, metrics, forget
        self.known: set[Key] = set()
        self.watches: Watches | None = None
        self._view = where
        self.sight = Sight(where.kinds, namespaces=where.namespaces)
        self._loop = asyncio.get_running_loop()
        self._ended, self._look = asyncio.Event(), asyncio.Event()
        self._changes = Changes(
            self._from_kopf(self._add),
            child_changed=self._from_kopf(child_changed),
            set_changed=self._from_kopf(self._set_changed),
            models_changed=self._from_kopf(models_changed),
            is_own=is_own,
        )

    def blind(self) -> Blind | None:
        """What has not been seen for a while though it should be; None where all is well."""
        found = self.sight.blind()
        return found if found is not None and found.seconds > _DOUBT else None

    def blind_seconds(self) -> float:
        """For how long; 0 where all is well."""
        found = self.blind()
        return found.seconds if found is not None else 0.0

    async def watch(self) -> None:
        """Watch until cancelled. kopf that ends, or that hangs, is restarted."""
        pause = _FIRST_PAUSE
        while True:
            began = self._loop.time()
            why = await self._watch_once()
            self.sight.ended(why)
            self._look.set()  # what happens meanwhile is seen by lists
            pause = _FIRST_PAUSE if self._loop.time() - began > _LONGEST_PAUSE * 4 else pause
            self._metrics.watch_restarts.inc()
            _log.warning(
                "the watches ended and are started again", extra=fields(error=why, next_seconds=round(pause, 1))
            )
            await asyncio.sleep(pause * random.uniform(0.75, 1.0))
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def relist(self) -> None:
        """Put every object into the queue, at once and then every few minutes; often while the watches see nothing."""
        spread = 0.0
        while True:
            self._look.clear()
            try:
                await self._list(spread, changed_only=self.blind() is not None)
            except KubeError as error:
                _log.warning("objects could not be listed", extra=fields(error=str(error)))
                blind = self.blind()
                if blind is not None and blind.seconds > _GIVE_UP:
                    raise CannotSee(f"{blind}; nor can they be listed: {error}") from error
                await asyncio.sleep(_RETRY)
                continue
            spread = _RELIST / 10
            await self._until_relist(_RELIST)

    async def _until_relist(self, seconds: float) -> None:
        """Wait; not for long while the watches see nothing."""
        end = self._loop.time() + seconds
        was_blind = self.blind() is not None
        while (now := self._loop.time()) < end and not self._look.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(_RELIST_BLIND, end - now)):
                    await self._look.wait()
            if self.blind() is not None or was_blind:
                return  # and again when they see again: what happened to children is in no list of ours

    async def _watch_once(self) -> str:
        """Why kopf watches no longer. Where this is cancelled, or kopf hangs, it is asked to end and left to itself."""
        self._ended.clear()
        watches = self.watches = Watches(
            make_registry(self._changes, self._view.kinds),
            self.sight,
            labels=LABELS,
            bodiless=BODILESS,
            namespaces=self._view.namespaces,
            on_end=self._from_kopf(self._ended.set),
        )
        watches.start()
        try:
            while not self._ended.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1.0):
                        await self._ended.wait()
                blind = self.sight.blind()
                if blind is not None and blind.seconds > _HUNG:
                    return f"kopf hangs: {blind}"
            return f"kopf has ended: {watches.error!r}"
        finally:
            watches.stop()

    async def _list(self, spread: float, *, changed_only: bool) -> None:
        deployments: list[Object] = []
        runs: list[Object] = []
        for namespace in self._view.namespaces or (None,):
            deployments += (await self._kube.list_with_version(CLAUDE_DEPLOYMENTS, namespace, page=_PAGE))[0]
            runs += await self._kube.list(CLAUDE_EVAL_RUNS, namespace)
        self.known = {key_of(DEPLOYMENT, one) for one in deployments} | {key_of(RUN, one) for one in runs}
        for number, one in enumerate(deployments):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)  # others want the loop
            self._changes.deployment(None, one)  # adds it where it has changed
            key = key_of(DEPLOYMENT, one)
            self._queue.rank(key, urgent=_live(one))
            if not changed_only:
                self._queue.add(key, random.uniform(0.0, spread))
        for one in runs:
            if not changed_only or (one.get("status") or {}).get("phase") not in FINAL:
                self._queue.add(key_of(RUN, one), random.uniform(0.0, spread))
        self._forget({one["metadata"]["uid"] for one in deployments})
        self._queue.keep_only(self.known)

    def _from_kopf(self, function: Callable[..., object]) -> Callable[..., None]:
        """The function for kopf's thread: it runs in our loop. On our own thread it runs at once."""

        def call(*arguments: Any) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: the process ends
                self._loop.call_soon_threadsafe(function, *arguments)

        return call

    def _add(self, key: Key) -> None:
        self.known.add(key)
        self._queue.add(key)

    def add_all(self, keys: Iterable[Key] | None = None) -> None:
        """All that are known want a pass."""
        for key in list(self.known if keys is None else keys):
            self._queue.add(key)

    def add_namespaces(self, namespaces: Container[str] | None) -> None:
        """The ClaudeDeployments of these namespaces want a pass, of all where it is None."""
        self.add_all(
            key for key in self.known if key.kind == DEPLOYMENT and (namespaces is None or key.namespace in namespaces)
        )

    def _set_changed(self, namespace: str) -> None:
        self.add_namespaces({namespace})


def _live(deployment: Object) -> bool:
    """Whether live traffic is being judged, so that a pass late is harm to users."""
    status = deployment.get("status") or {}
    rollout = status.get("rollout") or {}
    return bool(status.get("soak")) or bool(rollout and not rollout.get("outcome"))
