"""Is stable itself worse than it was? Then both arms may suffer, and nothing should be promoted or blamed.

Stable's recent errors and time to first token, forgotten within seconds, are compared with what they were, forgotten
within a quarter of an hour, so slow drift moves both. An incident is a difference that matters (5 points of errors,
half as much again of time) and that chance does not make (a likelihood ratio for counts, a z score for times). While
it lasts the past is hardly moved, and it ends well below where it began, so that it does not flicker. The past takes
in what is a quarter of a minute old or more, and an incident takes with it what was waiting: what a sentence calls
"before" has nothing of it. Only stable's numbers come in: a bad canary cannot look like an incident.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from claude_operator.api.sums import IncidentSums, RecentRequests, RecentSums, Stretch
from claude_operator.core import text
from claude_operator.core.judge.evidence.recent import is_outage

__all__ = ["explain", "update"]

_PAST, _NOW = 900.0, 15.0  # seconds in which sums fall to 1/e
_SLOW = 0.02  # how fast the past moves during an incident, of the usual
_FIRST = 45.0  # seconds of the past before there is something to compare with
_WAIT = 15.0  # seconds after which what waits moves on: it becomes past when it is as old, or twice as old

_ERRORS, _ERRORS_END = 0.05, 0.02  # excess share of errors at which an incident begins and ends
_ODDS = 20.0  # log-likelihood ratio of "another rate": 9 is not chance, but failures come in bursts
_SLOWDOWN, _SLOWDOWN_END = math.log(1.5), math.log(1.2)
_SCORES = 5.0  # standard deviations of the mean of ln
_VARIANCE = 1.0  # of ln, before anything is known, worth so many looks:
_LOOKS = 4.0
_ODD_LOOK = 4.0  # a look counts for so many times the variance at most, or the first of an incident would hide the rest

_NONE = Stretch()
_DIGITS = 5


def update(
    before: IncidentSums, *, seconds: float, requests: int, errors: int, times: int, ln_sum: float
) -> IncidentSums:
    """After a look at stable with what is new of it; empty before its first requests.

    `seconds`: since the last look. `requests`: `ok` and `error` only. `ln_sum`: of ln of so many `times` to the first
    token. A look without requests lets what was recent fade and leaves the past alone.
    """
    if not before.looks:
        if not requests:
            return before
        before = IncidentSums(looks=_LOOKS, variance=_VARIANCE)
    past, older, newer = before.past, before.older, before.newer
    looks, variance = before.looks, before.variance
    new = Stretch(max(seconds, 0.0), requests, errors, times, ln_sum)
    now = _fading(before.now, new)
    failing, slow = _is_worse(before, now)
    if failing or slow:
        older = newer = _NONE
        if requests:
            past = _merged(past, new, pace=_SLOW)
    elif requests:
        if times and past.times:
            # How much a look's mean varies more than its own size lets expect is in here too.
            square = times * (ln_sum / times - past.ln_sum / past.times) ** 2 / (1.0 + times / past.times)
            looks = min(looks + 1.0, _PAST / _NOW)
            variance += (min(square, _ODD_LOOK * variance) - variance) / looks
        newer = Stretch(*(old + more for old, more in zip(newer, new, strict=True)))
        if newer.seconds >= _WAIT:
            past, older, newer = _merged(past, older), newer, _NONE
    after = IncidentSums(past, now, looks, variance, float(failing), float(slow), older, newer)
    return _rounded(after)


def explain(state: IncidentSums, recent: RecentRequests) -> str:
    """What is wrong with stable or with both arms, as "31 % of stable's requests fail (...)"; empty for nothing."""
    if is_outage(recent):
        both = f"{text.share(recent.stable.failed)} of stable's requests fail"
        if recent.canary.answered >= 1.0:
            both += f" and {text.share(recent.canary.failed)} of the canary's"
        return both
    past, now = state.past, state.now
    if state.failing:
        before = text.share(past.errors / past.requests)
        return f"{text.share(now.errors / now.requests)} of stable's requests fail ({before} before)"
    if state.slow:
        ratio = math.exp(now.ln_sum / now.times - past.ln_sum / past.times)
        return f"stable's time to first token is {ratio:.1f} times what it was"
    return ""


def _fading(old: RecentSums, new: Stretch) -> RecentSums:
    fade = math.exp(-new.seconds / _NOW)
    return RecentSums(*(fade * earlier + more for earlier, more in zip(old, new[1:], strict=True)))


def _merged(past: Stretch, more: Stretch, *, pace: float = 1.0) -> Stretch:
    """The past with a further stretch of time, the older part forgotten."""
    keep = math.exp(-pace * more.seconds / _PAST)
    return Stretch(*(keep * old + pace * new for old, new in zip(past, more, strict=True)))


def _rounded(sums: IncidentSums) -> IncidentSums:
    def short(numbers: Iterable[float]) -> Iterator[float]:
        return (round(number, _DIGITS) for number in numbers)

    looks, variance = short((sums.looks, sums.variance))
    return IncidentSums(
        Stretch(*short(sums.past)),
        RecentSums(*short(sums.now)),
        looks,
        variance,
        sums.failing,
        sums.slow,
        Stretch(*short(sums.older)),
        Stretch(*short(sums.newer)),
    )


def _is_worse(before: IncidentSums, now: RecentSums) -> tuple[bool, bool]:
    """Whether errors, and whether times, are worse now than before, where enough of the past is known."""
    past = before.past
    if past.seconds < _FIRST:
        return False, False
    failing = _fails((past.requests, past.errors), (now.requests, now.errors), bool(before.failing))
    times = (past.times, past.ln_sum), (now.times, now.ln_sum)
    return failing, _is_slow(*times, before.variance, bool(before.slow))


def _fails(past: tuple[float, float], now: tuple[float, float], before: bool) -> bool:
    (n, x), (m, y) = past, now
    if not (n >= 1.0 and m >= 1.0):
        return False
    excess = y / m - x / n
    if before:
        return excess > _ERRORS_END
    if excess < _ERRORS:
        return False
    rate = (x + y) / (n + m)
    return _deviance(y, m * rate) + _deviance(x, n * rate) >= _ODDS


def _deviance(events: float, expected: float) -> float:
    return (events * math.log(events / expected) if events > 0.0 else 0.0) - events + expected


def _is_slow(past: tuple[float, float], now: tuple[float, float], variance: float, before: bool) -> bool:
    (n, total), (m, recent) = past, now
    if not (n >= 1.0 and m >= 1.0):
        return False
    excess = recent / m - total / n
    if before:
        return excess > _SLOWDOWN_END
    return excess >= _SLOWDOWN and excess >= _SCORES * math.sqrt(variance * (1.0 / n + 1.0 / m))
