"""Which conversations a config generation has seen, and which of them lately went wrong.

The counts are of conversations rather than requests because one long conversation that fails again and again would
otherwise weigh like many people. Memory is bounded: a conversation is one hash of 8 bytes, salted by the process.
"""

from __future__ import annotations

from claude_operator.api.gateway import PINNED

__all__ = ["BAD_INTERVAL", "BAD_LIMIT", "LIMIT", "Conversations", "bad_kind"]

LIMIT = 50_000  # conversations that are remembered in one generation
BAD_LIMIT = 10_000  # bad ones, by kind
BAD_INTERVAL = 60.0
"""Seconds after which a conversation that is still bad counts again; the next time it takes twice as long, and so on.

A burst counts once, one that stays bad for an hour six times, and a service of few conversations is not blind.
"""

_BAD_STOPS = frozenset(("refusal", "max_tokens", "model_context_window_exceeded"))


def bad_kind(outcome: str, stop_reason: str) -> str:
    """One of `BAD_KINDS`, empty where nothing went wrong; the stop reason is that of complete answers only."""
    if outcome == "error":
        return "error"
    return stop_reason if outcome == "ok" and stop_reason in _BAD_STOPS else ""


class Conversations:
    """The memory of one config generation. A key of None is a conversation of its own and needs none."""

    __slots__ = ("_bad", "_seen")

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._bad: dict[int, tuple[float, float]] = {}  # when it counts again, and the wait before; oldest first

    def is_first(self, key: str | None, revision: str, surface: str) -> bool:
        """Whether a request opens a conversation of this revision and surface that should be counted.

        When the memory is full no further key is counted, on any arm: a key that came back could not be told from a
        new one, and what is fair to both arms is to stop for both.
        """
        if key is None:
            return True
        seen, conversation = self._seen, hash((key, revision, surface))
        if conversation in seen or len(seen) >= LIMIT:
            return False
        seen.add(conversation)
        return True

    def is_bad_anew(self, kind: str, key: str | None, revision: str, surface: str, now: float) -> bool:
        """Whether a bad event at `now` (seconds) counts: not within a minute after one of its kind that did.

        The wait doubles with each that counts, and starts anew after as long a time again without one.

        Conversations that chose their revision stand apart, since the judge leaves them out: they must not hide others.
        """
        if key is None:
            return True
        bad, conversation = self._bad, hash((key, revision, surface == PINNED, kind))
        again, wait = bad.get(conversation, (now, 0.0))
        if now < again:
            return False
        bad.pop(conversation, None)
        wait = 2.0 * wait if wait and now < again + wait else BAD_INTERVAL
        bad[conversation] = (now + wait, wait)
        if len(bad) > BAD_LIMIT:
            del bad[next(iter(bad))]
        return True
