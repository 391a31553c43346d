"""The same model on each platform: whose dates hold, and what is said where there are none."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import pytest

from claude_operator.api.lifecycle import PLATFORMS, LifecyclePolicy, Platform
from claude_operator.core.catalogue.lifecycle import Lifecycle, lifecycle_of, policy_verdict
from claude_operator.core.catalogue.objects import model_status
from claude_operator.core.catalogue.platforms import catalogue_id
from claude_operator.core.catalogue.spec import from_spec, to_spec
from claude_operator.core.catalogue.table import Life, Model, find

D = dt.date
SONNET = "claude-sonnet-4-5-20250929"


@pytest.mark.parametrize(
    ("model", "day", "lifecycle", "left"),
    [
        (SONNET, D(2026, 9, 29), "Legacy", None),  # announced on the 30th
        (SONNET, D(2026, 9, 30), "Deprecated", 61),
        (SONNET, D(2026, 11, 29), "Deprecated", 1),  # its last day
        (SONNET, D(2026, 11, 30), "Retired", 0),
        (SONNET, D(2026, 12, 1), "Retired", 0),
        ("claude-opus-4-5-20251101", D(2026, 11, 23), "Legacy", None),  # not sooner than the 24th
        ("claude-opus-4-5-20251101", D(2026, 11, 24), "Legacy", None),  # and nothing is announced
        ("claude-haiku-4-5-20251001", D(2026, 10, 6), "Active", None),  # not sooner than 2026-10-15
        ("claude-haiku-4-5-20251001", D(2026, 10, 7), "Legacy", None),  # Haiku 5.5
        ("claude-haiku-4-5-20251001", D(2026, 10, 15), "Legacy", None),
        ("claude-haiku-4-5-20251001", D(2027, 10, 15), "Legacy", None),
        ("claude-mythos-preview", D(2026, 6, 29), "Deprecated", 1),
        ("claude-mythos-preview", D(2026, 6, 30), "Deprecated", 0),  # overdue, not Retired
        ("claude-mythos-preview", D(2027, 6, 30), "Deprecated", -365),
        ("claude-opus-5-5", D(2026, 9, 22), "Active", None),
    ],
)
@pytest.mark.parametrize("platform", ["ClaudeAPI", "AWS", "Foundry"])
def test_boundaries_of_the_claude_api_and_of_what_follows_it(
    model: str, day: dt.date, lifecycle: str, left: int | None, platform: Platform
) -> None:
    now = lifecycle_of(model, day, platform=platform)
    assert (now.lifecycle, now.days_left, now.overdue) == (lifecycle, left, left is not None and left <= 0
                                                           and lifecycle == "Deprecated")  # fmt: skip


@pytest.mark.parametrize(
    ("platform", "words"),
    [("Google", "Google Cloud"), ("Bedrock", "Amazon Bedrock")],
)
@pytest.mark.parametrize("day", [D(2026, 1, 1), D(2026, 12, 1), D(2030, 1, 1)])
def test_what_sets_dates_of_its_own_is_unknown(platform: Platform, words: str, day: dt.date) -> None:
    now = lifecycle_of(SONNET, day, platform=platform)
    assert now.lifecycle is Lifecycle.UNKNOWN
    assert now.sentence(SONNET) == (
        f"{SONNET}: its lifecycle on {words} is unknown, since {words} sets dates of its own; write them into"
        f" spec.platforms.{platform} of ClaudeModel {SONNET}"
    )
    assert policy_verdict(LifecyclePolicy(on_legacy="Reject"), [SONNET], today=day, platform=platform) is None


def known(**lives: Life) -> dict[str, Model]:
    model = find(SONNET)
    assert model
    return {SONNET: replace(model, platforms=tuple(lives.items()))}


@pytest.mark.parametrize(
    ("life", "day", "sentence"),
    [
        (Life(not_retired_before=D(2027, 3, 1)), D(2026, 12, 1),
         "is Legacy on Amazon Bedrock: claude-sonnet-5-5 is newer; not retired before 2027-03-01"),
        (Life(deprecated=D(2027, 1, 1), retires=D(2027, 3, 1)), D(2026, 12, 31),
         "is Legacy on Amazon Bedrock: claude-sonnet-5-5 is newer"),
        (Life(deprecated=D(2027, 1, 1), retires=D(2027, 3, 1)), D(2027, 1, 1),
         "is Deprecated on Amazon Bedrock: retires 2027-03-01 (in 59 days); use claude-sonnet-5-5"),
        (Life(retires=D(2027, 3, 1)), D(2026, 12, 1),
         "is Deprecated on Amazon Bedrock: retires 2027-03-01 (in 90 days); use claude-sonnet-5-5"),
        (Life(retires=D(2027, 3, 1)), D(2027, 3, 1),
         "is Retired on Amazon Bedrock since 2027-03-01: requests for it fail; use claude-sonnet-5-5"),
        (Life(stated="Active"), D(2030, 1, 1), "is Active on Amazon Bedrock"),
    ],
)  # fmt: skip
def test_dates_that_a_platform_has(life: Life, day: dt.date, sentence: str) -> None:
    overrides = known(Bedrock=life)
    assert lifecycle_of(SONNET, day, overrides, platform="Bedrock").sentence("it") == f"it {sentence}"
    assert lifecycle_of(SONNET, day, overrides) == lifecycle_of(SONNET, day)
    assert lifecycle_of(SONNET, day, overrides, platform="Google").lifecycle is Lifecycle.UNKNOWN


def test_a_platform_that_follows_may_differ_in_one_date() -> None:
    overrides = known(AWS=Life(retires=D(2027, 1, 31)))
    assert lifecycle_of(SONNET, D(2026, 12, 1), overrides, platform="AWS").days_left == 61
    assert lifecycle_of(SONNET, D(2026, 12, 1), overrides, platform="Foundry").lifecycle is Lifecycle.RETIRED


def test_a_date_of_the_platform_holds_in_place_of_a_stated_state() -> None:
    model = Model("claude-x", stated="Retired", platforms=(("AWS", Life(retires=D(2027, 1, 31))),))
    assert lifecycle_of("claude-x", D(2026, 12, 1), {"claude-x": model}, platform="AWS").days_left == 61
    assert lifecycle_of("claude-x", D(2026, 12, 1), {"claude-x": model}).lifecycle is Lifecycle.RETIRED


@pytest.mark.parametrize(
    ("model_id", "platform", "expected"),
    [
        ("anthropic.claude-opus-5-5", "Bedrock", "claude-opus-5-5"),
        ("us.anthropic.claude-opus-4-6-v1", "Bedrock", "claude-opus-4-6"),
        ("us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0", "Bedrock", SONNET),
        ("global.anthropic.claude-haiku-5-5", "Bedrock", "claude-haiku-5-5"),
        ("claude-haiku-4-5@20251001", "Google", "claude-haiku-4-5-20251001"),
        ("claude-opus-5-5", "Google", "claude-opus-5-5"),
        ("claude-haiku-4-5@20251001", "ClaudeAPI", "claude-haiku-4-5@20251001"),
        ("anthropic.claude-opus-5-5", "ClaudeAPI", "anthropic.claude-opus-5-5"),
        ("arn:aws:bedrock:us-east-1::x", "Bedrock", "arn:aws:bedrock:us-east-1::x"),
        ("", "Bedrock", ""),
    ],
)
def test_ids_of_platforms(model_id: str, platform: Platform, expected: str) -> None:
    assert catalogue_id(model_id, platform) == expected


def test_the_dates_of_platforms_go_through_the_object_and_back() -> None:
    life = Life(stated="Deprecated", deprecated=D(2026, 12, 1), retires=D(2027, 3, 1))
    model = known(Bedrock=life, Google=Life(not_retired_before=D(2027, 5, 1)))[SONNET]
    spec = to_spec(model)
    assert spec["platforms"] == {
        "Bedrock": {"state": "Deprecated", "deprecatedAt": "2026-12-01", "retiresAt": "2027-03-01"},
        "Google": {"notRetiredBefore": "2027-05-01"},
    }
    assert from_spec(spec) == model


@pytest.mark.parametrize(
    ("platforms", "says"),
    [
        ({"Azure": {}}, "spec cannot be read: platforms: 'Azure' is not a platform; write ClaudeAPI, AWS, Foundry"),
        (
            {"Bedrock": {"retiresAt": "soon"}},
            "spec cannot be read: platforms.Bedrock.retiresAt is not a date: 'soon'; write it like 2026-11-30",
        ),
        ({"Bedrock": {"state": "gone"}}, "spec cannot be read: platforms.Bedrock.state is not a lifecycle state"),
    ],
)
def test_what_cannot_be_read_says_what_to_write(platforms: dict[str, dict[str, str]], says: str) -> None:
    status = model_status({"id": "claude-x", "platforms": platforms}, D(2026, 12, 1))
    assert status.lifecycle == "Unknown"
    assert status.message.startswith(says)


def test_the_status_has_each_platform() -> None:
    spec = to_spec(known(Bedrock=Life(retires=D(2027, 3, 1)))[SONNET])
    status = model_status(spec, D(2026, 12, 1))
    assert tuple(status.platforms) == PLATFORMS
    assert status.platforms == {
        "ClaudeAPI": "Retired",
        "AWS": "Retired",
        "Foundry": "Retired",
        "Google": "Unknown",
        "Bedrock": "Deprecated",
    }
