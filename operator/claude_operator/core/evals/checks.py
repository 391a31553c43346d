"""The checks on an answer: how one is read from a set, and whether it holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from claude_operator.api.evals import Assert, AssertType

__all__ = [
    "LONGEST_PATTERN",
    "LONGEST_SEARCHED",
    "REFUSAL",
    "Check",
    "Matches",
    "grade",
    "read_check",
    "wanted_patterns",
]

Matches = Mapping[str, str | None]
"""By pattern: None where it is found in an answer, else why it does not hold, empty where it is just not found."""

REFUSAL = "refusal"
LONGEST_SEARCHED = 100_000  # characters of an answer that a regular expression is tried on
LONGEST_PATTERN = 4096  # characters
_SHOWN = 80  # characters of a check's value in a message


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold of an answer. `value` is empty for is-json."""

    type: AssertType
    value: str = ""

    def __str__(self) -> str:
        """The check as a result names it."""
        return f"{self.type}: {self.value[:_SHOWN]}" if self.value else self.type


def read_check(place: str, one: Assert) -> Check:
    if one.type != "is-json" and one.value is None:
        raise ValueError(f"{place}: {one.type} has no value: write what to compare the answer with")
    if one.type == "regex" and len(one.value or "") > LONGEST_PATTERN:
        raise ValueError(f"{place}: a regular expression of over {LONGEST_PATTERN:,} characters: shorten it")
    return Check(one.type, "" if one.type == "is-json" else one.value or "")


def wanted_patterns(checks: Sequence[Check], text: str, stop_reason: str | None) -> list[str]:
    """The regular expressions that `grade` has to know the matches of."""
    if stop_reason == REFUSAL or len(text) > LONGEST_SEARCHED:
        return []
    return [check.value for check in checks if check.type == "regex"]


def grade(checks: Sequence[Check], text: str, stop_reason: str | None, matches: Matches) -> str:
    """The first check that does not hold of an answer's text, or an empty string. A refusal holds nothing."""
    if stop_reason == REFUSAL:
        return REFUSAL
    for check in checks:
        if check.type == "regex":
            if len(text) > LONGEST_SEARCHED:
                return f"{check} (an answer of over {LONGEST_SEARCHED:,} characters)"
            if (why := matches[check.value]) is not None:
                return f"{check} ({why})" if why else str(check)
        elif not _holds(check, text):
            return str(check)
    return ""


def _holds(check: Check, text: str) -> bool:
    match check.type:
        case "equals":
            return text.strip() == check.value.strip()
        case "contains":
            return check.value in text
        case "icontains":
            return check.value.casefold() in text.casefold()
        case "is-json":
            return _is_json(text)
        case "regex":
            raise AssertionError("a regular expression is not tried here")


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text.strip().encode())
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return False
    return True
