"""A cluster in memory, stepped by a simulated clock: what the decision core sees, and what becomes of its decisions.

It keeps what the API server keeps, does what the shell, the gateways and eval Jobs do, and after every write and
every pass it checks what must always hold.
"""

from __future__ import annotations

import copy
import datetime as dt
import json
import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import msgspec
from pydantic import ValidationError

from claude_operator.api.base import seconds
from claude_operator.api.conditions import Reason, Type
from claude_operator.api.deployment import DeploymentSpec
from claude_operator.api.gateway import (
    Before,
    Counters,
    Evidence,
    GatewayConfig,
    GenerationEvidence,
    Histogram,
    InFlight,
    Recent,
    Stratum,
    dump_config,
    parse_config,
)
from claude_operator.api.kinds import KINDS, object_schema
from claude_operator.api.resources import EvalRunStatus
from claude_operator.api.status import DeploymentStatus, Reading
from claude_operator.core import render
from claude_operator.core.catalogue.table import Model
from claude_operator.core.judge.evidence.increments import Memory, PodReading, history
from claude_operator.core.judge.evidence.sample import Values
from claude_operator.core.judge.ledger import config_map
from claude_operator.core.reconcile import checkpoint
from claude_operator.core.reconcile.checkpoint import Look, Told
from claude_operator.core.reconcile.decide import decide
from claude_operator.core.reconcile.decision import Decision
from claude_operator.core.reconcile.observation import EvalSetView, GatewayPod, GatewayView, Observation
from claude_operator.core.reconcile.plausible import plausible
from claude_operator.core.reconcile.progress import active, canary_weight
from claude_operator.core.spec.validate import Problem
from claude_operator.replay.replay import replay

START = dt.datetime(2026, 11, 24, 10, 0, tzinfo=dt.UTC)
SITE = render.Site(image="registry.example.com/claude-operator:1.2.3", pull_policy="IfNotPresent")
SET_HASH = "0123456789abcdef" * 4
Object = dict[str, Any]

REQUEST: Object = {"model": "claude-opus-5-5", "max_tokens": 1024, "system": [{"type": "text", "text": "Be kind."}]}
STEPS: list[Object] = [
    {"setWeight": 1},
    {"bake": {"minDuration": "1m", "minRequests": 10}},
    {"setWeight": 10},
    {"bake": {"minDuration": "1m", "minRequests": 100}},
    {"setWeight": 50},
    {"bake": {"minDuration": "1m", "minRequests": 100}},
    {"setWeight": 100},
]
QUICK: list[Object] = [
    {"setWeight": 10},
    {"bake": {"minDuration": "10s", "minRequests": 5}},
    {"setWeight": 50},
    {"bake": {"minDuration": "10s", "minRequests": 5}},
]


UNPROVEN: Object = {"toleratedIncrease": "100%"}
"""An analysis whose bakes ask for no proof, so that time and requests alone decide."""


class CrashError(Exception):
    """The operator dies before a write."""


@dataclass
class Pod:
    """A gateway pod: serves a config, takes over a new one after a while, and counts."""

    name: str
    boot: int
    born: dt.datetime
    ready_at: dt.datetime
    lag: float
    config: GatewayConfig | None = None
    coming: list[tuple[dt.datetime, GatewayConfig]] = field(default_factory=list)
    counts: dict[int, dict[tuple[str, str], list[int]]] = field(default_factory=dict)
    paces: dict[tuple[int, str], dict[float, int]] = field(default_factory=dict)
    """Answers by generation and revision, and how many times as slow as usual they were."""
    silent: bool = False
    kept: list[Evidence] = field(default_factory=list)
    lately: dict[int, tuple[int, dict[str, int]]] = field(default_factory=dict)
    """By second: requests, and failures by cause."""
    hanging: dict[str, list[tuple[dt.datetime, int]]] = field(default_factory=dict)
    """By revision: requests that wait for an answer, and since when."""

    def evidence(self, now: dt.datetime, since: Reading | None = None, *, keep: bool = False) -> Evidence:
        """What it says on its admin port, and what it remembers of it."""
        evidence = self._counted(now)
        if keep:
            evidence = msgspec.structs.replace(evidence, reading=len(self.kept) + 1)
            self.kept.append(evidence)
        known = since and since.boot_id == evidence.boot_id and since.reading <= len(self.kept)
        if not since or not known:
            return evidence
        then = self.kept[since.reading - 1]
        return msgspec.structs.replace(evidence, before=Before(then.reading, then.uptime, then.generations))

    def _counted(self, now: dt.datetime) -> Evidence:
        """Counts are [requests, ok, error, overload, refusal, account]."""
        generations = [
            GenerationEvidence(
                generation,
                [
                    Stratum(
                        revision,
                        role,  # type: ignore[arg-type]
                        "other",
                        "none",
                        Counters(
                            requests=n,
                            outcomes={"ok": ok, "error": error, "overload": overload, "account": account},
                            stop_reasons={"refusal": refusal},
                            conversations=n,
                            bad_conversations={"error": error, "refusal": refusal},
                            ttft=latencies(self.paces.get((generation, revision), {})),
                        ),
                    )
                    for (revision, role), (n, ok, error, overload, refusal, account) in strata.items()
                ],
            )
            for generation, strata in sorted(self.counts.items())[-4:]
        ]
        served = self.config.generation if self.config else 0
        return Evidence(
            f"boot-{self.boot}",
            served,
            (now - self.born).total_seconds(),
            generations,
            in_flight=[
                InFlight(revision, waiting, waiting, (now - min(at for at, _ in since)).total_seconds())
                for revision, since in self.hanging.items()
                if (waiting := sum(n for _, n in since))
            ],
            recent=self.recent,
            weights={arm.revision: arm.weight for arm in self.config.arms} if self.config else None,
        )

    @property
    def recent(self) -> Recent:
        """What clients got in the last ten seconds."""
        requests = sum(n for n, _ in self.lately.values())
        causes = {
            cause: n
            for cause in ("error", "overload", "account")
            if (n := sum(of.get(cause, 0) for _, of in self.lately.values()))
        }
        return Recent(requests=requests, failed=sum(causes.values()), causes=causes)


@dataclass(frozen=True)
class Rates:
    """What becomes of a revision's requests, as shares of all."""

    error: float = 0.0
    overload: float = 0.0
    refusal: float = 0.0
    account: float = 0.0
    hang: float = 0.0
    """Those that are never answered."""
    pace: float = 1.0
    """Times as slow as usual to the first token."""


_USUAL = [0.3 * math.exp(0.12 * k) for k in range(20)]  # seconds to the first token, each as often as the other


def latencies(paces: Mapping[float, int]) -> Histogram:
    """What a gateway has counted of times to the first token."""
    count, total, squares, ln_sum, ln_squares = 0, 0.0, 0.0, 0.0, 0.0
    buckets: dict[str, int] = {}
    for pace, answers in paces.items():
        for k, usual in enumerate(_USUAL):
            times = answers // len(_USUAL) + (k < answers % len(_USUAL))
            value, ln = usual * pace, math.log(usual * pace)
            index = str(math.floor(ln / math.log(1.25)))
            buckets[index] = buckets.get(index, 0) + times
            count, total, squares = count + times, total + times * value, squares + times * value * value
            ln_sum, ln_squares = ln_sum + times * ln, ln_squares + times * ln * ln
    return Histogram(count, total, squares, ln_sum, ln_squares, {key: n for key, n in buckets.items() if n})


class World:
    """One ClaudeDeployment and all that it touches."""

    def __init__(
        self, spec: Object | None = None, *, name: str = "support", seed: int = 1, traffic: float = 40.0
    ) -> None:
        self.now = self.epoch = START
        self._seed, self._rest = seed, dict[tuple[str, str, str], float]()
        self.owner: Object = {
            "apiVersion": "claudeops.dev/v1alpha1",
            "kind": "ClaudeDeployment",
            "metadata": {
                "name": name,
                "namespace": "demo",
                "uid": "5d4c0a54-0000-4000-8000-000000000001",
                "generation": 1,
                "annotations": {},
            },
            "spec": stored(spec if spec is not None else self.spec()),
        }
        self.status: Object = {}
        self._parsed = (self.status, DeploymentStatus())
        self.revisions: dict[str, Object] = {}
        self.runs: dict[str, EvalRunStatus] = {}
        self.ledgers: dict[str, dict[str, str]] = {}
        self.config: GatewayConfig | None = None
        self.pods: list[Pod] = []
        self.told: list[Told] = []
        self.skew = 0.0
        """Seconds by which the operator's wall clock is ahead."""
        self.eval_set: EvalSetView | None = None
        self.problems: dict[str, Problem] = {}
        self.prompts: dict[tuple[str, str], str] = {}
        self.models: dict[str, Model] = {}
        self.traffic = traffic
        self.rates: dict[str, Rates] = {}
        self.log: list[str] = []
        self.writes = 0
        self.passes = 0
        self.fault: Callable[[int, str], str | None] = lambda index, what: None
        self._boots = 0
        self._next: dt.datetime = START
        self._ended: set[tuple[str, int]] = set()
        self.checked = True
        self._at_once = 0

    @staticmethod
    def spec(**fields: Any) -> Object:
        """A spec as a user writes it."""
        base = {
            "request": REQUEST,
            "upstream": {"apiKeySecretRef": {"name": "anthropic", "key": "api-key"}},
            "strategy": {"canary": {"steps": STEPS, "analysis": UNPROVEN}},
        }
        return copy.deepcopy(base | fields)

    def fork(self) -> World:
        """The same world, to go another way from here."""
        unchanging = [*self.told, *(each for pod in self.pods for each in pod.kept), self._parsed[1], self.config]
        unchanging += self.revisions.values()
        return copy.deepcopy(self, {id(one): one for one in unchanging})

    def begin(self) -> World:
        """Forget the transcript and count the time from now."""
        self.log.clear()
        self.epoch = self.now
        return self

    # ------------------------------------------------------------------------------------- what people do

    def edit(self, note: str = "", **fields: Any) -> None:
        """Change fields of the spec, as `kubectl apply`; None removes one."""
        raw = {key: value for key, value in (self.owner["spec"] | copy.deepcopy(fields)).items() if value is not None}
        raw = stored(raw)
        if raw != self.owner["spec"]:
            self.owner["metadata"]["generation"] += 1
            self.owner["spec"] = raw
        self.user(note or f"edits {', '.join(fields)}")

    def say(self, text: str) -> None:
        """Another system prompt: another revision."""
        self.edit(f"changes the prompt to {text!r}", request=REQUEST | {"system": [{"type": "text", "text": text}]})

    def annotate(self, name: str, value: str | None) -> None:
        """`kubectl annotate`; None removes it."""
        annotations = self.owner["metadata"]["annotations"]
        key = f"claudeops.dev/{name}"
        if value is None:
            annotations.pop(key, None)
        else:
            annotations[key] = value
        self.user(f"annotates {name}={value}" if value else f"removes the annotation {name}")

    def user(self, note: str) -> None:
        """Write down what a person did, and wake the operator."""
        self.tell("·", note)
        self._next = self.now

    def finish_eval(self, phase: str, message: str = "", reason: str = "") -> None:
        """The newest eval run ends."""
        name = list(self.runs)[-1]
        self.runs[name] = EvalRunStatus(phase=phase, message=message, reason=reason)  # type: ignore[arg-type]
        self.user(f"the eval run ends: {phase}")

    def restart_operator(self) -> None:
        """Another process takes over: what it remembered of evidence is gone."""
        self.told = []
        self._next = self.now

    def restart_pod(self, index: int = 0) -> None:
        """A gateway pod is replaced."""
        self.pods[index] = self._pod(self.pods[index].name + "x", 3.0)
        self._next = self.now

    def fail_write(self, number: int, fault: str) -> list[str]:
        """The write of that number meets a crash, or a conflict where it is the status's; returns what it hit, then."""
        hits: list[str] = []

        def strike(index: int, what: str) -> str | None:
            if index == number and (fault == "crash" or what == "status"):
                hits.append(what)
                return fault
            return None

        self.fault = strike
        return hits

    def lose_status(self) -> None:
        """Somebody wipes .status."""
        self.status = {}
        self.user("loses .status")

    # ------------------------------------------------------------------------------------------ the clock

    def run(self, duration: float) -> None:
        """Let so many seconds go by."""
        end = self.now + dt.timedelta(seconds=duration)
        while self._next <= end:
            self._flow(self._next)
            self.one_pass()
        self._flow(end)

    def until(self, goal: Callable[[World], bool], limit: float = 1800.0) -> None:
        """Run until something is so; an AssertionError where it does not come."""
        end = self.now + dt.timedelta(seconds=limit)
        while not goal(self):
            assert self._next <= end, f"not within {limit} s:\n{self.transcript()}"
            self._flow(self._next)
            self.one_pass()

    def settle(self, limit: float = 1800.0) -> None:
        """Run until no rollout is in progress and every pod serves the newest config."""
        self.until(lambda w: w.settled, limit)

    @property
    def settled(self) -> bool:
        """Nothing is on its way, and all of it is served."""
        status = self.parsed
        generation = self.config.generation if self.config else None
        told = status.observed_generation == self.owner["metadata"]["generation"]
        ended = status.rollout is not None and status.rollout.outcome not in (None, "Superseded")
        return told and ended and all(pod.config and pod.config.generation == generation for pod in self.pods)

    @property
    def parsed(self) -> DeploymentStatus:
        """The stored status."""
        if self._parsed[0] is not self.status:
            self._parsed = (self.status, DeploymentStatus.model_validate(self.status))
        return self._parsed[1]

    @property
    def weight(self) -> int:
        """The canary's weight in the live config."""
        arm = self.config.arm("canary") if self.config else None
        return arm.weight if arm else 0

    def condition(self, type_: str) -> Object:
        """One condition as stored."""
        return next(one for one in self.status["conditions"] if one["type"] == type_)

    def one_pass(self) -> None:
        """Gather, decide, act, as the shell does."""
        self.passes += 1
        observation, look = self._gather()
        decision = decide(observation, SITE)
        if self.checked:
            self._check_decision(observation, decision)
        at = self.now.timestamp()
        self.told = checkpoint.announced(self.told, decision.status, memory=look.memory, now=look.now, at=at)
        try:
            done = self._act(observation, decision)
        except CrashError:
            self.restart_operator()
            return
        if not done:  # a conflict: the pass is void
            self._next = self.now + dt.timedelta(seconds=0.05)
            return
        self.told = self.told[-1:]
        for event in decision.events:
            self.tell(event.reason, event.note, warning=event.type == "Warning")
        self._tell_promoted(observation.status, [event.note for event in decision.events])
        delay = decision.requeue
        pending = [at for pod in self.pods for at in (pod.ready_at,) if at > self.now]  # the kubelet's word is an event
        due = [self.now + dt.timedelta(seconds=max(delay, 0.02)) if delay is not None else None, *pending]
        known = [one for one in due if one is not None]
        self._next = min(known) if known else self.now + dt.timedelta(days=1)
        self._at_once = self._at_once + 1 if delay is not None and delay <= 0 else 0
        assert self._at_once < 6, f"busy:\n{self.transcript()}"

    # --------------------------------------------------------------------------------------------- gather

    def _gather(self) -> tuple[Observation, Look]:
        stored = self.parsed
        wall, at = self.now + dt.timedelta(seconds=self.skew), self.now.timestamp()
        status, _ = plausible(stored, wall)
        known = checkpoint.find(self.told, status)
        wait = checkpoint.due(status, known, checkpoint.preliminary(status, known, wall=wall, at=at))
        spec, problems = None, []
        try:
            spec = DeploymentSpec.model_validate(self.owner["spec"])
        except ValidationError as error:
            first = error.errors()[0]
            problems = [Problem(Reason.INVALID_SPEC, f"spec.{'.'.join(map(str, first['loc']))}: {first['msg']}")]
        ready = [pod for pod in self.pods if pod.ready_at <= self.now]
        keep = wait == 0 or (wait is None and active(status) is not None)
        since = {mark.pod: mark for mark in status.readings}
        readings = [
            PodReading(
                pod.name,
                pod in ready,
                None if pod.silent or pod not in ready else pod.evidence(self.now, since.get(pod.name), keep=keep),
            )
            for pod in self.pods
        ]
        view = GatewayView(
            settled=bool(self.pods) and len(ready) == len(self.pods),
            ready=len(ready),
            pods=tuple(
                GatewayPod(
                    one.pod,
                    one.ready,
                    one.evidence.config_generation if one.evidence else None,
                    weights=one.evidence.weights if one.evidence else None,
                    recent=one.evidence.recent if one.evidence else None,
                )
                for one in readings
            ),
        )
        look = checkpoint.look(status, known, readings, wait=wait, wall=wall, at=at)
        observation = Observation(
            now=look.now,
            owner=copy.deepcopy(self.owner),
            spec=spec,
            status=stored,
            problems=(*problems, *self.problems.values()),
            prompts=self.prompts,
            revisions=dict(self.revisions),
            eval_set=self.eval_set if spec and spec.evals else None,
            eval_runs=dict(self.runs),
            config=self.config,
            gateway=view,
            increments=look.increments,
            readings=look.memory.readings,
            ledger=self._ledger(status),
            history=self._history(status, look.memory) if look.increments is not None else {},
            models=self.models,
        )
        return observation, look

    def _ledger(self, status: DeploymentStatus) -> dict[str, str] | None:
        rollout = status.rollout
        return self.ledgers.get(config_map.name(rollout.revision, rollout.attempt)) if rollout else None

    @staticmethod
    def _history(status: DeploymentStatus, memory: Memory) -> dict[str, Values]:
        return {"timeToFirstToken": history(memory, status.stable_revision or "", "timeToFirstToken")}

    # ------------------------------------------------------------------------------------------------ act

    def _write(self, what: str) -> bool:
        """Whether the next write succeeds; raises `CrashError` where the operator dies before it."""
        index, self.writes = self.writes, self.writes + 1
        fault = self.fault(index, what)
        if fault == "crash":
            raise CrashError
        return fault != "conflict"

    def _act(self, seen: Observation, decision: Decision) -> bool:
        assert not (decision.backward and decision.creations), "a creation may fail before the traffic is taken back"
        for body in decision.creations:
            self._write("create")
            self._create(body)
        order = (
            [self._write_config, self._write_status] if decision.backward else [self._write_status, self._write_config]
        )
        for write in order:
            if write == self._write_status and decision.ledger is not None:
                self._write("ledger")
                self.ledgers[decision.ledger["metadata"]["name"]] = decision.ledger["data"]
            if not write(seen, decision):
                return False
        if decision.children and not self.pods:
            self._write("children")
            replicas = (seen.spec.gateway.replicas or 2) if seen.spec else 0
            self.pods = [self._pod(f"{seen.name}-gateway-{n}", 2.0 + n) for n in range(replicas)]
        for state in decision.revision_states:
            self._write("revision status")
            told_of = {"status": {"state": state.state, "eval": state.eval}}
            self.revisions[state.name] = {**self.revisions[state.name], **told_of}
        for body in decision.deletions:
            self._write("delete")
            {"ClaudeRevision": self.revisions, "ClaudeEvalRun": self.runs}[body["kind"]].pop(body["metadata"]["name"])  # type: ignore[attr-defined]
        return True

    def _create(self, body: Mapping[str, Any]) -> None:
        name = body["metadata"]["name"]
        if body["kind"] == "ClaudeRevision":
            made = copy.deepcopy(dict(body))
            made["metadata"]["uid"] = f"uid-{name}"
            made["metadata"]["creationTimestamp"] = self.now.strftime("%Y-%m-%dT%H:%M:%SZ")
            self.revisions.setdefault(name, made)
        else:
            assert body["kind"] == "ClaudeEvalRun"
            self.runs.setdefault(name, EvalRunStatus(phase="Running"))

    def _write_status(self, seen: Observation, decision: Decision) -> bool:
        wanted = decision.status.to_dict()
        if wanted == seen.status.to_dict():
            return True
        if not self._write("status"):
            return False
        before = self.parsed
        self.status = json.loads(json.dumps(wanted))
        self._check_ledger()
        self._check_status(before)
        return True

    def _write_config(self, seen: Observation, decision: Decision) -> bool:
        config = decision.config
        if config is None or config == seen.config:
            return True
        self._write("config")
        before, self.config = self.config, parse_config(dump_config(config))
        self._check_config(before)
        for pod in self.pods:
            pod.coming.append((self.now + dt.timedelta(seconds=pod.lag), self.config))
        return True

    def _pod(self, name: str, start: float) -> Pod:
        self._boots += 1
        pod = Pod(name, self._boots, self.now, self.now + dt.timedelta(seconds=start), 0.2 + 0.2 * (self._boots % 3))
        pod.config = self.config
        return pod

    # -------------------------------------------------------------------------------------------- traffic

    def _flow(self, to: dt.datetime) -> None:
        """Requests up to a moment, on each pod by the weights that it serves."""
        if to <= self.now:
            return
        stops = {at for pod in self.pods for at, _ in pod.coming if self.now < at < to} | {
            pod.ready_at for pod in self.pods if self.now < pod.ready_at < to
        }
        for moment in [*sorted(stops), to]:
            length = (moment - self.now).total_seconds()
            ready = [pod for pod in self.pods if pod.ready_at <= self.now]
            for pod in ready:
                self._serve(pod, self.traffic * length / len(ready))
            self.now = moment
            for pod in self.pods:
                for at, config in pod.coming:
                    if at <= moment:
                        pod.config = config
                pod.coming = [one for one in pod.coming if one[0] > moment]

    def _serve(self, pod: Pod, requests: float) -> None:
        if pod.config is None or not requests:
            return
        strata = pod.counts.setdefault(pod.config.generation, {})
        for arm in pod.config.arms:
            rates, key = self.rates.get(arm.revision, Rates()), (pod.name, arm.revision)
            n = self._whole((*key, "n"), requests * arm.weight / 10_000)
            hanging = min(self._whole((*key, "hang"), n * rates.hang), n)
            if hanging:
                pod.hanging.setdefault(arm.revision, []).append((self.now, hanging))
            n -= hanging
            account = min(self._whole((*key, "account"), n * rates.account), n)
            error = min(self._whole((*key, "error"), (n - account) * rates.error), n - account)
            overload = min(self._whole((*key, "overload"), n * rates.overload), n - account - error)
            ok = n - account - error - overload
            refusal = min(self._whole((*key, "refusal"), ok * rates.refusal), ok)
            counts = strata.setdefault((arm.revision, arm.role), [0] * 6)
            for place, more in enumerate((n, ok, error, overload, refusal, account)):
                counts[place] += more
            self._count_lately(pod, n, {"error": error, "overload": overload, "account": account})
            paces = pod.paces.setdefault((pod.config.generation, arm.revision), {})
            paces[rates.pace] = paces.get(rates.pace, 0) + ok

    def _count_lately(self, pod: Pod, n: int, failures: dict[str, int]) -> None:
        second = int(self.now.timestamp())
        pod.lately = {at: of for at, of in pod.lately.items() if at > second - 10}
        requests, causes = pod.lately.get(second, (0, {}))
        both = {cause: causes.get(cause, 0) + failures.get(cause, 0) for cause in causes | failures}
        pod.lately[second] = (requests + n, both)

    def _whole(self, key: tuple[str, str, str], expected: float) -> int:
        """A whole number; the rest is carried over, so that it does not matter how often it is asked for."""
        total = self._rest.setdefault(key, random.Random(f"{self._seed}{key}").random()) + expected
        self._rest[key] = total - int(total)
        return int(total)

    # ----------------------------------------------------------------------------------------- transcript

    def tell(self, reason: str, note: str, *, warning: bool = False) -> None:
        """One line of the transcript."""
        passed = int((self.now - self.epoch).total_seconds())
        clock = f"{passed // 3600:d}:{passed // 60 % 60:02d}:{passed % 60:02d}"
        self.log.append(f"{clock}  {'!' if warning else ' '} {reason:<20} {note}")

    def _tell_promoted(self, before: DeploymentStatus, told: list[str]) -> None:
        old = next((one for one in before.conditions if one.type == Type.PROMOTED), None)
        new = self.condition(Type.PROMOTED)
        same = old is not None and (old.status, old.reason) == (new["status"], new["reason"])
        if not same and not any(note in new["message"] for note in told):
            self.tell(f"  Promoted={new['status']}", f"{new['reason']}: {new['message']}")

    def transcript(self) -> str:
        """All lines, and the row of `kubectl get cld`."""
        status, owner = self.parsed, self.owner
        cells = {
            "NAME": owner["metadata"]["name"],
            "MODEL": owner["spec"]["request"].get("model", ""),
            "STABLE": status.stable_revision or "",
            "CANARY": status.canary_revision or "",
            "WEIGHT": f"{status.step.weight:g}" if status.step else "",
            "READY": self.condition("Ready")["status"],
            "REASON": self.condition("Promoted")["reason"],
            "MODELSTATE": status.model.lifecycle if status.model else "",
        }
        widths = {key: max(len(key), len(str(value))) + 3 for key, value in cells.items()}
        header = "".join(key.ljust(width) for key, width in widths.items()).rstrip()
        row = "".join(str(cells[key]).ljust(width) for key, width in widths.items()).rstrip()
        return "\n".join([*self.log, "", header, row, ""])

    # ----------------------------------------------------------------------------------------- invariants

    def _check_decision(self, seen: Observation, decision: Decision) -> None:
        self._check_seen(seen, decision.status)
        again = decision.status.to_dict()
        assert DeploymentStatus.model_validate(again).to_dict() == again
        assert decision.requeue is None or decision.requeue >= 0
        if decision.config is not None and seen.config is not None:
            differs = decision.config != seen.config
            assert decision.config.generation == seen.config.generation + differs
        conditions = {one.type: one for one in decision.status.conditions}
        assert list(conditions) == [one.value for one in Type]
        before = {one.type: one for one in seen.status.conditions}
        for type_, one in conditions.items():
            assert one.reason in set(Reason), one
            assert one.message, one
            assert one.message[-1] != ".", one
            assert "None" not in one.message, one
            assert one.observed_generation == self.owner["metadata"]["generation"]
            old = before.get(type_)
            if old is not None and old.status == one.status:
                assert one.last_transition_time == old.last_transition_time, one
            else:
                assert one.last_transition_time == seen.now.replace(microsecond=0), one
        for event in decision.events:
            assert event.note
            assert event.note[-1] != ".", event
            assert "None" not in event.note, event

    def _check_seen(self, seen: Observation, after: DeploymentStatus) -> None:
        """No step is left behind by a pass that has not seen its last part, unless a person says so."""
        before, rollout = seen.status, seen.status.rollout
        step, now = before.step, after.step
        if rollout is None or step is None or rollout.outcome is not None or not canary_weight(before):
            return
        promoted = after.rollout is not None and after.rollout.outcome == "Promoted"
        if not promoted and (now is None or now.index == step.index):
            return
        if step.action == "setWeight" or self._asked(rollout.revision, step.index, "full"):
            return
        new = seen.increments
        assert new is not None, "a step ends without a reading"
        assert not new.baseline, "a step ends with a baseline"
        assert not new.unreachable, "a step ends while a pod is silent"
        assert new.of(rollout.revision).counts.judged, "a step ends without an answer of the canary"
        assert new.of(rollout.revision).counts.ok, "a canary goes on that fails everything"

    def check_quiet(self) -> None:
        """Where nothing is new, passes at the same moment soon stop to write and to tell."""
        for _ in range(6):
            writes, lines = self.writes, len(self.log)
            self.one_pass()
            if (writes, lines) == (self.writes, len(self.log)):
                return
        raise AssertionError(f"passes go on writing:\n{self.transcript()}")

    def _check_ledger(self) -> None:
        """At the end of a rollout: the judge comes to the same from its ledger.

        A tick that took traffic back and whose status was lost stands in the ledger alone.
        """
        status = self.parsed
        rollout, judgement = status.rollout, status.judgement
        if rollout is None or rollout.outcome is None or judgement is None or judgement.recorded is None:
            return
        pages = self.ledgers[config_map.name(rollout.revision, rollout.attempt)]
        assert judgement.started_at is not None
        last = (judgement.recorded - judgement.started_at).total_seconds()
        ticks = [tick for tick in replay(pages[config_map.TICKS].splitlines()) if tick["t"] <= last + 1e-6]
        assert ticks, pages
        assert math.isclose(ticks[-1]["total"], judgement.evidence, rel_tol=1e-9), (ticks[-1], judgement)

    def _check_config(self, before: GatewayConfig | None) -> None:
        config = self.config
        assert config is not None
        assert not config.arms or sum(arm.weight for arm in config.arms) == 10_000
        if before is None:
            return
        assert config.generation == before.generation + 1
        assert not before.arms or config.arms, "all traffic is refused"
        rollout = self.parsed.rollout
        canary = config.arm("canary")
        was = next((arm.weight for arm in before.arms if canary and arm.revision == canary.revision), 0)
        stable, stable_was = config.arm("stable"), before.arm("stable")
        if config.settled and config.settled.outcome != "Promoted" and config.settled != before.settled:
            self._ended.add((config.settled.revision, config.settled.attempt))
            assert stable == stable_was or (stable and stable_was and stable.revision == stable_was.revision)
            assert canary is None or canary.weight == 0
        if canary and canary.weight > was:
            assert rollout is not None
            assert canary.weight == canary_weight(self.parsed), "more traffic is given than is told"
            assert rollout.outcome is None
            assert canary.revision == rollout.revision
            assert (rollout.revision, rollout.attempt) not in self._ended, "the weight rises after the end"
            weights = {round(step.set_weight * 100) for step in rollout.plan.steps if step.set_weight is not None}
            assert canary.weight in weights

    def _check_status(self, before: DeploymentStatus) -> None:
        """Steps follow each other, each as long as its plan says; what ended stays ended."""
        after = self.parsed
        old, new = before.rollout, after.rollout
        told = canary_weight(after)
        assert self.weight <= told or (new and new.outcome == "Promoted"), "less traffic is told than is given"
        if before.stable_revision and after.stable_revision != before.stable_revision:
            assert new is not None
            assert new.outcome == "Promoted"
            assert after.stable_revision == new.revision
        same = old is not None and new is not None and (old.revision, old.attempt) == (new.revision, new.attempt)
        if same and old and new and old.outcome is not None:
            assert new.outcome == old.outcome
        if not same and new is not None and new.outcome is None:
            assert (new.revision, new.attempt) not in self._ended, "an attempt that has ended begins again"
            assert after.step is None or after.step.index == 0
        if before.step is None or not same or new is None:
            if after.step is not None and same:
                assert after.step.index == 0, "the first step is skipped"
            return
        if after.step is None:
            assert new.outcome is not None or self.config is None, "a step is lost"
            if new.outcome == "Promoted" and not self._asked(new.revision, "full", before.step.index):
                assert before.step.index == len(new.plan.steps) - 1, "steps are skipped"
                self._check_length(before, new)
            return
        if after.step.index == before.step.index:
            assert after.step.started_at == before.step.started_at
            return
        assert after.step.index == before.step.index + 1, "a step is skipped or repeated"
        self._check_length(before, new)

    def _asked(self, revision: str, *what: object) -> bool:
        value = self.owner["metadata"]["annotations"].get("claudeops.dev/promote")
        attempt = self.parsed.rollout.attempt if self.parsed.rollout else 0
        return value in {f"{revision}/{attempt}/{one}" for one in what}

    def _check_length(self, before: DeploymentStatus, rollout: Any) -> None:
        """The step that ends was as long as planned, and nothing was left unserved."""
        present = before.step
        assert present is not None
        generation = self.config.generation if self.config else None
        for pod in self.pods:
            assert pod.ready_at <= self.now, "a step ends while a pod is away"
            assert pod.config, "a step ends before every pod serves it"
            assert pod.config.generation == generation, "a step ends before every pod serves it"
        if self._asked(rollout.revision, present.index, "full"):
            return
        step = rollout.plan.steps[present.index]
        lasted = (self.now - present.started_at).total_seconds()
        if step.bake:
            assert lasted >= seconds(step.bake.min_duration), "a bake is too short"
            assert self.parsed.judgement is not None
        if step.pause:
            assert step.pause.duration is not None, "nobody has promoted"
            assert lasted >= seconds(step.pause.duration), "a pause is too short"


# ------------------------------------------------------------------------------------------------- defaults


@cache
def _spec_schema() -> Object:
    kind = next(kind for kind in KINDS if kind.kind == "ClaudeDeployment")
    return object_schema(kind)["properties"]["spec"]


def stored(raw: Object) -> Object:
    """A spec with the CRD's defaults, as the API server stores it."""
    return _defaulted(_spec_schema(), copy.deepcopy(raw))


def _defaulted(node: Object, value: Any) -> Any:
    if isinstance(value, dict):
        for name, child in node.get("properties", {}).items():
            if name not in value and "default" in child:
                value[name] = copy.deepcopy(child["default"])
            if name in value:
                value[name] = _defaulted(child, value[name])
        extra = node.get("additionalProperties")
        if isinstance(extra, dict):
            for name in value:
                if name not in node.get("properties", {}):
                    value[name] = _defaulted(extra, value[name])
    if isinstance(value, list) and "items" in node:
        return [_defaulted(node["items"], one) for one in value]
    return value
