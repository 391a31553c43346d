"""The gateways of one ClaudeDeployment: their Deployment, their pods, and what each pod says."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from claude_operator.core import names
from claude_operator.core.judge.evidence.increments import PodReading
from claude_operator.core.judge.evidence.offset import CohortHistory
from claude_operator.core.reconcile.observation import GatewayPod, GatewayView, MemoryKill
from claude_operator.core.reconcile.pod_trouble import memory_kills, trouble
from claude_operator.core.reconcile.progress import active, cohorts_due, watched_by
from claude_operator.core.reconcile.serving import in_trouble
from claude_operator.kube.client import Kube, Object
from claude_operator.kube.resources import DEPLOYMENTS, PODS
from claude_operator.shell.children import Children
from claude_operator.shell.clock import Clock
from claude_operator.shell.evidence_memory import Expected
from claude_operator.shell.keys import Key
from claude_operator.shell.patrol import Resting
from claude_operator.shell.scrape import Scraper, is_ready
from claude_operator.shell.tasks import Group

__all__ = ["GatewayReader", "Gateways"]

_LATE = dt.timedelta(minutes=2)  # in which an end for lack of memory is news


@dataclass(frozen=True, slots=True)
class Gateways:
    """What one pass sees of them. `cohorts` is None where they were not asked for."""

    view: GatewayView
    readings: Sequence[PodReading]
    cohorts: CohortHistory | None


class GatewayReader:
    """Reads; keeps, by UID, which gateways rest, and which ends for lack of memory were reported."""

    def __init__(self, kube: Kube, scraper: Scraper, children: Children, clock: Clock) -> None:
        self._kube, self._scraper, self._children, self._clock = kube, scraper, children, clock
        self._resting: dict[str, Resting] = {}
        self._killed_before: dict[str, frozenset[MemoryKill]] = {}

    async def read(self, key: Key, owner: Object, expected: Expected) -> Gateways:
        """One look. A pod that does not answer is a reading without evidence."""
        uid, name = owner["metadata"]["uid"], names.gateway_name(key.name)
        chosen = names.selector(key.name, "gateway")
        selector = ",".join(f"{label}={value}" for label, value in chosen.items())
        async with Group() as group:
            reading = group.create_task(self._kube.get(DEPLOYMENTS, name, key.namespace))
            listing = group.create_task(self._kube.list(PODS, key.namespace, label_selector=selector))
        deployment, pods = reading.result(), listing.result()
        if deployment is not None and not self._children.is_ours(owner, deployment):
            return Gateways(GatewayView(), (), None)
        if deployment is not None and not names.is_controlled_by(deployment, uid):
            self._children.look_at(owner, deployment)
        readings, cohorts = await self._asked(pods, expected)
        present = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
        living = [
            _pod(pod, reading)
            for pod, reading in zip(pods, readings, strict=True)
            if not pod["metadata"].get("deletionTimestamp")
        ]
        view = GatewayView(
            deployment is not None and _settled(deployment),
            sum(pod.ready for pod in living),
            tuple(living),
            trouble(deployment, present),
            self._killed(uid, memory_kills(present)),
        )
        self._rests(key, uid, pods, living, watched=watched_by(expected.status) is not None)
        return Gateways(view, readings, cohorts)

    async def _asked(self, pods: Sequence[Object], expected: Expected) -> tuple[list[PodReading], CohortHistory | None]:
        status, wait = expected.status, expected.wait
        keep = wait == 0 or (wait is None and active(status) is not None)  # the reading that a status may have
        asking = self._scraper.read(pods, since=status.readings, keep=keep)
        if wait != 0 or not cohorts_due(status):
            return await asking, None
        async with Group() as group:
            readings = group.create_task(asking)
            cohorts = group.create_task(self._scraper.read_cohorts(pods))
        return readings.result(), CohortHistory.merged(cohorts.result())

    def resting(self) -> list[Resting]:
        """Those of which no readings are made, as their last pass saw them."""
        return list(self._resting.values())

    def remember(self, uid: str, view: GatewayView) -> None:
        """The pass that saw `view` is done: what it reported of ends for lack of memory is no longer news."""
        late = self._clock.now() - _LATE
        killed = self._killed_before.get(uid, frozenset()).union(view.killed)
        self._killed_before[uid] = frozenset(one for one in killed if one.at >= late)

    def forget(self, live: set[str]) -> None:
        """Drop what is known of ClaudeDeployments that no longer exist; `live` are UIDs."""
        self._killed_before = {uid: known for uid, known in self._killed_before.items() if uid in live}
        self._resting = {uid: one for uid, one in self._resting.items() if uid in live}

    def _rests(
        self, key: Key, uid: str, pods: Sequence[Object], living: Sequence[GatewayPod], *, watched: bool
    ) -> None:
        ready = [pod for pod in living if pod.ready]
        if watched or not ready:
            self._resting.pop(uid, None)
            return
        troubled = in_trouble([pod.weights for pod in ready], [pod.recent for pod in ready])
        found = [
            {"metadata": {"name": pod["metadata"]["name"]}, "status": pod["status"]} for pod in pods if is_ready(pod)
        ]
        self._resting[uid] = Resting(key, found, troubled)

    def _killed(self, uid: str, found: tuple[MemoryKill, ...]) -> tuple[MemoryKill, ...]:
        """The recent ones that were not reported; what an operator before this one reported is news for two minutes."""
        known, since = self._killed_before.get(uid, frozenset()), self._clock.now() - _LATE
        return tuple(one for one in found if one not in known and one.at >= since)


def _pod(pod: Object, reading: PodReading) -> GatewayPod:
    evidence = reading.evidence
    if evidence is None:
        return GatewayPod(reading.pod, is_ready(pod), None)
    return GatewayPod(
        name=reading.pod,
        ready=is_ready(pod),
        generation=evidence.config_generation,
        error=evidence.config_error,
        weights=evidence.weights,
        recent=evidence.recent,
    )


def _settled(deployment: Object) -> bool:
    """Every replica is of the newest template and available, and none of another is left."""
    spec, status = deployment["spec"], deployment.get("status") or {}
    wanted = spec.get("replicas", 1)
    seen = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    counts = [status.get(name, 0) for name in ("updatedReplicas", "availableReplicas", "replicas")]
    return bool(seen and all(number == wanted for number in counts))
