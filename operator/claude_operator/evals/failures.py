"""What a failed call of the Claude API means: for the request, for the call, or for how fast to ask."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Mapping

import anthropic
import msgspec

from claude_operator.core.request.outcomes import ApiError, of_error, read_error

__all__ = [
    "Broken",
    "Busy",
    "Failed",
    "Infrastructure",
    "OverBudget",
    "Rejected",
    "classify_event",
    "classify_json",
    "classify_status",
    "first_line",
]

_REJECTIONS = {400: "invalid_request_error", 404: "not_found_error", 413: "request_too_large"}
_LONGEST_MESSAGE = 500


class Rejected(Exception):  # noqa: N818  (what the API did)
    """The API refuses the request itself: a retry would be refused too."""


class Infrastructure(Exception):  # noqa: N818  (where it lies)
    """The question could not be asked, or the answer is incomplete. It says nothing about the request."""


class OverBudget(Exception):  # noqa: N818  (how a run ends)
    """A grader may not be asked any more; says why."""


class Broken(Exception):  # noqa: N818  (as Infrastructure)
    """An answer began and did not end: asking again can help."""


class Failed(Exception):  # noqa: N818  (as Infrastructure)
    """No answer began: asking again can help."""


class Busy(Exception):  # noqa: N818  (as Infrastructure)
    """429 or 529: asking again later can help. `wait` is in seconds, None where the API does not say."""

    def __init__(self, message: str, wait: float | None) -> None:
        super().__init__(message)
        self.wait = wait


def classify_status(error: anthropic.APIStatusError) -> Exception:
    """The exception for a refused call. Only the API's own envelope says something about the request; a proxy's 404
    does not."""
    error_body, status = _parse_error(error), error.status_code
    outcome = of_error(status, error_body)
    if outcome == "account":
        return _account_problem(error_body)
    if outcome == "error" and error_body.type and status in _REJECTIONS:
        return Rejected(f"{first_line(error)} ({status} {error_body.type})")
    message = f"the Claude API answers {status}: {first_line(error)}"
    if status in (429, 529):
        return Busy(message, _retry_after(error.response.headers))
    again = error.response.headers.get("x-should-retry") or str(status in (408, 409) or status >= 500).lower()
    return Failed(message) if again == "true" else Infrastructure(message)


def classify_event(error: anthropic.APIStatusError) -> Exception:
    """The exception for an error event within the answer."""
    return _classify_error(_parse_error(error), first_line(error))


def classify_json(body: bytes) -> Exception:
    """The exception for an answer of status 200 that is not a stream, although one was requested."""
    try:
        answer = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        answer = None
    error_body = read_error(answer.get("error")) if isinstance(answer, dict) else ApiError()
    return _classify_error(error_body, _shorten(error_body.message) or "it is not an event stream")


def _classify_error(error_body: ApiError, line: str) -> Exception:
    """The exception for an error: after an overload, or anything else that may pass, asking again can help."""
    if of_error(200, error_body) == "account":
        return _account_problem(error_body)
    if error_body.type in _REJECTIONS.values():
        return Rejected(f"{line} ({error_body.type})")
    return Broken(f"the answer broke off: {line}")


def _account_problem(error_body: ApiError) -> Infrastructure:
    return Infrastructure(
        f"the account is empty or at its limit: {_shorten(error_body.message) or error_body.type}; add credits or raise"
        " the limit in the Claude Console"
    )


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the API asks to wait; None where it does not say, or nothing that can be read."""
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) * unit)
        except (KeyError, ValueError):
            continue
    moment = email.utils.parsedate_tz(headers.get("retry-after", ""))
    return max(0.0, email.utils.mktime_tz(moment) - time.time()) if moment else None


def _parse_error(error: anthropic.APIStatusError) -> ApiError:
    return read_error(error.body.get("error") if isinstance(error.body, dict) else None)


def first_line(error: Exception) -> str:
    """The API's own message, else the error's, on one line."""
    if not isinstance(error, anthropic.APIStatusError):
        return _shorten(str(error))
    return _shorten(_parse_error(error).message) or "without the error envelope of the Claude API"


def _shorten(message: str) -> str:
    return " ".join(message.split())[:_LONGEST_MESSAGE]
