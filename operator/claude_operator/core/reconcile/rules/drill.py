"""The rehearsed rollback: it begins when asked for, is judged like a canary, and is taken back like one."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import replace

from claude_operator.api.conditions import Reason
from claude_operator.api.drill import AbortedDrill, DrillMode, DrillStatus, RunningDrill
from claude_operator.api.gateway import GatewayConfig
from claude_operator.api.status import to_millisecond
from claude_operator.core.judge import assessment
from claude_operator.core.judge.evidence.context import Context
from claude_operator.core.reconcile.annotations import DRILL, ask, asked_by, handled_entry, ignore
from claude_operator.core.reconcile.draft import Draft
from claude_operator.core.reconcile.drilling import (
    FEWEST,
    arms_of,
    by_request,
    hurt_at_most,
    new_drill,
    with_notes,
)
from claude_operator.core.reconcile.gateway_config import desired_config
from claude_operator.core.reconcile.gateway_state import SOON, first_hold
from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.reconcile.progress import active, drilling, soaking
from claude_operator.core.reconcile.serving import failing
from claude_operator.core.reconcile.spending import explain_throttled
from claude_operator.core.spec.cron import latest
from claude_operator.core.text import count, cut, duration, join_names, percent

__all__ = ["judge", "steer"]

_PATIENCE = 60.0  # seconds in which all gateways take a fault over, and drop it; and the judge sees the last request
_OLD = dt.timedelta(minutes=10)  # after which an annotation means nothing any more
_GRACE = dt.timedelta(hours=1)  # in which a scheduled drill may begin late
_ASKED = re.compile(r"(?P<revision>[^/]+)/(?P<mode>live|rehearsal)/(?P<at>[0-9T:.-]{16,32}Z)")
_MODES: dict[str, DrillMode] = {"live": "Live", "rehearsal": "Rehearsal"}


def judge(draft: Draft) -> Draft:
    """Let the judge see a tick, as soon as one gateway has the fault.

    On evidence of harm the fault goes out of the config in this pass.
    """
    drill, obs, spec = drilling(draft.status), draft.obs, draft.obs.spec
    if drill is None or drill.phase == "TakingBack" or obs.increments is None or spec is None:
        return draft
    stable, fails = arms_of(drill)
    judgement, _ = assessment.assess(
        drill.judgement,
        spec.strategy.canary.analysis,
        by_request(obs.increments, stable, fails),
        stable=stable,
        canary=fails,
        now=obs.now,
        context=Context(weight=drill.weight, generation=drill.generation or None, unit="Request"),
    )
    if judgement.verdict != "Fail":
        return _with(draft, judgement=judgement)
    found = {"phase": "TakingBack", "detected": True, "decided_at": obs.now, "message": cut(judgement.message)}
    return replace(_with(draft, judgement=judgement, **found), backward=True)


def steer(draft: Draft) -> Draft:
    """Move the drill under way on, or begin one that was asked for."""
    if draft.status.drill is None or draft.status.drill.running is None:
        return _begin(draft)
    return _go_on(draft, draft.status.drill.running)


# ------------------------------------------------------------------------------------------- the drill under way


def _go_on(draft: Draft, drill: RunningDrill) -> Draft:
    obs = draft.obs
    drill = with_notes(drill, obs.gateway.pods, obs.now)
    draft = _put(draft, drill)
    value = ask(draft, DRILL)
    if value is not None:
        draft = ignore(draft, DRILL, value, f"{drill.id} is under way")
    if drill.phase != "TakingBack" and (why := _gives_way(draft, drill)):
        return _give_way(draft, why)
    match drill.phase:
        case "Starting":
            return _start(draft, drill)
        case "Running":
            return _run(draft, drill)
        case _:
            return _take_back(draft, drill)


def _gives_way(draft: Draft, drill: RunningDrill) -> str:
    """What ends a drill at once, whatever it has shown."""
    obs, rollout = draft.obs, active(draft.status)
    if rollout is not None:
        return f"the rollout of {rollout.revision} begins"
    if soaking(draft.status) is not None:
        return f"{draft.status.stable_revision} is being watched after its promotion"
    if draft.status.stable_revision != drill.revision:
        return f"{draft.status.stable_revision} serves now"
    if draft.problem is not None or obs.spec is None or obs.generation != drill.spec_generation:
        return "the spec was changed"
    return ""


def _give_way(draft: Draft, why: str) -> Draft:
    """The fault goes out at once; what it has cost is known when every gateway has dropped it."""
    return _with(draft, phase="TakingBack", gives_way=True, decided_at=draft.obs.now, message=cut(why)).requeue_in(SOON)


def _start(draft: Draft, drill: RunningDrill) -> Draft:
    """Wait until every gateway has the fault."""
    obs = draft.obs
    without = [pod.name for pod in obs.gateway.pods if pod.ready and (pod.drill is None or pod.drill.id != drill.id)]
    if not without and obs.gateway.ready and obs.config is not None and obs.config.drill:
        return _with(draft, phase="Running", running_since=obs.now, generation=obs.config.generation)
    if (obs.now - drill.started_at).total_seconds() > _PATIENCE:
        who = join_names(without) if without else "no gateway is ready"
        return _give_way(draft, f"gateways did not begin it within {duration(_PATIENCE)}: {who}")
    return draft.requeue_in(SOON)


def _run(draft: Draft, drill: RunningDrill) -> Draft:
    """Until the judge sees harm, or the bounds of the drill are reached."""
    obs = draft.obs
    live = obs.config.drill if obs.config is not None else None
    if not live or live.id != drill.id:
        return _give_way(draft, "its fault went out of the gateways' configuration before anything was decided")
    since = drill.running_since or drill.started_at
    left = drill.max_seconds - (obs.now - since).total_seconds()
    if drill.exhausted_at is not None:
        left = min(left, _PATIENCE - (obs.now - drill.exhausted_at).total_seconds())
    if left > 0:
        return draft.requeue_in(left)
    hurt = sum(drill.hurt.values())
    seen = f"; {drill.judgement.message}" if drill.judgement else ""
    message = cut(f"{count(hurt, 'request')} failed in {duration((obs.now - since).total_seconds())}{seen}")
    return _with(draft, phase="TakingBack", decided_at=obs.now, message=message).requeue_in(SOON)


def _take_back(draft: Draft, drill: RunningDrill) -> Draft:
    """Wait until every gateway says that it has dropped the fault, and note how long that took."""
    obs = draft.obs
    took = (obs.now - (drill.decided_at or obs.now)).total_seconds()
    if not drill.dropped_generation and obs.config is not None and not obs.config.drill:
        draft = _with(draft, dropped_generation=obs.config.generation)
        drill = drill.model_copy(update={"dropped_generation": obs.config.generation})
    still = [
        pod.name for pod in obs.gateway.pods if pod.ready and (pod.generation or 0) < max(drill.dropped_generation, 1)
    ]
    if still or not drill.dropped_generation:
        if took <= _PATIENCE:
            return draft.requeue_in(SOON)
        if drill.gives_way:
            return _abort(draft, drill, drill.message)
        who = f"{join_names(still)} did not say so" if still else "the configuration could not be written"
        return _end(draft, drill, f"after {duration(took)} not every gateway had dropped the fault: {who}")
    if drill.detected:
        return _end(draft, drill, "", took)
    if drill.gives_way:
        return _abort(draft, drill, drill.message)
    if sum(drill.hurt.values()) < FEWEST:
        return _abort(draft, drill, f"there was too little traffic to see anything: {drill.message}")
    return _end(draft, drill, f"the judge did not notice: {drill.message}", took)


def _end(draft: Draft, drill: RunningDrill, failed: str, took: float | None = None) -> Draft:
    """The result, kept until the next drill has one."""
    obs, before = draft.obs, draft.status.drill or DrillStatus()
    requests, is_known = hurt_at_most(drill, obs.gateway.pods)
    first, decided = drill.first_fault_at, drill.decided_at
    noticed = max((decided - first).total_seconds(), 0.0) if drill.detected and first and decided else None
    what = f"{'' if is_known else 'at most '}{count(requests, 'request')}"
    whose = f"{what} of users failed" if drill.mode == "Live" else f"{what} that gateways made up failed"
    if failed:
        message = f"Drill {drill.id} of {drill.revision} failed: {failed}; {whose}"
    else:
        after = f" {duration(noticed)} after the first failed request" if noticed is not None else ""
        message = (
            f"Drill {drill.id} of {drill.revision} passed: harm was noticed{after}, every gateway had dropped it"
            f" {duration(took or 0.0)} later, and {whose}"
        )
    ended = before.model_copy(
        update={
            "at": to_millisecond(obs.now),
            "outcome": "Failed" if failed else "Passed",
            "message": cut(message),
            "id": drill.id,
            "mode": drill.mode,
            "revision": drill.revision,
            "by": drill.by,
            "detection_seconds": None if noticed is None else round(noticed, 1),
            "rollback_seconds": None if took is None or not drill.detected else round(took, 1),
            "requests": requests,
            "requests_hurt": requests if drill.mode == "Live" else 0,
            "running": None,
        }
    )
    reason = Reason.DRILL_FAILED if failed else Reason.DRILL_PASSED
    return draft.set(drill=ended).record_event(reason, cut(message), warning=bool(failed))


def _abort(draft: Draft, drill: RunningDrill, why: str) -> Draft:
    """It ends without a result: the last one stays."""
    before = draft.status.drill or DrillStatus()
    requests, is_known = hurt_at_most(drill, draft.obs.gateway.pods)
    hurt = requests if drill.mode == "Live" else 0
    counted = f"; {'' if is_known else 'at most '}{count(hurt, 'request')} of users failed" if hurt else ""
    message = cut(f"Drill {drill.id} of {drill.revision} ended without a result: {why}{counted}")
    aborted = AbortedDrill(id=drill.id, at=to_millisecond(draft.obs.now), message=message, requests_hurt=hurt)
    ended = draft.set(drill=before.model_copy(update={"running": None, "aborted": aborted}))
    return ended.record_event(Reason.DRILL_ABORTED, message, warning=True)


def _with(draft: Draft, **fields: object) -> Draft:
    running = draft.status.drill.running if draft.status.drill else None
    return draft if running is None else _put(draft, running.model_copy(update=fields))


def _put(draft: Draft, drill: RunningDrill) -> Draft:
    before = draft.status.drill
    if before is None or before.running is drill:
        return draft
    return draft.set(drill=before.model_copy(update={"running": drill}))


# ------------------------------------------------------------------------------------------------ the next drill


def _begin(draft: Draft) -> Draft:
    value = ask(draft, DRILL)
    if value is not None:
        return _asked(draft, value)
    return _scheduled(draft)


def _asked(draft: Draft, value: str) -> Draft:
    """`<stable revision>/live|rehearsal/<moment in UTC>`: stale once it is ten minutes old, or was acted on."""
    obs, known = draft.obs, draft.status.drill or DrillStatus()
    found = _ASKED.fullmatch(value)
    at = _moment(found["at"]) if found else None
    if found is None or at is None:
        example = f"{draft.status.stable_revision or 'REVISION'}/rehearsal/2026-11-24T10:00:00Z"
        return ignore(draft, DRILL, value, f"write the revision that serves, live or rehearsal, and now: {example}")
    if (known.asked_at is not None and at <= known.asked_at) or abs(obs.now - at) > _OLD:
        return ignore(
            draft,
            DRILL,
            value,
            f"it asks for a drill of another time; write the present one, such as {obs.now:%Y-%m-%dT%H:%M:%SZ}",
        )
    if found["revision"] != draft.status.stable_revision:
        return ignore(draft, DRILL, value, f"{draft.status.stable_revision or 'no revision'} serves")
    why, passes = _prevents(draft)
    if passes and obs.now - at < dt.timedelta(seconds=_PATIENCE):
        return draft.requeue_in(SOON)
    if why:
        return ignore(draft, DRILL, value, why)
    by = asked_by(draft, DRILL)
    draft = draft.handle(handled_entry(DRILL, value))
    return _open(draft, _MODES[found["mode"]], by, asked_at=at)


def _scheduled(draft: Draft) -> Draft:
    """At each moment of the schedule, or within an hour after it. The first pass that has a schedule only notes it."""
    obs, known = draft.obs, draft.status.drill or DrillStatus()
    wanted = obs.spec.drill if obs.spec is not None and draft.problem is None else None
    if wanted is None or wanted.schedule is None or draft.status.stable_revision is None:
        return draft
    slot, following = latest(wanted.schedule, obs.now)
    if slot is None:
        return draft
    draft = draft.requeue_in((following - obs.now).total_seconds()) if following else draft
    if known.slot is None or slot <= known.slot:
        return draft if known.slot else draft.set(drill=known.model_copy(update={"slot": slot}))
    late = obs.now - slot
    why = _prevents(draft)[0] if late <= _GRACE else "nobody looked at the time"
    if not why:
        return _open(draft, wanted.mode or "Rehearsal", "by schedule", slot=slot)
    if late <= _GRACE:
        return draft.requeue_in(min(_PATIENCE, (_GRACE - late).total_seconds() + 1.0))
    note = f"The drill of {slot:%Y-%m-%d %H:%M} UTC is left out, since it could not begin within an hour: {why}"
    return draft.set(drill=known.model_copy(update={"slot": slot})).record_event(
        Reason.DRILL_SKIPPED, note, warning=True
    )


def _open(draft: Draft, mode: DrillMode, by: str, **fields: dt.datetime) -> Draft:
    spec = draft.obs.spec
    if spec is None:
        return draft
    begun = new_drill(draft.obs, spec, draft.status, mode, by).model_copy(update=fields)
    draft = draft.set(drill=begun).requeue_in(SOON)
    drill = begun.running
    if drill is None:
        return draft
    most = count(sum(drill.allowed.values()), "request")
    what = (
        f"at most {most} of users fail, drawn from {percent(drill.weight / 100)} of them"
        if mode == "Live"
        else "gateways make up requests, and no user notices"
    )
    note = f"Drill {drill.id} of {drill.revision} begins, {by}: {what}"
    return draft.record_event(Reason.DRILL_STARTED, note)


def _prevents(draft: Draft) -> tuple[str, bool]:
    """Why no drill can begin now, empty where one can; and whether that passes by itself, in seconds."""
    obs = draft.obs
    if why := _occupied(draft):
        return why, False
    config = desired_config(obs, draft.status, accepted=True)
    held = first_hold(obs, config) if config is not None else None
    if config is None or held is not None:
        why = held.message if held is not None else "gateways have no configuration yet"
        return why, held is not None and held.holds == Reason.WAITING_FOR_GATEWAY
    return _unfit(obs, config), False


def _occupied(draft: Draft) -> str:
    """What of the deployment itself stands in the way."""
    obs, rollout = draft.obs, active(draft.status)
    if draft.status.stable_revision is None:
        return "no revision serves yet"
    if rollout is not None:
        return f"the rollout of {rollout.revision} is under way"
    if draft.ended or draft.backward:
        return "a rollout has ended at this moment"
    if soaking(draft.status) is not None:
        return f"{draft.status.stable_revision} is still being watched after its promotion"
    if draft.problem is not None or obs.spec is None or draft.wanted != draft.status.stable_revision:
        return "the spec asks for something else than what serves"
    if obs.outdated:
        return obs.outdated
    if obs.spec.paused:
        return "spec.paused holds everything"
    return ""


def _unfit(obs: Observation, config: GatewayConfig) -> str:
    """What of the gateways stands in the way, though they are settled."""
    if throttled := explain_throttled(obs, config.throttle):
        return throttled
    old = [pod.name for pod in obs.gateway.pods if pod.ready and (pod.drill is None or not pod.boot_id)]
    if old:
        return f"gateways of an earlier version cannot take part: {join_names(old)}"
    if fails := failing(pod.recent for pod in obs.gateway.pods if pod.ready):
        return f"requests fail already: {fails}"
    return ""


def _moment(text: str) -> dt.datetime | None:
    try:
        return dt.datetime.fromisoformat(text).astimezone(dt.UTC)
    except ValueError:
        return None
