"""The calls that are upstream now, and what became of those that ended a moment ago. Times are of one clock."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable

from claude_operator.api.gateway import InFlight, Recent
from claude_operator.gateway.call import Call

__all__ = ["WINDOW", "RecentCalls", "Running"]

WINDOW = 10  # slots of a second
_NOT_A_TYPE = re.compile(r"[^\x21-\x7e]")
_LONGEST_TYPE = 64


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
            self._said = f"{call.status} {_NOT_A_TYPE.sub('?', call.error)[:_LONGEST_TYPE]}".rstrip()

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
