"""Status as it is stored, without what no pass can have written: numbers out of range, moments of other centuries.

This is the one place for it: rules, and what reads the gateways, may count with what comes out of here.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable

from pydantic import BaseModel

from claude_operator.api.base import DURATION_PATTERN, seconds
from claude_operator.api.drill import LARGEST_WEIGHT, MOST_MADE_UP, MOST_REQUESTS, DrillStatus, RunningDrill
from claude_operator.api.migration import MigrationStatus
from claude_operator.api.spending import Spending
from claude_operator.api.status import (
    DeploymentStatus,
    Draining,
    Judgement,
    Plan,
    Replaced,
    Rollout,
    RolloutRecord,
    SoakStatus,
    StepStatus,
)
from claude_operator.api.sums import flat
from claude_operator.api.verdicts import Grading

__all__ = ["plausible"]

_OLDEST, _NEWEST = dt.datetime(2000, 1, 1, tzinfo=dt.UTC), dt.datetime(2200, 1, 1, tzinfo=dt.UTC)
_AHEAD = dt.timedelta(days=1)  # a former leader's clock may have been ahead, but not by more
_LONGEST = 10 * 365 * 86_400.0  # seconds of a step or a soak
_STEPS = 50
_RESCUE = 100
_GRADES = 100_000
_ATTEMPTS = 1_000_000
_COUNT = 2**53
_RECORDS = 10
_PODS = 1000
_DRILL = 86_400.0  # seconds
_DRILL_NAME = 64  # characters
_MODELS, _NAME = 33, 253  # of a request and its subagents, and characters of a name
_HANDLED, _MARK = 200, 1024  # annotations that were dealt with, and characters of one


def plausible(status: DeploymentStatus, now: dt.datetime) -> tuple[DeploymentStatus, tuple[str, ...]]:
    """The status without such parts, and the names of the fields that they stood in."""
    found: dict[str, object] = {}
    parts: tuple[tuple[str, BaseModel | None, Callable[..., bool]], ...] = (
        ("step", status.step, _is_step),
        ("rollout", status.rollout, _is_rollout),
        ("soak", status.soak, _is_soak),
        ("replaced", status.replaced, _is_replaced),
        ("draining", status.draining, _is_draining),
        ("judgement", status.judgement, _is_judgement),
        ("drill", status.drill, _is_drill),
        ("spending", status.spending, _is_spending),
        ("migration", status.migration, _is_migration),
    )
    for name, part, is_plausible in parts:
        if part is not None and not is_plausible(part, now):
            found[name] = None
    records = [one for one in status.rollouts if _is_record(one, now)][-_RECORDS:]
    handled = [one for one in status.handled[-_HANDLED:] if len(one) <= _MARK]
    conditions = [one for one in status.conditions if _known(one.last_transition_time)]
    if any(not _known(one.as_of) for one in status.budgets):
        found["budgets"] = []
    if status.cost is not None and not (_known(status.cost.at) and _known(status.cost.since)):
        found["cost"] = None
    if status.cache is not None and not _known(status.cache.at):
        found["cache"] = None
    if len(records) != len(status.rollouts):
        found["rollouts"] = records
    if len(handled) != len(status.handled):
        found["handled"] = handled
    if len(conditions) != len(status.conditions):
        found["conditions"] = conditions
    if len(status.readings) > _PODS or any(not 0 < one.reading <= _COUNT for one in status.readings):
        found["readings"] = []
    if not _is_seen(status, now):
        found["seen_at"] = None
    if status.gateway is not None and not 0 <= status.gateway.config_generation < 2**40:
        found["gateway"] = None
    return (status.model_copy(update=found), tuple(sorted(found))) if found else (status, ())


def _is_seen(status: DeploymentStatus, now: dt.datetime) -> bool:
    """Time is counted from the step's start on; a moment long before it would keep the step forever."""
    seen, step = status.seen_at, status.step
    return _past(seen, now) and (seen is None or step is None or step.started_at <= seen + _AHEAD)


def _is_step(step: StepStatus, now: dt.datetime) -> bool:
    return (
        0 <= step.index < _STEPS
        and 0.0 <= step.weight <= 100.0
        and 0 <= step.requests <= _COUNT
        and _past(step.started_at, now)
    )


def _is_rollout(rollout: Rollout, now: dt.datetime) -> bool:
    sound = rollout.grading is None or _is_grading(rollout.grading, now)
    return sound and 1 <= rollout.attempt <= _ATTEMPTS and _past(rollout.started_at, now) and _is_plan(rollout.plan)


def _is_grading(grading: Grading, now: dt.datetime) -> bool:
    arms = (grading.canary, grading.stable)
    numbers = [number for arm in arms for number in (arm.verdicts, *arm.lately)]
    sound = all(len(arm.lately) == 2 and _past(arm.since, now) for arm in arms)
    return sound and all(0 <= number <= _COUNT for number in numbers)


def _is_plan(plan: Plan) -> bool:
    lengths = [step.pause.duration for step in plan.steps if step.pause]
    bakes = [step.bake for step in plan.steps if step.bake]
    lengths += [length for bake in bakes for length in (bake.min_duration, bake.max_duration)]
    lengths += [plan.soak.duration] if plan.soak else []
    lengths.append(plan.analysis.interval)
    if not 0 <= plan.rescue_after <= _RESCUE or not 0 <= (plan.grades or 0) <= _GRADES:
        return False
    return len(plan.steps) <= _STEPS and all(seconds(length) <= _LONGEST for length in lengths if length)


def _is_record(record: RolloutRecord, now: dt.datetime) -> bool:
    moments = (record.started_at, record.finished_at)
    return 1 <= record.attempt <= _ATTEMPTS and all(_past(moment, now) for moment in moments)


def _is_replaced(replaced: Replaced, now: dt.datetime) -> bool:
    return _past(replaced.at, now)


def _is_draining(draining: Draining, now: dt.datetime) -> bool:
    lasts = _known(draining.until) and (draining.until - now).total_seconds() <= _LONGEST
    return lasts and _past(draining.since, now)


def _is_soak(soak: SoakStatus, now: dt.datetime) -> bool:
    sound = soak.judgement is None or _is_judgement(soak.judgement, now)
    lasts = _known(soak.until) and (soak.until - now).total_seconds() <= _LONGEST
    return sound and lasts and _past(soak.started_at, now) and 0.0 <= soak.max_increase <= 1e6


def _is_judgement(judgement: Judgement, now: dt.datetime) -> bool:
    """Its moments and counts; of the numbers inside only the judge knows what they may be."""
    moments = [judgement.started_at, judgement.last_tick, judgement.last_traffic, judgement.first_bad]
    moments += [
        judgement.seen_since,
        judgement.last_answer,
        judgement.recorded,
        *(one.measured_at for one in judgement.measured),
    ]
    numbers = (judgement.evidence, judgement.threshold, judgement.lowest, judgement.oldest, *flat(judgement.recent))
    counts = (
        judgement.waiting,
        judgement.waiting_stable,
        judgement.requests,
        judgement.ticks,
        judgement.weight,
        *judgement.stable_requests,
    )
    return (
        all(_past(moment, now) for moment in moments)
        and all(0 <= count <= _COUNT for count in counts)
        and all(math.isfinite(number) for number in numbers)
    )


def _is_drill(drill: DrillStatus, now: dt.datetime) -> bool:
    last = (drill.at, drill.slot, drill.aborted.at if drill.aborted else None)
    asked = drill.asked_at is None or _known(drill.asked_at)
    sound = drill.running is None or _is_running(drill.running, now)
    return sound and asked and 0 <= drill.number <= _ATTEMPTS and all(_past(moment, now) for moment in last)


def _is_running(drill: RunningDrill, now: dt.datetime) -> bool:
    moments = (drill.started_at, drill.running_since, drill.exhausted_at, drill.first_fault_at, drill.decided_at)
    most = MOST_REQUESTS if drill.mode == "Live" else MOST_MADE_UP * len(drill.allowed)
    numbers = [*drill.allowed.values(), *drill.hurt.values()]
    return (
        0 < len(drill.id) <= _DRILL_NAME
        and all(_past(moment, now) for moment in moments)
        and len(drill.allowed) <= _PODS
        and all(0 <= number <= most for number in numbers)
        and sum(drill.allowed.values()) <= most
        and all(len(boot) <= _MARK for boot in drill.allowed)
        and 1 <= drill.weight <= 100 * LARGEST_WEIGHT
        and 0.0 < drill.max_seconds <= _DRILL
        and bool(re.fullmatch(DURATION_PATTERN, drill.interval))
        and (drill.judgement is None or _is_judgement(drill.judgement, now))
    )


def _is_migration(migration: MigrationStatus, now: dt.datetime) -> bool:
    """Models that a spec can name, and a revision where some are replaced; what is replaced is due."""
    names = [*migration.models, migration.to, migration.revision or "-"]
    sound = 0 < len(migration.models) <= _MODELS and all(0 < len(name) <= _NAME for name in names)
    replaced = set(migration.replaced) <= set(migration.models) and bool(migration.replaced) == bool(migration.revision)
    return sound and replaced and _past(migration.since, now)


def _is_spending(spending: Spending, now: dt.datetime) -> bool:
    amount = re.fullmatch(r"[0-9]{1,15}\.[0-9]{2}", spending.spent_usd) or not spending.spent_usd
    return bool(amount and re.fullmatch(r"20[0-9]{2}-(0[1-9]|1[0-2])", spending.month)) and _past(spending.at, now)


def _past(moment: dt.datetime | None, now: dt.datetime) -> bool:
    """Whether it may have been reported already; also where there is none."""
    return moment is None or (_known(moment) and moment <= now + _AHEAD)


def _known(moment: dt.datetime) -> bool:
    return moment.tzinfo is not None and _OLDEST <= moment <= _NEWEST
