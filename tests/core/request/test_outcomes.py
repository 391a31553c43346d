"""The table of outcomes, line by line."""

from __future__ import annotations

from typing import Any

import pytest

from claude_operator.api.evidence import OUTCOMES
from claude_operator.core.request.outcomes import TABLE, ApiError, of_error, of_status, read_error

INVALID = "invalid_request_error"


@pytest.mark.parametrize(
    ("status", "kind", "message", "code", "outcome"),
    [
        (400, INVALID, "max_tokens: Input should be greater than or equal to 1", "", "error"),
        (401, "authentication_error", "invalid x-api-key", "", "error"),
        (404, "not_found_error", "model: claude-none", "", "error"),
        (500, "api_error", "Internal server error", "", "error"),
        (502, "", "", "", "error"),
        (429, "rate_limit_error", "This request would exceed your organization's rate limit of 50", "", "overload"),
        (429, "", "", "", "overload"),
        (529, "overloaded_error", "Overloaded", "", "overload"),
        (529, "", "", "", "overload"),
        (200, "overloaded_error", "Overloaded", "", "overload"),
        (200, "rate_limit_error", "Number of request tokens has exceeded your per-minute rate limit", "", "overload"),
        (503, "overloaded_error", "", "", "overload"),
        (500, "api_error", "The service is temporarily OVERLOADED, try again", "", "overload"),
        (400, INVALID, "messages.0: overloaded", "", "error"),
        (400, INVALID, "Your credit balance is too low to access the Anthropic API. Please go to", "", "account"),
        (403, "permission_error", "your credit balance is too low", "", "account"),
        (400, INVALID, "You have reached your specified API usage limits. You will regain access on", "", "account"),
        (400, INVALID, "You have reached your specified workspace API usage limits.", "", "account"),
        (403, "permission_error", "You have reached your monthly spend limit.", "", "account"),
        (402, "billing_error", "There is a problem with your payment method", "", "account"),
        (402, "", "", "", "account"),
        (400, "billing_error", "", "", "account"),
        (429, "rate_limit_error", "limited", "enforced_spend_limit_reached", "account"),
        (429, "rate_limit_error", "limited", "contract_spend_limit_reached", "account"),
        (429, "rate_limit_error", "limited", "ramp_limit_exceeded", "overload"),
        # What a client writes and the API quotes must not hold a rollout.
        (400, INVALID, "tools.0.name: 'your credit balance is too low' does not match", "", "error"),
        (404, "not_found_error", "model: you have reached your API usage limits", "", "error"),
    ],
)  # fmt: skip
def test_errors(status: int, kind: str, message: str, code: str, outcome: str) -> None:
    assert of_error(status, ApiError(kind, message, code)) == outcome


@pytest.mark.parametrize(
    ("status", "outcome"), [(200, "ok"), (204, "ok"), (302, "ok"), (400, "error"), (429, "overload"), (503, "error")]
)
def test_answers_that_nobody_reads(status: int, outcome: str) -> None:
    assert of_status(status) == outcome


@pytest.mark.parametrize(
    ("error", "read"),
    [
        ({"type": "a", "message": "b", "details": {"error_code": "c"}}, ApiError("a", "b", "c")),
        ({"type": "a", "message": "b", "details": None}, ApiError("a", "b")),
        ({"type": 7, "message": ["x"], "details": {"error_code": {}}}, ApiError()),
        ("text", ApiError()),
        (None, ApiError()),
        ([], ApiError()),
    ],
)
def test_whatever_stands_for_an_error_is_read(error: Any, read: ApiError) -> None:
    assert read_error(error) == read


def test_every_outcome_has_a_name_in_the_contract() -> None:
    assert {row.outcome for row in TABLE} | {"ok", "error"} <= set(OUTCOMES)
