"""The status of a ClaudeOrganization: every reason can be reached and reads as a sentence; figures are bounded."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from claude_operator.api.history import CostRow, History, KeyRow, UsageRow, WorkspaceRow
from claude_operator.api.history import Tokens as Counted
from claude_operator.api.organisation import MOST_HELD, MOST_LISTED, MOST_MODELS, OrganizationBudget, OrganizationStatus
from claude_operator.api.organisation import OrganizationReason as Reason
from claude_operator.api.organisation import OrganizationType as Type
from claude_operator.core.catalogue.lifecycle import from_spec
from claude_operator.core.organisation.attribution import ApiKey, Holder, Slot, Tokens, Usage
from claude_operator.core.organisation.budget import MonthSpend, month_spend
from claude_operator.core.organisation.conditions import Seen
from claude_operator.core.organisation.news import told_now
from claude_operator.core.organisation.pricing import rates_of
from claude_operator.core.organisation.reading import Reading, reading_of
from claude_operator.core.organisation.status import changed, organization_status

NOW = dt.datetime(2026, 11, 30, 12, tzinfo=dt.UTC)
MIDNIGHT = dt.datetime(2026, 11, 30, tzinfo=dt.UTC)
DAY = dt.date(2026, 11, 28)
OPUS = "claude-opus-5-5"
KEYS = (ApiKey("apikey_a", "support", "", "Prod"), ApiKey("apikey_b", "batch job"))
ROOT = Path(__file__).parents[3]


def used(tokens: int, key: str = "apikey_a", model: str = OPUS) -> Usage:
    return Usage(Slot(DAY, model), key, Tokens(tokens))


def holder(tokens: int | None, key: str = "apikey_a", name: str = "support") -> Holder:
    return Holder("shop", name, key, {(DAY, OPUS): Tokens(tokens)} if tokens is not None else None, DAY)


READING = Reading(
    read_at=NOW,
    usage_until=NOW - dt.timedelta(hours=1),
    usage_since=MIDNIGHT - dt.timedelta(days=5),
    cost={dt.date(2026, 11, 29): 12.5, DAY: 7.5, dt.date(2026, 10, 31): 99.0},
    cost_until=dt.date(2026, 11, 29),
    keys=KEYS,
    usage=(used(1000),),
)


def seen(**fields: Any) -> Seen:
    return replace(Seen(NOW, 3, started=True, reading=READING, holders=(holder(1000),)), **fields)


def budget(usd: str, action: Any = "Warn") -> dict[str, Any]:
    return {"budget": OrganizationBudget(monthly_usd=usd, action=action)}


def read(**fields: Any) -> dict[str, Any]:
    return {"reading": replace(READING, **fields)}


def told(one: Seen) -> OrganizationStatus:
    return organization_status(one, rates_of({}), OrganizationStatus())


CASES: list[tuple[Type, str, Reason, dict[str, Any]]] = [
    (Type.READY, "True", Reason.POLLING, {}),
    (Type.READY, "False", Reason.STARTING, {"reading": None, "started": False}),
    (Type.READY, "False", Reason.UNREACHABLE, {"reading": None}),
    (Type.READY, "Unknown", Reason.FILLING, read(usage_until=None)),
    (Type.READY, "False", Reason.BEHIND, read(usage_until=NOW - dt.timedelta(days=2), why="the API answers 500")),
    (Type.READY, "False", Reason.API_FAILS, read(why="the API answers 500; look at its status page")),
    (Type.READY, "False", Reason.API_FAILS, read(usage_until=None, why="the API answers 500")),
    *(
        (Type.READY, "False", reason, {"fault": (reason, "spec is not so: write it so"), "reading": None})
        for reason in (
            Reason.WRITE_REFUSED,
            Reason.NAME_TAKEN,
            Reason.HOST_NOT_ALLOWED,
            Reason.SECRET_NOT_FOUND,
            Reason.SECRET_NOT_ALLOWED,
            Reason.INVALID_SPEC,
            Reason.NOT_A_DATABASE,
        )
    ),
    (Type.KEY_ACCEPTED, "True", Reason.ACCEPTED, {}),
    (Type.KEY_ACCEPTED, "Unknown", Reason.NOT_TRIED, {"reading": None}),
    (Type.KEY_ACCEPTED, "Unknown", Reason.NOT_TRIED, read(read_at=None)),
    (Type.KEY_ACCEPTED, "Unknown", Reason.NOT_TRIED, read(tried=False)),  # as after another key was written
    (Type.KEY_ACCEPTED, "False", Reason.NOT_AN_ADMIN_KEY, {"key_fault": (Reason.NOT_AN_ADMIN_KEY, "it is none")}),
    *(
        (type_, "False", reason, read(refusal=word, why="the API says no: use another key"))
        for type_ in (Type.KEY_ACCEPTED, Type.READY)
        for word, reason in (
            ("NoKey", Reason.SECRET_NOT_FOUND),
            ("InvalidKey", Reason.KEY_REFUSED),
            ("WorkspaceKey", Reason.WORKSPACE_KEY),
            ("IndividualAccount", Reason.INDIVIDUAL_ACCOUNT),
            ("ClaudePlatformOnAWS", Reason.PLATFORM_ON_AWS),
            ("OtherOrganization", Reason.OTHER_ORGANIZATION),
        )
    ),
    (Type.RECONCILED, "True", Reason.AGREES, {}),
    (Type.RECONCILED, "True", Reason.AGREES, {"holders": (holder(981),)}),
    (Type.RECONCILED, "False", Reason.AROUND_GATEWAYS, {"holders": (holder(979),)}),
    (Type.RECONCILED, "False", Reason.UNEXPLAINED, {"holders": (holder(1100),)}),
    (Type.RECONCILED, "Unknown", Reason.NOTHING_TO_COMPARE, {"holders": ()}),
    (Type.RECONCILED, "Unknown", Reason.NOTHING_TO_COMPARE, {"holders": (holder(None),)}),
    (Type.RECONCILED, "Unknown", Reason.NOTHING_TO_COMPARE, {"reading": None}),
    (Type.RECONCILED, "Unknown", Reason.NOTHING_TO_COMPARE, read(usage_since=None)),
    (Type.WITHIN_COST, "True", Reason.COST_WITHIN_BUDGET, {**budget("25.01")}),
    (Type.WITHIN_COST, "True", Reason.COST_NEAR_BUDGET, {**budget("25")}),
    (Type.WITHIN_COST, "False", Reason.COST_OVER_BUDGET, {**budget("20")}),
    (Type.WITHIN_COST, "False", Reason.COST_OVER_BUDGET, {**budget("0")}),
    (Type.WITHIN_COST, "Unknown", Reason.COST_UNKNOWN, {**budget("25"), **read(cost_until=None)}),
    (Type.WITHIN_COST, "Unknown", Reason.COST_UNKNOWN, {**budget("25"), "reading": None}),
]


@pytest.mark.parametrize(("type_", "status", "reason", "fields"), CASES)
def test_each_reason_is_reached_and_reads_as_a_sentence(
    type_: Type, status: str, reason: Reason, fields: dict[str, Any]
) -> None:
    found = next(one for one in told(seen(**fields)).conditions if one.type == type_)
    assert (found.status, found.reason) == (status, reason)
    assert found.message and not found.message.endswith(".") and "  " not in found.message
    assert found.observed_generation == 3


def test_every_reason_has_a_case_and_a_row_in_the_docs() -> None:
    assert {reason for _, _, reason, _ in CASES} == set(Reason)
    text = (ROOT / "docs/organisation.md").read_text()
    assert not [reason for reason in Reason if f"| `{reason}` |" not in text]


def test_traffic_around_the_gateways_is_named_by_key_with_how_much() -> None:
    usage = (used(1000), used(500, model="claude-haiku-5-5"))
    found = told(seen(**read(usage=usage), holders=(holder(900), holder(5, "", "nameless"))))
    message = next(one for one in found.conditions if one.type == Type.RECONCILED).message
    assert message == (
        "600 tokens of key support (apikey_a) went around the gateways (40 % of its tokens), some with"
        " claude-haiku-5-5, which no gateway got answers from; eval runs and live grading use keys so; give everything"
        " else a key of its own. The organisation counts 1,500 tokens, the gateways 900, from 2026-11-28 to 2026-11-28"
        " (UTC); no key of this organisation is known for shop/nameless: set spec.upstream.apiKeyID"
    )
    assert found.reconciliation is not None
    assert found.reconciliation.model_dump() == {
        "since": "2026-11-28",
        "until": "2026-11-28",
        "gateways": 900,
        "organization": 1500,
        "difference": "40.0 %",
    }


def test_priority_tier_is_told_since_no_cost_has_it() -> None:
    paid = replace(used(400), slot=Slot(DAY, OPUS, "priority"))
    found = told(seen(**read(usage=(used(600), paid))))
    message = next(one for one in found.conditions if one.type == Type.RECONCILED).message
    assert "; 400 tokens of Priority Tier among them are in no cost" in message


def test_message_batches_are_told_and_not_compared() -> None:
    batch = replace(used(5000), slot=Slot(DAY, OPUS, "batch"))
    found = next(one for one in told(seen(**read(usage=(used(1000), batch)))).conditions if one.type == Type.RECONCILED)
    assert found.status == "True"
    assert "; 5,000 tokens of Message Batches, which gateways do not measure, are not compared" in found.message


def test_differences_of_two_keys_do_not_cancel_each_other() -> None:
    holders = (holder(900), holder(1100, "apikey_b", "other"))
    found = told(seen(**read(usage=(used(1000), used(1000, "apikey_b"))), holders=holders))
    assert next(one for one in found.conditions if one.type == Type.RECONCILED).status == "False"


def test_figures_of_the_month() -> None:
    holders = (holder(300), holder(100, name="sales"), holder(0, "apikey_b", "jobs"), holder(9, "", "nameless"))
    usage = (used(500), used(20, "apikey_b"), used(7, ""), replace(used(9), slot=Slot(dt.date(2026, 10, 31), OPUS)))
    found = told(seen(**read(usage=usage), holders=holders))
    assert (found.month, found.cost, found.tokens) == ("2026-11", "$20.00", 527)
    assert found.forecast == "$22.86"  # 20.00 so far, and for the 30th the mean of 23 to 29 November, 20.00 / 7
    assert [(one.name, one.tokens, one.shared_with) for one in found.deployments] == [
        ("support", 300, 1),
        ("sales", 100, 1),
        ("jobs", 20, 0),
    ]
    assert [(one.api_key_id, one.name, one.held, one.tokens) for one in found.other_keys] == [
        ("apikey_a", "support", True, 100),
        ("", "", False, 7),
    ]
    assert found.not_listed == 0


def test_lists_are_bounded_and_what_is_left_out_is_a_sum() -> None:
    usage = tuple(used(number, f"apikey_{number}") for number in range(1, 100))
    holders = tuple(holder(0, f"apikey_{number}", f"d{number}") for number in range(1, 50))
    found = told(seen(**read(usage=usage), holders=holders))
    assert len(found.deployments) == len(found.other_keys) == MOST_LISTED
    assert found.not_listed == sum(range(1, 30)) + sum(range(50, 80))
    assert len(found.model_dump_json()) < 32_000


def test_while_the_history_does_not_answer_figures_stay_and_conditions_tell() -> None:
    before = told(seen())
    after = organization_status(seen(reading=None), rates_of({}), before)
    assert (after.tokens, after.cost, after.figures_at) == (before.tokens, before.cost, before.figures_at)
    assert changed(before, after)


def test_times_in_messages_are_no_change() -> None:
    before = told(seen())
    later = seen(**read(read_at=NOW + dt.timedelta(minutes=1), usage_until=NOW), now=NOW + dt.timedelta(minutes=1))
    after = organization_status(later, rates_of({}), before)
    assert after != before and not changed(before, after)
    assert [one.last_transition_time for one in after.conditions] == [
        one.last_transition_time for one in before.conditions
    ]


def test_a_history_is_read_by_days() -> None:
    start = int(MIDNIGHT.timestamp()) - 2 * 86_400
    history = History(
        key="accepted",
        last_poll=NOW.timestamp(),
        complete_from=start + 3600,
        complete_to=start + 86_400 + 7200,
        cost_to=start + 86_400,
        usage=[UsageRow(start, "apikey_a", "wrkspc_1", OPUS, "", Counted(1, 2, 3, 4, 5, 6))],
        costs=[CostRow(start, "123.45"), CostRow(start, "0.55", model=OPUS)],
        keys=[KeyRow("apikey_a", "support", "sk-ant-api03-R2D...igAA", "wrkspc_1"), KeyRow("apikey_b")],
        workspaces=[WorkspaceRow("wrkspc_1", "Prod")],
    )
    found = reading_of(history)
    assert found.usage == [Usage(Slot(DAY, OPUS), "apikey_a", Tokens(1, 5, 2, 3, 4))]
    assert (found.cost, found.cost_until, found.cost_since) == ({DAY: 1.24}, DAY, DAY)
    assert [one.workspace for one in found.keys] == ["Prod", ""]
    with pytest.raises(ValueError, match="'x' is not an amount of cents"):
        reading_of(History(costs=[CostRow(0, "x")]))


@pytest.mark.parametrize(
    ("since", "until", "days"),
    [
        ("2026-11-20T00", "2026-11-30T12", ("2026-11-20", "2026-11-28")),
        ("2026-11-20T01", "2026-11-30T00", ("2026-11-21", "2026-11-28")),
        ("2026-11-20T01", "2026-11-29T23", ("2026-11-21", "2026-11-27")),
        ("2026-11-28T01", "2026-11-30T12", None),
    ],
)
def test_days_are_closed_a_day_after_their_end(since: str, until: str, days: tuple[str, str] | None) -> None:
    moments = [dt.datetime.fromisoformat(one).replace(tzinfo=dt.UTC) for one in (since, until)]
    found = Reading(usage_since=moments[0], usage_until=moments[1]).closed_days
    assert (found and tuple(map(str, found))) == days


def test_a_budget_is_held_against_the_organisations_cost_and_the_gateways_for_the_days_that_lacks() -> None:
    spent = {dt.date(2026, 11, 29): 100.0, dt.date(2026, 11, 30): 4.0}
    ours, elsewhere = replace(holder(1), spent=spent), replace(holder(1, ""), spent=spent)
    found = month_spend(READING, (ours, elsewhere), NOW.date())
    assert found == MonthSpend(12.5 + 7.5 + 4.0, complete=True)
    assert month_spend(None, (ours,), NOW.date()) == MonthSpend(104.0, complete=False)
    assert month_spend(READING, (ours,), dt.date(2026, 12, 1)) == MonthSpend(0.0, complete=True)
    assert month_spend(READING, (ours,), dt.date(2026, 12, 2)).complete is False


def test_without_a_budget_there_is_no_condition_about_one() -> None:
    assert Type.WITHIN_COST not in {one.type for one in told(seen()).conditions}


def test_after_a_change_of_leaders_what_was_told_stays_until_all_deployments_had_a_pass() -> None:
    before = told(seen(**budget("25")))
    after = organization_status(seen(holders=None, **budget("25")), rates_of({}), before)
    assert not changed(before, after)
    assert after.deployments == before.deployments
    first = told(seen(holders=None))
    assert next(one for one in first.conditions if one.type == Type.RECONCILED).status == "Unknown"


def test_models_by_key_the_urgent_ones_first() -> None:
    old = replace(used(9, model="claude-2.1"), slot=Slot(NOW.date() - dt.timedelta(days=30), "claude-2.1"))
    usage = (used(500), used(4, model="claude-sonnet-4-5-20250929"), used(3, "apikey_b", "claude-own-9"),
             used(2, "", "claude-sonnet-4-5-20250929"), used(1), old)  # fmt: skip
    holders = (holder(300), holder(1, name="sales"), holder(1, "", "nameless"),
               replace(holder(1, "", "passed"), elsewhere=True))  # fmt: skip
    found = told(seen(**read(usage=usage), holders=holders))
    assert [
        (one.model, one.name, one.workspace, one.deployments, one.tokens, one.last_day) for one in found.models
    ] == [
        ("claude-sonnet-4-5-20250929", "support", "Prod", ["shop/sales", "shop/support"], 4, str(DAY)),
        ("claude-own-9", "batch job", "", [], 3, str(DAY)),
        ("claude-sonnet-4-5-20250929", "", "", [], 2, str(DAY)),
        (OPUS, "support", "Prod", ["shop/sales", "shop/support"], 501, str(DAY)),
    ]
    assert (found.models_not_listed, found.keys_unknown) == (0, 1)


def test_the_clusters_own_models_say_what_is_urgent() -> None:
    own = {"claude-own-9": from_spec({"id": "claude-own-9", "releasedAt": "2026-01-01"})}
    usage = (used(1, model="claude-own-9"), used(2))
    one = seen(**read(usage=usage))
    for models, first in (({}, "claude-own-9"), (own, OPUS)):
        found = organization_status(one, rates_of({}), OrganizationStatus(), models)
        assert found.models[0].model == first


def test_models_are_bounded_and_the_number_of_the_others_is_told() -> None:
    usage = tuple(used(number, f"apikey_{number}") for number in range(1, 100))
    many = tuple(holder(0, "apikey_99", f"d{number}") for number in range(20))
    found = told(seen(**read(usage=usage), holders=many))
    assert (len(found.models), found.models_not_listed) == (MOST_MODELS, 99 - MOST_MODELS)
    assert len(found.models[0].deployments) == MOST_HELD


def test_a_budget_is_told_once_a_month_at_each_mark() -> None:
    """With what is spent and the budget, what is told from then on, and the reason of the Event."""
    december = NOW + dt.timedelta(days=1)
    steps = [
        (NOW, "100", 20.0, "", None),
        (NOW, "25", 20.0, "2026-11 25 Near", Reason.COST_NEAR_BUDGET),
        (NOW, "25", 19.9, "2026-11 25 Near", None),  # a figure that was corrected
        (NOW, "25", 20.0, "2026-11 25 Near", None),
        (NOW, "25", 30.0, "2026-11 25 Over", Reason.COST_OVER_BUDGET),
        (NOW, "25", 20.0, "2026-11 25 Over", None),
        (NOW, "25", 30.0, "2026-11 25 Over", None),
        (NOW, "40", 30.0, "", None),  # it was raised
        (NOW, "40", 40.0, "2026-11 40 Over", Reason.COST_OVER_BUDGET),
        (december, "40", 0.0, "", None),
        (december, "40", 33.0, "2026-12 40 Near", Reason.COST_NEAR_BUDGET),
        (december, "", 33.0, "", None),
    ]
    status = OrganizationStatus()
    for now, usd, spent, after, reason in steps:
        given = budget(usd) if usd else {}
        one = seen(now=now, **given, **read(cost={now.date(): spent}, cost_until=now.date()))
        found = organization_status(one, rates_of({}), status)
        news = told_now(status.budget_told, found.budget_told, found.conditions)
        assert (found.budget_told, news and news[0]) == (after, reason)
        assert changed(status, found) or news is None
        status = found
    unknown = organization_status(seen(reading=None, **budget("25")), rates_of({}), told(seen(**budget("25"))))
    assert unknown.budget_told == "2026-11 25 Near"
