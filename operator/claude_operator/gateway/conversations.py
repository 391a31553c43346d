"""Which conversations a config generation has seen, and which of them recently failed.

It counts conversations rather than requests, because one long conversation that fails again and again would otherwise
weigh as much as many people. Memory is bounded: a conversation is one hash of 8 bytes, salted by the process. The
operator sees bad ones by a digest that is the same in every process, so that it counts each once.
"""

from __future__ import annotations

from collections import deque
from hashlib import blake2b

from claude_operator.api.evidence import BAD_WINDOW, PINNED, BadConversation
from claude_operator.core.judge.evidence.backoff import BAD_INTERVAL, next_wait

__all__ = ["BAD_INTERVAL", "BAD_LIMIT", "LIMIT", "SHOWN", "Conversations", "RecentBad", "bad_kind"]

LIMIT = 50_000  # conversations that are remembered in one generation
BAD_LIMIT = 10_000  # bad ones, by kind
SHOWN = 2_000  # bad ones that are shown with the evidence

_BAD_STOPS = frozenset(("refusal", "max_tokens", "model_context_window_exceeded"))


def bad_kind(outcome: str, stop_reason: str) -> str:
    """One of `BAD_KINDS`, empty where nothing went wrong; the stop reason is that of complete answers only."""
    if outcome == "error":
        return "error"
    return stop_reason if outcome == "ok" and stop_reason in _BAD_STOPS else ""


class Conversations:
    """The conversations of one config generation. A key of None is always a new conversation and is not stored."""

    __slots__ = ("_bad", "_seen")

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._bad: dict[int, tuple[float, float]] = {}  # when it counts again, and the wait before; oldest first

    def is_first(self, key: str | None, revision: str, surface: str) -> bool:
        """Whether a request opens a conversation of this revision and surface that should be counted.

        When the memory is full, no further key is counted on any arm: a known key could not be told from a new one, and
        stopping for both arms is fair to both.
        """
        if key is None:
            return True
        seen, conversation = self._seen, hash((key, revision, surface))
        if conversation in seen or len(seen) >= LIMIT:
            return False
        seen.add(conversation)
        return True

    def counts_as_bad(self, kind: str, key: str | None, revision: str, surface: str, now: float) -> bool:
        """Whether a bad event at `now` (seconds) counts: not within a minute after one of its kind that did.

        The wait doubles with each that counts, and starts again at a minute after as long a time without one.

        Conversations that asked for their revision are kept apart: the judge ignores them, so they must hide no others.
        """
        if key is None:
            return True
        bad, conversation = self._bad, hash((key, revision, surface == PINNED, kind))
        known = bad.get(conversation)
        if known is None:
            wait = BAD_INTERVAL
        elif now < known[0]:
            return False
        else:
            del bad[conversation]
            wait = next_wait(*known, now)
        bad[conversation] = (now + wait, wait)
        if len(bad) > BAD_LIMIT:
            del bad[next(iter(bad))]
        return True


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
