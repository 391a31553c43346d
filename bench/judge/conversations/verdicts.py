"""Whether what was found in a cell is right. A cell that is missing, or too small to tell, is not kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.judge.conversations.cases import Case
from bench.judge.conversations.cells import Kept

__all__ = ["FAST", "MOST", "SLOW", "Verdict", "judged"]

Answer = Literal["kept", "broken", "open", "missing", "told"]
"""`open`: so few rollouts cannot tell. `told`: nothing is promised, the figures are there to be read."""

FAST, SLOW = 1000, 50
"""Rollouts that a cell takes to be kept; a harm takes a tenth and at least `SLOW`."""
MOST, MOST_HIGH = 0.01, 0.015
MOST_HOLDS = 0.05
_SOME = 20  # rollouts from which on an interval of a mean is one


@dataclass(frozen=True, slots=True)
class Verdict:
    """`why` says what is not as it should be, or what it takes to tell."""

    answer: Answer
    why: str = ""


def judged(case: Case, kept: Kept | None) -> Verdict:
    """Of one cell."""
    if kept is None or not kept.rollouts:
        return Verdict("missing")
    if case.right.answer == "null":
        return _null(kept)
    if case.right.answer == "bound":
        return Verdict("told", case.right.floor)
    return _found(case, kept) if case.right.answer == "found" else _held(case, kept)


def _null(kept: Kept) -> Verdict:
    back = kept.count("rolled back")
    low, high = kept.interval(back)
    if low > MOST:
        return Verdict("broken", "rolled back too often")
    holds = [(name, count) for name, count in kept.holds.items() if kept.interval(count)[0] > MOST_HOLDS]
    if holds:
        return Verdict("broken", f"held by {holds[0][0]} in {100 * holds[0][1] / kept.rollouts:.0f} %")
    if kept.rollouts < (SLOW if kept.way == "slow" else FAST):
        return Verdict("open", "too few rollouts")
    if kept.way == "slow":
        return Verdict("kept")
    if kept.share("rolled back") > MOST or high > MOST_HIGH:
        return Verdict("open", "more rollouts have to tell")
    often = [name for name, count in kept.holds.items() if count > MOST_HOLDS * kept.rollouts]
    return Verdict("open", f"held by {often[0]}") if often else Verdict("kept")


def _found(case: Case, kept: Kept) -> Verdict:
    right = case.right
    back = kept.count("rolled back")
    if kept.interval(back)[1] < right.least:
        return Verdict("broken", "found too seldom")
    limits = _limits(case, kept)
    if limits is not None:
        return limits
    if kept.rollouts < (SLOW if kept.way == "slow" else max(SLOW, FAST // 10)):
        return Verdict("open", "too few rollouts")
    return (
        Verdict("kept") if kept.share("rolled back") >= right.least else Verdict("open", "more rollouts have to tell")
    )


def _limits(case: Case, kept: Kept) -> Verdict | None:
    """What is wrong with how soon it is found, None for nothing."""
    right = case.right
    if kept.rollouts < _SOME:
        return None
    low = kept.requests_interval[0] if kept.requests_interval else 0.0
    if right.requests is not None and low > right.requests:
        return Verdict("broken", f"after more than {right.requests:g} canary requests")
    mean, half = kept.mean_excess
    if right.failures is not None and mean - half > right.failures:
        return Verdict("broken", f"after more than {right.failures:g} failures")
    return None


def _held(case: Case, kept: Kept) -> Verdict:
    """It may be rolled back, and must not be promoted; who waits is told why."""
    if kept.interval(kept.count("promoted"))[0] > MOST:
        return Verdict("broken", "promoted")
    told = kept.said + kept.count("rolled back")
    if kept.interval(min(told, kept.rollouts))[1] < case.right.least:
        return Verdict("broken", f"'{case.right.words}' is not said")
    if kept.rollouts < SLOW:
        return Verdict("open", "too few rollouts")
    return Verdict("kept") if not kept.count("promoted") else Verdict("open", "more rollouts have to tell")
