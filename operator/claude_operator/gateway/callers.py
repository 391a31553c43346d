"""Who calls, where each client shows a key of its own: one key must not be most of the evidence.

While others call too, a caller's new conversations count as long as it has no more of them than all others together, or
few. Both arms are counted together: a client cannot choose its arm, so each arm then has the same mix of callers. What
is left out is decided when a conversation begins, whatever becomes of it. Counts are halved every minute, so that a
caller who was alone is not left out for long when another one appears.

Only clients with a key that the upstream has accepted are callers; all others together are one. Keys that were shown
together are of one client: some show a stale one too, and which of them counted the upstream does not say.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from heapq import nlargest

from claude_operator.api.evidence import CallerShare

__all__ = ["CONVERSATIONS", "KEPT", "KNOWN", "MAX_KEYS", "REQUESTS", "SHOWN", "CallerCounts", "Callers"]

CONVERSATIONS = 20  # new conversations a minute of one caller that always count
REQUESTS = 200  # and requests, of an arm
WINDOW = 60.0  # seconds
KNOWN = 10_000  # keys of the callers of a process
KEPT = 1000  # callers of a revision that are counted one by one
SHOWN = 16  # of them that the evidence shows
_TIMES = 2  # an arm's requests of a caller to those of all others: its conversations may be longer than theirs
MAX_KEYS = 4  # that a request may show
_ALL = 64  # halvings after which nothing is left
_HALF = SHOWN // 2
_UNKNOWN = ""


class _Window:
    """Counts by caller of about the last minute, and those of known callers together."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.total = 0

    def admit(self, caller: str, least: int, times: int) -> bool:
        """Count one more, unless the caller has more than `times` as many as all others together, and `least`."""
        if caller not in self.counts and len(self.counts) > KNOWN:
            caller = _UNKNOWN
        mine = self.counts[caller]
        others = self.total - (mine if caller else 0)
        if others and mine >= least and mine > times * others:  # of two who are equal, either may be the next
            return False
        self.counts[caller] = mine + 1
        self.total += bool(caller)
        return True

    def halve(self) -> None:
        self.counts = Counter({caller: half for caller, count in self.counts.items() if (half := count // 2)})
        self.total = sum(count for caller, count in self.counts.items() if caller)


class Callers:
    """The callers of one process."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._names: OrderedDict[str, str] = OrderedDict()
        """Of each key that the upstream has accepted; the one that was shown longest ago is forgotten first."""
        self._conversations = _Window()
        self._requests: dict[str, _Window] = {}
        self._halved = clock()

    def identify(self, keys: Sequence[str]) -> str:
        """Who shows these keys: with one that is known it is the same client, whatever else it sends."""
        return next((self._names[key] for key in keys if key in self._names), _UNKNOWN)

    def accept(self, keys: Sequence[str]) -> str:
        """Take in that the upstream has answered somebody who shows these keys, and say who that is."""
        known = [key for key in keys if key in self._names]
        for key in known:
            self._names.move_to_end(key)
        if not known and keys:
            self._names |= dict.fromkeys(keys, keys[0])
            while len(self._names) > KNOWN:
                self._names.popitem(last=False)
        return self.identify(keys)

    def admit_conversation(self, caller: str) -> bool:
        """Whether a caller's new conversation counts."""
        self._age()
        return self._conversations.admit(caller, CONVERSATIONS, 1)

    def admit_request(self, caller: str, revision: str) -> bool:
        """Whether a request of a conversation that counts does so too: one without an end is not many conversations."""
        self._age()
        return self._requests.setdefault(revision, _Window()).admit(caller, REQUESTS, _TIMES)

    def _age(self) -> None:
        windows = int((self._clock() - self._halved) // WINDOW)
        if not windows:
            return
        self._halved += windows * WINDOW
        for _ in range(min(windows, _ALL)):
            for window in (self._conversations, *self._requests.values()):
                window.halve()
        self._requests = {revision: window for revision, window in self._requests.items() if window.counts}


@dataclass(slots=True)
class _Counts:
    requests: int = 0
    errors: int = 0
    conversations: int = 0
    bad: int = 0
    left_out: int = 0

    def add(self, outcome: str, *, first: bool, bad: bool) -> None:
        """Count a request; `first`: it opens a conversation, `bad`: that counts as failed."""
        self.requests += outcome in ("ok", "error")
        self.errors += outcome == "error"
        self.conversations += first
        self.bad += bad


class CallerCounts:
    """What each caller has in the evidence of a config generation, by revision."""

    def __init__(self) -> None:
        self._revisions: dict[str, dict[str, _Counts]] = {}

    def of(self, revision: str, caller: str) -> _Counts:
        """The counts of a caller; all that are not known share one."""
        known = self._revisions.setdefault(revision, {})
        if caller not in known and len(known) >= KEPT:
            caller = _UNKNOWN
        return known.setdefault(caller, _Counts())

    def rows(self, generation: int) -> Iterator[CallerShare]:
        """Of each revision the callers with most errors and those with most requests, then all others in one row."""
        for revision, known in self._revisions.items():
            named = [caller for caller in known if caller]
            by_errors = nlargest(_HALF, named, key=lambda caller: (known[caller].bad, known[caller].errors))
            by_requests = nlargest(_HALF, named, key=lambda caller: known[caller].requests + known[caller].left_out)
            shown = dict.fromkeys((*by_errors, *by_requests))
            for caller in shown:
                yield _row(generation, revision, caller, [known[caller]])
            rest = [counts for caller, counts in known.items() if caller not in shown]
            if rest:
                yield _row(generation, revision, _UNKNOWN, rest)


def _row(generation: int, revision: str, caller: str, counts: Sequence[_Counts]) -> CallerShare:
    return CallerShare(
        generation,
        revision,
        caller,
        sum(one.requests for one in counts),
        sum(one.errors for one in counts),
        sum(one.conversations for one in counts),
        sum(one.bad for one in counts),
        sum(one.left_out for one in counts),
    )
