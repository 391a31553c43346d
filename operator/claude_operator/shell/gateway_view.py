"""The gateways of one ClaudeDeployment: their Deployment, their pods, and what each pod says."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from claude_operator.core import names
from claude_operator.core.judge.evidence.offset import CohortHistory
from claude_operator.core.judge.evidence.pod_readings import PodReading, told_apart
from claude_operator.core.reconcile.observation import GatewayPod, GatewayView, MemoryKill
from claude_operator.core.reconcile.pod_owners import Sorted
from claude_operator.core.reconcile.pod_trouble import is_settled, memory_kills, trouble
from claude_operator.core.reconcile.progress import active, cohorts_due, drilling, watched_by
from claude_operator.core.reconcile.serving import in_trouble
from claude_operator.core.reconcile.signed_config import KeyOf
from claude_operator.core.render import has_operator_key, reads_budgets, reads_egress
from claude_operator.kube.client import Kube, KubeError, Object
from claude_operator.kube.resources import DEPLOYMENTS, PODS
from claude_operator.shell.children import Children
from claude_operator.shell.clock import Clock
from claude_operator.shell.evidence_memory import Expected
from claude_operator.shell.keys import Key
from claude_operator.shell.patrol import Resting
from claude_operator.shell.pod_owners import PodOwners
from claude_operator.shell.scrape import Peer, Scraper, is_ready
from claude_operator.shell.tasks import Group

__all__ = ["Fleet", "GatewayReader", "Gateways"]

_FORBIDDEN = (
    "the operator may not list ReplicaSets, so it cannot tell its gateway's pods from others and reads none: apply the"
    " chart's ClusterRole, or its Roles if watchNamespaces is set"
)
_LATE = dt.timedelta(minutes=2)  # in which an end for lack of memory is news


@dataclass(frozen=True, slots=True)
class Gateways:
    """What one pass sees of them. `cohorts` is None where they were not asked for."""

    view: GatewayView
    readings: Sequence[PodReading] = ()
    cohorts: CohortHistory | None = None
    unsigned: bool = False
    """The Deployment is of a version whose pods do not ask for a signature."""
    foreign: Sequence[Object] = ()
    """Pods of others with our labels."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The gateway pods of a ClaudeDeployment as its last pass saw them; `leaving` are being deleted."""

    key: Key
    owner: Object
    """Its kind, names and UID alone."""
    pods: Sequence[Peer]
    leaving: frozenset[str] = frozenset()
    strangers: frozenset[str] = frozenset()
    """Pods of which nobody can tell whose they are: they are not asked."""


class GatewayReader:
    """Reads; keeps, by UID, which gateways rest, whose pods are, and which ends for lack of memory were reported."""

    def __init__(self, kube: Kube, scraper: Scraper, children: Children, clock: Clock) -> None:
        self._kube, self._scraper, self._children, self._clock = kube, scraper, children, clock
        self._owners = PodOwners(kube)
        self._resting: dict[str, Resting] = {}
        self._fleets: dict[str, Fleet] = {}
        self._killed_before: dict[str, frozenset[MemoryKill]] = {}

    async def read(self, key: Key, owner: Object, expected: Expected, key_of: KeyOf) -> Gateways:
        """One look. A pod that does not answer is a reading without evidence."""
        uid, name = owner["metadata"]["uid"], names.gateway_name(key.name)
        chosen = names.selector(key.name, "gateway")
        selector = ",".join(f"{label}={value}" for label, value in chosen.items())
        async with Group() as group:
            reading = group.create_task(self._kube.get(DEPLOYMENTS, name, key.namespace))
            listing = group.create_task(self._kube.list(PODS, key.namespace, label_selector=selector))
        deployment, pods = reading.result(), listing.result()
        if deployment is not None and not self._children.is_ours(owner, deployment):
            self._fleets.pop(uid, None)
            return Gateways(GatewayView())
        if deployment is not None and not names.is_controlled_by(deployment, uid):
            self._children.look_at(owner, deployment)
        unsigned = deployment is not None and not has_operator_key(deployment["spec"]["template"])
        forbidden = ""
        try:
            found = await self._owners.sort(owner, deployment, pods, selector)
        except KubeError as error:
            if error.status != 403:
                raise
            found = Sorted(unknown=pods)
            forbidden = _FORBIDDEN
        peers = [_peer(pod, found, key_of(uid)) for pod in found.ours]
        self._fleets[uid] = _fleet(key, owner, peers, found)
        readings, cohorts = await self._asked(peers, expected)
        readings += [PodReading(pod["metadata"]["name"], is_ready(pod), None) for pod in found.unknown]
        present = [pod for pod in (pods if forbidden else found.ours) if not pod["metadata"].get("deletionTimestamp")]
        here = {pod["metadata"]["name"] for pod in present}
        living = [_pod(reading) for reading in readings if reading.pod in here]
        settled = deployment is not None and is_settled(deployment) and not forbidden
        view = GatewayView(
            settled,
            sum(pod.ready for pod in living),
            tuple(living),
            forbidden or trouble(deployment, present),
            self._killed(uid, memory_kills(present)),
            reads_budgets=settled and deployment is not None and reads_budgets(deployment["spec"]["template"]),
            reads_egress=deployment is not None and reads_egress(deployment["spec"]["template"]),
            foreign=self._owners.news(uid, found.foreign),
        )
        self._rests(key, uid, peers, living, watched=watched_by(expected.status) is not None)
        return Gateways(view, readings, cohorts, unsigned, found.foreign)

    async def _asked(self, peers: Sequence[Peer], expected: Expected) -> tuple[list[PodReading], CohortHistory | None]:
        status, wait = expected.status, expected.wait
        begins = active(status) is not None or drilling(status) is not None
        keep = wait == 0 or (wait is None and begins)  # the reading that a status may have
        seen = expected.last.memory.pods if expected.last else {}
        # An earlier reading doubles the document: only of pods that this process has not read yet is it news.
        since = [one for one in status.readings if seen.get(one.pod) is None]
        asking = self._scraper.read(peers, since=since, keep=keep)
        if wait != 0 or not cohorts_due(status):
            return told_apart(await asking), None
        async with Group() as group:
            readings = group.create_task(asking)
            cohorts = group.create_task(self._scraper.read_cohorts(peers))
        return told_apart(readings.result()), CohortHistory.merged(cohorts.result())

    def resting(self) -> list[Resting]:
        """Those of which no readings are made, as their last pass saw them."""
        return list(self._resting.values())

    def fleets(self) -> Mapping[str, Fleet]:
        """The pods of all ClaudeDeployments, by UID."""
        return self._fleets

    def drop(self, key: Key) -> None:
        """The ClaudeDeployment is deleted, or being deleted: its pods are not looked at any more."""
        self._fleets = {uid: one for uid, one in self._fleets.items() if one.key != key}

    def remember(self, uid: str, seen: Gateways) -> None:
        """The pass that saw them is done: what it reported of foreign pods and lack of memory is no longer news."""
        self._owners.remember(uid, seen.foreign)
        late = self._clock.now() - _LATE
        killed = self._killed_before.get(uid, frozenset()).union(seen.view.killed)
        self._killed_before[uid] = frozenset(one for one in killed if one.at >= late)

    def forget(self, live: set[str]) -> None:
        """Drop what is known of ClaudeDeployments that no longer exist; `live` are UIDs."""
        self._owners.forget(live)
        self._killed_before = {uid: known for uid, known in self._killed_before.items() if uid in live}
        self._resting = {uid: one for uid, one in self._resting.items() if uid in live}
        self._fleets = {uid: one for uid, one in self._fleets.items() if uid in live}

    def _rests(self, key: Key, uid: str, peers: Sequence[Peer], living: Sequence[GatewayPod], *, watched: bool) -> None:
        ready = [pod for pod in living if pod.ready]
        if watched or not ready:
            self._resting.pop(uid, None)
            return
        troubled = in_trouble([pod.weights for pod in ready], [pod.recent for pod in ready])
        self._resting[uid] = Resting(key, [peer for peer in peers if peer.ready], troubled)

    def _killed(self, uid: str, found: tuple[MemoryKill, ...]) -> tuple[MemoryKill, ...]:
        """The recent ones that were not reported; what an operator before this one reported is news for two minutes."""
        known, since = self._killed_before.get(uid, frozenset()), self._clock.now() - _LATE
        return tuple(one for one in found if one not in known and one.at >= since)


def _peer(pod: Mapping[str, Any], found: Sorted, operator_key: bytes) -> Peer:
    return Peer.of(pod, None if pod["metadata"]["name"] in found.keyless else operator_key)


def _fleet(key: Key, owner: Object, peers: Sequence[Peer], found: Sorted) -> Fleet:
    leaving = frozenset(pod["metadata"]["name"] for pod in found.ours if pod["metadata"].get("deletionTimestamp"))
    slim = {"apiVersion": owner["apiVersion"], "kind": owner["kind"]}
    slim["metadata"] = {name: owner["metadata"][name] for name in ("name", "namespace", "uid")}
    return Fleet(key, slim, peers, leaving, frozenset(pod["metadata"]["name"] for pod in found.unknown))


def _pod(reading: PodReading) -> GatewayPod:
    evidence = reading.evidence
    if evidence is None:
        return GatewayPod(reading.pod, reading.ready, twins=reading.twins)
    return GatewayPod(
        name=reading.pod,
        ready=reading.ready,
        generation=evidence.config_generation,
        error=evidence.config_error,
        weights=evidence.weights,
        recent=evidence.recent,
        boot_id=evidence.boot_id,
        drill=evidence.drill,
    )
