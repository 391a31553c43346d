"""Rollouts of conversations for the judge's tests: who was drawn, when each goes bad, and what is made of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tests.core.judge.arms import analysis

from claude_operator.api.evidence import TURNS
from claude_operator.core.judge.judges import engine
from claude_operator.core.judge.judges.comparisons import Comparison, Firsts
from claude_operator.core.judge.metrics import watched

TICK, STEP = 5.0, 600.0  # seconds
WEIGHTS = (0.01, 0.1, 0.5)
LONGEST = 80
ERRORS = watched(analysis("errors"))

Array = NDArray[Any]
Rates = Callable[[np.random.Generator, int], Array]
"""Of so many conversations, the chance that each of their turns fails: rows of LONGEST."""


def plain(rate: float) -> Rates:
    return lambda rng, n: np.full((n, LONGEST), rate)


def halves(rng: np.random.Generator, n: int) -> Array:
    """5 % of the conversations fail half their requests."""
    return np.where(rng.random((n, 1)) < 0.05, 0.5, 0.0) * np.ones(LONGEST)


def first_turns(rng: np.random.Generator, n: int) -> Array:
    """First requests fail more often."""
    return np.full((n, LONGEST), 0.002) + 0.028 * (np.arange(LONGEST) == 0)


def their_own(rng: np.random.Generator, n: int) -> Array:
    """Each conversation has its own rate."""
    return rng.beta(0.05, 5.0, (n, 1)) * np.ones(LONGEST)


def toxic(rng: np.random.Generator, n: int) -> Array:
    """2 % go bad at some turn, and then fail 60 %."""
    onset = np.where(rng.random((n, 1)) < 0.02, rng.integers(0, LONGEST, (n, 1)), LONGEST)
    return np.where(np.arange(LONGEST) >= onset, 0.6, 0.005)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Conversations that begin by chance, `per_second`; `single` of them have one request, the rest 20 to 80."""

    rates: Rates
    per_second: float = 1.0
    gap: float = 20.0
    single: float = 0.0
    excess: float = 0.0
    """What the canary fails more."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """Counts by tick, weight, arm (the canary first), and period or turn; and the times of the canary's requests."""

    entries: Array
    bad: Array
    requests: Array
    failures: Array

    @classmethod
    def of(cls, traffic: Traffic, seed: int) -> Rollout:
        rng = np.random.default_rng(seed)
        total = STEP * len(WEIGHTS)
        n = int(rng.poisson(traffic.per_second * total))
        start = np.sort(rng.uniform(0.0, total, n))
        step = (start // STEP).astype(int)
        canary = rng.random(n) < np.array(WEIGHTS)[step]
        length = np.where(rng.random(n) < traffic.single, 1, rng.integers(20, LONGEST + 1, n))
        rates = traffic.rates(rng, n) + traffic.excess * canary[:, None]
        turns = np.arange(LONGEST)
        lives = turns < length[:, None]
        fails = (rng.random((n, LONGEST)) < rates) & lives
        at = start[:, None] + traffic.gap * turns
        ticks = round(total / TICK)
        entries = np.zeros((ticks, len(WEIGHTS), 2, 3), int)
        bad = np.zeros((ticks, len(WEIGHTS), 2, len(TURNS)), int)
        arm = np.where(canary, 0, 1)
        for period, turn in enumerate((0, 1, 8)):
            mine = lives[:, turn] & (at[:, turn] < total)
            np.add.at(entries, ((at[mine, turn] // TICK).astype(int), step[mine], arm[mine], period), 1)
        first = np.where(fails.any(axis=1), fails.argmax(axis=1), -1)
        when = start + traffic.gap * first
        mine = (first >= 0) & (when < total)
        bucket = np.searchsorted(TURNS, first[mine], side="right") - 1
        np.add.at(bad, ((when[mine] // TICK).astype(int), step[mine], arm[mine], bucket), 1)
        ours = at[canary][lives[canary]]
        return cls(entries, bad, np.sort(ours[ours < total]), np.sort(at[canary][fails[canary]]))

    def compared(self) -> Iterator[list[Comparison]]:
        """What each tick brings."""
        for entries, bad in zip(self.entries, self.bad, strict=True):
            yield [
                Comparison(
                    "errors",
                    *(
                        Firsts(
                            tuple(entries[at, arm].tolist()),
                            {TURNS[turn]: int(bad[at, arm, turn]) for turn in np.flatnonzero(bad[at, arm])},
                        )
                        for arm in (0, 1)
                    ),
                    share,
                )
                for at, share in enumerate(WEIGHTS)
                if entries[at].any() or bad[at].any()
            ]

    def found_after(self, evidence: float = 100.0) -> float:
        """Seconds until there is so much evidence of harm, infinite where there never is."""
        states = [engine.initial(ERRORS[0])]
        for number, pairs in enumerate(self.compared(), 1):
            states = engine.tick(states, ERRORS, pairs, number=number)
            if states[0].evidence >= evidence:
                return number * TICK
        return math.inf
