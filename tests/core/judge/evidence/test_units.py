"""Conversations: what gateways count of them is taken in once, and only those that were drawn compare the arms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from tests.core.judge.arms import CANARY, STABLE, START

from claude_operator.api.evidence import (
    MOVED,
    PINNED,
    BadConversation,
    Before,
    Counters,
    Evidence,
    GenerationEvidence,
    Histogram,
    Stratum,
    UnitCounters,
    UnitStratum,
)
from claude_operator.api.status import Reading
from claude_operator.core.judge.evidence.increments import Increments, Memory, PodReading, advance, history
from claude_operator.core.judge.evidence.tick import Tick
from claude_operator.core.judge.evidence.units import UnitKey

WEIGHTS = {STABLE: 9000, CANARY: 1000}
LIVE = tuple(sorted(WEIGHTS.items()))
Cells = Mapping[tuple[str, str, str], UnitCounters]
"""By revision, surface and period."""


def histogram(count: int) -> Histogram:
    """So many values of 1."""
    return Histogram(count, count, count, 0.0, 0.0, {"0": count} if count else {})


def units(entries: int, *, values: int = 0, **first_bad: int) -> UnitCounters:
    """`error_4=2`: two conversations of which an error at their fourth turn or later was the first."""
    return UnitCounters(entries, {kind.replace("_", ":"): n for kind, n in first_bad.items()}, ttft=histogram(values))


def report(
    cells: Cells, *, boot: str = "b1", uptime: float = 10.0, era: int = 7, weights: Any = WEIGHTS, **more: Any
) -> Evidence:
    """What a gateway says of one era. Requests are as many as entries."""
    listed = [
        UnitStratum(revision, "canary" if revision == CANARY else "stable", surface, period, "none", counters)  # type: ignore[arg-type]
        for (revision, surface, period), counters in cells.items()
    ]
    strata = [
        Stratum(each.revision, each.role, each.surface, "none", requests(each.counters.entries))
        for each in listed
        if each.surface != MOVED
    ]
    return Evidence(boot, era, uptime, [GenerationEvidence(era, strata, weights, listed)], **more)


def requests(ok: int) -> Counters:
    return Counters(ok, {"ok": ok}, conversations=ok, ttft=histogram(ok))


def look(memory: Memory | None, *reports: Evidence, now: float | None = None) -> tuple[Increments, Memory]:
    readings = [PodReading(f"gateway-{one.boot_id}", True, one) for one in reports]
    return advance(memory, readings, ("timeToFirstToken",), now=now)


def test_what_says_of_budgets_is_new_since_the_last_look() -> None:
    """Where the judge wants it; a number that goes down is nothing new."""
    looks = [
        report({(CANARY, "chat", "early"): UnitCounters(9, {}, kept)}, uptime=10.0 * number)
        for number, kept in enumerate([{}, {"within": 5, "over": 1}, {"within": 9, "over": 0}], 1)
    ]
    memory, found = None, []
    for number, one in enumerate(looks):
        new, memory = advance(memory, [PodReading("gateway-b1", True, one)], ("overBudget",), now=float(number))
        found.append([sample.as_sample().quantity("overBudget", ("none",)) for sample in new.units.values()])
    assert [[(one.count, one.sum) for one in each] for each in found[1:]] == [[(6, 1.0)], [(4, 0.0)]]


def ticked(increments: Increments) -> Tick:
    return Tick.of(increments, stable=STABLE, canary=CANARY, now=START)


def grown(*reports: Evidence) -> Increments:
    """What is new at the second look; the first one saw processes that had counted nothing."""
    _, memory = look(None, *(report({}, boot=one.boot_id, uptime=1.0) for one in reports))
    return look(memory, *reports, now=100.0)[0]


def test_what_is_new_of_conversations_is_counted_once() -> None:
    key = (STABLE, "chat", "opening")
    _, memory = look(None, report({key: units(10, values=9, error_0=1)}))
    found, memory = look(memory, report({key: units(14, values=12, error_0=2, refusal_4=1)}, uptime=20.0))
    (at, sample), *rest = found.units.items()
    assert (at, rest) == (UnitKey(7, LIVE, "chat", "opening", STABLE), [])
    assert (sample.entries, sample.first_bad) == (4, {("error", 0): 1, ("refusal", 4): 1})
    assert sample.values["timeToFirstToken", "none"].count == 3
    assert look(memory, report({key: units(14, values=12, error_0=2, refusal_4=1)}, uptime=30.0))[0].units == {}


def test_another_boot_counts_from_zero_and_an_older_answer_says_nothing() -> None:
    key = (CANARY, "chat", "early")
    _, memory = look(None, report({key: units(10)}))
    found, memory = look(memory, report({key: units(3)}, boot="b2", uptime=2.0))
    assert [one.entries for one in found.units.values()] == [3]
    again, _ = look(memory, report({key: units(1)}, boot="b2", uptime=1.0))
    assert again.units == {}


def test_only_drawn_conversations_compare_the_arms() -> None:
    """Not those that chose their revision, changed arm, began before the canary, or under weights nobody knows."""
    drawn = grown(
        report(
            {
                (STABLE, "chat", "opening"): units(90),
                (CANARY, "chat", "opening"): units(10, error_0=1),
                (CANARY, PINNED, "opening"): units(5, error_0=5),
                (STABLE, MOVED, "early"): units(4, error_1=4),
                ("support-older", "chat", "opening"): units(7),
            }
        )
    )
    found = ticked(drawn)
    assert [(at.share, at.surface, at.period) for at in found.units] == [(0.1, "chat", "opening")]
    assert [arm.entries for arm in next(iter(found.units.values()))] == [10, 90]
    assert (found.by_unit, found.rescued) == (True, 4)
    for weights in ({STABLE: 10_000}, {STABLE: 10_000, CANARY: 0}, {CANARY: 10_000}):
        before = grown(report({(STABLE, "chat", "opening"): units(90), (CANARY, "chat", "opening"): units(1)}))
        before = msgspec_weights(before, weights)
        assert ticked(before).units == {}


def msgspec_weights(found: Increments, weights: Mapping[str, int]) -> Increments:
    live = tuple(sorted(weights.items()))
    return Increments(units={key._replace(live=live): one for key, one in found.units.items()}, alone={})


def test_conversations_of_an_attempt_that_was_taken_back_are_not_judged_in_the_next() -> None:
    """Those of its canary have moved since, so those of stable would speak for the canary alone."""
    cells = {(STABLE, "chat", "late"): units(90, error_16=9)}
    before, again = report(cells), report({(STABLE, "chat", "opening"): units(50)}, era=9)
    back = GenerationEvidence(8, [], {STABLE: 10_000}, [])
    whole = msgspec.structs.replace(again, generations=[*before.generations, back, *again.generations])
    assert [at.era for at in ticked(grown(whole)).units] == [9]
    without = msgspec.structs.replace(again, generations=[*before.generations, *again.generations])
    assert [at.era for at in ticked(grown(without)).units] == [7, 9]


def test_eras_of_one_weight_are_told_apart_and_their_openings_counted_together() -> None:
    cells = {(STABLE, "chat", "opening"): units(90), (CANARY, "chat", "opening"): units(10)}
    one, two = report(cells), report(cells, boot="b2", era=9)
    tick = ticked(grown(one, two))
    assert [at.era for at in tick.units] == [7, 9]
    assert tick.conversations_at(1000, 9) == (20.0, 180.0)
    assert tick.conversations_at(5000, 9) == (0.0, 0.0)


def test_a_pod_of_an_older_version_is_judged_by_requests_beside_one_that_counts_conversations() -> None:
    """What one pod has by conversation is not compared by requests too, and what the other has is not lost."""
    by_unit = report({(STABLE, "chat", "opening"): units(90, values=90), (CANARY, "chat", "opening"): units(10)})
    counted = [
        Stratum(STABLE, "stable", "chat", "none", requests(50)),
        Stratum(CANARY, "canary", "chat", "none", requests(5)),
    ]
    older = Evidence("b2", 7, 10.0, [GenerationEvidence(7, counted)])
    _, memory = look(None, report({}, uptime=1.0), Evidence("b2", 7, 1.0))
    found = look(memory, by_unit, older)[0]
    tick = ticked(found)
    ((_, alone),) = tick.alone.items()
    assert (alone.canary.counts.ok, alone.stable.counts.ok) == (5, 50)
    assert tick.whole.stable.counts.ok == 140
    assert [arms.stable.entries for arms in tick.units.values()] == [90]
    assert tick.conversations_at(1000, 7) == (10 + 5 / 2, 90 + 50 / 2)


def test_without_a_pod_that_counts_conversations_all_is_as_before() -> None:
    counted = [Stratum(STABLE, "stable", "chat", "none", requests(50))]
    _, memory = look(None, Evidence("b1", 7, 1.0))
    found = look(memory, Evidence("b1", 7, 10.0, [GenerationEvidence(7, counted)]))[0]
    assert (found.units, found.alone) == ({}, None)
    assert not ticked(found).by_unit
    assert ticked(found).alone == ticked(found).strata


def test_grades_are_of_requests_whatever_else_is_counted() -> None:
    graded = Counters(5, {"ok": 5}, grades={"pass": 3, "fail": 2})
    evidence = report({(STABLE, "chat", "opening"): units(5)})
    era = msgspec.structs.replace(evidence.generations[0], strata=[Stratum(STABLE, "stable", "chat", "none", graded)])
    tick = ticked(grown(msgspec.structs.replace(evidence, generations=[era])))
    ((_, arms),) = tick.alone.items()
    assert (arms.stable.counts.grades, arms.stable.counts.bad_grades, arms.stable.counts.ok) == (5, 2, 0)


def test_another_operator_continues_from_the_reading_that_was_kept() -> None:
    key = (CANARY, "chat", "opening")
    then, now = report({key: units(10, error_0=1)}), report({key: units(16, error_0=3)}, uptime=20.0)
    before = Before(4, 10.0, then.generations)
    stored = [Reading(pod="gateway-b1", boot_id="b1", reading=4)]
    readings = [PodReading("gateway-b1", True, msgspec.structs.replace(now, before=before))]
    found, _ = advance(None, readings, stored=stored)
    assert [(one.entries, one.first_bad) for one in found.units.values()] == [(6, {("error", 0): 2})]
    # One that was kept before the gateway was asked for conversations says nothing of those.
    plain = [msgspec.structs.replace(one, weights=None, units=[]) for one in then.generations]
    readings = [PodReading("gateway-b1", True, msgspec.structs.replace(now, before=Before(4, 10.0, plain)))]
    found, _ = advance(None, readings, stored=stored)
    assert found.units == {}
    assert found.of(CANARY).counts.ok == 6


@pytest.mark.parametrize(("apart", "left"), [(0.5, 1), (30.0, 2)])
def test_what_two_pods_counted_at_the_same_moment_is_one_conversation(apart: float, left: int) -> None:
    """Later a pod has heard from the other that the conversation went bad, and does not count it as a first."""
    key = (CANARY, "chat", "opening")
    one, two = (
        report({key: units(1, error_0=1)}, boot=boot, bad=[BadConversation(7, CANARY, "chat", "error", "d1", age)])
        for boot, age in (("b1", 40.0), ("b2", 40.0 - apart))
    )
    found = grown(one, two)
    assert sum(sample.bad("error") for sample in found.units.values()) == left


@pytest.mark.parametrize("odd", ["error", "error:", "error:3", ":0x", "error:-1", "error:4.0"])
def test_a_key_that_is_none_is_left_out(odd: str) -> None:
    counters = UnitCounters(3, {odd: 1, "error:4": 1})
    found = grown(report({(STABLE, "chat", "early"): counters}))
    assert [one.first_bad for one in found.units.values()] == [{("error", 4): 1}]


def test_the_past_is_that_of_conversations_where_they_are_counted() -> None:
    cells = {(STABLE, "chat", "opening"): units(3, values=3), (STABLE, "chat", "late"): units(2, values=2)}
    _, memory = look(None, report(cells))
    assert [history(memory, STABLE, "timeToFirstToken", period).count for period in ("opening", "early", "late")] == [
        3,
        0,
        2,
    ]
