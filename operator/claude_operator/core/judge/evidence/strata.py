"""Strata that wait until they are large enough to be compared, and how status holds them.

When a stratum is closed depends on the number of requests alone, never on whose they are or how they went, so the
comparison stays exact; without waiting, a service of a request a tick would never give evidence.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from claude_operator.api.status import OpenStratum, OpenValues
from claude_operator.core.judge.evidence.sample import NO_VALUES, NOTHING, Counts, Sample, Values, significant
from claude_operator.core.judge.evidence.tick import Arms, Stratum, UnitArms, UnitStratum

__all__ = ["Closed", "close"]

_NO_UNITS: Mapping[UnitStratum, UnitArms] = {}
_ENOUGH = 10  # judged requests of both arms together that close a stratum
_MOST_OPEN = 4  # strata of requests that may wait; status has to stay small
_MOST_OPEN_UNITS = 6  # the same of conversations, of which there are more strata and fewer values

Closed = Sequence[tuple[str, str, Arms]]
"""What is to be compared now, by surface and period: of requests there is none."""

_Key = tuple[int, str, str]
"""Generation, surface, period."""


def close(
    waiting: Sequence[OpenStratum], new: Mapping[Stratum, Arms], units: Mapping[UnitStratum, UnitArms] = _NO_UNITS
) -> tuple[Closed, list[OpenStratum]]:
    """What is to be compared now, and what waits for more: of requests few of the newest generation."""
    known: dict[_Key, Arms] = {(one.generation, one.surface, one.period): _read(one) for one in waiting}
    for key, arms in _with_units(new, units):
        known[key] = known[key].plus(arms) if key in known else arms
    newest = max((generation for generation, _, period in known if not period), default=0)
    closed: list[tuple[str, str, Arms]] = []
    still_open: list[tuple[int, _Key, Arms]] = []
    for key, arms in sorted(known.items(), key=lambda item: item[0]):
        generation, surface, period = key
        size = _size(arms.canary.counts) + _size(arms.stable.counts)
        if size >= _ENOUGH or (not period and generation < newest):
            closed.append((surface, period, arms))
        else:
            still_open.append((size, key, arms))
    still_open.sort(key=lambda one: one[:2])
    kept: list[tuple[int, _Key, Arms]] = []
    for of_units, most in ((False, _MOST_OPEN), (True, _MOST_OPEN_UNITS)):
        mine = [one for one in still_open if bool(one[1][2]) is of_units]
        kept += mine[:most]
        closed += [(surface, period, arms) for _, (_, surface, period), arms in mine[most:]]
    return closed, [_write(key, arms) for _, key, arms in kept]


def _with_units(new: Mapping[Stratum, Arms], units: Mapping[UnitStratum, UnitArms]) -> Iterator[tuple[_Key, Arms]]:
    for (generation, surface), arms in new.items():
        yield (generation, surface, ""), arms
    for at, both in units.items():
        arms = Arms(both.canary.as_sample(), both.stable.as_sample())
        if arms.canary or arms.stable:
            yield (at.era, at.surface, at.period), arms


def _size(counts: Counts) -> int:
    return max(counts.judged, counts.grades)


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


def _write(key: _Key, arms: Arms) -> OpenStratum:
    generation, surface, period = key
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
        period=period,
        canary=list(arms.canary.counts),
        stable=list(arms.stable.counts),
        values=values,
    )
