"""A bad conversation that several pods have counted is taken off from all but one, and nothing else is."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_operator.api.evidence import (
    BAD_KINDS,
    BAD_WINDOW,
    BadConversation,
    Counters,
    Evidence,
    GenerationEvidence,
    Stratum,
)
from claude_operator.core.judge.evidence import duplicates
from claude_operator.core.judge.evidence.duplicates import AT_ONCE, Row, sift
from claude_operator.core.judge.evidence.increments import Increments, Memory, PodReading, advance
from claude_operator.core.judge.evidence.sample import Counts

CANARY = "support-7b9e21c3d4"
PLACE = (7, "chat", CANARY)
FEW = settings(max_examples=40)


def bad(digest: str = "d1", age: float = 1.0, kind: str = "error", surface: str = "chat") -> BadConversation:
    return BadConversation(7, CANARY, surface, kind, digest, age)


def reading(
    pod: str,
    *rows: BadConversation,
    counted: int | None = None,
    first: int = 0,
    uptime: float = 10.0,
    boot: str = "",
    kind: str = "error",
    caches: Sequence[str] = ("none",),
) -> PodReading:
    """A pod that has counted so many bad conversations, as many as it shows, the last of them in `caches[-1]`."""
    many = first + len(rows) if counted is None else counted
    strata = []
    for place, cache in enumerate(caches):
        here = many // len(caches) + (many % len(caches) if place == len(caches) - 1 else 0)
        requests = Counters(10 + here, {"ok": 10, "error": here}, conversations=10, bad_conversations={kind: here})
        strata.append(Stratum(CANARY, "canary", "chat", cache, requests))  # type: ignore[arg-type]
    report = Evidence(
        boot or f"boot-{pod}", 7, uptime, [GenerationEvidence(7, strata)], bad=list(rows), bad_first=first
    )
    return PodReading(pod, True, report)


def look(memory: Memory | None, *readings: PodReading, now: float | None = 1000.0) -> tuple[Counts, Memory]:
    increments, memory = advance(memory, readings, (), now=now)
    return increments.samples[PLACE].counts if PLACE in increments.samples else Counts(), memory


def started(now: float = 0.0) -> Memory:
    return look(None, now=now)[1]


def test_what_two_pods_counted_is_one_conversation_and_still_as_many_requests() -> None:
    counts, _ = look(started(), reading("a", bad()), reading("b", bad(age=3.0)))
    assert counts == Counts(22, ok=20, errors=2, conversations=20, bad_errors=1)


@pytest.mark.parametrize(
    ("kind", "field"),
    [*zip(BAD_KINDS, ("bad_errors", "bad_refusals", "bad_max_tokens", "bad_context_window"), strict=True)],
)
def test_every_kind_is_taken_off_where_it_was_counted(kind: str, field: str) -> None:
    rows = (bad(kind=kind), bad("d2", kind=kind))
    counts, _ = look(started(), *(reading(pod, *rows, kind=kind) for pod in "abc"))
    assert getattr(counts, field) == 2
    assert sum(counts[11:15]) == 2


def test_a_duplicate_is_known_at_later_looks_until_the_wait_is_over() -> None:
    _, memory = look(started(), reading("a", bad()))
    assert look(memory, reading("b", bad()), now=1050.0)[0].bad_errors == 0
    assert look(memory, reading("b", bad()), now=1061.0)[0].bad_errors == 1
    _, memory = look(memory, reading("b", bad()), now=1061.0)  # the next wait is of two minutes
    assert look(memory, reading("c", bad()), now=1180.0)[0].bad_errors == 0
    assert look(memory, reading("c", bad()), now=1181.0)[0].bad_errors == 1


def test_one_that_several_pods_know_waits_in_all_of_them() -> None:
    """The first pod alone would count again after a minute and after two more, as the others do for themselves."""
    rows = [Row(at, boot, bad()) for at, boot in [(0.0, "a"), (1.0, "b"), (59.0, "a")]]
    found, known = sift({}, rows, 60.0)
    at_once = {boot for boot, each in found.items() if each[(AT_ONCE, *PLACE[1:]), "error"]}
    assert ({boot: each[PLACE, "error"] for boot, each in found.items()}, at_once) == ({"b": 1, "a": 1}, {"b"})
    assert known["d1"] == (60.0, 60.0, "")
    found, known = sift(known, [Row(70.0, "a", bad()), Row(150.0, "a", bad())], 160.0)
    assert ({boot: each.total() for boot, each in found.items()}, known["d1"]) == ({"a": 1}, (190.0, 120.0, ""))


def test_rows_of_one_look_are_taken_in_the_order_of_time() -> None:
    counts, memory = look(
        started(), reading("a", bad(age=5.0)), reading("b", bad(age=105.0)), reading("c", bad(age=50.0))
    )
    assert counts.bad_errors == 2
    assert memory.bad["d1"] == (995.0 + 120.0, 120.0, "")


def test_a_row_is_looked_at_once() -> None:
    _, memory = look(started(), reading("a", bad("d1", 5.0), bad("d2")))
    _, memory = look(memory, reading("b", bad("d1", 7.0)), now=1002.0)
    again = reading("a", bad("d1", 200.0), bad("d2", 196.0), bad("d3"), uptime=20.0)
    counts, memory = look(memory, again, reading("b", bad("d3")), now=1195.0)
    assert counts.bad_errors == 1
    # The process shows less than before, and numbers go on.
    counts, _ = look(memory, reading("a", bad("d4"), first=3, uptime=30.0), reading("c", bad("d4")), now=1200.0)
    assert counts.bad_errors == 1


def test_a_pass_that_is_done_again_finds_the_same() -> None:
    _, memory = look(started(), reading("a", bad()))
    later = [reading("a", bad()), reading("b", bad(), bad("d2"))]
    assert look(memory, *later) == look(memory, *later)
    assert memory == look(started(), reading("a", bad()))[1]


def test_an_older_answer_shows_nothing_new() -> None:
    _, memory = look(started(), reading("a", uptime=9.0))
    counts, after = look(memory, reading("a", bad("d1"), bad("d2"), uptime=8.0))
    assert (counts, after.bad) == (Counts(), {})


def test_another_boot_numbers_from_zero() -> None:
    _, memory = look(started(), reading("a", bad("d1"), bad("d2")))
    counts, _ = look(memory, reading("a", bad("d1"), bad("d3"), boot="boot-2"), now=1010.0)
    assert counts.bad_errors == 1


def test_only_as_many_are_taken_off_as_the_same_pod_has_counted_anew() -> None:
    """Whatever a document says, a row of one pod takes nothing from another, and no number falls below zero."""
    counts, _ = look(started(), reading("a", bad()), reading("b", bad(), bad(), bad(), counted=1), reading("c"))
    assert counts.bad_errors == 1
    one = reading("a", bad("d1"), bad("d2"), bad("d3"))
    counts, _ = look(started(), one, reading("b", *[bad("d1")] * 9, counted=0))
    assert counts.bad_errors == 3
    counts, _ = look(started(), one, reading("b", bad("d1", surface="other"), counted=1))
    assert counts.bad_errors == 4


def test_cache_states_share_what_is_taken_off() -> None:
    rows = [bad("d1"), bad("d2"), bad("d3"), bad("d4")]
    for shared, found in ((1, 7), (3, 5), (4, 4)):
        counts, _ = look(
            started(), reading("a", *rows), reading("b", *rows[:shared], counted=4, caches=("read", "none"))
        )
        assert counts.bad_errors == found


def test_without_a_time_every_pod_counts_for_itself() -> None:
    counts, memory = look(started(), reading("a", bad()), reading("b", bad()), now=None)
    assert (counts.bad_errors, memory.bad) == (2, {})


def test_a_gateway_that_shows_none_is_taken_at_its_word() -> None:
    counts, _ = look(started(), reading("a", bad()), reading("b", counted=4))
    assert counts.bad_errors == 5


def test_what_is_not_of_the_pods_first_look_is_learned_from_it() -> None:
    counts, memory = look(None, reading("a", bad()))
    assert counts == Counts()
    assert look(memory, reading("a", bad()), reading("b", bad()))[0].bad_errors == 0


def test_what_can_make_no_difference_any_more_is_forgotten() -> None:
    _, memory = look(started(), reading("a", bad()))
    end = 999.0 + 120.0 + BAD_WINDOW
    for now, known in ((end, {"d1", "d2"}), (end + 0.1, {"d2"})):
        assert set(look(memory, reading("b", bad("d2")), now=now)[1].bad) == known


def test_the_memory_is_bounded_and_forgets_what_counted_longest_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    assert duplicates.LIMIT == 20_000
    monkeypatch.setattr(duplicates, "LIMIT", 3)
    rows = [Row(float(at), "b1", bad(f"d{at % 4}")) for at in range(5)]
    _, known = sift({}, rows, 10.0)
    assert list(known) == ["d2", "d3", "d0"]
    assert known["d0"].again == 124.0


def test_the_wall_clock_may_be_set_back() -> None:
    """A conversation that one pod knows counts all the same, and for others the wait is soon right again."""
    _, memory = look(started(), reading("a", bad()), now=50_000.0)
    counts, memory = look(memory, reading("a", bad(age=61.0), bad(), uptime=70.0), now=1000.0)
    assert counts.bad_errors == 1
    assert memory.bad["d1"].again == 1119.0


PODS = st.sampled_from("abcd")
ROWS = st.lists(st.builds(bad, st.sampled_from(["d1", "d2", "d3"]), st.floats(0.0, 300.0)), max_size=4)


@given(
    st.lists(st.tuples(PODS, st.integers(0, 4)), max_size=6),
    st.fixed_dictionaries(dict.fromkeys("abcd", ROWS)),
    st.randoms(use_true_random=False),
    st.booleans(),
)
@FEW
def test_the_order_of_pods_changes_nothing(
    looks: list[tuple[str, int]], rows: dict[str, list[BadConversation]], shuffle, known: bool
) -> None:
    """A pod may stand there twice, then in different moments of its life."""
    readings = [reading(pod, *rows[pod][:many], uptime=len(rows[pod][:many])) for pod, many in looks]
    mixed = list(readings)
    shuffle.shuffle(mixed)
    memory = look(None, reading("a", bad()), reading("b"))[1] if known else started()
    left, right = advance(memory, readings, now=1001.0), advance(memory, mixed, now=1001.0)
    assert (left[0], left[1].pods) == (right[0], right[1].pods)
    assert list(left[1].bad.items()) == list(right[1].bad.items())


@given(st.lists(st.tuples(st.integers(1, 3), st.lists(st.tuples(PODS, ROWS), max_size=4)), max_size=4))
@FEW
def test_what_is_counted_lies_between_the_conversations_and_the_counts(
    looks: list[tuple[int, list[tuple[str, list[BadConversation]]]]],
) -> None:
    """Looks a few seconds apart; every pod shows what it counted since the last."""
    memory, now, seen = started(), 1000.0, Increments()
    counted = dict.fromkeys("abcd", 0)
    digests: set[str] = set()
    total = 0
    for seconds, pods in looks:
        now += seconds
        readings = []
        for pod, rows in dict(pods).items():
            readings.append(reading(pod, *rows, first=counted[pod], uptime=now))
            counted[pod] += len(rows)
            digests |= {row.digest for row in rows}
        seen, memory = advance(memory, readings, (), now=now)
        total += sum(sample.counts.bad_errors for sample in seen.samples.values())
    assert len(digests) <= total <= sum(counted.values())
