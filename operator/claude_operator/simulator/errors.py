"""Errors in the API's envelope."""

from __future__ import annotations

import datetime
import secrets
from dataclasses import dataclass, field

import orjson

from claude_operator.simulator.scenario import SpendLimit

__all__ = ["RETRY_AFTER_SECONDS", "ApiError", "empty_account", "new_id", "of_status", "spent"]

RETRY_AFTER_SECONDS = 5
_KINDS = {
    400: ("invalid_request_error", "Invalid request"),
    401: ("authentication_error", "invalid x-api-key"),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "Not found"),
    405: ("invalid_request_error", "Method Not Allowed"),
    410: ("invalid_request_error", "The page token has expired; start from the first page"),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: ("rate_limit_error", "This request would exceed your organization's rate limit. Please try again later."),
    500: ("api_error", "Internal server error"),
    529: ("overloaded_error", "Overloaded"),
}


@dataclass(eq=False)
class ApiError(Exception):
    """An answer with a status of 4xx or 5xx."""

    status: int
    kind: str
    message: str
    headers: dict[str, str] = field(default_factory=dict)
    code: str = ""
    """`error.details.error_code`, empty for none."""

    def body(self, request_id: str) -> bytes:
        """The envelope as JSON."""
        error: dict[str, object] = {"type": self.kind, "message": self.message}
        if self.code:
            error["details"] = {"error_code": self.code}
        return orjson.dumps({"type": "error", "error": error, "request_id": request_id})


def of_status(status: int, message: str = "") -> ApiError:
    """The API's error for a status; a 429 says when to retry, any other 4xx that a retry is useless."""
    kind, usual = _KINDS.get(status, _KINDS[400 if status < 500 else 500])
    headers = {"retry-after": str(RETRY_AFTER_SECONDS)} if status == 429 else {}
    if 400 <= status < 500 and status != 429:
        headers["x-should-retry"] = "false"
    return ApiError(status, kind, message or usual, headers)


def empty_account() -> ApiError:
    """What the API says where no credits are left."""
    return of_status(
        400,
        "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or"
        " purchase credits.",
    )


def spent(limit: SpendLimit, now: float) -> ApiError:
    """What the API says where that is spent: 400 for credits and a limit of one's own, 429 without `retry-after` for
    that of the tier."""
    if limit == "Credits":
        return empty_account()
    first = datetime.datetime.fromtimestamp(now, datetime.UTC).replace(day=1)
    month = (first + datetime.timedelta(days=32)).replace(day=1)
    regain = f"You will regain access on {month:%Y-%m-%d} at 00:00 UTC."
    if limit == "Tier":
        crossed = (
            "your organization has crossed its monthly API usage threshold, set based on your organization's API tier"
        )
        message = f"You have reached your API usage limits: {crossed}. {regain}"
        return ApiError(429, "rate_limit_error", message, code="enforced_spend_limit_reached")
    whose = "workspace " if limit == "Workspace" else ""
    return of_status(400, f"You have reached your specified {whose}API usage limits. {regain}")


def new_id(prefix: str) -> str:
    """An id as the API makes them, `req_…` or `msg_…`."""
    return f"{prefix}_01{secrets.token_hex(11)}"
