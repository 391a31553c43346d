"""One model through its life, day by day at the boundaries, and what spec.lifecycle makes of it."""

from __future__ import annotations

import datetime as dt

import pytest

from claude_operator.api.lifecycle import LifecyclePolicy
from claude_operator.core.catalogue.lifecycle import Lifecycle, lifecycle_of, models_in_use, policy_verdict, state
from claude_operator.core.catalogue.table import Model

D = dt.date
SONNET = "claude-sonnet-4-5-20250929"
LIFE = Model(
    id="claude-test-1",
    released=D(2026, 1, 1),
    superseded=D(2026, 3, 1),
    deprecated=D(2026, 6, 1),
    retires=D(2026, 8, 1),
    not_retired_before=D(2026, 7, 15),
    replacement="claude-test-2",
)
PROMISE = "; not retired before 2026-07-15"


@pytest.mark.parametrize(
    ("day", "sentence", "left"),
    [
        (D(2025, 12, 31), "claude-test-1 is not in the catalogue, so its lifecycle is unknown", None),
        (D(2026, 1, 1), f"claude-test-1 is Active{PROMISE}", None),
        (D(2026, 2, 28), f"claude-test-1 is Active{PROMISE}", None),
        (D(2026, 3, 1), f"claude-test-1 is Legacy: claude-test-2 is newer{PROMISE}", None),
        (D(2026, 5, 31), f"claude-test-1 is Legacy: claude-test-2 is newer{PROMISE}", None),
        (D(2026, 6, 1), "claude-test-1 is Deprecated: retires 2026-08-01 (in 61 days); use claude-test-2", 61),
        (D(2026, 7, 31), "claude-test-1 is Deprecated: retires 2026-08-01 (in 1 day); use claude-test-2", 1),
        (D(2026, 8, 1), "claude-test-1 is Retired since 2026-08-01: requests for it fail; use claude-test-2", 0),
        (D(2030, 1, 1), "claude-test-1 is Retired since 2026-08-01: requests for it fail; use claude-test-2", 0),
    ],
)
def test_a_life_by_date(day: dt.date, sentence: str, left: int | None) -> None:
    now = state(LIFE, day)
    assert now.sentence(LIFE.id) == sentence
    assert now.days_left == left
    assert not now.overdue


def test_a_promise_is_told_until_its_day() -> None:
    model = Model(id="claude-x", released=D(2025, 10, 15), not_retired_before=D(2026, 10, 15))
    assert state(model, D(2026, 10, 14)).sentence("claude-x") == "claude-x is Active; not retired before 2026-10-15"
    assert state(model, D(2026, 10, 15)).sentence("claude-x") == "claude-x is Active"


@pytest.mark.parametrize(
    ("day", "says", "overdue"),
    [
        (D(2026, 6, 29), "retires 2026-06-30 (in 1 day)", False),
        (D(2026, 6, 30), "retirement was due 2026-06-30 (0 days ago)", True),
        (D(2026, 7, 1), "retirement was due 2026-06-30 (1 day ago)", True),
    ],
)
def test_a_stated_deprecation_is_overdue_past_its_date_and_not_retired(day: dt.date, says: str, overdue: bool) -> None:
    now = lifecycle_of("claude-mythos-preview", day)
    assert now.lifecycle is Lifecycle.DEPRECATED
    assert now.overdue is overdue
    assert now.sentence("it") == f"it is Deprecated: {says}; use claude-mythos-5-2"


@pytest.mark.parametrize("stated", ["Active", "Legacy", "Deprecated", "Retired", "Unknown"])
@pytest.mark.parametrize("day", [D(2026, 1, 1), D(2026, 12, 1)])
def test_a_stated_state_wins_over_the_dates(stated: str, day: dt.date) -> None:
    model = Model(id="x", stated=stated, deprecated=D(2026, 6, 1), retires=D(2026, 8, 1))
    assert state(model, day).lifecycle == stated


def test_a_retirement_ahead_of_its_date_does_not_claim_the_date() -> None:
    now = state(Model(id="x", stated="Retired", retires=D(2026, 8, 1)), D(2026, 7, 1))
    assert now.sentence("x") == "x is Retired: requests for it fail"


def test_deprecated_without_a_date_and_unknown() -> None:
    now = state(Model(id="x", stated="Deprecated"), D(2026, 7, 1))
    assert now.sentence("x") == "x is Deprecated: no retirement date is set"
    assert lifecycle_of("claude-never-1", D(2026, 7, 1)).lifecycle is Lifecycle.UNKNOWN


def test_a_release_makes_its_predecessor_legacy_on_the_day() -> None:
    assert lifecycle_of("claude-opus-5", D(2026, 9, 21)).lifecycle is Lifecycle.ACTIVE
    assert lifecycle_of("claude-opus-5", D(2026, 9, 22)).replacement == "claude-opus-5-5"


@pytest.mark.parametrize("lifecycle", Lifecycle)
def test_the_word_of_the_models_api(lifecycle: Lifecycle) -> None:
    expected = {"Deprecated": "deprecated", "Retired": "retired"}.get(lifecycle.value, "active")
    assert lifecycle.api == expected


TODAY = D(2026, 11, 24)
LEGACY = "claude-opus-5 is Legacy: claude-opus-5-5 is newer; not retired before 2027-07-24"
DEPRECATED = f"{SONNET} is Deprecated: retires 2026-11-30 (in 6 days); use claude-sonnet-5-5"
RETIRED = "claude-opus-4-1-20250805 is Retired since 2026-08-05: requests for it fail; use claude-opus-4-8"


@pytest.mark.parametrize(
    ("policy", "models", "refusal"),
    [
        ({}, ["claude-opus-5-5"], None),
        ({}, ["claude-never-1"], None),
        ({}, [], None),
        ({}, ["claude-opus-5"], None),
        ({"on_legacy": "Ignore"}, ["claude-opus-5"], None),
        ({"on_legacy": "Reject"}, ["claude-opus-5"], f"{LEGACY} (spec.lifecycle.onLegacy: Reject)"),
        ({}, [SONNET], None),
        ({"on_deprecated": "Reject"}, [SONNET], f"{DEPRECATED} (spec.lifecycle.onDeprecated: Reject)"),
        ({}, ["claude-opus-4-1-20250805"], f"{RETIRED} (spec.lifecycle.onRetired: Reject)"),
        ({"on_retired": "Ignore"}, ["claude-opus-4-1-20250805"], None),
        (
            {"on_deprecated": "Reject"},
            ["claude-opus-5", SONNET, "claude-opus-4-1-20250805"],
            f"{DEPRECATED} (spec.lifecycle.onDeprecated: Reject); {RETIRED} (spec.lifecycle.onRetired: Reject)",
        ),
    ],
)
def test_policy(policy: dict, models: list[str], refusal: str | None) -> None:
    rules = LifecyclePolicy(**policy)
    assert policy_verdict(rules, models, today=TODAY) == refusal


def test_policy_follows_the_day() -> None:
    assert policy_verdict(LifecyclePolicy(), [SONNET], today=D(2026, 11, 29)) is None
    assert "Retired since 2026-11-30" in str(policy_verdict(LifecyclePolicy(), [SONNET], today=D(2026, 11, 30)))


def test_policy_asks_the_clusters_models_first() -> None:
    own = {"claude-opus-5-5": Model(id="claude-opus-5-5", stated="Retired")}
    assert policy_verdict(LifecyclePolicy(), ["claude-opus-5-5"], today=TODAY, overrides=own) is not None


def test_models_in_use() -> None:
    subagents = {
        "a": {"request": {"model": "claude-haiku-5-5"}},
        "b": {"request": {"max_tokens": 5}},
        "c": {"request": {"model": "claude-opus-5-5"}},
    }
    assert models_in_use({"model": "claude-opus-5-5"}, subagents) == ["claude-opus-5-5", "claude-haiku-5-5"]
    assert models_in_use({"model": "claude-opus-5-5"}) == ["claude-opus-5-5"]
