"""Whose the organisation's usage is: each token once, by key, shared keys by the gateways' own measure."""

from __future__ import annotations

import datetime as dt
import random
from collections import defaultdict

import pytest

from claude_operator.core.organisation.attribution import (
    NOTHING,
    ApiKey,
    Holder,
    Slot,
    Tokens,
    Usage,
    attribute,
    key_of,
    split,
)

DAY = dt.date(2026, 11, 29)
OPUS, HAIKU = "claude-opus-5-5", "claude-haiku-5-5"


def used(key: str, tokens: Tokens, model: str = OPUS, day: dt.date = DAY, tier: str = "standard") -> Usage:
    return Usage(Slot(day, model, tier), key, tokens)


def holder(name: str, key: str, measured: Tokens | None = None, model: str = OPUS) -> Holder:
    counted = {(DAY, model): measured} if measured is not None else None
    return Holder("shop", name, key, counted, DAY)


def test_a_key_of_its_own_is_all_its_holders_whatever_the_gateways_measured() -> None:
    found = attribute([used("apikey_a", Tokens(100, 7))], [holder("a", "apikey_a", Tokens(90, 7)), holder("b", "")])
    assert found.of == [{Slot(DAY, OPUS): Tokens(100, 7)}, {}]
    assert found.rest == {}


def test_a_shared_key_is_split_by_the_measure_and_what_is_beyond_it_went_around_the_gateways() -> None:
    holders = [holder("a", "apikey_s", Tokens(600, 60)), holder("b", "apikey_s", Tokens(200, 40))]
    found = attribute([used("apikey_s", Tokens(1000, 100))], holders)
    assert found.of == [{Slot(DAY, OPUS): Tokens(600, 60)}, {Slot(DAY, OPUS): Tokens(200, 40)}]
    assert found.rest == {"apikey_s": {Slot(DAY, OPUS): Tokens(200)}}


def test_where_the_organisation_counts_less_it_is_split_in_proportion() -> None:
    holders = [holder("a", "apikey_s", Tokens(600)), holder("b", "apikey_s", Tokens(200))]
    found = attribute([used("apikey_s", Tokens(401))], holders)
    assert [one[Slot(DAY, OPUS)].input for one in found.of] == [301, 100]
    assert found.rest == {}


def test_a_shared_key_whose_model_no_gateway_was_answered_by_is_nobodys() -> None:
    holders = [holder("a", "apikey_s", Tokens(600)), holder("b", "apikey_s", Tokens(200))]
    found = attribute([used("apikey_s", Tokens(50), HAIKU)], holders)
    assert found.of == [{}, {}]
    assert found.rest == {"apikey_s": {Slot(DAY, HAIKU): Tokens(50)}}


def test_models_that_a_ledger_keeps_no_longer_apart_are_no_traffic_around_the_gateways() -> None:
    holders = [holder("a", "apikey_s", Tokens(300), "other"), holder("b", "apikey_s", Tokens(100), "other")]
    found = attribute([used("apikey_s", Tokens(40), HAIKU)], holders)
    assert [one[Slot(DAY, HAIKU)].input for one in found.of] == [30, 10]


def test_batches_of_a_shared_key_are_nobodys_and_leave_the_split_as_it_is() -> None:
    holders = [holder("a", "apikey_s", Tokens(600)), holder("b", "apikey_s", Tokens(200))]
    found = attribute([used("apikey_s", Tokens(800)), used("apikey_s", Tokens(5000), tier="batch")], holders)
    assert [one[Slot(DAY, OPUS)].input for one in found.of] == [600, 200]
    assert found.rest == {"apikey_s": {Slot(DAY, OPUS, "batch"): Tokens(5000)}}


def test_keys_that_nobody_holds_and_the_console_are_the_rest() -> None:
    found = attribute([used("apikey_x", Tokens(5)), used("", Tokens(3))], [holder("a", "")])
    assert found.rest == {"apikey_x": {Slot(DAY, OPUS): Tokens(5)}, "": {Slot(DAY, OPUS): Tokens(3)}}


@pytest.mark.parametrize("seed", range(40))
def test_no_token_is_lost_or_counted_twice(seed: int) -> None:
    rng = random.Random(seed)
    keys = ["apikey_a", "apikey_b", "apikey_c", ""]

    def tokens(most: int) -> Tokens:
        return Tokens(*(rng.choice((0, rng.randrange(most))) for _ in range(5)))

    usage = [
        used(rng.choice(keys), tokens(10**6), rng.choice((OPUS, HAIKU)), tier=rng.choice(("standard", "batch")))
        for _ in range(12)
    ]
    holders = [
        holder(f"d{number}", rng.choice(keys), rng.choice((None, tokens(10**6))), rng.choice((OPUS, HAIKU, "other")))
        for number in range(6)
    ]
    found = attribute(usage, holders)
    counted: dict[Slot, Tokens] = defaultdict(Tokens)
    for part in [*found.of, *found.rest.values()]:
        for slot, one in part.items():
            assert min(one) >= 0
            counted[slot] = counted[slot].plus(one)
    expected: dict[Slot, Tokens] = defaultdict(Tokens)
    for one in usage:
        expected[one.slot] = expected[one.slot].plus(one.tokens)
    assert counted == {slot: one for slot, one in expected.items() if one != NOTHING} or counted == expected


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [(10, [1, 1, 1], [4, 3, 3]), (1, [1, 1], [1, 0]), (7, [0, 5], [0, 7]), (5, [0, 0], [0, 0]), (0, [3], [0])],
)
def test_split(total: int, weights: list[int], parts: list[int]) -> None:
    assert split(total, weights) == parts


KEY = "sk-ant-api03-R2DxxxxxxxxxxxxxxxxxxxxxxxxxxxxxigAA"


@pytest.mark.parametrize(
    ("hints", "found"),
    [
        (["sk-ant-api03-R2D...igAA"], "apikey_0"),
        (["sk-ant-api03-ZZZ...igAA", "sk-ant-api03-R2D...igAA"], "apikey_1"),
        (["sk-ant-api03-R2D...ZZZZ"], ""),
        (["sk-ant-api03-R2D...igAA", "sk-ant-api03-R2D...igAA"], ""),  # two fit
        (["sk-ant-api03-...A"], ""),  # too few characters to tell keys apart
        (["...", "", "sk-ant-api03-R2D"], ""),
        ([f"{KEY}...{KEY}"], ""),
    ],
)
def test_a_key_is_found_by_its_first_and_last_characters_where_they_fit_one_alone(hints: list[str], found: str) -> None:
    assert key_of(KEY, [ApiKey(f"apikey_{number}", hint=hint) for number, hint in enumerate(hints)]) == found
