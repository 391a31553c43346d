"""The gateways' measure against the organisation's: the same keys and closed days; differences are told by key."""

from __future__ import annotations

import datetime as dt

from claude_operator.core.organisation.attribution import Holder, Slot, Tokens, Usage
from claude_operator.core.organisation.reconciliation import KeyDifference, reconcile

MONDAY = dt.date(2026, 11, 23)
OPUS, HAIKU = "claude-opus-5-5", "claude-haiku-5-5"


def day(number: int) -> dt.date:
    return MONDAY + dt.timedelta(days=number)


def used(number: int, tokens: int, *, key: str = "apikey_a", model: str = OPUS, tier: str = "standard") -> Usage:
    return Usage(Slot(day(number), model, tier), key, Tokens(tokens))


def holder(
    counted: dict[int, int], *, name: str = "a", key: str = "apikey_a", since: int = 0, model: str = OPUS
) -> Holder:
    measured = {(day(number), model): Tokens(tokens) for number, tokens in counted.items()}
    return Holder("shop", name, key, measured, day(since))


CLOSED = (day(0), day(2))


def test_closed_days_that_both_know_are_compared_and_no_others() -> None:
    usage = [used(0, 999), used(1, 100), used(2, 50), used(3, 70)]
    found = reconcile(usage, [holder({0: 1, 1: 100, 2: 50, 3: 7}, since=1)], CLOSED)
    assert found is not None
    assert (found.since, found.until, found.organization, found.gateways) == (day(1), day(2), 150, 150)
    assert found.keys == ()
    assert found.ratio == 0.0


def test_what_went_around_the_gateways_is_named_by_key_and_by_models_that_no_gateway_saw() -> None:
    usage = [used(1, 100), used(1, 40, model=HAIKU), used(1, 10, key="apikey_b"), used(1, 999, key="apikey_nobodys")]
    found = reconcile(usage, [holder({1: 90}), holder({1: 10}, name="b", key="apikey_b")], CLOSED)
    assert found is not None
    assert found.keys == (KeyDifference("apikey_a", 140, 90, (HAIKU,)),)
    assert found.keys[0].around == 50
    assert (found.organization, found.gateways) == (150, 100)


def test_a_shared_key_is_compared_with_all_its_holders_together_from_when_the_last_of_them_measured() -> None:
    usage = [used(0, 500), used(1, 100), used(2, 100)]
    holders = [holder({1: 60, 2: 60}), holder({2: 40}, name="b", since=2)]
    found = reconcile(usage, holders, CLOSED)
    assert found is not None
    assert (found.since, found.organization, found.gateways) == (day(2), 100, 100)


def test_a_key_of_which_one_holder_has_no_known_measure_is_not_compared() -> None:
    unknown = Holder("shop", "b", "apikey_a")
    assert reconcile([used(1, 100)], [holder({1: 60}), unknown], CLOSED) is None
    assert reconcile([used(1, 100)], [], CLOSED) is None
    assert reconcile([used(1, 100)], [holder({1: 60}, since=3)], CLOSED) is None


def test_a_week_at_most_is_compared() -> None:
    found = reconcile([], [holder({}, since=-20)], (day(-20), day(2)))
    assert found is not None
    assert found.since == day(-4)


def test_priority_tier_is_in_usage_and_told() -> None:
    found = reconcile([used(1, 10, tier="priority"), used(1, 5)], [holder({1: 15})], CLOSED)
    assert found is not None
    assert (found.priority, found.keys) == (10, ())


def test_usage_that_the_organisation_does_not_count_at_all_differs() -> None:
    found = reconcile([], [holder({1: 15})], CLOSED)
    assert found is not None
    assert found.ratio == -1.0
