"""The operator's loop over one ClaudeDeployment, on an API server in memory, gateways that count, and a set clock."""

from __future__ import annotations

import copy
import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from tests import admin_port, workloads
from tests.shell.fakes import FakeKube, SetClock

from claude_operator.api.evidence import Before, Counters, Evidence, GenerationEvidence, Recent, Stratum
from claude_operator.api.gateway import GatewayConfig, read_config
from claude_operator.api.status import DeploymentStatus, Reading
from claude_operator.core import names, render
from claude_operator.core.judge.evidence.increments import PodReading
from claude_operator.core.judge.evidence.measurements import Measurement, Query
from claude_operator.core.operator_key import is_signed
from claude_operator.core.spec.policy import OPEN
from claude_operator.core.usage.state import UsageState
from claude_operator.kube.client import Object
from claude_operator.shell.act import Actor
from claude_operator.shell.children import Children
from claude_operator.shell.endings import Endings
from claude_operator.shell.events import Recorder
from claude_operator.shell.gateway_view import GatewayReader
from claude_operator.shell.gather import Gatherer, Sources
from claude_operator.shell.keyring import Keyring
from claude_operator.shell.keys import DEPLOYMENT, Key
from claude_operator.shell.ledgers import Ledgers
from claude_operator.shell.metrics import Metrics
from claude_operator.shell.reconcile import DeploymentLoop, Reconciler
from claude_operator.shell.references import ReferenceReader
from claude_operator.shell.scrape import Peer

START = dt.datetime(2026, 11, 24, 10, 0, 0, 123456, tzinfo=dt.UTC)
SITE = render.Site("registry.example.com/claude-operator:1", "IfNotPresent", network=render.NetworkRules())
NAME, SPACE = "support", "demo"
KEY = Key(DEPLOYMENT, SPACE, NAME)
SPEC: Object = {
    "request": {"model": "claude-opus-5-5", "max_tokens": 100, "system": [{"type": "text", "text": "Be kind."}]},
    "upstream": {"apiKeySecretRef": {"name": "anthropic", "key": "api-key"}},
    "gateway": {"replicas": 1},
    "strategy": {
        "canary": {
            "steps": [{"setWeight": 10}, {"bake": {"minDuration": "1h", "maxDuration": "2h"}}],
            "analysis": {"interval": "5s"},
        }
    },
}
SECRET_VALUE = "c2stYW50LXZlcnktc2VjcmV0"


def deployment(**spec: Any) -> Object:
    """A ClaudeDeployment as a person applies it."""
    return {
        "apiVersion": "claudeops.dev/v1alpha1",
        "kind": "ClaudeDeployment",
        "metadata": {"name": NAME, "namespace": SPACE},
        "spec": copy.deepcopy(SPEC | spec),
    }


def secret(name: str = "anthropic", **data: str) -> Object:
    """A Secret as it is stored."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": SPACE},
        "data": data or {"api-key": SECRET_VALUE},
    }


class Gateways:
    """What the pods say: counts by pod, config generation and revision; it stands in for the Scraper."""

    def __init__(self, kube: FakeKube, clock: Callable[[], dt.datetime]) -> None:
        self._kube, self._clock = kube, clock
        self.counts: dict[str, dict[tuple[int, str, str], list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
        self.boots: dict[str, str] = {}
        self.silent: set[str] = set()
        self.kept: dict[str, list[Evidence]] = defaultdict(list)
        self.keeps = True
        self.asked: dict[str, Peer] = {}
        self.serves = self._served = 0
        """A generation below which they serve none."""
        self.recent: Recent | None = None
        self.born: dict[str, dt.datetime] = {}

    def serve(self, pod: str, role: str, good: int, bad: int = 0) -> None:
        """So many requests more by the arm of a role."""
        config = self.config
        arm = next(arm for arm in config.arms if arm.role == role)
        counts = self.counts[pod][config.generation, arm.revision, role]
        counts[0] += good
        counts[1] += bad

    @property
    def signed(self) -> bool:
        """Whether what is live is signed with the key that the pods have; such of an earlier version ask for none."""
        if ("Secret", SPACE, names.gateway_name(NAME)) not in self._kube.objects:
            return True
        key = admin_port.key_in(self._kube.take("Secret", names.gateway_name(NAME)))
        return is_signed(key, self._kube.take("ConfigMap", names.gateway_name(NAME))["data"])

    @property
    def config(self) -> GatewayConfig:
        """What is live."""
        return read_config(self._kube.take("ConfigMap", names.gateway_name(NAME))["data"])

    async def read(
        self, pods: Sequence[Peer], *, since: Sequence[Reading] = (), keep: bool = False
    ) -> list[PodReading]:
        """As the Scraper does, and as the gateways answer it."""
        self.asked = {pod.name: pod for pod in pods}
        told = {mark.pod: mark for mark in since}
        readings = []
        for pod in pods:
            found = None if pod.name in self.silent else self._kept(pod.name, told.get(pod.name), keep)
            readings.append(PodReading(pod.name, pod.ready, found))
        return readings

    def _kept(self, pod: str, mark: Reading | None, keep: bool) -> Evidence:
        evidence = self._evidence(pod)
        kept = self.kept[evidence.boot_id]
        if keep and self.keeps:
            evidence = msgspec.structs.replace(evidence, reading=len(kept) + 1)
            kept.append(evidence)
        if mark is None or mark.boot_id != evidence.boot_id or mark.reading > len(kept):
            return evidence
        then = kept[mark.reading - 1]
        return msgspec.structs.replace(evidence, before=Before(then.reading, then.uptime, then.generations))

    async def read_cohorts(self, pods: Sequence[Peer]) -> list[Any]:
        """As the Scraper does; nothing is known of cohorts."""
        return []

    def _evidence(self, pod: str) -> Evidence:
        strata: dict[int, list[Stratum]] = defaultdict(list)
        for (generation, revision, role), (good, bad) in self.counts[pod].items():
            counters = Counters(requests=good + bad, outcomes={"ok": good, "error": bad})
            strata[generation].append(Stratum(revision, role, "other", "none", counters))  # type: ignore[arg-type]
        try:
            self._served = self.config.generation if self.signed else self._served
        except (KeyError, ValueError):
            self._served = 0
        served = max(self._served, self.serves)
        generations = [GenerationEvidence(generation, strata[generation]) for generation in sorted(strata)]
        boot = self.boots.get(pod, f"boot-{pod}")
        uptime = (self._clock() - self.born.setdefault(boot, self._clock())).total_seconds() + 1.0
        return Evidence(boot, served, uptime, generations, recent=self.recent)


class Prometheus:
    """Answers by metric; it stands in for the PrometheusReader. What has neither value nor error is not there yet."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.errors: dict[str, str] = {}
        self.asked: list[tuple[Query, ...]] = []

    async def collect(self, owner: str, queries: Sequence[Query], *, tenant: str = "") -> tuple[Measurement, ...]:
        """As the PrometheusReader does."""
        self.asked.append(tuple(queries))
        return tuple(
            Measurement(one.name, self.values.get(one.name), self.errors.get(one.name, ""), at=one.at)
            for one in queries
            if one.name in self.values or one.name in self.errors
        )

    def forget(self, live: set[str]) -> None:
        """As the PrometheusReader does."""


class Rig:
    """All of it. `passes()` makes passes at the set time, `wait()` moves it."""

    def __init__(self, kube: FakeKube | None = None) -> None:
        self.kube = kube or FakeKube()
        self.clock = SetClock(START)
        self.gateways = Gateways(self.kube, lambda: self.now)
        self.prometheus = Prometheus()
        self.metrics = Metrics()
        self.policy = OPEN
        self.usage: UsageState | None = None
        """What is known of it."""
        self.start_operator()

    def start_operator(self) -> None:
        """Another process: nothing is remembered."""
        kube: Any = self.kube
        keyring = Keyring(kube, "claude-system", clock=self.clock.monotonic)
        self.children = Children(kube, keyring, clock=self.clock.monotonic, network_policies=True)
        ledgers = Ledgers(kube)
        gateways = GatewayReader(kube, self.gateways, self.children, self.clock)  # type: ignore[arg-type]
        references, prometheus, usage = ReferenceReader(kube, self.policy), self.prometheus, lambda uid: self.usage
        sources = Sources(gateways, references, prometheus, ledgers, dict, usage=usage)  # type: ignore[arg-type]
        self.gatherer = Gatherer(kube, self.children, sources, self.clock)
        self.actor = Actor(kube, self.children, Recorder(kube, instance="one"), ledgers, self.metrics)
        loop = DeploymentLoop(self.gatherer, self.actor, SITE, Endings(self.clock.monotonic), self.metrics.deployments)
        self.reconciler = Reconciler(loop, loop, self.metrics)

    async def one(self) -> float | None:
        """One pass."""
        return await self.reconciler(KEY)

    async def settle(self, most: int = 20) -> None:
        """Passes, as long as one asks for the next within a second; pods do what they are told in between."""
        for _ in range(most):
            after = await self.one()
            self.roll_out()
            if after is None or after > 1.0:
                return
            self.wait(after)
        raise AssertionError(f"it does not come to rest: {self.status}")

    @property
    def now(self) -> dt.datetime:
        """The time, whatever people set."""
        return self.clock.moment

    def wait(self, seconds: float) -> None:
        """Time goes by."""
        self.clock.moment += dt.timedelta(seconds=seconds)

    def roll_out(self) -> None:
        """The gateway Deployment becomes what it is to be, with one pod."""
        if ("Deployment", SPACE, names.gateway_name(NAME)) not in self.kube.objects:
            return
        found = self.kube.take("Deployment", names.gateway_name(NAME))
        wanted = found["spec"]["replicas"]
        counts = dict.fromkeys(("updatedReplicas", "availableReplicas", "replicas"), wanted)
        status = {"observedGeneration": found["metadata"]["generation"], **counts}
        if found.get("status") != status:
            self.kube.put({**found, "status": status})
        if not self.kube.names("Pod"):
            self.pod("gw-1")
        else:
            self.replica_set()  # what an earlier Deployment left is adopted

    def pod(self, name: str, *, ready: bool = True, **metadata: Any) -> None:
        """A gateway pod."""
        labels = names.selector(NAME, "gateway")
        metadata = {"ownerReferences": self.replica_set(), **metadata}
        conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
        self.kube.put(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": name, "namespace": SPACE, "labels": labels, **metadata},
                "status": {"podIP": "10.0.0.1", "conditions": conditions},
            }
        )

    def replica_set(self) -> list[Object]:
        """The reference of a pod to its ReplicaSet, which is there as long as the Deployment is."""
        found = self.kube.objects.get(("Deployment", SPACE, names.gateway_name(NAME)))
        return [workloads.controller(self.kube.put(workloads.replica_set(found)))] if found else []

    def edit(self, **spec: Any) -> None:
        """`kubectl apply` of a spec with these fields changed."""
        found = self.kube.take("ClaudeDeployment", NAME)
        self.kube.put({**found, "spec": {**found["spec"], **copy.deepcopy(spec)}})

    def say(self, text: str) -> None:
        """Another prompt: another revision."""
        self.edit(request={**SPEC["request"], "system": [{"type": "text", "text": text}]})

    def events(self, reason: str) -> list[str]:
        """Notes of the Events with this reason."""
        found = [body for (kind, _, _), body in sorted(self.kube.objects.items()) if kind == "Event"]
        return [event["note"] for event in found if event["reason"] == reason]

    @property
    def status(self) -> DeploymentStatus:
        """As it is stored."""
        return DeploymentStatus.model_validate(self.kube.take("ClaudeDeployment", NAME).get("status") or {})

    def condition(self, type_: str) -> tuple[str, str, str]:
        """(status, reason, message)."""
        found = next(one for one in self.status.conditions if one.type == type_)
        return found.status, found.reason, found.message

    def counted(self, arm: str) -> list[int]:
        """[requests, bad] that the judge has been told of, by the metric errors."""
        judgement = self.status.judgement
        assert judgement is not None
        return getattr(next(one for one in judgement.state if one.name == "errors"), arm)


async def serving(**spec: Any) -> Rig:
    """A first revision serves everything."""
    rig = Rig()
    rig.kube.put(secret())
    rig.kube.put(deployment(**spec))
    await rig.settle()
    assert rig.status.stable_revision, rig.status
    return rig


async def on_trial(**spec: Any) -> Rig:
    """A second revision has a tenth of the traffic and is judged; the first reading, a baseline, is done."""
    rig = await serving(**spec)
    rig.say("Be brief.")
    await rig.settle()
    assert rig.gateways.config.arm("canary").weight == 1000, rig.status  # type: ignore[union-attr]
    rig.wait(5)
    await rig.one()
    rig.kube.writes.clear()
    rig.kube.calls.clear()
    return rig
