"""Signatures: which one counts for an item, and why another does not."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from claude_operator.api.base import seconds
from claude_operator.core.checklist.case import Case, Finding, Signature
from claude_operator.core.text import is_seen

__all__ = ["LONGEST", "content_hash", "counting", "how_to_sign", "not_applicable", "signed"]

LONGEST = dt.timedelta(days=366)
"""The most that a signature counts, whatever it says: a year."""
_SKEW = dt.timedelta(minutes=5)  # that the clocks of API server and operator may differ
_SHOWN = 64  # characters of a name


def content_hash(spec: Mapping[str, Any]) -> str:
    """What a signature is bound to: sha256 of a `ClaudeRevision.spec`, as canonical JSON."""
    text = json.dumps(spec, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"sha256:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def counting(case: Case, item: str, max_age: str | None = None) -> Signature | None:
    """The newest signature of an item that counts for this revision now."""
    found = [one for one in _of(case, item) if not _why_not(case, one, max_age)]
    return max(found, key=lambda one: (one.created_at, one.name), default=None)


def signed(case: Case, item: str, max_age: str | None = None) -> Finding:
    """What becomes of an item that only a person can decide."""
    if not case.sight.known:
        return Finding(item, "Unknown", case.sight.fault or "the operator has not read the signatures yet")
    one = counting(case, item, max_age)
    if one is None:
        return Finding(item, "Failed", f"{_explain_lack(case, item, max_age)}: {how_to_sign(case, item)}")
    if not case.sight.authors_held:
        return _unheld(item, one)
    if one.decision != "Passed":
        return _does_not_apply(item, one, max_age)
    return Finding(item, "Signed", f"{_who(one)}: {_plain(one.reason)}", _who(one), _end(one, max_age))


def not_applicable(case: Case, item: str, max_age: str | None = None) -> Finding | None:
    """That a person has signed that an item does not apply; None where nobody has."""
    if not case.sight.known:
        return None
    one = counting(case, item, max_age)
    if one is None or one.decision != "NotApplicable":
        return None
    return _does_not_apply(item, one, max_age) if case.sight.authors_held else _unheld(item, one)


def how_to_sign(case: Case, item: str) -> str:
    """The command."""
    return f"{case.command} sign {item} --until 90d --reason WHY"


def _does_not_apply(item: str, one: Signature, max_age: str | None) -> Finding:
    said = f"does not apply, says {_who(one)}: {_plain(one.reason)}"
    return Finding(item, "NotApplicable", said, _who(one), _end(one, max_age))


def _unheld(item: str, one: Signature) -> Finding:
    why = (
        f"signed in the name of {_who(one)}, but no admission policy holds people to their own names: install the chart"
        " with signatures.enabled=true"
    )
    return Finding(item, "Unknown", why)


def _of(case: Case, item: str) -> list[Signature]:
    return [one for one in case.sight.signatures if (one.deployment, one.item) == (case.name, item)]


def _why_not(case: Case, one: Signature, max_age: str | None) -> str:
    """Why a signature does not count, empty where it does."""
    if one.revision != case.revision or one.content_hash != case.content_hash:
        return f"{_who(one)} signed {_plain(one.revision)}, and this revision is another"
    if one.created_at > case.now + _SKEW:
        return f"the signature of {_who(one)} is of the future ({one.created_at.astimezone(dt.UTC):%Y-%m-%d})"
    end = _end(one, max_age)
    if case.now >= end:
        return f"the signature of {_who(one)} ended on {end.astimezone(dt.UTC):%Y-%m-%d}"
    return ""


def _explain_lack(case: Case, item: str, max_age: str | None) -> str:
    known = sorted(_of(case, item), key=lambda one: (one.revision == case.revision, one.created_at, one.name))
    return f"{_why_not(case, known[-1], max_age)}; sign again" if known else "nobody has signed it"


def _end(one: Signature, max_age: str | None) -> dt.datetime:
    most = min(LONGEST, dt.timedelta(seconds=min(seconds(max_age), LONGEST.total_seconds()))) if max_age else LONGEST
    return min(one.expires_at, one.created_at + most)


def _who(one: Signature) -> str:
    return _plain(one.signed_by)[:_SHOWN] or "somebody without a name"


def _plain(text: str) -> str:
    """What others wrote, on one line."""
    return "".join(char if is_seen(char) and char not in "\n\t" else " " for char in text).strip()
