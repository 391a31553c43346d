"""The calls that are upstream now, and what became of those that ended a moment ago. Times are of one clock."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable

from claude_operator.api.evidence import Failure, InFlight, Recent
from claude_operator.gateway.call import Call

__all__ = ["WINDOW", "Failures", "RecentCalls", "Running"]

WINDOW = 10  # slots of a second
_NOT_A_TYPE = re.compile(r"[^\x21-\x7e]")
_LONGEST_TYPE = 64
_SPAN, _KINDS, _NAMED = 300.0, 32, 3  # seconds, errors that are told apart, and those that are named


class Running:
    """Calls of `POST /v1/messages` that went upstream and have not ended, but for those that chose their revision."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._calls: dict[int, tuple[Call, float]] = {}

    def add(self, call: Call) -> None:
        """A call goes upstream."""
        if call.counted and call.choice is not None and not call.choice.pinned:
            self._calls[id(call)] = call, self._clock()

    def drop(self, call: Call) -> None:
        """A call has ended."""
        self._calls.pop(id(call), None)

    def wire(self) -> list[InFlight]:
        """By revision, as it travels."""
        requests: Counter[str] = Counter()
        waiting: Counter[str] = Counter()
        first: dict[str, float] = {}
        for call, sent in self._calls.values():  # oldest first
            requests[call.revision] += 1
            if not call.first_content and not call.outcome:
                waiting[call.revision] += 1
                first.setdefault(call.revision, sent)
        now = self._clock()
        return [
            InFlight(revision, count, waiting[revision], round(max(now - first.get(revision, now), 0.0), 3))
            for revision, count in requests.items()
        ]


class _Slot:
    __slots__ = ("causes", "number", "requests")

    def __init__(self, number: int) -> None:
        self.number = number
        self.requests = 0
        self.causes: Counter[str] = Counter()


class RecentCalls:
    """The calls of `POST /v1/messages` that ended in the last ten seconds, by the second."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._slots: deque[_Slot] = deque(maxlen=WINDOW)
        self._said = ""

    def add(self, call: Call) -> None:
        """Take in a call that has ended, unless its client left or was itself the reason."""
        if call.outcome == "canceled" or (call.outcome == "refused" and call.status < 500):
            return
        number = int(self._clock())
        if not self._slots or self._slots[-1].number != number:
            self._slots.append(_Slot(number))
        slot = self._slots[-1]
        slot.requests += 1
        if call.outcome != "ok":
            slot.causes["unserved" if call.outcome == "refused" else call.outcome] += 1
            self._said = _kind_of(call)

    def wire(self) -> Recent:
        """As it travels."""
        oldest = int(self._clock()) - WINDOW
        slots = [slot for slot in self._slots if slot.number > oldest]
        causes: Counter[str] = Counter()
        for slot in slots:
            causes += slot.causes
        failed = causes.total()
        return Recent(
            float(WINDOW), sum(slot.requests for slot in slots), failed, dict(causes), self._said if failed else ""
        )


class Failures:
    """The errors that arms were answered with, by what they say. What is older than two spans is forgotten."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = clock()
        self._now: Counter[tuple[str, str]] = Counter()
        self._before: Counter[tuple[str, str]] = Counter()

    def add(self, call: Call) -> None:
        """Take in a call that has ended."""
        if call.outcome != "error" or call.choice is None:
            return
        self._forget()
        explanation = f": {call.facts.explanation}" if call.facts.explanation else ""
        key = call.revision, f"{_kind_of(call)}{explanation}"
        if key in self._now or len(self._now) < _KINDS:
            self._now[key] += 1

    def wire(self) -> list[Failure]:
        """The commonest of each revision, as they travel."""
        self._forget()
        named: Counter[str] = Counter()
        found = []
        for (revision, error), requests in (self._now + self._before).most_common():
            named[revision] += 1
            if named[revision] <= _NAMED:
                found.append(Failure(revision, error, requests))
        return found

    def _forget(self) -> None:
        spans = int((self._clock() - self._began) // _SPAN)
        if spans:
            self._before = self._now if spans == 1 else Counter()
            self._now = Counter()
            self._began += spans * _SPAN


def _kind_of(call: Call) -> str:
    """Status and error type: `529 overloaded_error`."""
    return f"{call.status} {_NOT_A_TYPE.sub('?', call.error)[:_LONGEST_TYPE]}".rstrip()
