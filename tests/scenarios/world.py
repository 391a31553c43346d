"""A cluster in memory, stepped by a simulated clock, and the operator's own code on it.

The API server, gateways, eval Jobs, kubelets and people are models. What gathers, decides and acts is what runs in a
cluster. After every write and every pass it is checked what must always hold.
"""

from __future__ import annotations

import base64
import copy
import datetime as dt
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

from tests import admin_port, workloads
from tests.scenarios.gateways import Pod, Rates, Traffic
from tests.scenarios.invariants import Invariants
from tests.scenarios.process import NAMESPACE, Process, run
from tests.shell.fakes import FakeKube, SetClock

from claude_operator.api.conditions import Type
from claude_operator.api.evals import EvalRunStatus
from claude_operator.api.gateway import CONFIG_KEY, DRILL_KEY, GatewayConfig, parse_config, parse_drill, with_drill
from claude_operator.api.kinds import KINDS, object_schema
from claude_operator.api.status import DeploymentStatus
from claude_operator.core import names
from claude_operator.core.catalogue.table import Model
from claude_operator.core.reconcile.decision import Decision
from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.usage.amounts import REST, Amounts
from claude_operator.core.usage.ledger import Spend, day_of
from claude_operator.core.usage.state import Usages, UsageState
from claude_operator.shell.keys import DEPLOYMENT, RUN, Key

__all__ = ["QUICK", "STEPS", "UNPROVEN", "CrashError", "Rates", "World", "stored"]

START = dt.datetime(2026, 11, 24, 10, 0, tzinfo=dt.UTC)
SPACE = "demo"
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
EVAL_SET = "support-evals"
UNPROVEN: Object = {"toleratedIncrease": "100%"}
"""An analysis whose bakes ask for no proof, so that time and requests alone decide."""


class CrashError(Exception):
    """The operator dies before a write."""


READS = {"get", "list"}


class World(Traffic, Invariants):
    """One ClaudeDeployment and all that it touches."""

    def __init__(
        self, spec: Object | None = None, *, name: str = "support", seed: int = 1, traffic: float = 40.0
    ) -> None:
        Traffic.__init__(self, seed, traffic)
        Invariants.__init__(self)
        self.name, self.epoch, self.clock = name, START, SetClock(START)
        self.kube = FakeKube()
        self.kube.before, self.kube.changed, self.kube.time = self._called, self._changed, self._server_time
        self.pods: list[Pod] = []
        self.models: dict[str, Model] = {}
        self.rates: dict[str, Rates] = {}
        self.usage: UsageState | None = None
        """What gateways have told of usage; nobody reads it but a scenario."""
        self.log: list[str] = []
        self.writes = 0
        self.passes = 0
        self.fault: Callable[[int, str], str | None] = lambda index, what: None
        self.checked = True
        self._boots = 0
        self._next: dt.datetime = START
        self._runs_due: dict[str, dt.datetime] = {}
        self._at_once = 0
        self._passing = self._dead = False
        self._told: list[str] | None = None
        """Notes of the pass that was done last; None where it was void."""
        self._parsed: tuple[Object | None, DeploymentStatus] = (None, DeploymentStatus())
        self._config: tuple[Object | None, GatewayConfig | None] = (None, None)
        self._put_first_objects(stored(spec if spec is not None else self.spec()))
        self.restart_operator()

    def _put_first_objects(self, spec: Object) -> None:
        metadata = {"name": self.name, "uid": "5d4c0a54-0000-4000-8000-000000000001", "annotations": {}}
        self._put("ClaudeDeployment", metadata, apiVersion="claudeops.dev/v1alpha1", spec=spec)
        master = base64.b64encode(b"k" * 32).decode()
        keys = {"name": "claude-operator-client-keys", "namespace": NAMESPACE}
        self._put("Secret", keys, data={"master": master})
        self.add_secret()

    def _put(self, kind: str, metadata: Object, apiVersion: str = "v1", **fields: Any) -> None:  # noqa: N803
        body = {"apiVersion": apiVersion, "kind": kind, "metadata": {"namespace": SPACE, **metadata}, **fields}
        self.kube.put(body)

    @staticmethod
    def spec(**fields: Any) -> Object:
        """A spec as a user writes it."""
        base = {
            "request": REQUEST,
            "upstream": {"apiKeySecretRef": {"name": "anthropic", "key": "api-key"}},
            "gateway": {"replicas": 2},
            "strategy": {"canary": {"steps": STEPS, "analysis": UNPROVEN}},
        }
        return copy.deepcopy(base | fields)

    def fork(self) -> World:
        """The same world, to go another way from here."""
        unchanging = [*self.process.unchanging(), *(each for pod in self.pods for each in pod.kept)]
        unchanging += [*self._parsed, *self._config]
        return copy.deepcopy(self, {id(one): one for one in unchanging})

    def begin(self) -> World:
        """Forget the transcript and count the time from now."""
        self.log.clear()
        self.epoch = self.now
        return self

    # --------------------------------------------------------------------------------------- what is stored

    def _stored(self, kind: str, name: str) -> Object | None:
        return self.kube.objects.get((kind, SPACE, name))

    @property
    def owner(self) -> Object:
        """The ClaudeDeployment; to be read only."""
        return self.kube.objects["ClaudeDeployment", SPACE, self.name]

    @property
    def status(self) -> Object:
        """As stored; to be read only."""
        return self.owner.get("status") or {}

    @property
    def parsed(self) -> DeploymentStatus:
        """The stored status."""
        if self._parsed[0] is not self.owner:
            self._parsed = (self.owner, DeploymentStatus.model_validate(self.status))
        return self._parsed[1]

    @property
    def config(self) -> GatewayConfig | None:
        """The live config."""
        live = self._stored("ConfigMap", names.gateway_name(self.name))
        if self._config[0] is not live:
            self._config = (live, _read(live["data"]) if live else None)
        return self._config[1]

    @property
    def revisions(self) -> dict[str, Object]:
        """By name; to be read only."""
        return {name: one for (kind, _, name), one in self.kube.objects.items() if kind == "ClaudeRevision"}

    @property
    def runs(self) -> dict[str, EvalRunStatus]:
        """By name, the newest last."""
        found = ((name, one) for (kind, _, name), one in self.kube.objects.items() if kind == "ClaudeEvalRun")
        return {name: EvalRunStatus.model_validate(one.get("status") or {}) for name, one in found}

    def ledger(self, name: str) -> dict[str, str]:
        """Data of a ledger."""
        found = self._stored("ConfigMap", name)
        assert found is not None, f"there is no ledger {name}"
        return dict(found["data"])

    @property
    def weight(self) -> int:
        """The canary's weight in the live config."""
        arm = self.config.arm("canary") if self.config else None
        return arm.weight if arm else 0

    def condition(self, type_: str) -> Object:
        """One condition as stored."""
        return next(one for one in self.status["conditions"] if one["type"] == type_)

    # ------------------------------------------------------------------------------------- what people do

    def edit(self, note: str = "", **fields: Any) -> None:
        """Change fields of the spec, as `kubectl apply`; None removes one."""
        before = self.owner["spec"]
        raw = {key: value for key, value in (before | copy.deepcopy(fields)).items() if value is not None}
        if (raw := stored(raw)) != before:
            self.kube.put({**self.owner, "spec": raw})
        self.user(note or f"edits {', '.join(fields)}")

    def spend(self, usd: int | None) -> None:
        """So much is read to be spent this month; None: it is not known."""
        day = {day_of(self.now): {REST: Amounts(calls=1, nano=(usd or 0) * 10**9)}}
        spend = Spend(self.now - dt.timedelta(days=60), day)
        self.usage = None if usd is None else UsageState(Usages(spend), self.now)
        self.wake()
        self.user(f"${usd} are spent" if usd is not None else "what is spent is not known any more")

    def say(self, text: str) -> None:
        """Another system prompt: another revision."""
        self.edit(f"changes the prompt to {text!r}", request=REQUEST | {"system": [{"type": "text", "text": text}]})

    def annotate(self, name: str, value: str | None) -> None:
        """`kubectl annotate`; None removes it."""
        annotations = {**self.owner["metadata"]["annotations"], f"claudeops.dev/{name}": value}
        kept = {key: one for key, one in annotations.items() if one is not None}
        self.kube.put({**self.owner, "metadata": {**self.owner["metadata"], "annotations": kept}})
        self.user(f"annotates {name}={value}" if value else f"removes the annotation {name}")

    def user(self, note: str) -> None:
        """Write down what a person did, and wake the operator."""
        self.record_event("·", note)
        self.wake()

    def wake(self) -> None:
        """The operator looks now."""
        self._next = self.now

    def add_secret(self) -> None:
        """The upstream's key is there."""
        self._put("Secret", {"name": "anthropic"}, data={"api-key": "c2stYW50"})

    def drop_secret(self) -> None:
        """It is not."""
        if self._stored("Secret", "anthropic"):
            self.kube.drop("Secret", "anthropic", SPACE)

    def add_eval_set(self, items: int = 20) -> None:
        """A set of so many items."""
        check = [{"type": "contains", "value": "4"}]
        tests = [{"id": f"item-{n}", "input": "2+2?", "assert": check} for n in range(items)]
        self._put("ClaudeEvalSet", {"name": EVAL_SET}, apiVersion="claudeops.dev/v1alpha1", spec={"tests": tests})

    def finish_eval(self, phase: str, message: str = "", reason: str = "") -> None:
        """The Job of the newest eval run writes its end."""
        name = list(self.runs)[-1]
        self._run_status(name, phase=phase, message=message, reason=reason)
        self._runs_due[name] = self.now
        self.user(f"the eval run ends: {phase}")

    def restart_operator(self) -> None:
        """Another process takes over: what the one before remembered is gone."""
        known = self._known_models, self._decided, self._done, self._known_usage
        self.process = Process(self.kube, self.clock, self._fetch, *known)
        self._dead = False
        self._runs_due = dict.fromkeys(self.runs, self.now)
        self.wake()

    def restart_pod(self, index: int = 0) -> None:
        """A gateway pod is replaced."""
        old = self.pods[index]
        self.kube.drop("Pod", old.name, SPACE)
        self.pods[index] = self._pod(f"{old.name}x", 3.0)
        self._tell_pod(self.pods[index])
        self.wake()

    def install_before_keys(self) -> None:
        """All is as a version left it that signed nothing, and whose pods prove nothing."""
        name = names.gateway_name(self.name)
        config = self.kube.objects["ConfigMap", SPACE, name]
        self.kube.put({**config, "data": {CONFIG_KEY: config["data"][CONFIG_KEY]}})
        self.kube.drop("Secret", name, SPACE)
        deployment = self.kube.take("Deployment", name, SPACE)
        workloads.take_out_operator_key(deployment)
        reference = workloads.controller(self.kube.put(workloads.replica_set(self.kube.put(deployment))))
        for pod in self.pods:
            pod.keyless, pod.controller = True, reference
            self.kube.drop("Pod", pod.name, SPACE)
            self._tell_pod(pod)

    def delete_config(self) -> None:
        """Somebody deletes the gateways' ConfigMap."""
        self.kube.drop("ConfigMap", names.gateway_name(self.name), SPACE)
        self.wake()

    def delete_revision(self, name: str) -> None:
        """Somebody deletes a revision."""
        self.kube.drop("ClaudeRevision", name, SPACE)
        self.wake()

    def lose_status(self) -> None:
        """Somebody wipes .status."""
        self.kube.put({**self.owner, "status": {}})
        self.user("loses .status")

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

    # ------------------------------------------------------------------------------------------ the clock

    @property
    def now(self) -> dt.datetime:  # type: ignore[override]
        """The time, whatever people set the operator's clock to."""
        return self.clock.moment

    def pass_to(self, moment: dt.datetime) -> None:
        """It is that time."""
        self.clock.moment = moment

    def run(self, duration: float) -> None:
        """Let so many seconds go by."""
        end = self.now + dt.timedelta(seconds=duration)
        while self._due() <= end:
            self.step()
        self.flow(end)

    def until(self, goal: Callable[[World], bool], limit: float = 1800.0) -> None:
        """Run until something is so; an AssertionError where it does not come."""
        end = self.now + dt.timedelta(seconds=limit)
        while not goal(self):
            assert self._due() <= end, f"not within {limit} s:\n{self.transcript()}"
            self.step()

    def settle(self, limit: float = 1800.0) -> None:
        """Run until no rollout is in progress and every pod serves the newest config."""
        self.until(lambda w: w.settled, limit)

    def _due(self) -> dt.datetime:
        """When the next pass is."""
        return min([self._next, *self._runs_due.values()])

    def step(self) -> None:
        """The next pass."""
        self.flow(max(self._due(), self.now))
        if self._next <= self.now:
            self.one_pass()
        self._pass_runs()

    @property
    def settled(self) -> bool:
        """Nothing is on its way, and all of it is served."""
        status = self.parsed
        generation = self.config.generation if self.config else None
        told = status.observed_generation == self.owner["metadata"]["generation"]
        ended = status.rollout is not None and status.rollout.outcome not in (None, "Superseded")
        return told and ended and all(pod.config and pod.config.generation == generation for pod in self.pods)

    # ------------------------------------------------------------------------------------------ the operator

    def observe(self) -> Observation:
        """What a pass sees now."""
        self._move_pods()
        seen = run(self.process.gatherer.gather(Key(DEPLOYMENT, SPACE, self.name)))
        assert seen is not None
        return seen.observation

    def one_pass(self) -> None:
        """One pass over the ClaudeDeployment."""
        self.passes += 1
        self._move_pods()
        before = self.parsed
        lived, delay = self._pass(Key(DEPLOYMENT, SPACE, self.name))
        self._move_pods()
        if not lived:
            return
        if self._told is None:  # a conflict: the pass is void
            assert delay is not None
            self._next = self.now + dt.timedelta(seconds=delay)
            return
        self._tell_promoted(before, self._told)
        pending = [at for pod in self.pods for at in (pod.ready_at,) if at > self.now]  # the kubelet's word is an event
        due = [self.now + dt.timedelta(seconds=max(delay, 0.02)) if delay is not None else None, *pending]
        known = [one for one in due if one is not None]
        self._next = min(known) if known else self.now + dt.timedelta(days=1)
        self._at_once = self._at_once + 1 if delay is not None and delay <= 0 else 0
        assert self._at_once < 6, f"busy:\n{self.transcript()}"

    def _pass(self, key: Key) -> tuple[bool, float | None]:
        """Whether the operator lives on, and the seconds until the next pass."""
        self._passing, self._told = True, None
        try:
            return True, run(self.process.reconciler(key))
        except CrashError:
            self.restart_operator()
            return False, None
        finally:
            self._passing = False

    def _pass_runs(self) -> None:
        """Passes over eval runs, and the work of their Jobs."""
        for name in [name for name, at in self._runs_due.items() if at <= self.now]:
            lived, delay = self._pass(Key(RUN, SPACE, name))
            if not lived:
                return
            self._runs_due.pop(name)
            if delay is not None:
                self._runs_due[name] = self.now + dt.timedelta(seconds=delay)
        for name, status in self.runs.items():
            if status.attempts and status.phase == "Pending":
                self._run_status(name, phase="Running")

    def check_quiet(self) -> None:
        """Where nothing is new, passes at the same moment soon stop to write and to tell."""
        for _ in range(6):
            writes, lines = self.writes, len(self.log)
            self.one_pass()
            if (writes, lines) == (self.writes, len(self.log)):
                return
        raise AssertionError(f"passes go on writing:\n{self.transcript()}")

    def _decided(self, seen: Observation, decision: Decision) -> None:
        if self.checked:
            self._check_decision(seen, decision)

    def _done(self, seen: Observation, decision: Decision) -> None:
        self._told = [event.note for event in decision.events]

    def _known_usage(self, _: str) -> UsageState | None:
        return self.usage

    def _known_models(self) -> Mapping[str, Model]:
        return self.models

    async def _fetch(
        self, address: str, target: str, headers: Mapping[str, str]
    ) -> tuple[bytes, Mapping[str, str]] | None:
        """The admin port of a pod; one that has not started, is silent or is gone does not answer."""
        pod = next((one for one in self.pods if one.address == address), None)
        if pod is None or pod.silent or pod.ready_at > self.now:
            return None
        path, _, query = target.partition("?")
        body = pod.answer(path, dict(parse_qsl(query, keep_blank_values=True)), self.now)
        if pod.keyless:
            return body, {}
        key = admin_port.key_in(self.kube.objects["Secret", SPACE, names.gateway_name(self.name)])
        return body, admin_port.proof(key, pod=pod.name, target=target, headers=headers, body=body)

    # ---------------------------------------------------------------------------------------- the API server

    def _called(self, verb: str, kind: str, name: str) -> None:
        """Ahead of each call of the operator."""
        if self._dead:
            raise CrashError
        if verb in READS:
            return
        index, self.writes = self.writes, self.writes + 1
        fault = self.fault(index, self._what(verb, kind, name))
        if fault == "crash":
            self._dead = True
            raise CrashError
        if fault == "conflict":  # somebody else was faster
            live = self.kube.objects[kind, SPACE, name]
            annotations = {**live["metadata"].get("annotations", {}), "example.com/touched": str(index)}
            self.kube.put({**live, "metadata": {**live["metadata"], "annotations": annotations}})

    def _server_time(self) -> dt.datetime:
        return self.now

    def _what(self, verb: str, kind: str, name: str) -> str:
        """What a write is to the order of a pass."""
        if kind == "ConfigMap":
            return "config" if name == names.gateway_name(self.name) else "ledger"
        return "status" if (verb, kind) == ("apply status", "ClaudeDeployment") else f"{verb} {kind}"

    def _changed(self, type_: str, body: Object) -> None:
        """Something was written, by whomever."""
        kind, name = body["kind"], body["metadata"]["name"]
        if kind == "Event":
            self.record_event(body["reason"], body["note"], warning=body["type"] == "Warning")
        elif kind == "ClaudeEvalRun":
            self._runs_due.pop(name, None)
            if type_ != "DELETED":
                self._runs_due[name] = self.now
        elif kind == "ClaudeDeployment":
            before, after = self._parsed[1], self.parsed
            if self._passing and before != after:
                self._check_ledger()
                self._check_status(before)
        elif kind == "ConfigMap" and name == names.gateway_name(self.name):
            was, config = self._config[1], self.config
            if config is None or config == was:
                return
            if self._passing:
                self._check_config(was)
            for pod in self.pods:
                pod.coming.append((self.now + dt.timedelta(seconds=pod.lag), config))

    # ---------------------------------------------------------------------------------- kubelets, controllers, Jobs

    def _move_pods(self) -> None:
        """Pods as the Deployment wants them, and what is told of them."""
        deployment = self._stored("Deployment", names.gateway_name(self.name))
        if deployment is None:
            return
        wanted = deployment["spec"]["replicas"]
        for number in range(len(self.pods), wanted):
            self.pods.append(self._pod(f"{self.name}-gateway-{number}", 2.0 + number))
        for pod in self.pods[wanted:]:
            self.kube.drop("Pod", pod.name, SPACE)
        del self.pods[wanted:]
        for pod in self.pods:
            self._tell_pod(pod)
        counts = {"replicas": len(self.pods), "updatedReplicas": sum(not pod.keyless for pod in self.pods)}
        counts["availableReplicas"] = sum(pod.ready_at <= self.now for pod in self.pods)
        status = {"observedGeneration": deployment["metadata"]["generation"], **counts}
        if deployment.get("status") != status:
            self.kube.put({**deployment, "status": status})

    def _pod(self, name: str, start: float) -> Pod:
        """A pod that takes so many seconds to start, with the config mounted that is live."""
        self._boots += 1
        pod = Pod(name, self._boots, self.now, self.now + dt.timedelta(seconds=start), 0.2 + 0.2 * (self._boots % 3))
        pod.by_unit = self.by_unit
        pod.config = self.config
        deployment = self._stored("Deployment", names.gateway_name(self.name))
        assert deployment is not None
        pod.controller = workloads.controller(self.kube.put(workloads.replica_set(deployment)))
        return pod

    def _tell_pod(self, pod: Pod) -> None:
        ready = {"type": "Ready", "status": "True" if pod.ready_at <= self.now else "False"}
        status = {"podIP": pod.address, "conditions": [ready]}
        live = self._stored("Pod", pod.name)
        if live is None or live["status"] != status:
            labels = names.selector(self.name, "gateway")
            metadata = {"name": pod.name, "labels": labels, "ownerReferences": [pod.controller]}
            self._put("Pod", metadata, status=status)

    def _run_status(self, name: str, **fields: str) -> None:
        """What the Job of a run writes."""
        run = self.kube.objects["ClaudeEvalRun", SPACE, name]
        self.kube.put({**run, "status": {**run.get("status", {}), **fields}})

    # ----------------------------------------------------------------------------------------- transcript

    def record_event(self, reason: str, note: str, *, warning: bool = False) -> None:
        """One line of the transcript."""
        passed = int((self.now - self.epoch).total_seconds())
        clock = f"{passed // 3600:d}:{passed // 60 % 60:02d}:{passed % 60:02d}"
        self.log.append(f"{clock}  {'!' if warning else ' '} {reason:<20} {note}")

    def _tell_promoted(self, before: DeploymentStatus, told: list[str]) -> None:
        old = next((one for one in before.conditions if one.type == Type.PROMOTED), None)
        new = self.condition(Type.PROMOTED)
        same = old is not None and (old.status, old.reason) == (new["status"], new["reason"])
        if not same and not any(note in new["message"] for note in told):
            self.record_event(f"  Promoted={new['status']}", f"{new['reason']}: {new['message']}")

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


def _read(data: Mapping[str, str]) -> GatewayConfig:
    return with_drill(parse_config(data[CONFIG_KEY]), parse_drill(data.get(DRILL_KEY, "{}")))


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
