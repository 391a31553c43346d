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
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from claude_operator.api.base import seconds
from claude_operator.api.deployment import Analysis
from claude_operator.api.status import (
    Judgement,
    MetricState,
    Offsets,
    OpenStratum,
    OpenValues,
    Promotion,
    Split,
    to_millisecond,
)
from claude_operator.core.judge.evidence import recent
from claude_operator.core.judge.evidence.increments import Increments
from claude_operator.core.judge.evidence.sample import LN_WIDTH, NO_VALUES, NOTHING, Counts, Sample, Values
from claude_operator.core.judge.judges import engine, promotion, trouble
from claude_operator.core.judge.judges.engine import NO_OFFSETS, Comparison
from claude_operator.core.judge.metrics import CACHES, Binary, Watched, events, watched
from claude_operator.core.judge.stats import sample_ratio
from claude_operator.core.judge.stats.continuous import significant

__all__ = ["Bake", "Context", "assess", "new_judgement", "offsets_at", "over"]

_ENOUGH = 10  # judged requests of both arms together that close a stratum
_TRIFLE = 1e-6  # of evidence
_MOST_OPEN = 4  # strata that may wait; status has to stay small
_EMPTY = Sample()

Pair = tuple[Sample, Sample]
"""Canary and stable."""
Strata = dict[tuple[int, str], Pair]
"""By config generation and surface."""


@dataclass(frozen=True, slots=True)
class Bake:
    """A step that waits for evidence. `margin`: excess of bad requests that the weight after it does not stand."""

    step: int
    margin: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What surrounds a tick. `weight` in basis points, `generation` the config's that brought it."""

    weight: int = 0
    generation: int | None = None
    bakes: Sequence[Bake] = ()
    """The present one and the next: what is seen now speaks for later steps too."""
    history: Mapping[str, Values] = field(default_factory=dict)
    """Stable's values up to now by quantity, wanted while it has no edges yet."""
    budgets: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    """By surface: quantity and the most that it may be, in seconds."""
    offsets: Sequence[Offsets] = ()
    """How the canary's users differed before, by weight, where that was read now."""
    price_ratio: float = 1.0
    """How many times as dear as stable's the canary's model is by the price lists."""


_NO_CONTEXT = Context()


def new_judgement(analysis: Analysis, now: dt.datetime) -> Judgement:
    """The start of a rollout: evidence 1, nothing seen."""
    return Judgement(
        verdict="Inconclusive",
        threshold=1.0 / analysis.false_rollback_rate,
        started_at=to_millisecond(now),
        state=[engine.initial(watch) for watch in watched(analysis)],
        message="",
    )


def assess(
    previous: Judgement | None,
    analysis: Analysis,
    increments: Increments,
    *,
    stable: str,
    canary: str,
    now: dt.datetime,
    context: Context = _NO_CONTEXT,
) -> tuple[Judgement, tuple[Comparison, ...]]:
    """The judgement after one more tick, and what was compared. `stable` and `canary` are revision names.

    `Fail` is final: later ticks neither add evidence nor take it away. The verdict itself is `judging`'s. `previous`
    stays as it is.
    """
    now = to_millisecond(now)
    before = previous or new_judgement(analysis, now)
    began = before.started_at or now
    elapsed = (now - (before.last_tick or began)).total_seconds()
    seen = {
        "last_tick": now,
        # A first look cannot tell silence from traffic.
        "last_traffic": now if increments.traffic or increments.baseline else before.last_traffic,
        "unreachable": list(increments.unreachable),
        "overloaded": trouble.overloaded(increments, canary),
        **trouble.answers(before, increments, stable=stable, canary=canary, now=now, elapsed=elapsed),
    }
    if before.verdict == "Fail":
        return before.model_copy(update=seen), ()
    watches = watched(analysis, context.price_ratio)
    new = _strata(increments, stable, canary)
    strata, still_open = _closed(before.open, new)
    warm = (now - began).total_seconds() >= seconds(analysis.warmup)
    compared = tuple(_compared(strata, watches, warm=warm, budgets=context.budgets))
    known_offsets = list(context.offsets) or before.offsets
    offsets = offsets_at(known_offsets, context.weight)
    states = engine.tick(
        _states(before.state, watches),
        watches,
        compared,
        number=before.ticks + 1,
        offsets=offsets,
        history=context.history,
    )
    state_of_stable = trouble.incident_of(before, increments, stable, elapsed)
    judged = before.model_copy(
        update={
            **seen,
            "state": states,
            "open": still_open,
            "ticks": before.ticks + bool(compared),
            "weight": context.weight,
            "requests": before.requests + sum(ours.counts.judged for _, (ours, _) in new.items()),
            "evidence": engine.combined(states, watches),
            "threshold": 1.0 / analysis.false_rollback_rate,
            "leading": engine.leading(states, watches),
            **_since(before, states, watches, now=now, bad=_bad(new, watches)),
            "offsets": known_offsets,
            "incident": state_of_stable,
            "shared": (shared := trouble.shared(state_of_stable, recent.read(seen["recent"]))),
            "calm": trouble.calm(before, states, compared, in_trouble=bool(shared)),
            "promotions": _promotions(before, analysis, strata, context, offsets),
            "stable_requests": _stable_requests(before, strata),
            "split": _split(before, increments, stable, canary, context),
        }
    )
    return judged, compared


# ------------------------------------------------------------------------------------------------------- strata


def _strata(increments: Increments, stable: str, canary: str) -> Strata:
    """One pair for each config generation and surface. Where the canary has no weight, its sample is empty."""
    cells = increments.cells
    places = dict.fromkeys((generation, surface) for generation, surface, name in cells if name in (stable, canary))
    return {
        place: (cells.get((*place, canary), _EMPTY), cells.get((*place, stable), _EMPTY)) for place in sorted(places)
    }


def _closed(before: Sequence[OpenStratum], new: Strata) -> tuple[list[tuple[str, Pair]], list[OpenStratum]]:
    """What is to be compared now, by surface, and what waits for more: few requests of the newest generation."""
    places: Strata = {(one.generation, one.surface): _read(one) for one in before}
    for place, (ours, theirs) in new.items():
        if place in places:
            earlier = places[place]
            places[place] = (earlier[0].plus(ours), earlier[1].plus(theirs))
        else:
            places[place] = (ours, theirs)
    newest = max((generation for generation, _ in places), default=0)
    closed, waiting = [], []
    for (generation, surface), (ours, theirs) in sorted(places.items(), key=lambda item: item[0]):
        judged = ours.counts.judged + theirs.counts.judged
        if generation < newest or judged >= _ENOUGH:
            closed.append((surface, (ours, theirs)))
        else:
            waiting.append((judged, generation, surface, (ours, theirs)))
    waiting.sort(key=lambda one: one[:3])
    closed += [(surface, pair) for _, _, surface, pair in waiting[_MOST_OPEN:]]
    return closed, [_write(generation, surface, pair) for _, generation, surface, pair in waiting[:_MOST_OPEN]]


def _compared(
    strata: Sequence[tuple[str, Pair]],
    watches: Sequence[Watched],
    *,
    warm: bool,
    budgets: Mapping[str, tuple[str, float]],
) -> Iterator[Comparison]:
    """Each metric's part of each stratum; nothing where one arm has nothing. A cold cache says nothing of latency."""
    groups = [(cache,) for cache in (CACHES if warm else ("none",))]
    together = [CACHES if warm else ("none",)]
    for surface, (ours, theirs) in strata:
        for watch in watches:
            if watch.name == "latencyBudget":
                if surface in budgets:
                    quantity, most = budgets[surface]
                    one, other = (over(arm, quantity, most, together[0]) for arm in (ours, theirs))
                    if one[0] or other[0]:
                        yield Comparison(watch.name, one, other)
            elif isinstance(watch.kind, Binary):
                if warm or not watch.kind.warms_up:
                    one, other = events(watch, ours.counts), events(watch, theirs.counts)
                    if one[0] or one[1] or other[1]:
                        yield Comparison(watch.name, one, other)
            else:
                for caches in groups if watch.kind.by_cache else together:
                    own, its = ours.quantity(watch.name, caches), theirs.quantity(watch.name, caches)
                    if its.count:
                        yield Comparison(watch.name, own, its)


def over(sample: Sample, quantity: str, most: float, caches: Sequence[str]) -> tuple[int, int]:
    """(values, those over the budget), which is rounded up to the next edge of the buckets."""
    values = sample.quantity(quantity, caches)
    edge = math.ceil(math.log(most) / LN_WIDTH - 1e-9)
    return values.count, sum(count for index, count in values.buckets.items() if index >= edge)


def offsets_at(known: Sequence[Offsets], weight: int) -> Offsets:
    """Those of a weight, of the nearest one where a long plan has more than are kept."""
    return min(known, key=lambda one: (abs(one.weight - weight), one.weight), default=NO_OFFSETS)


def _since(
    before: Judgement, states: Sequence[MetricState], watches: Sequence[Watched], *, now: dt.datetime, bad: bool
) -> dict[str, Any]:
    """Since when it goes wrong: the first bad tick after the evidence was least. Good canaries fail at times, too."""
    shares = [
        (watch.weight, state) for state, watch in zip(states, watches, strict=True) if isinstance(watch.kind, Binary)
    ]
    whole = math.fsum(weight for weight, _ in shares)
    harm = math.fsum(weight * state.evidence for weight, state in shares) / whole if whole else 1.0
    if harm < before.lowest - _TRIFLE:
        return {"first_bad": None, "lowest": significant([harm])[0]}
    return {"first_bad": before.first_bad or (now if bad else None)}


def _bad(strata: Strata, watches: Sequence[Watched]) -> bool:
    return any(
        events(watch, ours.counts)[1]
        for watch in watches
        if watch.weight and isinstance(watch.kind, Binary) and watch.name != "toolUse"
        for ours, _ in strata.values()
    )


def _states(stored: Sequence[MetricState], watches: Sequence[Watched]) -> list[MetricState]:
    known = {state.name: state for state in stored}
    return [known.get(watch.name) or engine.initial(watch) for watch in watches]


def _read(one: OpenStratum) -> Pair:
    arms: dict[str, dict[tuple[str, str], Values]] = {"canary": {}, "stable": {}}
    for each in one.values:
        buckets = dict(zip(each.buckets[::2], each.buckets[1::2], strict=True))
        count, *sums = each.sums
        ln_sum, ln_sum_sq, total, total_sq = sums
        values = Values(int(count), ln_sum, ln_sum_sq, total, total_sq, buckets)
        arms[each.arm][(each.metric, each.cache)] = values
    return Sample(_counts(one.canary), arms["canary"]), Sample(_counts(one.stable), arms["stable"])


def _counts(numbers: Sequence[int]) -> Counts:
    """As stored; a status of an older version holds fewer."""
    return Counts(*numbers[: len(NOTHING)])


def _write(generation: int, surface: str, pair: Pair) -> OpenStratum:
    values = [
        OpenValues(
            metric=metric,
            arm=arm,
            cache=cache,
            sums=significant((one.count, one.ln_sum, one.ln_sum_sq, one.sum, one.sum_sq)),
            buckets=[number for item in sorted(one.buckets.items()) for number in item],
        )
        for arm, sample in zip(("canary", "stable"), pair, strict=True)
        for (metric, cache), one in sorted(sample.values.items())
        if one != NO_VALUES
    ]
    ours, theirs = pair
    return OpenStratum(
        generation=generation, surface=surface, canary=list(ours.counts), stable=list(theirs.counts), values=values
    )


# ------------------------------------------------------------------------------------------- promotion and split


def _promotions(
    before: Judgement, analysis: Analysis, strata: Sequence[tuple[str, Pair]], context: Context, offsets: Offsets
) -> list[Promotion]:
    known = {(one.step, one.margin): one for one in before.promotions}
    found = []
    for bake in context.bakes:
        one = known.get((bake.step, bake.margin)) or promotion.new_promotion(
            bake.step, bake.margin, analysis.false_promotion_rate
        )
        requests, bad = before.stable_requests
        for _, (ours, theirs) in strata:
            own, its = ours.counts, theirs.counts
            one = promotion.advanced(
                one,
                (own.judged, own.errors),
                (its.judged, its.errors),
                (requests, bad),
                exposure=offsets.errors_least,
            )
            requests, bad = requests + its.judged, bad + its.errors
        found.append(one)
    return found


def _stable_requests(before: Judgement, strata: Sequence[tuple[str, Pair]]) -> list[int]:
    requests, bad = before.stable_requests
    counts = [theirs.counts for _, (_, theirs) in strata]
    return [requests + sum(one.judged for one in counts), bad + sum(one.errors for one in counts)]


def _split(before: Judgement, increments: Increments, stable: str, canary: str, context: Context) -> Split | None:
    """Conversations since the weight was brought by its config; those of an earlier config say nothing of it."""
    known = before.split
    if context.generation is None:
        return known
    if known is None or known.weight != context.weight:
        known = Split(weight=context.weight)
    ours = theirs = 0
    for (generation, _, name), sample in increments.cells.items():
        if generation >= context.generation:
            ours += sample.counts.conversations if name == canary else 0
            theirs += sample.counts.conversations if name == stable else 0
    naming = increments.naming
    known = known.model_copy(
        update={"requests": known.requests + naming.requests, "unnamed": known.unnamed + naming.unnamed}
    )
    if not ours and not theirs:
        return known
    both = known.canary + ours / increments.pods, known.stable + theirs / increments.pods
    evidence = round(sample_ratio.log_bayes_factor(*both, context.weight / 10_000), 4)
    return known.model_copy(update={"canary": round(both[0], 3), "stable": round(both[1], 3), "evidence": evidence})
