"""Drafts for tests of single rules: a deployment with a stable revision and one on trial."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import msgspec

from claude_operator.api.analysis import Analysis
from claude_operator.api.conditions import Reason
from claude_operator.api.deployment import DeploymentSpec, Step
from claude_operator.api.gateway import GatewayConfig, Settled
from claude_operator.api.status import (
    DeploymentStatus,
    Judgement,
    MetricState,
    Plan,
    Rollout,
    RolloutRecord,
    StepStatus,
)
from claude_operator.core import render
from claude_operator.core.judge.evidence.increments import Increments
from claude_operator.core.judge.evidence.sample import Counts, Sample
from claude_operator.core.reconcile.draft import Draft
from claude_operator.core.reconcile.gateway_config import desired_config
from claude_operator.core.reconcile.observation import EvalSetView, GatewayPod, GatewayView, Observation
from claude_operator.core.spec import revision
from claude_operator.core.spec.policy import OPEN

NOW = dt.datetime(2026, 11, 24, 10, 0, tzinfo=dt.UTC)
SITE = render.Site(image="registry.example.com/claude-operator:1.2.3", pull_policy="IfNotPresent")
SET = EvalSetView("support-evals", "0123456789abcdef" * 4, 20)
Object = dict[str, Any]


def ago(seconds: float) -> dt.datetime:
    return NOW - dt.timedelta(seconds=seconds)


def raw(prompt: str = "Be brief.", **fields: Any) -> Object:
    """A spec as stored."""
    system = [{"type": "text", "text": prompt}]
    return {
        "request": {"model": "claude-opus-5-5", "max_tokens": 1024, "system": system},
        "upstream": {"apiKeySecretRef": {"name": "anthropic", "key": "api-key"}},
        **fields,
    }


def owner(spec: Object | None = None, **annotations: str) -> Object:
    return {
        "apiVersion": "claudeops.dev/v1alpha1",
        "kind": "ClaudeDeployment",
        "metadata": {
            "name": "support",
            "namespace": "demo",
            "uid": "u-1",
            "generation": 3,
            "annotations": {f"claudeops.dev/{name}": value for name, value in annotations.items()},
        },
        "spec": raw() if spec is None else spec,
    }


def revision_of(prompt: str) -> Object:
    parts = revision.content(raw(prompt), {})
    made = render.revision(owner(), revision.name("support", parts), revision.revision_spec(parts))
    made["metadata"]["uid"] = f"uid-{made['metadata']['name']}"
    made["metadata"]["creationTimestamp"] = "2026-11-24T09:00:00Z"
    return made


OLD, NEW, OTHER = (revision_of(prompt) for prompt in ("Be kind.", "Be brief.", "Be polite."))
STABLE, CANARY, THIRD = (str(one["metadata"]["name"]) for one in (OLD, NEW, OTHER))
STEPS = [
    Step.model_validate(one)
    for one in (
        {"setWeight": 10},
        {"bake": {"minDuration": "1m", "maxDuration": "5m", "minRequests": 100}},
        {"setWeight": 50},
        {"pause": {}},
        {"pause": {"duration": "30s"}},
        {"setWeight": 80},
        {"bake": {"minDuration": "1m", "minRequests": 0}},
    )
]
PLAN = Plan(steps=STEPS)
UNPROVEN = Plan(steps=STEPS, analysis=Analysis(tolerated_increase="100%"))  # time and requests alone decide
ANSWERED = Increments(
    {(1, "other", name): Sample(Counts(10, 10)) for name in (STABLE, CANARY)}, traffic=20, seconds=5.0
)


def judgement(**fields: Any) -> Judgement:
    known: Object = {"verdict": "Inconclusive", "requests": 500, "last_tick": NOW, "message": "no evidence of harm"}
    known |= {"seen_since": ago(600), "last_answer": NOW}
    return Judgement(**known | fields)


def failed(stable: tuple[int, int] = (512, 4)) -> Judgement:
    state = [MetricState(name="errors", evidence=1e6, canary=[58, 31], stable=list(stable))]
    return judgement(verdict="Fail", evidence=1e6, leading="errors", state=state, first_bad=ago(12))


def step(index: int, age: float = 61, requests: int = 100) -> StepStatus:
    """Step `index` of PLAN, as it is `age` seconds after its start."""
    weights = [one.set_weight for one in STEPS[: index + 1] if one.set_weight is not None]
    started = ago(age)
    return StepStatus(
        index=index, action=STEPS[index].action, weight=weights[-1], started_at=started, requests=requests
    )


def serving(**fields: Any) -> DeploymentStatus:
    """Status at rest: OLD serves."""
    ended = Rollout(revision=STABLE, outcome="Promoted", reason="Promoted", message=f"{STABLE} serves 100 %")
    record = RolloutRecord(revision=STABLE, outcome="Promoted", reason="Promoted")
    return DeploymentStatus(**{"stable_revision": STABLE, "rollout": ended, "rollouts": [record]} | fields)


def trial(index: int | None = 1, age: float = 61, requests: int = 100, **fields: Any) -> DeploymentStatus:
    """Status in mid-rollout of NEW, in step `index` of PLAN."""
    known: Object = {
        "canary_revision": CANARY,
        "step": None if index is None else step(index, age, requests),
        "judgement": None if index is None else judgement(),
        "rollout": Rollout(revision=CANARY, plan=PLAN, started_at=ago(200)),
    }
    return serving(**known | fields)


def ended(outcome: str, **fields: Any) -> DeploymentStatus:
    """Status after the first trial of NEW."""
    said = {"reason": outcome, "message": f"{CANARY}: {outcome}"}
    rollout = Rollout(revision=CANARY, plan=PLAN, outcome=outcome, **said)  # type: ignore[arg-type]
    record = RolloutRecord(revision=CANARY, outcome=outcome, **said)  # type: ignore[arg-type]
    return serving(**{"rollout": rollout, "rollouts": [*serving().rollouts, record]} | fields)


def observed(status: DeploymentStatus, spec: Object | None = None, **fields: Any) -> Observation:
    """All is well: what status says is live, and two pods serve it. `annotations` are without the group."""
    named = owner(spec, **fields.pop("annotations", {}))
    base = Observation(
        now=NOW,
        owner=named,
        spec=DeploymentSpec.model_validate(named["spec"]),
        status=status,
        revisions={one["metadata"]["name"]: one for one in (OLD, NEW, OTHER)},
        gateway=GatewayView(settled=True, ready=2),
        eval_set=SET if "evals" in named["spec"] else None,
        policy=fields.get("policy", OPEN),
    )
    if "run_objects" not in fields:
        fields["run_objects"] = {name: asked_run(named, status, name) for name in fields.get("eval_runs", ())}
    config = desired_config(base, status, accepted=True)
    pods = tuple(GatewayPod(f"gateway-{n}", True, config.generation if config else None) for n in (0, 1))
    return replace(replace(base, config=config, gateway=GatewayView(True, 2, pods)), **fields)


def asked_run(named: Object, status: DeploymentStatus, name: str) -> Object:
    """The ClaudeEvalRun of a name as the operator asks for it and the API server stores it."""
    revision, _, digits = name.rpartition("-")
    set_hash = SET.hash if SET.hash.startswith(digits) else digits * 8
    upstream = named["spec"].get("upstream")
    made = render.eval_run(named, revision, status.stable_revision, SET.name, set_hash, upstream)
    made["metadata"]["uid"] = f"uid-{name}"
    return made


def drafted(status: DeploymentStatus, spec: Object | None = None, **fields: Any) -> Draft:
    """A draft before the rule under test; the spec asks for NEW."""
    return Draft(observed(status, spec, **fields), status, wanted=CANARY)


def config_with(draft: Draft, settled: Settled | None) -> GatewayConfig:
    """The live config, with another end of a rollout."""
    assert draft.obs.config is not None
    return msgspec.structs.replace(draft.obs.config, settled=settled)


def told(draft: Draft) -> list[Reason]:
    return [event.reason for event in draft.events]
