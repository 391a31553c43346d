"""Which conversations a config generation has seen, and which of them recently failed.

It counts conversations rather than requests, because one long conversation that fails again and again would otherwise
weigh as much as many people. Memory is bounded: a conversation is one hash of 8 bytes, salted by the process. At least
the last `LIMIT` are known; an older one that comes back is new, as a conversation and as a bad one alike. The operator
sees bad ones by a digest that is the same in every process, so that it counts each once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b

from claude_operator.api.evidence import BAD_KINDS, BAD_WINDOW, PINNED, BadConversation
from claude_operator.core.judge.evidence.backoff import BAD_INTERVAL, next_wait

__all__ = ["BAD_INTERVAL", "LIMIT", "SHOWN", "Conversations", "RecentBad", "bad_kind"]

LIMIT = 50_000  # conversations of one generation that are known at least, and twice as many at most
SHOWN = 2_000  # bad ones that are shown with the evidence

_BAD_STOPS = frozenset(("refusal", "max_tokens", "model_context_window_exceeded"))

_Surfaces = tuple[str, ...] | None
"""Where a conversation was counted, None for one that is left out."""


def bad_kind(outcome: str, stop_reason: str) -> str:
    """One of `BAD_KINDS`, empty where nothing went wrong; the stop reason is that of complete answers only."""
    if outcome == "error":
        return "error"
    return stop_reason if outcome == "ok" and stop_reason in _BAD_STOPS else ""


class _Half:
    """Conversations, and of the bad ones by kind: when it counts again, and the wait before."""

    __slots__ = ("bad", "seen")

    def __init__(self) -> None:
        self.seen: dict[int, _Surfaces] = {}
        self.bad: dict[tuple[int, str], tuple[float, float]] = {}


class Conversations:
    """The conversations of one config generation. A key of None is always a new conversation and is not stored.

    Conversations that asked for their revision are kept apart: the judge ignores them, so they must hide no others.
    """

    __slots__ = ("_current", "_previous")

    def __init__(self) -> None:
        self._current = _Half()
        self._previous = _Half()

    def admit(self, key: str | None, revision: str, surface: str, decide: Callable[[], bool]) -> bool:
        """Whether a conversation is evidence: `decide` is asked when it begins, and the answer kept."""
        if key is None:
            return decide()
        conversation = _hashed(key, revision, surface)
        if not self._knows(conversation):
            self._remember(conversation, () if decide() else None)
        return self._current.seen.get(conversation, ()) is not None

    def is_first(self, key: str | None, revision: str, surface: str) -> bool:
        """Whether a request opens a conversation of this revision and surface, which is then known."""
        if key is None:
            return True
        conversation = _hashed(key, revision, surface)
        surfaces = (self._current.seen[conversation] or ()) if self._knows(conversation) else ()
        if surface in surfaces:
            return False
        self._remember(conversation, _joined(surfaces, surface))
        return True

    def counts_as_bad(self, kind: str, key: str | None, revision: str, surface: str, now: float) -> bool:
        """Whether a bad event at `now` (seconds) counts: not within a minute after one of its kind that did.

        The wait doubles with each that counts, and starts again at a minute after as long a time without one. Only a
        conversation that was counted counts as bad.
        """
        if key is None:
            return True
        conversation = _hashed(key, revision, surface)
        if not self._knows(conversation):
            return False
        bad = self._current.bad
        known = bad.get((conversation, kind))
        if known is not None and now < known[0]:
            return False
        wait = BAD_INTERVAL if known is None else next_wait(*known, now)
        bad[conversation, kind] = (now + wait, wait)
        return True

    def _knows(self, conversation: int) -> bool:
        """Whether a conversation was seen lately; it is then among the newest."""
        if conversation in self._current.seen:
            return True
        if conversation not in self._previous.seen:
            return False
        old = self._previous
        surfaces, bad = old.seen.pop(conversation), {}
        if old.bad:
            keys = [(conversation, kind) for kind in BAD_KINDS if (conversation, kind) in old.bad]
            bad = {key: old.bad.pop(key) for key in keys}
        self._remember(conversation, surfaces)
        self._current.bad |= bad
        return True

    def _remember(self, conversation: int, surfaces: _Surfaces) -> None:
        if len(self._current.seen) >= LIMIT and conversation not in self._current.seen:
            self._previous, self._current = self._current, _Half()
        self._current.seen[conversation] = surfaces


def _hashed(key: str, revision: str, surface: str) -> int:
    return hash((key, revision, surface == PINNED))


@lru_cache(maxsize=1024)
def _joined(surfaces: tuple[str, ...], surface: str) -> tuple[str, ...]:
    """All conversations of the same surfaces share one object."""
    return (*surfaces, surface)


class RecentBad:
    """The conversations that one process recently counted as bad, so that the operator sees which ones several counted.

    A conversation is shown as an 8-byte hash that includes the deployment's UID, the generation, the revision and the
    kind, so that nobody can be tracked from one to the next.
    """

    __slots__ = ("_rows", "_total")

    def __init__(self) -> None:
        self._rows: deque[tuple[float, tuple[int, str, str, str, str]]] = deque(maxlen=SHOWN)
        self._total = 0

    def add(self, uid: str, generation: int, revision: str, surface: str, kind: str, key: str, now: float) -> None:
        """Take in a conversation that `counts_as_bad` at `now` (seconds, never less than before)."""
        text = "\0".join((uid, str(generation), revision, kind, key))
        digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
        self._rows.append((now, (generation, revision, surface, kind, digest)))
        self._total += 1

    def snapshot(self, now: float) -> tuple[list[BadConversation], int]:
        """Those of the last `BAD_WINDOW` seconds, oldest first, and the number before them since boot."""
        rows = self._rows
        while rows and now - rows[0][0] > BAD_WINDOW:
            rows.popleft()
        shown = [BadConversation(*what, round(max(now - counted, 0.0), 3)) for counted, what in rows]
        return shown, self._total - len(shown)
