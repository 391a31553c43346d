"""The judge from tick to tick: verdicts, what they say, and what they remember."""

from __future__ import annotations

import datetime as dt
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.core.judge.arms import ANALYSIS, CANARY, STABLE, START, analysis, counted, counts, judge, states, tick
from tests.counting import calls_of

from claude_operator.api.analysis import Analysis
from claude_operator.api.conditions import Reason
from claude_operator.core.judge.assessment import assess, new_judgement, unsupported
from claude_operator.core.judge.diagnosis import reason_of
from claude_operator.core.judge.evidence.increments import Counts, Increments, Sample
from claude_operator.core.judge.sentences import evidence_sentence

FEW = settings(max_examples=15)
COUNTED = analysis("errors", "refusals")


# ------------------------------------------------------------------------------------------- verdicts


def test_the_start() -> None:
    start = new_judgement(ANALYSIS, START)
    assert (start.verdict, start.evidence, start.threshold, start.leading) == ("Inconclusive", 1.0, 100.0, None)
    assert start.message == "0 canary requests, no evidence of harm (evidence 1, traffic goes back at 100)"
    assert [metric.name for metric in start.state] == [
        *("errors", "timeToFirstToken", "refusals", "maxTokens", "cost"),
        *("hung", "timePerOutputToken", "overloads", "outputTokens"),
    ]
    assert reason_of(start) == Reason.WATCHING
    first, compared = assess(None, ANALYSIS, tick(), stable=STABLE, canary=CANARY, now=START)
    assert (first.started_at, compared) == (start.started_at, ())


def test_harm_is_found_and_said() -> None:
    judgement = judge(tick(counts(30, 1), counts(250, 1)), tick(counts(4, 23), counts(257, 4)))
    assert judgement.verdict == "Fail"
    assert judgement.leading == "errors"
    assert judgement.message == (
        "errors 24 of 58 against 5 of 512 (+40.4 points, 95 % interval +29 to +53), evidence 9.6e+17 ≥ 100"
    )
    assert judgement.message == evidence_sentence(judgement)
    assert judgement.requests == 58
    assert reason_of(judgement) == Reason.ERRORS_INCREASED
    assert judgement.first_bad == START.replace(microsecond=123000) + dt.timedelta(seconds=5)
    refused = judge(tick(counts(30, refusals=20), counts(250, refusals=3)))
    assert (refused.verdict, reason_of(refused)) == ("Fail", Reason.REFUSALS_INCREASED)
    assert refused.message.startswith("refusals 20 of 30 against 3 of 250 (+65.5 points, ")


def test_a_broken_canary_needs_two_requests_at_one_percent() -> None:
    assert judge(tick(counts(0, 1), counts(99))).verdict == "Inconclusive"
    assert judge(tick(counts(0, 1), counts(99)), tick(counts(0, 1), counts(99))).verdict == "Fail"


def test_fail_is_final() -> None:
    failed = judge(tick(counts(0, 20), counts(100)))
    later, compared = assess(
        failed, ANALYSIS, tick(counts(1000), counts(900, 100)), stable=STABLE, canary=CANARY, now=START.replace(hour=13)
    )
    assert compared == ()
    assert (later.verdict, later.message, later.evidence) == ("Fail", failed.message, failed.evidence)
    assert later.state == failed.state
    assert later.last_tick == START.replace(hour=13, microsecond=123000)


def test_watching_says_what_was_seen() -> None:
    judgement = judge(tick(counts(58), counts(500, 5)))
    assert judgement.verdict == "Inconclusive"
    assert judgement.message.startswith("58 canary requests, no evidence of harm (evidence 0.")
    some = judge(tick(counts(9, 1), counts(100)))
    assert some.leading == "errors"
    assert some.message == (
        "errors 1 of 10 against 0 of 100 (+10 points, 95 % interval +0.99 to +40), evidence 3.7 of 100"
    )


def test_the_evidence_is_the_weighted_mean() -> None:
    judgement = judge(tick(counts(40, 2, refusals=3), counts(400, 9, refusals=8)))
    grid = (1.25, 1.5, 2, 3, 5, 10, 20, 50, 100, 200)
    # None falls below 0.006 in the first tick.
    errors = sum(max(math.exp(2 * math.log(g) - 11 * math.log((42 * g + 409) / 451)), 0.006) for g in grid) / 10
    refusals = sum(max(math.exp(3 * math.log(g) - 11 * math.log((40 * g + 400) / 440)), 0.006) for g in grid) / 10
    found = states(judgement)
    assert found["errors"] == (pytest.approx(errors, rel=1e-5), [42, 2], [409, 9])
    assert found["refusals"] == (pytest.approx(refusals, rel=1e-5), [40, 3], [400, 8])
    assert [found[name][0] for name in ("timeToFirstToken", "maxTokens", "cost")] == [1.0, 1.0, 1.0]
    assert judgement.evidence == pytest.approx((0.7 * errors + 0.03 * refusals + 0.37) / 1.1, rel=1e-5)
    two = judge(tick(counts(40, 2, refusals=3), counts(400, 9, refusals=8)), plan=COUNTED)
    assert two.evidence == pytest.approx((0.7 * errors + 0.03 * refusals) / 0.73, rel=1e-5)


def test_the_floor_sinks_with_every_tick_that_compared_something() -> None:
    bad = tick(counts(10**5), counts(10**5, 10**5))
    for seen, compared in ((1, 1), (3, 3)):
        judgement = judge(*[bad] * seen, tick(), tick())
        assert judgement.ticks == compared
        assert judgement.state[0].logs == pytest.approx([math.log(6e-3 / compared**2)] * 10, abs=1e-5)
    assert judge(tick(), tick(), bad).state[0].logs == judge(bad).state[0].logs


def test_a_dry_run_reports_and_does_not_act() -> None:
    plan = analysis({"name": "errors", "mode": "DryRun"}, {"name": "refusals"})
    judgement = judge(tick(counts(50, 50), counts(1000)), plan=plan)
    evidence, canary, _ = states(judgement)["errors"]
    assert evidence > 1e6
    assert canary == [100, 50]
    assert (judgement.verdict, judgement.evidence, judgement.leading) == ("Inconclusive", 1.0, None)
    assert judgement.first_bad is None
    alone = judge(tick(counts(50, 50), counts(1000)), plan=analysis({"name": "errors", "mode": "DryRun"}))
    assert (alone.verdict, alone.evidence) == ("Inconclusive", 1.0)


def test_one_metric_alone_has_the_whole_rate() -> None:
    judgement = judge(tick(counts(9, 1), counts(100)), plan=analysis({"name": "errors"}, falseRollbackRate=0.25))
    assert judgement.threshold == 4.0
    assert judgement.evidence == states(judgement)["errors"][0]
    assert judgement.verdict == "Fail"


@pytest.mark.parametrize(("interval", "silence"), [("1s", 10), ("5s", 15), ("1m", 180)])
def test_no_traffic_is_no_data_after_a_while(interval: str, silence: float) -> None:
    plan = analysis(interval=interval)
    assert judge(tick(), plan=plan, every=silence - 0.1).verdict == "Inconclusive"
    judgement = judge(tick(), plan=plan, every=silence)
    assert (judgement.verdict, reason_of(judgement)) == ("NoData", Reason.NO_TRAFFIC)
    assert judgement.message == "no request on either arm since 2026-03-01T12:00:00Z, so there is nothing to judge"
    busy = judge(tick(traffic=1), tick(), plan=plan, every=silence - 0.1)
    assert busy.verdict == "Inconclusive"
    assert busy.last_traffic == START.replace(microsecond=123000) + dt.timedelta(seconds=silence - 0.1)
    assert judge(tick(traffic=1), tick(), plan=plan, every=silence).verdict == "NoData"


def test_silent_pods_are_an_error_only_where_nothing_else_is_new() -> None:
    nothing = judge(tick(unreachable=("pod-a", "pod-b")))
    assert (nothing.verdict, reason_of(nothing)) == ("Error", Reason.METRICS_UNREACHABLE)
    assert nothing.message.endswith("; no answer from ready gateway pods pod-a, pod-b")
    some = judge(tick(counts(10), counts(100), unreachable=("pod-a",)))
    assert (some.verdict, some.unreachable) == ("Inconclusive", ["pod-a"])
    assert "pod-a" in some.message
    harm = judge(tick(counts(0, 10), counts(100), unreachable=("pod-a",)))
    assert harm.verdict == "Fail"
    many = judge(tick(unreachable=tuple(f"pod-{number}" for number in range(9))))
    assert many.message.endswith("pod-0, pod-1, pod-2 and 6 more")


@pytest.mark.parametrize(
    ("canary", "stable", "overloaded", "limited"),
    [
        (counts(2, overloads=3), counts(100), True, True),
        (counts(3, overloads=2), counts(100), False, True),
        (counts(0, overloads=4), counts(100), False, True),
        (counts(30, overloads=1), counts(100), False, False),
        (counts(0, overloads=4), counts(50, overloads=60), True, False),
        (counts(3, overloads=2), counts(100, overloads=30), False, False),
        (None, counts(5, overloads=5), True, False),
        (None, counts(2, overloads=2), False, False),
    ],
)
def test_overloads_hold_and_are_no_evidence(
    canary: Counts | None, stable: Counts, overloaded: bool, limited: bool
) -> None:
    """`limited`: the canary alone has them, however few they are."""
    judgement = judge(tick(canary, stable))
    assert judgement.overloaded is overloaded
    assert judgement.evidence == 1.0
    assert judgement.requests == (canary.ok if canary else 0)
    assert reason_of(judgement) == (Reason.OVERLOADED if overloaded or limited else Reason.WATCHING)
    assert ("429" in judgement.message) is (overloaded or limited)
    assert ("a rate limit of its own" in judgement.message) is limited
    later = judge(tick(canary, stable), tick(counts(30), counts(100)))
    assert not later.overloaded
    assert reason_of(later) == Reason.WATCHING


# -------------------------------------------------------------------------------------------- strata


def test_strata_are_compared_within_themselves() -> None:
    """Two surfaces of which the worse one has more of the canary: pooled that is harm, within each it is none."""
    cells = {
        (7, "chat", CANARY): Sample(counts(99, 1)),
        (7, "chat", STABLE): Sample(counts(990, 10)),
        (7, "batch", CANARY): Sample(counts(50, 50)),
        (7, "batch", STABLE): Sample(counts(25, 25)),
    }
    apart = judge(Increments(cells, 1250))
    assert apart.evidence <= 1.0
    assert states(apart)["errors"][1:] == ([200, 51], [1050, 35])
    assert judge(tick(counts(149, 51), counts(1015, 35))).verdict == "Fail"


def test_a_request_a_tick_is_enough_to_find_a_broken_canary() -> None:
    """Ticks that hold one arm alone are gathered until there is something to compare."""
    alternately = [tick(counts(errors=1)), tick(None, counts(1))] * 20
    verdicts = [judge(*alternately[:number]).verdict for number in range(1, len(alternately) + 1)]
    assert 10 <= verdicts.index("Fail") + 1 <= 20
    assert judge(tick(counts(errors=1))).first_bad is not None  # told at once, compared later


def test_few_requests_wait_in_the_judgement_until_there_are_enough() -> None:
    judgement = judge(tick(counts(1, 1), counts(7)))
    (waiting,) = judgement.open
    assert (waiting.generation, waiting.surface, waiting.canary[:3], waiting.stable[:3]) == (
        7,
        "chat",
        [2, 1, 1],
        [7, 7, 0],
    )
    assert states(judgement)["errors"] == (1.0, [0, 0], [0, 0])
    assert judgement.requests == 2
    enough = judge(tick(counts(1, 1), counts(7)), tick(None, counts(1)))
    assert enough.open == []
    assert states(enough)["errors"][1:] == ([2, 1], [8, 0])
    assert states(enough) == states(judge(tick(counts(1, 1), counts(8))))


def test_what_waits_is_compared_when_the_next_generation_has_begun() -> None:
    judgement = judge(tick(counts(0, 2), counts(3)), tick(counts(1), counts(1), generation=8))
    assert [one.generation for one in judgement.open] == [8]
    assert states(judgement)["errors"][1:] == ([2, 2], [3, 0])


def test_equal_arms_of_few_requests_are_left_in_peace() -> None:
    rng = random.Random(11)
    failed = 0
    for _ in range(20):
        ticks = []
        for _ in range(60):
            bad = rng.random() < 0.1
            one = counts(0 if bad else 1, int(bad))
            ticks.append(tick(one) if rng.random() < 0.3 else tick(None, one))
        failed += judge(*ticks, plan=analysis("errors")).verdict == "Fail"
    assert failed <= 1


def test_generations_without_a_canary_and_other_revisions_say_nothing() -> None:
    cells = {
        (6, "chat", STABLE): Sample(counts(100, 50)),
        (6, "chat", "support-0000000000"): Sample(counts(0, 50)),
        (7, "chat", CANARY): Sample(counts(9, 1)),
        (7, "chat", STABLE): Sample(counts(100)),
    }
    assert judge(Increments(cells, 310)).state == judge(tick(counts(9, 1), counts(100))).state


def test_a_canary_that_is_alone_in_a_tick_is_counted_and_not_judged() -> None:
    judgement = judge(tick(counts(0, 5)))
    assert (judgement.requests, judgement.evidence, judgement.first_bad) == (5, 1.0, judgement.last_tick)


# ---------------------------------------------------------------------------------------- properties


TICKS = st.lists(st.builds(tick, st.none() | counted(60), st.none() | counted(200)), max_size=5)


@given(st.lists(st.tuples(st.integers(1, 500), st.integers(0, 500), st.booleans(), st.integers(1, 50)), max_size=8))
@FEW
def test_equal_arms_never_fail(ticks: list[tuple[int, int, bool, int]]) -> None:
    same = [
        tick(
            counts(ok, errors, refusals=ok * refuse),
            counts(ok * times, errors * times, refusals=ok * times * refuse),
        )
        for ok, errors, refuse, times in ticks
    ]
    judgement = judge(*same)
    assert judgement.verdict == "Inconclusive"
    assert judgement.evidence <= 1 + 1e-9


@given(st.integers(1, 300), st.integers(0, 300), counted(2000))
@FEW
def test_a_worse_canary_is_never_judged_better(requests: int, bad: int, stable: Counts) -> None:
    bad = min(bad, requests - 1)
    fewer = judge(tick(counts(requests - bad, bad), stable))
    more = judge(tick(counts(requests - bad - 1, bad + 1), stable))
    assert states(more)["errors"][0] >= states(fewer)["errors"][0] * (1 - 1e-9)


@given(TICKS)
@FEW
def test_the_previous_judgement_is_left_alone(ticks: list[Increments]) -> None:
    before = judge(*ticks)
    kept = before.model_copy(deep=True)
    assess(before, ANALYSIS, tick(counts(0, 9), counts(100, 3)), stable=STABLE, canary=CANARY, now=START)
    assert before == kept


def test_rollouts_of_equal_arms_are_left_in_peace() -> None:
    """The whole judge over 1, 10 and 50 percent, ten ticks each."""
    draw = random.Random(11)
    failed = 0
    for _ in range(40):
        plan = []
        for share in (0.01, 0.1, 0.5):
            for _ in range(10):
                arms = {True: [0, 0, 0], False: [0, 0, 0]}  # ok, errors, refusals
                for _ in range(40):
                    into, fate = arms[draw.random() < share], draw.random()
                    into[fate < 0.03] += 1
                    into[2] += fate > 0.98
                plan.append(
                    tick(*(counts(ok, errors, refusals=refusals) for ok, errors, refusals in (arms[True], arms[False])))
                )
        failed += judge(*plan).verdict == "Fail"
    assert failed <= 1


def test_a_tick_takes_no_more_work_late_in_a_rollout() -> None:
    """How long it takes, `python -m bench.judge.tick_cost` measures."""
    cells = {
        (generation, surface, name): Sample(counts(90, 3, 1, 2))
        for generation in (6, 7)
        for surface in ("chat", "other")
        for name in (STABLE, CANARY)
    }
    judgement, work = judge(), []

    def one_tick() -> None:
        nonlocal judgement
        judgement, _ = assess(judgement, ANALYSIS, Increments(cells, 800), stable=STABLE, canary=CANARY, now=START)

    for _ in range(200):
        work.append(calls_of(one_tick, warm=False))
    assert max(work) < 5000
    assert max(work[2:]) <= 1.1 * work[1]


# ------------------------------------------------------------------------------------- what cannot be judged


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (analysis(judge="Threshold"), "the judge Threshold has nothing to compare: write for example [{name: errors"),
        (analysis("latency"), "there is no metric 'latency': write one of errors, "),
        (analysis({"name": "errors", "prometheus": {"query": "x"}}), "give a metric of your own another name"),
        (analysis("errors", {"name": "refusals", "threshold": {}}), "threshold of refusals has no limit"),
        (analysis({"name": "errors", "failureLimit": 0}), "failureLimit of errors has no effect without a threshold"),
    ],
)
def test_what_cannot_be_judged_is_named_and_never_ignored(plan: Analysis, words: str) -> None:
    sentence = unsupported(plan)
    assert sentence is not None
    assert words in sentence
    judgement = judge(tick(counts(10), counts(100)), plan=plan)
    assert (judgement.verdict, reason_of(judgement)) == ("Error", Reason.METRIC_ERROR)
    assert judgement.message.startswith(sentence)


def test_harm_in_what_can_be_judged_is_still_found() -> None:
    plan = analysis("errors", "latency")
    assert judge(tick(counts(0, 10), counts(100)), plan=plan).verdict == "Fail"


@pytest.mark.parametrize(
    "plan",
    [ANALYSIS, analysis("errors"), analysis({"name": "refusals", "mode": "DryRun"}), Analysis(metrics=[])],
)
def test_what_exists_is_supported(plan: Analysis) -> None:
    assert unsupported(plan) is None
