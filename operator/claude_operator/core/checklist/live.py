"""What the running system shows: items 2, 10, 11, 13 and 14."""

from __future__ import annotations

import datetime as dt

from claude_operator.api.base import seconds
from claude_operator.api.evidence import OTHER
from claude_operator.core.catalogue.lifecycle import Lifecycle, LifecycleState, model_of
from claude_operator.core.checklist.case import Case, Finding, requests_of
from claude_operator.core.text import duration, join_names, minute

__all__ = ["DRILL_AGE", "check_budgets", "check_models", "check_plumbing", "check_rollback", "check_telemetry"]

DRILL_AGE = "2160h"
"""How old a rehearsed rollback may be: 90 days."""
_STREAMED = 21_333  # max_tokens above which the SDKs refuse a call that is not streamed
_DAYS = 7  # in which calls have to have been answered
_READINGS = 10  # readings of usage that may be missed
_AHEAD = dt.timedelta(minutes=5)  # that the clock may have been set back
_TRAFFIC = "send traffic through the gateway"


def check_plumbing(case: Case) -> Finding:
    """Item 2: calls go through gateways, which record each, and long answers are streamed."""
    item = "plumbing"
    if case.usage is None or not case.usage.coverage.read:
        return Finding(item, "Unknown", "no gateway has told what it has answered: wait for the next reading, a minute")
    if not _calls(case):
        return Finding(item, "Unknown", f"no call was answered in the last {_DAYS} days: {_TRAFFIC}")
    longest = max((_max_tokens(one.get("max_tokens")) for one in requests_of(case.content).values()), default=0)
    if longest > _STREAMED and not _streams(case):
        why = f"max_tokens is above {_STREAMED:,}, so answers have to be streamed, and no streamed call was seen"
        return Finding(
            item, "Unknown", f"{why}: have clients stream, and add a budget for timeToFirstToken, which counts streams"
        )
    return Finding(item, "Passed", "gateways record every call with its request id, stop_reason and usage")


def check_telemetry(case: Case) -> Finding:
    """Item 10."""
    item, usage = "telemetry", case.usage
    if usage is None:
        return Finding(item, "Unknown", "usage was not read yet: wait a minute")
    if case.unpriced:
        why = f"no price is known of {join_names(case.unpriced)}"
        return Finding(item, "Failed", f"{why}: add it to a ClaudeModel, or to the installation's prices")
    if usage.fault:
        return Finding(item, "Unknown", f"the usage record has a fault: {usage.fault}")
    if usage.coverage.silent:
        silent = join_names(usage.coverage.silent)
        return Finding(item, "Unknown", f"what {silent} has used is not known: see why it does not answer")
    if (case.now - usage.read_at).total_seconds() > _READINGS * usage.interval:
        return Finding(item, "Unknown", f"usage was last read at {minute(usage.read_at)}: see whether gateways answer")
    if not _calls(case):
        return Finding(item, "Unknown", f"there is nothing to measure yet: {_TRAFFIC}")
    return Finding(item, "Passed", "usage, cost and the cache-hit ratio are read from all gateways")


def check_budgets(case: Case) -> Finding:
    """Item 11."""
    item = "latency-budgets"
    if not case.spec.budgets:
        helps = "{surface: chat, metric: timeToFirstToken, max: 1500ms}"
        return Finding(item, "Failed", f"spec.budgets is empty: add a budget for each surface, for example {helps}")
    if case.usage is None or not case.usage.coverage.read:
        return Finding(item, "Unknown", "no gateway has told how long its calls took: wait for the next reading")
    named = {budget.surface for budget in case.spec.budgets}
    free = [name for name in case.usage.latency.unbudgeted if name not in named]
    if free and OTHER not in named:
        return Finding(
            item, "Failed", f"no budget names the surface {join_names(free)}: add one for each, or for other"
        )
    tracked = [one for one in case.budgets if one.state != "NoTraffic"]
    if not tracked:
        return Finding(item, "Unknown", f"the surfaces of the budgets had no calls: {_TRAFFIC} with x-claude-surface")
    over = [f"{one.surface} {one.metric}" for one in tracked if one.state == "Over"]
    told = f"; over now: {join_names(over)}" if over else ""
    return Finding(item, "Passed", f"each surface has a budget, which is tracked{told}")


def check_rollback(case: Case) -> Finding:
    """Item 13."""
    item, canary = "rollback", case.spec.strategy.canary
    first = next((step.set_weight for step in canary.steps if step.set_weight is not None), None)
    if first is None or first >= 100:
        return Finding(item, "Failed", "the strategy has no canary: give strategy.canary.steps a first setWeight: 1")
    given = case.spec.checklist.drill_max_age if case.spec.checklist else None
    age = seconds(given or DRILL_AGE)
    known = [one for one in case.rehearsals if one.at <= case.now + _AHEAD]
    last = max(known, key=lambda one: one.at, default=None)
    helps = f"run `kubectl claude drill {case.name} -n {case.namespace}`"
    if case.failed_drill is not None and (last is None or last.at < case.failed_drill[0]):
        return Finding(item, "Failed", f"the last drill has failed: {case.failed_drill[1]}: mend that, then {helps}")
    if last is None:
        return Finding(item, "Failed", f"no rollback was rehearsed: {helps}")
    when = f"{last.how} on {last.at.astimezone(dt.UTC):%Y-%m-%d}"
    if (case.now - last.at).total_seconds() > age:
        return Finding(item, "Failed", f"the last rehearsal is older than {duration(age)} ({when}): {helps}")
    return Finding(item, "Passed", f"steps begin at {first:g} %, and a rollback was rehearsed: {when}")


def check_models(case: Case) -> Finding:
    """Item 14."""
    item = "model-pinned"
    failed = [why for id_, now in case.lifecycles if (why := _model_problem(case, id_, now))]
    if failed:
        return Finding(item, "Failed", "; ".join(failed))
    unknown = [id_ for id_, now in case.lifecycles if now.lifecycle == Lifecycle.UNKNOWN]
    if unknown or not case.lifecycles:
        why = f"{join_names(unknown)}: not in the catalogue" if unknown else "no model is named"
        return Finding(item, "Unknown", f"{why}: make a ClaudeModel with its dates")
    dates = [f"{id_} {_date(case, id_, now)}" for id_, now in case.lifecycles]
    return Finding(item, "Passed", "; ".join(dates))


def _model_problem(case: Case, id_: str, now: LifecycleState) -> str:
    model = model_of(id_, case.models)
    if model is not None and id_ != model.id:
        return f"{id_} moves: write {model.id}"
    if now.lifecycle in (Lifecycle.DEPRECATED, Lifecycle.RETIRED):
        return now.sentence(id_)
    return ""


def _date(case: Case, id_: str, now: LifecycleState) -> str:
    """What is known of its retirement. One that is not announced yet is, 60 days ahead at least."""
    model = model_of(id_, case.models)
    if now.retires_at is not None:
        return f"retires {now.retires_at}"
    if model is not None and model.retires is not None:
        return f"retires {model.retires}"
    promised = now.not_retired_before or (model.not_retired_before if model else None)
    return f"is not retired before {promised}" if promised else "has no retirement announced"


def _calls(case: Case) -> int:
    """Answered in the last days, as the usage record has them by day."""
    if case.usage is None:
        return 0
    today = case.now.astimezone(dt.UTC).date()
    first, last = (today - dt.timedelta(days=_DAYS)).isoformat(), (today + dt.timedelta(days=1)).isoformat()
    days = case.usage.spend.days.items()
    return sum(one.calls for day, rows in days if first <= day <= last for one in rows.values())


def _streams(case: Case) -> bool:
    """Whether a streamed call was counted: timeToFirstToken is counted of those alone."""
    slots = case.usage.latency.slots if case.usage else {}
    streamed = (slot for series in slots if series.metric == "timeToFirstToken" for slot in slots[series])
    return any(slot.within + slot.over for slot in streamed)


def _max_tokens(value: object) -> int:
    return value if isinstance(value, int) else 0
