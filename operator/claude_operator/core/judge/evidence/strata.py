"""Strata that wait until they are large enough to be compared, and how status holds them.

When a stratum is closed depends on the number of requests alone, never on whose they are or how they went, so the
comparison stays exact; without waiting, a service of a request a tick would never give evidence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from claude_operator.api.status import OpenStratum, OpenValues
from claude_operator.core.judge.evidence.sample import NO_VALUES, NOTHING, Counts, Sample, Values, significant
from claude_operator.core.judge.evidence.tick import Arms, Stratum

__all__ = ["Closed", "close"]

_ENOUGH = 10  # judged requests of both arms together that close a stratum
_MOST_OPEN = 4  # strata that may wait; status has to stay small

Closed = Sequence[tuple[str, Arms]]
"""What is to be compared now, by surface."""


def close(waiting: Sequence[OpenStratum], new: Mapping[Stratum, Arms]) -> tuple[Closed, list[OpenStratum]]:
    """What is to be compared now, and what waits for more: few requests of the newest generation."""
    known: dict[Stratum, Arms] = {(one.generation, one.surface): _read(one) for one in waiting}
    for stratum, arms in new.items():
        known[stratum] = known[stratum].plus(arms) if stratum in known else arms
    newest = max((generation for generation, _ in known), default=0)
    closed: list[tuple[str, Arms]] = []
    still_open: list[tuple[int, Stratum, Arms]] = []
    for stratum, arms in sorted(known.items(), key=lambda item: item[0]):
        judged = arms.canary.counts.judged + arms.stable.counts.judged
        if stratum[0] < newest or judged >= _ENOUGH:
            closed.append((stratum[1], arms))
        else:
            still_open.append((judged, stratum, arms))
    still_open.sort(key=lambda one: one[:2])
    closed += [(surface, arms) for _, (_, surface), arms in still_open[_MOST_OPEN:]]
    return closed, [_write(stratum, arms) for _, stratum, arms in still_open[:_MOST_OPEN]]


def _read(one: OpenStratum) -> Arms:
    arms: dict[str, dict[tuple[str, str], Values]] = {"canary": {}, "stable": {}}
    for each in one.values:
        buckets = dict(zip(each.buckets[::2], each.buckets[1::2], strict=True))
        count, *sums = each.sums
        ln_sum, ln_sum_sq, total, total_sq = sums
        arms[each.arm][(each.metric, each.cache)] = Values(int(count), ln_sum, ln_sum_sq, total, total_sq, buckets)
    return Arms(Sample(_counts(one.canary), arms["canary"]), Sample(_counts(one.stable), arms["stable"]))


def _counts(numbers: Sequence[int]) -> Counts:
    """As stored; a status of an older version holds fewer."""
    return Counts(*numbers[: len(NOTHING)])


def _write(stratum: Stratum, arms: Arms) -> OpenStratum:
    generation, surface = stratum
    values = [
        OpenValues(
            metric=metric,
            arm=arm,
            cache=cache,
            sums=significant((one.count, one.ln_sum, one.ln_sum_sq, one.sum, one.sum_sq)),
            buckets=[number for item in sorted(one.buckets.items()) for number in item],
        )
        for arm, sample in (("canary", arms.canary), ("stable", arms.stable))
        for (metric, cache), one in sorted(sample.values.items())
        if one != NO_VALUES
    ]
    return OpenStratum(
        generation=generation,
        surface=surface,
        canary=list(arms.canary.counts),
        stable=list(arms.stable.counts),
        values=values,
    )
