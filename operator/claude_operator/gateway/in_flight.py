"""The calls in flight, and the outcomes of those that ended recently. All times are from one clock."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable

from claude_operator.api.evidence import Failure, InFlight, Recent
from claude_operator.gateway.call import Call
from claude_operator.gateway.hangs import HangLimits

__all__ = ["WINDOW", "CallsInFlight", "Failures", "RecentCalls"]

WINDOW = 10  # slots of a second
_NOT_A_TYPE = re.compile(r"[^\x21-\x7e]")
_LONGEST_TYPE = 64
_SPAN = 300.0  # seconds
_MAX_ERRORS, _MAX_SHOWN = 32, 3  # different errors that are counted, and those of a revision that are shown


class CallsInFlight:
    """Calls of `POST /v1/messages` that wait for the upstream, except those that asked for their revision."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._calls: dict[int, tuple[Call, float]] = {}

    def add(self, call: Call) -> None:
        """Take in a call that goes upstream."""
        if call.counted and call.choice is not None and not call.choice.pinned:
            self._calls[id(call)] = call, self._clock()

    def drop(self, call: Call) -> None:
        """Remove a call that has ended."""
        self._calls.pop(id(call), None)

    def overdue(self, limits: HangLimits) -> list[Call]:
        """Calls that have waited longer than the limit and do not count as hung yet."""
        streams, pieces, now = limits.of(stream=True), limits.of(stream=False), self._clock()
        found = []
        for call, sent in self._calls.values():  # oldest first
            waited = now - sent
            if waited <= min(streams, pieces):
                break
            waits = not (call.hung or call.first_content or call.outcome)
            if waits and waited > (streams if call.stream else pieces):
                found.append(call)
        return found

    def snapshot(self) -> list[InFlight]:
        """The numbers by revision."""
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
        self._last_error = ""

    def add(self, call: Call) -> None:
        """Take in a call that has ended, unless its client disconnected or caused the refusal."""
        if call.outcome == "canceled" or (call.outcome == "refused" and call.status < 500):
            return
        number = int(self._clock())
        if not self._slots or self._slots[-1].number != number:
            self._slots.append(_Slot(number))
        slot = self._slots[-1]
        slot.requests += 1
        if call.outcome != "ok":
            slot.causes["unserved" if call.outcome == "refused" else call.outcome] += 1
            self._last_error = _label_error(call)

    def snapshot(self) -> Recent:
        """The sums of the last ten seconds."""
        oldest = int(self._clock()) - WINDOW
        slots = [slot for slot in self._slots if slot.number > oldest]
        causes: Counter[str] = Counter()
        for slot in slots:
            causes += slot.causes
        failed = causes.total()
        return Recent(
            float(WINDOW),
            sum(slot.requests for slot in slots),
            failed,
            dict(causes),
            self._last_error if failed else "",
        )


class Failures:
    """The errors of each arm, by their text. Those older than two spans are dropped."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = clock()
        self._current: Counter[tuple[str, str]] = Counter()
        self._previous: Counter[tuple[str, str]] = Counter()

    def add(self, call: Call) -> None:
        """Take in a call that has ended."""
        if call.outcome != "error" or call.choice is None:
            return
        self._rotate()
        explanation = f": {call.summary.explanation}" if call.summary.explanation else ""
        key = call.revision, f"{_label_error(call)}{explanation}"
        if key not in self._current and len(self._current) >= _MAX_ERRORS:  # what is rare gives way to what is new
            del self._current[min(self._current, key=self._current.__getitem__)]
        self._current[key] += 1

    def snapshot(self) -> list[Failure]:
        """The most common errors of each revision."""
        self._rotate()
        shown: Counter[str] = Counter()
        found = []
        for (revision, error), requests in (self._current + self._previous).most_common():
            shown[revision] += 1
            if shown[revision] <= _MAX_SHOWN:
                found.append(Failure(revision, error, requests))
        return found

    def _rotate(self) -> None:
        spans = int((self._clock() - self._began) // _SPAN)
        if spans:
            self._previous = self._current if spans == 1 else Counter()
            self._current = Counter()
            self._began += spans * _SPAN


def _label_error(call: Call) -> str:
    """Status and error type: `529 overloaded_error`."""
    return f"{call.status} {_NOT_A_TYPE.sub('?', call.error)[:_LONGEST_TYPE]}".rstrip()
