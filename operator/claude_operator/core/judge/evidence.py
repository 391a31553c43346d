"""From the gateways' cumulative counters to what is new since the last look.

Nothing is ever counted twice: a gateway process is known by its boot id, and what was seen of it is remembered, for a
while even when its pod is no longer listed. After the operator's own start every pod first gives its baseline only, so
a restart of the operator loses at most the evidence of one interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from claude_operator.api.gateway import PINNED, Counters, Evidence

__all__ = ["Counts", "Increments", "Memory", "PodReading", "advance"]


@dataclass(frozen=True, slots=True)
class PodReading:
    """One look at one gateway pod. `evidence` is None where it did not answer."""

    pod: str
    ready: bool
    evidence: Evidence | None


@dataclass(frozen=True, slots=True)
class Counts:
    """Requests of one arm and what became of them; `refusals` and `max_tokens` are among `ok`."""

    requests: int = 0
    ok: int = 0
    errors: int = 0
    overloads: int = 0
    refusals: int = 0
    max_tokens: int = 0

    @property
    def judged(self) -> int:
        """Requests that say something of the arm: overloads are the upstream's, the rest never got an answer."""
        return self.ok + self.errors

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.requests + other.requests,
            self.ok + other.ok,
            self.errors + other.errors,
            self.overloads + other.overloads,
            self.refusals + other.refusals,
            self.max_tokens + other.max_tokens,
        )

    def since(self, before: Counts) -> Counts:
        """What came after `before`; a number that went down counts as unchanged."""
        return Counts(
            max(self.requests - before.requests, 0),
            max(self.ok - before.ok, 0),
            max(self.errors - before.errors, 0),
            max(self.overloads - before.overloads, 0),
            max(self.refusals - before.refusals, 0),
            max(self.max_tokens - before.max_tokens, 0),
        )


_NOTHING = Counts()

Cell = tuple[int, str, str]
"""Config generation, surface, revision."""


@dataclass(frozen=True, slots=True)
class Increments:
    """What is new since the last look, over all pods.

    Cache states are merged: a failed request has none, so strata of cache states would compare unlike things where
    the metric is binary. `traffic` counts all requests, those of clients that chose their revision too; `cells` are
    without those. `unreachable` names ready pods that did not answer.
    """

    cells: Mapping[Cell, Counts] = field(default_factory=dict)
    traffic: int = 0
    unreachable: tuple[str, ...] = ()
    baseline: bool = False
    """Some pod was looked at for the first time since the operator's start, so what is new of it is not known."""


_Key = tuple[int, str, str, str, str]  # generation, revision, role, surface, cache state


@dataclass(frozen=True, slots=True)
class _Seen:
    """The most that one gateway process has reported, and its age in seconds then."""

    boot_id: str
    uptime: float
    counts: Mapping[_Key, Counts]


_FRESH = _Seen("", 0.0, {})
_DEPARTED = 64


@dataclass(frozen=True, slots=True)
class Memory:
    """What was seen of each pod, None where it still owes its baseline. Kept in the operator's memory, not stored."""

    pods: Mapping[str, _Seen | None]


def advance(memory: Memory | None, readings: Sequence[PodReading]) -> tuple[Increments, Memory]:
    """What `readings`, one for each listed pod, add to `memory`, and the memory for the next look.

    `memory` is None when the operator has just started. A listing that failed must not be passed as an empty one: a
    pod that appears later counts from zero.
    """
    pods: dict[str, _Seen | None] = {}
    cells: dict[Cell, Counts] = {}
    traffic = 0
    boots: dict[str, str] = {}
    baseline = False
    for reading in sorted(readings, key=_age):
        pod = reading.pod
        if reading.evidence and boots.setdefault(reading.evidence.boot_id, pod) != pod:
            continue  # an address that has changed hands between the listing and the look
        known = pods if pod in pods else memory.pods if memory else {pod: None}
        before = known.get(pod, _FRESH)
        seen = pods[pod] = _seen(reading.evidence, before) if reading.evidence else before
        if before is None or seen is None:
            baseline = baseline or seen is not None
            continue
        for (generation, revision, _, surface, _), new in _new(seen, before):
            traffic += new.requests
            if surface != PINNED:
                cell = (generation, surface, revision)
                cells[cell] = cells[cell] + new if cell in cells else new
    unreachable = {reading.pod for reading in readings if reading.ready and reading.evidence is None}
    return Increments(cells, traffic, tuple(sorted(unreachable)), baseline), Memory(_departed(memory, pods) | pods)


def _departed(memory: Memory | None, pods: Mapping[str, _Seen | None]) -> dict[str, _Seen | None]:
    """The last pods that are not listed now: one that comes back with the same boot id must not count twice."""
    gone = [(pod, seen) for pod, seen in memory.pods.items() if pod not in pods] if memory else []
    return dict(gone[-_DEPARTED:])


def _age(reading: PodReading) -> tuple[str, float]:
    return reading.pod, reading.evidence.uptime if reading.evidence else -1.0


def _new(seen: _Seen, before: _Seen) -> Iterator[tuple[_Key, Counts]]:
    """The growth of every counter since `before`; another boot counts from zero."""
    old = before.counts if before.boot_id == seen.boot_id else {}
    for key, counts in seen.counts.items():
        earlier = old.get(key, _NOTHING)
        if counts is not earlier and (new := counts.since(earlier)) != _NOTHING:
            yield key, new


def _seen(evidence: Evidence, before: _Seen | None) -> _Seen:
    """What is known after `evidence`: `before` itself where it tells of an earlier moment of the same process.

    A generation that the gateway no longer reports is forgotten: it would start from zero if it came back.
    """
    same = before if before and before.boot_id == evidence.boot_id else None
    if same and evidence.uptime < same.uptime:
        return same
    old = same.counts if same else {}
    counts: dict[_Key, Counts] = {}
    for generation in evidence.generations:
        for each in generation.strata:
            key = (generation.generation, each.revision, each.role, each.surface, each.cache)
            now, earlier = _counts(each.counters), old.get(key, _NOTHING)
            # Most counters stand still, and then the same object says so.
            counts[key] = earlier if now == earlier else earlier + now.since(earlier)
    return _Seen(evidence.boot_id, evidence.uptime, counts)


def _counts(counters: Counters) -> Counts:
    outcome, stop = counters.outcomes.get, counters.stop_reasons.get
    return Counts(
        counters.requests,
        outcome("ok", 0),
        outcome("error", 0),
        outcome("overload", 0),
        stop("refusal", 0),
        stop("max_tokens", 0),
    )
