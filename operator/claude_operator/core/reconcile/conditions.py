"""Conditions for people. Output only: no rule reads them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from claude_operator.api.conditions import Condition, Reason, Type
from claude_operator.api.gateway import GatewayConfig
from claude_operator.api.prices import PRICES_FILE
from claude_operator.api.spending import Level
from claude_operator.api.status import DeploymentStatus, Judgement, SoakStatus
from claude_operator.core.catalogue.lifecycle import Lifecycle
from claude_operator.core.judge.diagnosis import diagnose, explain_remedy, is_uninformative
from claude_operator.core.reconcile import egress, grading, serving
from claude_operator.core.reconcile.acceptance import explain_doubts
from claude_operator.core.reconcile.annotations import PROMOTE, RETRY, promotion
from claude_operator.core.reconcile.caching import report_cache
from claude_operator.core.reconcile.checklist import checklist_state
from claude_operator.core.reconcile.draft import Draft
from claude_operator.core.reconcile.gateway_state import REFUSED_WRITES, diagnose_gateways
from claude_operator.core.reconcile.migration import explain_migration
from claude_operator.core.reconcile.models_used import ModelUse
from claude_operator.core.reconcile.prices import explain_blind, unpriced
from claude_operator.core.reconcile.progress import active, canary_weight, soaking
from claude_operator.core.reconcile.service_levels import budget_state
from claude_operator.core.reconcile.spending import explain, explain_throttled
from claude_operator.core.reconcile.track_record import is_asked, is_lost, remembered
from claude_operator.core.spec.removed import explain_removed
from claude_operator.core.text import count, cut, duration, percent

__all__ = ["conditions", "model_condition", "refused"]

Answer = Literal["True", "False", "Unknown"]


@dataclass(frozen=True, slots=True)
class ConditionState:
    """A condition without its bookkeeping."""

    status: Answer
    reason: Reason
    message: str


def conditions(draft: Draft, config: GatewayConfig | None, models: Sequence[ModelUse]) -> list[Condition]:
    """All conditions of a ClaudeDeployment; a time of transition stays while the status does."""
    answering = [one.id for one in models if one.answers and one.state.lifecycle is not Lifecycle.RETIRED]
    blind = unpriced(draft.obs, answering)
    cache = report_cache(draft.obs, draft.status)
    states = {
        Type.READY: _ready(draft, config),
        Type.ACCEPTED: _accepted(draft, config),
        Type.GATEWAY_READY: _gateway_ready(draft, config),
        Type.EVAL_PASSED: _eval_passed(draft),
        Type.CANARY_HEALTHY: _canary_healthy(draft),
        Type.PROMOTED: _promoted(draft),
        Type.MODEL_CURRENT: _with_migration(draft, model_condition(models, blind, draft.obs.price_fault)),
        Type.WITHIN_COST: _within_cost(draft),
        Type.WITHIN_BUDGET: ConditionState(*budget_state(draft.obs, draft.status.budgets)),
        Type.CACHE_EFFECTIVE: ConditionState(cache.status, cache.reason, cache.message),
        Type.CHECKLIST_PASSED: ConditionState(*checklist_state(draft)),
    }
    before = {one.type: one for one in draft.obs.status.conditions}
    generation, now = draft.obs.generation, draft.obs.now
    return [_as_condition(type_, one, before.get(type_), generation, now) for type_, one in states.items()]


def _as_state(condition: Condition) -> ConditionState:
    return ConditionState(condition.status, Reason(condition.reason), condition.message)


def _as_condition(
    type_: Type, state: ConditionState, before: Condition | None, generation: int, now: dt.datetime
) -> Condition:
    now = now.astimezone(dt.UTC).replace(microsecond=0)
    same = before is not None and before.status == state.status
    return Condition(
        type=type_,
        status=state.status,
        reason=state.reason,
        message=cut(state.message),
        observed_generation=generation,
        last_transition_time=before.last_transition_time if same and before else now,
    )


def _ready(draft: Draft, config: GatewayConfig | None) -> ConditionState:
    stable, ready = draft.status.stable_revision, draft.obs.gateway.ready
    if stable is None:
        return ConditionState("False", Reason.NO_REVISION, "no revision serves yet; gateways answer 503")
    if not ready:
        return ConditionState("False", Reason.GATEWAY_UNAVAILABLE, f"no gateway pod is ready to serve {stable}")
    view = draft.obs.gateway
    if serving.nothing_served(view.weights):
        serves_nothing = f"gateway pods answer every request with 503: none of them serves {stable}"
        if config is not None and view.lagging(config.generation):
            return ConditionState("False", Reason.CONFIG_PENDING, f"{serves_nothing} yet")
        return ConditionState("False", Reason.NOT_SERVING, serves_nothing)
    if why := _answers_nothing(draft, config):
        return ConditionState("False", Reason.HOST_NOT_ALLOWED, why)
    throttled = explain_throttled(draft.obs, config.throttle) if config is not None else ""
    if throttled:
        return ConditionState("False", Reason.COST_OVER_BUDGET, throttled)
    fails = serving.failing(pod.recent for pod in view.pods if pod.ready)
    if fails:
        return ConditionState("False", Reason.REQUESTS_FAILING, "; ".join(filter(None, (fails, _way_out(draft)))))
    return ConditionState("True", Reason.SERVING, f"{count(ready, 'gateway pod')} ready, {stable} is stable")


def _answers_nothing(draft: Draft, config: GatewayConfig | None) -> str:
    """Why gateways turn every request away for want of a key that they may send; empty where they do not."""
    if config is None or not draft.obs.gateway.reads_egress:
        return ""
    return egress.key_withheld(draft.obs, config)


def refused(
    status: DeploymentStatus, after: DeploymentStatus, what: str, why: str, now: dt.datetime
) -> DeploymentStatus:
    """`status`, where `after` was not stored because a write before it was refused: conditions that say so.

    What was decided is not done: of `after` only evidence of harm is reported, so that nothing looks healthy.
    """
    state = ConditionState("False", Reason.WRITE_REFUSED, f"{REFUSED_WRITES[what]}: {why}")
    type_ = Type.GATEWAY_READY
    if what not in ("config", "child"):
        type_, state = Type.PROMOTED, ConditionState("Unknown", state.reason, state.message)
    changed = {type_: state}
    accepted = next((one for one in after.conditions if one.type == Type.ACCEPTED), None)
    if accepted is not None and type_ == Type.PROMOTED:
        changed[Type.ACCEPTED] = _as_state(accepted)
    harm = next((one for one in after.conditions if one.type == Type.CANARY_HEALTHY and one.status == "False"), None)
    if harm is not None and what == "config":
        message = (
            f"traffic must be taken back from the canary, but the API server refuses the gateways' config:"
            f" {harm.message}"
        )
        changed[Type.CANARY_HEALTHY] = ConditionState("False", Reason(harm.reason), message)
    before = {one.type: one for one in status.conditions}
    newer = {
        kind: _as_condition(kind, one, before.get(kind), after.observed_generation, now)
        for kind, one in changed.items()
    }
    conditions = [newer.pop(Type(one.type), one) if one.type in set(Type) else one for one in status.conditions]
    return status.model_copy(update={"conditions": [*conditions, *newer.values()]})


def _way_out(draft: Draft) -> str | None:
    """How to end an outage that stable alone has, None where it has none."""
    rollout, judgement = active(draft.status), draft.status.judgement
    remedy = explain_remedy(judgement) if judgement else None
    if rollout is None or remedy is None or not canary_weight(draft.status):
        return None
    return f"{remedy}, at once by: {draft.obs.ask_by(PROMOTE, promotion(rollout, 'full'))}"


def _accepted(draft: Draft, config: GatewayConfig | None) -> ConditionState:
    removed = explain_removed(draft.obs.owner) if draft.problem is None else None
    if draft.problem is None and draft.obs.outdated:
        both = "; ".join(filter(None, (f"the spec as it is stored is valid, but {draft.obs.outdated}", removed)))
        return ConditionState("True", Reason.CRD_OUTDATED, both)
    if removed is not None:
        return ConditionState("True", Reason.FIELD_REMOVED, f"the spec is valid, but {removed}")
    doubtful = explain_doubts(draft.obs, draft.status) if draft.problem is None else None
    if doubtful is not None:
        return ConditionState("True", doubtful.reason, f"the spec is valid, but {doubtful.message}")
    if draft.problem is None:
        return ConditionState("True", Reason.VALID, "the spec is valid and what it refers to exists")
    serves = draft.status.stable_revision and not _answers_nothing(draft, config)
    keeps = f"; {draft.status.stable_revision} keeps serving" if serves else ""
    return ConditionState("False", draft.problem.reason, f"{draft.problem.message}{keeps}")


def _gateway_ready(draft: Draft, config: GatewayConfig | None) -> ConditionState:
    lost = is_lost(draft.obs, draft.status.stable_revision, draft.wanted)
    if config is None and (lost or (draft.problem is None and remembered(draft.obs))):
        what = draft.status.stable_revision or "what gateways serve"
        helps = "Apply the spec that it was made of, or let another revision pass its gate"
        note = f"{what} exists only in the memory of the gateways, until they restart. {helps}"
        return ConditionState("False", Reason.REVISION_LOST, note)
    if config is None:
        return ConditionState("Unknown", Reason.NOT_YET_REPORTED, "there is no gateway until the spec is accepted")
    found = next(iter(diagnose_gateways(draft.obs, config)), None)
    if found is not None:
        return ConditionState("False", found.reason, found.message)
    ready = count(draft.obs.gateway.ready, "ready pod")
    return ConditionState(
        "True", Reason.GATEWAYS_CURRENT, f"config generation {config.generation} is served by {ready}"
    )


def _eval_passed(draft: Draft) -> ConditionState:
    rollout, spec = draft.status.rollout, draft.obs.spec
    if rollout is None:
        return ConditionState("Unknown", Reason.NOT_YET_REPORTED, "no rollout has started yet")
    if rollout.eval_run is None or (spec is not None and spec.evals is None):
        if spec is not None and spec.evals is not None:
            return ConditionState(
                "True",
                Reason.EVAL_NOT_REQUIRED,
                f"{rollout.revision} was already being rolled out when evals were declared",
            )
        return ConditionState("True", Reason.NO_GATE, "the spec declares no evals: a change goes to users unchecked")
    run = draft.obs.eval_runs.get(rollout.eval_run)
    if run is None or not is_asked(draft.obs, rollout):
        gated = rollout.outcome is None and draft.status.canary_revision is None
        what = "is being created" if gated else "was deleted, so its result is no longer known"
        return ConditionState("Unknown", Reason.NOT_YET_REPORTED, f"ClaudeEvalRun {rollout.eval_run} {what}")
    message = f"{rollout.eval_run}: {run.message}" if run.message else f"{rollout.eval_run} is {run.phase}"
    if run.phase == "Passed":
        return ConditionState("True", Reason.EVAL_PASSED, message)
    if spec is not None and spec.evals is not None and not spec.evals.required:
        return ConditionState("True", Reason.EVAL_NOT_REQUIRED, f"evals.required is false; {message}")
    match run.phase:
        case "Failed":
            return ConditionState("False", Reason.EVAL_FAILED, message)
        case "Inconclusive":
            return ConditionState("Unknown", Reason.EVAL_INCONCLUSIVE, message)
        case "Error":
            return ConditionState("Unknown", Reason.EVAL_ERROR, message)
        case _:
            done = f": {run.done} of {run.total} items done" if run.total else ""
            trouble = f"; {run.message}" if run.message else ""  # why its Job tries again
            does = "is running" if run.phase == "Running" else "waits for its Job"
            return ConditionState("Unknown", Reason.EVAL_RUNNING, f"{rollout.eval_run} {does}{done}{trouble}")


def _canary_healthy(draft: Draft) -> ConditionState:
    status = draft.status
    judgement, rollout = status.judgement, status.rollout
    if rollout is not None and rollout.outcome == "RolledBack":
        reason = Reason(rollout.reason) if rollout.reason in set(Reason) else Reason.ROLLED_BACK
        return ConditionState("False", reason, rollout.message)
    soak = soaking(status)
    if soak is not None and soak.judgement is not None:
        return _soaks(soak, soak.judgement)
    if active(status) is None or status.canary_revision is None:
        return ConditionState("True", Reason.NO_CANARY, "no canary has live traffic")
    if judgement is None or not canary_weight(status):
        return ConditionState("True", Reason.WATCHING, f"{status.canary_revision} has had no traffic yet")
    found = next(iter(diagnose(judgement)), None)
    ungraded = grading.explain_missing(rollout, draft.obs) if rollout else None
    if ungraded is not None and (found is None or found.healthy == "True"):
        return ConditionState("Unknown", Reason.GRADES_MISSING, ungraded)
    if found is None:
        blind = explain_blind(draft.obs, status)
        return ConditionState("True", Reason.WATCHING, "; ".join(filter(None, (judgement.message, blind))))
    if found.reason == Reason.STABLE_FAILING:
        return ConditionState(found.healthy, found.reason, _way_out(draft) or judgement.message)
    return ConditionState(found.healthy, found.reason, found.message)


def _soaks(soak: SoakStatus, judgement: Judgement) -> ConditionState:
    """The time is given as of the last tick: between two of them nothing is new."""
    found = next(iter(diagnose(judgement)), None)
    if found is not None and found.healthy == "False":
        stays = f"{soak.revision} keeps serving, since {soak.previous} cannot come back: {found.message}"
        return ConditionState(found.healthy, found.reason, stays)
    left = duration(max((soak.until - (judgement.last_tick or soak.started_at)).total_seconds(), 0.0))
    against = f"{soak.revision} serves 100 % and is compared with the history of {soak.previous} for {left} more"
    if found is None:
        return ConditionState("True", Reason.SOAKING, f"{against}: {judgement.message}")
    stopped = "; time in this state does not count" if is_uninformative(judgement) else ""
    return ConditionState(found.healthy, found.reason, f"{found.message}; {against}{stopped}")


def _promoted(draft: Draft) -> ConditionState:
    status, hold = draft.status, draft.hold
    rollout = status.rollout
    if draft.problem is not None:
        held = ""
        if active(status) and status.canary_revision and status.step:
            held = f"; {status.canary_revision} is held at {percent(status.step.weight)}"
        return ConditionState("False", Reason.REJECTED, f"the spec is not accepted ({draft.problem.reason}){held}")
    if rollout is None:
        return ConditionState("Unknown", Reason.PROGRESSING, "the first revision is being created")
    match rollout.outcome:
        case "Promoted":
            if hold is not None and draft.wanted not in (None, rollout.revision):
                return ConditionState("Unknown", hold.reason, hold.message)
            live, weights = draft.obs.config, draft.obs.gateway.weights
            if live is None or live.arm("stable") is None or serving.nothing_served(weights):
                return ConditionState(
                    "Unknown", Reason.WAITING_FOR_GATEWAY, "the gateways do not serve their first config yet"
                )
            return ConditionState("True", Reason.PROMOTED, rollout.message)
        case "RolledBack" | "Aborted" | "EvalFailed":
            trial = rollout.trial
            again = draft.obs.ask_by(RETRY, trial)
            if rollout.outcome == "EvalFailed":  # a finished run is not asked again
                helps = f"apply another revision, or change the eval set and run: {again}"
                return ConditionState("False", Reason.EVAL_FAILED, f"{rollout.message}. To go on: {helps}")
            return ConditionState("False", Reason(rollout.outcome), f"{rollout.message}. To try it again: {again}")
        case "Superseded":
            return ConditionState("Unknown", Reason.PROGRESSING, rollout.message)
    if hold is not None:
        return ConditionState("Unknown", hold.reason, hold.message)
    return ConditionState("Unknown", Reason.PROGRESSING, f"{rollout.revision} is being rolled out")


_COST_STATES: dict[Level, tuple[Answer, Reason]] = {
    "Within": ("True", Reason.COST_WITHIN_BUDGET),
    "Near": ("True", Reason.COST_NEAR_BUDGET),
    "Over": ("False", Reason.COST_OVER_BUDGET),
    "Unknown": ("Unknown", Reason.COST_UNKNOWN),
}


def _within_cost(draft: Draft) -> ConditionState:
    spec, known = draft.obs.spec, draft.status.spending
    if spec is not None and spec.budget is None:
        return ConditionState("True", Reason.NO_BUDGET, "the spec sets no monthly budget")
    if spec is None or spec.budget is None or known is None:
        return ConditionState("Unknown", Reason.COST_UNKNOWN, "spec.budget cannot be read")
    return ConditionState(*_COST_STATES[known.level], explain(spec.budget, known))


_MODEL_REASONS = {
    Lifecycle.RETIRED: Reason.RETIRED,
    Lifecycle.DEPRECATED: Reason.DEPRECATED,
    Lifecycle.LEGACY: Reason.LEGACY,
    Lifecycle.UNKNOWN: Reason.UNKNOWN_MODEL,
    Lifecycle.ACTIVE: Reason.ACTIVE,
}  # the worst first


def model_condition(models: Iterable[ModelUse], blind: Sequence[str] = (), price_fault: str = "") -> ConditionState:
    """The worst state of the models in use, and what is not known of their prices.

    `blind` are those without a price, `price_fault` says why the installation's own prices cannot be read.
    """
    state = _lifecycle_condition(models)
    notes = [_explain_blind(blind)] if blind else []
    if price_fault:
        notes.append(f"the installation's own prices are not those of its ConfigMap: {price_fault}")
    if not notes:
        return state
    if state.status == "True":
        return ConditionState("Unknown", Reason.PRICE_UNKNOWN, "; ".join(notes))
    return ConditionState(state.status, state.reason, "; ".join([state.message, *notes]))


def _with_migration(draft: Draft, state: ConditionState) -> ConditionState:
    said = explain_migration(draft.status.migration)
    return replace(state, message=f"{state.message}; {said}") if said else state


def _explain_blind(models: Sequence[str]) -> str:
    have = "has no price, so what its" if len(models) == 1 else "have no price, so what their"
    return (
        f"{' and '.join(models)} {have} answers cost is not known: no metric counts it, and the judge does not compare"
        f" it; add the price to {PRICES_FILE} or to a ClaudeModel"
    )


def _lifecycle_condition(models: Iterable[ModelUse]) -> ConditionState:
    known = list(models)
    for lifecycle, reason in _MODEL_REASONS.items():
        found = [one for one in known if one.state.lifecycle == lifecycle]
        if found:
            status: Answer = {Lifecycle.ACTIVE: "True", Lifecycle.UNKNOWN: "Unknown"}.get(lifecycle, "False")  # type: ignore[assignment]
            return ConditionState(status, reason, "; ".join(one.sentence() for one in found))
    return ConditionState("Unknown", Reason.NOT_YET_REPORTED, "no model is in use yet")
