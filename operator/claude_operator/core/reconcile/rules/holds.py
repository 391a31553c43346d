"""What holds a rollout. Each hold is one function; the first that has something to say is heard."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from claude_operator.api.base import seconds
from claude_operator.api.conditions import Reason
from claude_operator.api.deployment import Bake, Step
from claude_operator.api.status import Rollout, StepStatus
from claude_operator.core.judge import assessment, sentences
from claude_operator.core.reconcile.draft import Draft, Hold
from claude_operator.core.reconcile.gateway_config import desired_config
from claude_operator.core.reconcile.progress import canary_weight
from claude_operator.core.reconcile.rules.intent import PROMOTE, mark, promotion
from claude_operator.core.text import count, duration, percent

__all__ = ["SOON", "frozen", "gateways", "hold_step", "longest", "overdue"]

_LONGEST = 1800.0
_LAST_PART = 10.0  # seconds
SOON = 0.3  # seconds between two looks while gateways take over a config


def gateways(draft: Draft) -> Draft:
    """No step moves until every ready gateway pod serves the weights of before."""
    view, live = draft.obs.gateway, draft.obs.config
    if live is None or desired_config(draft.obs, draft.status, accepted=True) != live:
        return draft.waits(Reason.WAITING_FOR_GATEWAY, "the gateways' config is being written").within(SOON)
    if not view.settled or not view.ready:
        return draft.waits(Reason.WAITING_FOR_GATEWAY, "gateway pods are starting or being replaced").within(1.0)
    lagging = view.lagging(live.generation)
    silent = [pod.name for pod in lagging if pod.generation is None]
    if silent:
        message = f"gateway pods do not answer on their admin port: {', '.join(silent[:3])}"
        return draft.waits(Reason.METRICS_UNREACHABLE, message).within(1.0)
    if lagging:
        who = ", ".join(pod.name for pod in lagging[:3])
        message = (
            f"config generation {live.generation} is not served yet by {count(len(lagging), 'gateway pod')}: {who}"
        )
        return draft.waits(Reason.WAITING_FOR_GATEWAY, message).within(SOON)
    return draft


def frozen(draft: Draft) -> Draft:
    """`spec.paused` holds any step."""
    if draft.obs.spec is None or not draft.obs.spec.paused:
        return draft
    where = f"at {percent(draft.status.step.weight)}" if draft.status.step else "before its first weight"
    return draft.waits(Reason.PAUSED, f"spec.paused holds {draft.status.canary_revision} {where}")


def hold_step(draft: Draft, rollout: Rollout, present: StepStatus) -> Draft:
    """Hold the present step while something that it needs is missing."""
    step = rollout.plan.steps[present.index]
    if step.action == "setWeight":
        return draft
    for hold in _HOLDS:
        found = hold(draft, step, present)
        if found is not None:
            at = f"step {present.index} at {percent(present.weight)}"
            held = draft.waits(found.reason, f"{at} {found.message}")
            if hold is not _reading:  # which is there within an interval
                held = _overdue(held, rollout, step, present)
            return _wake(held, step, present)
    return draft


# --------------------------------------------------------------------------------------------------------- holds


def _no_traffic(draft: Draft, step: Step, present: StepStatus) -> Hold | None:
    judgement = draft.status.judgement
    if judgement is None or judgement.verdict != "NoData" or not canary_weight(draft.status):
        return None
    return Hold(Reason.NO_TRAFFIC, "holds: the gateways have had no requests of late, so there is nothing to judge by")


def _silent(draft: Draft, step: Step, present: StepStatus) -> Hold | None:
    """A pod that answers again may still have something to tell, which the next reading brings."""
    judgement = draft.status.judgement
    if judgement is None or not canary_weight(draft.status):
        return None
    if judgement.unreachable:
        who = ", ".join(judgement.unreachable[:3])
        return Hold(Reason.METRICS_UNREACHABLE, f"holds: at the last reading there was no answer from {who}")
    if judgement.verdict == "Error":
        return Hold(sentences.reason(judgement), f"holds: {judgement.message}")
    return None


def _hanging(draft: Draft, step: Step, present: StepStatus) -> Hold | None:
    stuck = sentences.hanging(draft.status.judgement) if draft.status.judgement else None
    return Hold(Reason.NO_ANSWER, f"holds: {stuck}") if stuck and canary_weight(draft.status) else None


def _account(draft: Draft, step: Step, present: StepStatus) -> Hold | None:
    empty = sentences.account(draft.status.judgement) if draft.status.judgement else None
    return Hold(Reason.ACCOUNT_EXHAUSTED, f"holds: {empty}") if empty else None


def _overloaded(draft: Draft, step: Step, present: StepStatus) -> Hold | None:
    overload = sentences.overload(draft.status.judgement) if draft.status.judgement else None
    return Hold(Reason.OVERLOADED, f"holds: {overload}") if overload else None


def _shared(draft: Draft, step: Step, present: StepStatus) -> Hold | None:
    """Where stable alone is in trouble the canary is the way out of it."""
    judgement = draft.status.judgement
    if judgement is None or not judgement.shared or sentences.cure(judgement):
        return None
    return Hold(
        Reason.SHARED_INCIDENT, f"holds: {judgement.shared}, so the canary is not to blame and not to be cleared"
    )


def _split(draft: Draft, step: Step, present: StepStatus) -> Hold | None:
    found = assessment.mismatched(draft.status.judgement) if draft.status.judgement else None
    if found is None:
        return None
    return Hold(Reason.SPLIT_MISMATCH, f"holds: {found}, so the arms may not have the same users")


def _person(draft: Draft, step: Step, present: StepStatus) -> Hold | None:
    rollout = draft.status.rollout
    if step.pause is None or step.pause.duration is not None or rollout is None:
        return None
    go = promotion(rollout, present.index)
    where = draft.obs.annotate
    # One that was done or refused before says nothing new until it has gone.
    stale = f"{where} {PROMOTE}- && " if mark(PROMOTE, go) in draft.status.handled else ""
    return Hold(Reason.PAUSED, f"waits for a person: {stale}{where} {PROMOTE}={go}")


def _time(draft: Draft, step: Step, present: StepStatus) -> Hold | None:
    left = (_end(step, present) - draft.obs.now).total_seconds()
    if left <= 0:
        return None
    if step.bake is None:
        return Hold(Reason.PAUSED, f"goes on in {duration(left)}")
    have = f"{present.requests:,} of {step.bake.min_requests:,} requests"
    return Hold(Reason.WAITING_FOR_EVIDENCE, f"bakes for {duration(left)} more; {have}")


def _reading(draft: Draft, step: Step, present: StepStatus) -> Hold | None:
    """The pass that goes on has read the gateways itself, after the step's end, and its last part has no gap."""
    if not canary_weight(draft.status):
        return None
    judgement, end = draft.status.judgement, _end(step, present)
    tick = judgement.last_tick if judgement else None
    if judgement is None or draft.obs.increments is None or tick is None or tick < end:
        return Hold(Reason.WAITING_FOR_EVIDENCE, "waits for the next reading of the gateways' counters")
    since, needed = judgement.seen_since or tick, _last_part(draft, step, present)
    if (tick - since).total_seconds() < needed:
        missing = f"nothing is known of the gateways before {since.astimezone(dt.UTC):%H:%M:%SZ}"
        return Hold(Reason.WAITING_FOR_EVIDENCE, f"has to see {duration(needed)} without a gap, but {missing}")
    return None


def _answers(draft: Draft, step: Step, present: StepStatus) -> Hold | None:
    """A canary that does not answer may not go on: each step ends with an answer in the reading that ends it."""
    judgement = draft.status.judgement
    if judgement is None or not canary_weight(draft.status) or judgement.last_answer == judgement.last_tick:
        return None
    wait = f"; {count(judgement.waiting, 'request')} wait for one" if judgement.waiting else ""
    return Hold(Reason.WAITING_FOR_EVIDENCE, f"waits for an answer of the canary{wait}")


def _failing(draft: Draft, step: Step, present: StepStatus) -> Hold | None:
    """At a large weight it takes the judge a while to tell a canary that has begun to fail from bad luck."""
    judgement = draft.status.judgement
    failing = sentences.failing(judgement) if judgement and canary_weight(draft.status) else None
    return Hold(Reason.WAITING_FOR_EVIDENCE, f"waits until it is clear why {failing}") if failing else None


def _last_part(draft: Draft, step: Step, present: StepStatus) -> float:
    """Seconds at a step's end of which nothing may be missing."""
    rollout = draft.status.rollout
    interval = seconds(rollout.plan.analysis.interval) if rollout else 0.0
    return min((_end(step, present) - present.started_at).total_seconds(), max(_LAST_PART, 3.0 * interval))


def _requests(draft: Draft, step: Step, present: StepStatus) -> Hold | None:
    if step.bake is None or not canary_weight(draft.status) or present.requests >= step.bake.min_requests:
        return None
    missing = step.bake.min_requests - present.requests
    have = f"{present.requests:,} of {step.bake.min_requests:,} requests"
    return Hold(Reason.WAITING_FOR_EVIDENCE, f"has seen {have}; {missing:,} more are needed")


def _proof(draft: Draft, step: Step, present: StepStatus) -> Hold | None:
    """A bake ends when it is shown that the next weight is harmless, or as onInconclusive has it."""
    rollout, judgement = draft.status.rollout, draft.status.judgement
    if step.bake is None or rollout is None or judgement is None or not canary_weight(draft.status):
        return None
    elapsed = (draft.obs.now - present.started_at).total_seconds()
    pace = present.requests / elapsed if elapsed > 0.0 else 0.0
    missing = assessment.harmless(judgement, rollout.plan.analysis, present.index, pace=pace)
    if missing is None:
        return None
    if not overdue(step, present, draft.obs.now):
        return Hold(Reason.WAITING_FOR_EVIDENCE, missing)
    if step.bake.on_inconclusive == "Promote" and not assessment.suspicious(judgement):
        return None
    return Hold(Reason.INCONCLUSIVE, f"is inconclusive after {duration(longest(step.bake))}: {missing}")


_HOLDS: tuple[Callable[[Draft, Step, StepStatus], Hold | None], ...] = (
    _silent,
    _hanging,
    _no_traffic,
    _account,
    _overloaded,
    _shared,
    _split,
    _person,
    _time,
    _requests,
    _proof,
    _failing,
    _reading,
    _answers,
)


def overdue(step: Step, present: StepStatus, now: dt.datetime) -> bool:
    """Whether a bake is past its longest time."""
    return step.bake is not None and (now - present.started_at).total_seconds() >= longest(step.bake)


def longest(bake: Bake) -> float:
    """Seconds that a bake may take before it is inconclusive."""
    return seconds(bake.max_duration) if bake.max_duration else max(_LONGEST, 2.0 * seconds(bake.min_duration))


def _end(step: Step, present: StepStatus) -> dt.datetime:
    """When the step's own time is over."""
    if step.bake is not None:
        length = seconds(step.bake.min_duration)
    else:
        length = seconds(step.pause.duration) if step.pause and step.pause.duration else 0.0
    return present.started_at + dt.timedelta(seconds=length)


def _wake(draft: Draft, step: Step, present: StepStatus) -> Draft:
    left = (_end(step, present) - draft.obs.now).total_seconds()
    return draft.within(left) if left > 0 else draft


def _overdue(draft: Draft, rollout: Rollout, step: Step, present: StepStatus) -> Draft:
    """Say once that a bake is past its longest time; it goes on holding."""
    if step.bake is None or draft.hold is None:
        return draft
    left = longest(step.bake) - (draft.obs.now - present.started_at).total_seconds()
    told = f"held:{rollout.revision}/{rollout.attempt}:{present.index}"
    if left > 0:
        return draft.within(left)
    if told in draft.status.handled:
        return draft
    note = f"past maxDuration {duration(longest(step.bake))}: {draft.hold.message}"
    return draft.handle(told).tell(Reason.STEP_HELD, note, warning=True)
