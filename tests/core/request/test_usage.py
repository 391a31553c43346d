"""`usage` as the gateway and evals read it."""

from __future__ import annotations

import pytest

from claude_operator.core.request.usage import split_writes

HOUR = {"ephemeral_1h_input_tokens": 70}


@pytest.mark.parametrize(
    ("usage", "ttl", "split"),
    [
        ({"cache_creation_input_tokens": 70}, "1h", HOUR),
        ({"cache_creation_input_tokens": 70, "cache_creation": None}, "1h", HOUR),
        ({"cache_creation_input_tokens": 70, "cache_creation": {"ephemeral_5m_input_tokens": 0}}, "1h", HOUR),
        # What the API says holds, and 5 minutes need no words.
        (
            {"cache_creation_input_tokens": 70, "cache_creation": {"ephemeral_5m_input_tokens": 70}},
            "1h",
            {"ephemeral_5m_input_tokens": 70},
        ),
        ({"cache_creation_input_tokens": 70}, "5m", None),
        ({"cache_creation_input_tokens": 0}, "1h", None),
        ({}, "1h", None),
    ],
)
def test_writes_are_as_long_as_the_request_asked(usage: dict, ttl: str, split: dict | None) -> None:
    split_writes(usage, ttl)
    assert usage.get("cache_creation") == split


def test_each_iteration_is_split() -> None:
    usage = {"iterations": [{"cache_creation_input_tokens": 70}, 7, {"input_tokens": 1}]}
    split_writes(usage, "1h")
    assert usage["iterations"] == [{"cache_creation_input_tokens": 70, "cache_creation": HOUR}, 7, {"input_tokens": 1}]
