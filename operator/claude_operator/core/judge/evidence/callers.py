"""Whose requests the evidence is made of, where clients show keys of their own. It explains, and is not evidence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import add
from typing import NamedTuple

from claude_operator.api.evidence import Evidence
from claude_operator.core.text import share

__all__ = ["CallerSums", "Part", "explain_errors", "explain_left_out", "of_all"]

_FEWEST = 3  # errors of which one key can have most
_MANY = 0.01  # share of requests left out that is reported
_LUMPED = ""


class Part(NamedTuple):
    """One key's part, as `CallerShare` has it."""

    requests: int = 0
    errors: int = 0
    conversations: int = 0
    bad: int = 0
    left_out: int = 0


CallerSums = Mapping[str, Mapping[str, Part]]
"""By revision and digest of the key."""


def of_all(documents: Iterable[Evidence]) -> dict[str, dict[str, Part]]:
    """The sums over processes and config generations."""
    found: dict[str, dict[str, Part]] = {}
    for document in documents:
        for row in document.callers:
            known = found.setdefault(row.revision, {})
            part = Part(row.requests, row.errors, row.conversations, row.bad, row.left_out)
            known[row.digest] = Part._make(map(add, known.get(row.digest, Part()), part))
    return found


def explain_errors(parts: Mapping[str, Part]) -> str | None:
    """That most errors of a revision are one key's; None where they are not, or where there is only one."""
    if sum(part.requests > 0 for part in parts.values()) < 2:
        return None
    errors = {digest: part.bad or part.errors for digest, part in parts.items()}
    total = sum(errors.values())
    most = max((number for digest, number in errors.items() if digest != _LUMPED), default=0)
    if total < _FEWEST or 2 * most <= total:
        return None
    return f"{most:,} of {total:,} errors come from one key"


def explain_left_out(revisions: Iterable[Mapping[str, Part]]) -> str | None:
    """That requests of a key with too large a part are left out; None where hardly any are."""
    parts = [part for of_one in revisions for part in of_one.values()]
    left_out = sum(part.left_out for part in parts)
    everything = left_out + sum(part.requests for part in parts)
    if not left_out or left_out < _MANY * everything:
        return None
    return f"{share(left_out / everything)} of the requests are left out: one key has more than all others together"
