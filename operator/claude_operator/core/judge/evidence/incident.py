"""Is stable itself worse than it was? Then both arms may suffer, and nothing should be promoted or blamed.

Stable's errors and time to first token of late, forgotten within seconds, are compared with what they were, forgotten
within a quarter of an hour, so slow drift moves both. An incident is a difference that matters (5 points of errors,
half as much again of time) and that chance does not make (a likelihood ratio for counts, a z score for times). While
it lasts the past is hardly moved, and it ends well below where it began, so that it does not flicker. The past takes
in what is a quarter of a minute old or more, and an incident takes with it what was waiting: what is told as "before"
has nothing of it. Only stable's numbers come in: a bad canary cannot look like an incident.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from claude_operator.core import text

__all__ = ["shared", "update"]

State = Sequence[float]
"""Empty before the first requests, then 23 numbers, the sums exponentially forgotten.

Of the past its seconds, requests, errors, times and sum of their ln; of late the last four; looks so far, variance of
ln, and whether errors and times are worse now; the five of the past again of what waits to become past, the older part
and the newer one.
"""

_PAST, _NOW = 900.0, 15.0  # seconds in which sums fall to 1/e
_SLOW = 0.02  # how fast the past moves during an incident, of the usual
_FIRST = 45.0  # seconds of the past before there is something to compare with
_WAIT = 15.0  # seconds after which what waits moves on: it becomes past when it is as old, or twice as old

_ERRORS, _ERRORS_END = 0.05, 0.02  # excess share of errors at which an incident begins and ends
_ODDS = 20.0  # log-likelihood ratio of "another rate": 9 is no chance, but failures come in bursts
_SLOWDOWN, _SLOWDOWN_END = math.log(1.5), math.log(1.2)
_SCORES = 5.0  # standard deviations of the mean of ln
_VARIANCE = 1.0  # of ln, before anything is known, worth so many looks:
_LOOKS = 4.0
_ODD_LOOK = 4.0  # a look counts for so many times the variance at most, or the first of an incident would hide the rest

_SIZE = 23
_NONE = (0.0,) * 5
_DIGITS = 5


def update(
    state: State, *, seconds: float, requests: int, errors: int, ttft_count: int, ttft_ln_sum: float
) -> list[float]:
    """`state` after a look at stable with what is new of it; a list of 23 numbers, or none before its first requests.

    `seconds`: since the last look. `requests`: `ok` and `error` only. `ttft_ln_sum`: of ln of `ttft_count` times to
    the first token. A look without requests lets what was recent fade and leaves the past alone.
    """
    if len(state) != _SIZE:
        if not requests:
            return []
        state = (0.0,) * 9 + (_LOOKS, _VARIANCE, 0.0, 0.0) + _NONE + _NONE
    past, recent = tuple(state[:5]), state[5:9]
    looks, variance, failing, slow = state[9:13]
    older, newer = tuple(state[13:18]), tuple(state[18:])
    seconds = max(seconds, 0.0)
    fade = math.exp(-seconds / _NOW)
    new = (requests, errors, ttft_count, ttft_ln_sum)
    now = [fade * old + more for old, more in zip(recent, new, strict=True)]
    elapsed, n, x, times, ln_sum = past
    known = elapsed >= _FIRST
    failing = float(known and _fails((n, x), (now[0], now[1]), bool(failing)))
    slow = float(known and _is_slow((times, ln_sum), (now[2], now[3]), variance, bool(slow)))
    if failing or slow:
        older = newer = _NONE
        if requests:
            past = _merged(past, (seconds, *new), pace=_SLOW)
    elif requests:
        if ttft_count and times:
            # How much a look's mean varies more than its own size lets expect is in here too.
            square = ttft_count * (ttft_ln_sum / ttft_count - ln_sum / times) ** 2 / (1.0 + ttft_count / times)
            looks = min(looks + 1.0, _PAST / _NOW)
            variance += (min(square, _ODD_LOOK * variance) - variance) / looks
        newer = tuple(old + more for old, more in zip(newer, (seconds, *new), strict=True))
        if newer[0] >= _WAIT:
            past, older, newer = _merged(past, older), newer, _NONE
    after = (*past, *now, looks, variance, failing, slow, *older, *newer)
    return [round(number, _DIGITS) for number in after]


def _merged(past: Sequence[float], more: Sequence[float], *, pace: float = 1.0) -> tuple[float, ...]:
    """The past with a further stretch of time, the older part forgotten; the first number of both is seconds."""
    keep = math.exp(-pace * more[0] / _PAST)
    return tuple(keep * old + pace * new for old, new in zip(past, more, strict=True))


def shared(state: State) -> str | None:
    """What is wrong with stable, for a sentence, None where nothing is: "stable fails 31 % of its requests (...)"."""
    if len(state) != _SIZE:
        return None
    _, n, x, times, ln_sum, now, bad, now_times, now_ln, _, _, failing, slow, *_ = state
    if failing:
        return f"stable fails {text.share(bad / now)} of its requests ({text.share(x / n)} before)"
    if slow:
        ratio = math.exp(now_ln / now_times - ln_sum / times)
        return f"stable's time to first token is {ratio:.1f} times what it was"
    return None


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
