"""The conditions of a ClaudeOrganization. What is not known is never True."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from claude_operator.api.conditions import Condition
from claude_operator.api.organisation import OrganizationBudget
from claude_operator.api.organisation import OrganizationReason as Reason
from claude_operator.api.organisation import OrganizationType as Type
from claude_operator.core.organisation.admin_key import Fault
from claude_operator.core.organisation.attribution import ApiKey, Holder
from claude_operator.core.organisation.budget import limit_of, month_spend
from claude_operator.core.organisation.reading import Reading
from claude_operator.core.organisation.reconciliation import TOLERANCE, KeyDifference, Reconciled
from claude_operator.core.text import count, cut, duration, join_names, minute, share
from claude_operator.core.usage.figures import dollars

__all__ = ["Seen", "State", "conditions"]

_OVER = {
    "Warn": "",
    "HoldRollouts": ": no canary of a ClaudeDeployment with a key of this organisation begins or gets more traffic",
    "Throttle": ": gateways with a key of this organisation answer every new call with 429 until the month (UTC) ends",
}
_LATE = dt.timedelta(days=1)  # the slowest report of the API takes as long
_REFUSALS: Mapping[str, Reason] = {
    "NoKey": Reason.SECRET_NOT_FOUND,
    "InvalidKey": Reason.KEY_REFUSED,
    "WorkspaceKey": Reason.WORKSPACE_KEY,
    "IndividualAccount": Reason.INDIVIDUAL_ACCOUNT,
    "ClaudePlatformOnAWS": Reason.PLATFORM_ON_AWS,
    "OtherOrganization": Reason.OTHER_ORGANIZATION,
}
"""By the word that the history says."""


class State(NamedTuple):
    """A condition without its bookkeeping."""

    status: Literal["True", "False", "Unknown"]
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is to tell of a ClaudeOrganization."""

    now: dt.datetime
    generation: int = 0
    fault: Fault | None = None
    """What keeps the history from running."""
    key_fault: Fault | None = None
    """What is wrong with the key, by its form or by where it would go."""
    started: bool = False
    """Whether the history's pod is ready."""
    reading: Reading | None = None
    """None where the history does not answer."""
    holders: Sequence[Holder] | None = ()
    """All ClaudeDeployments; None while not all of them have had a pass, after the operator began to lead."""
    budget: OrganizationBudget | None = None


def conditions(seen: Seen, found: Reconciled | None, before: Sequence[Condition]) -> list[Condition]:
    """All of them; a time of transition stays while the status does."""
    states = {
        Type.READY: _ready(seen),
        Type.KEY_ACCEPTED: _key_accepted(seen),
        Type.RECONCILED: _reconciled(seen, found),
    }
    if seen.budget:
        states[Type.WITHIN_COST] = _within_cost(seen, seen.budget)
    known = {one.type: one for one in before}
    kept = () if seen.holders is not None else (Type.RECONCILED, Type.WITHIN_COST)
    return [
        known[type_] if type_ in kept and type_ in known else _condition(type_, state, known.get(type_), seen)
        for type_, state in states.items()
    ]


def _ready(seen: Seen) -> State:
    fault, reading = seen.fault or seen.key_fault, seen.reading
    if fault is not None:
        return State("False", *fault)
    if reading is None:
        if seen.started:
            return State("False", Reason.UNREACHABLE, "the pod of the history runs and does not answer: see its log")
        return State("False", Reason.STARTING, "the pod of the history is not ready yet")
    if reading.refusal in _REFUSALS:
        return State("False", _REFUSALS[reading.refusal], reading.why)
    if reading.usage_until is None:
        if reading.why:
            return State("False", Reason.API_FAILS, reading.why)
        return State("Unknown", Reason.FILLING, "usage is being read; no hour is complete yet")
    age = seen.now - reading.usage_until
    if age > _LATE:
        why = f": {reading.why}" if reading.why else ""
        message = (
            f"usage is complete only up to {minute(reading.usage_until)}, {duration(age.total_seconds())} ago{why}"
        )
        return State("False", Reason.BEHIND, message)
    if reading.why:
        return State("False", Reason.API_FAILS, reading.why)
    return State("True", Reason.POLLING, f"usage is complete up to {minute(reading.usage_until)}")


def _key_accepted(seen: Seen) -> State:
    reading = seen.reading
    if seen.key_fault is not None:
        return State("False", *seen.key_fault)
    if reading is None:
        return State("Unknown", Reason.NOT_TRIED, "no call was made with the key yet")
    if reading.refusal in _REFUSALS:
        return State("False", _REFUSALS[reading.refusal], reading.why)
    if reading.read_at is None or not reading.tried:
        return State("Unknown", Reason.NOT_TRIED, "no call with the key was answered yet")
    return State("True", Reason.ACCEPTED, f"the Admin API answered at {minute(reading.read_at)}")


def _reconciled(seen: Seen, found: Reconciled | None) -> State:
    if found is None:
        return State("Unknown", Reason.NOTHING_TO_COMPARE, _nothing(seen))
    apart = sum(abs(one.around) for one in found.keys)
    days = f"from {found.since} to {found.until} (UTC)"
    both = f"the organisation counts {count(found.organization, 'token')}, the gateways {found.gateways:,}, {days}"
    if found.priority:
        both += f"; {count(found.priority, 'token')} of Priority Tier among them are in no cost"
    if found.batched:
        both += f"; {count(found.batched, 'token')} of Message Batches, which gateways do not measure, are not compared"
    if apart <= TOLERANCE * max(found.organization, found.gateways):
        return State("True", Reason.AGREES, f"{both}{_without(seen)}")
    around = [one for one in found.keys if one.around > 0]
    if around and sum(one.around for one in around) > apart / 2:
        told = "; ".join(_around(one, seen) for one in around[:3])
        helps = "eval runs and live grading use keys so; give everything else a key of its own"
        return State("False", Reason.AROUND_GATEWAYS, f"{told}; {helps}. T{both[1:]}{_without(seen)}")
    names = join_names(_named(one.key, seen) for one in found.keys)
    helps = "check spec.upstream.apiKeyID of the ClaudeDeployments that use it, and whether usage still arrives"
    return State("False", Reason.UNEXPLAINED, f"{both}; they differ for {names}: {helps}{_without(seen)}")


def _within_cost(seen: Seen, budget: OrganizationBudget) -> State:
    spent = month_spend(seen.reading, seen.holders, seen.now.astimezone(dt.UTC).date())
    limit = limit_of("", budget.monthly_usd, budget.action, spent, seen.now)
    told = f"{dollars(spent.usd)} of the month's {dollars(float(budget.monthly_usd))} are spent"
    does = _OVER[budget.action]
    match limit.level:
        case "Over":
            return State("False", Reason.COST_OVER_BUDGET, f"{told}{does}; to end that, raise spec.budget.monthlyUSD")
        case "Unknown":
            message = f"at least {told}; the organisation's cost is not known up to now"
            return State("Unknown", Reason.COST_UNKNOWN, message)
        case "Near":
            part = share(spent.usd / float(budget.monthly_usd))
            return State("True", Reason.COST_NEAR_BUDGET, f"{told}, which is {part}")
    return State("True", Reason.COST_WITHIN_BUDGET, told)


def _around(one: KeyDifference, seen: Seen) -> str:
    part = f" ({share(one.around / one.organization)} of its tokens)"
    models = f", some with {join_names(one.foreign)}, which no gateway got answers from" if one.foreign else ""
    return f"{count(one.around, 'token')} of {_named(one.key, seen)} went around the gateways{part}{models}"


def _without(seen: Seen) -> str:
    """Which ClaudeDeployments are not in a comparison."""
    keyless = [f"{one.namespace}/{one.name}" for one in seen.holders or () if not one.key]
    if not keyless:
        return ""
    return f"; no key of this organisation is known for {join_names(keyless)}: set spec.upstream.apiKeyID"


def _nothing(seen: Seen) -> str:
    if seen.holders is None:
        return "the operator has not looked at all ClaudeDeployments yet"
    if seen.reading is None or seen.reading.usage_until is None:
        return "the organisation's usage is not known yet"
    if not any(one.key for one in seen.holders):
        return f"no ClaudeDeployment is known to use a key of this organisation{_without(seen)}"
    return f"there is no full day (UTC) yet that both the organisation and the gateways have measured{_without(seen)}"


def _named(key: str, seen: Seen) -> str:
    keys: Sequence[ApiKey] = seen.reading.keys if seen.reading else ()
    name = next((one.name for one in keys if one.id == key), "")
    return f"key {name} ({key})" if name else f"key {key}"


def _condition(type_: Type, state: State, before: Condition | None, seen: Seen) -> Condition:
    same = before is not None and before.status == state.status
    return Condition(
        type=type_,
        status=state.status,
        reason=state.reason,
        message=cut(state.message),
        observed_generation=seen.generation,
        last_transition_time=before.last_transition_time if same and before else seen.now.replace(microsecond=0),
    )
