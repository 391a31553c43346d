"""What is counted of conversations, and how it is told."""

from __future__ import annotations

import json

import msgspec
import pytest
from tests.gateway.harness import CANARY, STABLE, make_arm
from tests.gateway.speakers import Process, arms
from tests.gateway.test_docs import SCHEMA

from claude_operator.api.evidence import GenerationEvidence, UnitStratum, parse_evidence
from claude_operator.api.gateway import Arm
from claude_operator.gateway.call import Call
from claude_operator.gateway.conversation_memory import Drawn
from claude_operator.gateway.eras import KEPT_ERAS
from claude_operator.gateway.evidence import KEPT_GENERATIONS
from claude_operator.gateway.unit_accounting import FEWEST_TOKENS
from claude_operator.gateway.units import EraUnits, UnitKey, Values, count_unit, period_of, turn_bucket

HI = [{"role": "user", "content": "Hi"}]
MOST_GENERATIONS = 16


def process(weight: int = 5000) -> Process:
    made = Process()
    made.run(1, make_arm())
    made.run(2, *arms(weight))
    return made


def turns(number: int) -> list[dict[str, str]]:
    """A conversation with this many answers."""
    return [*({"role": role, "content": "x"} for _ in range(number) for role in ("user", "assistant")), *HI]


@pytest.mark.parametrize(
    ("turn", "period", "bucket"),
    [(0, "opening", 0), (1, "early", 1), (3, "early", 2), (7, "early", 4), (8, "late", 8), (100, "late", 64)],
)
def test_turns_have_a_period_and_a_bucket(turn: int, period: str, bucket: int) -> None:
    assert (period_of(turn), turn_bucket(turn)) == (period, bucket)


def test_a_conversation_has_one_value_a_period() -> None:
    pod = process()
    for number in (0, 0, 3, 4, 7, 8, 9, 30):
        pod.call(turns(number), session="a")
    (units,) = (found for era, found in pod.units().items() if era == 2)
    assert {unit.period: (unit.counters.entries, unit.counters.duration.count) for unit in units} == {
        "opening": (1, 1),
        "early": (1, 1),
        "late": (1, 1),
    }


def test_a_first_value_may_come_after_the_entry() -> None:
    pod = process()
    pod.call(turns(2), session="a", outcome="error")
    pod.call(turns(3), session="a")
    assert pod.units().get(2, []) == []  # began before
    for outcome in ("overload", "canceled", "error", "ok", "ok"):
        pod.call(HI, session="b", outcome=outcome)
    found = {unit.period: unit.counters for unit in pod.units()[2]}
    assert {period: (one.entries, one.duration.count) for period, one in found.items()} == {
        "opening": (1, 0),  # at the first request that was answered
        "early": (1, 1),
    }
    pod.call(turns(9), session="b", outcome="error")
    pod.call(turns(10), session="b")
    (late,) = (unit.counters for unit in pod.units()[2] if unit.period == "late")
    assert (late.entries, late.duration.count) == (1, 1)


def test_a_conversation_keeps_to_its_budgets_or_not_once_a_period() -> None:
    """By the first request that says so, after those that do not."""
    eras, none = EraUnits(2, None), Values()
    counted = 0
    for period, kept in (("opening", None), ("opening", False), ("opening", True), ("early", True), ("early", False)):
        counted = count_unit(eras, UnitKey(STABLE, "stable", "chat", period, "none"), counted, none, kept)  # type: ignore[arg-type]
    found = {unit.period: (unit.counters.entries, unit.counters.budget) for unit in eras.snapshot()}
    assert found == {"opening": (1, {"over": 1}), "early": (1, {"within": 1})}


@pytest.mark.parametrize("surface", ["moved", "pinned"])
def test_who_moved_or_chose_an_arm_says_nothing_of_budgets(surface: str) -> None:
    eras = EraUnits(2, None)
    count_unit(eras, UnitKey(STABLE, "stable", surface, "opening", "none"), 0, Values(), True)
    assert [unit.counters.budget for unit in eras.snapshot()] == [{}]


def test_what_replicas_tell_of_budgets_means_nothing_else_to_other_versions() -> None:
    """They know of 36 bits."""
    key = UnitKey(STABLE, "stable", "chat", "late", "none")
    values = Values(1.0, 1.0, 1.0, 1.0, 1.0)
    known = count_unit(EraUnits(2, None), key, 0, values)
    assert known < 1 << 36
    assert count_unit(EraUnits(2, None), key, 0, values, True) & (1 << 36) - 1 == known
    # One that has counted all but the budget counts that still, and nothing twice.
    eras = EraUnits(2, None)
    count_unit(eras, key, known, values, True)
    (unit,) = eras.snapshot()
    assert (unit.counters.entries, unit.counters.ttft.count, unit.counters.budget) == (0, 0, {"within": 1})


def test_the_first_of_each_kind_counts_with_its_turn() -> None:
    pod = process()
    pod.call(HI, session="a")
    for stop in ("tool_use", "tool_use", "refusal"):
        call = pod.begin_call(turns(2), session="a")
        pod.end_call(call, stop_reason=stop)
    pod.call(turns(20), session="a", outcome="error")
    bad = {key: count for unit in pod.units()[2] for key, count in unit.counters.first_bad.items()}
    assert bad == {"tool_use:2": 1, "refusal:2": 1, "error:16": 1}


def test_times_of_a_token_are_those_after_the_first_content() -> None:
    pod = process()
    call = pod.begin_call(HI, session="a")
    call.first_content = 1.5
    pod.end_call(call, usage={"input_tokens": 1, "output_tokens": 51})
    (unit,) = pod.units()[2]
    assert unit.counters.time_per_output_token.sum == pytest.approx((3.0 - 1.5) / 50)
    assert unit.counters.ttft.sum == pytest.approx(0.5)
    assert unit.counters.output_tokens.sum == 51


@pytest.mark.parametrize(("tokens", "counts"), [(FEWEST_TOKENS - 1, 0), (FEWEST_TOKENS, 1)])
def test_a_short_answer_has_no_pace(tokens: int, counts: int) -> None:
    """It comes in a read or two: a label with its reason would look slower than the label alone."""
    pod = process()
    call = pod.begin_call(HI, session="a")
    call.first_content = 1.5
    pod.end_call(call, usage={"input_tokens": 1, "output_tokens": tokens})
    (unit,) = pod.units()[2]
    assert unit.counters.time_per_output_token.count == counts


def test_a_retry_is_no_entry_and_no_event() -> None:
    pod = process()
    first = pod.begin_call(HI, session="a")
    first.body = (1, b"a", b"a")
    pod.end_call(first, outcome="error")
    again = pod.begin_call(HI, session="a", attempt="1", body=(1, b"a", b"a"))
    pod.end_call(again, outcome="error", stop_reason="")
    assert again.is_retry
    (unit,) = pod.units()[2]
    assert (unit.counters.entries, unit.counters.first_bad) == (1, {"error:0": 1})


def test_a_conversation_counts_in_the_era_that_it_began_in() -> None:
    pod = process()
    pod.call(HI, session="a")
    pod.run(3, *arms(5000), env=[])  # the same weights
    pod.call(HI, session="b")
    pod.run(4, *arms(9000))
    for session in ("a", "b", "c"):
        pod.call(turns(2), session=session, outcome="error")
        pod.call(HI, session=f"{session}-new")
    evidence = parse_evidence(pod.store.document(4, 1.0, "", since="", units=True))
    by_era = {each.generation: each for each in evidence.generations}
    assert by_era[2].weights == {STABLE: 5000, CANARY: 5000}
    assert by_era[4].weights == {STABLE: 1000, CANARY: 9000}
    assert (by_era[3].weights, by_era[3].units) == (None, [])
    assert sum(unit.counters.entries for unit in by_era[2].units) == 4
    assert sum(unit.counters.entries for unit in by_era[4].units) == 3  # `c` had begun before
    assert {(unit.counters.entries, unit.period) for unit in by_era[4].units} <= {(n, "opening") for n in (1, 2, 3)}


def test_only_who_asks_for_units_gets_them() -> None:
    pod = process()
    pod.call(HI, session="a")
    kept = parse_evidence(pod.store.document(2, 1.0, "", since="", keep=True, units=True))
    assert kept.generations[-1].units
    for query in ({}, {"since": ""}, {"since": f"{pod.store.boot_id}.{kept.reading}"}):
        document = json.loads(pod.store.document(2, 1.0, "", **query))
        read = [*document["generations"], *document.get("before", {}).get("generations", [])]
        assert read
        assert all(set(each) <= {"generation", "strata"} for each in read)
    again = parse_evidence(pod.store.document(2, 1.0, "", since=f"{pod.store.boot_id}.{kept.reading}", units=True))
    assert again.before is not None
    assert again.before.generations == kept.generations


def test_eras_are_bounded_and_fit_into_a_document() -> None:
    pod = process()
    for generation in range(3, 60):
        pod.run(generation, *arms(generation * 100))
        pod.call(HI, session=f"s{generation}")
    assert len(pod.units()) <= KEPT_ERAS + KEPT_GENERATIONS <= MOST_GENERATIONS
    assert max(pod.units()) == 59


def test_only_the_last_canarys_eras_are_told_and_those_after_it() -> None:
    pod = process()
    pod.run(3, make_arm())
    pod.run(4, make_arm(weight=9000), make_arm("support-0000000000", "canary", 1000))
    pod.run(5, make_arm("support-0000000000"))
    for generation in range(6, 10):
        pod.run(generation, make_arm("support-0000000000"), env=[])
    assert list(pod.units()) == [4, 5, 6, 7, 8, 9]
    assert [era for era, units in pod.units().items() if units] == []
    pod.call(HI, session="a")
    assert [era for era, units in pod.units().items() if units] == [5]


def test_what_is_not_compared_has_no_values() -> None:
    pod = process()
    pod.call(HI, session="a", wanted=CANARY)
    (unit,) = pod.units()[2]
    assert (unit.surface, unit.counters.entries, unit.counters.duration.count) == ("pinned", 1, 0)


@pytest.mark.parametrize(
    ("served", "drawn", "weights"),
    [
        (arms(5000), Drawn(7, CANARY, 300), {CANARY: 300, STABLE: 9700}),
        ([*arms(5000), make_arm("support-1", "former", 0)], Drawn(7, CANARY, 300), {CANARY: 300, STABLE: 9700}),
        (
            [make_arm(CANARY), make_arm(STABLE, "former", 0)],
            Drawn(7, CANARY, 300),
            {CANARY: 300, STABLE: 9700},
        ),
        (arms(5000), Drawn(8, "support-0000000000", 300), {"support-0000000000": 300}),
        (arms(5000), Drawn(9), None),
    ],
)
def test_eras_that_only_a_peer_saw_are_told_with_their_weight(
    served: list[Arm], drawn: Drawn, weights: dict[str, int] | None
) -> None:
    pod = process()
    pod.run(3, *served)
    units = pod.store.eras.units(drawn)
    assert units is not None
    assert units.weights == weights


def test_what_is_told_is_as_the_schema_says() -> None:
    pod = process()
    pod.call(HI, session="a", outcome="error")
    strata = [each for found in pod.units().values() for each in found]
    assert msgspec.convert(msgspec.to_builtins(strata), list[UnitStratum]) == strata
    assert set(SCHEMA["$defs"]["GenerationEvidence"]["properties"]) == {
        field.encode_name for field in msgspec.structs.fields(GenerationEvidence)
    }


def test_a_call_without_a_conversation_is_no_unit() -> None:
    pod = process()
    call = Call("POST", "/v1/messages", 1.0, pod.live, counted=True)
    pod.accounting.start(call)
    pod.accounting.finish(call)
    assert not [unit for found in pod.units().values() for unit in found]
