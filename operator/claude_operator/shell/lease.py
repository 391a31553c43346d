"""Leader election by a Lease, after client-go: times are measured on one's own clock, never compared between machines.

A leader stops `give_up` seconds after it sent its last successful renewal; a standby takes over `duration` seconds
after it first saw that renewal. The second is the longer one, so two never lead at once.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import math
import time
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

from claude_operator.kube.client import KubeError, Object
from claude_operator.kube.resources import LEASES, Resource
from claude_operator.kube.times import micro_time
from claude_operator.log import fields

__all__ = ["Lease", "LeaseLost"]

_log = logging.getLogger(__name__)


class LeaseLost(Exception):  # noqa: N818
    """We may lead no longer: stop all work at once."""


class LeaseStore(Protocol):
    """The verbs that an election needs; each raises `KubeError`."""

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        """The object, or None."""
        ...

    async def create(self, resource: Resource, body: Object, namespace: str | None = None) -> Object:
        """Create; a conflict when the name is taken."""
        ...

    async def replace(self, resource: Resource, body: Object) -> Object:
        """Update; a conflict when its resourceVersion is not current."""
        ...


class Lease:
    """One candidate. All durations in seconds; `identity` must be this process's alone, such as the pod's name."""

    def __init__(
        self,
        kube: LeaseStore,
        *,
        name: str,
        namespace: str,
        identity: str,
        duration: float = 4.0,
        give_up: float = 3.0,
        renew_every: float = 1.0,
        look_every: float = 0.3,
        call_timeout: float = 1.2,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        if not identity:
            raise ValueError("the Lease needs an identity: set POD_NAME")
        if not 0 < renew_every < give_up < duration:
            raise ValueError("a Lease needs renew_every < give_up < duration, or two could lead at once")
        self._kube, self._name, self._namespace, self._identity = kube, name, namespace, identity
        self._duration, self._give_up, self._renew_every = duration, give_up, renew_every
        self._look_every, self._call_timeout = look_every, call_timeout
        self._clock, self._now = clock, now
        self._object: Object | None = None  # as last seen
        self._current = False  # whether a write may be based on it without another look
        self._seen_at = -math.inf  # when its resourceVersion was first seen; any write counts as a renewal
        self._renewed_at = -math.inf  # when the last renewal that succeeded was sent
        self._complaint = ""
        self._late = 0.0  # seconds that our own loop ran late since the last renewal

    @property
    def complaint(self) -> str:
        """What keeps us from reading or writing the Lease, empty where nothing does."""
        return self._complaint

    @property
    def leading(self) -> bool:
        """Whether we may act as the leader now. Any thread may ask."""
        return self._left() > 0

    def check(self) -> None:
        """Raise `LeaseLost` where we may not act as the leader now. Any thread may call it."""
        if not self.leading:
            raise LeaseLost(f"the Lease {self._namespace}/{self._name} is lost: nothing more is written")

    async def acquire(self) -> None:
        """Wait until we lead, however long."""
        while not await self._attempt():  # noqa: ASYNC110  # the API server's word counts, not an Event of ours
            await asyncio.sleep(self._look_every)
        _log.info("leading", extra=fields(lease=self._name, identity=self._identity))

    async def hold(self) -> None:
        """Renew until we lead no longer; then raises `LeaseLost`."""
        while True:
            due = self._renewed_at + self._renew_every
            await self._sleep(max(due - self._clock(), 0.0))
            if not self.leading:  # before anything was sent: it is us who came late
                self._late = max(self._late, self._clock() - due)
                self._lose(self._why())
            try:
                async with asyncio.timeout(self._left()):
                    while not await self._attempt():
                        if self._holder() not in ("", self._identity):
                            self._lose(f"{self._holder()} holds it")
                        await self._sleep(self._look_every)
            except TimeoutError:
                self._lose(self._why())

    async def release(self) -> None:
        """Give the Lease up if it is ours, so that the next leads at once; call it when all work has stopped."""
        self._renewed_at, self._current = -math.inf, False
        try:
            async with asyncio.timeout(self._call_timeout):
                await self._look()
                if self._object is not None and self._holder() == self._identity:
                    spec = {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": micro_time(self._now())}
                    await self._kube.replace(LEASES, _with_spec(self._object, spec))
        except (KubeError, TimeoutError) as error:
            _log.warning("the Lease was not released", extra=fields(lease=self._name, error=_describe(error)))

    async def _sleep(self, seconds: float) -> None:
        """Sleep, and note by how much the loop woke us late."""
        due = self._clock() + seconds
        try:
            await asyncio.sleep(seconds)
        finally:
            self._late += max(self._clock() - due, 0.0)

    def _why(self) -> str:
        """Why it was not renewed: where this process had no time for that, the API server is not to blame."""
        lost = f"not renewed for {self._give_up:g} s"
        if self._give_up - 2 * self._renew_every <= self._late < math.inf:
            return f"{lost}: the process was busy or stopped for {self._late:.1f} s"
        return f"{lost}: {self._complaint or 'no answer in time'}"

    async def _attempt(self) -> bool:
        """Take or renew the Lease; False when it is somebody else's, or the API server did not do it."""
        begun = self._clock()
        try:
            async with asyncio.timeout(self._call_timeout):
                if not self._current:
                    await self._look()
                if not self._free():
                    self._complaint = ""  # it was read, and there is nothing for us to write
                    return False
                self._current = False  # until we know how the write ended
                sent = self._clock()
                self._see(await self._write())
        except (KubeError, TimeoutError) as error:
            if not (isinstance(error, KubeError) and error.conflict):
                self._complain(_describe(error))
            return False
        finally:
            self._late += max(self._clock() - begun - self._call_timeout, 0.0)
        self._current, self._renewed_at, self._complaint, self._late = True, sent, "", 0.0
        return self.leading

    async def _look(self) -> None:
        self._see(await self._kube.get(LEASES, self._name, self._namespace))

    def _see(self, found: Object | None) -> None:
        if found is None or self._object is None or _version(found) != _version(self._object):
            self._seen_at = self._clock()
        self._object = found

    async def _write(self) -> Object:
        moment = micro_time(self._now())
        spec = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": math.ceil(self._duration),
            "renewTime": moment,
        }
        if self._object is None:
            metadata = {"name": self._name, "namespace": self._namespace}
            new = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata}
            return await self._kube.create(
                LEASES, new | {"spec": {**spec, "acquireTime": moment, "leaseTransitions": 0}}
            )
        if self._holder() != self._identity:
            transitions = (self._object.get("spec") or {}).get("leaseTransitions") or 0
            spec |= {"acquireTime": moment, "leaseTransitions": transitions + 1}
        return await self._kube.replace(LEASES, _with_spec(self._object, spec))

    def _holder(self) -> str:
        return str(((self._object or {}).get("spec") or {}).get("holderIdentity") or "")

    def _free(self) -> bool:
        """Nobody's, ours, or not renewed for as long as its holder promised to renew it."""
        if self._holder() in ("", self._identity):
            return True
        promised = ((self._object or {}).get("spec") or {}).get("leaseDurationSeconds") or self._duration
        return self._clock() >= self._seen_at + promised

    def _left(self) -> float:
        """Seconds that we may lead without another renewal."""
        return self._renewed_at + self._give_up - self._clock()

    def _lose(self, why: str) -> NoReturn:
        self._renewed_at, self._current = -math.inf, False
        raise LeaseLost(f"the Lease {self._namespace}/{self._name} is lost: {why}")

    def _complain(self, problem: str) -> None:
        """Log what keeps us from the Lease, once until it changes."""
        if problem != self._complaint:
            _log.warning("the Lease cannot be read or written", extra=fields(lease=self._name, error=problem))
        self._complaint = problem


def _version(found: Object) -> str:
    return str(found["metadata"].get("resourceVersion", ""))


def _with_spec(found: Object, spec: dict[str, Any]) -> Object:
    return {**found, "spec": {**(found.get("spec") or {}), **spec}}


def _describe(error: KubeError | TimeoutError) -> str:
    return str(error) if isinstance(error, KubeError) else "no answer in time"
