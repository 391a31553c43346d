"""One pass over a ClaudeDeployment: a chain of rules from what is observed to what is to be done. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from claude_operator.api.conditions import Reason
from claude_operator.api.gateway import GatewayConfig
from claude_operator.api.status import DeploymentStatus
from claude_operator.core import render
from claude_operator.core.reconcile import rollout_clock
from claude_operator.core.reconcile.checklist import checklist_due
from claude_operator.core.reconcile.countdown import countdown
from claude_operator.core.reconcile.decision import Decision, Event
from claude_operator.core.reconcile.draft import Draft, Rule
from claude_operator.core.reconcile.events import foreign_pods, memory_kills, transitions
from claude_operator.core.reconcile.gateway_config import desired_config
from claude_operator.core.reconcile.gateway_state import first_hold
from claude_operator.core.reconcile.grader import grader_plan, needs_grader
from claude_operator.core.reconcile.notice import Notice
from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.reconcile.plausible import plausible
from claude_operator.core.reconcile.progress import active, reading_due, watched_by
from claude_operator.core.reconcile.retention import outdated, revision_states
from claude_operator.core.reconcile.rules import (
    accept,
    analysis,
    canary,
    drain,
    drill,
    gate,
    intent,
    migrate,
    recover,
    restore,
    rollout,
    soak,
    spending,
)
from claude_operator.core.reconcile.rules.record import record
from claude_operator.core.reconcile.service_levels import budgets_due
from claude_operator.core.reconcile.serving import nothing_served
from claude_operator.core.reconcile.status import finished

__all__ = ["GOING_ON", "TAKING_BACK", "decide"]

TAKING_BACK: tuple[Rule, ...] = (
    recover.recover,
    analysis.analyse,
    analysis.roll_back,
    soak.abort,
    intent.abort,
    soak.watch,
    soak.roll_back,
    drill.judge,
)
"""What may take traffic back: nothing that comes after it, whatever is wrong there, may stand in its way."""

GOING_ON: tuple[Rule, ...] = (
    migrate.migrate,
    restore.restore,
    accept.check,
    accept.name_revision,
    accept.stop_unaccepted,
    rollout.supersede,
    rollout.begin,
    rollout.note_plan,
    intent.ignore_promote,
    gate.gate,
    restore.without_stable,
    canary.move,
)

_OF_CREATIONS = (Reason.REVISION_CREATED, Reason.REVISION_RESTORED)
_MISSING = 15.0  # seconds until what is missing, a name's address, or a prompt in a ConfigMap is looked at again
_UNSETTLED = 1.0  # seconds between two looks at gateways that a rollout waits for
_UNREADY = 15.0  # the same where nothing waits for them; their Deployment's changes wake us
_UNAVAILABLE = 2.0  # the same where nobody is served: that is not to be said a moment longer than it is so

Object = dict[str, Any]


def decide(obs: Observation, site: render.Site) -> Decision:
    """What this pass does and what the status is afterwards.

    What raises in the rules that go on, or in what only reports, is raised; but where traffic is being taken back, that
    alone is decided and `error` says what else went wrong. Where a pass fails for what status remembers of a trial, it
    is decided without that: the canary's traffic goes to 0 and its steps begin again; the second time it is aborted.
    """
    status, dropped = plausible(obs.status, obs.now)
    draft = Draft(replace(obs, status=status), status)
    if dropped:
        note = f"Status was changed by somebody else; dropped: {', '.join(dropped)}"
        draft = draft.record_event(Reason.STATUS_NOT_TRUSTED, note, warning=True)
    try:
        return _decide(draft, site)
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        without = _forgetting(draft, text)
        if without is None:
            raise
        try:
            return replace(_decide(without, site), error=text)
        except Exception:
            raise error from None


def _decide(draft: Draft, site: render.Site) -> Decision:
    draft = _chain(draft, TAKING_BACK)
    try:
        moved = _chain(draft, GOING_ON)
        return _decision(moved.obs, moved, site)
    except Exception as error:
        if not draft.backward:
            raise
        draft = _seen(draft)
        return Decision(
            status=draft.status,
            config=desired_config(draft.obs, draft.status, accepted=False),
            backward=True,
            events=draft.events,
            ended=draft.ended,
            requeue=_UNSETTLED,
            error=f"{type(error).__name__}: {error}",
        )


def _forgetting(draft: Draft, error: str) -> Draft | None:
    """The draft without the memory of a canary, a soak or a drill; None where status has none."""
    status = draft.status
    rollout = status.rollout
    drill = status.drill.model_copy(update={"running": None}) if status.drill else None
    forgotten = {"judgement": None, "soak": None, "step": None, "canary_revision": None, "drill": drill}
    bare = status.model_copy(update=forgotten)
    if bare == status or rollout is None:
        return None
    trial = rollout.trial
    again = replace(draft, obs=replace(draft.obs, status=bare), status=bare)
    notice = Notice("failing", trial)
    note = f"a pass failed because of what status holds of {trial} ({error})"
    if active(status) is None or not draft.has_handled(notice):
        again = again.record_event(Reason.STATUS_NOT_TRUSTED, f"{note}: the operator dropped it", warning=True)
        return again.handle(notice)
    message = f"Aborted {trial}: {note} again"
    return again.end("Aborted", Reason.ABORTED, message).record_event(Reason.ABORTED, message, warning=True)


def _chain(draft: Draft, rules: Iterable[Rule]) -> Draft:
    for rule in rules:
        if draft.done:
            break
        draft = rule(draft)
    return draft


def _decision(obs: Observation, draft: Draft, site: render.Site) -> Decision:
    accepted = draft.problem is None
    draft = _seen(record(drill.steer(migrate.report(spending.watch(drain.watch(draft))))))
    config = desired_config(obs, draft.status, accepted=accepted)
    status = finished(draft, config)
    run = status.rollout.eval_run if status.rollout else None
    children = _children(obs, status, site, run) if accepted else ()
    backward = draft.backward or _gives_back(obs, config)
    creations, events = (*draft.restored, draft.new_revision, draft.new_run), draft.events
    if backward:  # nothing may fail before the traffic is taken back; the next pass makes what is to be made
        creations = ()
        events = tuple(event for event in events if event.reason not in _OF_CREATIONS)
    return Decision(
        status=status,
        config=config,
        backward=backward,
        ledger=draft.ledger,
        children=children,
        creations=tuple(one for one in creations if one is not None),
        deletions=(*outdated(draft), *([draft.stray_run] if draft.stray_run else [])),
        revision_states=revision_states(draft),
        events=(*events, *_told(draft, status)),
        ended=draft.ended,
        requeue=_requeue(draft, config, status),
    )


def _told(draft: Draft, status: DeploymentStatus) -> tuple[Event, ...]:
    """The Events of what is so now, whatever was decided."""
    obs = draft.obs
    return (*transitions(obs, status), *countdown(obs, status), *memory_kills(obs), *foreign_pods(obs))


def _seen(draft: Draft) -> Draft:
    """With what the next leader continues from: the last reading that status has, and up to when time is counted."""
    obs, before, after = draft.obs, draft.obs.status, draft.status
    watched = watched_by(after) is not None
    read = watched and (obs.increments is not None or watched_by(before) is None)
    readings = list(obs.readings) if read else after.readings if watched else []
    return draft.set(
        readings=readings, seen_at=rollout_clock.counted(before, after, obs.now, read=read, watched=watched)
    )


def _children(obs: Observation, status: DeploymentStatus, site: render.Site, run: str | None) -> tuple[Object, ...]:
    if obs.spec is None:
        return ()
    referred = obs.eval_set.config_maps if obs.eval_set else ()
    return (
        *render.gateway_objects(obs.owner, obs.spec, site),
        *render.eval_objects(obs.owner, obs.spec, site, set_config_maps=referred, run=run),
        *render.grader_objects(obs.owner, obs.spec, site, grader_plan(obs, status), needed=needs_grader(status)),
    )


def _gives_back(obs: Observation, config: GatewayConfig | None) -> bool:
    """Whether the new config takes traffic from a canary that the live one gives it."""
    live = obs.config.arm("canary") if obs.config else None
    if live is None or config is None:
        return False
    after = next((arm.weight for arm in config.arms if arm.revision == live.revision), 0)
    return after < live.weight


def _requeue(draft: Draft, config: GatewayConfig | None, status: DeploymentStatus) -> float | None:
    """Seconds until the next pass, the soonest of what is waited for. `status`: as it is stored afterwards."""
    obs = draft.obs
    delays = [draft.again, reading_due(draft.status, obs.now)]
    if delays[1] is None:
        delays.append(rollout_clock.told_every(draft.status))
    if config is not None and first_hold(obs, config) is not None:
        # Pods that begin while there are several arms wait to hear whom they can learn from.
        waited_for = config != obs.config or active(draft.status) or len(config.arms) > 1
        nobody = not obs.gateway.ready or nothing_served(obs.gateway.weights)
        delays.append(_UNSETTLED if waited_for else _UNAVAILABLE if nobody else _UNREADY)
    named = draft.problem is not None and draft.problem.reason == Reason.HOST_NOT_ALLOWED and obs.resolved
    if obs.problems or named or (obs.spec is not None and obs.spec.prompt_from):
        delays.append(_MISSING)
    delays += [budgets_due(status), checklist_due(status.checklist, draft)]
    known = [delay for delay in delays if delay is not None]
    return min(known) if known else None
