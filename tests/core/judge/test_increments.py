"""Increments: what the gateways count is counted once, and nothing else is."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.judge.arms import values

from claude_operator.api.evidence import BAD_KINDS, PINNED, Counters, Evidence, GenerationEvidence, Histogram, Stratum
from claude_operator.core.judge.evidence.increments import (
    Increments,
    Memory,
    Naming,
    PodReading,
    advance,
    history,
)
from claude_operator.core.judge.evidence.pod_readings import told_apart
from claude_operator.core.judge.evidence.sample import Counts, Sample

STABLE, CANARY = "support-5f6d8c1a2b", "support-7b9e21c3d4"
OUTCOMES = ("ok", "error", "overload", "refused", "canceled")
FEW = settings(max_examples=30)
Key = tuple[int, str, str, str]  # generation, revision, surface, cache

UNKEYED = frozenset(("",))  # what a gateway without a secret draws conversations with


def evidence(cells: Mapping[Key, Mapping[str, int]], boot: str = "b1", uptime: float = 10.0) -> Evidence:
    """A gateway's report; `refusal` and `max_tokens` are stop reasons, the rest outcomes."""
    generations: dict[int, list[Stratum]] = {}
    for (generation, revision, surface, cache), counted in cells.items():
        outcomes = {name: number for name, number in counted.items() if name in OUTCOMES}
        stops = {name: number for name, number in counted.items() if name not in OUTCOMES}
        bad = {name: number for name, number in counted.items() if name in BAD_KINDS}
        asked = sum(outcomes.values())
        counters = Counters(asked, outcomes, stops, conversations=asked, bad_conversations=bad)
        role = "stable" if revision == STABLE else "canary"
        generations.setdefault(generation, []).append(Stratum(revision, role, surface, cache, counters))
    listed = [GenerationEvidence(number, strata) for number, strata in sorted(generations.items())]
    return Evidence(boot, max(generations, default=1), uptime, listed)


def one(requests: int, boot: str = "b1", uptime: float = 10.0, generation: int = 1) -> Evidence:
    return evidence({(generation, STABLE, "other", "none"): {"ok": requests}}, boot, uptime)


def look(memory: Memory | None, **pods: Evidence | None) -> tuple[Increments, Memory]:
    return advance(memory, [PodReading(pod, True, report) for pod, report in pods.items()])


def test_requests_without_a_name_are_those_since_the_last_look() -> None:
    def told(requests: int, unnamed: int, uptime: float) -> Evidence:
        counted = [
            Stratum(revision, role, surface, "none", Counters(requests, {"ok": requests}, unnamed=unnamed))
            for revision, role, surface in (
                (STABLE, "stable", "chat"),
                (CANARY, "canary", "chat"),
                (STABLE, "stable", PINNED),
            )
        ]
        return Evidence("b1", 1, uptime, [GenerationEvidence(1, counted)])

    memory = started(a=told(10, 5, 10.0))
    found, memory = look(memory, a=told(30, 9, 20.0))
    assert found.naming == Naming(40, 8)
    assert look(memory, a=told(30, 9, 30.0))[0].naming == Naming()


def started(**pods: Evidence | None) -> Memory:
    return look(None, **pods)[1]


def served(requests: int) -> Sample:
    """Requests that went well, each of another conversation."""
    return Sample(Counts(requests, requests, conversations=requests))


def test_the_first_look_of_an_operator_gives_baselines_only() -> None:
    increments, memory = look(None, a=one(100), b=None)
    assert increments == Increments({}, 0, ("b",), baseline=True, pods=1, assignments=UNKEYED)
    increments, memory = look(memory, a=one(103), b=None)
    assert (increments.traffic, increments.unreachable) == (3, ("b",))
    increments, memory = look(memory, a=one(103), b=one(50, boot="b2"))
    assert increments == Increments({}, 0, (), baseline=True, pods=2, seconds=0.0, assignments=UNKEYED)
    increments, _ = look(memory, a=one(104), b=one(52, boot="b2"))
    assert increments == Increments(
        {(1, "other", STABLE): served(3)}, 3, pods=2, seconds=0.0, naming=Naming(3), assignments=UNKEYED
    )


def test_pods_that_say_that_they_are_one_process_do_not_count_until_they_are_told_apart() -> None:
    """One may have copied the other's boot id so that its errors vanish."""
    increments, memory = look(started(a=one(5)), a=one(8), b=one(80), c=one(2, boot="b2"))
    assert (increments.traffic, increments.unreachable) == (2, ("a", "b"))
    increments, _ = look(memory, a=one(9), c=one(2, boot="b2"))
    assert increments.traffic == 4


def test_pods_are_told_apart_by_their_boot_ids() -> None:
    readings = [PodReading("a", True, one(1)), PodReading("b", False, one(2)), PodReading("c", True, None)]
    apart = told_apart([*readings, PodReading("a", True, one(1, boot="b2"))])
    assert [(reading.evidence is None, reading.twins) for reading in apart] == [
        (True, ("a", "b")), (True, ("a", "b")), (True, ()), (True, ("a", "b")),
    ]  # fmt: skip
    alone = [PodReading("a", True, one(1)), PodReading("a", True, one(2))]
    assert told_apart(alone) == alone  # listed twice


def test_a_pod_that_appears_later_counts_from_zero_even_if_slow_to_answer() -> None:
    increments, memory = look(started(a=one(5)), a=one(5), b=None)
    assert increments.traffic == 0
    increments, memory = look(memory, a=one(5), b=one(7, boot="b2"), c=one(2, boot="b3"))
    assert increments.traffic == 9
    assert look(memory, a=one(5), b=one(8, boot="b2"), c=one(2, boot="b3"))[0].traffic == 1


def test_a_restarted_container_counts_from_zero() -> None:
    memory = started(a=one(100))
    increments, memory = look(memory, a=one(4, boot="b2", uptime=1.0))
    assert increments.traffic == 4
    assert look(memory, a=one(6, boot="b2", uptime=2.0))[0].traffic == 2


def test_a_pod_without_an_answer_goes_on_where_it_stood() -> None:
    increments, memory = look(started(a=one(10)), a=None)
    assert increments == Increments({}, 0, ("a",))
    assert look(memory, a=one(13))[0].traffic == 3


def test_the_time_since_the_last_look_is_not_that_since_a_silent_pod_was_read() -> None:
    """A pod that answers again after a silence tells of a longer time; counted, a step would end too early."""
    _, first = look(None, a=one(1, boot="a", uptime=10.0), b=one(1, boot="b", uptime=10.0))
    silent, second = look(first, a=one(2, boot="a", uptime=15.0), b=None)
    again, _ = look(second, a=one(3, boot="a", uptime=18.0), b=one(3, boot="b", uptime=18.0))
    assert (silent.seconds, again.seconds) == (5.0, 3.0)


def test_only_ready_pods_are_missed() -> None:
    increments, _ = advance(None, [PodReading("a", False, None), PodReading("b", True, None)])
    assert increments.unreachable == ("b",)


def test_a_pod_that_is_listed_again_does_not_count_twice() -> None:
    _, memory = look(started(a=one(10), b=one(1, boot="b2")), b=one(1, boot="b2"))
    assert look(memory, a=one(12), b=one(1, boot="b2"))[0].traffic == 2


def test_departed_pods_are_forgotten_in_the_end() -> None:
    memory = started()
    for number in range(200):
        _, memory = look(memory, **{f"p{number}": one(1)})
    assert len(memory.pods) < 100


def test_a_number_that_fell_adds_nothing() -> None:
    increments, memory = look(started(a=one(10)), a=one(7))
    assert increments == Increments({}, 0, (), seconds=0.0, assignments=UNKEYED)
    assert look(memory, a=one(11))[0].traffic == 1


def test_an_older_answer_of_the_same_process_is_ignored() -> None:
    memory = started(a=evidence({}, uptime=5.0))
    _, memory = look(memory, a=one(10, uptime=9.0, generation=2))
    increments, memory = look(memory, a=one(4, uptime=8.0, generation=1))
    assert increments.traffic == 0
    assert look(memory, a=one(10, uptime=9.5, generation=2))[0].traffic == 0


def test_a_generation_that_dropped_out_starts_from_zero_when_it_comes_back() -> None:
    memory = started(a=one(10, generation=1))
    _, memory = look(memory, a=one(3, generation=5))
    increments, _ = look(memory, a=one(2, generation=1))
    assert increments.samples == {(1, "other", STABLE): served(2)}


def test_what_each_outcome_is() -> None:
    counted = {"ok": 10, "error": 3, "overload": 4, "refused": 1, "canceled": 2, "refusal": 5, "max_tokens": 1}
    increments, _ = look(started(), a=evidence({(1, CANARY, "chat", "none"): counted}))
    (found,) = increments.samples.values()
    assert found == Sample(
        Counts(
            20,
            ok=10,
            errors=3,
            overloads=4,
            refusals=5,
            max_tokens=1,
            conversations=20,
            bad_errors=3,
            bad_refusals=5,
            bad_max_tokens=1,
        )
    )
    assert found.counts.judged == 13


def test_cache_states_are_merged_and_pinned_requests_are_traffic_only() -> None:
    cells: dict[Key, dict[str, int]] = {
        (3, CANARY, "chat", "read"): {"ok": 5},
        (3, CANARY, "chat", "none"): {"error": 2},
        (3, STABLE, "chat", "write"): {"ok": 1},
        (4, CANARY, "chat", "read"): {"ok": 1},
        (3, CANARY, "pinned", "read"): {"ok": 100},
    }
    increments, _ = look(started(), a=evidence(cells), b=evidence(cells, "b2"))
    assert increments.traffic == 218
    assert increments.samples == {
        (3, "chat", CANARY): Sample(Counts(14, ok=10, errors=4, cache_reads=10, conversations=14, bad_errors=4)),
        (3, "chat", STABLE): Sample(Counts(2, ok=2, cache_writes=2, conversations=2)),
        (4, "chat", CANARY): Sample(Counts(2, ok=2, cache_reads=2, conversations=2)),
    }


# ------------------------------------------------------------------------------------------------- values


def timed(*times: float, cost: float = 0.0, cache: str = "read", revision: str = STABLE, boot: str = "b1") -> Evidence:
    """A gateway whose requests took so long, all of one cache state."""

    def histogram(numbers: Sequence[float]) -> Histogram:
        each = values(numbers)
        buckets = {str(index): count for index, count in each.buckets.items()}
        return Histogram(each.count, each.sum, each.sum_sq, each.ln_sum, each.ln_sum_sq, buckets)

    asked, cold = len(times), [cost] * (cost > 0.0)
    counters = Counters(
        asked,
        {"ok": asked},
        ttft=histogram(times),
        duration=histogram([2 * each for each in times]),
        cost=histogram([7.0] * asked),
        normalised_cost=histogram(cold),
        output_tokens=histogram([5.0] * asked),
        conversations=asked,
    )
    return Evidence(
        boot, 1, float(asked), [GenerationEvidence(1, [Stratum(revision, "stable", "chat", cache, counters)])]
    )


def test_values_are_what_came_since_by_quantity_and_cache_state() -> None:
    memory = started(a=timed(0.5))
    increments, memory = look(memory, a=timed(0.5, 0.25, 2.0), b=timed(4.0, cache="write", boot="b2"))
    (found,) = increments.samples.values()
    assert found.quantity("timeToFirstToken", ["read"]).buckets == values([0.25, 2.0]).buckets
    assert found.quantity("timeToFirstToken", ["read"]).ln_sum == pytest.approx(math.log(0.5))
    assert found.quantity("timeToFirstToken", ["write"]) == values([4.0])
    assert found.quantity("timeToFirstToken", ["read", "write", "none"]).count == 3
    assert found.quantity("duration", ["write"]) == values([8.0])
    assert found.quantity("outputTokens", ["read"]).sum == 10.0
    assert look(memory, a=timed(0.5, 0.25, 2.0), b=timed(4.0, cache="write", boot="b2"))[0].samples == {}


def test_only_the_quantities_that_are_wanted_are_taken_up() -> None:
    readings = [PodReading("a", True, timed(0.5))]
    assert set(advance(started(), readings, ["duration"])[0].samples[1, "chat", STABLE].values) == {
        ("duration", "read")
    }


def test_cost_is_the_normalised_one_where_the_gateway_has_it() -> None:
    (old,) = look(started(), a=timed(0.5))[0].samples.values()
    (new,) = look(started(), a=timed(0.5, cost=3.0))[0].samples.values()
    assert (old.quantity("cost", ["read"]).sum, new.quantity("cost", ["read"]).sum) == (7.0, 3.0)


def test_history_is_all_that_is_known_of_a_revision_also_of_departed_pods() -> None:
    memory = started(a=timed(0.5, 1.0), b=timed(2.0, revision=CANARY, boot="b2"))
    _, memory = look(memory, b=timed(2.0, revision=CANARY, boot="b2"), c=timed(8.0, cache="none", boot="b3"))
    assert history(memory, STABLE, "timeToFirstToken").sum == 9.5
    assert history(memory, CANARY, "timeToFirstToken") == values([2.0])
    assert history(None, STABLE, "cost") == values([])


def test_a_conversation_that_goes_on_failing_elsewhere_is_no_second_one() -> None:
    """A gateway names only kinds that it has counted, and it counts a conversation once over all strata."""
    first = Counters(1, {"ok": 1}, {"refusal": 1}, conversations=1, bad_conversations={"refusal": 1})
    again = Counters(3, {"ok": 3}, {"refusal": 3})
    strata = [Stratum(CANARY, "canary", "chat", cache, each) for cache, each in (("write", first), ("read", again))]
    (found,) = look(started(), a=Evidence("b1", 1, 1.0, [GenerationEvidence(1, strata)]))[0].samples.values()
    assert (found.counts.refusals, found.counts.bad_refusals) == (4, 1)


def test_a_gateway_that_counts_no_conversations_is_taken_by_requests() -> None:
    old = Counters(9, {"ok": 6, "error": 3}, {"refusal": 2})
    strata = [Stratum(CANARY, "canary", "chat", "none", old)]
    (found,) = look(started(), a=Evidence("b1", 1, 1.0, [GenerationEvidence(1, strata)]))[0].samples.values()
    assert (found.counts.bad_errors, found.counts.bad_refusals) == (3, 2)


# ---------------------------------------------------------------------- properties of arbitrary histories


@dataclass
class Pod:
    """A gateway as it really counts."""

    name: str
    boots: int = 1
    uptime: float = 0.0
    cells: dict[Key, Counter[str]] = field(default_factory=dict)

    def report(self) -> Evidence:
        return evidence(self.cells, f"{self.name}-{self.boots}", self.uptime)


KEYS = st.tuples(
    st.integers(1, 3),
    st.sampled_from([STABLE, CANARY]),
    st.sampled_from(["chat", "other", "pinned"]),
    st.sampled_from(["read", "none"]),
)
HAPPENINGS = st.lists(
    st.one_of(
        st.tuples(st.just("count"), st.sampled_from("abc"), KEYS, st.sampled_from(OUTCOMES), st.integers(1, 9)),
        st.tuples(st.just("restart"), st.sampled_from("abc")),
        st.tuples(st.just("silence"), st.sampled_from("abc")),
        st.tuples(st.just("look"), st.integers(1, 2), st.permutations("abc")),
    ),
    max_size=30,
)


def total(increments: Iterable[Increments]) -> tuple[int, Counter[tuple[int, str, str]]]:
    found: Counter[tuple[int, str, str]] = Counter()
    traffic = 0
    for each in increments:
        traffic += each.traffic
        found.update({cell: sample.counts.requests for cell, sample in each.samples.items()})
    return traffic, found


def live(happenings: list[tuple], *, eager: bool) -> tuple[list[Increments], int]:
    """Run a history of pods that appear after the operator's start. `eager`: look after every happening, too."""
    pods = {name: Pod(name) for name in "abc"}
    seen: list[Increments] = []
    memory = started()
    silent: set[str] = set()
    counted = 0

    def watch(times: int, order: Iterable[str]) -> None:
        nonlocal memory
        readings = [PodReading(name, True, None if name in silent else pods[name].report()) for name in order]
        increments, memory = advance(memory, readings * times)
        seen.append(increments)
        silent.clear()

    for happening in happenings:
        match happening:
            case ("count", name, key, outcome, number):
                pods[name].cells.setdefault(key, Counter())[outcome] += number
                pods[name].uptime += 1
                counted += number
            case ("restart", name):
                pods[name] = Pod(name, pods[name].boots + 1)
            case ("silence", name):
                silent.add(name)
            case ("look", times, order):
                watch(times, order)
        if eager:
            silent.clear()
            watch(1, "cab")
    silent.clear()
    watch(1, "abc")
    return seen, counted


@given(HAPPENINGS)
@FEW
def test_everything_is_counted_once_where_every_count_is_seen(happenings: list[tuple]) -> None:
    seen, counted = live(happenings, eager=True)
    assert total(seen)[0] == counted


@given(HAPPENINGS)
@FEW
def test_never_more_than_the_gateways_counted_and_none_lost_without_restarts(happenings: list[tuple]) -> None:
    seen, counted = live(happenings, eager=False)
    assert total(seen)[0] <= counted
    quiet = [happening for happening in happenings if happening[0] != "restart"]
    often, all_of_it = live(quiet, eager=True)
    seldom, _ = live(quiet, eager=False)
    assert total(often) == total(seldom)
    assert total(seldom)[0] == all_of_it


@given(st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.integers(0, 50)), max_size=6), st.randoms())
@FEW
def test_the_order_of_pods_changes_nothing(looks: list[tuple[str, int | None]], shuffle) -> None:
    """A pod may stand there twice; each second of its life counts one request."""
    readings = [PodReading(pod, True, None if age is None else one(age, uptime=age)) for pod, age in looks]
    mixed = list(readings)
    shuffle.shuffle(mixed)
    for memory in (None, started(a=one(3, uptime=3.0))):
        left, right = advance(memory, readings), advance(memory, mixed)
        assert left[0] == right[0]
        assert left[1] == right[1]


@given(st.integers(0, 10**12), st.lists(st.integers(0, 10**12), max_size=8))
@FEW
def test_no_sequence_of_numbers_adds_more_than_its_largest(first: int, numbers: list[int]) -> None:
    memory = started(a=one(first))
    seen = 0
    for number in numbers:
        increments, memory = look(memory, a=one(number))
        seen += increments.traffic
    assert seen == max([first, *numbers]) - first
