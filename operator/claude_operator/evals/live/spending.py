"""What the graders cost today, and when that is enough."""

from __future__ import annotations

import datetime as dt

import msgspec

__all__ = ["Spending", "State"]

_FIRST = 4  # questions at a time until one was answered
_FREE = 1_000_000  # questions that cost nothing


class State(msgspec.Struct, rename="camel", omit_defaults=True):
    """What the grader remembers beyond its end."""

    day: str = ""
    usd: float = 0.0
    """What was spent on `day`, in UTC."""
    plan: str = ""
    """The hash of the plan that `snapshots` are of."""
    snapshots: dict[str, str] = {}
    """The model that each grader answers as: both arms are graded by one, or not at all."""


class Spending:
    """Counts into `state`; `most` US dollars a day."""

    def __init__(self, state: State, most: float) -> None:
        self._state, self._most = state, most
        self._open = 0
        self._dearest = 0.0
        self._answered = False
        self.unpriced = ""
        """The model that has answered and has no price."""

    def begin(self, now: dt.datetime) -> str:
        """Count a question that is about to be asked; or why it may not be, and nothing is counted."""
        if why := self.over(now):
            return why
        self._open += 1
        return ""

    def end(self, now: dt.datetime, cost: float | None = 0.0, model: str = "") -> None:
        """The question is over; `cost` of its answer, None where it has no price."""
        self._open -= 1
        self._roll(now)
        if cost is None:
            self.unpriced = model or "the grader"
            return
        self._answered = self._answered or cost > 0.0 or bool(model)
        self._state.usd += cost
        self._dearest = max(self._dearest, cost)

    @property
    def room(self) -> int:
        """How many more questions can be paid today, as the dearest so far; few while no price is known."""
        if not self._answered:
            return max(0, _FIRST - self._open)
        if not self._dearest:
            return _FREE
        return max(0, int((self._most - self._state.usd) / self._dearest) - self._open)

    def over(self, now: dt.datetime) -> str:
        """Why nothing more may be asked today, empty where one more question may be."""
        self._roll(now)
        if self.unpriced:
            return (
                f"{self.unpriced} has no price, so maxCostUSDPerDay cannot be kept: name a grader that has one, or"
                " add its price by a ClaudeModel"
            )
        if self._state.usd + (self._open + 1) * self._dearest > self._most or self._state.usd >= self._most:
            return (
                f"${self._state.usd:.2f} of maxCostUSDPerDay {self._most:g} are spent on {self._state.day}: raise it,"
                " or wait until the next day (UTC)"
            )
        return ""

    def _roll(self, now: dt.datetime) -> None:
        day = now.astimezone(dt.UTC).date().isoformat()
        if day != self._state.day:
            self._state.day, self._state.usd = day, 0.0
