"""How many answers of each arm are to be graded now. What is in them plays no part in it."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Literal

from claude_operator.api.live import LiveGrading

__all__ = ["ROLES", "Quota", "Role", "shares"]

Role = Literal["canary", "stable"]
ROLES: tuple[Role, ...] = ("canary", "stable")
_WINDOW = 60.0  # seconds
_BURST = 30.0  # seconds of an arm's share that are taken at once after a pause


def shares(wanted: Mapping[Role, float], most: float) -> dict[Role, float]:
    """Answers a minute for each arm, `most` together: no arm's share is cut to below half of that for the other."""
    if sum(wanted.values()) <= most:
        return dict(wanted)
    given = {role: min(rate, most / 2) for role, rate in wanted.items()}
    left = most - sum(given.values())
    return {role: min(wanted[role], given[role] + left) for role in wanted}


class Quota:
    """Each arm gets the larger of minPerMinute and its share of conversations, and both no more than maxPerMinute.

    Times are of one clock that never goes back, in seconds.
    """

    def __init__(self, live: LiveGrading, now: float) -> None:
        self._live = live
        self._at = now
        self._due = dict.fromkeys(ROLES, 0.0)
        self._seen: dict[Role, deque[tuple[float, int]]] = {role: deque() for role in ROLES}
        self._taken: deque[tuple[float, int]] = deque()

    def see(self, role: Role, conversations: int, now: float) -> None:
        """So many conversations of an arm have begun since the last time."""
        if conversations:
            self._seen[role].append((now, conversations))

    def take(self, role: Role, count: int, now: float) -> None:
        """So many answers of an arm were taken."""
        self._due[role] -= count
        if count:
            self._taken.append((now, count))

    def wanted(self, now: float, room: int) -> dict[Role, int]:
        """How many answers to take of each arm, no more than `room` together."""
        rates = shares({role: self._rate(role, now) for role in ROLES}, self._live.max_per_minute)
        for role, rate in rates.items():
            fresh = self._due[role] + rate / 60 * (now - self._at)
            self._due[role] = min(fresh, max(1.0, rate / 60 * _BURST))
        self._at = now
        left = max(0, min(room, self._live.max_per_minute - _sum(self._taken, now)))
        due = {role: max(0, int(self._due[role])) for role in ROLES}
        # The arm that has waited longest for its share comes first, and takes no more than half where both want it.
        first, second = sorted(ROLES, key=lambda one: -self._due[one] / max(rates[one], 1e-9))
        given = min(due[first], max(left - due[second], (left + 1) // 2))
        return {first: given, second: min(due[second], left - given)}

    def _rate(self, role: Role, now: float) -> float:
        return max(self._live.min_per_minute, self._live.rate * _sum(self._seen[role], now))


def _sum(events: deque[tuple[float, int]], now: float) -> int:
    """What was counted within the window; what is older is dropped."""
    while events and events[0][0] <= now - _WINDOW:
        events.popleft()
    return sum(count for _, count in events)
