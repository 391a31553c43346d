"""One pass over a ClaudeDeployment: a chain of rules from what is observed to what is to be done. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from claude_operator.api.base import seconds
from claude_operator.api.conditions import Reason
from claude_operator.api.deployment import LifecyclePolicy
from claude_operator.api.gateway import BASIS_POINTS, GatewayConfig
from claude_operator.api.resources import EvalRunStatus
from claude_operator.api.status import DeploymentStatus, GatewayStatus, ModelStatus, Traffic
from claude_operator.core import names, render
from claude_operator.core.actions import Decision, Event, RevisionState
from claude_operator.core.catalogue.lifecycle import LifecycleState, lifecycle_of, models_in_use
from claude_operator.core.conditions import conditions, transitions
from claude_operator.core.draft import Draft, Rule, active
from claude_operator.core.evalrun import FINAL
from claude_operator.core.observe import Observation
from claude_operator.core.rules import accept, analysis, canary, gate, intent, recover, rollout
from claude_operator.core.weights import canary_weight, desired_config

__all__ = ["GOING_ON", "TAKING_BACK", "decide", "reading_due"]

TAKING_BACK: tuple[Rule, ...] = (recover.recover, analysis.analyse, analysis.roll_back, intent.abort)
"""What may take traffic back: nothing that comes after it, whatever is wrong there, may stand in its way."""

GOING_ON: tuple[Rule, ...] = (
    accept.check,
    accept.name_revision,
    accept.stop_unaccepted,
    rollout.supersede,
    rollout.begin,
    rollout.note_plan,
    intent.ignore_promote,
    gate.gate,
    canary.move,
)

_MISSING = 15.0  # seconds until something that is missing, or a prompt in a ConfigMap, is looked at again
_UNSETTLED = 1.0  # seconds between two looks at gateways that a rollout waits for
_UNREADY = 15.0  # the same where nothing waits for them; their Deployment's changes wake us

Object = dict[str, Any]


def decide(obs: Observation, site: render.Site) -> Decision:
    """What this pass does and what the status is afterwards.

    What raises in the rules that go on, or in what only tells, is raised; but where traffic is being taken back, that
    alone is decided and `error` says what else went wrong.
    """
    draft = _chain(Draft(obs, obs.status), TAKING_BACK)
    try:
        return _decision(obs, _chain(draft, GOING_ON), site)
    except Exception as error:
        if not draft.backward:
            raise
        return Decision(
            status=draft.status,
            config=desired_config(obs, draft.status, accepted=False),
            backward=True,
            events=draft.events,
            ended=draft.ended,
            requeue=_UNSETTLED,
            error=f"{type(error).__name__}: {error}",
        )


def _chain(draft: Draft, rules: Iterable[Rule]) -> Draft:
    for rule in rules:
        if draft.done:
            break
        draft = rule(draft)
    return draft


def _decision(obs: Observation, draft: Draft, site: render.Site) -> Decision:
    accepted = draft.problem is None
    config = desired_config(obs, draft.status, accepted=accepted)
    status = _finished(draft, config)
    children = _children(obs, site) if accepted else ()
    backward = draft.backward or _gives_back(obs, config)
    creations, events = (draft.new_revision, draft.new_run), draft.events
    if backward:  # nothing may fail before the traffic is taken back; the next pass makes what is to be made
        creations = (None, None)
        events = tuple(event for event in events if event.reason != Reason.REVISION_CREATED)
    return Decision(
        status=status,
        config=config,
        backward=backward,
        children=children,
        creations=tuple(one for one in creations if one is not None),
        deletions=_outdated(draft),
        revision_states=_revision_states(draft),
        events=(*events, *_without_ignored(transitions(obs.status, status), obs)),
        ended=draft.ended,
        requeue=_requeue(draft, config),
    )


def reading_due(status: DeploymentStatus, now: dt.datetime) -> float | None:
    """Seconds until the gateways' counters are to be read, 0 where it is time; None while no canary has traffic.

    `analysis.interval` after the last reading, never because of an event.
    """
    rollout = active(status)
    if rollout is None or not canary_weight(status):
        return None
    last = status.judgement.last_tick if status.judgement else None
    if last is None or last > now:  # the clock of an operator that ran before may have been ahead
        return 0.0
    return max(seconds(rollout.plan.analysis.interval) - (now - last).total_seconds(), 0.0)


def _without_ignored(events: Iterable[Event], obs: Observation) -> list[Event]:
    """Without those about a model's age that spec.lifecycle ignores; the condition tells it all the same."""
    policy = obs.spec.lifecycle if obs.spec else LifecyclePolicy()
    policies = {
        Reason.LEGACY: policy.on_legacy,
        Reason.DEPRECATED: policy.on_deprecated,
        Reason.RETIRED: policy.on_retired,
    }
    return [event for event in events if policies.get(event.reason) != "Ignore"]


def _children(obs: Observation, site: render.Site) -> tuple[Object, ...]:
    if obs.spec is None:
        return ()
    dataset = obs.eval_set.config_map if obs.eval_set else None
    return (
        *render.gateway_objects(obs.owner, obs.spec, site),
        *render.eval_objects(obs.owner, obs.spec, dataset_config_map=dataset),
    )


def _finished(draft: Draft, config: GatewayConfig | None) -> DeploymentStatus:
    """The status with all that only tells: conditions, traffic, model, gateway."""
    obs, status = draft.obs, draft.status
    models = _models(draft)
    weight = canary_weight(status)
    shares = [(status.stable_revision, (BASIS_POINTS - weight) / 100), (status.canary_revision, weight / 100)]
    main = next(iter(models), None)
    fields = {
        "observed_generation": obs.generation,
        "traffic": [Traffic(revision=name, percent=share) for name, share in shares if name],
        "model": _model_status(*main) if main else None,
        "handled": _still_meant(draft),
        "gateway": GatewayStatus(
            url=names.gateway_url(obs.name, obs.owner["metadata"]["namespace"]),
            client_secret=names.client_secret(obs.name),
            ready=obs.gateway.ready,
            config_generation=config.generation,
        )
        if config
        else None,
    }
    told = status.model_copy(update=fields)
    return told.model_copy(update={"conditions": conditions(draft, config, models)})


def _models(draft: Draft) -> list[tuple[str, LifecycleState]]:
    """Models of the newest spec, the main one first, and of what serves."""
    obs, status = draft.obs, draft.status
    specs = [obs.owner["spec"]]
    serving = [name for name in (status.stable_revision, status.canary_revision) if name]
    specs += [obs.revisions[name]["spec"] for name in serving if name in obs.revisions]
    ids = dict.fromkeys(
        one for spec in specs for one in models_in_use(spec.get("request") or {}, spec.get("subagents"))
    )
    return [(name, lifecycle_of(name, obs.now.date(), obs.models)) for name in ids]


def _model_status(name: str, state: LifecycleState) -> ModelStatus:
    retires = state.retires_at.isoformat() if state.retires_at else None
    return ModelStatus(id=name, lifecycle=state.lifecycle, retires_at=retires, replacement=state.replacement)


def _still_meant(draft: Draft) -> list[str]:
    """Marks of annotations that still stand, and of the rollout under way."""
    annotations = [intent.ABORT, intent.PROMOTE, intent.RETRY]
    standing = {intent.mark(name, value) for name in annotations if (value := draft.obs.annotations.get(name))}
    rollout = draft.status.rollout
    own = f":{rollout.revision}/{rollout.attempt}:" if rollout else None
    return [one for one in draft.status.handled if one in standing or (own and own in one)]


def _gives_back(obs: Observation, config: GatewayConfig | None) -> bool:
    """Whether the new config takes traffic from a canary that the live one gives it."""
    live = obs.config.arm("canary") if obs.config else None
    if live is None or config is None:
        return False
    after = next((arm.weight for arm in config.arms if arm.revision == live.revision), 0)
    return after < live.weight


def _revision_states(draft: Draft) -> tuple[RevisionState, ...]:
    """What changed in what the ClaudeRevisions say of themselves."""
    obs, status = draft.obs, draft.status
    phases: dict[str, str] = {}
    for name, run in sorted(obs.eval_runs.items(), key=lambda item: item[1].started_at or obs.now):  # the newest wins
        phases[name.rpartition("-")[0]] = run.phase
    found = []
    for name, revision in obs.revisions.items():
        state = RevisionState(name, _state(status, name), phases.get(name, ""))
        told = revision.get("status") or {}
        if (told.get("state"), told.get("eval")) != (state.state, state.eval):
            found.append(state)
    return tuple(found)


def _state(status: DeploymentStatus, name: str) -> str:
    if name == status.stable_revision:
        return "Stable"
    if name == status.canary_revision:
        return "Canary"
    rollout = active(status)
    if rollout is not None and rollout.revision == name:
        return "Candidate"
    ended = next((one for one in reversed(status.rollouts) if one.revision == name), None)
    return "Failed" if ended and ended.outcome in ("RolledBack", "EvalFailed", "Aborted") else "Old"


def _outdated(draft: Draft) -> tuple[Object, ...]:
    """Revisions beyond the history's limit, oldest first, and their eval runs; never one that serves or is wanted."""
    obs, status = draft.obs, draft.status
    if obs.spec is None:
        return ()
    needed = {status.stable_revision, status.canary_revision, draft.wanted, status.rollout and status.rollout.revision}
    old = [revision for name, revision in obs.revisions.items() if name not in needed]
    old.sort(key=lambda revision: (revision["metadata"].get("creationTimestamp", ""), revision["metadata"]["name"]))
    keep = obs.spec.revision_history_limit
    gone = [revision["metadata"]["name"] for revision in (old[:-keep] if keep else old)]
    runs = [name for name in obs.eval_runs if name.rpartition("-")[0] in gone]
    runs += [name for name, run in obs.eval_runs.items() if name not in runs and _is_left(draft, name, run)]
    kinds = [("ClaudeRevision", name) for name in gone] + [("ClaudeEvalRun", name) for name in runs]
    namespace = obs.owner["metadata"]["namespace"]
    return tuple({"kind": kind, "metadata": {"name": name, "namespace": namespace}} for kind, name in kinds)


def _is_left(draft: Draft, name: str, run: EvalRunStatus) -> bool:
    """Whether a run gates nothing any more and would never end: the set was changed, or the rollout gave way."""
    rollout = draft.status.rollout
    return run.phase not in FINAL and not (rollout and rollout.eval_run == name)


def _requeue(draft: Draft, config: GatewayConfig | None) -> float | None:
    """Seconds until the next pass, the soonest of what is waited for."""
    obs = draft.obs
    delays = [draft.again, reading_due(draft.status, obs.now)]
    if config is not None and (config != obs.config or not _served(obs, config)):
        delays.append(_UNSETTLED if config != obs.config or active(draft.status) else _UNREADY)
    if obs.problems or (obs.spec is not None and obs.spec.prompt_from):
        delays.append(_MISSING)
    known = [delay for delay in delays if delay is not None]
    return min(known) if known else None


def _served(obs: Observation, config: GatewayConfig) -> bool:
    return obs.gateway.settled and obs.gateway.ready > 0 and not obs.gateway.lagging(config.generation)
