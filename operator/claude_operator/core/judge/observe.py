"""What every judge notes of a tick: who answers, what waits, and what else than the canary may be wrong.

Overloads, outages and incidents hold a rollout and blame nobody.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from claude_operator.api.status import Judgement, Offsets, to_millisecond
from claude_operator.core.judge.evidence import incident, recent, streak
from claude_operator.core.judge.evidence.context import Context
from claude_operator.core.judge.evidence.tick import Tick
from claude_operator.core.judge.metrics import CACHES
from claude_operator.core.judge.stats import sample_ratio

__all__ = ["observe"]


def observe(before: Judgement, tick: Tick, context: Context) -> Judgement:
    """`before` with what is seen at this tick; after a verdict of `Fail` only with who answers and what waits."""
    now, ours, theirs = tick.now, tick.whole.canary.counts, tick.whole.stable.counts
    elapsed = (now - (before.last_tick or before.started_at or now)).total_seconds()
    since = before.seen_since or now - dt.timedelta(seconds=tick.seconds)
    last_requests = recent.update(before.recent, seconds=elapsed, canary=ours, stable=theirs)
    seen: dict[str, Any] = {
        "last_tick": now,
        "last_traffic": now if tick.traffic or tick.baseline else before.last_traffic,
        "unreachable": list(tick.unreachable),
        "overloaded": tick.overloaded,
        "seen_since": now if tick.baseline else to_millisecond(since),
        "last_answer": now if ours.judged else before.last_answer,
        "waiting": tick.waiting_canary.requests,
        "oldest": round(tick.waiting_canary.oldest, 1),
        "waiting_stable": tick.waiting_stable.requests,
        "recent": last_requests,
    }
    if before.verdict == "Fail":
        return before.model_copy(update=seen)
    first_token = tick.whole.stable.quantity("timeToFirstToken", CACHES)
    stable_before = incident.update(
        before.incident,
        seconds=elapsed,
        requests=theirs.judged,
        errors=theirs.errors,
        times=first_token.count,
        ln_sum=first_token.ln_sum,
    )
    ratio = before.sample_ratio
    if context.generation is not None:
        new = tick.conversations_at(context.weight, context.generation)
        ratio = sample_ratio.advance(ratio, *new, naming=tick.naming, weight=context.weight)
    seen |= {
        "weight": context.weight,
        "streak": streak.updated(before.streak, tick, seconds=elapsed),
        "requests": before.requests + ours.judged,
        "offsets": _offsets(list(context.offsets) or before.offsets, tick, context),
        "incident": stable_before,
        "shared": incident.explain(stable_before, last_requests),
        "sample_ratio": ratio,
    }
    return before.model_copy(update=seen)


def _offsets(known: list[Offsets], tick: Tick, context: Context) -> list[Offsets]:
    """What is known of the canary's users, neutral once the gateways draw conversations otherwise than then.

    Conversations that are drawn anew have no past, so there is nothing to correct.
    """
    drawn_anew = tick.by_unit and context.unit != "User"
    if not drawn_anew and (not tick.assignments or tick.assignments == {one.assignment for one in known}):
        return known
    return [Offsets(weight=one.weight, assignment=one.assignment) for one in known]
