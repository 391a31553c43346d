"""The status of a ClaudeOrganization: conditions at once, figures at most every five minutes."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence

from claude_operator.api.organisation import (
    MOST_LISTED,
    DeploymentShare,
    HistoryState,
    OrganizationStatus,
    OtherKey,
    Reconciliation,
)
from claude_operator.core.catalogue.lifecycle import NO_MODELS
from claude_operator.core.catalogue.table import Model
from claude_operator.core.organisation.attribution import ApiKey, Attribution, Holder, Slot, Tokens, attribute
from claude_operator.core.organisation.conditions import Seen, conditions
from claude_operator.core.organisation.forecast import forecast, in_month
from claude_operator.core.organisation.models import key_models
from claude_operator.core.organisation.news import budget_told
from claude_operator.core.organisation.pricing import Rates, cost_of
from claude_operator.core.organisation.reading import Reading
from claude_operator.core.organisation.reconciliation import Reconciled, reconcile
from claude_operator.core.usage.figures import dollars

__all__ = ["changed", "cost_of_month", "forecast_of_month", "organization_status"]


def organization_status(
    seen: Seen, rates: Rates, before: OrganizationStatus, models: Mapping[str, Model] = NO_MODELS
) -> OrganizationStatus:
    """The whole of it; `models` are the cluster's own, by id and alias."""
    reading = seen.reading
    closed = reading.closed_days if reading else None
    found = reconcile(reading.usage, seen.holders, closed) if reading and closed and seen.holders else None
    told = conditions(seen, found, before.conditions)
    spent = budget_told(seen, told, before.budget_told)
    base = {"observed_generation": seen.generation, "conditions": told, "budget_told": spent}
    if reading is None or seen.holders is None:  # what was known is not known to be otherwise
        return before.model_copy(update=base)
    used, more = key_models(reading, seen.holders, seen.now.astimezone(dt.UTC).date(), models)
    figures = _figures(seen, reading, seen.holders, rates) | {"models": used, "models_not_listed": more}
    return OrganizationStatus(**base, **figures, reconciliation=_reconciliation(found), figures_at=seen.now)


def changed(before: OrganizationStatus, after: OrganizationStatus) -> bool:
    """Whether a condition changed, which is told at once. Times and figures in a message do not count."""
    return _words(before) != _words(after)


def _words(status: OrganizationStatus) -> tuple[object, ...]:
    return (
        status.observed_generation,
        status.budget_told,
        *((one.type, one.status, one.reason) for one in status.conditions),
    )


def cost_of_month(reading: Reading, now: dt.datetime) -> float | None:
    """US dollars that the organisation reports of the month so far; None where no day of it is known."""
    month = now.astimezone(dt.UTC).date()
    if reading.cost_until is None or reading.cost_until < month.replace(day=1):
        return None
    return in_month(reading.cost, month, reading.cost_until)


def forecast_of_month(reading: Reading, now: dt.datetime) -> float | None:
    """US dollars that all of the month will cost; None where no day is known."""
    if reading.cost_since is None or reading.cost_until is None:
        return None
    month = now.astimezone(dt.UTC).date()
    return forecast(reading.cost, month, since=reading.cost_since, until=reading.cost_until)


def _figures(seen: Seen, reading: Reading, holders: Sequence[Holder], rates: Rates) -> dict[str, object]:
    month = seen.now.astimezone(dt.UTC).date()
    usage = [one for one in reading.usage if (one.slot.day.year, one.slot.day.month) == (month.year, month.month)]
    whose = attribute(usage, holders)
    shares, others = _shares(holders, whose, rates), _others(holders, reading.keys, whose, rates)
    unlisted = [one.tokens for one in shares[MOST_LISTED:]] + [one.tokens for one in others[MOST_LISTED:]]
    return {
        "month": f"{month:%Y-%m}",
        "cost": _told(cost_of_month(reading, seen.now)),
        "forecast": _told(forecast_of_month(reading, seen.now)),
        "tokens": sum(one.tokens.all for one in usage),
        "history": HistoryState(
            usage_until=reading.usage_until,
            cost_until=str(reading.cost_until or ""),
            read_at=reading.read_at,
        ),
        "deployments": shares[:MOST_LISTED],
        "other_keys": others[:MOST_LISTED],
        "not_listed": sum(unlisted),
        "keys_unknown": sum(not holder.key and not holder.elsewhere for holder in holders),
    }


def _told(usd: float | None) -> str:
    return "" if usd is None else dollars(usd)


def _shares(holders: Sequence[Holder], whose: Attribution, rates: Rates) -> list[DeploymentShare]:
    holding: dict[str, int] = defaultdict(int)
    for holder in holders:
        holding[holder.key] += 1
    made = [
        DeploymentShare(
            namespace=holder.namespace,
            name=holder.name,
            api_key_id=holder.key,
            shared_with=holding[holder.key] - 1,
            tokens=_sum(slots),
            cost=_told(cost_of(slots, rates)),
        )
        for holder, slots in zip(holders, whose.of, strict=True)
        if holder.key
    ]
    return sorted(made, key=lambda one: (-one.tokens, one.namespace, one.name))


def _others(holders: Sequence[Holder], keys: Sequence[ApiKey], whose: Attribution, rates: Rates) -> list[OtherKey]:
    known, held = {one.id: one for one in keys}, {one.key for one in holders if one.key}
    made = []
    for key, slots in whose.rest.items():
        about = known.get(key, ApiKey(key))
        made.append(
            OtherKey(
                api_key_id=key,
                name=about.name,
                workspace=about.workspace,
                held=key in held,
                tokens=_sum(slots),
                cost=_told(cost_of(slots, rates)),
            )
        )
    return sorted(made, key=lambda one: (-one.tokens, one.api_key_id))


def _sum(slots: Mapping[Slot, Tokens]) -> int:
    return sum(tokens.all for tokens in slots.values())


def _reconciliation(found: Reconciled | None) -> Reconciliation | None:
    if found is None:
        return None
    return Reconciliation(
        since=str(found.since),
        until=str(found.until),
        gateways=found.gateways,
        organization=found.organization,
        difference=f"{100 * found.ratio:.1f} %",
    )
