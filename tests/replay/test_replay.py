"""Ticks that were written down, judged once more: the same numbers, other plans, and what cannot be read."""

from __future__ import annotations

import json
import math
import random
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_operator.core.judge.evidence.sample import Values
from claude_operator.core.judge.judges.comparisons import Comparison
from claude_operator.core.judge.ledger.lines import LineError, parse, strata, write_json
from claude_operator.replay.replay import replay

GRID = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0)
Tick = tuple[int, int, int, int]


def line(t: float, canary: list[int], stable: list[int], metric: str = "errors", **more: Any) -> str:
    return json.dumps({"t": t, "weight": 0.01, "metrics": {metric: {"stable": stable, "canary": canary}}, **more})


def quantity(values: list[float], **more: Any) -> dict[str, Any]:
    lns = [math.log(value) for value in values]
    indices = [math.floor(ln / math.log(1.25)) for ln in lns]
    first = min(indices, default=0)
    buckets = [indices.count(index) for index in range(first, max(indices, default=0) + 1)]
    sums = {"lnSum": math.fsum(lns), "lnSumSq": math.fsum(ln * ln for ln in lns)}
    return {"count": len(values), **sums, "first": first, "buckets": buckets, **more}


def slow(t: float, canary: list[float], stable: list[float], metric: str = "timeToFirstToken") -> str:
    arms = {"stable": quantity(stable), "canary": quantity(canary)}
    return json.dumps({"t": t, "weight": 0.01, "metrics": {metric: arms}})


def by_definition(strata: list[Tick], margin: float = 1.0) -> float:
    """The mean over alternatives of the product of likelihood ratios."""
    total = 0.0
    for g in GRID:
        log = 0.0
        for n_c, x_c, n_s, x_s in strata:
            if n_c and n_s:
                harmed = margin * g * n_c / (margin * g * n_c + n_s)
                equal = margin * n_c / (margin * n_c + n_s)
                log += x_c * math.log(harmed / equal) + x_s * math.log((1 - harmed) / (1 - equal))
        total += math.exp(log)
    return total / len(GRID)


def totals(lines: list[str], **options: Any) -> list[float]:
    return [tick["total"] for tick in replay(lines, **options)]


# --------------------------------------------------------------------------------------------------- numbers


def test_one_line_a_tick() -> None:
    first, second = replay([line(5, [5, 1], [500, 2]), line(10.5, [5, 2], [500, 2], weight=0.1)])
    assert first == {
        "t": 5.0,
        "weight": 0.01,
        "evidence": {"errors": pytest.approx(by_definition([(5, 1, 500, 2)]), rel=1e-12)},
        "total": first["evidence"]["errors"],
        "threshold": 100.0,
        "verdict": "Inconclusive",
        "leading": "errors",
    }
    assert (second["t"], second["weight"], second["verdict"]) == (10.5, 0.1, "Fail")
    assert second["total"] == pytest.approx(by_definition([(5, 1, 500, 2), (5, 2, 500, 2)]), rel=1e-12)


@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.integers(0, 3), st.integers(0, 500), st.integers(0, 3)).map(
            lambda tick: (tick[0] + tick[1], tick[1], tick[2] + tick[3], tick[3])
        ),
        min_size=1,
        max_size=6,
    )
)
def test_the_evidence_is_exact(ticks: list[Tick]) -> None:
    lines = [line(i, [n_c, x_c], [n_s, x_s]) for i, (n_c, x_c, n_s, x_s) in enumerate(ticks)]
    assert totals(lines, beyond=True)[-1] == pytest.approx(by_definition(ticks), rel=1e-9)
    together = [line(0, [n_c, x_c], [n_s, x_s]) for n_c, x_c, n_s, x_s in ticks]
    assert totals(together) == [pytest.approx(by_definition(ticks), rel=1e-9)]


def test_lines_of_one_time_are_strata_of_one_tick() -> None:
    both = [line(0, [40, 1], [100, 0]), line(0, [10, 2], [900, 3])]
    (told,) = replay(both)
    assert told["total"] == pytest.approx(by_definition([(40, 1, 100, 0), (10, 2, 900, 3)]), rel=1e-9)
    pooled = next(iter(replay([line(0, [50, 3], [1000, 3])])))
    assert told["total"] != pytest.approx(pooled["total"], rel=0.01)


def test_weights_are_shared_by_the_metrics_that_occur() -> None:
    lines = [line(0, [10, 1], [100, 1]), line(0, [10, 3], [100, 1], "refusals")]
    (told,) = replay(lines)
    errors, refusals = by_definition([(10, 1, 100, 1)]), by_definition([(10, 3, 100, 1)])
    assert told["evidence"] == pytest.approx({"errors": errors, "refusals": refusals})
    assert told["total"] == pytest.approx((0.7 * errors + 0.03 * refusals) / 0.73)
    (other,) = replay([line(0, [10, 3], [100, 1], "judgeFail")])
    assert other["total"] == pytest.approx(refusals)


def test_fail_is_final_unless_asked_to_go_on() -> None:
    lines = [line(0, [5, 5], [500, 0]), line(5, [5, 5], [500, 0]), line(10, [500, 0], [500, 50])]
    final, beyond = list(replay(lines)), list(replay(lines, beyond=True))
    assert [tick["verdict"] for tick in final] == [tick["verdict"] for tick in beyond] == ["Fail"] * 3
    assert len({tick["total"] for tick in final}) == 1
    assert beyond[1]["total"] > final[1]["total"]
    assert beyond[2]["total"] < beyond[1]["total"]


def test_a_slower_canary_is_found_and_an_equal_one_is_not() -> None:
    draw = random.Random(7)

    def ticks(times: float) -> list[str]:
        def some(n: int, by: float) -> list[float]:
            return [by * draw.lognormvariate(-0.5, 0.6) for _ in range(n)]

        return [slow(5 * i, some(20, times), some(200, 1.0)) for i in range(20)]

    assert max(totals(ticks(1.0))) < 3
    assert list(replay(ticks(2.0)))[-1]["verdict"] == "Fail"
    assert max(totals(ticks(1.3), overrides=["metrics.timeToFirstToken.maxIncrease=50%"])) < 3


def test_edges_come_from_the_ticks_before() -> None:
    """A tail alone, which mean logarithms hardly see, is seen from the second tick on."""
    stable, tail = [1.0] * 95 + [1.3] * 5, [1.0] * 18 + [30.0] * 2
    first, second, *_ = totals([slow(0, tail, stable), slow(5, tail, stable), slow(10, tail, stable)])
    assert first == 1.0
    assert second > 10


def test_buckets_in_their_three_forms() -> None:
    arms = [
        {"count": 3, "lnSum": 0.0, "lnSumSq": 0.0, "buckets": [0, 2, 1]},
        {"count": 3, "lnSum": 0.0, "lnSumSq": 0.0, "buckets": [2.0, 1], "first": -30},
        {"count": 3, "lnSum": 0.0, "lnSumSq": 0.0, "buckets": {"-30": 2, "-29": 1, "5": 0}},
    ]
    for metric, first in (("timeToFirstToken", -31), ("duration", -31), ("cost", -62), ("outputTokens", 0)):
        lines = [json.dumps({"t": 0, "metrics": {metric: {"stable": arm}}}) for arm in arms]
        found = [one.comparisons[0].stable.buckets for one in parse(lines)]
        assert found == [{first + 1: 2, first + 2: 1}, {-30: 2, -29: 1}, {-30: 2, -29: 1}]


@given(
    st.dictionaries(st.integers(-60, 60), st.integers(1, 10**6), max_size=20),
    st.floats(-1e6, 1e6),
    st.floats(0, 1e9),
    st.sampled_from(["timeToFirstToken", "duration", "cost", "outputTokens"]),
)
def test_what_is_written_is_read_back(buckets: dict[int, int], ln_sum: float, squares: float, metric: str) -> None:
    total = sum(buckets.values())
    raw = (squares, squares) if metric == "cost" else (0.0, 0.0)
    stable = Values(total + 1, ln_sum, squares, *raw, buckets)
    compared = [Comparison(metric, Values(), stable), Comparison("errors", (3, 1), (9, 0))] * 2
    written = [write_json({"t": 1.5, "metrics": one}) for one in strata(compared)]
    assert len(written) == 2
    found = [one for line in parse(written) for one in line.comparisons]
    assert sorted(found, key=lambda one: one.metric) == sorted(compared, key=lambda one: one.metric)


def test_offsets_of_a_line_count() -> None:
    known = {"errors": 3.0}
    (plain,), (offset,) = (totals([line(0, [10, 3], [100, 3], **more)]) for more in ({}, {"offsets": known}))
    assert offset == pytest.approx(by_definition([(30, 3, 100, 3)]))
    assert offset < plain


# ------------------------------------------------------------------------------------------------- other plans


def test_another_rate_and_another_plan() -> None:
    lines = [line(0, [10, 1], [100, 1]), line(0, [10, 3], [100, 1], "refusals")]
    (lax,) = replay(lines, alpha=0.5)
    assert (lax["threshold"], lax["verdict"]) == (2.0, "Fail")
    (set_,) = replay(lines, overrides=["falseRollbackRate=0.5"])
    assert set_ == lax
    (margin,) = replay(lines, overrides=["metrics.errors.maxIncrease=100%"])
    assert margin["evidence"]["errors"] == pytest.approx(by_definition([(10, 1, 100, 1)], 2.0))
    (dry,) = replay(lines, overrides=["metrics.refusals.mode=DryRun"])
    assert dry["total"] == dry["evidence"]["errors"]
    (weighted,) = replay(lines, overrides=["metrics.errors.weight=1", "metrics.refusals.weight=3"])
    evidence = weighted["evidence"]
    assert weighted["total"] == pytest.approx(0.25 * evidence["errors"] + 0.75 * evidence["refusals"])


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("judge=Tick", "'judge=Tick': analysis.judge: must be 'Sequential', 'Threshold' or 'MannWhitney'"),
        ("unit=Request", "there is no field unit: write one of judge, interval, falseRollbackRate"),
        ("metrics.errors.maxIncrease=10", "write a percentage, for example 10%"),
        ("warmup=5", "write a duration, for example 30s, 10m or 1h30m"),
        ("metrics.latency.weight=1", "there is no metric 'latency': write one of errors, refusals"),
        ("metrics.errors.wait=1", "there is no field wait: write one of name, mode, weight, maxIncrease"),
        ("metrics.errors.max_increase=10%", "there is no field max_increase"),
        ("metrics.errors.threshold=1", "threshold cannot be set for a replay: write maxIncrease, weight or mode"),
        ("metrics.errors=1", "write metrics.<name>.<field>=value"),
        ("alpha=1", "there is no field alpha: write one of judge, interval, falseRollbackRate"),
        ("falseRollbackRate=2", "must be less than 1"),
        ("judge.name=x", "judge has no fields: write judge=value"),
        ("judge", "write path=value, for example metrics.errors.maxIncrease=10%"),
        ("metrics..weight=1", "write path=value"),
    ],
)
def test_a_bad_setting_says_what_to_write(setting: str, words: str) -> None:
    for lines in ([line(0, [1, 0], [9, 0])], ['{"ledger": 1}', line(0, [1, 0], [9, 0])]):
        with pytest.raises(ValueError) as refused:
            replay(lines, overrides=[setting])
        assert words in str(refused.value)


def test_a_setting_of_what_never_occurs_is_told() -> None:
    notes: list[str] = []
    (told,) = replay([line(0, [10, 2], [100, 1])], overrides=["metrics.cost.weight=9"], say=notes.append)
    assert notes == ["no line has cost, so its settings change little or nothing"]
    assert told["total"] == told["evidence"]["errors"]


# ------------------------------------------------------------------------------------------------------- pages


def page(ticks: int, **more: Any) -> str:
    plan = {"metrics": [{"name": "errors"}]}
    return json.dumps({"ledger": 1, "revision": "a", "ticks": ticks, "analysis": plan, **more})


def state(logs: float) -> list[dict[str, Any]]:
    return [{"name": "errors", "evidence": math.exp(logs), "canary": [9, 1], "stable": [90, 1], "logs": [logs] * 10}]


def test_a_page_begins_with_the_memory_in_its_header() -> None:
    lines = [page(7, state=state(1.0)), line(40, [10, 1], [100, 1])]
    (told,) = replay(lines)
    assert told["total"] == pytest.approx(math.e * by_definition([(10, 1, 100, 1)]), rel=1e-3)
    assert told["total"] != math.e * by_definition([(10, 1, 100, 1)])  # rounded as the operator does


def test_another_plan_keeps_what_was_judged_before_the_page_and_says_so() -> None:
    notes: list[str] = []
    lines = [page(7, state=state(1.0)), line(40, [10, 1], [100, 1])]
    (told,) = replay(lines, overrides=["metrics.errors.maxIncrease=100%"], say=notes.append)
    assert told["total"] == pytest.approx(math.e * by_definition([(10, 1, 100, 1)], 2.0), rel=1e-3)
    assert notes == ["the page begins after 7 ticks; their evidence is taken as it was recorded"]


def test_another_plan_goes_on_from_page_to_page() -> None:
    ticks = [(10, 1, 100, 1), (10, 2, 100, 1)]
    first, second = (line(5 * i, list(tick[:2]), list(tick[2:])) for i, tick in enumerate(ticks))
    lines = [page(0), first, page(1, state=state(3.0)), second]
    notes: list[str] = []
    assert totals(lines)[-1] == pytest.approx(math.exp(3.0) * by_definition(ticks[1:]), rel=1e-3)
    anew = totals(lines, overrides=["metrics.errors.maxIncrease=100%"], say=notes.append)
    assert anew[-1] == pytest.approx(by_definition(ticks, 2.0), rel=1e-3)
    assert notes == []


def test_two_ledgers_in_a_row_are_two_rollouts() -> None:
    bad = line(0, [9, 9], [100, 0])
    lines = [page(0), bad, page(0, revision="b"), line(0, [9, 1], [100, 1])]
    assert [tick["verdict"] for tick in replay(lines)] == ["Fail", "Inconclusive"]


def test_a_fail_by_another_rule_is_told() -> None:
    notes: list[str] = []
    lines = [page(0), line(0, [9, 1], [100, 1], verdict="Fail", total=1.0)]
    assert [tick["verdict"] for tick in replay(lines, say=notes.append)] == ["Inconclusive"]
    assert notes == [
        "t 0: the rollout failed by a threshold, or by the judge Sequential; a replay shows the evidence of Sequential"
        " alone"
    ]


# -------------------------------------------------------------------------------------------- what is not a line

GOOD = line(5, [5, 1], [500, 2])
ARM = {"count": 3, "lnSum": 1.0, "lnSumSq": 1.0}


def ttft(**more: Any) -> str:
    return json.dumps({"t": 5, "metrics": {"timeToFirstToken": {"stable": ARM | more}}})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hello", 'not JSON (Expecting value: line 1 column 1 (char 0)): write one tick a line, for example {"t": 5'),
        ("[1]", "not an object"),
        ("[" * 100_000, "not JSON (too deeply nested)"),
        ('{"metrics": {}}', "t is missing: write seconds since the start"),
        ('{"t": "5", "metrics": {}}', "t: '5' is not a number: write a finite one"),
        ('{"t": NaN, "metrics": {}}', "not JSON (NaN is not a number)"),
        ('{"t": 1e999, "metrics": {}}', "t: inf is not a number"),
        ('{"t": true, "metrics": {}}', "t: True is not a number"),
        ('{"t": 5}', "metrics is missing: write for example"),
        (line(4, [5, 1], [500, 2]), "t 4 is before 5 of the line before: sort the lines by time"),
        (line(5, [5, 1], [500, 2], weight=1.5), "weight 1.5 is not a share: write 0.01 for 1 %"),
        (line(5, [5, 1], [500, 2], "latency"), "there is no metric 'latency': write one of errors, "),
        (line(5, [5, 6], [500, 2]), "errors.canary: 6 bad of 5 requests: write [requests, bad ones]"),
        (line(5, [5, 1], [-500, 2]), "errors.stable: -500 is negative: write what the tick added"),
        (line(5, [5, 1, 1], [500, 2]), "errors.canary is not a pair: write [requests, bad ones]"),
        ('{"t": 5, "metrics": {"errors": {"stable": [1.5, 0]}}}', "errors.stable: 1.5 is not a count"),
        ('{"t": 5, "metrics": {"errors": {"stable": [true, 0]}}}', "errors.stable: True is not a count"),
        ('{"t": 5, "metrics": {"errors": {"stable": [Infinity, 0]}}}', "Infinity is not a number"),
        (f'{{"t": 5, "metrics": {{"errors": {{"stable": [{"9" * 400}, 0]}}}}}}', "such a number is more than 1e+15"),
        ('{"t": 5, "metrics": {"errors": [5, 1]}}', 'errors has no arms: write {"stable": ..., "canary": ...}'),
        ('{"t": 5, "metrics": {"errors": {"canery": [5, 1]}}}', "errors: there is no arm 'canery'"),
        ('{"t": 5, "metrics": {"cost": {"stable": [5, 1]}}}', "cost.stable is a quantity, not a pair: write {"),
        ('{"t": 5, "metrics": {"cost": {"stable": {}}}}', "cost.stable.count is missing"),
        ('{"t": 5, "metrics": {"cost": {"stable": {"count": 2}}}}', "lnSum is missing: it is the sum of the natural"),
        (ttft(lnSumSq=-1.0), "timeToFirstToken.stable.lnSumSq -1 is negative"),
        (ttft(buckets=[4]), "the buckets hold 4 values and count says 3: count all"),
        (ttft(buckets="x"), "timeToFirstToken.stable.buckets is not a list"),
        (ttft(buckets=[1], first=0.5), "timeToFirstToken.stable.first is not a bucket"),
        (ttft(buckets=[1], first=10**6), "timeToFirstToken.stable.first is not a bucket"),
        (ttft(buckets={"x": 1}), "timeToFirstToken.stable.buckets: 'x' is not a bucket"),
        (line(5, [5, 1], [500, 2], offsets=3), "offsets is not an object"),
        (line(5, [5, 1], [500, 2], offsets={"errors": 0}), "offsets.errors 0 is not a ratio of rates"),
        (page(0), "the header must come before the ticks: move it to the first line"),
    ],
)
def test_a_line_that_cannot_be_read_says_which_and_what_to_write(text: str, words: str) -> None:
    with pytest.raises(LineError) as refused:
        replay([GOOD, "", text])
    assert str(refused.value).startswith("line 3: ")
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ({"ledger": 2}, "header.ledger: must be 1; use the header as the operator wrote it"),
        ({"ledger": 1, "analysis": {"judge": "Bayes"}}, "header.analysis.judge: must be 'Sequential'"),
        ({"ledger": 1, "priceRatio": 0}, "header.priceRatio: must be more than 0"),
        (
            {"ledger": 1, "state": [{"name": "x", "evidence": 1, "canary": [], "stable": [], "logs": []}]},
            "x is damaged",
        ),
        ({"ledger": 1, "state": [state(1.0)[0] | {"canary": [1]}]}, "header.state: errors is damaged"),
        ({"ledger": 1, "state": [state(1.0)[0] | {"name": "cost"}]}, "header.state: cost is damaged"),
    ],
)
def test_a_header_that_cannot_be_read(header: dict[str, Any], words: str) -> None:
    with pytest.raises(LineError) as refused:
        replay([json.dumps(header)])
    assert words in str(refused.value)


def test_nothing_at_all() -> None:
    with pytest.raises(LineError, match="there is no line: write a tick"):
        replay(["", "  "])
    assert list(replay([page(0)])) == []


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=4),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "t",
                        "metrics",
                        "errors",
                        "cost",
                        "stable",
                        "canary",
                        "count",
                        "lnSum",
                        "lnSumSq",
                        "buckets",
                        "first",
                        "ledger",
                        "state",
                        "analysis",
                        "offsets",
                        "weight",
                    ]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=12,
    )
)
def test_whatever_is_read_it_is_refused_as_a_line_or_judged(document: Any) -> None:
    try:
        told = list(replay([json.dumps(document)]))
    except LineError as error:
        assert str(error).startswith("line 1: ")
    else:
        assert all(math.isfinite(tick["total"]) for tick in told)


# ------------------------------------------------------------------------------------------------ conversations

BEFORE = Path(__file__).parent / "before_conversations" / "ticks.jsonl"


def test_a_ledger_of_before_conversations_were_counted_replays_to_what_was_judged_then() -> None:
    """Written by the version before, when a quantity had its whole weight for requests."""
    lines = BEFORE.read_text().splitlines()
    judged = {document["t"]: document for line in lines if "total" in (document := json.loads(line))}
    replayed = {tick["t"]: tick for tick in replay(lines)}
    assert replayed.keys() == judged.keys()
    for t, document in judged.items():
        assert replayed[t]["total"] == pytest.approx(document["total"], rel=1e-9)
        assert replayed[t]["evidence"] == pytest.approx(document["evidence"], rel=1e-9)
    assert replayed[max(judged)]["verdict"] == "Fail"


def conversations(t: float, canary: dict[str, Any], stable: dict[str, Any], share: float = 0.1) -> str:
    arms = {"canary": canary, "stable": stable, "share": share}
    return json.dumps({"t": t, "weight": share, "metrics": {"errors": arms}})


def test_first_bad_events_of_conversations_are_judged_by_the_share_that_was_drawn() -> None:
    """By definition: r^[canary] / (1 - w + w r) an event, r = (p + d) / p at the first turn, 1 before a later one."""
    events = [(0, 1), (1, 0), (1, 2), (2, 1)]
    lines = [
        conversations(5 * n, {"entries": [9, 0, 0], "bad": {"0": ours}}, {"entries": [80, 0, 0], "bad": {"0": theirs}})
        for n, (ours, theirs) in enumerate(events, 1)
    ]
    logs, bad, turns = [0.0] * 10, 0, 0.0
    for (ours, theirs), found in zip(events, totals(lines), strict=True):
        p = (1 + bad) / (200 + turns)  # of stable, as known before
        ratios = [*((p + d) / p for d in (0.002, 0.005, 0.01, 0.02, 0.05, 0.12, 0.2, 0.3, 0.8)), 1.0]
        logs = [
            log + ours * math.log(r) - (ours + theirs) * math.log(0.9 + 0.1 * r)
            for log, r in zip(logs, ratios, strict=True)
        ]
        bad, turns = bad + theirs, turns + 0.9 * 89
        wanted = math.fsum(map(math.exp, logs)) / len(logs)
        assert found == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize(
    ("arms", "said"),
    [
        ({"share": 1.5}, "errors.share 1.5 is not the canary's share"),
        ({"share": 0.1, "canary": [3, 1]}, "errors.canary is not of conversations: write {"),
        ({"share": 0.1, "canary": {"entries": [3, 1]}}, "errors.canary is not of conversations: write {"),
        ({"share": 0.1, "canary": {"entries": [3, 1, 0], "bad": {"3": 1}}}, "'3' is not a turn: write one of 0, 1, 2"),
        ({"share": 0.1, "canary": {"entries": [3, -1, 0]}}, "-1 is negative"),
    ],
)
def test_conversations_that_cannot_be_read_say_what_to_write(arms: dict[str, Any], said: str) -> None:
    with pytest.raises(LineError, match=re.escape(said)):
        list(parse([json.dumps({"t": 5, "metrics": {"errors": arms}})]))


def test_a_quantity_has_no_share() -> None:
    line_of_cost = json.dumps({"t": 5, "metrics": {"cost": {"share": 0.1}}})
    with pytest.raises(LineError, match="cost: only bad events are counted once a conversation: leave share out"):
        list(parse([line_of_cost]))


def test_values_of_later_turns_have_an_entry_of_their_own() -> None:
    """And the metric's weight is divided: later turns have a tenth of it."""
    lines = []
    for n in range(1, 30):
        arms = {"canary": quantity([2.0, 2.2] * 5), "stable": quantity([1.0, 1.1] * 20), "conversations": True}
        lines.append(json.dumps({"t": 5.0 * n, "weight": 0.2, "metrics": {"timeToFirstToken late": arms}}))
    last = list(replay(lines))[-1]
    assert last["leading"] == "timeToFirstToken late"
    assert last["total"] == pytest.approx(0.9 + 0.1 * last["evidence"]["timeToFirstToken late"], rel=1e-6)
