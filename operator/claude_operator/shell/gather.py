"""Everything that one pass over a ClaudeDeployment has to know, read from the API server and the gateways."""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pydantic import ValidationError

from claude_operator.api.conditions import Reason
from claude_operator.api.deployment import DeploymentSpec
from claude_operator.api.faults import first_fault
from claude_operator.api.gateway import CONFIG_KEY, GatewayConfig, parse_config
from claude_operator.api.resources import EvalRunStatus
from claude_operator.api.status import DeploymentStatus
from claude_operator.core import names
from claude_operator.core.catalogue.table import Model
from claude_operator.core.judge.evidence.increments import Memory, PodReading, history
from claude_operator.core.judge.evidence.measurements import Measurement
from claude_operator.core.judge.evidence.offset import CohortHistory
from claude_operator.core.judge.evidence.sample import Values
from claude_operator.core.judge.judges import threshold
from claude_operator.core.judge.metrics import quantities
from claude_operator.core.reconcile import checkpoint
from claude_operator.core.reconcile.checkpoint import Told
from claude_operator.core.reconcile.observation import GatewayPod, GatewayView, MemoryKill, Observation
from claude_operator.core.reconcile.plausible import plausible
from claude_operator.core.reconcile.pod_trouble import memory_kills, trouble
from claude_operator.core.reconcile.progress import active, cohorts_due, watched_by
from claude_operator.core.reconcile.serving import in_trouble
from claude_operator.core.spec.validate import Problem
from claude_operator.kube.client import Kube, KubeError, Object
from claude_operator.kube.resources import (
    CLAUDE_DEPLOYMENTS,
    CLAUDE_EVAL_RUNS,
    CLAUDE_REVISIONS,
    CONFIG_MAPS,
    DEPLOYMENTS,
    PODS,
)
from claude_operator.log import fields
from claude_operator.shell.children import Children
from claude_operator.shell.keys import Key
from claude_operator.shell.ledgers import Ledgers
from claude_operator.shell.patrol import Resting
from claude_operator.shell.prometheus import PrometheusReader
from claude_operator.shell.references import ReferenceReader, References
from claude_operator.shell.scrape import Scraper, is_ready

__all__ = ["Gatherer", "Seen"]

_log = logging.getLogger(__name__)

_LATE = dt.timedelta(minutes=2)  # in which an end for lack of memory is news


@dataclass(frozen=True, slots=True)
class Seen:
    """An observation, what its writes are fenced by, and the memory of evidence once they have been done."""

    observation: Observation
    config_version: str | None
    """resourceVersion of the live ConfigMap."""
    memory: Memory
    at: float
    """When it was, by the monotonic clock."""


class Gatherer:
    """Reads; keeps what goes with each status that it saw written (`core.told`), which `remember` moves on."""

    def __init__(
        self,
        kube: Kube,
        scraper: Scraper,
        children: Children,
        references: ReferenceReader,
        prometheus: PrometheusReader,
        ledgers: Ledgers,
        models: Callable[[], Mapping[str, Model]],
        now: Callable[[], dt.datetime],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kube, self._scraper, self._children, self._references = kube, scraper, children, references
        self._prometheus, self._ledgers, self._models, self._now = prometheus, ledgers, models, now
        self._clock = clock
        self._told: dict[str, list[Told]] = {}
        """By UID, the newest last."""
        self._resting: dict[str, Resting] = {}
        self._killed_before: dict[str, frozenset[MemoryKill]] = {}
        """By UID: what ran out of memory of late, and was told."""

    async def gather(self, key: Key) -> Seen | None:
        """The observation of now, None where there is no such ClaudeDeployment, or it is being deleted."""
        owner = await self._kube.get(CLAUDE_DEPLOYMENTS, key.name, key.namespace)
        if owner is None or owner["metadata"].get("deletionTimestamp"):
            return None
        uid = owner["metadata"]["uid"]
        stored = await self._status(owner)
        status, _ = plausible(stored, self._now())  # what is read of gateways follows what will be decided on
        known = checkpoint.find(self._told.get(uid, ()), status)
        before = checkpoint.preliminary(status, known, wall=self._now(), at=self._clock())
        wait = checkpoint.due(status, known, before)
        spec, invalid = _parse(owner)
        selector = {"label_selector": f"{names.LABEL_DEPLOYMENT}={key.name}"}
        measuring = asyncio.ensure_future(self._measurements(key, uid, status, wait, before))
        references, revisions, runs, config_map, (view, readings, cohorts), (taken, lost) = await asyncio.gather(
            self._references.read(key.namespace, spec) if spec else _nothing(),
            self._kube.list(CLAUDE_REVISIONS, key.namespace, **selector),
            self._kube.list(CLAUDE_EVAL_RUNS, key.namespace, **selector),
            self._kube.get(CONFIG_MAPS, names.gateway_name(key.name), key.namespace),
            self._gateways(key, owner, status, wait),
            self._children.taken(owner),
        )
        measurements = await measuring
        ours = config_map is not None and self._children.is_ours(owner, config_map)
        if config_map is not None and not ours and not taken:
            self._children.doubt(owner)
            taken, lost = await self._children.taken(owner)
        if not taken:
            found = [*lost, *revisions, *runs, *([config_map] if config_map else [])]
            adopted = await self._children.adopt(owner, found)
            config_map = adopted.get(config_map["metadata"]["uid"], config_map) if config_map else None
            config_map = await self._children.config_seen(owner, config_map, served=status.gateway is not None)
        at = self._clock()
        look = checkpoint.look(status, known, readings, wait=wait, wall=self._now(), at=at)
        now, increments, memory = look.now, look.increments, look.memory
        wanted = increments is not None or active(status) is None
        problems = [*taken, *invalid, *references.problems]
        observation = Observation(
            now=now,
            owner=owner,
            spec=spec,
            status=stored,
            problems=tuple(problems),
            prompts=references.prompts,
            revisions=self._by_name(owner, revisions),
            eval_set=references.eval_set,
            eval_runs={name: _run_status(run) for name, run in self._by_name(owner, runs).items()},
            config=_config(config_map) if config_map and ours else None,
            gateway=view,
            refused=self._children.writes.refused(uid),
            outdated=definitions.sentence() if (definitions := self._children.writes.definitions) else "",
            increments=increments,
            readings=memory.readings,
            history=_history(status, memory) if increments is not None else {},
            cohorts=cohorts,
            ledger=await self._ledgers.read(uid, key.namespace, status) if wanted else None,
            measurements=measurements,
            models=self._models(),
        )
        version = config_map["metadata"]["resourceVersion"] if config_map and ours else None
        return Seen(observation, version, memory, at)

    def announce(self, seen: Seen, status: DeploymentStatus) -> None:
        """Before the writes: `status` tells the increments of this pass, should it be stored whatever else fails."""
        uid, now = seen.observation.owner["metadata"]["uid"], seen.observation.now
        known = self._told.get(uid, ())
        self._told[uid] = checkpoint.announced(known, status, memory=seen.memory, now=now, at=seen.at)

    def remember(self, seen: Seen) -> None:
        """The writes of this pass are done: its increments count as told."""
        uid = seen.observation.owner["metadata"]["uid"]
        self._told[uid] = self._told[uid][-1:]
        late = seen.observation.now - _LATE
        killed = self._killed_before.get(uid, frozenset()).union(seen.observation.gateway.killed)
        self._killed_before[uid] = frozenset(one for one in killed if one.at >= late)

    def forget(self, live: set[str]) -> None:
        """Drop the memory of ClaudeDeployments that are no more; `live` are UIDs."""
        self._told = {uid: known for uid, known in self._told.items() if uid in live}
        self._killed_before = {uid: known for uid, known in self._killed_before.items() if uid in live}
        self._resting = {uid: one for uid, one in self._resting.items() if uid in live}
        self._prometheus.forget(live)
        self._ledgers.forget(live)

    async def _status(self, owner: Object) -> DeploymentStatus:
        """The status as stored; one that cannot be read, of another version say, is lost: stable comes from the config.

        It goes whole, since half of it could give traffic unwatched, and from the API server too, since an apply does
        not take out what others wrote. Raises `KubeError` with `conflict`, so that the pass begins anew.
        """
        try:
            return DeploymentStatus.model_validate(owner.get("status") or {})
        except ValidationError as error:
            _unreadable(owner, error)
            name, namespace = owner["metadata"]["name"], owner["metadata"]["namespace"]
            await self._kube.patch_status(CLAUDE_DEPLOYMENTS, name, namespace, dict.fromkeys(owner["status"]))
            raise KubeError(409, "Unreadable", f"the status of {name} could not be read and was cleared") from None

    async def _measurements(
        self, key: Key, uid: str, status: DeploymentStatus, wait: float | None, now: dt.datetime
    ) -> tuple[Measurement, ...]:
        """Answers of Prometheus, where a tick is due that can take them in; this takes a tenth of a second at most."""
        rollout = active(status)
        if rollout is None or wait is None or status.stable_revision is None:
            return await self._prometheus.collect(uid, ())
        if wait > 0:
            return ()
        queries = threshold.due(
            rollout.plan.analysis,
            status.judgement,
            deployment=key.name,
            namespace=key.namespace,
            stable=status.stable_revision,
            canary=rollout.revision,
            now=now,
        )
        return await self._prometheus.collect(uid, queries)

    async def _gateways(
        self, key: Key, owner: Object, status: DeploymentStatus, wait: float | None
    ) -> tuple[GatewayView, list[PodReading], CohortHistory | None]:
        uid, name = owner["metadata"]["uid"], names.gateway_name(key.name)
        chosen = names.selector(key.name, "gateway")
        selector = ",".join(f"{label}={value}" for label, value in chosen.items())
        deployment, pods = await asyncio.gather(
            self._kube.get(DEPLOYMENTS, name, key.namespace),
            self._kube.list(PODS, key.namespace, label_selector=selector),
        )
        if deployment is not None and not self._children.is_ours(owner, deployment):
            return GatewayView(), [], None
        if deployment is not None and not names.is_controlled_by(deployment, uid):
            self._children.look_at(owner, deployment)
        wanted = wait == 0 and cohorts_due(status)
        keep = wait == 0 or (wait is None and active(status) is not None)  # the reading that a status may tell
        readings, cohorts = await asyncio.gather(
            self._scraper.read(pods, since=status.readings, keep=keep),
            self._scraper.read_cohorts(pods if wanted else ()),
        )
        living = [
            GatewayPod(
                name=reading.pod,
                ready=is_ready(pod),
                generation=reading.evidence.config_generation if reading.evidence else None,
                error=reading.evidence.config_error if reading.evidence else "",
                weights=reading.evidence.weights if reading.evidence else None,
                recent=reading.evidence.recent if reading.evidence else None,
            )
            for pod, reading in zip(pods, readings, strict=True)
            if not pod["metadata"].get("deletionTimestamp")
        ]
        present = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
        view = GatewayView(
            deployment is not None and _settled(deployment),
            sum(pod.ready for pod in living),
            tuple(living),
            trouble(deployment, present),
            self._killed(uid, memory_kills(present)),
        )
        self._rests(key, uid, pods, living, watched=watched_by(status) is not None)
        return view, readings, CohortHistory.merged(cohorts) if wanted else None

    def resting(self) -> list[Resting]:
        """Those of which no readings are made, as their last pass saw them."""
        return list(self._resting.values())

    def _rests(self, key: Key, uid: str, pods: list[Object], living: list[GatewayPod], *, watched: bool) -> None:
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
        """Those of late that were not told; what an operator before this one told is news for two minutes."""
        known, since = self._killed_before.get(uid, frozenset()), self._now() - _LATE
        return tuple(one for one in found if one not in known and one.at >= since)

    def _by_name(self, owner: Object, found: list[Object]) -> dict[str, Object]:
        return {one["metadata"]["name"]: one for one in found if self._children.is_ours(owner, one)}


def _history(status: DeploymentStatus, memory: Memory) -> dict[str, Values]:
    """Stable's values up to now, of quantities that the judge has no edges for."""
    rollout = active(status)
    if rollout is None or status.stable_revision is None:
        return {}
    known = {state.name for state in (status.judgement.state if status.judgement else ()) if state.edges}
    wanted = [name for name in quantities(rollout.plan.analysis) if name not in known]
    return {name: history(memory, status.stable_revision, name) for name in wanted}


async def _nothing() -> References:
    return References()


def _parse(owner: Object) -> tuple[DeploymentSpec | None, list[Problem]]:
    """The spec, or the first thing in it that cannot be read."""
    try:
        return DeploymentSpec.model_validate(owner["spec"]), []
    except ValidationError as error:
        return None, [Problem(Reason.INVALID_SPEC, first_fault(error, "spec"))]


def _run_status(run: Object) -> EvalRunStatus:
    """The status of a run; one that cannot be read gates as one that has not ended."""
    try:
        return EvalRunStatus.model_validate(run.get("status") or {})
    except ValidationError as error:
        _unreadable(run, error)
        return EvalRunStatus()


def _unreadable(one: Object, error: ValidationError) -> None:
    metadata = {key: one["metadata"][key] for key in ("namespace", "name")}
    _log.error(
        "a status cannot be read", extra=fields(kind=one["kind"], **metadata, error=first_fault(error, "status"))
    )


def _config(config_map: Object) -> GatewayConfig | None:
    try:
        return parse_config((config_map.get("data") or {}).get(CONFIG_KEY, ""))
    except ValueError as error:
        _log.warning("config.json cannot be read and is written anew", extra=fields(reason=str(error)))
        return None


def _settled(deployment: Object) -> bool:
    """Every replica is of the newest template and available, and none of another is left."""
    spec, status = deployment["spec"], deployment.get("status") or {}
    wanted = spec.get("replicas", 1)
    seen = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    counts = [status.get(name, 0) for name in ("updatedReplicas", "availableReplicas", "replicas")]
    return bool(seen and all(number == wanted for number in counts))
