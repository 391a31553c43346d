"""From the gateways' cumulative counters to what is new since the last look.

Nothing is ever counted twice: a gateway process is known by its boot id, and what was seen of it is remembered, for a
while even when its pod is no longer listed. What was read last is in the status by its number (`Reading`), and the
gateways keep their readings: so another leader continues where the last one stopped, and its first tick has all that
happened meanwhile. A pod of which nothing is known gives a baseline first, which is not evidence of anything. A bad
conversation that several pods have counted is taken off from all but one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from claude_operator.api.evidence import MOVED, PINNED, Before, Counters, Evidence, Histogram, Period
from claude_operator.api.status import Reading
from claude_operator.core.judge.evidence import callers
from claude_operator.core.judge.evidence.duplicates import Duplicates, Known, Row, StratumKey, new_rows, sift, without
from claude_operator.core.judge.evidence.lately import Waiting, failures_of, waiting_of
from claude_operator.core.judge.evidence.pod_readings import PodReading, told_apart
from claude_operator.core.judge.evidence.sample import (
    BUDGET,
    NOTHING,
    QUANTITIES,
    Counts,
    Sample,
    Values,
    counts_since,
    flags_since,
    values_since,
)
from claude_operator.core.judge.evidence.seen import (
    FRESH,
    Live,
    Seen,
    counters_of,
    counts_units,
    grown,
    seen_after,
    units_of,
)
from claude_operator.core.judge.evidence.units import NO_UNITS, UnitKey, UnitSample, unit_history, unit_samples

__all__ = [
    "NO_NAMING",
    "Counts",
    "Increments",
    "Memory",
    "Naming",
    "PodReading",
    "Sample",
    "Waiting",
    "advance",
    "history",
]


class Naming(NamedTuple):
    """Requests, and those of them that name no conversation."""

    requests: int = 0
    unnamed: int = 0


NO_NAMING = Naming()


@dataclass(frozen=True, slots=True)
class Increments:
    """What is new since the last look, over all pods.

    Counts are merged over cache states: a failed request has none, so strata of cache states would compare unlike
    things where the metric is binary. `traffic` counts all requests, those of clients that chose their revision too;
    `samples` are without those. `unreachable` names ready pods that did not answer.
    """

    samples: Mapping[StratumKey, Sample] = field(default_factory=dict)
    traffic: int = 0
    unreachable: tuple[str, ...] = ()
    baseline: bool = False
    """What is new of some pod is not known: it gave its baseline."""
    pods: int = 1
    """Pods that answered."""
    seconds: float | None = None
    """Time since the last look by the gateways' own clocks, None where no process was there at both."""
    waiting: Mapping[str, Waiting] = field(default_factory=dict)
    """By revision, over the pods that answered."""
    failures: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By revision: what its errors of the last minutes say, and how often. It explains, and is not evidence."""
    naming: Naming = NO_NAMING
    """Over both arms, without requests that chose their revision."""
    callers: callers.CallerSums = field(default_factory=dict)
    """Since the gateways' start, over their last config generations."""
    assignments: frozenset[str] = frozenset()
    """What the pods that answered draw conversations with."""
    unlisted: int = 0
    """Bad conversations that no pod lists any more, so that one which several pods saw counts once for each."""
    units: Mapping[UnitKey, UnitSample] = field(default_factory=dict)
    """Of the pods that count by conversation."""
    eras: frozenset[tuple[int, Live]] = frozenset()
    """All that those know of, with or without anything new."""
    alone: Mapping[StratumKey, Sample] | None = None
    """The part of `samples` that `units` does not have: of pods of an older version. None: no pod has units."""

    def counts_of(self, revision: str) -> Counts:
        """The counts of a revision over its strata, without its values."""
        whole = NOTHING
        for (_, _, name), sample in self.samples.items():
            if name == revision:
                whole = whole.plus(sample.counts)
        return whole

    def commonest_failure(self, revision: str) -> str:
        """What most errors of a revision say, empty where nothing is known."""
        errors = self.failures.get(revision, {})
        return max(sorted(errors), key=errors.__getitem__, default="")

    def of(self, revision: str) -> Sample:
        """All that is new of a revision, over its strata."""
        whole = Sample()
        for (_, _, name), sample in self.samples.items():
            if name == revision:
                whole = whole.plus(sample)
        return whole

    def units_of(self, revision: str) -> dict[str, UnitSample]:
        """What is new of a revision's conversations by period, without those that changed arm."""
        found: dict[str, UnitSample] = {}
        for key, sample in self.units.items():
            if key.revision == revision and key.surface != MOVED:
                found[key.period] = found.get(key.period, NO_UNITS).plus(sample)
        return found


_DEPARTED = 64


@dataclass(frozen=True, slots=True)
class Memory:
    """What was seen of each pod, None where it still owes its baseline. Kept in the operator's memory, not stored."""

    pods: Mapping[str, Seen | None]
    bad: Mapping[str, Known] = field(default_factory=dict)
    """Conversations that counted as bad recently, by digest."""
    readings: tuple[Reading, ...] = ()
    """What another operator can continue from: the last kept reading of each listed pod."""


def advance(
    memory: Memory | None,
    readings: Sequence[PodReading],
    quantities: Collection[str] = QUANTITIES,
    *,
    now: float | None = None,
    stored: Sequence[Reading] = (),
) -> tuple[Increments, Memory]:
    """What `readings`, one for each listed pod, add to `memory`, and the memory for the next look.

    `memory` is None when the operator has just started: then it continues from `stored`, what status has of the last
    look. A listing that failed must not be passed as an empty one: a pod that appears later counts from zero.
    `quantities` are those whose values are wanted. `now`: seconds of a clock that runs on from look to look; without it
    a bad conversation counts once for each pod that counted it.
    """
    readings = told_apart(readings)
    last = {reading.pod: reading for reading in stored}
    away = _away(readings, last) if memory is None else None
    pods: dict[str, Seen | None] = {}
    looks: list[tuple[Seen, Seen]] = []
    rows: list[Row] = []
    known_rows: list[Row] = []
    elapsed: list[float] = []
    answered = 0
    baseline = False
    unlisted = 0
    for reading in sorted(readings, key=_age):
        pod = reading.pod
        known = pods if pod in pods else memory.pods if memory else {pod: None}
        before = known.get(pod, FRESH)
        if before is None and reading.evidence:
            before = _resumed(reading.evidence, last.get(pod), away)
        seen = pods[pod] = seen_after(reading.evidence, before) if reading.evidence else before
        answered += reading.evidence is not None
        if seen is None:
            continue
        first = before.bad if before and before.boot_id == seen.boot_id else 0
        if before is not None and reading.evidence:
            unlisted += max(min(reading.evidence.bad_first, seen.bad) - first, 0)
        if now is not None and reading.evidence and (seen.bad > first or memory is None):
            known_rows += new_rows(reading.evidence, 0, now)[: max(first - reading.evidence.bad_first, 0)]
            rows += new_rows(reading.evidence, first, now)
        if before is None:
            baseline = True
        else:
            looks.append((seen, before))
            if reading.evidence and seen.boot_id == before.boot_id:
                elapsed.append(seen.uptime - before.uptime)
    duplicates, bad = _duplicates(memory, known_rows, rows, now)
    units = unit_samples(looks, quantities, duplicates)
    samples, alone, traffic, naming = _samples(looks, quantities, duplicates)
    unreachable = {reading.pod for reading in readings if reading.ready and reading.evidence is None}
    documents = [reading.evidence for reading in readings if reading.evidence]
    found = Increments(
        samples,
        traffic,
        tuple(sorted(unreachable)),
        baseline,
        max(answered, 1),
        seconds=min(elapsed, default=None),  # one that was silent at the last look was read before it
        waiting=waiting_of(readings),
        failures=failures_of(readings),
        naming=naming,
        callers=callers.of_all(documents),
        assignments=frozenset(document.assignment for document in documents),
        unlisted=unlisted if answered > 1 else 0,
        units=units,
        eras=frozenset((era, live) for seen, _ in looks for era, live in seen.eras),
        alone=alone,
    )
    return found, Memory(_departed(memory, pods) | pods, bad, _kept_readings(pods, last))


def _duplicates(
    memory: Memory | None, known_rows: Sequence[Row], rows: Sequence[Row], now: float | None
) -> tuple[Mapping[str, Duplicates], Mapping[str, Known]]:
    """Those in `rows`, and the bad conversations known after them; `known_rows` were counted before this process."""
    if now is None:
        return {}, memory.bad if memory else {}
    known = memory.bad if memory else sift({}, known_rows, now)[1]
    return sift(known, rows, now) if rows else ({}, known)


def _away(readings: Sequence[PodReading], last: Mapping[str, Reading]) -> float | None:
    """Seconds since `last` was read, by the clock of a process that was there; None where there is none."""
    since = [
        reading.evidence.uptime - before.uptime
        for reading in readings
        if reading.evidence and (before := _kept(reading.evidence, last.get(reading.pod)))
    ]
    return min(since, default=None)


def _kept(evidence: Evidence, last: Reading | None) -> Before | None:
    """The reading that `last` names, where the process has it still."""
    before = evidence.before
    if last is None or before is None or (evidence.boot_id, before.reading) != (last.boot_id, last.reading):
        return None
    return before


def _resumed(evidence: Evidence, last: Reading | None, away: float | None) -> Seen | None:
    """What was counted of a process at `last`, None where nobody knows.

    Of one that was born since then nothing was: all that it has counted is new.
    """
    before = _kept(evidence, last)
    if before is not None:
        then, now = before.generations, evidence.generations
        return Seen(
            evidence.boot_id,
            before.uptime,
            counters_of(then, {}),
            before.bad_count,
            before.reading,
            # A reading without conversations of a gateway that counts them tells nothing of those.
            units_of(now if counts_units(now) and then and not counts_units(then) else then, {}),
        )
    return FRESH if away is not None and evidence.uptime < away else None


def _kept_readings(pods: Mapping[str, Seen | None], last: Mapping[str, Reading]) -> tuple[Reading, ...]:
    """One a pod that has kept a reading; of one that has not answered yet since the operator's start the old one."""
    found = []
    for pod, seen in sorted(pods.items()):
        if seen is None and pod in last:
            found.append(last[pod])
        elif seen is not None and seen.reading:
            found.append(Reading(pod=pod, boot_id=seen.boot_id, reading=seen.reading))
    return tuple(found)


def _samples(
    looks: Collection[tuple[Seen, Seen]],
    quantities: Collection[str],
    duplicates: Mapping[str, Duplicates],
) -> tuple[dict[StratumKey, Sample], dict[StratumKey, Sample] | None, int, Naming]:
    """What is new over all pods, what of it no unit has, all requests, and how they name conversations.

    `duplicates` are used up.
    """
    samples: dict[StratumKey, Sample] = {}
    alone: dict[StratumKey, Sample] | None = {} if any(seen.by_unit for seen, _ in looks) else None
    traffic = asked = unnamed = 0
    for seen, before in looks:
        # Every gateway that counts conversations has counted one with its first request.
        by_conversation = any(counters.conversations for counters in seen.counters.values())
        twice, tails = duplicates.get(seen.boot_id), not seen.by_unit  # conversations are compared by theirs
        for (generation, revision, _, surface, cache), now, earlier in grown(seen, before):
            counts = counts_since(now, earlier, cache, conversations=by_conversation)  # type: ignore[arg-type]  # as the wire type has it
            traffic += counts.requests
            if surface == PINNED:
                continue
            asked, unnamed = asked + counts.requests, unnamed + max(now.unnamed - earlier.unnamed, 0)
            key = (generation, surface, revision)
            if twice:
                counts = without(counts, key, twice)
            values = {(name, cache): new for name in quantities if (new := _values(name, now, earlier, tails)).count}
            if counts == NOTHING and not values:
                continue
            whole = Sample(counts, values)
            samples[key] = samples[key].plus(whole) if key in samples else whole
            if alone is not None and (part := whole.graded() if seen.by_unit else whole):
                alone[key] = alone[key].plus(part) if key in alone else part
    return samples, alone, traffic, Naming(asked, unnamed)


def history(memory: Memory | None, revision: str, quantity: str, period: Period = "opening") -> Values:
    """All values of a quantity that listed and departed pods have reported of a revision, over all strata.

    Where pods count by conversation, those of a period; elsewhere those of requests stand for the opening.
    """
    known = [seen for seen in (memory.pods if memory else {}).values() if seen]
    if period != "opening" or any(seen.by_unit for seen in known):
        return unit_history(known, revision, quantity, period)
    whole, empty = Values(), Histogram()
    for seen in known:
        for (_, name, _, surface, _), counters in seen.counters.items():
            if name == revision and surface != PINNED:
                whole = whole.plus(values_since(_histogram(quantity, counters), empty))
    return whole


def _values(name: str, now: Counters, before: Counters, tails: bool) -> Values:
    if name == BUDGET:
        return flags_since(now.budget, before.budget)
    return values_since(_histogram(name, now), _histogram(name, before), tails=tails)


def _histogram(name: str, counters: Counters) -> Histogram:
    if name == "timeToFirstToken":
        return counters.ttft
    if name == "duration":
        return counters.duration
    if name == "outputTokens":
        return counters.output_tokens
    # At stable's hit ratio: a new prefix is cold at first, and that is not the revision's price.
    return counters.normalised_cost if counters.normalised_cost.count else counters.cost


def _departed(memory: Memory | None, pods: Mapping[str, Seen | None]) -> dict[str, Seen | None]:
    """The last pods that are not listed now: one that comes back with the same boot id must not count twice."""
    gone = [(pod, seen) for pod, seen in memory.pods.items() if pod not in pods] if memory else []
    return dict(gone[-_DEPARTED:])


def _age(reading: PodReading) -> tuple[str, float]:
    return reading.pod, reading.evidence.uptime if reading.evidence else -1.0
