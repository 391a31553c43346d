"""What the gateways of a ClaudeDeployment measured: sums of its ledger by day and model, or unknown."""

from __future__ import annotations

import datetime as dt

from claude_operator.core.organisation.attribution import Holder, Tokens
from claude_operator.core.organisation.holders import holder_of
from claude_operator.core.usage.amounts import Amounts, Key
from claude_operator.core.usage.ledger import Spend
from claude_operator.core.usage.state import Coverage, Usages, UsageState

BEGAN = dt.datetime(2026, 11, 27, 15, tzinfo=dt.UTC)
DAY = dt.date(2026, 11, 28)
OPUS = "claude-opus-5-5"


def state(spend: Spend, **fields: object) -> UsageState:
    return UsageState(Usages(spend), BEGAN, **fields)  # type: ignore[arg-type]


def test_rows_of_a_day_and_model_are_one_and_the_first_whole_day_is_the_one_after_the_first_reading() -> None:
    rows = {
        Key("app-1", "chat", "", OPUS): Amounts(1, 0, 1, 2, 3, 4, 5, nano=2_000_000_000),
        Key("app-2", "other", "small", OPUS): Amounts(1, 1, 10, 20, 30, 40, 50),
        Key("app-2", "other", "", "other"): Amounts(1, 0, 7, nano=500_000_000),
    }
    found = holder_of("shop", "app", "apikey_a", state(Spend(BEGAN, {"2026-11-28": rows})))
    measured = {(DAY, OPUS): Tokens(11, 22, 33, 44, 55), (DAY, "other"): Tokens(7)}
    assert found == Holder("shop", "app", "apikey_a", measured, DAY, {DAY: 2.5})


def test_what_is_not_known_is_not_nothing() -> None:
    assert holder_of("shop", "app", "apikey_a", None).measured is None
    assert holder_of("shop", "app", "apikey_a", state(Spend())).measured is None
    spend = Spend(BEGAN, {"2026-11-28": {Key("app-1", "chat", "", OPUS): Amounts(1, nano=2_000_000_000)}})
    silent = state(spend, coverage=Coverage(1, ("app-gateway-1",)))
    found = holder_of("shop", "app", "apikey_a", silent)
    assert (found.measured, found.since) == (None, None)
    assert found.spent == {DAY: 2.0}  # at least
