"""What else may be wrong in a tick than the canary: overloads, outages, incidents, requests without an answer.

It holds a rollout and blames nobody.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from claude_operator.api.status import Judgement, MetricState, to_millisecond
from claude_operator.core import text
from claude_operator.core.judge.evidence import incident, recent
from claude_operator.core.judge.evidence.increments import Increments, Waiting
from claude_operator.core.judge.evidence.sample import NOTHING
from claude_operator.core.judge.judges import engine
from claude_operator.core.judge.judges.engine import Comparison
from claude_operator.core.judge.metrics import CACHES

__all__ = ["answers", "calm", "incident_of", "overloaded", "shared"]

_OVERLOAD_REQUESTS = 5


def overloaded(increments: Increments, canary: str) -> bool:
    """Whether half or more of the canary's requests or of all in this tick were overloads, with at least five."""
    everything = ours = NOTHING
    for (_, _, name), sample in increments.cells.items():
        everything = everything.plus(sample.counts)
        if name == canary:
            ours = ours.plus(sample.counts)
    return any(
        counts.requests >= _OVERLOAD_REQUESTS and 2 * counts.overloads >= counts.requests
        for counts in (everything, ours)
    )


def answers(
    before: Judgement, increments: Increments, *, stable: str, canary: str, now: dt.datetime, elapsed: float
) -> dict[str, Any]:
    """Since when nothing is missing, whether the canary answers, what waits for an answer, and the last requests."""
    ours, theirs = increments.counts_of(canary), increments.counts_of(stable)
    since = before.seen_since or now - dt.timedelta(seconds=increments.seconds or 0.0)
    waiting = increments.waiting.get(canary, Waiting())
    return {
        "seen_since": now if increments.baseline else to_millisecond(since),
        "last_answer": now if ours.judged else before.last_answer,
        "waiting": waiting.requests,
        "oldest": round(waiting.oldest, 1),
        "waiting_stable": increments.waiting.get(stable, Waiting()).requests,
        "recent": recent.update(before.recent, seconds=elapsed, canary=ours, stable=theirs),
    }


def shared(state_of_stable: Sequence[float], lately: recent.Recent) -> str:
    """What is wrong with stable or with both arms; empty where nothing is."""
    if lately.outage:
        both = f"stable fails {text.share(lately.stable.failed)} of its requests"
        if lately.canary.answered >= 1.0:
            both += f" and the canary {text.share(lately.canary.failed)}"
        return both
    return incident.shared(state_of_stable) or ""


def calm(
    before: Judgement, states: Sequence[MetricState], compared: Sequence[Comparison], *, in_trouble: bool
) -> list[MetricState]:
    """What stable is like without incidents, for those who come after it; empty while there has been none."""
    if in_trouble:
        known = before.calm or before.state or states
        return [engine.known_of_stable(state) for state in known]
    return [engine.more_of_stable(state, compared) for state in before.calm]


def incident_of(before: Judgement, increments: Increments, stable: str, elapsed: float) -> list[float]:
    requests = errors = count = 0
    ln_sum = 0.0
    for (_, _, name), sample in increments.cells.items():
        if name == stable:
            requests, errors = requests + sample.counts.judged, errors + sample.counts.errors
            values = sample.quantity("timeToFirstToken", CACHES)
            count, ln_sum = count + values.count, ln_sum + values.ln_sum
    return incident.update(
        before.incident, seconds=elapsed, requests=requests, errors=errors, ttft_count=count, ttft_ln_sum=ln_sum
    )
