"""What status says of traffic is believed as one step ahead of the live config at most, and only of what may serve.

Status can be written by hand, by a broken tool, by a restore. The config, the revisions' own objects and the eval runs
are other witnesses, and going back is always safe.
"""

from __future__ import annotations

from typing import TypeGuard

from claude_operator.api.conditions import Reason
from claude_operator.api.gateway import GatewayConfig
from claude_operator.api.status import Rollout, StepStatus
from claude_operator.core.reconcile.annotations import PROMOTE, promotion
from claude_operator.core.reconcile.draft import Draft
from claude_operator.core.reconcile.drain import is_over
from claude_operator.core.reconcile.progress import active, basis_points, canary_weight, planned_weight, window_left
from claude_operator.core.reconcile.track_record import (
    has_failed,
    has_served,
    is_gated,
    may_return,
    may_serve,
    newest_in_state,
    recorded_state,
    remembered,
    revision_of,
)
from claude_operator.core.spec.validate import Problem
from claude_operator.core.text import percent

__all__ = ["believe", "doubted", "forged"]


def believe(draft: Draft) -> tuple[Draft, list[str]]:
    """With what may be so, and what was not believed."""
    config, doubts = draft.obs.config, list[str]()
    if any(problem.reason == Reason.NAME_TAKEN for problem in draft.obs.problems) and config is None:
        return draft, doubts  # it may be there under another owner; nothing is written while that is so
    draft = _stable(draft, config, doubts)
    draft = _canary(draft, config, doubts)
    return _return_ways(_drain(draft, config, doubts), doubts), doubts


def forged(name: str, namespace: str) -> Problem:
    """A ClaudeRevision with another content than that of its name."""
    return Problem(
        Reason.REVISION_NOT_TRUSTED,
        f"ClaudeRevision {name} does not have the content that its name stands for: it was made by hand and is not"
        f" used. Delete it: kubectl -n {namespace} delete clr {name}",
    )


def doubted(draft: Draft, doubts: list[str]) -> Draft:
    """With one Event that says what of status was not believed."""
    if not doubts:
        return draft
    note = f"Status was changed by somebody else; corrected: {'; '.join(doubts)}"
    return draft.record_event(Reason.STATUS_NOT_TRUSTED, note, warning=True)


def _stable(draft: Draft, config: GatewayConfig | None, doubts: list[str]) -> Draft:
    recorded = draft.status.stable_revision
    found = _found_stable(draft, recorded) if config is None else _live_stable(draft, config, recorded)
    if found == recorded:
        return draft
    if recorded is not None:
        doubts.append(f"stableRevision: {found or 'nothing'} serves, not {recorded}")
    return draft.set(stable_revision=found)


def _live_stable(draft: Draft, config: GatewayConfig, recorded: str | None) -> str | None:
    """The stable arm that is live, unless status is one promotion ahead of it."""
    live, obs = config.arm("stable"), draft.obs
    if live is None:
        return recorded if recorded is not None and may_serve(obs, recorded) else None
    if recorded is None or recorded == live.revision:
        return live.revision
    if _just_promoted(draft, config, recorded) or _just_returned(draft, recorded, live.revision):
        return recorded
    if has_failed(obs, live.revision) and may_serve(obs, recorded):
        return recorded
    # A config that was edited or restored: two witnesses against one.
    two = recorded_state(obs, recorded) == "Stable" and recorded_state(obs, live.revision) != "Stable"
    return recorded if two and may_serve(obs, recorded) else live.revision


def _just_promoted(draft: Draft, config: GatewayConfig, recorded: str) -> bool:
    """Status is written before the config: the canary that is live has done its last step, or a person cut it short."""
    rollout, arm = draft.status.rollout, config.arm("canary")
    if not _promoted(rollout, recorded) or arm is None or arm.revision != recorded:
        return False
    full = draft.obs.annotations.get(PROMOTE) == promotion(rollout, "full")
    done = arm.weight >= planned_weight(rollout.plan, len(rollout.plan.steps) - 1)
    return (done or full) and not has_failed(draft.obs, recorded, rollout.attempt)


def _just_returned(draft: Draft, recorded: str, live: str) -> bool:
    """Within the rollback window what served before has all traffic at once."""
    obs, replaced = draft.obs, draft.status.replaced
    window = obs.spec.strategy.canary.rollback_window if obs.spec else None
    if not _promoted(draft.status.rollout, recorded) or window is None or replaced is None or replaced.revision != live:
        return False
    return has_served(obs, recorded) and not has_failed(obs, recorded)


def _found_stable(draft: Draft, recorded: str | None) -> str | None:
    """Without a readable config: what the revisions' own objects say, or what has just been promoted."""
    obs, stable = draft.obs, newest_in_state(draft.obs, "Stable")
    if recorded is None or recorded_state(obs, recorded) == "Stable":
        return recorded or stable
    just = _promoted(draft.status.rollout, recorded) and recorded_state(obs, recorded) in ("Canary", "Old")
    if stable is None or just:
        if may_serve(obs, recorded):
            return recorded
        if stable is None and recorded not in obs.revisions and remembered(obs):
            return recorded  # gateways may still serve it
    return stable


def _canary(draft: Draft, config: GatewayConfig | None, doubts: list[str]) -> Draft:
    status, rollout = draft.status, active(draft.status)
    if rollout is not None and rollout.eval_run and revision_of(rollout.eval_run) != rollout.revision:
        doubts.append(f"rollout.evalRun: {rollout.eval_run} is not a run of {rollout.revision}")
        draft = draft.set_rollout(eval_run=None, eval_run_spec=None)
    name, step = status.canary_revision, status.step
    if name is None and step is None:
        return draft
    if rollout is None or name != rollout.revision or name == status.stable_revision:
        doubts.append(f"canaryRevision: {name or 'nothing'} is not being rolled out")
        return draft.set(canary_revision=None, step=None, judgement=None)
    if config is None:
        note = f"{name} starts its steps again, because the gateways' configuration is missing or cannot be read"
        again = draft.set(canary_revision=None, step=None)
        return again.record_event(Reason.WEIGHT_CHANGED, note, warning=True) if canary_weight(status) else again
    wrong = _wrong_step(rollout, step, config) if step else _not_yet(draft, rollout, config)
    if wrong is None:
        return draft
    doubts.append(wrong)
    return draft.set(canary_revision=None, step=None, judgement=None)


def _wrong_step(rollout: Rollout, step: StepStatus, config: GatewayConfig) -> str | None:
    """Why a step cannot be the one that follows what is live."""
    steps = rollout.plan.steps
    arm = next((one for one in config.arms if one.revision == rollout.revision and one.role != "stable"), None)
    if arm is None:
        return f"step: {rollout.revision} is not among what the gateways serve"
    if step.index >= len(steps) or step.action != steps[step.index].action:
        return f"step: the plan has no {step.action} at {step.index}"
    planned, before = (planned_weight(rollout.plan, index) for index in (step.index, step.index - 1))
    if basis_points(step.weight) != planned:
        return f"step: the plan gives {percent(planned / 100)} at {step.index}, not {percent(step.weight)}"
    if arm.weight < before:
        return f"step: {rollout.revision} has {percent(arm.weight / 100)}, so it is not at {step.index}"
    return None


def _not_yet(draft: Draft, rollout: Rollout, config: GatewayConfig) -> str | None:
    """Why a revision that is to be served without traffic has not passed its gate; one that is live has."""
    name, obs = rollout.revision, draft.obs
    if any(arm.revision == name for arm in config.arms):
        return None
    if name in obs.revisions and is_gated(obs, name, rollout):
        return None
    return f"canaryRevision: {name} has not passed its gate"


def _return_ways(draft: Draft, doubts: list[str]) -> Draft:
    """What a soak or the rollback window would bring back has served, or may."""
    obs, soak, replaced = draft.obs, draft.status.soak, draft.status.replaced
    if soak is not None and soak.previous in obs.revisions and not may_return(obs, soak.previous):
        doubts.append(f"soak.previous: {soak.previous} has not served")
        draft = draft.set(soak=None)
    # Past its window it brings nothing back, and may have gone on trial again.
    returns = replaced is not None and window_left(draft.status, draft.obs.spec, draft.obs.now) is not None
    if replaced and returns and replaced.revision in obs.revisions and not may_return(obs, replaced.revision):
        doubts.append(f"replaced: {replaced.revision} has not served")
        draft = draft.set(replaced=None)
    return draft


def _drain(draft: Draft, config: GatewayConfig | None, doubts: list[str]) -> Draft:
    """What keeps its conversations is among what the gateways serve, or was until its time had come."""
    obs, draining = draft.obs, draft.status.draining
    if draining is None or is_over(obs, draining):
        return draft
    name = draining.revision
    known = may_return(obs, name) if config is None else any(arm.revision == name for arm in config.arms)
    if known or name == draft.status.stable_revision:
        return draft
    doubts.append(f"draining: {name} is not served")
    return draft.set(draining=None)


def _promoted(rollout: Rollout | None, name: str) -> TypeGuard[Rollout]:
    return rollout is not None and rollout.outcome == "Promoted" and rollout.revision == name
