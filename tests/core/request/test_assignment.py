"""Assignment: properties that every rollout leans on."""

from __future__ import annotations

import math
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_operator.core.request.assignment import (
    Assignment,
    cohort,
    conversation_name,
    in_canary,
    is_named,
    metadata_user_id,
    opening_name,
    rank,
    user_name,
)

UID = "0b2f4d3e-0000-4000-8000-000000000001"
CANARY = "support-7b9e21c3d4"
WEIGHTS = st.integers(0, 10_000)


def body(**fields: object) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()}


@given(st.text(), st.text())
def test_a_cohort_is_a_number_below_ten_thousand_and_stays(uid: str, key: str) -> None:
    assert 0 <= cohort(uid, key) < 10_000
    assert cohort(uid, key) == cohort(uid, key)


def test_cohorts_and_ranks_never_change_between_versions() -> None:
    assert [cohort(UID, key) for key in ("session:a", "session:b", "user:a")] == [3580, 2942, 1078]
    assert list(rank(CANARY)[:5]) == [1705, 5553, 338, 8243, 9374]


@pytest.mark.parametrize("seed", ["", CANARY, "support-0000000000", "é"])
def test_a_rank_is_a_permutation(seed: str) -> None:
    assert sorted(rank(seed)) == list(range(10_000))


@given(st.text(min_size=1), WEIGHTS, WEIGHTS)
def test_a_growing_weight_never_moves_a_conversation_back(key: str, one: int, other: int) -> None:
    low, high = sorted((one, other))
    if in_canary(UID, key, CANARY, low):
        assert in_canary(UID, key, CANARY, high)


@given(st.text(min_size=1))
def test_nothing_and_everything(key: str) -> None:
    assert not in_canary(UID, key, CANARY, 0)
    assert in_canary(UID, key, CANARY, 10_000)


@pytest.mark.parametrize("weight", [100, 1000, 5000])
@pytest.mark.parametrize("seed", [CANARY, "other-0123456789"])
def test_the_split_over_sessions_is_binomial(seed: str, weight: int) -> None:
    sessions = 20_000
    hits = sum(in_canary(UID, f"session:{number}", seed, weight) for number in range(sessions))
    share = weight / 10_000
    assert abs(hits - sessions * share) < 4 * math.sqrt(sessions * share * (1 - share))


def test_another_canary_starts_with_other_people() -> None:
    sessions = [f"session:{number}" for number in range(20_000)]
    first = {key for key in sessions if in_canary(UID, key, "support-aaaaaaaaaa", 1000)}
    second = {key for key in sessions if in_canary(UID, key, "support-bbbbbbbbbb", 1000)}
    assert abs(len(first & second) / len(first) - 0.1) < 0.03


def test_another_deployment_starts_with_other_people() -> None:
    sessions = [f"session:{number}" for number in range(20_000)]
    ours = {key for key in sessions if in_canary(UID, key, CANARY, 1000)}
    theirs = {key for key in sessions if in_canary("another-uid", key, CANARY, 1000)}
    assert abs(len(ours & theirs) / len(ours) - 0.1) < 0.03


TURNS = [
    {"role": "user", "content": "Where is my order?"},
    {"role": "assistant", "content": "Which one?"},
    {"role": "user", "content": "17"},
]


def test_a_session_names_a_conversation_and_a_user_never_does() -> None:
    assert conversation_name("s1", "u1") == "session:s1"
    assert conversation_name("", "u1") is None
    assert user_name("", "u1") == user_name("u1", "another") == "user:u1"
    assert user_name("", "") is None
    key = opening_name(body(messages=TURNS, metadata={"user_id": "u1"}), "key")
    assert key is not None
    assert key.startswith("conversation:")


def test_the_session_in_claude_codes_user_id_names_the_conversation() -> None:
    for user_id in (
        '{"device_id":"d1","account_uuid":"a","session_id":"s1"}',
        '{"session_id":"s1","device_id":"d2"}',
        "user_0123_account__session_s1",
    ):
        assert conversation_name("", user_id) == "session:s1"
        assert conversation_name("s2", user_id) == "session:s2"
    assert conversation_name("", '{"device_id":"d1"}') is None


def test_claude_codes_user_is_its_device_and_account_in_all_sessions() -> None:
    users = {
        user_name("", user_id)
        for user_id in (
            '{"device_id":"d1","account_uuid":"a","session_id":"s1"}',
            '{"session_id":"s2","account_uuid":"a","device_id":"d1"}',
        )
    }
    assert users == {'user:{"account_uuid":"a","device_id":"d1"}'}
    assert user_name("", "user_0123_account__session_s1") == user_name("", "user_0123_account__session_s2")
    other = '{"device_id":"d1"}'
    assert user_name("", other) == f"user:{other}"


def test_an_opening_with_a_number_of_any_size_has_a_key() -> None:
    early = [{"role": "user", "content": [{"type": "text", "text": "a", "n": 10**30}]}, *TURNS[1:]]
    late = [{"role": "user", "content": [{"n": 10**30, "text": "a", "type": "text"}]}, *TURNS[1:]]
    assert opening_name(body(messages=early), "key") == opening_name(body(messages=late), "key")


def test_a_first_turn_without_a_name_is_drawn() -> None:
    assert opening_name(body(messages=TURNS[:1]), "key") is None


def test_a_conversation_keeps_its_key_as_it_grows_and_its_breakpoint_moves() -> None:
    early = [
        {"role": "user", "content": [{"cache_control": {"type": "ephemeral"}, "type": "text", "text": "Hi"}]},
        {"role": "assistant", "content": "Hello"},
    ]
    late = [{"role": "user", "content": "Hi"}, *early[1:], {"role": "user", "content": "More"}]
    assert opening_name(body(messages=early), "key") == opening_name(body(messages=late), "key")


def test_callers_and_openings_are_told_apart_and_stay_unreadable() -> None:
    keys = {
        opening_name(body(messages=TURNS), "key-1"),
        opening_name(body(messages=TURNS), "key-2"),
        opening_name(body(messages=[{"role": "user", "content": "Else"}, *TURNS[1:]]), "key-1"),
    }
    assert len(keys) == 3
    assert not any("key-" in str(key) or "order" in str(key) for key in keys)


@pytest.mark.parametrize(
    "request_body",
    [
        {},
        body(messages="hello"),
        body(messages=[1]),
        body(messages=[{"role": "assistant"}]),
        body(metadata=7),
        body(metadata={"user_id": 7}),
        body(metadata={"user_id": None}),
        {"messages": msgspec.Raw(b"null")},
    ],
)
def test_what_cannot_be_read_is_drawn(request_body: dict[str, msgspec.Raw]) -> None:
    assert opening_name(request_body, "key") is None
    assert metadata_user_id(request_body) is None


# ------------------------------------------------------------------------------------------ with a secret

NAMES = st.one_of(st.none(), st.tuples(st.sampled_from(["session", "user", "conversation"]), st.text()).map(":".join))
SECRETS = st.binary(min_size=1, max_size=64)


@given(NAMES, SECRETS, st.text())
def test_a_key_says_what_kind_of_name_it_is_made_of_and_nothing_else(
    name: str | None, secret: bytes, caller: str
) -> None:
    key = Assignment(secret).key(name, caller)
    assert (key is None) == (name is None)
    assert is_named(key) == is_named(name)
    assert key is None or re.fullmatch("(session|user|conversation):[0-9a-f]{32}", key)
    assert Assignment(secret).key(name, caller) == key


@given(st.tuples(st.text(), st.text()), st.tuples(st.text(), st.text()), SECRETS)
def test_each_name_of_each_caller_has_a_key_of_its_own(
    one: tuple[str, str], other: tuple[str, str], secret: bytes
) -> None:
    drawn = Assignment(secret)
    keys = [drawn.key(f"session:{name}", drawn.caller(caller)) for caller, name in (one, other)]
    assert (keys[0] == keys[1]) == (one == other)


@given(NAMES, st.text(), st.text())
def test_without_a_secret_a_name_is_its_own_key(name: str | None, caller: str, api_key: str) -> None:
    assert Assignment().key(name, caller) == name
    assert len(Assignment().key(f"session:{'x' * 60_000}{name}", caller) or "") == len("session:") + 32
    assert Assignment().mark == ""
    assert re.fullmatch("[0-9a-f]{16}", Assignment().caller(api_key))


def test_keys_never_change_between_versions() -> None:
    """A change would move every conversation."""
    drawn = Assignment(b"secret")
    caller = drawn.caller("sk-ant-one")
    assert [drawn.mark, caller, drawn.key("session:a"), drawn.key("session:a", caller)] == [
        "6006b5cea9db68f0",
        "c7452bb490c776ca",
        "session:cda3e597a92f151922c752cbae035213",
        "session:f4ef0e16b51fe3e1d61f6027fe35656a",
    ]


def test_a_secret_is_not_printed() -> None:
    assert "SENTINEL" not in repr(Assignment(b"SENTINEL"))


def test_names_that_are_chosen_for_an_arm_are_drawn_anew() -> None:
    """The split of what a client picks is that of all: exact to four standard deviations."""
    drawn = Assignment(b"secret")
    picked = [name for name in (f"session:{number}" for number in range(40_000)) if in_canary(UID, name, CANARY, 1000)]
    hits = sum(in_canary(UID, drawn.key(name) or "", CANARY, 1000) for name in picked)
    assert abs(hits - 0.1 * len(picked)) < 4 * math.sqrt(0.09 * len(picked))
