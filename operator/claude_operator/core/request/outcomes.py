"""What an answer of the Claude API means for the arm that asked: one table for the gateway, evals and the docs.

`of_error` reads a refusal or an error, wherever it stands: under a status of its own, in a body with status 200, or as
the last event of a stream. What no row of `TABLE` names is `error`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple

__all__ = [
    "BUDGET_SPENT",
    "NOT_A_MESSAGE",
    "TABLE",
    "ApiError",
    "Outcome",
    "Row",
    "of_error",
    "of_status",
    "read_error",
]

Outcome = Literal["ok", "error", "overload", "account", "refused"]

NOT_A_MESSAGE: Final = "not_a_message"
"""Stands for `error.type` where an answer with status 200 is neither a Message nor an error of the API."""

BUDGET_SPENT: Final = "monthly_budget_spent"
"""`error.details.error_code` of a gateway that refuses calls since spec.budget is spent."""


class ApiError(NamedTuple):
    """The `error` of the API's envelope; empty text where there is none."""

    type: str = ""
    message: str = ""
    code: str = ""
    """`error.details.error_code`."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: any of these makes an error this outcome."""

    outcome: Outcome
    statuses: frozenset[int] = frozenset()
    types: frozenset[str] = frozenset()
    codes: frozenset[str] = frozenset()
    begins: tuple[str, ...] = ()
    """How the message begins, in small letters. Only its beginning counts: the rest may quote the client."""
    says: dict[str, str] = field(default_factory=dict)
    """By error type, a word that the message holds. For types whose messages never quote the client."""

    def holds(self, status: int, error: ApiError) -> bool:
        """Whether this line names the error."""
        message = error.message.lower()
        return (
            status in self.statuses
            or error.type in self.types
            or error.code in self.codes
            or any(_begins(message, words) for words in self.begins)
            or (error.type in self.says and self.says[error.type] in message)
        )


TABLE: Final = (
    Row(
        "account",
        statuses=frozenset((402,)),
        types=frozenset(("billing_error",)),
        codes=frozenset(
            (
                "contract_spend_limit_reached",
                "enforced_spend_limit_reached",
                "linked_organization_spend_limit_reached",
                BUDGET_SPENT,  # the upstream is a gateway itself
            )
        ),
        begins=(
            "your credit balance is too low",
            "you have reached your … usage limit",
            "you have reached your … spend limit",
        ),
    ),
    Row(
        "overload",
        statuses=frozenset((429, 529)),
        types=frozenset(("overloaded_error", "rate_limit_error")),
        says={"api_error": "overloaded"},
    ),
    Row(  # a message thread that the API has forgotten, or that its client went on from in another way
        "refused",
        codes=frozenset(
            (
                "thread_already_continued",
                "thread_continue_in_flight",
                "thread_fingerprint_mismatch",
                "thread_not_found",
            )
        ),
    ),
)
"""The first line that holds decides: a spend limit comes with 429 too."""

_GAP = 40  # characters that "…" stands for at most


def _begins(message: str, words: str) -> bool:
    """Whether a message in small letters begins with `words`, where "…" stands for a word or a few."""
    first, gap, rest = words.partition(" … ")
    return message.startswith(first) and (not gap or rest in message[len(first) : len(words) + _GAP])


def of_error(status: int, error: ApiError) -> Outcome:
    """The outcome of an answer that is no Message: a 4xx or 5xx, or whatever status an error came with."""
    return next((row.outcome for row in TABLE if row.holds(status, error)), "error")


def of_status(status: int) -> Outcome:
    """The outcome of an answer that nobody reads, by its status alone."""
    return "ok" if status < 400 else of_error(status, ApiError())


def read_error(error: Any) -> ApiError:
    """`error` of an envelope as decoded from JSON, whatever it is."""
    if not isinstance(error, dict):
        return ApiError()
    details = error.get("details")
    code = details.get("error_code") if isinstance(details, dict) else None
    return ApiError(_text(error.get("type")), _text(error.get("message")), _text(code))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
