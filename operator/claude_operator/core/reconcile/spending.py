"""How far the month's budget is spent, and what that holds or refuses. What is not known is not within the budget."""

from __future__ import annotations

import datetime as dt
from decimal import ROUND_DOWN, Decimal

import msgspec

from claude_operator.api.gateway import Throttle
from claude_operator.api.spending import Level, MonthlyBudget, Spending
from claude_operator.core.organisation.budget import NOT_LOOKED, OrganizationLimit
from claude_operator.core.reconcile.month import MonthSpend, month_spend
from claude_operator.core.reconcile.observation import Observation
from claude_operator.core.text import minute, share
from claude_operator.core.usage.month import next_month

__all__ = [
    "explain",
    "explain_hold",
    "explain_throttled",
    "level_of",
    "reached",
    "spending_of",
    "throttle_to_serve",
]

_NEAR, _CENT = Decimal("0.8"), Decimal("0.01")
_HELD = "no canary begins or gets more traffic"
_AT_100 = {"Warn": "an Event warns again", "HoldRollouts": _HELD, "Throttle": "gateways refuse calls"}
_OVER = {"Warn": "", "HoldRollouts": f": {_HELD}", "Throttle": ": gateways answer every new call with 429"}


def reached(budget: MonthlyBudget, spent: MonthSpend) -> Level | None:
    """Near or Over, by what is known of the spend: it is at least that, whatever is missing."""
    limit = Decimal(budget.monthly_usd)
    if spent.usd is None or spent.usd < _NEAR * limit:
        return None
    return "Over" if spent.usd >= limit else "Near"


def level_of(budget: MonthlyBudget, spent: MonthSpend) -> Level:
    """How far the budget is spent. What is known to be over is over, also where something is missing."""
    found = reached(budget, spent)
    if found == "Over":
        return found
    return "Unknown" if spent.missing else found or "Within"


def spending_of(budget: MonthlyBudget, spent: MonthSpend, now: dt.datetime, told: Level | None) -> Spending:
    """The month as status has it."""
    spending = Spending(
        month=spent.name,
        monthly_usd=budget.monthly_usd,
        level=level_of(budget, spent),
        missing=spent.missing,
        told=told,
        at=now,
    )
    if spent.usd is None:
        return spending
    part = spent.usd / Decimal(budget.monthly_usd)
    used = share(float(part if part >= 1 else min(part, Decimal("0.99"))))
    known = {
        "spent_usd": str(spent.usd.quantize(_CENT, ROUND_DOWN)),
        "used": f"at least {used}" if spent.missing else used,
    }
    return spending.model_copy(update=known)


def throttle_to_serve(obs: Observation) -> Throttle | msgspec.UnsetType:
    """What gateways are to refuse.

    An unknown spend refuses nothing new. But what is being refused goes on until the spend is known, as after a restart
    of the operator, with the same budget and to the end of its month.
    """
    live = obs.config.throttle if obs.config is not None else msgspec.UNSET
    if obs.spec is None:  # it cannot be read: what is refused stays as it is
        return live
    own = _own_throttle(obs, obs.spec.budget, live)
    return own if own is not msgspec.UNSET else _organization_throttle(obs.organization, live)


def _organization_throttle(
    limit: OrganizationLimit | None, live: Throttle | msgspec.UnsetType
) -> Throttle | msgspec.UnsetType:
    if limit is NOT_LOOKED:
        return live
    if limit is None or limit.action != "Throttle":
        return msgspec.UNSET
    return _throttled(limit.level, Throttle(limit.ends, limit.monthly_usd), live)


def _own_throttle(
    obs: Observation, budget: MonthlyBudget | None, live: Throttle | msgspec.UnsetType
) -> Throttle | msgspec.UnsetType:
    if budget is None or budget.action != "Throttle":
        return msgspec.UNSET
    spent = month_spend(obs)
    return _throttled(level_of(budget, spent), Throttle(spent.ends, budget.monthly_usd), live)


def _throttled(level: Level, wanted: Throttle, live: Throttle | msgspec.UnsetType) -> Throttle | msgspec.UnsetType:
    """What is over begins to be refused. What is not known goes on as it is, as where the record had to begin again."""
    return wanted if level == "Over" or (level == "Unknown" and live == wanted) else msgspec.UNSET


def explain_throttled(obs: Observation, throttle: Throttle | msgspec.UnsetType) -> str:
    """That gateways refuse calls and until when; empty where they do not."""
    if throttle is msgspec.UNSET or throttle.until <= obs.now:
        return ""
    limit = obs.organization
    own = obs.spec.budget if obs.spec else None
    mine = own is not None and own.action == "Throttle" and own.monthly_usd == throttle.monthly_usd
    whose = limit if limit and limit is not NOT_LOOKED and not mine else None
    return f"{_spent(throttle.monthly_usd, whose)}: gateways answer every new call with 429 {_until(throttle.until)}"


def explain_hold(obs: Observation) -> tuple[Level, str] | None:
    """Why no canary may begin or get more traffic; None where it may."""
    budget = obs.spec.budget if obs.spec else None
    found = _explain_own_hold(obs, budget) if budget is not None and budget.action != "Warn" else None
    return found or _explain_organization_hold(obs.organization)


def _explain_own_hold(obs: Observation, budget: MonthlyBudget) -> tuple[Level, str] | None:
    spent = month_spend(obs)
    level = level_of(budget, spent)
    if level == "Over":
        return level, f"{_spent(budget.monthly_usd)}; the next one begins at {minute(spent.ends)}"
    if level == "Unknown":
        return level, f"it is not known how much of the month's budget is spent, since {spent.missing}"
    return None


def _explain_organization_hold(limit: OrganizationLimit | None) -> tuple[Level, str] | None:
    if limit is None or limit.action == "Warn":
        return None
    if limit.level == "Over":
        return limit.level, f"{_spent(limit.monthly_usd, limit)}; the next one begins at {minute(limit.ends)}"
    if limit.level == "Unknown":
        return (
            limit.level,
            f"it is not known how much of the month's budget of ClaudeOrganization {limit.name} is spent",
        )
    return None


def explain(budget: MonthlyBudget, known: Spending) -> str:
    """The month as a sentence, by the figures that status has."""
    held = f"; {_HELD} until that is known" if budget.action != "Warn" else ""
    if not known.spent_usd:
        return f"it is not known what calls have cost in {known.month}, since {known.missing}{held}"
    spent = f"{_dollars(known.spent_usd)} of {_dollars(budget.monthly_usd)} ({known.used}) are spent in {known.month}"
    match known.level:
        case "Over":
            does = _OVER[budget.action]
            return f"{spent}{does} {_until(_end_of(known.month))}" if does else spent
        case "Near":
            return f"{spent}; at 100 % {_AT_100[budget.action]}"
        case "Unknown":
            return f"{spent}, and it may be more, since {known.missing}{held}"
    return spent


def _spent(monthly_usd: str, limit: OrganizationLimit | None = None) -> str:
    whose = f" of ClaudeOrganization {limit.name}," if limit else " of"
    return f"the month's budget{whose} {_dollars(monthly_usd)}{',' if limit else ''} is spent"


def _dollars(amount: str) -> str:
    """`$2,000` or `$0.50`."""
    return f"${Decimal(amount):,}"


def _end_of(month: str) -> dt.datetime:
    return next_month(dt.datetime.fromisoformat(f"{month}-01T00:00:00+00:00"))


def _until(end: dt.datetime) -> str:
    return f"until {minute(end)} or until spec.budget.monthlyUSD is raised"
