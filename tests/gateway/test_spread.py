"""Conversations that are spread over gateway processes: counted by each for itself, and once by the operator."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.gateway.harness import CANARY, STABLE
from tests.gateway.pod import Clock, Pod

from claude_operator.api.evidence import BAD_KINDS, BAD_WINDOW, PINNED, Evidence, parse_evidence
from claude_operator.core.judge.evidence.increments import Memory, PodReading, advance
from claude_operator.gateway.conversations import SHOWN, RecentBad

FEW = settings(max_examples=20)
LONGEST = 200.0  # seconds between two looks: with a burst of 30 s less than what a gateway shows
Event = tuple[float, int, str, str]  # seconds, pod, key, kind


class Fleet:
    """Gateway processes with clocks of their own, and one more that sees all of their traffic."""

    def __init__(self, pods: int) -> None:
        self.pods = [Pod(Clock(1000.0 * number)) for number in range(pods)]
        self.alone = Pod(Clock())
        self.now = 0.0
        self.memory: Memory | None = None
        self.seen: Counter[str] = Counter()
        self.look()

    def step(self, now: float) -> None:
        for pod in (*self.pods, self.alone):
            pod.clock.now += now - self.now
        self.now = now

    def fail(self, pod: int, key: str | None = "session:a", kind: str = "error", surface: str = "chat") -> None:
        for each in (self.pods[pod % len(self.pods)], self.alone):
            if kind == "error":
                each.settle(key, "error", revision=CANARY, surface=surface)
            else:
                each.settle(key, stop_reason=kind, revision=CANARY, surface=surface)

    def look(self, silent: Iterable[int] = (), late: float = 0.0) -> None:
        """Read all pods, `late` seconds before they are taken in."""
        readings = [
            PodReading(str(number), True, None if number in silent else self.report(pod))
            for number, pod in enumerate(self.pods)
        ]
        random.Random(len(self.seen)).shuffle(readings)
        new, self.memory = advance(self.memory, readings, now=1e9 + self.now + late)
        self.seen += bad([sample.counts._asdict() for sample in new.samples.values()])

    def report(self, pod: Pod) -> Evidence:
        return parse_evidence(pod.store.document(1, self.now, ""))

    @property
    def expected(self) -> Counter[str]:
        """What one process counts that sees everything."""
        return bad([{name(kind): number for kind, number in bad_of(self.alone).items()}])

    @property
    def apart(self) -> Counter[str]:
        """What the processes count, each for itself."""
        return bad([{name(kind): number for kind, number in bad_of(pod).items()} for pod in self.pods])


def name(kind: str) -> str:
    words = {"error": "errors", "refusal": "refusals", "model_context_window_exceeded": "context_window"}
    return f"bad_{words.get(kind, kind)}"


def bad(counts: Iterable[dict[str, int]]) -> Counter[str]:
    found: Counter[str] = Counter()
    for each in counts:
        found.update({field: number for field, number in each.items() if field.startswith("bad_") and number})
    return found


def bad_of(pod: Pod) -> Counter[str]:
    found: Counter[str] = Counter()
    for generation in parse_evidence(pod.store.document(1, 1.0, "")).generations:
        for stratum in generation.strata:
            if stratum.surface != PINNED:
                found.update(stratum.counters.bad_conversations)
    return found


def play(fleet: Fleet, events: Iterable[Event], gaps: Sequence[float], late: Callable[[], float] = float) -> None:
    """Let things happen and look on the way, at last when all is over."""
    pending = sorted(events)
    last, looked, index = (pending[-1][0] if pending else 0.0), 0.0, 0
    while looked < last or not index:
        looked += gaps[index % len(gaps)]
        index += 1
        while pending and pending[0][0] <= looked:
            moment, pod, key, kind = pending.pop(0)
            fleet.step(moment)
            fleet.fail(pod, key, kind)
        fleet.step(looked)
        fleet.look(late=late())


PODS = st.sampled_from([1, 2, 10])
GAPS = st.lists(st.floats(0.5, LONGEST), min_size=1, max_size=6)
BURST = st.lists(st.tuples(st.floats(0.0, 30.0), st.integers(0, 9)), min_size=1, max_size=12)


@given(PODS, BURST, GAPS, st.randoms(use_true_random=False))
@FEW
def test_a_burst_is_one_bad_conversation_whenever_the_operator_looks(
    pods: int, burst: list[tuple[float, int]], gaps: list[float], chance: random.Random
) -> None:
    """Even where answers are taken in up to 20 s after they were given."""
    fleet = Fleet(pods)
    events = [(moment, pod, "session:a", "error") for moment, pod in burst]
    play(fleet, events, gaps, lambda: chance.uniform(0.0, 20.0))
    assert fleet.seen == {"bad_errors": 1}
    assert fleet.apart["bad_errors"] == len({pod % pods for _, pod in burst})


BURSTS = st.lists(
    st.tuples(st.floats(0.0, 60.0), BURST, st.sampled_from("ab"), st.sampled_from(BAD_KINDS)), min_size=1, max_size=5
)


@given(PODS, BURSTS, GAPS)
@FEW
def test_many_pods_count_bursts_as_one_that_sees_them_all(
    pods: int, bursts: list[tuple[float, list[tuple[float, int]], str, str]], gaps: list[float]
) -> None:
    """Of one conversation and kind they begin 150 s apart or more: the waits of all pods are over by then."""
    events, begin = [], 0.0
    for pause, burst, key, kind in bursts:
        events += [(begin + moment, pod, key, kind) for moment, pod in burst]
        begin += 150.0 + pause
    fleet = Fleet(pods)
    play(fleet, events, gaps)
    assert fleet.seen == fleet.expected
    assert fleet.seen.total() == len(bursts)


HISTORY = st.lists(st.tuples(st.floats(0.0, 900.0), st.integers(0, 9), st.sampled_from("ab"), st.just("error")))


@given(PODS, HISTORY, GAPS, GAPS)
@FEW
def test_when_the_operator_looks_changes_nothing(
    pods: int, events: list[Event], gaps: list[float], others: list[float]
) -> None:
    one, other = Fleet(pods), Fleet(pods)
    play(one, events, gaps)
    play(other, events, others)
    assert one.seen == other.seen
    assert len({key for _, _, key, _ in events}) <= one.seen.total() <= one.apart.total()


@given(PODS, HISTORY, GAPS, st.randoms(use_true_random=False))
@FEW
def test_a_conversation_that_stays_with_its_pod_counts_as_the_pod_says(
    pods: int, events: list[Event], gaps: list[float], chance: random.Random
) -> None:
    """However inexact the operator's idea of the time is."""
    fleet = Fleet(pods)
    kept = [(moment, ord(key), key, kind) for moment, _, key, kind in events]
    play(fleet, kept, gaps, lambda: chance.uniform(-40.0, 40.0))
    assert fleet.seen == fleet.expected == fleet.apart


@pytest.mark.parametrize("pods", [2, 10])
@pytest.mark.parametrize("every", [2.0, 20.0, 90.0])
def test_one_that_stays_bad_counts_about_as_often_as_with_one_pod(pods: int, every: float) -> None:
    """An event that falls into its own pod's wait is not seen, so a count may come later than it would."""
    rng = random.Random(4)
    fleet = Fleet(pods)
    events, moment = [], 0.0
    while moment < 3600.0:
        events.append((moment, rng.randrange(pods), "session:a", "error"))
        moment += rng.expovariate(1.0 / every)
    play(fleet, events, [15.0])
    assert abs(fleet.seen["bad_errors"] - fleet.expected["bad_errors"]) <= 1
    assert fleet.apart["bad_errors"] >= 1.6 * fleet.seen["bad_errors"]


def test_a_pod_that_was_silent_tells_of_no_second_conversation() -> None:
    fleet = Fleet(2)
    fleet.step(10.0)
    fleet.fail(1)
    fleet.step(20.0)
    fleet.fail(0)
    fleet.look(silent=[1])
    fleet.step(170.0)
    fleet.look()
    assert fleet.seen == {"bad_errors": 1}


def test_what_was_counted_before_a_restart_of_the_operator_is_known_after_it() -> None:
    fleet = Fleet(2)
    fleet.step(10.0)
    fleet.fail(0)
    fleet.look()
    fleet.memory = None
    fleet.step(20.0)
    fleet.look()  # baselines
    fleet.step(30.0)
    fleet.fail(1)
    fleet.fail(1, "session:b")
    fleet.look()
    assert fleet.seen == {"bad_errors": 2}  # a before the restart, b after it


def test_a_container_that_starts_anew_does_not_make_two_of_one() -> None:
    fleet = Fleet(2)
    for moment in (10.0, 20.0):
        fleet.step(moment)
        fleet.fail(0)
        fleet.look()
        fleet.pods[0] = Pod(Clock())
    assert fleet.seen == {"bad_errors": 1}


def test_surfaces_share_the_wait_over_pods_too_but_kinds_do_not() -> None:
    fleet = Fleet(2)
    fleet.fail(0, surface="chat")
    fleet.step(1.0)
    fleet.fail(1, surface="other")
    fleet.fail(1, kind="refusal")
    fleet.look()
    assert fleet.seen == fleet.expected == {"bad_errors": 1, "bad_refusals": 1}


def test_requests_without_a_key_are_each_their_own_in_every_pod() -> None:
    fleet = Fleet(2)
    for pod in (0, 0, 1):
        fleet.fail(pod, None)
    fleet.look()
    assert fleet.seen == fleet.expected == {"bad_errors": 3}


# ------------------------------------------------------------------------------------ what a process shows


def test_what_is_shown_is_the_same_in_every_process_and_names_nobody() -> None:
    shown = []
    for pod in (Pod(), Pod(Clock(5.0))):
        pod.settle("session:KEY-SENTINEL", "error")
        pod.settle("session:KEY-SENTINEL", "error")
        pod.settle("session:KEY-SENTINEL", stop_reason="refusal", surface="other")
        pod.settle("session:KEY-SENTINEL", "error", revision=CANARY)
        pod.serve(2)
        pod.settle("session:KEY-SENTINEL", "error")
        pod.settle("session:other", "error", surface=PINNED)
        pod.settle(None, "error")
        pod.clock.now += 2.5
        document = pod.store.document(2, 1.0, "")
        assert b"SENTINEL" not in document
        evidence = parse_evidence(document)
        shown.append(evidence.bad)
        assert evidence.bad_first == 0
    assert shown[0] == shown[1]
    assert [(row.generation, row.revision, row.surface, row.kind, row.age) for row in shown[0]] == [
        (1, STABLE, "chat", "error", 2.5),
        (1, STABLE, "other", "refusal", 2.5),
        (1, CANARY, "chat", "error", 2.5),
        (2, STABLE, "chat", "error", 2.5),
    ]
    assert {len(row.digest) for row in shown[0]} == {16}
    assert len({row.digest for row in shown[0]}) == 4


def test_only_the_newest_are_shown_and_all_are_numbered() -> None:
    recent = RecentBad()
    for number in range(SHOWN + 5):
        recent.add("uid", 1, STABLE, "chat", "error", f"session:{number}", 100.0 + (number == SHOWN + 4))
    rows, first = recent.snapshot(100.0 + BAD_WINDOW)
    assert (len(rows), first) == (SHOWN, 5)
    rows, first = recent.snapshot(100.5 + BAD_WINDOW)
    assert ([row.age for row in rows], first) == ([BAD_WINDOW - 0.5], SHOWN + 4)
    assert recent.snapshot(102.0 + BAD_WINDOW) == ([], SHOWN + 5)


def test_another_deployment_has_other_digests() -> None:
    digests = set()
    for uid in ("one", "two"):
        recent = RecentBad()
        recent.add(uid, 1, STABLE, "chat", "error", "session:\ud800", 0.0)
        digests.add(recent.snapshot(0.0)[0][0].digest)
    assert len(digests) == 2


def test_what_was_shown_too_long_ago_counts_once_a_pod() -> None:
    fleet = Fleet(2)
    for pod in (0, 1):
        fleet.fail(pod)
    fleet.step(BAD_WINDOW + 1.0)
    fleet.look()
    assert fleet.seen == {"bad_errors": 2}
