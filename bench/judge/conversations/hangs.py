"""After how long a request hangs, pod by pod and tick by tick: what the gateways' `hangs` does, with arrays."""

from __future__ import annotations

import numpy as np

from bench.judge.conversations.arms import Played
from bench.judge.conversations.cases import Case
from bench.judge.conversations.sessions import ERROR
from bench.judge.ticks import Floats, Ints
from claude_operator.api.evidence import LN_WIDTH
from claude_operator.gateway import hangs

__all__ = ["PATIENCE", "hang_limits", "seen_hanging"]

PATIENCE = 60.0
"""Seconds that clients wait for an answer."""

_SPAN = 1800.0  # seconds; values count for one to two of them
_ENOUGH = 1000


def hang_limits(played: Played, tick: Ints, case: Case) -> Floats:
    """Seconds by pod and tick, by what stable's requests waited before it, up to the tick after the last one.

    Infinite where too little is known.
    """
    stable = ~played.canary & (played.outcome < ERROR)
    pod = np.concatenate([played.waited[0], played.pod[stable]])
    waited = np.concatenate([played.waited[1], played.ttft[stable]])
    at = np.concatenate([np.zeros(len(played.waited[0]), dtype=np.int64), tick[stable] + 1])
    bucket = np.floor(np.log(waited) / LN_WIDTH).astype(np.int64) if len(waited) else np.zeros(0, dtype=np.int64)
    low = int(bucket.min(initial=0))
    shape = (case.pods.count, int(tick.max(initial=0)) + 3, int(bucket.max(initial=0)) - low + 1)
    place = (pod * shape[1] + at) * shape[2] + (bucket - low)
    upto = np.bincount(place, minlength=int(np.prod(shape))).reshape(shape).cumsum(axis=1)[:, :-1]
    span = np.floor((np.arange(shape[1] - 1) * case.tick_seconds + 1.0) / _SPAN)  # pods begin a second before
    since = np.ceil(((span - 1.0) * _SPAN - 1.0) / case.tick_seconds).astype(np.int64)
    known = upto - np.where(since > 0, 1, 0)[:, None] * upto[:, np.maximum(since, 0)]
    return _limit(known, low)


def seen_hanging(time: Floats, pod: Ints, limits: Floats, tick_seconds: float) -> Ints:
    """The tick at whose end each of these requests, that have no answer, has waited for longer than the limit.

    Beyond the last tick where that is later, or never.
    """
    first = (time // tick_seconds).astype(np.int64)
    last = limits.shape[1] - 2
    found = np.full(len(time), last + 1)
    for more in range(int(PATIENCE // tick_seconds) + 1):
        tick = first + more
        known = tick <= last
        limit = limits[pod, np.minimum(tick + 1, last + 1)]
        waited = np.minimum((tick + 1) * tick_seconds - time, PATIENCE)
        found = np.where(known & (waited > limit) & (found > last), tick, found)
    return found


def _limit(counts: Ints, low: int) -> Floats:
    """Of counts by bucket, the last axis; the lowest bucket is `low`."""
    total = counts.sum(axis=-1)
    highest = counts.shape[-1] - 1 - np.argmax(counts[..., ::-1] > 0, axis=-1)
    rank = np.argmax(counts.cumsum(axis=-1) >= 0.999 * total[..., None], axis=-1)
    most, usual = (np.exp((one + low + 1) * LN_WIDTH) for one in (highest, rank))
    limit = np.maximum(np.where(total < _ENOUGH, 2.0 * most, usual), hangs.FLOOR)
    return np.where(total < hangs.FEWEST, np.inf, limit)
