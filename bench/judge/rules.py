"""What a rule is, and what it may look at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bench.judge.ticks import Arm, PrePeriod, Tick

__all__ = ["Context", "Counts", "EveryMinute", "Minute", "Rule", "RuleFactory", "histogram"]


class Rule(Protocol):
    """A rule that takes traffic back from a canary. `reason` names what it saw, for the record."""

    reason: str

    def step(self, tick: Tick) -> bool:
        """Whether traffic goes back after this tick. Not called again after it was true."""
        ...


@dataclass(frozen=True, slots=True)
class Counts:
    """One arm in one minute."""

    requests: int
    errors: int

    @property
    def error_rate(self) -> float | None:
        """Share of failed requests, None without requests."""
        return self.errors / self.requests if self.requests else None


@dataclass(frozen=True, slots=True)
class Minute:
    """The ticks of one minute."""

    canary: Counts
    stable: Counts
    weight: float
    last_of_step: bool
    ticks: tuple[Tick, ...]


@dataclass(slots=True)
class Context:
    """What is known of a rollout before it begins. `minute` is shared, so that rules need not add up the same ticks."""

    weights: tuple[float, ...]
    step_seconds: float
    tick_seconds: float
    pre_period: PrePeriod | None = None
    _ticks: list[Tick] = field(default_factory=list)
    _minute: Minute | None = None

    def minute(self, tick: Tick) -> Minute | None:
        """The minute that ends with this tick, None where none does. Ticks must come in order."""
        if not self._ticks or self._ticks[-1].index < tick.index:
            self._ticks.append(tick)
            self._minute = self._ended()
        return self._minute

    def _ended(self) -> Minute | None:
        size = round(60.0 / self.tick_seconds)
        if len(self._ticks) % size:
            return None
        ticks = tuple(self._ticks[-size:])
        return Minute(
            _counts([tick.canary for tick in ticks]),
            _counts([tick.stable for tick in ticks]),
            ticks[-1].weight,
            ticks[-1].last_of_step,
            ticks,
        )


RuleFactory = Callable[[Context], Rule]


def _counts(arms: list[Arm]) -> Counts:
    return Counts(sum(arm.requests for arm in arms), sum(arm.errors for arm in arms))


def histogram(ticks: tuple[Tick, ...], arm: str, quantity: str) -> NDArray[np.int64] | None:
    """Counts a bucket of `ttft` or `cost` over ticks and cache states, None without requests."""
    found = [sums.histogram for tick in ticks for sums in getattr(getattr(tick, arm), quantity).values()]
    return np.sum(found, axis=0) if found else None


class EveryMinute:
    """A rule that looks once a minute."""

    reason = ""

    def __init__(self, context: Context) -> None:
        self.context = context

    def step(self, tick: Tick) -> bool:
        """Look, where a minute ends."""
        minute = self.context.minute(tick)
        return minute is not None and self.look(minute)

    def look(self, minute: Minute) -> bool:
        """Whether traffic goes back after this minute."""
        raise NotImplementedError
