"""From the gateways' cumulative counters to what is new since the last look.

Nothing is ever counted twice: a gateway process is known by its boot id, and what was seen of it is remembered, for a
while even when its pod is no longer listed. After the operator's own start every pod first gives its baseline only, so
a restart of the operator loses at most the evidence of one interval. A bad conversation that several pods have counted
is taken off from all but one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from claude_operator.api.gateway import PINNED, Counters, Evidence, Histogram
from claude_operator.core.judge.duplicates import Duplicates, Known, Row, new_rows, sift, without
from claude_operator.core.judge.sample import (
    NOTHING,
    QUANTITIES,
    Counts,
    Sample,
    Values,
    counts_since,
    values_since,
)

__all__ = ["Counts", "Increments", "Memory", "PodReading", "Sample", "advance", "history"]


@dataclass(frozen=True, slots=True)
class PodReading:
    """One look at one gateway pod. `evidence` is None where it did not answer."""

    pod: str
    ready: bool
    evidence: Evidence | None


Cell = tuple[int, str, str]
"""Config generation, surface, revision."""


@dataclass(frozen=True, slots=True)
class Increments:
    """What is new since the last look, over all pods.

    Counts are merged over cache states: a failed request has none, so strata of cache states would compare unlike
    things where the metric is binary. `traffic` counts all requests, those of clients that chose their revision too;
    `cells` are without those. `unreachable` names ready pods that did not answer.
    """

    cells: Mapping[Cell, Sample] = field(default_factory=dict)
    traffic: int = 0
    unreachable: tuple[str, ...] = ()
    baseline: bool = False
    """Some pod was looked at for the first time since the operator's start, so what is new of it is not known."""
    pods: int = 1
    """Pods that answered."""

    def of(self, revision: str) -> Sample:
        """All that is new of a revision, over its strata."""
        whole = Sample()
        for (_, _, name), sample in self.cells.items():
            if name == revision:
                whole = whole.plus(sample)
        return whole


_Key = tuple[int, str, str, str, str]  # generation, revision, role, surface, cache state


@dataclass(frozen=True, slots=True)
class _Seen:
    """The last that one gateway process has reported, and its age in seconds then."""

    boot_id: str
    uptime: float
    counters: Mapping[_Key, Counters]
    bad: int = 0
    """How many bad conversations it had counted one by one."""


_FRESH = _Seen("", 0.0, {})
_NO_COUNTERS = Counters()
_DEPARTED = 64


@dataclass(frozen=True, slots=True)
class Memory:
    """What was seen of each pod, None where it still owes its baseline. Kept in the operator's memory, not stored."""

    pods: Mapping[str, _Seen | None]
    bad: Mapping[str, Known] = field(default_factory=dict)
    """Conversations that lately counted as bad, by digest."""


def advance(
    memory: Memory | None,
    readings: Sequence[PodReading],
    quantities: Collection[str] = QUANTITIES,
    *,
    now: float | None = None,
) -> tuple[Increments, Memory]:
    """What `readings`, one for each listed pod, add to `memory`, and the memory for the next look.

    `memory` is None when the operator has just started. A listing that failed must not be passed as an empty one: a
    pod that appears later counts from zero. `quantities` are those whose values are wanted. `now`: seconds of a clock
    that goes on from look to look; without it a bad conversation counts once for each pod that counted it.
    """
    pods: dict[str, _Seen | None] = {}
    looks: list[tuple[_Seen, _Seen]] = []
    rows: list[Row] = []
    answered = 0
    boots: dict[str, str] = {}
    baseline = False
    for reading in sorted(readings, key=_age):
        pod = reading.pod
        if reading.evidence and boots.setdefault(reading.evidence.boot_id, pod) != pod:
            continue  # an address that has changed hands between the listing and the look
        known = pods if pod in pods else memory.pods if memory else {pod: None}
        before = known.get(pod, _FRESH)
        seen = pods[pod] = _seen(reading.evidence, before) if reading.evidence else before
        answered += reading.evidence is not None
        if seen is None:
            continue
        first = before.bad if before and before.boot_id == seen.boot_id else 0
        if now is not None and reading.evidence and seen.bad > first:
            rows += new_rows(reading.evidence, first, now)
        if before is None:
            baseline = True
        else:
            looks.append((seen, before))
    bad = memory.bad if memory else {}
    duplicates: Mapping[str, Duplicates] = {}
    if rows and now is not None:
        duplicates, bad = sift(bad, rows, now)
    cells, traffic = _cells(looks, quantities, duplicates)
    unreachable = {reading.pod for reading in readings if reading.ready and reading.evidence is None}
    found = Increments(cells, traffic, tuple(sorted(unreachable)), baseline, max(answered, 1))
    return found, Memory(_departed(memory, pods) | pods, bad)


def _cells(
    looks: Iterable[tuple[_Seen, _Seen]], quantities: Collection[str], duplicates: Mapping[str, Duplicates]
) -> tuple[dict[Cell, Sample], int]:
    """What is new over all pods, and all requests; `duplicates` by boot id are used up."""
    cells: dict[Cell, Sample] = {}
    traffic = 0
    for seen, before in looks:
        # Every gateway that counts conversations has counted one with its first request.
        by_conversation = any(counters.conversations for counters in seen.counters.values())
        twice = duplicates.get(seen.boot_id)
        for (generation, revision, _, surface, cache), now, earlier in _grown(seen, before):
            counts = counts_since(now, earlier, cache, conversations=by_conversation)  # type: ignore[arg-type]  # as the wire type has it
            traffic += counts.requests
            if surface == PINNED:
                continue
            cell = (generation, surface, revision)
            if twice:
                counts = without(counts, cell, twice)
            values = {(name, cache): new for name in quantities if (new := _values(name, now, earlier)).count}
            if counts == NOTHING and not values:
                continue
            new_sample = Sample(counts, values)
            cells[cell] = cells[cell].plus(new_sample) if cell in cells else new_sample
    return cells, traffic


def history(memory: Memory | None, revision: str, quantity: str) -> Values:
    """All values of a quantity that listed and departed pods have reported of a revision, over all strata."""
    whole = Values()
    empty = Histogram()
    for seen in (memory.pods if memory else {}).values():
        for (_, name, _, surface, _), counters in (seen.counters if seen else {}).items():
            if name == revision and surface != PINNED:
                whole = whole.plus(values_since(_histogram(quantity, counters), empty))
    return whole


def _values(name: str, now: Counters, before: Counters) -> Values:
    return values_since(_histogram(name, now), _histogram(name, before))


def _histogram(name: str, counters: Counters) -> Histogram:
    if name == "timeToFirstToken":
        return counters.ttft
    if name == "duration":
        return counters.duration
    if name == "outputTokens":
        return counters.output_tokens
    # At stable's hit ratio: a new prefix is cold at first, and that is not the revision's price.
    return counters.normalised_cost if counters.normalised_cost.count else counters.cost


def _departed(memory: Memory | None, pods: Mapping[str, _Seen | None]) -> dict[str, _Seen | None]:
    """The last pods that are not listed now: one that comes back with the same boot id must not count twice."""
    gone = [(pod, seen) for pod, seen in memory.pods.items() if pod not in pods] if memory else []
    return dict(gone[-_DEPARTED:])


def _age(reading: PodReading) -> tuple[str, float]:
    return reading.pod, reading.evidence.uptime if reading.evidence else -1.0


def _grown(seen: _Seen, before: _Seen) -> Iterator[tuple[_Key, Counters, Counters]]:
    """Every cell that has changed since `before`, with what it was; another boot counts from zero."""
    old = before.counters if before.boot_id == seen.boot_id else {}
    for key, counters in seen.counters.items():
        earlier = old.get(key, _NO_COUNTERS)
        if counters is not earlier:
            yield key, counters, earlier


def _seen(evidence: Evidence, before: _Seen | None) -> _Seen:
    """What is known after `evidence`: `before` itself where it tells of an earlier moment of the same process.

    A generation that the gateway no longer reports is forgotten: it would start from zero if it came back.
    """
    same = before if before and before.boot_id == evidence.boot_id else None
    if same and evidence.uptime < same.uptime:
        return same
    old = same.counters if same else {}
    found: dict[_Key, Counters] = {}
    for generation in evidence.generations:
        for each in generation.strata:
            key = (generation.generation, each.revision, each.role, each.surface, each.cache)
            now, earlier = each.counters, old.get(key)
            # Most counters stand still, and then the same object says so. None ever goes down in one process.
            keep = earlier is not None and (now == earlier or now.requests < earlier.requests)
            found[key] = earlier if keep and earlier is not None else now
    bad = max(evidence.bad_first + len(evidence.bad), same.bad if same else 0)
    return _Seen(evidence.boot_id, evidence.uptime, found, bad)
