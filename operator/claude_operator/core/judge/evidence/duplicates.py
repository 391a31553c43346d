"""Bad conversations that several gateway pods have counted, each for itself.

Every pod counts a conversation that goes wrong once, and again where it stays bad for long. The same is done here with
the counts of all pods in the order of time: one that falls into the wait after another is a duplicate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from claude_operator.api.evidence import BAD_WINDOW, BadConversation, Evidence
from claude_operator.core.judge.evidence.backoff import BAD_INTERVAL, next_wait
from claude_operator.core.judge.evidence.sample import Counts

__all__ = ["AT_ONCE", "LIMIT", "Duplicates", "Known", "Row", "StratumKey", "new_rows", "sift", "without"]

LIMIT = 20_000  # conversations that are remembered; the one that counted longest ago is forgotten first

AT_ONCE = -1
"""In the place of a generation: two processes went on without having heard of each other, so both counted a first."""

_SEVERAL = ""
_HEARD = 2.0  # seconds in which gateways surely hear from each other

_FIELDS = {
    "error": "bad_errors",
    "refusal": "bad_refusals",
    "max_tokens": "bad_max_tokens",
    "model_context_window_exceeded": "bad_context_window",
}


class Row(NamedTuple):
    """A conversation that the process `boot_id` counted at `at`, seconds of the operator's clock."""

    at: float
    boot_id: str
    bad: BadConversation


class Known(NamedTuple):
    """A conversation that counted: when it counts again, the wait until then, and the only process that saw it bad."""

    again: float
    wait: float
    boot_id: str


StratumKey = tuple[int, str, str]
"""Config generation, surface, revision."""
Duplicates = Counter[tuple[StratumKey, str]]
"""How many there are in a stratum, by kind."""


def new_rows(evidence: Evidence, first: int, now: float) -> list[Row]:
    """What a process reports at `now` beyond the `first` that were seen of it."""
    new = evidence.bad[max(first - evidence.bad_first, 0) :]
    return [Row(now - bad.age, evidence.boot_id, bad) for bad in new]


def sift(known: Mapping[str, Known], rows: Iterable[Row], now: float) -> tuple[dict[str, Duplicates], dict[str, Known]]:
    """How many duplicates there are in `rows` by process, stratum and kind, and the conversations known after them.

    Rows of one process come in its own order. A conversation that a single process knows counts as that process says,
    so its rows are never measured by another clock.
    """
    duplicates: dict[str, Duplicates] = {}
    # Rows that are still to come may be as old as the window.
    left = {digest: one for digest, one in known.items() if one.again + one.wait >= now - BAD_WINDOW}
    for at, boot_id, bad in sorted(rows, key=_order):
        last = left.get(bad.digest)
        if last is None:
            left[bad.digest] = Known(at + BAD_INTERVAL, BAD_INTERVAL, boot_id)
        elif at < last.again and last.boot_id != boot_id:
            left[bad.digest] = last._replace(boot_id=_SEVERAL)
            stratum = (bad.generation, bad.surface, bad.revision)
            found = duplicates.setdefault(boot_id, Counter())
            found[stratum, bad.kind] += 1
            if last.wait == BAD_INTERVAL and at < last.again - last.wait + _HEARD:
                found[(AT_ONCE, bad.surface, bad.revision), bad.kind] += 1
        else:
            del left[bad.digest]
            wait = next_wait(last.again, last.wait, at)
            left[bad.digest] = Known(at + wait, wait, boot_id if last.boot_id == boot_id else _SEVERAL)
    for digest in list(left)[: max(len(left) - LIMIT, 0)]:
        del left[digest]
    return duplicates, left


def without(counts: Counts, stratum: StratumKey, duplicates: Duplicates) -> Counts:
    """The counts of a process without its duplicates in a stratum, as many as there are; those are taken off."""
    for kind, name in _FIELDS.items():
        many = min(duplicates.get((stratum, kind), 0), getattr(counts, name))
        if many:
            duplicates[stratum, kind] -= many
            counts = counts._replace(**{name: getattr(counts, name) - many})
    return counts


def _order(row: Row) -> tuple[float, str]:
    return row[:2]
