"""The judge `Sequential`: an e-process a metric, combined into one decision that may be taken at every tick.

Counts are never pooled over config generations or surfaces, and over ticks only until there are enough of both arms
together: each such stratum is compared within itself, so traffic that changes, a weight that moves and incidents that
hit both arms leave no trace. When a stratum is closed depends on the number of requests alone, never on whose they
are or how they went, so the comparison stays exact; without waiting, a service of a request a tick would never give
evidence. The combined evidence is a weighted mean, itself an e-process however the metrics depend on each other, so
falseRollbackRate covers all of them over the whole rollout.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import astuple

from claude_operator.api.base import seconds
from claude_operator.api.deployment import Analysis
from claude_operator.api.status import Judgement, MetricState, OpenStratum, Verdict
from claude_operator.core.judge import eprocess
from claude_operator.core.judge.evidence import Counts, Increments
from claude_operator.core.judge.metrics import METRICS, unsupported, watched, weights
from claude_operator.core.judge.sentences import evidence_sentence, message, reason

__all__ = ["assess", "evidence_sentence", "new_judgement", "reason", "unsupported"]

_SILENCE = 10.0  # seconds without a request before it is called no data
_SILENT_INTERVALS = 3
_OVERLOAD_REQUESTS = 5
_ENOUGH = 10  # judged requests of both arms together that close a stratum
_NOTHING = Counts()

Pair = tuple[Counts, Counts]
"""Canary and stable."""
Strata = dict[tuple[int, str], Pair]
"""By config generation and surface."""


def new_judgement(analysis: Analysis, now: dt.datetime) -> Judgement:
    """The start of a rollout: evidence 1, nothing seen."""
    state = [_start(metric.name) for metric in watched(analysis)]
    threshold = 1.0 / analysis.false_rollback_rate
    start = Judgement(verdict="Inconclusive", threshold=threshold, started_at=_stored(now), state=state)
    return start.model_copy(update={"message": message(start, unsupported(analysis))})


def assess(
    previous: Judgement | None,
    analysis: Analysis,
    increments: Increments,
    *,
    stable: str,
    canary: str,
    now: dt.datetime,
) -> Judgement:
    """The judgement after one more tick. `stable` and `canary` are revision names; `previous` stays as it is.

    `Fail` is final: later ticks neither add evidence nor take it away. What the judge cannot do (an unknown metric,
    pods that do not answer while nothing else is new) is `Error`, unless the rest shows harm.
    """
    now = _stored(now)
    before = previous or new_judgement(analysis, now)
    seen = {
        "last_tick": now,
        # A first look cannot tell silence from traffic.
        "last_traffic": now if increments.traffic or increments.baseline else before.last_traffic,
        "unreachable": list(increments.unreachable),
        "overloaded": _overloaded(increments, canary),
    }
    if before.verdict == "Fail":
        return before.model_copy(update=seen)
    new = _strata(increments, stable, canary)
    strata, still_open = _closed(before.open, new)
    stored = {metric.name: metric for metric in before.state}
    state = [_updated(stored.get(each.name) or _start(each.name), strata) for each in watched(analysis)]
    share = weights(analysis)
    weighted = {metric.name: share[metric.name] * metric.evidence for metric in state if metric.name in share}
    harmed = [metric.name for metric in state if metric.name in share and metric.evidence > 1.0]
    bad = any(METRICS[name].events(counts)[1] for name in share for counts, _ in new.values())
    problem = unsupported(analysis)
    judged = before.model_copy(
        update={
            **seen,
            "state": state,
            "open": still_open,
            "requests": before.requests + sum(counts.judged for counts, _ in new.values()),
            "evidence": sum(weighted.values()) if weighted else 1.0,
            "threshold": 1.0 / analysis.false_rollback_rate,
            "leading": max(harmed, key=weighted.__getitem__, default=None),
            "first_bad": before.first_bad or (now if bad else None),
        }
    )
    judged.verdict = _verdict(judged, analysis, quiet=not increments.traffic, problem=problem, now=now)
    judged.message = message(judged, problem)
    return judged


def _verdict(
    judgement: Judgement, analysis: Analysis, *, quiet: bool, problem: str | None, now: dt.datetime
) -> Verdict:
    """`quiet`: no pod that answered has seen a request in this tick."""
    if judgement.evidence >= judgement.threshold:
        return "Fail"
    if problem or (quiet and judgement.unreachable):
        return "Error"
    since = judgement.last_traffic or judgement.started_at or now
    silence = max(_SILENCE, _SILENT_INTERVALS * seconds(analysis.interval))
    return "NoData" if (now - since).total_seconds() >= silence else "Inconclusive"


def _strata(increments: Increments, stable: str, canary: str) -> Strata:
    """One pair for each config generation and surface. Where the canary has no weight, its counts are zero."""
    cells = increments.cells
    places = dict.fromkeys((generation, surface) for generation, surface, name in cells if name in (stable, canary))
    return {
        place: (cells.get((*place, canary), _NOTHING), cells.get((*place, stable), _NOTHING))
        for place in sorted(places)
    }


def _closed(before: list[OpenStratum], new: Strata) -> tuple[list[Pair], list[OpenStratum]]:
    """What is to be compared now, and what waits for more: few requests of the newest generation."""
    places: Strata = {(one.generation, one.surface): (Counts(*one.canary), Counts(*one.stable)) for one in before}
    for place, (ours, theirs) in new.items():
        earlier = places.get(place, (_NOTHING, _NOTHING))
        places[place] = (earlier[0] + ours, earlier[1] + theirs)
    newest = max((generation for generation, _ in places), default=0)
    closed, still_open = [], []
    for (generation, surface), (ours, theirs) in sorted(places.items()):
        if generation < newest or ours.judged + theirs.judged >= _ENOUGH:
            closed.append((ours, theirs))
        else:
            counts = {"canary": list(astuple(ours)), "stable": list(astuple(theirs))}
            still_open.append(OpenStratum(generation=generation, surface=surface, **counts))
    return closed, still_open


def _start(name: str) -> MetricState:
    return MetricState(name=name, evidence=1.0, canary=[0, 0], stable=[0, 0], logs=list(eprocess.START))


def _updated(metric: MetricState, strata: list[Pair]) -> MetricState:
    """The metric after this tick. Stable's counts are those of strata that the canary had requests in."""
    events = METRICS[metric.name].events
    logs = eprocess.carried(metric.logs, metric.evidence)
    n_canary, x_canary = metric.canary
    n_stable, x_stable = metric.stable
    for one, other in strata:
        ours, theirs = events(one), events(other)
        if not ours[0]:
            continue
        logs = eprocess.updated(logs, ours, theirs)
        n_canary, x_canary = n_canary + ours[0], x_canary + ours[1]
        n_stable, x_stable = n_stable + theirs[0], x_stable + theirs[1]
    return MetricState(
        name=metric.name,
        evidence=eprocess.value(logs),
        canary=[n_canary, x_canary],
        stable=[n_stable, x_stable],
        logs=list(logs),
    )


def _overloaded(increments: Increments, canary: str) -> bool:
    """Whether half or more of the canary's requests or of all in this tick were overloads, with at least five."""
    everything = sum(increments.cells.values(), _NOTHING)
    ours = sum((counts for (_, _, name), counts in increments.cells.items() if name == canary), _NOTHING)
    return any(
        counts.requests >= _OVERLOAD_REQUESTS and 2 * counts.overloads >= counts.requests
        for counts in (everything, ours)
    )


def _stored(moment: dt.datetime) -> dt.datetime:
    """To the millisecond, as status holds it, so that a restart changes nothing."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
