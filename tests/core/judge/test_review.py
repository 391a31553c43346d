"""Odd traffic that the judge must neither be blind to nor blame on the canary, and what it says of it."""

from __future__ import annotations

import math
import random

import pytest
from tests.core.judge.arms import analysis, arm, counts, judge, tick, values

from claude_operator.api.evidence import Counters, Evidence, GenerationEvidence, Histogram, Stratum
from claude_operator.api.status import Offsets
from claude_operator.core.judge.evidence import offset
from claude_operator.core.judge.evidence.context import Context
from claude_operator.core.judge.evidence.increments import PodReading, advance
from claude_operator.core.judge.evidence.sample import Counts, Values
from claude_operator.core.judge.judges import engine
from claude_operator.core.judge.judges.comparisons import Comparison
from claude_operator.core.judge.metrics import watched

CANARY_COHORTS = 100


def history(*failing: tuple[int, int, int]) -> offset.CohortHistory:
    """Ten thousand cohorts of 100 requests each without an error, but for (cohort, requests, errors)."""
    rows: dict[int, offset.Row] = dict.fromkeys(range(10_000), (100.0, 0.0, 0.0, 0.0, 0.0, 0.0))
    return offset.CohortHistory(rows | {who: (float(n), float(x), 0.0, 0.0, 0.0, 0.0) for who, n, x in failing})


def known(of: offset.CohortHistory, caution: float = offset.CAUTION) -> offset.Imbalance:
    return offset.estimate(of, lambda who: who < CANARY_COHORTS, ttft_within=1.0, cost_within=1.0, caution=caution)


@pytest.mark.parametrize(("weight", "canary", "stable", "ticks"), [(100, 1, 99, 10), (1000, 10, 90, 10)])
def test_one_client_that_always_fails_does_not_excuse_a_broken_canary(
    weight: int, canary: int, stable: int, ticks: int
) -> None:
    """All errors of the hour before were one client's, and the canary has that client."""
    errors = known(history((7, 200, 200))).errors
    assert errors == offset.LIMIT
    context = Context(weight=weight, offsets=[Offsets(weight=weight, errors=errors)])
    broken = judge(*[tick(counts(0, canary), counts(stable))] * ticks, context=context)
    assert broken.verdict == "Fail"
    alone = judge(*[tick(counts(0, 1), counts(weight // 10))] * 3, context=context)
    assert alone.verdict == "Inconclusive", "that client alone, and nobody else, goes on failing"


def test_users_without_any_error_leave_promotion_something_to_show() -> None:
    lucky = known(history(*((who, 100, 50) for who in range(CANARY_COHORTS, 2 * CANARY_COHORTS))), -offset.CAUTION)
    assert lucky.errors == 1.0 / offset.LIMIT


@pytest.mark.parametrize("total", [1e300, -1e300, 1e200])
def test_a_history_of_impossible_numbers_tells_nothing(total: float) -> None:
    rows = {0: (3.0, 0.0, 3.0, total, 3.0, 1.0), 500: (3.0, 1.0, 3.0, 1.0, 3.0, -total)}
    assert known(offset.CohortHistory(rows)) == offset.NEUTRAL


def test_a_tolerated_increase_that_crosses_a_bucket_is_no_harm() -> None:
    """Answers that all cost much the same: 1 % more lies a whole bucket higher, which looks like 25 %."""
    watches = watched(analysis({"name": "cost", "maxIncrease": "10%"}))[:1]
    found = [engine.initial(watches[0])]
    rng, edge = random.Random(1), 1.25**-20
    for number in range(1, 150):
        ours, theirs = (
            values(edge * more * math.exp(rng.gauss(0.0, 0.001)) for _ in range(many))
            for more, many in ((1.005, 20), (0.995, 100))
        )
        found = engine.tick(found, watches, [Comparison("cost", ours, theirs)], number=number)
    assert found[0].canary[0] > 1000
    assert found[0].evidence < 1.0


def test_a_fault_that_comes_late_is_said_so() -> None:
    """Over the whole rollout the canary has fewer errors than stable, and is rolled back all the same."""
    good = [tick(counts(100, 0), counts(891, 9))] * 40
    bad = [tick(counts(2, 8), counts(89, 1))] * 8
    assert "over the whole rollout" not in judge(*good, bad[0], plan=analysis("errors")).message
    judgement = judge(*good, *bad, plan=analysis("errors"))
    assert judgement.verdict == "Fail"
    assert judgement.message.startswith("errors ")
    assert "(-" in judgement.message
    assert "interval" in judgement.message
    assert (
        " over the whole rollout; compared within each tick and for the same users, the canary is worse, evidence "
        in judgement.message
    )


def test_a_tail_that_grows_below_an_unchanged_mean_is_said_so() -> None:
    """Most answers come sooner and one in eight far later, so the mean ln is lower and harm is in the tail."""
    rng = random.Random(5)
    ticks = []
    for _ in range(60):
        theirs = values(math.exp(rng.gauss(0.0, 0.2)) for _ in range(120))
        ours = values(math.exp(rng.gauss(2.0 if n % 8 == 0 else -0.5, 0.2)) for n in range(16))
        ticks.append(tick(arm(counts(16), timeToFirstToken=ours), arm(counts(120), timeToFirstToken=theirs)))
    judgement = judge(*ticks, plan=analysis("timeToFirstToken"))
    assert (judgement.verdict, judgement.leading) == ("Fail", "timeToFirstToken")
    assert "; more of its values are very large, evidence " in judgement.message


def reported(uptime: float, requests: int, ttft: Histogram) -> PodReading:
    counters = Counters(requests=requests, outcomes={"ok": requests}, ttft=ttft, conversations=1)
    stratum = Stratum(revision="a", role="canary", surface="chat", cache="none", counters=counters)
    return PodReading("pod", True, Evidence("boot", 7, uptime, [GenerationEvidence(7, [stratum])]))


@pytest.mark.parametrize(
    "odd",
    [
        {"buckets": {"+Inf": 3}},
        {"buckets": {"1.5": 3}},
        {"buckets": {"9" * 5000: 3}},
        {"buckets": {"99999": 3}},
        {"buckets": {"-701": 3}},
        {"ln_sum": -1e300},
        {"ln_sum_sq": 1e300},
        {"sum": 1e300},
    ],
)
def test_impossible_values_of_a_gateway_leave_its_counts(odd: dict[str, object]) -> None:
    _, memory = advance(None, [reported(1.0, 0, Histogram())])
    found, _ = advance(memory, [reported(2.0, 3, Histogram(**{"count": 3, "buckets": {"0": 3}, **odd}))])  # type: ignore[arg-type]
    (sample,) = found.samples.values()
    assert (sample.counts, sample.values) == (Counts(3, 3), {})


def test_extreme_values_that_a_gateway_can_measure_count() -> None:
    whole = Values.of([1e-60, 1e60])
    buckets = {str(index): count for index, count in whole.buckets.items()}
    _, memory = advance(None, [reported(1.0, 0, Histogram())])
    sums = Histogram(whole.count, whole.sum, whole.sum_sq, whole.ln_sum, whole.ln_sum_sq, buckets)
    found, _ = advance(memory, [reported(2.0, 2, sums)])
    (sample,) = found.samples.values()
    assert sample.values["timeToFirstToken", "none"] == whole
