"""What is asked next, and what an answer means."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from claude_operator.core.organisation.polling import (
    FEEDS,
    ORGANIZATION,
    Answer,
    Turn,
    choose,
    meaning,
    on_aws,
    pause_after,
    query,
)

NOW = 1_795_500_000.0
BY_NAME = {feed.name: feed for feed in FEEDS}
HOURS = BY_NAME["usage/1h"]
ANALYTICS = BY_NAME["analytics/cost"]


def error(message: str) -> bytes:
    return msgspec.json.encode({"type": "error", "error": {"type": "x", "message": message}})


def test_feeds_are_read_in_their_order_at_first() -> None:
    turns: dict[str, Turn] = {}
    order = []
    while found := choose({}, turns, NOW):
        order.append(found[0].name)
        turns[found[0].name] = Turn(asked=NOW)
    assert order == [feed.name for feed in FEEDS]


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        ({"keys": Turn(NOW - 3601), "usage/1h": Turn(NOW - 400)}, "usage/1h"),  # 1.3 refreshes late
        ({"keys": Turn(NOW - 9000), "usage/1h": Turn(NOW - 400)}, "keys"),  # 2.5 refreshes late
        ({"keys": Turn(NOW - 9000, not_before=NOW + 1), "usage/1h": Turn(NOW - 400)}, "usage/1h"),
        ({"usage/1h": Turn(NOW - 299)}, None),
        ({"usage/1h": Turn(NOW + 86_400)}, "usage/1h"),  # the clock was set back
    ],
)
def test_the_most_overdue_is_read(turns: dict[str, Turn], expected: str | None) -> None:
    others = {feed.name: Turn(asked=NOW) for feed in FEEDS}
    found = choose({}, others | turns, NOW)
    assert (found[0].name if found else None) == expected


def test_a_request_groups_by_everything_and_follows_the_cursor() -> None:
    feed, span = choose({}, {feed.name: Turn(NOW) for feed in FEEDS if feed != HOURS}, NOW) or (None, None)
    assert feed == HOURS
    sent = query(HOURS, span, "page_2")
    assert ("page", "page_2") in sent
    assert {value for name, value in sent if name == "group_by[]"} == {
        "account_id",
        "api_key_id",
        "context_window",
        "inference_geo",
        "model",
        "service_account_id",
        "service_tier",
        "speed",
        "workspace_id",
    }
    assert query(BY_NAME["keys"], None, "apikey_1")[-1] == ("after_id", "apikey_1")


@pytest.mark.parametrize(
    ("answer", "more", "kind", "delay"),
    [
        (Answer(200), {}, "ok", 0),
        (Answer(410), {}, "expired", 0),
        (Answer(400), {"paging": True}, "expired", 0),
        (Answer(400), {}, "broken", 6 * 3600),
        (Answer(404), {}, "absent", 6 * 3600),
        (Answer(404), {"feed": ANALYTICS}, "absent", 6 * 3600),
        (Answer(403), {"feed": ANALYTICS}, "absent", 6 * 3600),
        (Answer(401), {}, "refused", 300),
        (Answer(403), {}, "refused", 300),
        (Answer(500), {}, "again", 61),
        (Answer(500), {"pause": 488.0}, "again", 488),
        (Answer(529), {}, "again", 61),
        (Answer(302), {}, "again", 61),
        (Answer(0, problem="no answer in 60 s"), {}, "again", 61),
        (Answer(429, retry_after=30), {}, "again", 61),
        (Answer(429, retry_after=600), {}, "again", 600),
        (Answer(429, retry_after=10**6), {}, "again", 3600),
    ],
)
def test_answers(answer: Answer, more: dict[str, Any], kind: str, delay: float) -> None:
    given = {"feed": HOURS, "paging": False, "pause": 61.0, "key": "sk-ant-admin01-x"} | more
    found = meaning(answer, **given)
    assert (found.kind, found.delay) == (kind, delay)
    assert bool(found.error) == (kind not in ("ok", "expired"))


def test_pauses_grow_up_to_an_hour() -> None:
    assert [pause_after(failures) for failures in (0, 1, 3, 400)] == [61, 122, 488, 3600]


@pytest.mark.parametrize(
    ("status", "said", "key", "refusal", "words"),
    [
        (401, "invalid x-api-key", "sk-ant-admin01-x", "InvalidKey", "put a valid admin key (sk-ant-admin…)"),
        (401, "invalid x-api-key", "sk-ant-api03-x", "WorkspaceKey", "create an admin key (sk-ant-admin…)"),
        (
            403,
            "The Admin API is unavailable for individual accounts.",
            "sk-ant-admin01-x",
            "IndividualAccount",
            "set up an organisation in the Console",
        ),
        (
            403,
            "The Usage and Cost API endpoints are not available for Claude Platform on AWS.",
            "sk-ant-admin01-x",
            "ClaudePlatformOnAWS",
            "look at usage and cost in AWS Cost Explorer",
        ),
    ],
)
def test_a_refused_key_is_told_with_the_apis_words(status: int, said: str, key: str, refusal: str, words: str) -> None:
    found = meaning(Answer(status, error(said)), ORGANIZATION, paging=False, pause=61.0, key=key)
    assert found.refusal == refusal
    assert said in found.error
    assert words in found.error


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("aws-external-anthropic.us-east-1.api.aws", True),
        ("bedrock-runtime.us-east-1.amazonaws.com", True),
        ("api.anthropic.com", False),
        ("api.aws.example.com", False),
    ],
)
def test_the_platform_on_aws_is_known_by_its_host(host: str, expected: bool) -> None:
    assert on_aws(host) is expected
