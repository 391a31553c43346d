"""Which ClaudeDeployments the budget of an organisation concerns, from what was known last."""

from __future__ import annotations

import datetime as dt
from typing import Any

from claude_operator.api.organisation import OrganizationBudget
from claude_operator.core.organisation.attribution import Holder
from claude_operator.core.organisation.budget import NOT_LOOKED
from claude_operator.core.organisation.conditions import Seen
from claude_operator.core.organisation.reading import Reading
from claude_operator.shell.organisation_limits import OrganizationLimits

NOW = dt.datetime(2026, 11, 30, 12, tzinfo=dt.UTC)
DAY = dt.date(2026, 11, 29)
OURS, ELSEWHERE = Holder("shop", "a", "apikey_a", uid="a"), Holder("shop", "b", "", uid="b")
HOLD = OrganizationBudget(monthly_usd="20", action="HoldRollouts")


def seen(cost: float | None, holders: Any = (OURS, ELSEWHERE)) -> Seen:
    reading = Reading(cost={DAY: cost}, cost_until=DAY) if cost is not None else None
    return Seen(NOW, reading=reading, holders=holders)


def levels(limits: OrganizationLimits) -> list[str | None]:
    return [found.level if (found := limits.of(uid)) else None for uid in ("a", "b")]


def test_it_concerns_those_with_a_key_of_the_organisation() -> None:
    limits = OrganizationLimits()
    assert limits.of("a") is NOT_LOOKED
    limits.note("1", "acme", HOLD, seen(25.0))
    limits.looked({"1"})
    assert levels(limits) == ["Over", None]
    limits.note("1", "acme", HOLD, seen(5.0))
    assert levels(limits) == ["Within", None]


def test_while_it_is_not_known_whose_keys_are_whose_it_may_be_anybodys() -> None:
    limits = OrganizationLimits()
    for unknown in (seen(None), seen(25.0, None), seen(5.0, None)):  # gateways may have spent the rest since
        limits.note("1", "acme", HOLD, unknown)
        limits.looked({"1"})
        assert [level in ("Unknown", "Over") for level in levels(limits)] == [True, True]
    limits.note("1", "acme", HOLD, seen(5.0))
    limits.note("1", "acme", HOLD, seen(None))
    assert levels(limits) == ["Unknown", None]


def test_a_budget_that_only_warns_or_is_gone_concerns_nobody() -> None:
    limits = OrganizationLimits()
    limits.note("1", "acme", HOLD, seen(25.0))
    limits.looked({"1"})
    limits.note("1", "acme", OrganizationBudget(monthly_usd="20"), seen(25.0))
    assert levels(limits) == [None, None]
    limits.note("1", "acme", HOLD, seen(25.0))
    limits.looked(set())
    assert levels(limits) == [None, None]


def test_of_several_the_one_that_is_spent_the_most_holds() -> None:
    limits = OrganizationLimits()
    limits.note("1", "acme", HOLD, seen(25.0))
    limits.note("2", "other", HOLD, seen(5.0))
    limits.looked({"1", "2"})
    found = limits.of("a")
    assert found is not None
    assert (found.name, found.ends) == ("acme", dt.datetime(2026, 12, 1, tzinfo=dt.UTC))
